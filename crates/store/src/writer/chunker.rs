//! Content-defined cutting: FastCDC with a gear table of the server's own, so that lengths of chunks tell nobody what
//! is in them.

use fastcdc::v2020::{Normalization, cut_gear, select_masks};

use crate::{
    keys::Derived,
    limits::{CHUNK_MAX, CHUNK_MIN, CHUNK_TARGET},
};

/// Finds content-defined boundaries.
pub struct Chunker {
    gear: [u64; 256],
    /// The same, shifted left by one: the library looks at two bytes at a time.
    gear_shifted: [u64; 256],
    mask_small: u64,
    mask_large: u64,
}

impl Chunker {
    pub(crate) fn new(keys: &Derived) -> Self {
        let gear = keys.gear();
        let (mask_small, mask_large) = select_masks(CHUNK_TARGET, Normalization::Level1);
        Self { gear, gear_shifted: gear.map(|word| word << 1), mask_small, mask_large }
    }

    /// Length of the first chunk of `bytes`, which must hold at least [`CHUNK_MAX`] bytes or all that is left of the
    /// file. Never 0 unless `bytes` is empty.
    pub fn cut(&self, bytes: &[u8]) -> usize {
        let (_, length) = cut_gear(
            bytes,
            CHUNK_MIN,
            CHUNK_TARGET,
            CHUNK_MAX,
            self.mask_small,
            self.mask_large,
            self.mask_small << 1,
            self.mask_large << 1,
            &self.gear,
            &self.gear_shifted,
        );
        length.clamp(bytes.len().min(1), bytes.len().min(CHUNK_MAX))
    }
}
