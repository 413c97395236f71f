//! What can go wrong with the catalog, by what the caller can do about it.

use std::{io, sync::Arc};

use sea_orm::{DbErr, RuntimeErr, sqlx};

/// Why a verb of the catalog did not happen.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempt} (catalog {database}): {fault}; {}", .fault.remedy())]
pub struct CatalogError {
    /// What was attempted, as a verb.
    pub attempt: String,
    /// On which database; without its password.
    pub database: String,
    /// The class, with what is known.
    pub fault: Fault,
}

/// Classes of faults, by what the caller can do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// What was named is not there: the database itself, or a row of it.
    #[error("{0}")]
    NotFound(String),
    /// Somebody else held the database for too long.
    #[error("the database is busy: {0}")]
    Locked(String),
    /// No space is left where the database lies.
    #[error("no space is left where the database lies: {0}")]
    Full(String),
    /// The database can be read and not written.
    #[error("the database cannot be written: {0}")]
    ReadOnly(String),
    /// It is not a database, or not a sound one, or not a catalog.
    #[error("{0}")]
    Corrupt(String),
    /// A file that is no copy of a catalog at all.
    #[error("{0}")]
    Unrecognised(String),
    /// A database, sound perhaps, of another program.
    #[error("{0}")]
    Foreign(String),
    /// A file without a byte, or a database without a table.
    #[error("{0}")]
    Empty(String),
    /// Another database was put in the place of this one while it was open.
    #[error("{0}")]
    Replaced(String),
    /// Text that is no query, or not one that is let through.
    #[error("{0}")]
    Refused(String),
    /// A newer program has made the schema.
    #[error("its schema is version {found}, made by Resurgam {program}; this program knows versions up to {supported}")]
    Newer {
        /// The version of the schema found.
        found: i64,
        /// The newest version that this program knows.
        supported: i64,
        /// The version of the program that made it.
        program: String,
    },
    /// Access was denied.
    #[error("access was denied: {0}")]
    Denied(String),
    /// The database server does not answer.
    #[error("the database server cannot be reached: {0}")]
    Unreachable(String),
    /// Something of that name or id is there already.
    #[error("{0}")]
    Conflict(String),
    /// It cannot go while something else belongs to it.
    #[error("{0}")]
    InUse(String),
    /// The job is no longer the caller's: another process has closed it.
    #[error("{0}")]
    JobLost(String),
    /// Anything else; "could not read" is not "is corrupt".
    #[error("{0}")]
    Other(String),
}

impl CatalogError {
    /// What was attempted, where, and why it did not happen; without the remedy.
    pub fn message(&self) -> String {
        format!("cannot {} (catalog {}): {}", self.attempt, self.database, self.fault)
    }

    /// One word for the class, stable, for programs.
    pub fn code(&self) -> &'static str {
        self.fault.code()
    }

    /// What to do next.
    pub fn remedy(&self) -> &'static str {
        self.fault.remedy()
    }
}

impl Fault {
    /// One word for the class, stable, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "catalog-not-found",
            Self::Locked(_) => "catalog-locked",
            Self::Full(_) => "catalog-full",
            Self::ReadOnly(_) => "catalog-read-only",
            Self::Corrupt(_) => "catalog-corrupt",
            Self::Unrecognised(_) => "catalog-unrecognised",
            Self::Foreign(_) => "catalog-foreign",
            Self::Empty(_) => "catalog-empty",
            Self::Replaced(_) => "catalog-replaced",
            Self::Refused(_) => "catalog-refused",
            Self::Newer { .. } => "catalog-newer",
            Self::Denied(_) => "catalog-denied",
            Self::Unreachable(_) => "catalog-unreachable",
            Self::Conflict(_) => "catalog-conflict",
            Self::InUse(_) => "catalog-in-use",
            Self::JobLost(_) => "catalog-job-lost",
            Self::Other(_) => "catalog-other",
        }
    }

    /// What to do next.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "check the name, or list what there is",
            Self::Locked(_) => "wait for the other command to end and try again",
            Self::Full(_) => {
                "free some space on that disk, or enlarge it, and try again; what is there can still be read"
            }
            Self::ReadOnly(_) => "make the file, its folder and its file system writable for this user",
            Self::Corrupt(_) => {
                "nothing was changed; set the file aside and bring back a copy (`dpmsync -RestoreDb`), or name the right database"
            }
            Self::Unrecognised(_) | Self::Foreign(_) | Self::Empty(_) => {
                "nothing was changed; name a copy of the catalog: a file of `catalog backup`, or a recovery point of DPMDB"
            }
            Self::Replaced(_) => "start the command again: it then works on the new one",
            Self::Refused(_) => "correct the query and run it again; nothing was read or changed",
            Self::Newer { .. } => "nothing was changed; use that version of Resurgam or a newer one",
            Self::Denied(_) => "run as the user that owns the catalog, or correct the user and password",
            Self::Unreachable(_) => "start the database server, or correct host and port, and try again",
            Self::Conflict(_) => "choose another name, or change what is there",
            Self::InUse(_) => "remove or move what belongs to it first",
            Self::JobLost(_) => "stop, and start the work again; what was stored so far will be found",
            Self::Other(_) => "nothing was changed; if it happens again, report it with this message",
        }
    }

    pub(crate) fn at(self, attempt: &str, database: &str) -> CatalogError {
        CatalogError { attempt: attempt.to_owned(), database: database.to_owned(), fault: self }
    }

    /// The class of an error of the operating system, met at a file.
    pub(crate) fn of_file(error: &io::Error) -> Self {
        let text = error.to_string();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::NotFound(text),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(text),
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly(text),
            io::ErrorKind::PermissionDenied => Self::Denied(text),
            _ => Self::Other(text),
        }
    }
}

impl From<DbErr> for Fault {
    fn from(error: DbErr) -> Self {
        match &error {
            DbErr::Conn(RuntimeErr::SqlxError(e))
            | DbErr::Exec(RuntimeErr::SqlxError(e))
            | DbErr::Query(RuntimeErr::SqlxError(e)) => of_driver(e),
            DbErr::ConnectionAcquire(_) => Self::Unreachable(error.to_string()),
            // A cell that does not have the type of its column.
            DbErr::Type(_) | DbErr::TryIntoErr { .. } | DbErr::Json(_) => Self::Corrupt(error.to_string()),
            _ => Self::Other(error.to_string()),
        }
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        of_driver(&Arc::new(error))
    }
}

fn of_driver(error: &Arc<sqlx::Error>) -> Fault {
    let text = error.to_string();
    match &**error {
        sqlx::Error::Database(e) => {
            let code = e.code().unwrap_or_default();
            let message = e.message().to_owned();
            if e.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
                of_sqlite(code.parse().unwrap_or(0), message)
            } else {
                of_postgres(&code, message)
            }
        }
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Tls(_) => {
            Fault::Unreachable(text)
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Fault::Corrupt(text),
        _ => Fault::Other(text),
    }
}

/// By SQLite's result code; the low byte is the class, <https://sqlite.org/rescode.html>.
pub(crate) fn of_sqlite(code: i32, message: String) -> Fault {
    match (code & 0xff, code) {
        (5 | 6, _) => Fault::Locked(message),
        (8, _) => Fault::ReadOnly(message),
        (11, _) => Fault::Corrupt(format!("the database is damaged: {message}")),
        (13, _) => Fault::Full(message),
        // Cannot open: the file was read a moment ago, so what cannot be opened is its journal.
        (14, _) => Fault::ReadOnly(format!("its journal cannot be made beside it: {message}")),
        (26, _) => Fault::Corrupt(format!("it is not an SQLite database: {message}")),
        (3 | 23, _) => Fault::Denied(message),
        (_, 1555 | 2067) => Fault::Conflict(message),
        (_, 787) => Fault::InUse(message),
        _ => Fault::Other(format!("{message} (SQLite code {code})")),
    }
}

/// By SQLSTATE, <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
pub(crate) fn of_postgres(state: &str, message: String) -> Fault {
    match state {
        "23505" => Fault::Conflict(message),
        "23503" => Fault::InUse(message),
        "25006" => Fault::ReadOnly(message),
        "3D000" => Fault::NotFound(format!("{message} (make it with `createdb`)")),
        "40001" | "40P01" | "55P03" | "57014" => Fault::Locked(message),
        "42501" => Fault::Denied(message),
        "53100" => Fault::Full(message),
        "53300" => Fault::Locked(message),
        _ if state.starts_with("28") => Fault::Denied(message),
        _ if state.starts_with("08") || state.starts_with("57P") => Fault::Unreachable(message),
        _ if state.starts_with("XX") => Fault::Corrupt(message),
        _ => Fault::Other(format!("{message} (SQLSTATE {state})")),
    }
}
