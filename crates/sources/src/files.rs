//! Folder trees as a data source: walking, reading, and putting back, with all that a Linux file system knows of a file.
//!
//! The way in: [`walk`] lists directories by handle and hands on batches of entries in path order; [`capture`] joins
//! them with the previous point, gives what is new to worker threads ([`item`]), and puts the entries back in order.
//! The way out: [`restore`] streams a point's entries, makes directories as it goes, and gives the rest to workers.

mod attributes;
pub mod capture;
mod collector;
mod content;
mod filter;
mod handle;
mod in_place;
mod item;
mod kinds;
mod large;
mod links;
mod listing;
mod moment;
mod notes;
mod owners;
mod prefetch;
mod previous;
pub mod restore;
mod runs;
mod scout;
mod stat;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
#[cfg(test)]
mod tests;
mod walk;
mod workers;

pub use capture::{Capture, Captured, NeverEntered, capture};
pub use filter::check_selection;
pub use restore::{Conflict, Restore, Restored, restore};
