//! The first copy to a vault on a disk that is carried there, where the network would take weeks.

use std::{io, path::Path, sync::Arc};

use resurgam_model::{
    bytepath::escape,
    policy::Source,
    report::{CarriedPoint, CarriedSummary, LoadedSummary},
};
use resurgam_store::{
    Cancel, Meter, Volume,
    backend::directory::Directory,
    carried::{self, CARRIED_TOML},
    point::{PointText, ReplicaPlace},
    vault::part_of,
};

use crate::{
    error::JobError,
    home,
    job::{About, Ended},
    server::Server,
    sources::Scope,
    stores::{Stores, below},
    volumes::is_vacant,
};

impl Server {
    /// Writes the newest points of what is protected online onto a disk, as the server's part of the vault will have them.
    /// Interrupted, it goes on where it stopped. Nothing is asked of the vault.
    ///
    /// # Errors
    /// Where the directory holds something else, or the pool cannot be read.
    pub fn carry(
        &self,
        scope: &Scope,
        vault: Option<&str>,
        directory: &Path,
        meter: &Meter,
        cancel: &Cancel,
    ) -> Result<CarriedSummary, JobError> {
        let vault = self.find_vault(vault)?;
        let mut sources = self.online_sources(scope)?;
        sources.retain(|(_, online)| online.vault == vault.id);
        if sources.is_empty() {
            let message = format!("nothing of this is protected in the vault {}", vault.name);
            return Err(JobError::request("not-online", message, "name the vault of the group with --vault"));
        }
        self.must_not_be_superseded("write a disk for the vault")?;
        self.refuse_own("carry on", directory, None)?;
        must_be_free(directory)?;
        let about =
            About { kind: "carry", subject: directory.display().to_string(), source: None, even_unwritten: false };
        self.run(about, cancel, || {
            let head = self.volume_record(vault.part)?.document;
            let disk = Arc::new(carried::begin(Arc::new(Directory::local(directory)), &head, &self.unlock())?);
            let mut points = Vec::new();
            for (source, _) in &sources {
                let text = self.carry_source(&disk, source, meter, cancel)?;
                points.push(CarriedPoint {
                    id: text.point,
                    source: escape(&source.root),
                    time: text.time,
                    files: text.tree.files,
                    bytes: text.tree.bytes,
                });
            }
            let (location, signing) = (&vault.location, &self.keyring.signing);
            let list = carried::finish(&disk, location, self.now(), signing, meter, cancel)?;
            let summary = CarriedSummary {
                points,
                vault: location.clone(),
                objects: list.objects.len() as u64,
                bytes: list.bytes(),
            };
            let message = format!("{} objects, {} bytes", summary.objects, summary.bytes);
            Ok(Ended { value: summary, partial: false, message })
        })
    }

    fn carry_source(
        &self,
        disk: &Arc<Volume>,
        source: &Source,
        meter: &Meter,
        cancel: &Cancel,
    ) -> Result<PointText, JobError> {
        let newest = self.newest_in_pool(source)?;
        let replica = self.online_replica(source, disk.id())?;
        let place = self.place_of(replica.id);
        let Some(_lock) = disk.lock_replica(&place)? else {
            let message = format!("another command is writing {} onto this disk", escape(&source.root));
            return Err(JobError::request("busy", message, "wait until it has ended; `resurgam jobs` shows it"));
        };
        if let Some(there) = carried_before(disk, &place, newest.time)? {
            return Ok(there);
        }
        self.describe(disk, &place, source)?;
        let (text, _) = self.send(disk, &place, source, &newest, meter, cancel)?;
        Ok(text)
    }
}

/// The point of that time which a command before this one has put onto the disk.
fn carried_before(
    disk: &Volume,
    place: &ReplicaPlace,
    time: resurgam_model::Timestamp,
) -> Result<Option<PointText>, JobError> {
    for point in disk.points_of(place)? {
        let text = disk.point(place, point)?;
        if text.time == time {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

/// A directory for a carried disk: made where it is missing; an empty one, or one that was begun.
fn must_be_free(directory: &Path) -> Result<(), JobError> {
    let bad = |error: io::Error| {
        let message = format!("cannot use {}: {error}", directory.display());
        JobError::request("place", message, "name a directory that can be written")
    };
    home::create_private(directory).map_err(bad)?;
    let begun = [CARRIED_TOML, resurgam_store::volume::VOLUME_TOML].iter().any(|name| directory.join(name).exists());
    if begun || is_vacant(directory).map_err(bad)? {
        return Ok(());
    }
    let message = format!("{} is not empty and was not written by `vault carry`", directory.display());
    Err(JobError::request("place", message, "name an empty directory; nothing was changed in that one"))
}

/// Loads a carried disk into its vault, or into the one at `url`. No server is needed for it, only access to the store.
///
/// # Errors
/// Where the disk is not finished, was changed, or is for another vault.
pub fn load_carried(
    stores: &Stores,
    directory: &Path,
    url: Option<&str>,
    meter: &Meter,
    cancel: &Cancel,
) -> Result<LoadedSummary, JobError> {
    let disk = Directory::local(directory);
    let list = carried::read(&disk)?;
    let location = stores.settled(url.unwrap_or(&list.vault))?;
    let part = stores.backend(Path::new(&below(&location, &part_of(list.server))))?;
    let loaded = carried::load(&disk, &*part, meter, cancel)?;
    Ok(LoadedSummary { vault: location, objects: loaded.objects, bytes: loaded.bytes, there: loaded.there })
}
