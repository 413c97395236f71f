//! The PostgreSQL form: a database by URL.

use std::{str::FromStr, time::Duration};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, Statement,
    sqlx::{
        ConnectOptions, Connection,
        postgres::{PgConnectOptions, PgPoolOptions},
    },
};

use crate::{Fault, location::DATABASE_NAME};

/// How long to wait for the server's first answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a verb waits for another process.
const LOCK_TIMEOUT: &str = "30s";

/// Connects to the database. It is never made here: that needs rights which a backup server has no need of.
pub(crate) async fn connect(url: &str) -> Result<DatabaseConnection, Fault> {
    let mut options = PgConnectOptions::from_str(url)?.application_name("resurgam").options([
        ("lock_timeout", LOCK_TIMEOUT),
        ("synchronous_commit", "on"),
        ("client_min_messages", "warning"),
    ]);
    if options.get_database().is_none_or(str::is_empty) {
        options = options.database(DATABASE_NAME);
    }
    // First by itself: the pool tries again and again until its time is up, and then forgets why it failed.
    match tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await {
        Ok(connection) => connection?.close().await?,
        Err(_) => {
            return Err(Fault::Unreachable(format!("no answer within {} seconds", CONNECT_TIMEOUT.as_secs())));
        }
    }
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(CONNECT_TIMEOUT)
        .connect_with(options)
        .await?;
    Ok(DatabaseConnection::from(pool))
}

/// Reads every row of every table. (What lies below them is for `pg_amcheck`, which needs its own rights.)
pub(crate) async fn check(db: &DatabaseConnection) -> Result<Vec<String>, Fault> {
    let tables = "SELECT tablename::text AS answer FROM pg_catalog.pg_tables WHERE schemaname = current_schema()";
    let mut found = Vec::new();
    for row in db.query_all_raw(Statement::from_string(DbBackend::Postgres, tables)).await? {
        let table: String = row.try_get("", "answer")?;
        let read = format!("SELECT sum(length(t::text)) AS answer FROM \"{}\" t", table.replace('"', "\"\""));
        if let Err(error) = db.query_one_raw(Statement::from_string(DbBackend::Postgres, read)).await {
            found.push(format!("table {table}: {error}"));
        }
    }
    Ok(found)
}
