//! The entries of a recovery point: one stream in path order, kept as pages that points share.
//!
//! Entries are cut into pages where the hash of an entry's path says so: a change touches the page that it is in and
//! no other. Pages are named by directory pages, cut in the same way, up to a single root. `docs/format/` has the
//! bytes; [`page`] reads and writes one page, [`write`](mod@write) makes a tree, [`read`] walks one.

mod content;
pub mod page;
mod read;
pub mod region;
mod write;

pub use content::fuzz_list;
#[cfg(test)]
pub(crate) use content::list_of_extents;
pub(crate) use content::{List, parse as parse_list, walk as walk_extents};
pub(crate) use read::parse_page;
pub use read::{Origin, TreeReader};
pub use write::TreeWriter;

use crate::entry::BlobId;

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

#[cfg(test)]
mod tests;
