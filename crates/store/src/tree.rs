//! The entries of a recovery point: one stream in path order, kept as pages that points share.

use resurgam_model::BytePath;

use crate::{
    entry::{BlobId, Content, Entry, Extent},
    error::StoreError,
    reader::Reader,
    writer::Session,
};

/// Where the stream of a point begins, and its sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeRoot {
    /// The topmost page.
    pub page: BlobId,
    /// Its level; 0: it holds entries.
    pub level: u8,
    /// Entries in all.
    pub entries: u64,
    /// Entries that are not directories.
    pub files: u64,
    /// Bytes of content, holes included.
    pub bytes: u64,
}

/// Takes entries in path order and makes the pages of a point.
pub struct TreeWriter<'a> {
    _session: &'a Session,
}

impl TreeWriter<'_> {
    /// Adds the next entry.
    ///
    /// # Errors
    /// Where it is not behind the last one in path order, or the store fails.
    pub fn push(&mut self, _entry: &Entry) -> Result<(), StoreError> {
        todo!()
    }

    /// Turns a list of extents into content: kept in the entry where it is short, in list blobs where it is long.
    pub fn content(&mut self, _extents: Vec<Extent>) -> Result<Content, StoreError> {
        todo!()
    }

    /// Ends the stream.
    pub fn finish(self) -> Result<TreeRoot, StoreError> {
        todo!()
    }
}

/// Reads the entries of a point in path order. An iterator; after an error it goes on with the next page that can be
/// read, so that one lost page does not hide the rest.
pub struct TreeReader<'a> {
    _reader: &'a Reader,
}

impl<'a> TreeReader<'a> {
    /// All entries.
    pub fn new(_reader: &'a Reader, _root: &TreeRoot) -> Self {
        todo!()
    }

    /// Only `path` and what lies below it.
    pub fn below(_reader: &'a Reader, _root: &TreeRoot, _path: &BytePath) -> Self {
        todo!()
    }
}

impl Iterator for TreeReader<'_> {
    type Item = Result<Entry, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        todo!()
    }
}
