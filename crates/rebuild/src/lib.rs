//! Everything about losing the server and getting it back: the recovery kit, finding and restoring copies of the catalog,
//! reconciling it with the volumes, and rehearsing all of that.
//!
//! What it promises
//! - Whatever stands in the place of something restored is set aside, never overwritten; no step deletes.
//! - A copy is looked at and proved before it is taken, and what was looked at and refused is told with its reason.
//! - Killed anywhere, done again it ends right.
//!
//! What it must not know: the network, the console, terminals and arguments.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod drill;
pub mod kit;
pub mod locate;
pub mod recovery_kit;
pub mod restore;
pub mod sync;
mod unpack;

#[cfg(test)]
mod scene;
