//! Copies of the catalog in a volume: recovery points of `DPMDB`, and capsules.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use resurgam_jobs::{JobError, capsule::CapsuleText, read_about};
use resurgam_model::{PointId, point::PointState, policy::DPMDB};
use resurgam_store::{
    Reader, StoreError, Volume,
    backend::Backend,
    capsule::CapsuleName,
    keys::Unlock,
    pack::MIRROR,
    point::{PointText, ReplicaPlace},
    volume::VOLUME_TOML,
};

use super::{Candidate, CopiedLineage, Copy, Found, FoundVolume};

/// Whether a directory is a volume, or what is left of one.
pub(super) fn is_here(directory: &Path) -> bool {
    directory.join(VOLUME_TOML).exists() || directory.join(MIRROR).join(VOLUME_TOML).exists()
}

pub(super) fn look(backend: Arc<dyn Backend>, unlock: &Unlock) -> Result<Found, JobError> {
    let volume = Arc::new(Volume::open(backend, unlock)?);
    let mut candidates = capsules(&volume)?;
    candidates.extend(points(&volume)?);
    let header = volume.about().clone();
    let what = format!("the volume {} of the server {}", header.volume, header.server_name);
    Ok(Found { what, candidates, volume: Some(FoundVolume { header, volume }), at: PathBuf::new() })
}

/// The capsules of a volume, in no order.
pub(crate) fn capsules(volume: &Volume) -> Result<Vec<Candidate>, StoreError> {
    let mut candidates = Vec::new();
    for name in volume.capsule_names()? {
        match volume.capsule(&name).and_then(|text| CapsuleText::parse(&name.object(), &text)) {
            Ok(text) => candidates.push(capsule(volume, name, Ok(text))),
            // Given up since it was listed.
            Err(error) if error.is_not_found() => {}
            Err(error) if error.is_damage() => candidates.push(capsule(volume, name, Err(error.to_string()))),
            Err(error) => return Err(error),
        }
    }
    Ok(candidates)
}

fn capsule(volume: &Volume, name: CapsuleName, read: Result<CapsuleText, String>) -> Candidate {
    let server = volume.about().server;
    let (text, usable) = match read {
        Ok(text) if text.charter.server.id != server => {
            let other = text.charter.server.id;
            (Some(text), Err(format!("it is a capsule of another server, {other}")))
        }
        Ok(text) => (Some(text), Ok(())),
        Err(why) => (None, Err(why)),
    };
    let lineage = text.as_ref().map(|text| CopiedLineage {
        id: name.lineage,
        generation: text.generation,
        sequence: name.sequence,
        // As whoever writes capsules counts changes of the charter.
        digest: blake3::hash(toml::to_string(&text.charter).unwrap_or_default().as_bytes()).to_hex().to_string(),
    });
    let what = text.as_ref().map_or_else(
        || "a capsule".to_owned(),
        |text| {
            let charter = &text.charter;
            let (groups, sources) = (charter.groups.len(), charter.sources.len());
            format!("a capsule of {}: {groups} group(s), {sources} source(s), by {}", charter.server.name, text.program)
        },
    );
    Candidate {
        server: Some(server),
        lineage,
        made: text.as_ref().map(|text| text.written),
        newest_point: None,
        what,
        usable,
        copy: Copy::Capsule { name, text: text.map(Box::new) },
    }
}

/// The recovery points of `DPMDB`. What is in each is known by the few lines beside the copy; unpacked is only the one that
/// is taken.
fn points(volume: &Arc<Volume>) -> Result<Vec<Candidate>, StoreError> {
    let mut replicas: BTreeMap<ReplicaPlace, BTreeSet<PointId>> = BTreeMap::new();
    for (place, point) in volume.objects_of_replicas()? {
        replicas.entry(place).or_default().extend(point);
    }
    let mut candidates = Vec::new();
    let mut reader = None;
    for (place, points) in replicas {
        if !is_catalog(volume, &place, &points)? {
            continue;
        }
        for id in points {
            if reader.is_none() {
                reader = Some(Reader::new(volume)?);
            }
            let text = match volume.point(&place, id) {
                Ok(text) => Ok(text),
                Err(error) if error.is_not_found() => continue,
                Err(error) if error.is_damage() => Err(error.to_string()),
                Err(error) => return Err(error),
            };
            candidates.extend(reader.as_ref().map(|reader| point(volume, reader, &place, id, text)));
        }
    }
    Ok(candidates)
}

/// Whether a replica is that of the catalog: by its description or, where that is damaged, by any of its points.
fn is_catalog(volume: &Volume, place: &ReplicaPlace, points: &BTreeSet<PointId>) -> Result<bool, StoreError> {
    match volume.replica(place) {
        Ok(text) => return Ok(text.root == DPMDB),
        Err(error) if error.is_damage() => {}
        Err(error) => return Err(error),
    }
    for point in points {
        match volume.point(place, *point) {
            Ok(text) => return Ok(text.root == DPMDB),
            Err(error) if error.is_damage() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

fn point(
    volume: &Volume,
    reader: &Reader,
    place: &ReplicaPlace,
    id: PointId,
    text: Result<PointText, String>,
) -> Candidate {
    let about = text.as_ref().ok().and_then(|text| read_about(reader, &text.tree_root().ok()?));
    let usable = match &text {
        Ok(text) if text.state != PointState::Complete => Err("the copy could not be read whole".to_owned()),
        Ok(_) => Ok(()),
        Err(why) => Err(why.clone()),
    };
    let detail = about.as_ref().map_or_else(
        || ", which does not say which catalog it is".to_owned(),
        |about| format!(", schema {} by {}", about.schema, about.program),
    );
    Candidate {
        copy: Copy::Point { place: place.clone(), point: id },
        server: Some(volume.about().server),
        lineage: about.as_ref().map(|about| (&about.lineage).into()),
        made: text.as_ref().ok().map(|text| text.time),
        newest_point: about.as_ref().and_then(|about| about.newest_point),
        what: format!("a recovery point of {DPMDB}{detail}"),
        usable,
    }
}
