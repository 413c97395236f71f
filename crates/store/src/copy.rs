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
    frame::{Compressed, Sealer},
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

impl AsTheyLie {
    /// Whether a frame with these blobs moves as it is, for those that are wanted of it.
    fn allow(&self, plain_length: usize, blobs: &[(BlobId, &[u8])], wanted: &Wanted) -> bool {
        let is_wanted = |blob: &&(BlobId, &[u8])| wanted.blobs.contains(&blob.0);
        let all_bytes: usize = blobs.iter().map(|(_, bytes)| bytes.len()).sum();
        let wanted_bytes: usize = blobs.iter().filter(is_wanted).map(|(_, bytes)| bytes.len()).sum();
        let found = blobs.iter().filter(is_wanted).count();
        plain_length >= self.least[wanted.kind as usize]
            && found >= wanted.blobs.len()
            && wanted_bytes * 100 >= all_bytes * self.percent
            && (self.percent < 100 || found == blobs.len())
    }
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

/// A thread's life.
fn carry(
    from: &Reader,
    into: &Session,
    frames: &Receiver<Wanted>,
    as_they_lie: AsTheyLie,
    meter: &Meter,
) -> Result<(), StoreError> {
    let (lanes, sealer) = ([into.lane()?, into.meta_lane()?], from.volume().sealer()?);
    let mut carrier = Carrier { from, lanes, sealer, bytes: Vec::new(), as_they_lie };
    for wanted in frames {
        let read = wanted.at.map_or(0, |at| u64::from(at.frame.length));
        carrier.carry(wanted)?;
        meter.read.add(read);
    }
    carrier.lanes.iter_mut().try_for_each(Lane::flush)
}

/// Blobs that are wanted of one frame.
pub(crate) struct Wanted {
    pub(crate) kind: PackKind,
    /// Where the frame is; `None`: the index does not tell of the blobs, the reader may find them.
    pub(crate) at: Option<Located>,
    pub(crate) blobs: HashSet<BlobId>,
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
            frames.push(Wanted { kind, at, blobs: HashSet::new() });
            frames.len() - 1
        });
        frames[place].blobs.insert(id);
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

/// One thread: carries frames over as they come, each opened once.
struct Carrier<'a> {
    from: &'a Reader,
    lanes: [Lane<'a>; 2],
    sealer: Sealer<'a>,
    /// Memory that is used again.
    bytes: Vec<u8>,
    as_they_lie: AsTheyLie,
}

impl Carrier<'_> {
    fn carry(&mut self, mut wanted: Wanted) -> Result<(), StoreError> {
        if let Some(payload) = self.fetch(&wanted) {
            self.frame(&payload, &mut wanted)?;
        }
        // What is damaged there is looked for elsewhere.
        self.singly(&wanted)
    }

    fn fetch(&mut self, wanted: &Wanted) -> Option<Compressed> {
        let at = wanted.at.as_ref()?;
        self.bytes.resize(at.frame.length as usize, 0);
        let backend = self.from.volume().backend();
        backend.read_at(&at.pack.id.object(), u64::from(at.frame.offset), &mut self.bytes).ok()?;
        self.sealer.unseal(&self.bytes, wanted.kind.frame(), FRAME_MAX)
    }

    /// Carries over what is wanted of a frame, each blob proved, and takes it off the list.
    fn frame(&mut self, payload: &Compressed, wanted: &mut Wanted) -> Result<(), StoreError> {
        let Self { from, lanes, sealer, as_they_lie, .. } = self;
        let lane = &mut lanes[wanted.kind as usize];
        let Some(plain) = sealer.inflate(payload) else { return Ok(()) };
        let Some(ranges) = parse_frame_payload(plain) else { return Ok(()) };
        let keys = from.volume().keys();
        let named = ranges.into_iter().map(|(start, end)| &plain[start..end]);
        let blobs: Vec<(BlobId, &[u8])> = named.map(|bytes| (keys.name(wanted.kind, bytes), bytes)).collect();
        if as_they_lie.allow(payload.plain_length, &blobs, wanted) {
            wanted.blobs.clear();
            return lane.forward(payload, blobs.iter().map(|(id, bytes)| (*id, bytes.len() as u32)).collect());
        }
        for (id, bytes) in blobs {
            if wanted.blobs.remove(&id) {
                lane.push(id, bytes)?;
            }
        }
        Ok(())
    }

    /// Carries single blobs over, each read and proved by the reader, which mends what it can.
    fn singly(&mut self, wanted: &Wanted) -> Result<(), StoreError> {
        let mut ids: Vec<BlobId> = wanted.blobs.iter().copied().collect();
        let index = self.from.index();
        ids.sort_by_key(|id| (index.find(id).map(|at| at.blob.start), *id));
        for id in ids {
            let bytes = match wanted.kind {
                PackKind::Data => self.from.blob(&id)?,
                PackKind::Meta => self.from.meta(&id)?,
            };
            self.lanes[wanted.kind as usize].push(id, &bytes)?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
