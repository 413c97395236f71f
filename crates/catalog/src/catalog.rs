//! Opening a catalog, and how every verb reaches the database.

use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use resurgam_model::Timestamp;
use sea_orm::{
    AccessMode, DatabaseConnection, DatabaseTransaction, IsolationLevel, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::{
    CatalogError, Fault, Location,
    open_file::{self, OpenFile},
    postgres, schema, snapshot, sqlite,
};

/// An open catalog. Many threads may share one; each verb has the connection to itself while it runs.
///
/// The verbs block. From an asynchronous program call them on a thread made for blocking.
pub struct Catalog {
    /// What errors call the database.
    name: String,
    location: Location,
    inner: Mutex<Inner>,
}

struct Inner {
    /// The file that is open, where the catalog is one.
    file: Option<OpenFile>,
    /// Drives the connection, on the thread of whoever calls. `None` only while the catalog is dropped.
    runtime: Option<Runtime>,
    db: DatabaseConnection,
}

impl std::fmt::Debug for Catalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Catalog({})", self.name)
    }
}

impl Catalog {
    /// Opens a catalog; makes it where there is none, and brings an older schema up to date.
    ///
    /// # Errors
    /// Where the place cannot be reached, read or written, holds something else or a damaged database
    /// ([`Fault::Corrupt`]), or one with a newer schema ([`Fault::Newer`]). What is there is then left as it is.
    pub fn open(location: &Location, now: Timestamp) -> Result<Self, CatalogError> {
        Self::connect(location, now, true)
    }

    /// Opens a catalog that must be there already.
    ///
    /// # Errors
    /// As [`Catalog::open`], and [`Fault::NotFound`] where there is none: no file, or a database without a catalog.
    pub fn open_existing(location: &Location, now: Timestamp) -> Result<Self, CatalogError> {
        Self::connect(location, now, false)
    }

    fn connect(location: &Location, now: Timestamp, create: bool) -> Result<Self, CatalogError> {
        let name = location.to_string();
        let file = match location {
            Location::Sqlite(path) => Some(path.as_path()),
            Location::Postgres { .. } => None,
        };
        Self::start(location, file, async || {
            let db = match location {
                Location::Sqlite(path) => sqlite::connect(path, create).await?,
                Location::Postgres { url } => postgres::connect(url, None).await?,
            };
            or_close(db, async |db| {
                if !create && schema::version(db).await?.is_none() {
                    return Err(Fault::NotFound("the database is there and holds no catalog".to_owned()));
                }
                // PostgreSQL needs no copy: there a migration is one transaction that is whole or was never begun.
                let keep = async |version| match location {
                    Location::Sqlite(path) => snapshot::keep_before_migration(db, path, version).await,
                    Location::Postgres { .. } => Ok(()),
                };
                if schema::bring_up_to_date(db, now, keep).await? {
                    sqlite::keep_reserve(db).await;
                }
                schema::note_program(db, now).await
            })
            .await
        })
        .map_err(|fault| fault.at("open the catalog", &name))
    }

    /// A catalog on a connection that is made by `connect`; to `file`, where it is one.
    pub(crate) fn start(
        location: &Location,
        file: Option<&Path>,
        connect: impl AsyncFnOnce() -> Result<DatabaseConnection, Fault>,
    ) -> Result<Self, Fault> {
        let runtime = runtime()?;
        let before = file.and_then(open_file::identity);
        let db = runtime.block_on(connect())?;
        let file = file.and_then(|file| OpenFile::note(file, before));
        let inner = Mutex::new(Inner { file, runtime: Some(runtime), db });
        Ok(Self { name: location.to_string(), location: location.clone(), inner })
    }

    /// Where this catalog lies, without its password.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where this catalog lies.
    pub(crate) fn location(&self) -> &Location {
        &self.location
    }

    /// The version of its schema.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn version(&self) -> Result<i64, CatalogError> {
        self.run("read the version of the schema", async |db| {
            Ok(schema::version(db).await?.map_or(0, |(version, _)| version))
        })
    }

    /// Reads the whole database and answers what is wrong with it: nothing, if it is sound.
    ///
    /// # Errors
    /// Where the database cannot be read at all.
    pub fn check(&self) -> Result<Vec<String>, CatalogError> {
        self.run("check the database", async |db| {
            if sqlite::is_sqlite(db) { sqlite::check(db).await } else { postgres::check(db).await }
        })
    }

    /// Runs one query, or one change of one statement.
    pub(crate) fn run<T>(
        &self,
        attempt: &str,
        verb: impl AsyncFnOnce(&DatabaseConnection) -> Result<T, Fault>,
    ) -> Result<T, CatalogError> {
        let attempted = || {
            not_inside_async()?;
            let inner = self.lock();
            let runtime = inner.runtime.as_ref().ok_or_else(|| Fault::Other("the catalog is closed".to_owned()))?;
            inner.file.as_ref().map_or(Ok(()), OpenFile::refuse_replaced)?;
            runtime.block_on(verb(&inner.db))
        };
        attempted().map_err(|fault: Fault| fault.at(attempt, &self.name))
    }

    /// Runs several queries that see one and the same moment. It asks for no right to write.
    pub(crate) fn view<T>(
        &self,
        attempt: &str,
        verb: impl AsyncFnOnce(&DatabaseTransaction) -> Result<T, Fault>,
    ) -> Result<T, CatalogError> {
        self.run(attempt, async |db| {
            let transaction = read_transaction(db).await?;
            let answer = verb(&transaction).await;
            let _ = transaction.rollback().await;
            answer
        })
    }

    /// Runs a change of several statements: all of it happens, or nothing.
    pub(crate) fn change<T>(
        &self,
        attempt: &str,
        verb: impl AsyncFnOnce(&DatabaseTransaction) -> Result<T, Fault>,
    ) -> Result<T, CatalogError> {
        self.run(attempt, async |db| {
            let transaction = write_transaction(db).await?;
            match verb(&transaction).await {
                Ok(value) => {
                    transaction.commit().await?;
                    Ok(value)
                }
                Err(fault) => {
                    // The first fault is the one to tell; a transaction that cannot be rolled back dies with its
                    // connection.
                    let _ = transaction.rollback().await;
                    Err(fault)
                }
            }
        })
    }

    /// A verb that panicked left no half of anything: transactions are the database's.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Catalog {
    fn drop(&mut self) {
        let mut inner = self.lock();
        let Some(runtime) = inner.runtime.take() else { return };
        if not_inside_async().is_ok() {
            let _ = runtime.block_on(inner.db.close_by_ref());
        } else {
            // Waiting is not allowed here; the connection closes itself when the last of it is dropped.
            runtime.shutdown_background();
        }
    }
}

/// A runtime for one connection, driven by whoever calls.
pub(crate) fn runtime() -> Result<Runtime, Fault> {
    not_inside_async()?;
    let built = Builder::new_current_thread().enable_all().build();
    built.map_err(|e| Fault::Other(format!("the system gives no means to wait for events: {e}")))
}

/// Closes the connection where the work fails: a file that is let go of properly leaves nothing beside it.
pub(crate) async fn or_close(
    db: DatabaseConnection,
    work: impl AsyncFnOnce(&DatabaseConnection) -> Result<(), Fault>,
) -> Result<DatabaseConnection, Fault> {
    match work(&db).await {
        Ok(()) => Ok(db),
        Err(fault) => {
            let _ = db.close().await;
            Err(fault)
        }
    }
}

/// Begins a transaction that will write. SQLite takes the lock at once: one that reads first and asks for it later can
/// find that another has written in between, and must then fail.
pub(crate) async fn write_transaction(db: &DatabaseConnection) -> Result<DatabaseTransaction, Fault> {
    let options =
        TransactionOptions { sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate), ..Default::default() };
    Ok(db.begin_with_options(options).await?)
}

/// Begins a transaction that only reads. SQLite needs no more than its beginning: what is read first holds for the rest.
pub(crate) async fn read_transaction(db: &DatabaseConnection) -> Result<DatabaseTransaction, Fault> {
    let mut options = TransactionOptions::default();
    if !sqlite::is_sqlite(db) {
        options.isolation_level = Some(IsolationLevel::RepeatableRead);
        options.access_mode = Some(AccessMode::ReadOnly);
    }
    Ok(db.begin_with_options(options).await?)
}

/// Blocking inside an asynchronous task would panic in the runtime; an error is kinder.
fn not_inside_async() -> Result<(), Fault> {
    if Handle::try_current().is_ok() {
        return Err(Fault::Other(
            "the catalog was called from an asynchronous task; call it on a thread made for blocking".to_owned(),
        ));
    }
    Ok(())
}
