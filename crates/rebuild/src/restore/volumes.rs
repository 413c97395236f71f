//! What the volumes in reach say to a catalog that is being restored. Only that is looked at which the restoring needs; the
//! rest is the next sync's.

use std::{path::Path, sync::Arc};

use resurgam_catalog::{Building, VolumeRecord};
use resurgam_jobs::{JobError, Stores, role_of};
use resurgam_model::{ServerId, Timestamp, VolumeId};
use resurgam_store::{
    Volume,
    backend::{Backend, read_only::ReadOnly},
    keys::Unlock,
};

use super::keys::Traces;
use crate::locate::{Candidate, Copy, Found, capsules};

/// What was seen.
#[derive(Default)]
pub(super) struct Seen {
    /// The highest generation.
    pub(super) generation: u64,
    pub(super) traces: Traces,
    /// Their capsules; once sorted, the newest first.
    capsules: Vec<Sighted>,
}

struct Sighted {
    place: String,
    /// Generation and sequence.
    age: (u64, u64),
    sealed: Option<String>,
}

/// Looks at the volume that the copy lies in, whose place the catalog is told, and at those that the catalog names.
pub(super) fn look(
    building: &Building,
    found: &Found,
    unlock: &Unlock,
    stores: &Stores,
    now: Timestamp,
    notes: &mut Vec<String>,
) -> Result<Seen, JobError> {
    let mut seen = Seen::default();
    let mut places: Vec<(VolumeId, String)> = Vec::new();
    if let Some(volume) = &found.volume {
        places.extend(tell_place(building, volume.header.volume, &found.at, stores, now, notes)?);
    }
    for record in building.catalog().volumes()? {
        if places.iter().all(|(known, _)| *known != record.id) {
            places.push((record.id, record.location));
        }
    }
    let server = building.catalog().server()?.map(|record| record.id);
    for (volume, place) in places {
        // What is out of reach is told by the sync.
        let _ = seen.look_at(volume, server, &place, unlock, stores);
    }
    seen.capsules.sort_by_key(|sighted| std::cmp::Reverse(sighted.age));
    seen.generation = seen.capsules.iter().map(|sighted| sighted.age.0).max().unwrap_or(0);
    seen.traces.sealed = seen.capsules.iter().filter_map(|sighted| sighted.sealed.clone()).collect();
    Ok(seen)
}

/// Notes in the catalog where the volume that the copy came from lies now.
fn tell_place(
    building: &Building,
    volume: VolumeId,
    db_loc: &Path,
    stores: &Stores,
    now: Timestamp,
    notes: &mut Vec<String>,
) -> Result<Option<(VolumeId, String)>, JobError> {
    let path = db_loc.canonicalize().unwrap_or_else(|_| db_loc.to_owned());
    let Some(location) = path.to_str().map(str::to_owned) else { return Ok(None) };
    let catalog = building.catalog();
    let known = catalog.volume(volume)?;
    if known.as_ref().is_none_or(|known| known.location != location) {
        let before =
            known.as_ref().map_or_else(String::new, |known| format!("; the copy has it at {}", known.location));
        notes.push(format!("the volume {volume} lies at {location} now{before}"));
        let (document, added, role) = match known {
            Some(known) => (known.document, known.added, known.role),
            None => {
                let (_, document) = Volume::header_document(&*stores.backend(&path)?)?;
                let role = role_of(&document);
                (document, now, role)
            }
        };
        catalog.put_volume(&VolumeRecord { id: volume, location: location.clone(), document, added, role })?;
    }
    Ok(Some((volume, location)))
}

impl Seen {
    fn look_at(
        &mut self,
        id: VolumeId,
        server: Option<ServerId>,
        place: &str,
        unlock: &Unlock,
        stores: &Stores,
    ) -> Result<(), JobError> {
        let backend: Arc<dyn Backend> = Arc::new(ReadOnly(stores.backend(Path::new(place))?));
        let (header, keys) = Volume::open_keys(&*backend, unlock)?;
        if header.volume != id || Some(header.server) != server {
            return Ok(());
        }
        self.traces.take(&header, keys);
        for candidate in capsules(&Volume::open(backend, unlock)?)? {
            let (Copy::Capsule { text: Some(text), .. }, Some(lineage)) = (candidate.copy, candidate.lineage) else {
                continue;
            };
            if candidate.usable.is_ok() {
                self.capsules.push(Sighted {
                    place: place.to_owned(),
                    age: (lineage.generation, lineage.sequence),
                    sealed: text.secrets.clone(),
                });
            }
        }
        Ok(())
    }

    /// What a volume has that is newer than the copy, in words.
    pub(super) fn newer_than(&self, taken: &Candidate) -> Option<String> {
        let newest = self.capsules.first()?;
        let copy = taken.lineage.as_ref().map_or((0, 0), |lineage| (lineage.generation, lineage.sequence));
        (newest.age > copy).then(|| {
            let (generation, sequence) = newest.age;
            let restored = if generation > copy.0 {
                format!(
                    " (the catalog had been restored since the copy was made: generation {generation}, and not {})",
                    copy.0
                )
            } else {
                String::new()
            };
            format!(
                "the volume at {} holds a newer configuration, number {sequence}, and the copy number {}{restored}",
                newest.place, copy.1
            )
        })
    }
}
