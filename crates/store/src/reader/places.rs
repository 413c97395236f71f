//! In which order a file is put together: blob by blob, and the blobs of a frame together, when the first of them is due. So a
//! file that was changed in many places at many times is read without opening a frame, or proving a blob, for each of them; any
//! other comes in its order.

use std::collections::HashMap;

use super::{
    Reader,
    fetched::{Key, key_of},
};
use crate::{
    entry::{BlobId, Content, Extent},
    error::StoreError,
};

/// Bytes of a file whose extents are put in order at a time: a frame holds the changes of as much where one page in 4,000
/// changes from point to point.
const TOGETHER_BYTES: u64 = 1 << 30;
/// And extents, which bounds the memory to 10 MiB.
const TOGETHER_MAX: usize = 1 << 17;

/// A blob, and where its bytes go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobPlaces {
    /// The blob.
    pub blob: BlobId,
    /// At least one.
    pub places: Vec<Place>,
}

/// Bytes of a blob in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Position in the file.
    pub at: u64,
    /// First byte within the blob.
    pub offset: u32,
    /// Bytes.
    pub length: u32,
}

/// Extents of a part of a file, as they come.
#[derive(Default)]
struct Together {
    blobs: Vec<BlobPlaces>,
    /// When each blob is due, by its frame.
    turns: Vec<usize>,
    known: HashMap<BlobId, usize>,
    frames: HashMap<Key, usize>,
    extents: usize,
    from: u64,
}

impl Together {
    fn push(&mut self, reader: &Reader, blob: BlobId, place: Place) {
        self.extents += 1;
        let next = self.blobs.len();
        let number = *self.known.entry(blob).or_insert(next);
        if number < next {
            self.blobs[number].places.push(place);
            return;
        }
        self.blobs.push(BlobPlaces { blob, places: vec![place] });
        let frame = reader.index().find(&blob).map(|at| key_of(&at));
        self.turns.push(frame.map_or(next, |frame| *self.frames.entry(frame).or_insert(next)));
    }

    fn is_enough(&self, position: u64) -> bool {
        self.extents >= TOGETHER_MAX || position - self.from >= TOGETHER_BYTES
    }

    fn pass_on(
        &mut self,
        position: u64,
        each: &mut dyn FnMut(Vec<BlobPlaces>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let Self { blobs, turns, .. } = std::mem::take(self);
        self.from = position;
        let mut in_order: Vec<(usize, BlobPlaces)> = turns.into_iter().zip(blobs).collect();
        in_order.sort_by_key(|(turn, _)| *turn);
        let mut left = in_order.into_iter().peekable();
        while let Some((turn, first)) = left.next() {
            let mut together = vec![first];
            while let Some((_, more)) = left.next_if(|(next, _)| *next == turn) {
                together.push(more);
            }
            each(together)?;
        }
        Ok(())
    }
}

impl Reader {
    /// Calls `each` for every blob of `content` with its places, those of a frame together; returns the bytes of the file,
    /// holes included. Within a gigabyte, each blob comes once.
    ///
    /// # Errors
    /// Those of `each`, and of reading lists.
    pub fn places(
        &self,
        content: &Content,
        each: &mut dyn FnMut(Vec<BlobPlaces>) -> Result<(), StoreError>,
    ) -> Result<u64, StoreError> {
        // Most files are one blob.
        if let Content::Extents(extents) = content
            && let [Extent::Data { blob, offset, length: length @ 1.. }] = extents[..]
        {
            each(vec![BlobPlaces { blob, places: vec![Place { at: 0, offset, length }] }])?;
            return Ok(u64::from(length));
        }
        let (mut position, mut together) = (0_u64, Together::default());
        self.extents(content, &mut |extent| {
            if let Extent::Data { blob, offset, length } = extent {
                together.push(self, blob, Place { at: position, offset, length });
            }
            position = position.saturating_add(extent.length());
            if together.is_enough(position) { together.pass_on(position, each) } else { Ok(()) }
        })?;
        together.pass_on(position, each)?;
        Ok(position)
    }
}

#[cfg(test)]
mod tests;
