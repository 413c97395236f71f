//! Copies of the catalog: written, proved, and known again.
//!
//! A copy is a file that stock tools open: an SQLite database, or an archive of `pg_dump`. It gets its name only when it
//! is proved and durable, so whatever has the name of a copy is one.

pub(crate) mod copy_text;
pub(crate) mod dump;
pub(crate) mod partial;
mod sqlite_copy;
mod stamp;

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::Path,
};

use resurgam_model::{Timestamp, lineage::Lineage};

use crate::{Catalog, CatalogError, Fault, ServerRecord, catalog, open_file::is_open_here, sqlite};
use partial::Partial;

pub(crate) use sqlite_copy::keep_before_migration;

/// What kind of file a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SnapshotKind {
    /// An SQLite database.
    Sqlite,
    /// An archive of `pg_dump`, in its custom format.
    PgDump,
}

/// What a copy of the catalog holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// What kind of file it is.
    pub kind: SnapshotKind,
    /// The version of its schema.
    pub version: i64,
    /// The version of the program that made that schema.
    pub program: String,
    /// The server that it belongs to.
    pub server: Option<ServerRecord>,
    /// Its lineage; `None` in copies of schema 1.
    pub lineage: Option<Lineage>,
    /// How many rows each table has.
    pub rows: BTreeMap<String, u64>,
    /// Time of the newest recovery point that it knows.
    pub newest_point: Option<Timestamp>,
    /// Size of the file, in bytes.
    pub bytes: u64,
}

impl Catalog {
    /// Writes a copy of the catalog as it is now to a new file, readable by its owner only. It is proved before it gets
    /// its name: sound, of the same schema, with the same number of rows in every table. No volume is needed, and other
    /// processes may go on.
    ///
    /// # Errors
    /// [`Fault::Conflict`] where `to` is there already; [`Fault::Corrupt`] where the catalog is damaged; and where it
    /// cannot be read or the copy not written. Nothing is then left behind.
    pub fn snapshot(&self, to: &Path) -> Result<Snapshot, CatalogError> {
        self.run(&format!("write a copy of the catalog to {}", to.display()), async |db| {
            if to.symlink_metadata().is_ok() {
                return Err(partial::taken(to));
            }
            let partial = Partial::beside(to)?;
            let snapshot = if sqlite::is_sqlite(db) {
                sqlite_copy::write(db, partial.path()).await?
            } else {
                dump::write(db, self.location(), partial.path()).await?
            };
            partial.publish_new()?;
            Ok(snapshot)
        })
    }
}

/// Recognises a copy of a catalog by what it holds, and proves it. Nothing is changed, neither the file nor anything
/// beside it, and nothing beside it is taken into account.
///
/// # Errors
/// [`Fault::NotFound`] where there is no such file, [`Fault::Empty`] where nothing is in it, [`Fault::Unrecognised`]
/// where it is of another kind, [`Fault::Foreign`] where it is a database of another program, [`Fault::Corrupt`] where it
/// is damaged, [`Fault::Newer`] where a newer program made it, and [`Fault::Locked`] where this very process has it open.
pub fn inspect(path: &Path) -> Result<Snapshot, CatalogError> {
    let inspected = catalog::runtime().and_then(|runtime| runtime.block_on(inspect_file(path)));
    inspected.map_err(|fault| fault.at("read a copy of the catalog", &path.display().to_string()))
}

async fn inspect_file(path: &Path) -> Result<Snapshot, Fault> {
    if is_open_here(path) {
        return Err(Fault::Locked("this very process has it open; make a copy of it first".to_owned()));
    }
    match recognise(path)? {
        SnapshotKind::Sqlite => sqlite_copy::inspect(path).await,
        SnapshotKind::PgDump => dump::inspect(path),
    }
}

/// What a file is, by its first bytes.
pub(crate) fn recognise(path: &Path) -> Result<SnapshotKind, Fault> {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| {
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is not a file"));
        }
        file.take(sqlite::MAGIC.len() as u64).read_to_end(&mut head)
    });
    match read {
        Err(e) if e.kind() == io::ErrorKind::IsADirectory => Err(Fault::Unrecognised("it is not a file".to_owned())),
        Err(e) => Err(Fault::of_file(&e)),
        Ok(0) => Err(Fault::Empty("the file is empty".to_owned())),
        Ok(_) if head == sqlite::MAGIC => Ok(SnapshotKind::Sqlite),
        Ok(_) if head.starts_with(dump::MAGIC) => Ok(SnapshotKind::PgDump),
        Ok(_) => Err(Fault::Unrecognised(
            "it is no copy of a catalog: neither an SQLite database nor a `pg_dump` archive in the custom format"
                .to_owned(),
        )),
    }
}

/// The newest schema that this program knows, and which program made a newer one.
pub(crate) fn refuse_newer(version: i64, program: &str) -> Result<(), Fault> {
    crate::schema::refuse_newer(version, program.to_owned()).map(|_| ())
}
