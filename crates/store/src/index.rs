//! Where each blob is. A cache of what the packs' own indexes say, in sorted segments: short ones are in memory, 46 bytes
//! a blob, long ones in tables on this machine's disk, 2.5 bytes a blob in memory (`table.rs`).
//!
//! What it says is never trusted further than this: a blob that it lacks may still be in a pack (readers look, writers
//! store it again, which does no harm); a blob that it has is taken to exist only if its pack is in the volume's
//! listing and not condemned. A table that cannot be read makes blobs look absent: whoever concludes from something not
//! being there asks [`Index::check`] before.
//!
//! Payload of a segment, all numbers little-endian:
//! ```text
//! counts of packs, frames, entries                          3 × 4 bytes
//! per pack:  id (16), kind (1), zeros (7), length (8)
//! per frame: ordinal of pack, offset, length, plain length   4 × 4 bytes
//! per entry, sorted by id: id (32), ordinal of frame, start in the payload, length
//! zeros, in the part of a vault
//! ```

mod fanout;
pub mod kept;
pub(crate) mod merge;
mod part;
mod payload;
mod table;

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

pub(crate) use part::Part;
pub(crate) use payload::Payload;
pub use table::fuzz_table;

use crate::{
    entry::BlobId,
    error::StoreError,
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

    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        payload::encode(&self.packs, &self.frames, self.blobs.iter().copied())
    }

    /// Reads a payload. `None`: it makes no sense.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        Payload::parse(bytes).map(|payload| payload.to_segment())
    }
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
    parts: Vec<Part>,
    /// Packs whose blobs do not count as there: condemned, or missing from the volume.
    excluded: HashSet<PackId>,
    packs: HashMap<PackId, (u32, u32)>,
}

impl Index {
    /// Adds a segment. Packs that are known already are not counted twice, but their blobs may be found twice.
    pub fn add(&mut self, segment: Segment) {
        self.add_part(segment.into());
    }

    /// Adds a segment in whatever form it is at hand.
    pub(crate) fn add_part(&mut self, part: Part) {
        let ordinal = self.parts.len() as u32;
        for (number, pack) in part.packs().iter().enumerate() {
            self.packs.entry(pack.id).or_insert((ordinal, number as u32));
        }
        self.parts.push(part);
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
        self.packs.values().map(|(part, number)| self.parts[*part as usize].packs()[*number as usize])
    }

    /// The segments, for counting and merging.
    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The segments, taken apart again.
    pub(crate) fn into_parts(self) -> Vec<Part> {
        self.parts
    }

    /// How many blobs it has, each counted as often as there are copies of it.
    pub fn blobs(&self) -> usize {
        self.parts.iter().map(Part::len).sum()
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
        let (id, near) = (*id, self.near(id));
        self.parts.iter().zip(near).enumerate().flat_map(move |(ordinal, (part, near))| {
            part.positions(near, &id)
                .filter_map(move |position| part.read(ordinal, position))
                .filter(move |copy| copy.blob.id == id)
        })
    }

    /// Where each segment has the names that begin as this one does. All is asked of memory before any answer decides what
    /// is next: so it answers for many segments in the time of one.
    fn near(&self, id: &BlobId) -> Vec<Range<usize>> {
        let near: Vec<Range<usize>> = self.parts.iter().map(|part| part.near(id)).collect();
        let first = self.parts.iter().zip(&near).map(|(part, near)| part.touch(near.start));
        std::hint::black_box(first.fold(0, |all, one| all ^ one));
        near
    }

    /// Every blob of one segment, sorted by name.
    ///
    /// # Errors
    /// Each item, where the segment's table cannot be read.
    pub(crate) fn scan(&self, ordinal: usize) -> impl Iterator<Item = Result<Located, StoreError>> {
        self.parts[ordinal].scan(ordinal)
    }

    /// The blobs that the index has in a pack. Looks through the whole segment that covers it.
    pub fn blobs_of(&self, pack: PackId) -> impl Iterator<Item = BlobId> {
        let ordinal = self.packs.get(&pack).map(|(ordinal, _)| *ordinal as usize);
        let all = ordinal.into_iter().flat_map(|ordinal| self.scan(ordinal));
        all.filter_map(Result::ok).filter(move |at| at.pack.id == pack).map(|at| at.blob.id)
    }

    /// Whether a pack's blobs do not count as there.
    pub fn is_excluded(&self, pack: PackId) -> bool {
        self.excluded.contains(&pack)
    }

    /// Whether every look-up so far could be answered: what was not found is really not there.
    ///
    /// # Errors
    /// Where a table on this machine is damaged or cannot be read. It was thrown away; the next opening makes it anew.
    pub fn check(&self) -> Result<(), StoreError> {
        self.parts.iter().try_for_each(Part::check)
    }
}

#[cfg(test)]
mod tests;
