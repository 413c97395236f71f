//! Where the names of a segment that begin with the same bits are. Names are hashes, so a few comparisons find one of
//! them; searching the whole segment would miss the processor's cache at nearly every step.

use std::ops::Range;

use crate::entry::BlobId;

/// More first bits would be a longer list than any segment needs.
pub(super) const BITS_MAX: u32 = 24;

#[derive(Debug)]
pub(crate) struct Fanout {
    /// Bits that count.
    bits: u32,
    /// Position of the first name that begins with each number of so many bits, and the number of all names.
    starts: Vec<u32>,
}

impl Fanout {
    /// Over sorted names, `together` of which share their first bits on average.
    pub(super) fn of(ids: impl ExactSizeIterator<Item = BlobId>, together: usize) -> Self {
        let count = ids.len();
        let bits = (count / together).max(1).ilog2().min(BITS_MAX);
        let mut starts = Vec::with_capacity((1 << bits) + 1);
        for (position, id) in ids.enumerate() {
            while starts.len() <= first_bits(&id, bits) {
                starts.push(position as u32);
            }
        }
        starts.resize((1 << bits) + 1, count as u32);
        Self { bits, starts }
    }

    /// From what [`Fanout::starts`] gave. `None`: it is no list of starts of `count` names.
    pub(super) fn from_starts(bits: u32, starts: Vec<u32>, count: u32) -> Option<Self> {
        let sound = bits <= BITS_MAX
            && starts.len() == (1 << bits) + 1
            && starts.first() == Some(&0)
            && starts.last() == Some(&count)
            && starts.is_sorted();
        sound.then_some(Self { bits, starts })
    }

    pub(super) fn bits(&self) -> u32 {
        self.bits
    }

    pub(super) fn starts(&self) -> &[u32] {
        &self.starts
    }

    /// Positions of the names that begin as this one does.
    pub(super) fn near(&self, id: &BlobId) -> Range<usize> {
        let number = first_bits(id, self.bits);
        self.starts[number] as usize..self.starts[number + 1] as usize
    }
}

/// The number that the first 64 bits of a name are.
pub(super) fn head_of(id: &BlobId) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = id.0;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// The number that the first `bits` bits of a name are.
fn first_bits(id: &BlobId, bits: u32) -> usize {
    // In two steps: by all 64 bits nothing can be shifted.
    (head_of(id) >> 1 >> (63 - bits)) as usize
}
