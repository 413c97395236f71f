//! A volume: making one, opening one, and the texts that make it describe itself.

use std::sync::Arc;

use resurgam_model::{PointId, ServerId, Timestamp, VolumeId};
use serde::{Deserialize, Serialize};

use crate::{
    backend::{self, Backend},
    document::{self, Documents},
    error::StoreError,
    frame::Sealer,
    index::kept::Tables,
    keys::{Derived, PublicKey, SigningKey, Slot, Unlock, VolumeKeys},
    limits::DOCUMENT_MAX,
    meter::Cancel,
    pack::MIRROR,
    point::{PointText, REPLICAS, ReplicaPlace, ReplicaText},
};

/// Name of the text at the head of a volume.
pub const VOLUME_TOML: &str = "VOLUME.toml";
/// The format that this program writes, and the newest that it reads.
pub const FORMAT: u32 = 1;
/// The addition of a volume that was enrolled again: `former_keys`.
pub const FORMER_KEYS: &str = "former-keys";
/// The addition of a part of a vault: points that were given up stay for a while under `deleted/`, and collectors keep
/// what they need.
pub const DELETED_POINTS: &str = "deleted-points";
/// The addition of a part of a vault: frames may hold blobs that mean nothing.
pub const FILLING: &str = "filling";
/// The additions that this program knows.
const FEATURES: [&str; 3] = [FORMER_KEYS, DELETED_POINTS, FILLING];
/// Those that a part of a vault has from the beginning.
pub const PART: [&str; 2] = [DELETED_POINTS, FILLING];

/// What `VOLUME.toml` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeHeader {
    /// Version of the format.
    pub format: u32,
    /// Names of additions to the format that a reader must know: of a volume in the pool [`FORMER_KEYS`] or nothing.
    pub features: Vec<String>,
    /// The volume.
    pub volume: VolumeId,
    /// The server that owns it.
    pub server: ServerId,
    /// The name that the server had when it made the volume.
    pub server_name: String,
    /// The key that the server signs with.
    pub server_key: PublicKey,
    /// When it was made.
    pub created: Timestamp,
    /// Keys that the server had and lost, the last one first: what they signed is still the server's word.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_keys: Vec<PublicKey>,
    /// The keys of the volume.
    #[serde(rename = "slot")]
    pub slots: Vec<Slot>,
}

impl VolumeHeader {
    /// The text of a document that the server signed, with its key or with one that it had before.
    pub fn proves<'a>(&self, document: &'a str) -> Option<&'a str> {
        std::iter::once(&self.server_key).chain(&self.former_keys).find_map(|key| document::verify(document, key))
    }
}

/// What a new volume is made of.
pub struct NewVolume<'a> {
    /// Its id.
    pub volume: VolumeId,
    /// The server that owns it.
    pub server: ServerId,
    /// That server's name.
    pub server_name: &'a str,
    /// That server's key.
    pub signing: &'a SigningKey,
    /// The volume's keys.
    pub keys: VolumeKeys,
    /// How they are to lie in it.
    pub slots: Vec<Slot>,
    /// Additions to the format that it is made with: [`PART`], or nothing.
    pub features: &'a [&'a str],
    /// Now.
    pub created: Timestamp,
}

/// An open volume. Shared by everything that works on it.
pub struct Volume {
    backend: Arc<dyn Backend>,
    header: VolumeHeader,
    keys: Derived,
    tables: Tables,
}

const CLEAR_NOTE: &str = "# This volume has NO passphrase: whoever can read this file can read everything in it.\n";
const SEALED_NOTE: &str =
    "# Everything in this volume is encrypted; it opens with the server's keyring or a passphrase of a slot below.\n";

pub(crate) fn header_text(header: &VolumeHeader) -> Result<String, StoreError> {
    let clear = header.slots.iter().any(|slot| matches!(slot, Slot::Clear { .. }));
    Ok(format!(
        "# A Resurgam volume: backups of the server named below. Do not change or delete anything in this directory.\n\
         # It describes itself. Without the server, on any Linux machine with the program `resurgam`:\n\
         #     resurgam reader points DIR                 what is here\n\
         #     resurgam reader recover DIR POINT --to X   puts a recovery point into the directory X\n\
         # The format is specified in docs/format of the project.\n{}\n{}",
        if clear { CLEAR_NOTE } else { SEALED_NOTE },
        document::to_text(header)?
    ))
}

impl Volume {
    /// Makes a volume at a place that holds none.
    ///
    /// # Errors
    /// [`StoreError::Refused`] where there is one already, or anything else of that name.
    pub fn create(backend: Arc<dyn Backend>, new: NewVolume<'_>) -> Result<Self, StoreError> {
        let header = VolumeHeader {
            format: FORMAT,
            features: new.features.iter().map(|name| (*name).to_owned()).collect(),
            volume: new.volume,
            server: new.server,
            server_name: new.server_name.to_owned(),
            server_key: new.signing.public(),
            created: new.created,
            former_keys: Vec::new(),
            slots: new.slots,
        };
        if !backend.list(VOLUME_TOML)?.is_empty() || backend.length(VOLUME_TOML).is_ok() {
            let what = "there is a volume here already".to_owned();
            return Err(StoreError::Refused { object: backend.location(), what });
        }
        let text = document::sign(&header_text(&header)?, new.signing);
        backend.replace(&format!("{MIRROR}{VOLUME_TOML}"), text.as_bytes())?;
        // Locks are files: made now, so that none has to be made on a full disk.
        drop(backend.lock(COLLECTOR)?);
        backend.keep_reserve()?;
        let mut upload = backend.create(VOLUME_TOML)?;
        upload.append(text.as_bytes())?;
        upload.commit()?;
        Ok(Self::with(backend, header, &new.keys))
    }

    /// Reads the head of a volume without opening it. Its second copy serves where the first is damaged or gone.
    pub fn header(backend: &dyn Backend) -> Result<VolumeHeader, StoreError> {
        let second = format!("{MIRROR}{VOLUME_TOML}");
        match read_header(backend, VOLUME_TOML) {
            Ok(header) => Ok(header),
            // "Newer format" may be a flipped bit, too: the second copy tells.
            Err(error) if error.is_damage() || matches!(error, StoreError::Refused { .. }) => {
                read_header(backend, &second).map_err(|other| {
                    match error {
                StoreError::Backend(_) if other.is_not_found() => StoreError::Refused {
                    object: backend.location(),
                    what: "there is no Resurgam volume here (no VOLUME.toml). Is the disk mounted, and the path right?"
                        .to_owned(),
                },
                error => error,
            }
                })
            }
            Err(error) => Err(error),
        }
    }

    /// What [`Volume::header`] reads, with the very text that says so: of the copy that is sound, never of one that is not.
    pub fn header_document(backend: &dyn Backend) -> Result<(VolumeHeader, String), StoreError> {
        let header = Self::header(backend)?;
        for name in [VOLUME_TOML.to_owned(), format!("{MIRROR}{VOLUME_TOML}")] {
            let Ok(bytes) = backend::read_whole(backend, &name, DOCUMENT_MAX as u64) else { continue };
            if parse_header(&name, &bytes).is_ok_and(|found| found == header)
                && let Ok(text) = String::from_utf8(bytes)
            {
                return Ok((header, text));
            }
        }
        // It was there a moment ago.
        Err(StoreError::corrupt(format!("{}/{VOLUME_TOML}", backend.location()), "it has changed while it was read"))
    }

    /// Opens a volume.
    ///
    /// # Errors
    /// [`StoreError::Refused`] where it is of a newer format, or needs a passphrase; [`StoreError::WrongPassphrase`] where
    /// none of its key slots opens with the one that was given.
    pub fn open(backend: Arc<dyn Backend>, unlock: &Unlock) -> Result<Self, StoreError> {
        let (header, keys) = Self::open_keys(&*backend, unlock)?;
        Ok(Self::with(backend, header, &keys))
    }

    /// Reads the head of a volume, and takes its keys out of whatever slot opens. For who goes on with the keys
    /// themselves: a server that lost its own takes the identity key from here.
    ///
    /// # Errors
    /// As [`Volume::open`].
    pub fn open_keys(backend: &dyn Backend, unlock: &Unlock) -> Result<(VolumeHeader, VolumeKeys), StoreError> {
        let header = Self::header(backend)?;
        let keys = header.slots.iter().find_map(|slot| slot.open(header.volume, unlock));
        let keys = keys.ok_or_else(|| {
            let object = backend.location();
            if unlock.passphrase.is_some() {
                StoreError::WrongPassphrase { object }
            } else {
                let what = "the volume needs its passphrase: give --passphrase-file FILE".to_owned();
                StoreError::Refused { object, what }
            }
        })?;
        Ok((header, keys))
    }

    pub(crate) fn with(backend: Arc<dyn Backend>, header: VolumeHeader, keys: &VolumeKeys) -> Self {
        Self { backend, header, keys: Derived::from(keys), tables: Tables::default() }
    }

    /// The same volume, with tables of long segments of its index kept on this machine.
    pub fn with_tables(self, tables: Tables) -> Self {
        Self { tables, ..self }
    }

    pub(crate) fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Sees that the volume still lies where it was opened: before a conclusion is drawn from something not being there.
    ///
    /// # Errors
    /// [`StoreError::Refused`] where it is gone, or another is in its place.
    pub fn must_be_there(&self) -> Result<(), StoreError> {
        match Self::header(&*self.backend) {
            Ok(header) if header.volume == self.id() => Ok(()),
            Ok(_) => {
                let what = "another volume has come into its place; mount the right disk there".to_owned();
                Err(StoreError::Refused { object: self.backend.location(), what })
            }
            // Damaged, but there.
            Err(error) if error.is_damage() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// What `VOLUME.toml` says.
    pub fn about(&self) -> &VolumeHeader {
        &self.header
    }

    /// Its id.
    pub fn id(&self) -> VolumeId {
        self.header.volume
    }

    /// Where it lies.
    pub fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    pub(crate) fn keys(&self) -> &Derived {
        &self.keys
    }

    /// Whether anybody who can read it can open it.
    pub fn is_clear(&self) -> bool {
        self.header.slots.iter().any(|slot| matches!(slot, Slot::Clear { .. }))
    }

    /// Whether its format has an addition.
    pub fn has(&self, feature: &str) -> bool {
        self.header.features.iter().any(|name| name == feature)
    }

    /// Whether small frames are filled up, so that nobody without the keys can count what is in them.
    pub(crate) fn is_filled(&self) -> bool {
        self.has(FILLING)
    }

    pub(crate) fn sealer(&self) -> Result<Sealer<'_>, StoreError> {
        Ok(Sealer::new(&self.keys, self.id())?.filled(self.is_filled()))
    }

    pub(crate) fn documents(&self) -> Result<Documents<'_>, StoreError> {
        let sealer = if self.is_clear() { None } else { Some(self.sealer()?) };
        Ok(Documents { backend: &*self.backend, sealer, limit: DOCUMENT_MAX })
    }

    /// The text of a document that the server signed.
    pub(crate) fn prove<'a>(&self, object: &str, document: &'a str) -> Result<&'a str, StoreError> {
        let body = self.header.proves(document);
        body.ok_or_else(|| StoreError::corrupt(object, "the server's signature on it does not hold"))
    }

    /// Every replica and point by name, without reading one. A point whose first or second copy is gone is there still.
    pub fn objects_of_replicas(&self) -> Result<Vec<(ReplicaPlace, Option<PointId>)>, StoreError> {
        let mut found = std::collections::BTreeSet::new();
        for prefix in [REPLICAS.to_owned(), format!("{MIRROR}{REPLICAS}")] {
            for listed in self.backend.list(&prefix)? {
                let name = listed.name.strip_prefix(MIRROR).unwrap_or(&listed.name);
                found.extend(ReplicaPlace::of_object(name));
            }
        }
        Ok(found.into_iter().collect())
    }

    /// The points of the volume by name.
    pub fn point_names(&self) -> Result<Vec<(ReplicaPlace, PointId)>, StoreError> {
        let objects = self.objects_of_replicas()?;
        Ok(objects.into_iter().filter_map(|(place, point)| Some((place, point?))).collect())
    }

    /// The points of one replica by name. A point whose first or second copy is gone is there still.
    pub fn points_of(&self, place: &ReplicaPlace) -> Result<Vec<PointId>, StoreError> {
        let directory = place.directory();
        let mut found = std::collections::BTreeSet::new();
        for prefix in [directory.clone(), format!("{MIRROR}{directory}")] {
            for listed in self.backend.list(&prefix)? {
                let name = listed.name.strip_prefix(MIRROR).unwrap_or(&listed.name);
                found.extend(ReplicaPlace::of_object(name).and_then(|(_, point)| point));
            }
        }
        Ok(found.into_iter().collect())
    }

    /// A point, its signature proved.
    pub fn point(&self, place: &ReplicaPlace, point: PointId) -> Result<PointText, StoreError> {
        self.point_document(place, point).map(|(text, _)| text)
    }

    /// A point, and the signed document that says so.
    pub fn point_document(&self, place: &ReplicaPlace, point: PointId) -> Result<(PointText, String), StoreError> {
        self.documents()?.read(&place.point(point), |object, document| {
            let text = self.check_point(object, place, point, &document)?;
            Ok((text, document))
        })
    }

    /// What a point's document says, if it is that of this very point.
    pub fn check_point(
        &self,
        object: &str,
        place: &ReplicaPlace,
        point: PointId,
        document: &str,
    ) -> Result<PointText, StoreError> {
        let text: PointText = document::from_text(object, self.prove(object, document)?)?;
        let own = (PointText::DOCUMENT, self.id(), place.replica, point);
        if (text.document.as_str(), text.volume, text.replica, text.point) != own {
            return Err(StoreError::corrupt(
                object,
                format!("it is point {} of replica {}, in the place of another", text.point, text.replica),
            ));
        }
        Ok(text)
    }

    /// What the volume says of a replica.
    pub fn replica(&self, place: &ReplicaPlace) -> Result<ReplicaText, StoreError> {
        let parse = |object: &str, document: String| self.check_replica(object, place, &document);
        self.documents()?.read(&place.description(), parse)
    }

    /// What a replica's document says, if it is that of this very replica.
    pub(crate) fn check_replica(
        &self,
        object: &str,
        place: &ReplicaPlace,
        document: &str,
    ) -> Result<ReplicaText, StoreError> {
        let text: ReplicaText = document::from_text(object, self.prove(object, document)?)?;
        if (text.document.as_str(), text.volume, text.replica) != (ReplicaText::DOCUMENT, self.id(), place.replica) {
            return Err(StoreError::corrupt(object, "it describes something else, in the place of this replica"));
        }
        Ok(text)
    }

    /// Writes what the catalog knows of a replica beside its points.
    pub fn describe_replica(
        &self,
        place: &ReplicaPlace,
        text: &ReplicaText,
        signing: &SigningKey,
    ) -> Result<(), StoreError> {
        let name = place.description();
        let document = document::sign(&document::to_text(text)?, signing);
        let mut documents = self.documents()?;
        if documents.read_one(&name).is_ok_and(|present| present == document) {
            return Ok(());
        }
        documents.write(&name, &document)?;
        // The lock of the replica, so that taking it never needs space.
        drop(self.backend.lock(&replica_lock(place))?);
        Ok(())
    }

    /// Takes a replica for one job. `None`: another job has it.
    pub fn lock_replica(&self, place: &ReplicaPlace) -> Result<Option<backend::Hold>, StoreError> {
        Ok(self.backend.lock(&replica_lock(place))?)
    }

    /// Takes the lock under which points of a replica go from the volume into the catalog, and out of both. Without it,
    /// whoever finds a point that the catalog lacks could take it for one that a kill left behind while it is being given
    /// up. It is held for moments, and waited for.
    ///
    /// # Errors
    /// [`StoreError::Busy`] where it was not to be had within half a minute.
    pub fn lock_points(&self, place: &ReplicaPlace, cancel: &Cancel) -> Result<backend::Hold, StoreError> {
        let lock = format!("points-{}", place.replica);
        backend::wait_for(&*self.backend, &lock, "a command that gives up or takes in points", cancel)
    }

    /// Deletes a point: from now on nothing keeps what only it referred to. The second copy goes first: whatever is
    /// left after a crash is a point or none, never one that comes back.
    pub fn delete_point(&self, place: &ReplicaPlace, point: PointId) -> Result<(), StoreError> {
        let name = place.point(point);
        self.backend.delete(&format!("{MIRROR}{name}"))?;
        self.backend.delete(&name)?;
        Ok(())
    }

    /// Puts a point's document back from a copy that somebody else kept.
    pub fn restore_point_document(
        &self,
        place: &ReplicaPlace,
        point: PointId,
        document: &str,
    ) -> Result<(), StoreError> {
        let name = place.point(point);
        self.check_point(&name, place, point, document)?;
        self.documents()?.write(&name, document)?;
        Ok(())
    }
}

/// Name of the lock that a collector holds.
pub(crate) const COLLECTOR: &str = "collector";

fn replica_lock(place: &ReplicaPlace) -> String {
    format!("replica-{}", place.replica)
}

fn read_header(backend: &dyn Backend, name: &str) -> Result<VolumeHeader, StoreError> {
    let object = format!("{}/{name}", backend.location());
    let bytes = backend::read_whole(backend, name, DOCUMENT_MAX as u64)?;
    parse_header(&object, &bytes)
}

/// Reads the bytes of `VOLUME.toml`, whose signature must be by the key that it names.
pub fn parse_header(object: &str, bytes: &[u8]) -> Result<VolumeHeader, StoreError> {
    #[derive(Deserialize)]
    struct Version {
        format: u32,
        features: Vec<String>,
    }
    let text = std::str::from_utf8(bytes).map_err(|_| StoreError::corrupt(object, "it is not text"))?;
    // The version first: a newer format may differ in everything else.
    let version: Version = document::from_text(object, text)?;
    let unknown: Vec<&str> =
        version.features.iter().map(String::as_str).filter(|name| !FEATURES.contains(name)).collect();
    if version.format > FORMAT || !unknown.is_empty() {
        let features = if unknown.is_empty() { String::new() } else { format!(" with {}", unknown.join(", ")) };
        let what = format!(
            "the volume has format {}{features}, and this program reads formats up to {FORMAT}: use a newer version of resurgam",
            version.format
        );
        return Err(StoreError::Refused { object: object.to_owned(), what });
    }
    let header: VolumeHeader = document::from_text(object, text)?;
    if document::verify(text, &header.server_key).is_none() {
        return Err(StoreError::corrupt(
            object,
            "the server's signature on it does not hold: it was changed or damaged",
        ));
    }
    Ok(header)
}

/// For fuzzing: `VOLUME.toml`, on any bytes.
pub fn fuzz_header(bytes: &[u8]) {
    let _ = parse_header("fuzz", bytes);
}
