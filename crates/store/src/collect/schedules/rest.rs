//! What must hold when all actors have ended.

use std::{collections::HashSet, sync::Arc};

use resurgam_model::PointId;

use super::world::{World, expected, place, restored};
use crate::{
    Cancel, Reader, StoreError, Volume,
    backend::staged::Random,
    collect::{Collect, PointName, collect},
    entry::{BlobId, Extent, Kind},
    index::INDEX,
    load::{Loaded, packs_present},
    meter::Meter,
    pack::{MIRROR, PACKS},
    point::REPLICAS,
    tree::{page::Page, walk_extents},
    verify::{Proved, Verified, Verify, verify},
    volume::VOLUME_TOML,
};

/// Every promise is kept, nothing is damaged; and when some points are given up and two collections have run, the volume
/// holds what the others need, and nothing else.
pub(super) fn check(world: &World, random: &mut Random) -> Result<(), String> {
    let volume = world.volume();
    let text = |error: StoreError| error.to_string();
    is_whole(world, &volume)?;
    put_all_back(world, &volume).map_err(text)?;
    is_whole(world, &volume)?;
    // What a killed command left half given up is given up again; and some more.
    for (place, id) in volume.point_names().map_err(text)? {
        if world.known(id).promised.is_none() || random.one_in(2) {
            world.moved(id, true);
            volume.delete_point(&place, id).map_err(text)?;
        }
    }
    for _ in 0..2 {
        let how = Collect { rewrite_below_percent: 100, ..Collect::default() };
        collect(&volume, &how, &Cancel::default()).map_err(|error| format!("the last collections: {error}"))?;
    }
    is_whole(world, &volume)?;
    holds_no_more_than_needed(&volume)
}

/// Every point restores: those that are promised, and those that are merely there.
fn is_whole(world: &World, volume: &Arc<Volume>) -> Result<(), String> {
    let found = verified(volume)?;
    if !found.affected.is_empty() {
        return Err(format!("points are damaged: {found:?}"));
    }
    // A command that was killed while it gave a point up leaves one copy of its document, until it is given up again.
    let is_half = |object: &str| {
        let listed = world.points();
        listed.iter().any(|(id, known)| known.moves > 0 && object.ends_with(&place(known.replica).point(*id)))
    };
    if let Some(finding) = found.findings.iter().find(|finding| !is_half(&finding.object)) {
        return Err(format!("a finding: {finding:?}"));
    }
    let names = volume.point_names().map_err(|error| error.to_string())?;
    for (place, id) in &names {
        let text = volume.point(place, *id).map_err(|error| format!("{id}: {error}"))?;
        let files = restored(volume, &text).map_err(|error| format!("{id} does not restore: {error}"))?;
        if files != expected(&world.known(*id).files) {
            return Err(format!("{id} gives back something else"));
        }
    }
    let deleted = volume.deleted_names().map_err(|error| error.to_string())?;
    let is_there = |id: PointId| names.iter().chain(&deleted).any(|(_, there)| *there == id);
    let promised: Vec<PointId> =
        world.points().iter().filter(|(_, known)| known.promised.is_some()).map(|(id, _)| *id).collect();
    promised.into_iter().find(|id| !is_there(*id)).map_or(Ok(()), |id| Err(format!("{id} was promised and is gone")))
}

fn verified(volume: &Arc<Volume>) -> Result<Verified, String> {
    let is_known = &|_| true;
    let how =
        Verify { read_data: Some(100), proved: &Proved::default(), repair: false, known: &[], is_known, threads: 1 };
    verify(volume, &how, &Meter::default(), &Cancel::default()).map_err(|error| format!("verifying: {error}"))
}

/// Puts back every point that may come back.
fn put_all_back(world: &World, volume: &Volume) -> Result<(), StoreError> {
    for (place, id) in volume.deleted_names()? {
        world.moved(id, false);
        volume.undelete(&place, id)?;
    }
    Ok(())
}

fn holds_no_more_than_needed(volume: &Arc<Volume>) -> Result<(), String> {
    let text = |error: StoreError| error.to_string();
    let mut loaded = Loaded::segments(volume).map_err(text)?;
    loaded.match_packs(volume).map_err(text)?;
    if !loaded.damaged.is_empty() || loaded.unindexed().next().is_some() || !loaded.half.is_empty() {
        return Err(format!("the index is not what it should be: {:?}", loaded.damaged));
    }
    let needed = needed(volume, &volume.point_names().map_err(text)?).map_err(text)?;
    let parts = 0..loaded.index.parts().len();
    let held = parts.flat_map(|part| loaded.index.scan(part)).map(|at| at.map(|at| at.blob.id));
    let mut held: Vec<BlobId> = held.collect::<Result<_, _>>().map_err(text)?;
    held.sort_unstable();
    let mut wanted: Vec<BlobId> = needed.into_iter().collect();
    wanted.sort_unstable();
    if held != wanted {
        return Err(format!("{} blobs are held, and {} are needed", held.len(), wanted.len()));
    }
    let packs = packs_present(volume.backend()).map_err(text)?.len();
    if packs != loaded.index.packs().count() {
        return Err(format!("{packs} packs are there, and the index has {}", loaded.index.packs().count()));
    }
    let writers = volume.backend().writers().map_err(|error| error.to_string())?;
    if writers != crate::backend::Writers::default() {
        return Err(format!("somebody is registered still: {writers:?}"));
    }
    let objects = volume.backend().list("").map_err(|error| error.to_string())?;
    let strange = objects.iter().find(|object| !is_expected(&object.name));
    strange.map_or(Ok(()), |object| Err(format!("{} was left", object.name)))
}

/// Whether a name may be there when nothing is under way.
fn is_expected(name: &str) -> bool {
    let name = name.strip_prefix(MIRROR).unwrap_or(name);
    name == VOLUME_TOML || [PACKS, INDEX, REPLICAS].iter().any(|prefix| name.starts_with(prefix))
}

/// Every blob that some points need.
fn needed(volume: &Arc<Volume>, points: &[PointName]) -> Result<HashSet<BlobId>, StoreError> {
    let reader = Reader::new(volume)?;
    let mut needed = HashSet::new();
    for (place, id) in points {
        let mut pages = vec![volume.point(place, *id)?.tree_root()?.page];
        while let Some(page) = pages.pop() {
            if !needed.insert(page) {
                continue;
            }
            match reader.page(&page)? {
                Page::Directory(_, children) => pages.extend(children.iter().map(|child| child.page)),
                Page::Leaf(entries) => {
                    for entry in entries {
                        let Kind::File { content, .. } = &entry.kind else { continue };
                        let mut blobs = Vec::new();
                        let list = &mut |list: &BlobId| {
                            needed.insert(*list);
                            true
                        };
                        walk_extents(&reader, content, list, &mut |extent| {
                            if let Extent::Data { blob, .. } = extent {
                                blobs.push(blob);
                            }
                            Ok(())
                        })?;
                        needed.extend(blobs);
                    }
                }
            }
        }
    }
    Ok(needed)
}
