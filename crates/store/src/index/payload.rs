//! A segment's payload as it lies in memory: looked through once, and read from where it is. A long segment is turned into
//! a table this way without a second copy of it.

use super::{BLOB_BYTES, FRAME_BYTES, IndexedBlob, IndexedFrame, IndexedPack, PACK_BYTES, Segment};
use crate::{
    codec::Input,
    entry::BlobId,
    limits::FRAME_MAX,
    pack::{PackId, PackKind},
};

/// A payload that makes sense.
pub(crate) struct Payload<'a> {
    pub(crate) packs: Vec<IndexedPack>,
    frames: &'a [[u8; FRAME_BYTES]],
    blobs: &'a [[u8; BLOB_BYTES]],
}

impl<'a> Payload<'a> {
    /// Looks through a payload. `None`: it makes no sense.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut input = Input(bytes);
        let [packs, frames, blobs] = input.take(12)?.as_chunks().0 else { return None };
        let [packs, frames, blobs] = [packs, frames, blobs].map(|count| u32::from_le_bytes(*count) as usize);
        let packs = input.take(packs.checked_mul(PACK_BYTES)?)?.as_chunks().0;
        let frames = input.take(frames.checked_mul(FRAME_BYTES)?)?.as_chunks().0;
        let blobs = input.take(blobs.checked_mul(BLOB_BYTES)?)?.as_chunks().0;
        // Zeros may follow: filling.
        let payload = Self { packs: packs.iter().map(parse_pack).collect::<Option<_>>()?, frames, blobs };
        (input.0.iter().all(|byte| *byte == 0) && payload.is_sound()).then_some(payload)
    }

    fn is_sound(&self) -> bool {
        let mut frames = (0..self.frames.len()).map(|number| self.frame(number));
        let fits = |blob: &IndexedBlob| {
            (blob.frame as usize) < self.frames.len()
                && u64::from(self.frame(blob.frame as usize).plain_length)
                    >= u64::from(blob.start) + u64::from(blob.length)
        };
        frames.all(|frame| (frame.pack as usize) < self.packs.len() && frame.plain_length as usize <= FRAME_MAX)
            && self.blobs().all(|blob| fits(&blob))
            && self.blobs.is_sorted_by(|one, next| one[..32] <= next[..32])
    }

    pub(crate) fn frames(&self) -> usize {
        self.frames.len()
    }

    pub(crate) fn frame(&self, number: usize) -> IndexedFrame {
        let [pack, offset, length, plain_length] = words(&self.frames[number]);
        IndexedFrame { pack, offset, length, plain_length }
    }

    pub(crate) fn blobs(&self) -> impl ExactSizeIterator<Item = IndexedBlob> + '_ {
        self.blobs.iter().map(|bytes| {
            let (id, rest) = split_id(bytes);
            let [frame, start, length] = words(rest);
            IndexedBlob { id, frame, start, length }
        })
    }

    pub(crate) fn to_segment(&self) -> Segment {
        Segment {
            packs: self.packs.clone(),
            frames: (0..self.frames.len()).map(|number| self.frame(number)).collect(),
            blobs: self.blobs().collect(),
        }
    }
}

fn parse_pack(bytes: &[u8; PACK_BYTES]) -> Option<IndexedPack> {
    let mut input = Input(bytes);
    let id = PackId(input.take(16)?.try_into().ok()?);
    let kind = match input.take(8)? {
        [0, 0, 0, 0, 0, 0, 0, 0] => PackKind::Data,
        [1, 0, 0, 0, 0, 0, 0, 0] => PackKind::Meta,
        _ => return None,
    };
    Some(IndexedPack { id, kind, length: u64::from_le_bytes(input.take(8)?.try_into().ok()?) })
}

/// The name at the beginning of an entry, and what follows it.
fn split_id(bytes: &[u8; BLOB_BYTES]) -> (BlobId, &[u8]) {
    let (mut id, (first, rest)) = ([0; 32], bytes.split_at(32));
    id.copy_from_slice(first);
    (BlobId(id), rest)
}

/// Numbers of four bytes; what `bytes` lack is zero.
pub(super) fn words<const N: usize>(bytes: &[u8]) -> [u32; N] {
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}

/// The bytes of packs, in payloads and tables.
pub(super) fn encode_packs(packs: &[IndexedPack], out: &mut Vec<u8>) {
    for pack in packs {
        out.extend_from_slice(&pack.id.0);
        out.extend_from_slice(&[pack.kind as u8, 0, 0, 0, 0, 0, 0, 0]);
        out.extend_from_slice(&pack.length.to_le_bytes());
    }
}

/// Packs as [`encode_packs`] wrote them.
pub(super) fn parse_packs(bytes: &[u8]) -> Option<Vec<IndexedPack>> {
    let (packs, []) = bytes.as_chunks() else { return None };
    packs.iter().map(parse_pack).collect()
}

/// The payload of a segment. Blobs are sorted by name.
pub(super) fn encode(
    packs: &[IndexedPack],
    frames: &[IndexedFrame],
    blobs: impl ExactSizeIterator<Item = IndexedBlob>,
) -> Vec<u8> {
    let size = 12 + packs.len() * PACK_BYTES + frames.len() * FRAME_BYTES + blobs.len() * BLOB_BYTES;
    let mut out = Vec::with_capacity(size);
    for count in [packs.len(), frames.len(), blobs.len()] {
        out.extend_from_slice(&(count as u32).to_le_bytes());
    }
    encode_packs(packs, &mut out);
    for frame in frames {
        for number in [frame.pack, frame.offset, frame.length, frame.plain_length] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
    for blob in blobs {
        out.extend_from_slice(&blob.id.0);
        for number in [blob.frame, blob.start, blob.length] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
    out
}
