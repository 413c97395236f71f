//! Moving the live blobs of packs into new ones, by a writer like any other.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use super::Marks;
use crate::{
    error::StoreError,
    index::Located,
    meter::Cancel,
    pack::{PackId, PackKind},
    volume::Volume,
    writer::Session,
};

/// Copies what is live in `packs` into new packs, durably and indexed. Returns the bytes moved.
pub(super) fn repack(
    volume: &Arc<Volume>,
    marks: &Marks,
    packs: &[PackId],
    cancel: &Cancel,
) -> Result<u64, StoreError> {
    let wanted: HashSet<PackId> = packs.iter().copied().collect();
    let session = Session::begin(volume)?;
    let mut lanes = [session.lane()?, session.meta_lane()?];
    let mut moved = 0;
    for (kind, blobs) in live_blobs(marks, &wanted)? {
        for at in blobs {
            if cancel.is_cancelled() {
                return Err(StoreError::Cancelled);
            }
            let bytes = match kind {
                PackKind::Data => marks.reader().blob(&at.blob.id)?,
                PackKind::Meta => marks.reader().meta(&at.blob.id)?,
            };
            lanes[kind as usize].push(at.blob.id, &bytes)?;
            moved += bytes.len() as u64;
        }
    }
    for mut lane in lanes {
        lane.flush()?;
    }
    session.finish()?.end()?;
    Ok(moved)
}

/// The live blobs of some packs, pack by pack in the order in which they lie there, so that neighbours stay neighbours.
fn live_blobs(marks: &Marks, wanted: &HashSet<PackId>) -> Result<Vec<(PackKind, Vec<Located>)>, StoreError> {
    let mut found: BTreeMap<PackId, (PackKind, Vec<Located>)> = BTreeMap::new();
    for ordinal in 0..marks.index().parts().len() {
        for at in marks.index().scan(ordinal) {
            let at = at?;
            if wanted.contains(&at.pack.id) && marks.is_live(at.position) {
                found.entry(at.pack.id).or_insert((at.pack.kind, Vec::new())).1.push(at);
            }
        }
    }
    let mut found: Vec<_> = found.into_values().collect();
    for (_, blobs) in &mut found {
        blobs.sort_by_key(|at| (at.frame.offset, at.blob.start));
    }
    Ok(found)
}
