//! Moving the live blobs of packs into new ones, by a writer like any other. A long frame of which all is needed moves as it
//! was compressed.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, atomic::Ordering},
};

use super::Marks;
use crate::{
    copy::{Wanted, carry_frames},
    error::StoreError,
    index::Located,
    limits::{FILLED_FRAME, FRAME_TARGET, META_FRAME_TARGET},
    meter::{Cancel, Meter},
    pack::{PackId, PackKind},
    volume::Volume,
    writer::Session,
};

/// Copies what is live in `packs` into new packs, durably and indexed. Returns the bytes moved.
pub(super) fn repack(
    volume: &Arc<Volume>,
    marks: &Marks,
    packs: &[PackId],
    threads: usize,
    cancel: &Cancel,
) -> Result<u64, StoreError> {
    let wanted: HashSet<PackId> = packs.iter().copied().collect();
    let session = Session::begin(volume)?;
    let live = live_blobs(marks, &wanted)?;
    let moved = live.iter().flat_map(|(_, blobs)| blobs).map(|at| u64::from(at.blob.length)).sum();
    // Short frames are put together into long ones on the way.
    let least = [FRAME_TARGET / 2, META_FRAME_TARGET / 2].map(|least| least.max(FILLED_FRAME));
    carry_frames(marks.reader(), &session, least, threads, &Meter::default(), |queue, failed| {
        for (kind, blobs) in &live {
            for frame in blobs.chunk_by(|one, next| one.frame.offset == next.frame.offset) {
                if cancel.is_cancelled() || failed.load(Ordering::Relaxed) {
                    return Err(StoreError::Cancelled);
                }
                let blobs = frame.iter().map(|at| at.blob.id).collect();
                let wanted = Wanted { kind: *kind, at: frame.first().copied(), blobs };
                queue.send(wanted).map_err(|_| StoreError::Cancelled)?;
            }
        }
        Ok(())
    })?;
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
