//! Reed-Solomon parity over the pages of a group.

use reed_solomon_simd::{ReedSolomonDecoder, ReedSolomonEncoder};

use super::parity_of_group;
use crate::{error::StoreError, limits::PAGE};

fn refused(error: reed_solomon_simd::Error) -> StoreError {
    StoreError::Internal(format!("the parity code refused its input: {error}"))
}

/// Makes parity, one group after the other, in memory that it keeps.
#[derive(Default)]
pub(crate) struct Parity {
    encoder: Option<ReedSolomonEncoder>,
}

impl Parity {
    /// The parity pages of a group, given its data pages one behind the other.
    pub(crate) fn of(&mut self, group: &[u8]) -> Result<Vec<u8>, StoreError> {
        let pages = group.len() / PAGE;
        let count = parity_of_group(pages);
        let encoder = match &mut self.encoder {
            Some(encoder) => {
                encoder.reset(pages, count, PAGE).map_err(refused)?;
                encoder
            }
            none => none.insert(ReedSolomonEncoder::new(pages, count, PAGE).map_err(refused)?),
        };
        for page in group.chunks_exact(PAGE) {
            encoder.add_original_shard(page).map_err(refused)?;
        }
        let result = encoder.encode().map_err(refused)?;
        let mut parity = Vec::with_capacity(count * PAGE);
        for page in result.recovery_iter() {
            parity.extend_from_slice(page);
        }
        Ok(parity)
    }
}

/// A page that was missing, by its number in the group, and its bytes.
pub(crate) type Restored = (usize, Vec<u8>);

/// Puts the missing pages of a group right. `None` in `data` and `parity` are pages that are damaged.
/// Returns the pages that were missing, by number; `None` where too many are.
pub(crate) fn mend(data: &[Option<&[u8]>], parity: &[Option<&[u8]>]) -> Result<Option<Vec<Restored>>, StoreError> {
    let lost = data.iter().filter(|page| page.is_none()).count();
    if lost == 0 {
        return Ok(Some(Vec::new()));
    }
    if lost > parity.iter().filter(|page| page.is_some()).count() {
        return Ok(None);
    }
    let mut decoder = ReedSolomonDecoder::new(data.len(), parity.len(), PAGE).map_err(refused)?;
    for (number, page) in data.iter().enumerate() {
        if let Some(page) = page {
            decoder.add_original_shard(number, page).map_err(refused)?;
        }
    }
    for (number, page) in parity.iter().enumerate() {
        if let Some(page) = page {
            decoder.add_recovery_shard(number, page).map_err(refused)?;
        }
    }
    let result = decoder.decode().map_err(refused)?;
    Ok(Some(result.restored_original_iter().map(|(number, page)| (number, page.to_vec())).collect()))
}
