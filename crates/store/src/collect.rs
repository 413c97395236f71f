//! Collecting: deleting what no recovery point needs, while others write and read.
//!
//! Two phases with a barrier, never file times. First a pack is *condemned*: it is put on a durable list, and every
//! writer that registers from then on stores its blobs anew. It is *deleted* once all writers that were registered when
//! it was condemned have ended and the points that they made were looked at; a condemned pack that one of them needs is
//! taken off the list. The index is rewritten without a pack before the pack is deleted.
//!
//! What makes each pair of operations safe:
//!
//! | | backup | restore, list, verify | expire | collect |
//! |---|---|---|---|---|
//! | **backup** | of one replica: its lock. Of two: packs and segments have names of their own | a point appears only when all of it is durable | a point is deleted or seen, never half | registration before the index is read; condemned list before registration is looked at; barrier |
//! | **restore, list, verify** | | nothing is written | a point being restored stays readable until a collection | a pack that is gone sends the reader to the index again; only what no point needs is deleted |
//! | **expire** | | | deleting is idempotent; the lock `points-…` of a replica, also against whoever takes in points that the catalog lacks | a point that vanishes while the collector reads it only keeps data a little longer |
//! | **give up, put back** (parts of vaults) | its document is in `deleted/` before it leaves `replicas/` | as expire | idempotent | points are listed first, `deleted/` after them; what was in neither when its turn came is new, and looked at, in both places, before anything is deleted |
//! | **collect** | | | | the lock `collector`; its holder is fenced by the kernel, or asks before each deletion whether it holds its lease still; what it had begun is on the list |

mod mark;
mod repack;

use std::{collections::HashSet, ops::Range, sync::Arc};

use resurgam_model::PointId;
use serde::{Deserialize, Serialize};

use crate::{
    backend::{self, Held, Hold, Listed},
    document::{from_text, to_text},
    error::StoreError,
    frame::FrameKind,
    index::{
        INDEX, Index, IndexedPack, Part,
        kept::LONG,
        merge::{groups, merge},
    },
    limits::{DOCUMENT_MAX, PACK_TARGET, SEGMENT_BLOBS_MAX},
    load::{self, Loaded},
    meter::Cancel,
    pack::{PackId, PackKind},
    point::ReplicaPlace,
    reader::Reader,
    volume::{COLLECTOR, Volume},
};
pub(crate) use mark::Marks;

const CONDEMNED: &str = "condemned";
/// A longer list would be no list of ours: 4 million packs.
const CONDEMNED_MAX: usize = 128 * DOCUMENT_MAX;

/// Packs that are to be deleted, and the writers that must end first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Condemned {
    pub(crate) packs: Vec<PackId>,
    /// `None`: nobody has looked yet.
    pub(crate) waiting_for: Option<Vec<String>>,
}

#[derive(Serialize, Deserialize)]
struct CondemnedText {
    packs: Vec<String>,
    waiting_for: Option<Vec<String>>,
}

/// The list of condemned packs. One that is damaged condemns nothing: whoever made it finds it damaged as well.
pub(crate) fn condemned(volume: &Volume) -> Result<Condemned, StoreError> {
    let mut before = None;
    loop {
        let bytes = match backend::read_whole(volume.backend(), CONDEMNED, CONDEMNED_MAX as u64) {
            Ok(bytes) => bytes,
            Err(error) if error.kind == crate::error::Fault::NotFound => return Ok(Condemned::default()),
            Err(error) => return Err(error.into()),
        };
        let text = volume.sealer()?.open(&bytes, FrameKind::Document, CONDEMNED_MAX);
        if let Some(list) = text.and_then(|text| parse_condemned(&text)) {
            return Ok(list);
        }
        // A list that was replaced while it was read looks damaged once, and not twice in the same way.
        if before.as_ref() == Some(&bytes) {
            return Ok(Condemned::default());
        }
        before = Some(bytes);
    }
}

fn parse_condemned(text: &[u8]) -> Option<Condemned> {
    let text: CondemnedText = from_text(CONDEMNED, std::str::from_utf8(text).ok()?).ok()?;
    let packs = text.packs.iter().map(|pack| PackId::parse(pack)).collect::<Option<_>>()?;
    Some(Condemned { packs, waiting_for: text.waiting_for })
}

/// For fuzzing: the list of condemned packs, on any bytes.
pub fn fuzz_condemned(bytes: &[u8]) {
    let _ = parse_condemned(bytes);
}

fn write_condemned(volume: &Volume, list: &Condemned) -> Result<(), StoreError> {
    if list.packs.is_empty() {
        return Ok(volume.backend().delete(CONDEMNED)?);
    }
    let packs = list.packs.iter().map(ToString::to_string).collect();
    let text = to_text(&CondemnedText { packs, waiting_for: list.waiting_for.clone() })?;
    let bytes = volume.sealer()?.seal(FrameKind::Document, text.as_bytes())?;
    Ok(volume.backend().replace(CONDEMNED, &bytes)?)
}

/// How a collection is to be done.
#[derive(Debug, Clone, Copy)]
pub struct Collect {
    /// Only say what would be done.
    pub dry_run: bool,
    /// Packs of which less than this share is needed are rewritten, in percent.
    pub rewrite_below_percent: u64,
    /// How many frames are moved at once.
    pub threads: usize,
}

impl Default for Collect {
    fn default() -> Self {
        Self { dry_run: false, rewrite_below_percent: 75, threads: 1 }
    }
}

/// What a collection did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// Packs deleted.
    pub deleted: u64,
    /// Packs whose live part was moved.
    pub rewritten: u64,
    /// Packs condemned that wait for writers to end.
    pub waiting: u64,
    /// Bytes that the volume shrank by, less those that it grew by.
    pub freed_bytes: u64,
    /// Bytes of live blobs moved.
    pub moved_bytes: u64,
}

/// Small packs are put together once there are this many of them.
const SMALL_PACKS: usize = 16;
const SMALL_PACK_BYTES: u64 = PACK_TARGET / 16;

type PointName = (ReplicaPlace, PointId);

/// Deletes what no point needs. Can be interrupted anywhere; the next collection goes on.
///
/// # Errors
/// [`StoreError::Busy`] while another collection runs. Where any point cannot be read whole, nothing is deleted.
pub fn collect(volume: &Arc<Volume>, how: &Collect, cancel: &Cancel) -> Result<Collected, StoreError> {
    let lock = take_collector(volume, cancel)?;
    let lock = &*lock;
    let mut done = Collected::default();
    // Writers first, points after that: a writer that is not seen here has made its point or will never make it.
    let registered = volume.backend().writers()?;
    let writers = &registered.alive;
    let mut list = condemned(volume)?;
    let mut loaded = Loaded::segments(volume)?;
    loaded.match_packs(volume)?;
    // Asked again: what was seen and no segment covers may be that of a writer that began meanwhile.
    let idle = writers.is_empty() && volume.backend().writers()?.alive.is_empty();
    if idle && !how.dry_run {
        loaded.adopt(volume, lock, &registered.dead)?;
    }
    for pack in &list.packs {
        loaded.index.exclude(*pack);
    }
    let mut marks = Marks::new(Reader::with_index(volume, Arc::new(loaded.index)), &list.packs);
    marks.all(volume, cancel)?;
    list.packs.retain(|pack| !marks.rescued.contains(pack));

    // Where a collector was killed before it looked who is registered, everybody who is now may have been then.
    let waiting = list.waiting_for.get_or_insert_with(|| writers.clone());
    let passed = waiting.iter().all(|writer| !writers.contains(writer));
    let usage = marks.usage()?;
    let chosen = choose(&usage, how.rewrite_below_percent, !idle, &loaded_objects(&loaded.objects, marks.index()));
    if how.dry_run {
        done.deleted = (chosen.dead.len() + list.packs.len()) as u64;
        done.rewritten = chosen.rewrite.len() as u64;
        let all = chosen.dead.iter().chain(&chosen.rewrite);
        done.freed_bytes = all.map(stored_bytes).sum();
        return Ok(done);
    }
    let before = marks.index().packs().map(|pack| (pack.id, pack)).collect();
    if passed {
        spare(volume, &mut list, &marks.seen)?;
        delete(volume, lock, &mut list, &before, &mut done)?;
    }
    // What is dead goes first: on a full disk that makes the room for moving the rest.
    for batch in [chosen.dead, chosen.rewrite] {
        if batch.is_empty() {
            continue;
        }
        if cancel.is_cancelled() {
            return Err(StoreError::Cancelled);
        }
        let ids: Vec<PackId> = batch.iter().map(|pack| pack.id).collect();
        let live = ids.iter().filter(|id| usage.iter().any(|used| used.pack.id == **id && used.live_bytes > 0)).count();
        if live > 0 {
            done.moved_bytes += repack::repack(volume, &marks, &ids, how.threads, cancel)?;
            done.rewritten += ids.len() as u64;
        }
        condemn(volume, lock, &mut list, &ids, &marks.seen, &before, &mut done)?;
    }
    done.waiting = list.packs.len() as u64;
    volume
        .backend()
        .keep_reserve()
        .or_else(|error| if error.kind == crate::error::Fault::Full { Ok(()) } else { Err(error) })?;
    Ok(done)
}

/// The collector's lock. Whoever merges or mends the index holds it for a moment, which is waited for; a prune or a repair
/// may hold it for long, and is told.
///
/// # Errors
/// [`StoreError::Busy`] where it was not to be had within half a minute.
pub(crate) fn take_collector(volume: &Volume, cancel: &Cancel) -> Result<Hold, StoreError> {
    backend::wait_for(volume.backend(), COLLECTOR, "another prune or a repair", cancel)
}

/// Bytes that a pack takes in the volume.
fn stored_bytes(pack: &IndexedPack) -> u64 {
    pack.length * if pack.kind == PackKind::Meta { 2 } else { 1 }
}

/// The packs that segments cover, as opposed to those found without one.
fn loaded_objects(objects: &[String], index: &Index) -> HashSet<PackId> {
    index.parts().iter().take(objects.len()).flat_map(|part| part.packs().iter().map(|pack| pack.id)).collect()
}

struct Chosen {
    dead: Vec<IndexedPack>,
    rewrite: Vec<IndexedPack>,
}

/// Which packs to delete and which to rewrite: a pure decision.
fn choose(usage: &[mark::Usage], below_percent: u64, writers: bool, indexed: &HashSet<PackId>) -> Chosen {
    let mut chosen = Chosen { dead: Vec::new(), rewrite: Vec::new() };
    let mut small = [Vec::new(), Vec::new()];
    for used in usage {
        // A pack that no segment covers belongs to a writer that is at work, if there is one.
        if writers && !indexed.contains(&used.pack.id) {
            continue;
        }
        if used.live_bytes == 0 {
            chosen.dead.push(used.pack);
        } else if used.live_bytes * 100 < used.total_bytes * below_percent {
            chosen.rewrite.push(used.pack);
        } else if used.pack.length < SMALL_PACK_BYTES {
            small[used.pack.kind as usize].push(used.pack);
        }
    }
    chosen.rewrite.extend(small.into_iter().filter(|packs| packs.len() >= SMALL_PACKS).flatten());
    chosen
}

/// Puts packs on the list, and deletes them at once where no writer is registered.
fn condemn(
    volume: &Arc<Volume>,
    lock: &dyn Held,
    list: &mut Condemned,
    packs: &[PackId],
    seen: &HashSet<PointName>,
    known: &std::collections::HashMap<PackId, IndexedPack>,
    done: &mut Collected,
) -> Result<(), StoreError> {
    list.packs.extend(packs);
    // Those that waited before wait anew, with the new ones: one list, one barrier.
    list.waiting_for = None;
    lock.check()?;
    write_condemned(volume, list)?;
    let writers = volume.backend().writers()?.alive;
    if !writers.is_empty() {
        list.waiting_for = Some(writers);
        return write_condemned(volume, list);
    }
    spare(volume, list, seen)?;
    delete(volume, lock, list, known, done)
}

/// Takes packs off the list that are needed by points whose needs nobody has marked: made since the marking began, or put
/// back between two listings. They may rely on what was condemned under them.
fn spare(volume: &Arc<Volume>, list: &mut Condemned, seen: &HashSet<PointName>) -> Result<(), StoreError> {
    let is_new = |name: &PointName| !seen.contains(name);
    if !volume.point_names()?.iter().any(is_new) && !volume.deleted_names()?.iter().any(is_new) {
        return Ok(());
    }
    let mut loaded = Loaded::segments(volume)?;
    loaded.match_packs(volume)?;
    for pack in &list.packs {
        loaded.index.exclude(*pack);
    }
    let mut marks = Marks::new(Reader::with_index(volume, Arc::new(loaded.index)), &list.packs);
    marks.seen.clone_from(seen);
    marks.all(volume, &Cancel::default())?;
    list.packs.retain(|pack| !marks.rescued.contains(pack));
    Ok(())
}

/// Deletes every pack of the list: first from the index, then for good, then from the list. The collector asks before each
/// whether it holds its lock still: one that was suspended may have been taken for dead.
fn delete(
    volume: &Volume,
    lock: &dyn Held,
    list: &mut Condemned,
    known: &std::collections::HashMap<PackId, IndexedPack>,
    done: &mut Collected,
) -> Result<(), StoreError> {
    let doomed: HashSet<PackId> = list.packs.iter().copied().collect();
    forget_packs(volume, lock, &doomed)?;
    for pack in &list.packs {
        lock.check()?;
        volume.backend().delete(&pack.object())?;
        volume.backend().delete(&pack.mirror())?;
        done.deleted += 1;
        done.freed_bytes += known.get(pack).map_or(0, stored_bytes);
    }
    list.packs.clear();
    lock.check()?;
    write_condemned(volume, list)
}

/// Rewrites the index without some packs. For who holds the collector's lock and is about to take them away.
pub(crate) fn forget_packs(volume: &Volume, lock: &dyn Held, packs: &HashSet<PackId>) -> Result<(), StoreError> {
    let loaded = Loaded::segments(volume)?;
    let segments = loaded.objects.into_iter().zip(loaded.index.into_parts());
    let which = segments.filter(|(_, part)| part.packs().iter().any(|pack| packs.contains(&pack.id))).collect();
    rewrite_segments(volume, lock, which, &|pack| !packs.contains(&pack))
}

/// Segments of about one length after which they are merged.
const SEGMENTS_MAX: usize = 16;
/// Sealed segments from this length on are merged with no others.
const FULL: u64 = 8 * LONG;

/// Merges short index segments when there are many, and longer ones when there are many of those: so a blob is written
/// anew twice, however many there are. Does nothing while a collector is at work.
pub(crate) fn merge_segments(volume: &Volume) -> Result<(), StoreError> {
    let lengths = [0..LONG, LONG..FULL];
    let of_length = |listed: &[Listed], wanted: &Range<u64>| -> Vec<Listed> {
        listed.iter().filter(|listed| wanted.contains(&listed.length)).cloned().collect()
    };
    let listed = volume.backend().list(INDEX)?;
    if lengths.iter().all(|wanted| of_length(&listed, wanted).len() <= SEGMENTS_MAX) {
        return Ok(());
    }
    let Some(lock) = volume.backend().lock(COLLECTOR)? else { return Ok(()) };
    let listed = volume.backend().list(INDEX)?;
    let mut sealer = volume.sealer()?;
    for many in lengths.iter().map(|wanted| of_length(&listed, wanted)).filter(|many| many.len() > SEGMENTS_MAX) {
        let mut which = Vec::new();
        for listed in many {
            match load::hold_segment(volume, &mut sealer, &listed) {
                Ok(part) => which.push((listed.name, part)),
                // Whoever has the lock and looks at the packs mends it.
                Err(error) if error.is_damage() => {}
                Err(error) => return Err(error),
            }
        }
        rewrite_segments(volume, &*lock, which, &|_| true)?;
    }
    Ok(())
}

/// Replaces segments by fewer, without the packs for which `keep` does not hold. A new one is durable before the old ones
/// go whose packs it has.
fn rewrite_segments(
    volume: &Volume,
    lock: &dyn Held,
    which: Vec<(String, Part)>,
    keep: &dyn Fn(PackId) -> bool,
) -> Result<(), StoreError> {
    for group in groups(which, SEGMENT_BLOBS_MAX, |(_, part)| part.len()) {
        let parts: Vec<&Part> = group.iter().map(|(_, part)| part).collect();
        if let Some(payload) = merge(&parts, keep)? {
            load::write_segment(volume, &mut volume.sealer()?, payload)?;
        }
        for (object, _) in &group {
            lock.check()?;
            volume.backend().delete(object)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod schedules;
#[cfg(test)]
mod tests;
