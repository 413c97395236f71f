//! Where each blob is. A cache of what the packs' own indexes say, in sorted segments; 46 bytes a blob in memory.
//!
//! What it says is never trusted further than this: a blob that it lacks may still be in a pack (readers look, writers
//! store it again, which does no harm); a blob that it has is taken to exist only if its pack is in the volume's
//! listing and not condemned.
//!
//! Payload of a segment, all numbers little-endian:
//! ```text
//! counts of packs, frames, entries                          3 × 4 bytes
//! per pack:  id (16), kind (1), zeros (7), length (8)
//! per frame: ordinal of pack, offset, length, plain length   4 × 4 bytes
//! per entry, sorted by id: id (32), ordinal of frame, start in the payload, length
//! zeros, in the part of a vault
//! ```

use std::collections::{HashMap, HashSet};

use crate::{
    codec::Input,
    entry::BlobId,
    pack::{PackId, PackKind, PackedFrame, build::FinishedPack},
};

/// Prefix of the objects that are index segments.
pub const INDEX: &str = "index/";

/// A pack as the index knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexedPack {
    /// Its id.
    pub id: PackId,
    /// Its kind.
    pub kind: PackKind,
    /// Length of the object.
    pub length: u64,
}

/// A frame as the index knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IndexedFrame {
    /// Ordinal of its pack in the segment.
    pub pack: u32,
    /// Where it begins in the pack.
    pub offset: u32,
    /// Its length, header included.
    pub length: u32,
    /// Length of its payload.
    pub plain_length: u32,
}

/// A blob as the index knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexedBlob {
    /// Its name.
    pub id: BlobId,
    /// Ordinal of its frame in the segment.
    pub frame: u32,
    /// First byte in the frame's payload.
    pub start: u32,
    /// Bytes.
    pub length: u32,
}

/// A sorted part of the index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Segment {
    /// Its packs.
    pub packs: Vec<IndexedPack>,
    /// Their frames.
    pub frames: Vec<IndexedFrame>,
    /// Their blobs, sorted by name; a blob that two packs hold stands twice.
    pub blobs: Vec<IndexedBlob>,
}

const PACK_BYTES: usize = 32;
const FRAME_BYTES: usize = 16;
const BLOB_BYTES: usize = 44;

/// Length of the list of lengths at the start of a frame's payload.
fn directory_length(frame: &PackedFrame) -> u32 {
    let content: u64 = frame.blobs.iter().map(|(_, length)| u64::from(*length)).sum();
    frame.plain_length.saturating_sub(content as u32)
}

impl Segment {
    /// Adds a pack. [`Segment::sort`] must follow.
    pub(crate) fn add(&mut self, id: PackId, kind: PackKind, length: u64, frames: &[PackedFrame]) {
        let pack = self.packs.len() as u32;
        self.packs.push(IndexedPack { id, kind, length });
        for packed in frames {
            let frame = self.frames.len() as u32;
            let (offset, length, plain_length) = (packed.offset, packed.length, packed.plain_length);
            self.frames.push(IndexedFrame { pack, offset, length, plain_length });
            let mut start = directory_length(packed);
            for (id, length) in &packed.blobs {
                self.blobs.push(IndexedBlob { id: *id, frame, start, length: *length });
                start += length;
            }
        }
    }

    pub(crate) fn of_packs(packs: &[FinishedPack]) -> Self {
        let mut segment = Self::default();
        for pack in packs {
            segment.add(pack.id, pack.kind, pack.length, &pack.frames);
        }
        segment.sort();
        segment
    }

    pub(crate) fn sort(&mut self) {
        self.blobs.sort_unstable_by_key(|blob| (blob.id, blob.frame));
    }

    /// One segment with the packs of all of `segments` for which `keep` holds, each pack once.
    pub(crate) fn merge<'a>(segments: impl IntoIterator<Item = &'a Self>, keep: &dyn Fn(PackId) -> bool) -> Self {
        let mut merged = Self::default();
        let mut seen = HashSet::new();
        for segment in segments {
            // New ordinals; `None` for what is left out.
            let mut packs = Vec::with_capacity(segment.packs.len());
            for pack in &segment.packs {
                packs.push((keep(pack.id) && seen.insert(pack.id)).then(|| {
                    merged.packs.push(*pack);
                    merged.packs.len() as u32 - 1
                }));
            }
            let mut frames = Vec::with_capacity(segment.frames.len());
            for frame in &segment.frames {
                frames.push(packs[frame.pack as usize].map(|pack| {
                    merged.frames.push(IndexedFrame { pack, ..*frame });
                    merged.frames.len() as u32 - 1
                }));
            }
            let kept = segment
                .blobs
                .iter()
                .filter_map(|blob| Some(IndexedBlob { frame: frames[blob.frame as usize]?, ..*blob }));
            merged.blobs.extend(kept);
        }
        merged.sort();
        merged
    }

    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        let size = 12 + self.packs.len() * PACK_BYTES + self.frames.len() * FRAME_BYTES + self.blobs.len() * BLOB_BYTES;
        let mut out = Vec::with_capacity(size);
        for count in [self.packs.len(), self.frames.len(), self.blobs.len()] {
            out.extend_from_slice(&(count as u32).to_le_bytes());
        }
        for pack in &self.packs {
            out.extend_from_slice(&pack.id.0);
            out.extend_from_slice(&[pack.kind as u8, 0, 0, 0, 0, 0, 0, 0]);
            out.extend_from_slice(&pack.length.to_le_bytes());
        }
        for frame in &self.frames {
            for number in [frame.pack, frame.offset, frame.length, frame.plain_length] {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
        for blob in &self.blobs {
            out.extend_from_slice(&blob.id.0);
            for number in [blob.frame, blob.start, blob.length] {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
        out
    }

    /// Reads a payload. `None`: it makes no sense.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut input = Input(bytes);
        let word = |input: &mut Input<'_>| Some(u32::from_le_bytes(input.take(4)?.try_into().ok()?));
        let [packs, frames, blobs] =
            [word(&mut input)?, word(&mut input)?, word(&mut input)?].map(|count| count as usize);
        let size = (packs * PACK_BYTES).checked_add(frames * FRAME_BYTES)?.checked_add(blobs * BLOB_BYTES)?;
        // Zeros may follow: filling.
        if !input.0.get(size..)?.iter().all(|byte| *byte == 0) {
            return None;
        }
        let mut segment = Self::default();
        for _ in 0..packs {
            let id = PackId(input.take(16)?.try_into().ok()?);
            let kind = match input.take(8)? {
                [0, 0, 0, 0, 0, 0, 0, 0] => PackKind::Data,
                [1, 0, 0, 0, 0, 0, 0, 0] => PackKind::Meta,
                _ => return None,
            };
            segment.packs.push(IndexedPack { id, kind, length: u64::from_le_bytes(input.take(8)?.try_into().ok()?) });
        }
        for _ in 0..frames {
            let [pack, offset, length, plain_length] =
                [word(&mut input)?, word(&mut input)?, word(&mut input)?, word(&mut input)?];
            if pack as usize >= packs || plain_length as usize > crate::limits::FRAME_MAX {
                return None;
            }
            segment.frames.push(IndexedFrame { pack, offset, length, plain_length });
        }
        segment.blobs.reserve_exact(blobs);
        for _ in 0..blobs {
            let id = BlobId(input.hash()?);
            let [frame, start, length] = [word(&mut input)?, word(&mut input)?, word(&mut input)?];
            let fits = segment.frames.get(frame as usize)?.plain_length as u64 >= u64::from(start) + u64::from(length);
            if !fits || segment.blobs.last().is_some_and(|last: &IndexedBlob| last.id > id) {
                return None;
            }
            segment.blobs.push(IndexedBlob { id, frame, start, length });
        }
        Some(segment)
    }
}

/// Where the names of a segment that begin with the same bits are. Names are hashes, so a few comparisons find one of
/// them; searching the whole segment would miss the processor's cache at nearly every step.
#[derive(Debug)]
struct Fanout {
    /// Bits that count.
    bits: u32,
    /// Position of the first name that begins with each number of so many bits, and the number of all names.
    starts: Vec<u32>,
}

/// Names that share their first bits, on average.
const NAMES_A_START: usize = 2;

impl Fanout {
    fn of(blobs: &[IndexedBlob]) -> Self {
        let bits = (blobs.len() / NAMES_A_START).max(1).ilog2().min(24);
        let mut starts = Vec::with_capacity((1 << bits) + 1);
        for (position, blob) in blobs.iter().enumerate() {
            while starts.len() <= first_bits(&blob.id, bits) {
                starts.push(position as u32);
            }
        }
        starts.resize((1 << bits) + 1, blobs.len() as u32);
        Self { bits, starts }
    }

    /// The positions of all copies of a blob.
    fn positions(&self, blobs: &[IndexedBlob], id: &BlobId) -> std::ops::Range<usize> {
        let number = first_bits(id, self.bits);
        let (from, to) = (self.starts[number] as usize, self.starts[number + 1] as usize);
        let near = &blobs[from..to];
        let first = near.partition_point(|blob| blob.id < *id);
        let count = near[first..].iter().take_while(|blob| blob.id == *id).count();
        from + first..from + first + count
    }
}

/// The number that the first `bits` bits of a name are.
fn first_bits(id: &BlobId, bits: u32) -> usize {
    let [a, b, c, d, ..] = id.0;
    (u64::from(u32::from_be_bytes([a, b, c, d])) >> (32 - bits)) as usize
}

/// For fuzzing: a segment's payload, on any bytes.
pub fn fuzz_index(bytes: &[u8]) {
    if let Some(segment) = Segment::parse(bytes) {
        let (written, filling) = bytes.split_at(segment.encode().len());
        assert!(segment.encode() == written && filling.iter().all(|byte| *byte == 0));
    }
}

/// A blob found: where to read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located {
    /// The pack.
    pub pack: IndexedPack,
    /// The frame in the pack.
    pub frame: IndexedFrame,
    /// The blob in the frame.
    pub blob: IndexedBlob,
    /// Segment and position in it: a name for this very copy of the blob.
    pub position: (usize, usize),
}

/// All segments together.
#[derive(Debug, Default)]
pub struct Index {
    segments: Vec<Segment>,
    /// One for each segment.
    fanouts: Vec<Fanout>,
    /// Packs whose blobs do not count as there: condemned, or missing from the volume.
    excluded: HashSet<PackId>,
    packs: HashMap<PackId, (usize, usize)>,
}

impl Index {
    /// Adds a segment. Packs that are known already are not counted twice, but their blobs may be found twice.
    pub fn add(&mut self, segment: Segment) {
        let ordinal = self.segments.len();
        for (number, pack) in segment.packs.iter().enumerate() {
            self.packs.entry(pack.id).or_insert((ordinal, number));
        }
        self.fanouts.push(Fanout::of(&segment.blobs));
        self.segments.push(segment);
    }

    /// Stops counting the blobs of a pack as there.
    pub fn exclude(&mut self, pack: PackId) {
        self.excluded.insert(pack);
    }

    /// Whether the blobs of every pack count.
    pub(crate) fn excludes_nothing(&self) -> bool {
        self.excluded.is_empty()
    }

    /// Whether the index covers a pack.
    pub fn knows(&self, pack: PackId) -> bool {
        self.packs.contains_key(&pack)
    }

    /// Every pack that it covers, excluded ones too.
    pub fn packs(&self) -> impl Iterator<Item = IndexedPack> {
        self.packs.values().map(|(segment, number)| self.segments[*segment].packs[*number])
    }

    /// The segments, for counting and merging.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Where a blob is; of several copies always the same one, until an exclusion changes that.
    pub fn find(&self, id: &BlobId) -> Option<Located> {
        self.copies(id).next()
    }

    /// Every copy of a blob that counts as there.
    pub fn copies(&self, id: &BlobId) -> impl Iterator<Item = Located> {
        self.every_copy(id).filter(|copy| !self.is_excluded(copy.pack.id))
    }

    /// Every copy of a blob, those in excluded packs too.
    pub fn every_copy(&self, id: &BlobId) -> impl Iterator<Item = Located> {
        let id = *id;
        self.segments.iter().zip(&self.fanouts).enumerate().flat_map(move |(ordinal, (segment, fanout))| {
            fanout.positions(&segment.blobs, &id).map(move |position| {
                let blob = segment.blobs[position];
                let frame = segment.frames[blob.frame as usize];
                let pack = segment.packs[frame.pack as usize];
                Located { pack, frame, blob, position: (ordinal, position) }
            })
        })
    }

    /// The blobs that the index has in a pack.
    pub fn blobs_of(&self, pack: PackId) -> impl Iterator<Item = BlobId> {
        let at = self.packs.get(&pack).map(|(segment, number)| (&self.segments[*segment], *number as u32));
        at.into_iter().flat_map(|(segment, number)| {
            let within = move |blob: &&IndexedBlob| segment.frames[blob.frame as usize].pack == number;
            segment.blobs.iter().filter(within).map(|blob| blob.id)
        })
    }

    /// Whether a pack's blobs do not count as there.
    pub fn is_excluded(&self, pack: PackId) -> bool {
        self.excluded.contains(&pack)
    }
}

#[cfg(test)]
mod tests;
