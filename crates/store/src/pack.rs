//! Packs: the unit of storage. An immutable object of frames, with its own index, checksums of its pages and parity.
//!
//! ```text
//! header (64 bytes) | frames … | frame with the pack's index | zeros to a whole page      data pages
//! parity of group 0 | parity of group 1 | …                                              parity pages
//! trailer | the same trailer again                                                       whole pages each
//! ```
//! A page is 4,096 bytes. 1,024 data pages share up to 16 parity pages (Reed-Solomon over 16-bit symbols), so that many
//! damaged pages of a group can be mended, wherever they lie. The length of the object alone tells how many data pages
//! it has, hence where everything else is; both trailers can be found without one another. [`build`] writes packs,
//! [`open`] reads and mends them.

use std::fmt;

use resurgam_model::VolumeId;

use crate::{
    codec::{Input, put_number},
    entry::BlobId,
    frame::{self, FrameKind},
    keys,
    limits::{FRAME_BLOBS_MAX, FRAME_MAX, PACK_MAX, PAGE, PARITY_GROUP, PARITY_PAGES},
};

pub mod build;
pub mod mend;
pub mod open;

/// The name of a pack: 16 random bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackId(pub [u8; 16]);

impl fmt::Display for PackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&keys::hex(&self.0))
    }
}

impl fmt::Debug for PackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PackId {
    /// Reads the 32 digits.
    pub fn parse(text: &str) -> Option<Self> {
        keys::unhex(text)?.try_into().ok().map(Self)
    }

    /// Name of the pack's object.
    pub fn object(&self) -> String {
        format!("{PACKS}{:02x}/{self}", self.0[0])
    }

    /// Name of its second copy; metadata packs have one.
    pub fn mirror(&self) -> String {
        format!("{MIRROR}{}", self.object())
    }

    /// The id in the name of an object below [`PACKS`].
    pub fn of_object(name: &str) -> Option<Self> {
        Self::parse(name.strip_prefix(PACKS)?.split_once('/')?.1)
    }
}

/// Prefix of the objects that are packs.
pub const PACKS: &str = "packs/";
/// Prefix of second copies.
pub const MIRROR: &str = "mirror/";

/// Whether a pack holds content or metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PackKind {
    /// Content of files.
    Data = 0,
    /// Pages and lists; stored twice.
    Meta = 1,
}

impl PackKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Data, Self::Meta];

    fn of(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }

    /// The kind of its frames.
    pub fn frame(self) -> FrameKind {
        match self {
            Self::Data => FrameKind::Data,
            Self::Meta => FrameKind::Meta,
        }
    }
}

/// One frame in a pack's index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedFrame {
    /// Where it begins in the pack.
    pub offset: u32,
    /// Its length in the pack, header included.
    pub length: u32,
    /// Length of its payload.
    pub plain_length: u32,
    /// Its blobs, in order: name and length.
    pub blobs: Vec<(BlobId, u32)>,
}

/// Length of a pack's header.
pub(crate) const HEADER: usize = 64;
const HEADER_MAGIC: &[u8; 16] = b"RESURGAM PACK v1";
const TRAILER_MAGIC: &[u8; 16] = b"RESURGAM TRAILER";
const TRAILER_HEAD: usize = 64;
const SUM: usize = 8;
const HASH: usize = 32;

/// The first 64 bytes of a pack.
pub(crate) fn header(volume: VolumeId, pack: PackId, kind: PackKind) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..16].copy_from_slice(HEADER_MAGIC);
    bytes[16] = kind as u8;
    bytes[24..40].copy_from_slice(volume.as_bytes());
    bytes[40..56].copy_from_slice(&pack.0);
    let sum = blake3::hash(&bytes[..56]);
    bytes[56..].copy_from_slice(&sum.as_bytes()[..8]);
    bytes
}

/// Checksum of a page: the first 8 bytes of its BLAKE3.
pub(crate) fn page_sum(page: &[u8]) -> [u8; SUM] {
    let mut sum = [0; SUM];
    sum.copy_from_slice(&blake3::hash(page).as_bytes()[..SUM]);
    sum
}

/// Parity pages of a group of `pages` data pages: one, and one more for every 64 begun, up to 16.
pub(crate) fn parity_of_group(pages: usize) -> usize {
    if pages == 0 { 0 } else { (1 + pages.div_ceil(64)).min(PARITY_PAGES) }
}

/// Where everything is in a pack with a given number of data pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) data_pages: usize,
    pub(crate) parity_pages: usize,
    /// Of one trailer.
    pub(crate) trailer_pages: usize,
}

impl Layout {
    pub(crate) fn new(data_pages: usize) -> Self {
        let full = data_pages / PARITY_GROUP * parity_of_group(PARITY_GROUP);
        let parity_pages = full + parity_of_group(data_pages % PARITY_GROUP);
        let trailer = TRAILER_HEAD + SUM * (data_pages + parity_pages) + HASH;
        Self { data_pages, parity_pages, trailer_pages: trailer.div_ceil(PAGE) }
    }

    /// The layout of an object of `length` bytes; `None`: no pack is that long.
    pub(crate) fn of_length(length: u64) -> Option<Self> {
        if length > PACK_MAX || !length.is_multiple_of(PAGE as u64) {
            return None;
        }
        let pages = usize::try_from(length).ok()? / PAGE;
        // The total grows with the number of data pages, so the right one is found by halving.
        let (mut low, mut high) = (1, pages);
        while low < high {
            let middle = usize::midpoint(low, high);
            if Self::new(middle).pages() < pages { low = middle + 1 } else { high = middle }
        }
        Some(Self::new(low)).filter(|layout| layout.pages() == pages)
    }

    pub(crate) fn pages(&self) -> usize {
        self.data_pages + self.parity_pages + 2 * self.trailer_pages
    }

    /// Byte offsets of the two trailers.
    pub(crate) fn trailers(&self) -> [u64; 2] {
        let first = self.data_pages + self.parity_pages;
        [(first * PAGE) as u64, ((first + self.trailer_pages) * PAGE) as u64]
    }

    /// The groups: number of the first data page, how many, number of the first parity page, how many.
    pub(crate) fn groups(&self) -> impl Iterator<Item = Group> {
        let (data_pages, mut parity) = (self.data_pages, self.data_pages);
        (0..data_pages).step_by(PARITY_GROUP).map(move |first| {
            let count = (data_pages - first).min(PARITY_GROUP);
            let group = Group { first, count, parity, parity_count: parity_of_group(count) };
            parity += group.parity_count;
            group
        })
    }
}

/// Pages that share parity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) first: usize,
    pub(crate) count: usize,
    pub(crate) parity: usize,
    pub(crate) parity_count: usize,
}

/// What stands at a pack's end, twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trailer {
    pub(crate) kind: PackKind,
    pub(crate) volume: VolumeId,
    pub(crate) pack: PackId,
    pub(crate) index_offset: u32,
    pub(crate) index_length: u32,
    /// Of every data page, then of every parity page.
    pub(crate) sums: Vec<[u8; SUM]>,
}

impl Trailer {
    pub(crate) fn encode(&self, layout: &Layout) -> Vec<u8> {
        let mut bytes = vec![0; layout.trailer_pages * PAGE];
        bytes[..16].copy_from_slice(TRAILER_MAGIC);
        bytes[16] = self.kind as u8;
        bytes[20..24].copy_from_slice(&(layout.data_pages as u32).to_le_bytes());
        bytes[24..28].copy_from_slice(&self.index_offset.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.index_length.to_le_bytes());
        bytes[32..48].copy_from_slice(self.volume.as_bytes());
        bytes[48..64].copy_from_slice(&self.pack.0);
        for (place, sum) in bytes[TRAILER_HEAD..].chunks_exact_mut(SUM).zip(&self.sums) {
            place.copy_from_slice(sum);
        }
        let end = bytes.len() - HASH;
        let hash = blake3::hash(&bytes[..end]);
        bytes[end..].copy_from_slice(hash.as_bytes());
        bytes
    }

    pub(crate) fn parse(bytes: &[u8], layout: &Layout) -> Option<Self> {
        if bytes.len() != layout.trailer_pages * PAGE || !bytes.starts_with(TRAILER_MAGIC) {
            return None;
        }
        let (body, hash) = bytes.split_at_checked(bytes.len() - HASH)?;
        if blake3::hash(body).as_bytes() != hash {
            return None;
        }
        let word = |at: usize| Some(u32::from_le_bytes(body.get(at..at + 4)?.try_into().ok()?));
        if word(20)? as usize != layout.data_pages {
            return None;
        }
        let sums = layout.data_pages + layout.parity_pages;
        let sums = body[TRAILER_HEAD..].chunks_exact(SUM).take(sums).map(|sum| sum.try_into().ok());
        let trailer = Self {
            kind: PackKind::of(body[16])?,
            volume: VolumeId::from_bytes(body.get(32..48)?.try_into().ok()?),
            pack: PackId(body.get(48..64)?.try_into().ok()?),
            index_offset: word(24)?,
            index_length: word(28)?,
            sums: sums.collect::<Option<_>>()?,
        };
        let end = u64::from(trailer.index_offset) + u64::from(trailer.index_length);
        (end <= (layout.data_pages * PAGE) as u64).then_some(trailer)
    }
}

/// The payload of a pack's index. Offsets are not written: frames lie one behind the other from byte 64 on. In the part of a
/// vault zeros follow.
pub(crate) fn encode_index(frames: &[PackedFrame]) -> Vec<u8> {
    let mut out = Vec::new();
    put_number(&mut out, frames.len() as u64);
    for packed in frames {
        put_number(&mut out, u64::from(packed.length));
        put_number(&mut out, u64::from(packed.plain_length));
        put_number(&mut out, packed.blobs.len() as u64);
        for (id, length) in &packed.blobs {
            out.extend_from_slice(&id.0);
            put_number(&mut out, u64::from(*length));
        }
    }
    out
}

/// Reads the payload of a pack's index.
pub fn parse_index(bytes: &[u8]) -> Option<Vec<PackedFrame>> {
    let mut input = Input(bytes);
    let count = input.count(3)?;
    let mut frames = Vec::with_capacity(count);
    let mut offset = HEADER as u32;
    for _ in 0..count {
        let length: u32 = input.small()?;
        let plain_length: u32 = input.small()?;
        let blobs = input.count(33)?;
        if (length as usize) < frame::HEADER || plain_length as usize > FRAME_MAX || blobs > FRAME_BLOBS_MAX {
            return None;
        }
        let blobs = (0..blobs).map(|_| Some((BlobId(input.hash()?), input.small()?))).collect::<Option<Vec<_>>>()?;
        let sum: u64 = blobs.iter().map(|(_, length)| u64::from(*length)).sum();
        if sum > u64::from(plain_length) {
            return None;
        }
        frames.push(PackedFrame { offset, length, plain_length, blobs });
        offset = offset.checked_add(length)?;
    }
    // Zeros may follow: filling.
    input.0.iter().all(|byte| *byte == 0).then_some(frames)
}

/// How the payload of a data or metadata frame begins: how many blobs, how long each. Their bytes follow.
pub(crate) fn frame_directory(lengths: impl ExactSizeIterator<Item = usize>) -> Vec<u8> {
    let mut out = Vec::with_capacity(3 * lengths.len() + 3);
    put_number(&mut out, lengths.len() as u64);
    lengths.for_each(|length| put_number(&mut out, length as u64));
    out
}

/// Where each blob lies in a frame's payload: start and end.
pub fn parse_frame_payload(payload: &[u8]) -> Option<Vec<(usize, usize)>> {
    let mut input = Input(payload);
    let count = input.count(1).filter(|count| *count <= FRAME_BLOBS_MAX)?;
    let lengths = (0..count).map(|_| input.small::<usize>()).collect::<Option<Vec<_>>>()?;
    let mut start = payload.len() - input.0.len();
    let mut ranges = Vec::with_capacity(count);
    for length in lengths {
        let end = start.checked_add(length).filter(|end| *end <= payload.len())?;
        ranges.push((start, end));
        start = end;
    }
    (start == payload.len()).then_some(ranges)
}

/// For fuzzing: every parser of a pack's parts, on any bytes.
pub fn fuzz_pack(bytes: &[u8]) {
    if let Some(frames) = parse_index(bytes) {
        assert_eq!(parse_index(&encode_index(&frames)), Some(frames));
    }
    let _ = parse_frame_payload(bytes);
    let _ = frame::FrameHeader::parse(bytes);
    if let Some(layout) = Layout::of_length(bytes.len() as u64) {
        let trailer = &bytes[layout.trailers()[0] as usize..layout.trailers()[1] as usize];
        let _ = Trailer::parse(trailer, &layout);
    }
}

#[cfg(test)]
mod tests;
