//! Copying what a point needs from one volume of a server into another: blobs that the other has are not sent again.
//!
//! A blob has one name in all volumes of a server, so a tree copied is the same tree. Every page of it is walked, and every
//! blob looked up in the other volume's index: no list of what was sent before is needed or trusted, and an interrupted copy
//! goes on where it stopped. A frame of which every blob is wanted moves as it was compressed; of any other the wanted blobs
//! are gathered anew. Whichever way: each blob is proved by its name before it leaves, so that rot does not spread.

use std::{
    collections::{HashMap, HashSet},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::{
    entry::{BlobId, Extent, Kind},
    error::StoreError,
    index::Located,
    limits::{FILLED_FRAME, FRAME_MAX},
    meter::{Cancel, Meter},
    pack::{PackId, PackKind, parse_frame_payload},
    reader::Reader,
    tree::{TreeRoot, page::Page, walk_extents},
    writer::{Lane, Session},
};

/// Plain bytes of wanted blobs that are gathered by frame before they are read.
const BATCH_BYTES: u64 = 256 * 1024 * 1024;
/// Blobs of a batch at most.
const BATCH_BLOBS: usize = 1 << 16;
/// Frames that may wait for a thread.
const FRAMES_WAITING: usize = 16;

/// Copies what `root` needs and `into` lacks. With the tree's root, [`Session::commit`] makes a point of it.
///
/// # Errors
/// Where anything that the tree needs cannot be read and proved, or not be stored.
pub fn copy_tree(
    from: &Reader,
    into: &Session,
    root: &TreeRoot,
    threads: usize,
    meter: &Meter,
    cancel: &Cancel,
) -> Result<(), StoreError> {
    // A short frame, as it is, would tell how short.
    let least = if into.is_filled() { FILLED_FRAME } else { 0 };
    carry_frames(from, into, AsTheyLie { least: [least; 2], percent: 100 }, threads, meter, |queue, failed| {
        let mut walk = Walk { from, into, queue, failed, cancel, meter, batch: Batch::default() };
        walk.tree(root).and_then(|()| walk.send())
    })
}

/// Which frames move as they were compressed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AsTheyLie {
    /// Plain bytes that a frame of each kind has at least: short ones are put together.
    pub(crate) least: [usize; 2],
    /// How much of a frame is wanted at least. Below 100, blobs that nobody wants move along.
    pub(crate) percent: usize,
}

/// Carries over what `feed` asks for, by so many threads.
pub(crate) fn carry_frames(
    from: &Reader,
    into: &Session,
    as_they_lie: AsTheyLie,
    threads: usize,
    meter: &Meter,
    feed: impl FnOnce(Sender<Wanted>, &AtomicBool) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let (queue, frames) = bounded(FRAMES_WAITING);
    let failed = AtomicBool::new(false);
    thread::scope(|scope| {
        let carry = || {
            let carried = carry(from, into, &frames, as_they_lie, meter);
            if carried.is_err() {
                failed.store(true, Ordering::Relaxed);
                // So that the walk never waits for a thread that is gone.
                frames.iter().for_each(drop);
            }
            carried
        };
        let carriers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(carry)).collect();
        let fed = feed(queue, &failed);
        let mut first = None;
        for carrier in carriers {
            let carried = carrier.join();
            let carried =
                carried.unwrap_or_else(|_| Err(StoreError::Internal("a thread of the copy has died".to_owned())));
            first = first.or(carried.err());
        }
        first.map_or(fed, Err)
    })
}

/// Blobs that are wanted of one frame.
pub(crate) struct Wanted {
    pub(crate) kind: PackKind,
    /// Where the frame is; `None`: the index does not tell of the blobs, the reader may find them.
    pub(crate) at: Option<Located>,
    pub(crate) blobs: HashSet<BlobId>,
    /// Plain bytes of these blobs, as the index tells.
    pub(crate) bytes: usize,
}

/// What was found to be wanted and is not sent yet.
#[derive(Default)]
struct Batch {
    /// In the order in which the tree needs them, and so they will lie: who restores the point reads long runs.
    frames: Vec<Wanted>,
    /// Where in `frames` the one at a place of a pack is.
    known: HashMap<(PackKind, PackId, u32), usize>,
    blobs: usize,
    bytes: u64,
}

/// The walk over the tree: finds what is wanted.
struct Walk<'a> {
    from: &'a Reader,
    into: &'a Session,
    queue: Sender<Wanted>,
    failed: &'a AtomicBool,
    cancel: &'a Cancel,
    meter: &'a Meter,
    batch: Batch,
}

impl Walk<'_> {
    fn tree(&mut self, root: &TreeRoot) -> Result<(), StoreError> {
        let mut seen = HashSet::new();
        let mut pages = vec![root.page];
        while let Some(page) = pages.pop() {
            if self.cancel.is_cancelled() || self.failed.load(Ordering::Relaxed) {
                return Err(StoreError::Cancelled);
            }
            if !seen.insert(page) {
                continue;
            }
            self.want(PackKind::Meta, page)?;
            match self.from.page(&page)? {
                // The first child comes off first: in the order of the paths, as their blobs lie.
                Page::Directory(_, children) => pages.extend(children.iter().rev().map(|child| child.page)),
                Page::Leaf(entries) => {
                    self.meter.entries.add(entries.len() as u64);
                    for entry in entries {
                        if let Kind::File { content, size } = &entry.kind {
                            self.content(content)?;
                            self.meter.bytes.add(*size);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn content(&mut self, content: &crate::entry::Content) -> Result<(), StoreError> {
        let (mut lists, mut blobs) = (Vec::new(), Vec::new());
        walk_extents(
            self.from,
            content,
            &mut |list| {
                lists.push(*list);
                true
            },
            &mut |extent| {
                if let Extent::Data { blob, .. } = extent {
                    blobs.push(blob);
                }
                Ok(())
            },
        )?;
        lists.into_iter().try_for_each(|list| self.want(PackKind::Meta, list))?;
        blobs.into_iter().try_for_each(|blob| self.want(PackKind::Data, blob))
    }

    fn want(&mut self, kind: PackKind, id: BlobId) -> Result<(), StoreError> {
        if !self.into.claim(id) {
            return Ok(());
        }
        let at = self.from.index().find(&id);
        self.batch.bytes += at.map_or(0, |at| u64::from(at.blob.length));
        self.batch.blobs += 1;
        let frame = at.map_or((kind, PackId([0; 16]), 0), |at| (kind, at.pack.id, at.frame.offset));
        let Batch { frames, known, .. } = &mut self.batch;
        let place = *known.entry(frame).or_insert_with(|| {
            frames.push(Wanted { kind, at, blobs: HashSet::new(), bytes: 0 });
            frames.len() - 1
        });
        frames[place].blobs.insert(id);
        frames[place].bytes += at.map_or(0, |at| at.blob.length as usize);
        if self.batch.bytes >= BATCH_BYTES || self.batch.blobs >= BATCH_BLOBS { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result<(), StoreError> {
        let batch = std::mem::take(&mut self.batch);
        for wanted in batch.frames {
            if self.cancel.is_cancelled() {
                return Err(StoreError::Cancelled);
            }
            self.queue.send(wanted).map_err(|_| StoreError::Cancelled)?;
        }
        Ok(())
    }
}

/// One thread: carries frames over as they come.
fn carry(
    from: &Reader,
    into: &Session,
    frames: &Receiver<Wanted>,
    as_they_lie: AsTheyLie,
    meter: &Meter,
) -> Result<(), StoreError> {
    let mut lanes = [into.lane()?, into.meta_lane()?];
    let (mut sealer, mut bytes) = (from.volume().sealer()?, Vec::new());
    for wanted in frames {
        let lane = &mut lanes[wanted.kind as usize];
        match open_whole(from, &mut sealer, &mut bytes, &wanted, as_they_lie) {
            Some((payload, blobs)) => lane.forward(&payload, blobs)?,
            None => gather(from, lane, &wanted)?,
        }
        meter.read.add(wanted.at.map_or(0, |at| u64::from(at.frame.length)));
    }
    lanes.iter_mut().try_for_each(Lane::flush)
}

/// The frame and its blobs, each proved, if enough of them is wanted for it to go as it lies.
fn open_whole(
    from: &Reader,
    sealer: &mut crate::frame::Sealer<'_>,
    bytes: &mut Vec<u8>,
    wanted: &Wanted,
    as_they_lie: AsTheyLie,
) -> Option<(crate::frame::Compressed, Vec<(BlobId, u32)>)> {
    let at = wanted.at.as_ref()?;
    let plain_length = at.frame.plain_length as usize;
    if plain_length < as_they_lie.least[wanted.kind as usize] {
        return None;
    }
    // The frame has a list of lengths besides.
    if (wanted.bytes + 4 * (wanted.blobs.len() + 1)) * 100 < plain_length * as_they_lie.percent {
        return None;
    }
    bytes.resize(at.frame.length as usize, 0);
    // What is damaged here is looked for elsewhere, blob by blob.
    from.volume().backend().read_at(&at.pack.id.object(), u64::from(at.frame.offset), bytes).ok()?;
    let payload = sealer.unseal(bytes, wanted.kind.frame(), FRAME_MAX)?;
    let plain = sealer.inflate(&payload)?;
    let keys = from.volume().keys();
    let blobs = parse_frame_payload(plain)?.into_iter();
    let blobs: Vec<_> = blobs.map(|(start, end)| (keys.name(wanted.kind, &plain[start..end]), end - start)).collect();
    let found = blobs.iter().filter(|(id, _)| wanted.blobs.contains(id)).count();
    if found < wanted.blobs.len() || (as_they_lie.percent == 100 && found < blobs.len()) {
        return None;
    }
    let blobs = blobs.into_iter().map(|(id, length)| (id, length as u32)).collect();
    Some((payload, blobs))
}

/// Carries single blobs over, each read and proved by the reader, which mends what it can.
fn gather(from: &Reader, lane: &mut Lane<'_>, wanted: &Wanted) -> Result<(), StoreError> {
    let mut ids: Vec<BlobId> = wanted.blobs.iter().copied().collect();
    let index = from.index();
    ids.sort_by_key(|id| (index.find(id).map(|at| at.blob.start), *id));
    for id in ids {
        let bytes = match wanted.kind {
            PackKind::Data => from.blob(&id)?,
            PackKind::Meta => from.meta(&id)?,
        };
        lane.push(id, &bytes)?;
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
