//! Questions in SQL, as the document prints them for SQL Server, to either database; answers as text. Nothing is changed.

mod dialect;

use std::thread;

use sea_orm::{
    DatabaseConnection, DbBackend,
    sqlx::{
        self, AssertSqlSafe, Column as _, Row as _, TypeInfo as _, ValueRef as _,
        postgres::{PgRow, PgValueFormat},
        sqlite::SqliteRow,
    },
};

use crate::{Catalog, CatalogError, Fault, cells, sqlite};

/// The answer to a query.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueryResult {
    /// The columns, called as the query calls them.
    pub columns: Vec<String>,
    /// The rows; `None` is NULL.
    pub rows: Vec<Vec<Option<String>>>,
}

/// The longest text that is taken for a query, in bytes.
const LENGTH_MAX: usize = 16 << 10;

/// A long chain of operators nests as deep as it is long; this is enough for the longest.
const STACK_BYTES: usize = 256 << 20;

impl Catalog {
    /// Runs one SELECT in the dialect of SQL Server, as far as the document uses it: `N'…'`, `dbo.`, `TOP`, names in
    /// brackets, and LIKE that ignores case. The views that it is meant for begin with `tbl_`.
    ///
    /// # Errors
    /// [`Fault::Refused`] for what is not exactly one SELECT, or what the database does not understand; and where it
    /// cannot be read.
    pub fn query(&self, sql: &str) -> Result<QueryResult, CatalogError> {
        self.run("run a query", async |db| {
            let backend = if sqlite::is_sqlite(db) { DbBackend::Sqlite } else { DbBackend::Postgres };
            let translated = translate(sql, backend)?;
            let mut answer = match backend {
                DbBackend::Postgres => on_postgres(db, translated.sql, sql).await?,
                _ => on_sqlite(db, translated.sql, sql).await?,
            };
            if let Some(columns) = translated.columns.filter(|columns| columns.len() == answer.columns.len()) {
                answer.columns = columns;
            }
            Ok(answer)
        })
    }
}

fn translate(sql: &str, backend: DbBackend) -> Result<dialect::Translated, Fault> {
    if sql.len() > LENGTH_MAX {
        return Err(Fault::Refused(format!("the query is longer than {LENGTH_MAX} bytes")));
    }
    thread::scope(|threads| {
        let work =
            thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(threads, || dialect::translate(sql, backend));
        let work = work.map_err(|e| Fault::Other(format!("no thread can be started: {e}")))?;
        work.join().unwrap_or_else(|_| Err(Fault::Refused("the query cannot be understood".to_owned())))
    })
}

/// What the database says of a query that it does not take, with the query as it was given.
fn explained(error: sqlx::Error, asked: &str) -> Fault {
    if let sqlx::Error::Database(said) = &error {
        let code = said.code().unwrap_or_default();
        let of_sqlite = said.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some();
        // SQLite has one code for all that a statement can be wrong in; PostgreSQL has a class for what it says, one for
        // what it does with data, and a state for an attempt to write.
        let refused = if of_sqlite {
            code == "1"
        } else {
            (code.starts_with("42") && code != "42501") || code.starts_with("22") || code == "25006"
        };
        if refused {
            return Fault::Refused(format!("{}; the query was: {}", said.message(), asked.trim()));
        }
    }
    error.into()
}

async fn on_sqlite(db: &DatabaseConnection, sql: String, asked: &str) -> Result<QueryResult, Fault> {
    let mut connection = db.get_sqlite_connection_pool().acquire().await?;
    sqlx::raw_sql("PRAGMA query_only = ON").execute(&mut *connection).await?;
    let answered = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut *connection).await;
    if let Err(error) = sqlx::raw_sql("PRAGMA query_only = OFF").execute(&mut *connection).await {
        // A connection that cannot write any more is of no use; the next verb makes another.
        let _ = connection.close().await;
        return Err(error.into());
    }
    let rows = answered.map_err(|error| explained(error, asked))?;
    Ok(QueryResult { columns: columns(&rows), rows: rows.iter().map(sqlite_row).collect::<Result<_, _>>()? })
}

/// What the columns of an answer are called; without a row nobody says.
fn columns<R: sqlx::Row>(rows: &[R]) -> Vec<String> {
    let names = |row: &R| row.columns().iter().map(|column| column.name().to_owned()).collect();
    rows.first().map(names).unwrap_or_default()
}

fn sqlite_row(row: &SqliteRow) -> Result<Vec<Option<String>>, Fault> {
    let cell = |at: usize| -> Result<Option<String>, sqlx::Error> {
        let raw = row.try_get_raw(at)?;
        if raw.is_null() {
            return Ok(None);
        }
        Ok(Some(match raw.type_info().name() {
            "INTEGER" | "BOOLEAN" => row.try_get_unchecked::<i64, _>(at)?.to_string(),
            "REAL" => row.try_get_unchecked::<f64, _>(at)?.to_string(),
            "BLOB" => format!("0x{}", cells::hex(&row.try_get_unchecked::<Vec<u8>, _>(at)?)),
            _ => row.try_get_unchecked::<String, _>(at)?,
        }))
    };
    (0..row.columns().len()).map(|at| cell(at).map_err(Fault::from)).collect()
}

async fn on_postgres(db: &DatabaseConnection, sql: String, asked: &str) -> Result<QueryResult, Fault> {
    let mut connection = db.get_postgres_connection_pool().acquire().await?;
    sqlx::raw_sql("BEGIN READ ONLY").execute(&mut *connection).await?;
    let answered = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut *connection).await;
    if let Err(error) = sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await {
        let _ = connection.close().await;
        return Err(error.into());
    }
    let rows = answered.map_err(|error| explained(error, asked))?;
    Ok(QueryResult { columns: columns(&rows), rows: rows.iter().map(postgres_row).collect::<Result<_, _>>()? })
}

/// In the simple protocol PostgreSQL itself writes every cell as text.
fn postgres_row(row: &PgRow) -> Result<Vec<Option<String>>, Fault> {
    let cell = |at: usize| -> Result<Option<String>, Fault> {
        let raw = row.try_get_raw(at)?;
        if raw.is_null() {
            return Ok(None);
        }
        if raw.format() != PgValueFormat::Text {
            return Err(Fault::Other("PostgreSQL did not answer in text".to_owned()));
        }
        let text = raw.as_str().map_err(|e| Fault::Corrupt(format!("a cell is not text: {e}")))?;
        Ok(Some(text.strip_prefix("\\x").map_or_else(|| text.to_owned(), |digits| format!("0x{digits}"))))
    };
    (0..row.columns().len()).map(cell).collect()
}

#[cfg(test)]
mod tests;
