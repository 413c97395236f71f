//! The volume engine: blobs, frames, packs, index, pages of entries, recovery points, keys; writing, reading,
//! verifying, mending and collecting. `docs/format/` specifies every byte that this crate leaves on a disk.
//!
//! What it promises
//! - A point that [`Session::commit`] returned is durable, and so is all that it refers to.
//! - What [`Reader`] returns has been proved against its hash.
//! - Nothing that a point or a registered writer may need is ever deleted ([`collect`]'s head has the table).
//!
//! What it must not know: what a data source is, what the catalog says, who asked, what time it is.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod backend;
pub mod capsule;
pub mod carried;
mod codec;
pub mod collect;
pub mod copy;
pub mod deleted;
pub mod document;
pub mod enrol;
pub mod entry;
pub mod error;
pub mod estimate;
pub mod frame;
pub mod index;
pub mod keyring;
pub mod keys;
pub mod limits;
mod load;
pub mod meter;
pub mod pack;
mod parallel;
pub mod point;
pub mod reader;
#[cfg(feature = "testkit")]
pub mod scale;
pub mod survey;
pub mod tree;
pub mod vault;
pub mod verify;
pub mod volume;
pub mod writer;

pub use copy::copy_tree;
pub use entry::{BlobId, Content, Entry, Extent, FileTime, Kind, ListRef, Owner, Seen, Xattr};
pub use error::StoreError;
pub use estimate::{Estimate, estimate};
pub use meter::{Cancel, Meter};
pub use reader::Reader;
pub use survey::Survey;
pub use tree::{Origin, TreeReader, TreeRoot, TreeWriter};
pub use volume::Volume;
pub use writer::{Chunker, Lane, NewPoint, Session};

#[cfg(test)]
mod tests;

#[cfg(test)]
mod fuzz_smoke;

#[cfg(test)]
mod golden;
