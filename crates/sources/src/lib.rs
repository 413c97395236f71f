//! What can be protected, and how it is put back. Today: folder trees ([`files`]), and the scripts around a source's jobs
//! ([`scripting`]).
//!
//! What it promises
//! - An entry that was stored without being named as unread or torn is the file as it was at one moment.
//! - What could not be read, was left out, or could not be put back as it was, is named; nothing is skipped in silence.
//! - Restoring writes only below its target, never through a symbolic link that it did not make, and a file appears
//!   under its name only when it is whole.
//!
//! What it must not know: servers, groups, schedules, the catalog, who asked, and how a volume keeps what it is given.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod error;
pub mod files;
pub mod scripting;

pub use error::SourceError;
