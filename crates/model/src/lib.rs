//! The words of the field as types, and the decisions that need nothing but data.
//!
//! What this crate promises: every function here is pure. No clock, no randomness, no files, no network: times and
//! random bytes come in as arguments, so that each rule can be tested on every input.
//!
//! What it must not know: how anything is stored, listed, fetched or shown.

pub mod alert;
pub mod bytepath;
pub mod charter;
pub mod id;
pub mod lineage;
pub mod point;
pub mod policy;
pub mod reconcile;
pub mod replica;
pub mod report;
pub mod retention;
pub mod role;
pub mod schedule;
pub mod size;
pub mod transfer;
pub mod words;

pub use bytepath::BytePath;
pub use id::{GroupId, JobId, LineageId, PointId, ReplicaId, ServerId, SourceId, VaultId, VolumeId};
pub use jiff::Timestamp;
