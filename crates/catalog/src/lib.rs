//! DPMDB, the catalog: what the server has decided, and what it knows of its replicas and recovery points.
//!
//! It is the place where processes meet: every command and every daemon opens it, reads and writes through the verbs of
//! [`Catalog`], and closes it. One schema and one text of every query serve SQLite (a file in the server's home) and
//! PostgreSQL (by URL).
//!
//! What this crate promises:
//! - What a verb reported done is durable, and several rows change together or not at all.
//! - Reading writes nothing: with not one byte free on the disk every listing still works.
//! - A database that is damaged, of another program or of a newer schema is refused, named, and left as it is.
//! - A copy of it is proved before it gets its name, opens with stock tools, and restores into either database; what a
//!   restored catalog takes the place of is set aside, never written over.
//! - Every error says what was attempted, on which database, of which class it is ([`Fault`]) and what to do next.
//!
//! What it must not know: how volumes are laid out, what a job does, how anything is shown. No type of the database
//! library leaves this crate; its verbs are synchronous, and it asks no clock: times come in as arguments.
//!
//! # The tables
//!
//! A row is *derived* (a rebuild works it out again from volumes and vaults) or *charter* (what people decided; copied
//! into every volume and vault at each change). There is no third kind.
//!
//! | table | holds | kind |
//! |---|---|---|
//! | `server` | the one identity that this catalog belongs to, without its secret key | charter |
//! | `protection_group` | policies, with their names | charter |
//! | `data_source` | what is protected, and by which group | charter |
//! | `volume` | where the volumes lie, and their descriptions | charter |
//! | `vault` | vaults that the server is registered with | charter |
//! | `setting` | single values, by name | charter |
//! | `catalog_copy` | where copies of the catalog are put | charter |
//! | `drill` | how the last drill of each copy went | charter |
//! | `replica` | what each volume holds of each source, and its state | derived |
//! | `recovery_point` | the points of each replica, with their documents | derived |
//! | `job` | who is doing what now, under a lease; and how past jobs ended. A rebuild derives it as empty: running jobs die with their server, and what ended ones achieved lies in the volumes | derived |
//! | `lineage` | which life of the catalog this is, and whether anything may be deleted in it | its own: a rebuild begins a new one |
//! | `alert` | what is wrong, and lately was | derived |
//! | `agent_patch` | which versions of the program have opened it | derived |
//! | `schema_change`, `seaql_migrations` | which version the schema is, and which program made it so | derived |
//! | `reserve` | nothing: by being filled and emptied it keeps free pages in an SQLite file for a full disk | derived |
//!
//! Names that begin with `tbl_` are those of the document's views: see `schema/m0002_views.rs`, and [`Catalog::query`].

mod alerts;
mod catalog;
mod cells;
mod charter;
mod copies;
mod entity;
mod error;
mod groups;
mod jobs;
mod lineage;
mod location;
mod open_file;
mod points;
mod postgres;
mod query;
mod replicas;
mod restore;
mod rows;
mod schema;
mod server;
mod settings;
mod snapshot;
mod sources;
mod sqlite;
mod tables;
mod vaults;
mod volumes;

pub use alerts::{AlertRecord, Changes};
pub use catalog::Catalog;
pub use charter::{Applied, Apply, CharterChange, CharterKind, CharterRow};
pub use error::{CatalogError, Fault};
pub use jobs::{Holder, JobRecord, JobState, NewJob, UnknownJobState};
pub use location::{InvalidLocation, Location};
pub use points::{PointEntry, PointRecord};
pub use query::QueryResult;
pub use replicas::ReplicaRecord;
pub use restore::{Building, Restored, create_new, restore};
pub use rows::{RowChange, RowDifference, Rows};
pub use schema::SCHEMA_VERSION;
pub use server::ServerRecord;
pub use snapshot::{Snapshot, SnapshotKind, inspect};
pub use volumes::VolumeRecord;

#[cfg(test)]
mod tests;
