//! What a server does: makes recovery points, recovers them, verifies, expires and prunes. The command line, and later
//! the daemon, call the verbs of [`Server`] and show what they answer; no rule lives in a handler.
//!
//! What it promises: a job is a row in the catalog with a lease; whatever way it ends, the next one needs no repair by
//! hand. What a volume holds is the truth, the catalog a view of it: points that a volume has and the catalog lacks are
//! adopted at the next backup.
//!
//! What it must not know: terminals, arguments, HTTP.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub use resurgam_sources::files::Conflict;
pub use resurgam_store::{Cancel, Meter};

mod backup;
mod browse;
pub mod capsule;
mod contact;
pub mod dpmdb;
pub mod error;
mod expire;
mod external;
mod facts;
mod freeze;
mod groups;
pub mod home;
mod job;
mod load;
mod native;
mod online;
mod points;
mod prune;
mod reader;
mod recover;
mod scripts;
mod server;
mod sources;
mod stores;
mod survivability;
mod vault;
mod verify;
mod volumes;

pub use backup::{LOADED, point_record};
pub use error::JobError;
pub use external::External;
pub use facts::kit;
pub use native::{CATALOG_BACKUP, CatalogBackup};
pub use online::{ONLINE_BACKUP, OnlineChange};
pub use reader::VolumeReader;
pub use recover::Recover;
pub use server::{Access, Environment, Server};
pub use sources::{Protect, Scope, SourceChange, current_replica};
pub use stores::{PlaceLimits, Stores};
pub use survivability::read_about;
pub use vault::{
    LimitsChange, check_passphrase, check_vault, create_vault, generate_passphrase, issue_credentials, load_carried,
    make_pin,
};
pub use verify::Verify;
pub use volumes::{is_clear, role_of};

#[cfg(test)]
mod tests;
