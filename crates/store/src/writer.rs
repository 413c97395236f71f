//! Writing into a volume: a registered session, shared by threads that each have a lane of their own.

use crate::{entry::BlobId, error::StoreError, tree::TreeWriter};

/// A registered writer of a volume. `&Session` is shared by all threads of a backup.
pub struct Session {}

impl Session {
    /// A lane for one thread: blobs put into one lane one after the other lie side by side in a frame.
    pub fn lane(&self) -> Lane<'_> {
        todo!()
    }

    /// Starts the stream of entries of a point. Entries must be pushed in path order ([`resurgam_model::BytePath`]).
    pub fn tree(&self) -> TreeWriter<'_> {
        todo!()
    }

    /// The cutter for large files; a value that each thread may copy.
    pub fn chunker(&self) -> &Chunker {
        todo!()
    }
}

/// One thread's way into the volume.
pub struct Lane<'a> {
    _session: &'a Session,
}

impl Lane<'_> {
    /// Stores `bytes` (at most [`crate::limits::BLOB_MAX`]) as a blob unless the volume has it.
    pub fn put(&mut self, _bytes: &[u8]) -> Result<BlobId, StoreError> {
        todo!()
    }

    /// Sends the open frame on its way. Call it before the lane is dropped.
    pub fn flush(&mut self) -> Result<(), StoreError> {
        todo!()
    }
}

/// Finds content-defined boundaries.
pub struct Chunker {}

impl Chunker {
    /// Length of the first chunk of `bytes`, which must hold at least [`crate::limits::BLOB_MAX`] bytes or all that is
    /// left of the file. Never 0 unless `bytes` is empty.
    pub fn cut(&self, _bytes: &[u8]) -> usize {
        todo!()
    }
}
