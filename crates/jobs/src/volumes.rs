//! The storage pool: making, taking in, opening and forgetting volumes.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use resurgam_catalog::VolumeRecord;
use resurgam_model::{VolumeId, id::by_prefix, report::VolumeSummary, role::VolumeRole};
use resurgam_store::{
    StoreError, Volume,
    backend::{Backend, directory::Directory, read_only::ReadOnly},
    enrol::enrol_again,
    error::Fault,
    index::kept::Tables,
    keys::{Secret, Slot, Unlock, VolumeKeys, random},
    verify::Proved,
    volume::{DELETED_POINTS, NewVolume, VOLUME_TOML, VolumeHeader, parse_header},
};

use crate::{
    error::JobError,
    home,
    server::{Access, Server},
    stores::{self, Stores},
};

impl Server {
    pub(crate) fn unlock(&self) -> Unlock {
        Unlock { wrapping: Some(self.keyring.wrapping.clone()), passphrase: self.environment.passphrase.clone() }
    }

    /// Where a volume lies, as this server may use it.
    pub(crate) fn backend_at(&self, location: &Path) -> Result<Arc<dyn Backend>, JobError> {
        let backend = self.stores().backend(location)?;
        Ok(match self.environment.volumes {
            Access::ReadWrite => backend,
            Access::ReadOnly => Arc::new(ReadOnly(backend)),
        })
    }

    /// Where this home keeps tables of a volume's index.
    fn tables_of(&self, volume: VolumeId) -> PathBuf {
        self.home.join(stores::CACHE).join(format!("index-{volume}"))
    }

    /// What of a volume's data was proved when.
    pub(crate) fn proved_of(&self, volume: VolumeId) -> Proved {
        Proved::kept_in(self.home.join(stores::CACHE).join(format!("proved-{volume}")), self.now())
    }

    fn with_tables(&self, volume: Volume) -> Arc<Volume> {
        let kept = Tables::kept_in(&self.tables_of(volume.id()));
        Arc::new(volume.with_tables(kept))
    }

    /// What the volume at a place says of itself: read, and as its text.
    pub fn header_at(&self, location: &Path) -> Result<(VolumeHeader, String), JobError> {
        Ok(Volume::header_document(&*self.backend_at(location)?)?)
    }

    /// Opens a volume of this server under whatever key it was signed with, to look at it. The second value says that it
    /// would have to be enrolled again before it is written to.
    pub fn open_to_read(&self, location: &Path) -> Result<(Arc<Volume>, bool), JobError> {
        let volume = Volume::open(self.backend_at(location)?, &self.unlock())?;
        let lost = volume.about().server_key != self.keyring.signing.public();
        Ok((self.with_tables(volume), lost))
    }

    /// Opens a volume of this server. Where the server's key was lost and is another now, the volume is enrolled again,
    /// which the second value tells.
    pub fn open_or_enrol(&self, location: &Path) -> Result<(Arc<Volume>, bool), JobError> {
        let backend = self.backend_at(location)?;
        let header = Volume::header(&*backend)?;
        if self.environment.volumes == Access::ReadOnly {
            return self.open_to_read(location);
        }
        let (signing, wrapping) = (&self.keyring.signing, &self.keyring.wrapping);
        // Where the key is the server's already and both copies agree, this changes nothing.
        let volume = enrol_again(backend, &self.unlock(), self.keyring.server, signing, wrapping)?;
        Ok((self.with_tables(volume), header.server_key != signing.public()))
    }

    /// Opens the volume at a place, which must be one of this server.
    fn open_at(&self, location: &Path) -> Result<Arc<Volume>, JobError> {
        let backend = self.backend_at(location)?;
        let header = Volume::header(&*backend)?;
        if header.server != self.keyring.server {
            let what = format!("the volume belongs to another server, {} ({})", header.server_name, header.server);
            let remedy = "use another directory for this server's pool; `resurgam reader` recovers from that volume without a server";
            return Err(JobError::request(
                "volume-of-another-server",
                format!("{}: {what}", location.display()),
                remedy,
            ));
        }
        if header.server_key != self.keyring.signing.public() && self.environment.volumes == Access::ReadWrite {
            return Err(JobError::request(
                "volume-not-enrolled",
                format!("{}: the volume was signed by another key of this server", location.display()),
                "`dpmsync -Sync` enrols the volumes of a rebuilt server again",
            ));
        }
        Ok(self.with_tables(Volume::open(backend, &self.unlock())?))
    }

    /// Opens a volume that the catalog knows.
    pub fn open_volume(&self, record: &VolumeRecord) -> Result<Arc<Volume>, JobError> {
        let volume = self.open_at(Path::new(&record.location))?;
        if volume.id() != record.id {
            let what = format!(
                "{}: volume {} is here, and the catalog says volume {}",
                record.location,
                volume.id(),
                record.id
            );
            return Err(JobError::request("volume-swapped", what, "mount the right disk there"));
        }
        Ok(volume)
    }

    pub(crate) fn volume_record(&self, id: VolumeId) -> Result<VolumeRecord, JobError> {
        self.catalog.volume(id)?.ok_or_else(|| {
            JobError::request(
                "no-volume",
                format!("the catalog does not know volume {id}"),
                "add its directory with `resurgam pool add DIR`",
            )
        })
    }

    /// Every volume.
    pub fn volumes(&self) -> Result<Vec<VolumeSummary>, JobError> {
        let replicas = self.catalog.replicas()?;
        let mut summaries = Vec::new();
        for record in self.catalog.pool()? {
            let opened = self.open_volume(&record);
            summaries.push(VolumeSummary {
                id: record.id,
                protection: if is_clear(&record) { "clear" } else { "passphrase" }.to_owned(),
                location: record.location,
                replicas: replicas.iter().filter(|replica| replica.volume == record.id).count() as u64,
                state: opened.map_or_else(|error| error.to_string(), |_| "present".to_owned()),
            });
        }
        Ok(summaries)
    }

    /// Adds a volume: makes one in an empty or missing directory, or in an empty place of an object store; or takes in one of
    /// this server that lies there.
    pub fn add_volume(&mut self, place: &Path, passphrase: bool) -> Result<VolumeSummary, JobError> {
        let record = {
            let _lock = home::lock(&self.home)?;
            match place.to_str().filter(|_| Stores::is_url(place)) {
                Some(url) => self.add_far_volume(url, passphrase)?,
                None => self.add_volume_at(place, passphrase)?,
            }
        };
        self.publish_capsules()?;
        let all = self.volumes()?;
        all.into_iter().find(|volume| volume.id == record.id).ok_or_else(|| {
            JobError::request("no-volume", "the volume is gone from the catalog already", "add it again")
        })
    }

    /// [`Server::add_volume`], as the catalog's row. For who holds the home's lock.
    pub(crate) fn add_volume_at(&self, directory: &Path, passphrase: bool) -> Result<VolumeRecord, JobError> {
        let bad = |error: io::Error| {
            JobError::request(
                "pool",
                format!("cannot use {} for the pool: {error}", directory.display()),
                "name a directory that can be written",
            )
        };
        if Stores::is_url(directory) {
            let location = self.stores().settled(directory.to_str().unwrap_or_default())?;
            return self.known_volume(Path::new(&location))?.ok_or_else(|| {
                let message = format!("{location} is no volume of this server's pool");
                JobError::request("no-volume", message, "`resurgam pool add URL` makes it one")
            });
        }
        let absolute = std::path::absolute(directory).map_err(bad)?;
        if let Some(record) = self.known_volume(&absolute)? {
            return Ok(record);
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&absolute).map_err(bad)?;
        let absolute = absolute.canonicalize().map_err(bad)?;
        let Some(location) = absolute.to_str() else {
            return Err(JobError::request(
                "pool",
                format!("the path {} is not UTF-8", absolute.display()),
                "name a directory whose path is",
            ));
        };
        if let Some(record) = self.known_volume(&absolute)? {
            return Ok(record);
        }
        let volume = match self.open_at(&absolute) {
            Ok(volume) => volume,
            Err(JobError::Store(StoreError::Refused { .. })) if is_vacant(&absolute).map_err(bad)? => {
                self.make_volume(Arc::new(Directory::local(&absolute)), passphrase)?
            }
            Err(JobError::Store(StoreError::Refused { .. })) if !absolute.join(VOLUME_TOML).exists() => {
                let message = format!("{} is not empty and holds no volume", absolute.display());
                return Err(JobError::request(
                    "pool",
                    message,
                    "name an empty directory; nothing was changed in that one",
                ));
            }
            Err(error) => return Err(error),
        };
        self.take_in(&volume, location)
    }

    /// A volume in an object store. What opens the store is kept, so that the next command opens it, too.
    fn add_far_volume(&mut self, url: &str, passphrase: bool) -> Result<VolumeRecord, JobError> {
        let stores = self.stores();
        let place = stores.place(url)?;
        let location = place.to_string();
        if let Some(record) = self.known_volume(Path::new(&location))? {
            return Ok(record);
        }
        let backend = stores.backend(Path::new(&location))?;
        let there = match self.open_at(Path::new(&location)) {
            Ok(volume) => Some(volume),
            Err(JobError::Store(StoreError::Refused { .. })) if is_vacant_place(&*backend)? => None,
            Err(error) => return Err(error),
        };
        if there.is_none() && !passphrase {
            return Err(JobError::request(
                "passphrase",
                "a volume in an object store is never open to whoever can read the store",
                "give --passphrase, or --passphrase-file FILE",
            ));
        }
        // Before one is made: what was made with it must be found again.
        self.keyring.keep_access(&location, stores.access(&place)?);
        home::write_keyring(&self.home, &self.keyring)?;
        let volume = there.map_or_else(|| self.make_volume(backend, true), Ok)?;
        self.take_in(&volume, &location)
    }

    /// The volume of the catalog at this place. One that is known is opened or missed, never begun anew in the empty place
    /// where it is not mounted.
    fn known_volume(&self, place: &Path) -> Result<Option<VolumeRecord>, JobError> {
        let record = self.catalog.volumes()?.into_iter().find(|record| Path::new(&record.location) == place);
        record.map(|record| self.open_volume(&record).map(|_| record)).transpose()
    }

    /// Takes an opened volume of this server into the catalog.
    fn take_in(&self, volume: &Volume, location: &str) -> Result<VolumeRecord, JobError> {
        let (_, document) = Volume::header_document(volume.backend())?;
        // Whoever was making the volume was killed between its two copies.
        if volume.backend().length(VOLUME_TOML).is_err_and(|error| error.kind == Fault::NotFound) {
            volume.backend().replace(VOLUME_TOML, document.as_bytes())?;
        }
        let record = VolumeRecord {
            id: volume.id(),
            location: location.to_owned(),
            document,
            added: self.now(),
            role: VolumeRole::Pool,
        };
        self.refuse_twin(&record)?;
        self.catalog.put_volume(&record)?;
        Ok(record)
    }

    /// Two volumes of one GUID are one that somebody copied. Which of them is meant, nobody can say.
    fn refuse_twin(&self, found: &VolumeRecord) -> Result<(), JobError> {
        let Some(known) = self.catalog.volume(found.id)?.filter(|known| known.location != found.location) else {
            return Ok(());
        };
        if self.open_volume(&known).is_ok() {
            let message = format!(
                "volume {} lies in {} and in {}: one is a copy of the other",
                found.id, known.location, found.location
            );
            return Err(JobError::request(
                "volume-twice",
                message,
                "unmount or move away the copy; nothing was changed in either",
            ));
        }
        self.notice(format!("volume {} was in {} and is in {} now", found.id, known.location, found.location));
        Ok(())
    }

    fn make_volume(&self, place: Arc<dyn Backend>, passphrase: bool) -> Result<Arc<Volume>, JobError> {
        self.new_volume(place, &[], |keys, id| {
            if !passphrase {
                return Ok(vec![Slot::clear(keys)]);
            }
            let given = self.environment.passphrase.as_ref().ok_or_else(|| {
                JobError::request("passphrase", "a volume with a passphrase needs one", "give --passphrase-file FILE")
            })?;
            Ok(vec![Slot::keyring(keys, id, &self.keyring.wrapping)?, Slot::passphrase(keys, id, given)?])
        })
    }

    /// Makes a volume of this server, with keys of its own.
    pub(crate) fn new_volume(
        &self,
        place: Arc<dyn Backend>,
        features: &[&str],
        slots: impl FnOnce(&VolumeKeys, VolumeId) -> Result<Vec<Slot>, JobError>,
    ) -> Result<Arc<Volume>, JobError> {
        let id = VolumeId::from_random(random()?);
        let keys = VolumeKeys { identity: self.keyring.identity.clone(), sealing: Secret::random()? };
        let slots = slots(&keys, id)?;
        let new = NewVolume {
            volume: id,
            server: self.keyring.server,
            server_name: &self.record.name,
            signing: &self.keyring.signing,
            keys,
            slots,
            features,
            created: self.now(),
        };
        Ok(self.with_tables(Volume::create(place, new)?))
    }

    /// Forgets a volume (id, prefix, or path) without deleting anything in it. Refused while replicas lie there.
    pub fn remove_volume(&self, volume: &str) -> Result<(), JobError> {
        let record = self.find_volume(volume)?;
        self.catalog.remove_volume(record.id)?;
        // What is left of it costs room, and nothing else.
        let _ = fs::remove_dir_all(self.tables_of(record.id));
        self.publish_capsules()
    }

    pub(crate) fn find_volume(&self, wanted: &str) -> Result<VolumeRecord, JobError> {
        let records = self.catalog.volumes()?;
        let path = match self.stores().settled(wanted) {
            Ok(url) if Stores::is_url(Path::new(&url)) => PathBuf::from(url),
            _ => std::path::absolute(wanted)
                .and_then(|path| path.canonicalize())
                .unwrap_or_else(|_| PathBuf::from(wanted)),
        };
        if let Some(record) = records.iter().find(|record| Path::new(&record.location) == path) {
            return Ok(record.clone());
        }
        by_prefix(wanted, records, |record| record.id.to_string()).map_err(|error| {
            JobError::request(
                "no-volume",
                format!("volume `{wanted}`: {error}"),
                "`resurgam pool list` shows the volumes",
            )
        })
    }

    /// Runs something that deletes. On a full disk the volume's reserve is given up for it.
    pub(crate) fn with_reserve<T>(
        volume: &Volume,
        mut work: impl FnMut() -> Result<T, StoreError>,
    ) -> Result<T, JobError> {
        match work() {
            Err(StoreError::Backend(error)) if error.kind == Fault::Full => {
                volume.backend().release_reserve()?;
                Ok(work()?)
            }
            done => Ok(done?),
        }
    }
}

/// Whether whoever can read a volume can open it, by what it last said of itself.
pub fn is_clear(record: &VolumeRecord) -> bool {
    let header = parse_header(VOLUME_TOML, record.document.as_bytes());
    header.is_ok_and(|header| header.slots.iter().any(|slot| matches!(slot, Slot::Clear { .. })))
}

/// What a volume is for, by what it says of itself: only parts of vaults keep deleted points.
pub fn role_of(document: &str) -> VolumeRole {
    let header = parse_header(VOLUME_TOML, document.as_bytes());
    let is_part = header.is_ok_and(|header| header.features.iter().any(|feature| feature == DELETED_POINTS));
    if is_part { VolumeRole::Vault } else { VolumeRole::Pool }
}

/// Whether a place in an object store has nothing in it but locks.
fn is_vacant_place(place: &dyn Backend) -> Result<bool, JobError> {
    let listed = place.list("")?;
    Ok(listed.iter().all(|listed| ["locks/", "writers/"].iter().any(|begun| listed.name.starts_with(begun))))
}

/// Whether a directory has nothing in it but what a new file system has, or what making a volume had begun.
pub(crate) fn is_vacant(directory: &Path) -> io::Result<bool> {
    const BEGUN: [&str; 5] = ["lost+found", "mirror", "locks", "reserve", "writers"];
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        if !BEGUN.iter().any(|begun| name == *begun) && !name.to_string_lossy().starts_with(".unfinished-") {
            return Ok(false);
        }
    }
    // A second copy of VOLUME.toml beside packs would be a volume that lost its first; without packs nothing is lost.
    Ok(true)
}
