//! The SQLite form: a file in the server's home.
//!
//! Why these settings, see `docs/decisions/2026-11-22-catalog.md`.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::Duration,
};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, Statement,
    sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{Fault, open_file::is_open_here};

/// Older ones have a fault that can corrupt a database.
const OLDEST_SQLITE: (u32, u32, u32) = (3, 51, 3);

/// How long a verb waits for another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// What stays of the journal after a commit, so that the next one finds its space taken already.
const JOURNAL_KEPT_BYTES: u32 = 4 << 20;

/// Free pages that a catalog keeps inside its file, and fewer than which it fills up again.
const RESERVE_PAGES: i64 = 128;
const RESERVE_PAGES_MIN: i64 = 32;

/// Rows whose parent is not there.
const ORPHANS: &str = "SELECT \"table\" || ' row ' || rowid || ' names a missing row of ' || parent AS answer \
     FROM pragma_foreign_key_check";

/// The first bytes of every SQLite database.
pub(crate) const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Opens the file; makes it, private to its owner, where it is missing and may be made.
pub(crate) async fn connect(path: &Path, create: bool) -> Result<DatabaseConnection, Fault> {
    let path = std::path::absolute(path).map_err(|e| Fault::of_file(&e))?;
    if path.to_str().is_none() {
        return Err(Fault::Other("SQLite needs a path in UTF-8".to_owned()));
    }
    if !is_open_here(&path) {
        inspect(&path, create)?;
    }
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(false)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Persist)
        .synchronous(SqliteSynchronous::Extra)
        .pragma("journal_size_limit", JOURNAL_KEPT_BYTES.to_string())
        .pragma("mmap_size", "0")
        .pragma("temp_store", "MEMORY")
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON");
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(BUSY_TIMEOUT * 2)
        .connect_with(options)
        .await?;
    let db = DatabaseConnection::from(pool);
    refuse_old_library(&db).await?;
    Ok(db)
}

/// Opens a copy to read it as it lies there: nothing is written, and no journal beside it is taken for its own.
pub(crate) async fn connect_to_copy(path: &Path) -> Result<DatabaseConnection, Fault> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .read_only(true)
        .immutable(true)
        .pragma("mmap_size", "0")
        .pragma("temp_store", "MEMORY")
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON");
    let pool = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
    let db = DatabaseConnection::from(pool.connect_with(options).await?);
    refuse_old_library(&db).await?;
    Ok(db)
}

/// Looks at the file before SQLite does: what is no database is never opened, so never touched.
fn inspect(path: &Path, create: bool) -> Result<(), Fault> {
    let mut head = Vec::new();
    match File::open(path) {
        Ok(file) => {
            if !file.metadata().map_err(|e| Fault::of_file(&e))?.is_file() {
                return Err(Fault::Corrupt("it is not a file".to_owned()));
            }
            file.take(MAGIC.len() as u64).read_to_end(&mut head).map_err(|e| Fault::of_file(&e))?;
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound && create => return make(path),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(Fault::NotFound("there is no such file".to_owned()));
        }
        Err(e) => return Err(Fault::of_file(&e)),
    }
    // An empty file is what a kill between making it and filling it leaves.
    if head.is_empty() || head == MAGIC {
        return Ok(());
    }
    Err(Fault::Corrupt("it is not an SQLite database: its first bytes are not those of one".to_owned()))
}

fn make(path: &Path) -> Result<(), Fault> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        // Another process was faster; both go on alike.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            Err(Fault::NotFound("the folder that is to hold it is not there".to_owned()))
        }
        Err(e) => Err(Fault::of_file(&e)),
    }
}

pub(crate) fn is_sqlite(db: &DatabaseConnection) -> bool {
    db.get_database_backend() == DbBackend::Sqlite
}

async fn refuse_old_library(db: &DatabaseConnection) -> Result<(), Fault> {
    let found = query_text(db, "SELECT sqlite_version() AS answer").await?.pop().unwrap_or_default();
    let mut numbers = found.split('.').map(|n| n.parse::<u32>().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    if (next(), next(), next()) < OLDEST_SQLITE {
        let (a, b, c) = OLDEST_SQLITE;
        return Err(Fault::Other(format!(
            "this program was linked with SQLite {found}; it needs {a}.{b}.{c} or newer"
        )));
    }
    Ok(())
}

/// What SQLite finds wrong with the file.
pub(crate) async fn check(db: &DatabaseConnection) -> Result<Vec<String>, Fault> {
    let mut found = query_text(db, "SELECT quick_check AS answer FROM pragma_quick_check").await?;
    found.retain(|line| line != "ok");
    found.extend(query_text(db, ORPHANS).await?);
    Ok(found)
}

/// What SQLite finds wrong with the file, indexes compared with their tables: slower, and all that it can tell.
pub(crate) async fn check_fully(db: &DatabaseConnection) -> Result<Vec<String>, Fault> {
    let mut found = query_text(db, "SELECT integrity_check AS answer FROM pragma_integrity_check").await?;
    found.retain(|line| line != "ok");
    found.extend(query_text(db, ORPHANS).await?);
    Ok(found)
}

/// Writes a copy of the database as it is now, without its free pages, into an empty or missing file.
pub(crate) async fn copy_into(db: &DatabaseConnection, path: &Path) -> Result<(), Fault> {
    let path = path.to_str().ok_or_else(|| Fault::Other("SQLite needs a path in UTF-8".to_owned()))?;
    let copy = Statement::from_sql_and_values(DbBackend::Sqlite, "VACUUM INTO ?", [path.into()]);
    db.execute_raw(copy).await?;
    Ok(())
}

/// A number that is another one once another connection has changed the database.
pub(crate) async fn data_version(db: &DatabaseConnection) -> Result<i64, Fault> {
    let ask = Statement::from_string(DbBackend::Sqlite, "SELECT data_version AS answer FROM pragma_data_version");
    Ok(db.query_one_raw(ask).await?.map_or(Ok(0), |row| row.try_get("", "answer"))?)
}

async fn query_text(db: &DatabaseConnection, sql: &str) -> Result<Vec<String>, Fault> {
    let rows = db.query_all_raw(Statement::from_string(DbBackend::Sqlite, sql)).await?;
    rows.iter().map(|row| row.try_get("", "answer").map_err(Fault::from)).collect()
}

/// Keeps some space inside the file and its journal, so that on a full disk a job can still be noted, a state changed and
/// points removed. What cannot be had is done without: the verbs themselves will say that the disk is full.
pub(crate) async fn keep_reserve(db: &DatabaseConnection) {
    if !is_sqlite(db) {
        return;
    }
    let _ = fill_reserve(db).await;
}

async fn fill_reserve(db: &DatabaseConnection) -> Result<(), Fault> {
    let free = db
        .query_one_raw(Statement::from_string(
            DbBackend::Sqlite,
            "SELECT freelist_count AS answer FROM pragma_freelist_count",
        ))
        .await?;
    let free: i64 = free.map_or(Ok(0), |row| row.try_get("", "answer"))?;
    if free >= RESERVE_PAGES_MIN {
        return Ok(());
    }
    let bytes = RESERVE_PAGES * 4096;
    // The first fills pages; the second has to journal them, which gives the journal its size; the third frees them.
    let steps = [
        format!("INSERT OR REPLACE INTO reserve (slot, filling) VALUES (1, zeroblob({bytes}))"),
        format!("UPDATE reserve SET filling = CAST(replace(hex(zeroblob({})), '0', '1') AS BLOB)", bytes / 2),
        "DELETE FROM reserve".to_owned(),
    ];
    for step in steps {
        if let Err(error) = db.execute_unprepared(&step).await {
            // The space is gone; what was taken of it goes back into the file's own free pages.
            let _ = db.execute_unprepared("DELETE FROM reserve").await;
            return Err(error.into());
        }
    }
    Ok(())
}
