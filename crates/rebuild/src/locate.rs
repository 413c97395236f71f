//! What `-DbLoc X` names: every copy of a catalog that lies there, with what is known of each.
//!
//! | X | copies |
//! |---|---|
//! | a file | that one |
//! | a directory with `VOLUME.toml`: a volume of the pool | its recovery points of `DPMDB`, and its capsules |
//! | a vault: a directory with `VAULT.toml`, or an URL | what lies in the server's part, which is a volume: that of the kit's server, or the only one |
//! | the URL of a volume or of a part | what lies in it |
//! | any other directory | its files `*.bak`: native backups, or a recovery point that was brought back |
//!
//! Nothing is written. What was looked at and cannot be used stays in the list, with the reason.

mod choose;
mod files;
mod volume;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use resurgam_catalog::Snapshot;
use resurgam_jobs::{JobError, Stores, capsule::CapsuleText};
use resurgam_model::{LineageId, PointId, ServerId, Timestamp, lineage::Lineage};
use resurgam_store::{
    StoreError, Volume, backend::read_only::ReadOnly, capsule::CapsuleName, keys::Unlock, point::ReplicaPlace, vault,
    volume::VolumeHeader,
};
use serde::Serialize;

pub use choose::choose;
pub(crate) use choose::choose_place;
pub(crate) use volume::capsules;

/// What lies at a place.
pub struct Found {
    /// The place, in words.
    pub what: String,
    /// Every copy, the newest first; those of no use last.
    pub candidates: Vec<Candidate>,
    /// The volume, where the place is one.
    pub volume: Option<FoundVolume>,
    /// Where that is: the place that was named, or the server's part of the vault that lies there.
    pub at: PathBuf,
}

/// A volume that copies lie in, opened so that nothing can be written to it.
pub struct FoundVolume {
    /// What it says of itself.
    pub header: VolumeHeader,
    /// The volume.
    pub volume: Arc<Volume>,
}

/// A copy of a catalog.
pub struct Candidate {
    /// Where it is.
    pub copy: Copy,
    /// Whose catalog it is.
    pub server: Option<ServerId>,
    /// Which catalog it is; `None` in what programs wrote before there were lineages.
    pub lineage: Option<CopiedLineage>,
    /// When it was made; of a file, when it was last written.
    pub made: Option<Timestamp>,
    /// The newest recovery point that it knows.
    pub newest_point: Option<Timestamp>,
    /// What it is, in words.
    pub what: String,
    /// Why it cannot be used.
    pub usable: Result<(), String>,
}

/// The lineage of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedLineage {
    /// The lineage.
    pub id: LineageId,
    /// Its generation.
    pub generation: u64,
    /// How many changes of the charter the copy has seen.
    pub sequence: u64,
    /// Digest of the charter; empty where it is not known.
    pub digest: String,
}

/// Where a copy is.
pub enum Copy {
    /// A native backup.
    Native {
        /// The file, as it was named.
        path: std::path::PathBuf,
        /// What is in it.
        snapshot: Option<Box<Snapshot>>,
    },
    /// A recovery point of `DPMDB` in the volume.
    Point {
        /// Its replica.
        place: ReplicaPlace,
        /// The point.
        point: PointId,
    },
    /// A capsule in the volume.
    Capsule {
        /// Its name.
        name: CapsuleName,
        /// What it says.
        text: Option<Box<CapsuleText>>,
    },
}

/// A copy, as reports show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CopyFound {
    /// What `-Use` takes to mean it.
    pub id: String,
    /// `native`, `pool` or `capsules`.
    pub kind: &'static str,
    /// What it is, in words.
    pub what: String,
    /// The server that it belongs to.
    pub server: Option<ServerId>,
    /// When it was made.
    pub made: Option<Timestamp>,
    /// How many times the catalog had been restored.
    pub generation: Option<u64>,
    /// How many changes of the configuration it has seen.
    pub sequence: Option<u64>,
    /// Why it cannot be used; `None`: it can.
    pub refused: Option<String>,
}

impl From<&Lineage> for CopiedLineage {
    fn from(lineage: &Lineage) -> Self {
        let Lineage { id, generation, sequence, ref digest, .. } = *lineage;
        Self { id, generation, sequence, digest: digest.clone() }
    }
}

impl Candidate {
    /// What `-Use` takes to mean it.
    pub fn id(&self) -> String {
        match &self.copy {
            Copy::Native { path, .. } => path.display().to_string(),
            Copy::Point { point, .. } => point.to_string(),
            Copy::Capsule { name, .. } => name.object(),
        }
    }

    /// A word for its kind.
    pub fn kind(&self) -> &'static str {
        match self.copy {
            Copy::Native { .. } => "native",
            Copy::Point { .. } => "pool",
            Copy::Capsule { .. } => "capsules",
        }
    }

    /// As reports show it.
    pub fn shown(&self) -> CopyFound {
        CopyFound {
            id: self.id(),
            kind: self.kind(),
            what: self.what.clone(),
            server: self.server,
            made: self.made,
            generation: self.lineage.as_ref().map(|lineage| lineage.generation),
            sequence: match (&self.lineage, &self.copy) {
                (Some(lineage), _) => Some(lineage.sequence),
                // One that is damaged says it by its name.
                (None, Copy::Capsule { name, .. }) => Some(name.sequence),
                (None, _) => None,
            },
            refused: self.usable.as_ref().err().cloned(),
        }
    }

    /// How current it is. Clocks decide nothing but between copies of one state of the charter, of which those with all
    /// rows go before those with the charter alone.
    fn currency(&self) -> impl Ord + use<> {
        let lineage = self.lineage.as_ref().map(|lineage| (lineage.generation, lineage.sequence));
        let whole = !matches!(self.copy, Copy::Capsule { .. });
        (self.usable.is_ok(), lineage, whole, self.newest_point, self.made)
    }
}

/// Looks at a place. `unlock` is what may open a volume besides a clear slot.
///
/// # Errors
/// Where nothing is there, it cannot be read, or a volume does not open.
pub fn locate(place: &Path, unlock: &Unlock, stores: &Stores, server: Option<ServerId>) -> Result<Found, JobError> {
    let mut found = if let Some(part) = part_at(place, stores, server)? {
        look_at_volume(&part, unlock, stores)?
    } else if Stores::is_url(place) {
        look_at_volume(place, unlock, stores)?
    } else {
        locate_here(place, unlock, stores)?
    };
    found.candidates.sort_by_cached_key(|candidate| std::cmp::Reverse(candidate.currency()));
    Ok(found)
}

fn look_at_volume(place: &Path, unlock: &Unlock, stores: &Stores) -> Result<Found, JobError> {
    let found = volume::look(Arc::new(ReadOnly(stores.backend(place)?)), unlock)?;
    Ok(Found { at: place.to_owned(), ..found })
}

/// The part of a vault that is meant, where a vault lies there.
fn part_at(place: &Path, stores: &Stores, server: Option<ServerId>) -> Result<Option<PathBuf>, JobError> {
    if !Stores::is_url(place) && !place.join(vault::VAULT_TOML).exists() {
        return Ok(None);
    }
    let backend = stores.backend(place)?;
    match vault::read(&*backend) {
        // A volume, perhaps; what else is wrong is told when that is opened.
        Err(error) if error.is_not_found() || matches!(error, StoreError::Refused { .. }) => return Ok(None),
        read => read?,
    };
    let servers = vault::servers(&*backend)?;
    let meant = match (server.filter(|server| servers.contains(server)), &servers[..]) {
        (Some(server), _) => server,
        (None, [only]) => *only,
        (None, []) => {
            return Err(refused(
                format!("no server has a part in the vault at {}", place.display()),
                "name another place",
            ));
        }
        (None, several) => {
            let names: Vec<String> =
                several.iter().map(|server| format!("{}/{}", place.display(), vault::part_of(*server))).collect();
            return Err(refused(
                format!("{} servers have parts in the vault at {}", several.len(), place.display()),
                format!("give the server's recovery kit with -Kit, or name its part: {}", names.join(", ")),
            ));
        }
    };
    let place = place.display().to_string();
    Ok(Some(PathBuf::from(format!("{}/{}", place.trim_end_matches('/'), vault::part_of(meant)))))
}

fn locate_here(place: &Path, unlock: &Unlock, stores: &Stores) -> Result<Found, JobError> {
    let unreadable = |error: io::Error| {
        refused(
            format!("cannot look for a copy of the catalog at {}: {error}", place.display()),
            "see that the path is right, the disk mounted, and that you may read it",
        )
    };
    let kind = fs::metadata(place).map_err(unreadable)?;
    if !kind.is_dir() {
        let candidates = vec![files::look(place)];
        return Ok(Found { what: "a file".to_owned(), candidates, volume: None, at: place.to_owned() });
    }
    if volume::is_here(place) {
        look_at_volume(place, unlock, stores)
    } else {
        files::look_in(place).map_err(unreadable)
    }
}

impl Found {
    /// The highest generation seen: what is restored from here gets one more.
    pub fn generation(&self) -> u64 {
        let generations = self.candidates.iter().filter_map(|copy| copy.lineage.as_ref().map(|found| found.generation));
        generations.max().unwrap_or(0)
    }

    /// The newest capsule that can be used.
    pub fn newest_capsule(&self) -> Option<(&CapsuleName, &CapsuleText)> {
        self.candidates.iter().find_map(|candidate| match &candidate.copy {
            Copy::Capsule { name, text: Some(text) } if candidate.usable.is_ok() => Some((name, &**text)),
            _ => None,
        })
    }
}

fn refused(message: String, remedy: impl Into<String>) -> JobError {
    JobError::Request { code: "db-loc", message, remedy: remedy.into() }
}

#[cfg(test)]
mod tests;
