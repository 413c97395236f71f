//! Reading from a volume: blobs, proved by their hashes, mended from parity on the way where that is enough.

use std::sync::Arc;

use crate::{
    entry::{BlobId, Content, Extent},
    error::StoreError,
};

/// Reads blobs of a volume. `&Reader` is shared by threads; it keeps the frames that were decoded last.
pub struct Reader {}

/// The bytes of a blob, inside the decoded frame that holds it.
#[derive(Clone)]
pub struct BlobBytes {
    frame: Arc<Vec<u8>>,
    start: usize,
    end: usize,
}

impl std::ops::Deref for BlobBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.frame[self.start..self.end]
    }
}

impl Reader {
    /// The blob, proved.
    pub fn blob(&self, _id: &BlobId) -> Result<BlobBytes, StoreError> {
        todo!()
    }

    /// Calls `each` for every extent of `content` in the order of the file, reading lists as needed ([`Content::Inline`]
    /// has none). A long list is never in memory as a whole.
    pub fn extents(
        &self,
        _content: &Content,
        _each: &mut dyn FnMut(Extent) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        todo!()
    }
}
