//! Merging segments: all are sorted, so each is read from its beginning to its end, and what comes out is only the new
//! payload. What it takes in memory is that payload, a little more than 44 bytes a blob, whatever is merged.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashSet},
};

use super::{IndexedBlob, IndexedFrame, IndexedPack, Located, Part, payload};
use crate::{error::StoreError, pack::PackId};

/// New ordinals for the old ones of one segment; `None` for what is left out, or was not met yet.
struct Renumbered {
    packs: Vec<Option<u32>>,
    frames: Vec<Option<u32>>,
}

/// The payload of one segment with the packs of all of `parts` for which `keep` holds, each pack once. `None`: there are
/// none.
///
/// # Errors
/// Where a table cannot be read.
pub(crate) fn merge(parts: &[&Part], keep: &dyn Fn(PackId) -> bool) -> Result<Option<Vec<u8>>, StoreError> {
    let (packs, mut renumbered) = number_packs(parts, keep);
    if packs.is_empty() {
        return Ok(None);
    }
    let (mut frames, mut blobs) = (Vec::new(), Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
    in_order(parts, &mut |number, at| {
        let Renumbered { packs, frames: known } = &mut renumbered[number];
        let Some(pack) = packs[at.frame.pack as usize] else { return };
        let frame = *known[at.blob.frame as usize].get_or_insert_with(|| {
            frames.push(IndexedFrame { pack, ..at.frame });
            frames.len() as u32 - 1
        });
        blobs.push(IndexedBlob { frame, ..at.blob });
    })?;
    Ok(Some(payload::encode(&packs, &frames, blobs.into_iter())))
}

fn number_packs(parts: &[&Part], keep: &dyn Fn(PackId) -> bool) -> (Vec<IndexedPack>, Vec<Renumbered>) {
    let (mut packs, mut seen) = (Vec::new(), HashSet::new());
    let mut number = |pack: &IndexedPack| {
        (keep(pack.id) && seen.insert(pack.id)).then(|| {
            packs.push(*pack);
            packs.len() as u32 - 1
        })
    };
    let renumbered = parts
        .iter()
        .map(|part| Renumbered {
            packs: part.packs().iter().map(&mut number).collect(),
            frames: vec![None; part.frames()],
        })
        .collect();
    (packs, renumbered)
}

/// Calls `each` for every blob of every segment, with the number of the segment, sorted by name.
fn in_order(parts: &[&Part], each: &mut dyn FnMut(usize, &Located)) -> Result<(), StoreError> {
    let mut scans: Vec<_> = parts.iter().enumerate().map(|(number, part)| part.scan(number)).collect();
    let mut heads: Vec<Option<Located>> =
        scans.iter_mut().map(|scan| scan.next().transpose()).collect::<Result<_, _>>()?;
    let mut next: BinaryHeap<_> =
        heads.iter().enumerate().filter_map(|(number, head)| Some(Reverse((head.as_ref()?.blob.id, number)))).collect();
    while let Some(Reverse((_, number))) = next.pop() {
        if let Some(at) = &heads[number] {
            each(number, at);
        }
        heads[number] = scans[number].next().transpose()?;
        if let Some(at) = &heads[number] {
            next.push(Reverse((at.blob.id, number)));
        }
    }
    Ok(())
}

/// Segments put together so that what each group makes has no more than `blobs_max` blobs, in their order.
pub(crate) fn groups<T>(parts: Vec<T>, blobs_max: usize, blobs: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let (mut groups, mut total) = (Vec::<Vec<T>>::new(), 0);
    for part in parts {
        let more = blobs(&part);
        match groups.last_mut() {
            Some(group) if total + more <= blobs_max => group.push(part),
            _ => {
                groups.push(vec![part]);
                total = 0;
            }
        }
        total += more;
    }
    groups
}
