//! Moving the live blobs of packs into new ones, by a writer like any other. A long frame of which all but a
//! little is needed moves as it was compressed.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, atomic::Ordering},
};

use super::Marks;
use crate::{
    copy::{AsTheyLie, Wanted, carry_frames},
    error::StoreError,
    index::Located,
    limits::{FILLED_FRAME, FRAME_TARGET, META_FRAME_TARGET},
    meter::{Cancel, Meter},
    pack::{PackId, PackKind},
    volume::Volume,
    writer::Session,
};

/// A frame of which this much is needed, in percent, moves whole: to compress it again costs more than what is left in it.
/// More than any pack has to have that is left as it is, so that what was moved is not moved again for it.
const NEEDED_PERCENT: usize = 94;

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
    // Short frames are put together into long ones on the way. Filling would move along as if it were a blob.
    let least = [FRAME_TARGET / 2, META_FRAME_TARGET / 2].map(|least| least.max(FILLED_FRAME));
    let percent = if session.is_filled() { 100 } else { NEEDED_PERCENT };
    let as_they_lie = AsTheyLie { least, percent };
    carry_frames(marks.reader(), &session, as_they_lie, threads, &Meter::default(), |queue, failed| {
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

#[cfg(test)]
mod tests {
    use resurgam_model::PointId;

    use super::*;
    use crate::{
        backend::memory::Memory,
        collect::{Collect, collect},
        load::Loaded,
        tests::{new_volume, noise, place, point, restore},
    };

    /// Files that compress to half: their frames are closed at their full length.
    fn files(kept: impl Fn(u64) -> bool) -> Vec<(String, Vec<u8>)> {
        let text = |number| noise(number, 25_000).iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect();
        (0..170).filter(|number| kept(*number)).map(|number| (format!("file{number:03}"), text(number))).collect()
    }

    #[test]
    fn a_frame_moves_with_the_little_that_nobody_needs_and_without_what_is_more() {
        let volume = new_volume(Arc::new(Memory::default()));
        let all = files(|_| true);
        point(&volume, 1, &all);
        let how = Collect { rewrite_below_percent: 100, ..Collect::default() };
        for (id, one_dropped_of, moves_along) in [(2, 40, true), (3, 10, false)] {
            let left = files(|number| number % one_dropped_of != 0);
            point(&volume, id, &left);
            volume.delete_point(&place(), PointId::from_random([id - 1; 16])).unwrap();
            assert!(collect(&volume, &how, &Cancel::default()).unwrap().rewritten > 0);
            assert_eq!(restore(&volume, id).unwrap(), left);
            let index = Loaded::segments(&volume).unwrap().index;
            // Of the second frame: the first ends with it.
            let dropped = volume.keys().name(PackKind::Data, &all[40].1);
            assert_eq!(index.find(&dropped).is_some(), moves_along);
        }
    }
}
