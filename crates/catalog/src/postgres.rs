//! The PostgreSQL form: a database by URL.

use std::{process::Command, str::FromStr, time::Duration};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, Statement,
    sqlx::{
        ConnectOptions, Connection,
        postgres::{PgConnectOptions, PgPoolOptions, PgSslMode},
    },
};

use crate::{
    Fault,
    location::{self, DATABASE_NAME},
};

/// How long to wait for the server's first answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a verb waits for another process.
const LOCK_TIMEOUT: &str = "30s";

/// What a URL says; without a database it means `DPMDB`.
pub(crate) fn options(url: &str) -> Result<PgConnectOptions, Fault> {
    let options = PgConnectOptions::from_str(url)?;
    Ok(if options.get_database().is_none_or(str::is_empty) { options.database(DATABASE_NAME) } else { options })
}

/// Connects to the database. It is never made here: that needs rights which a backup server has no need of. With
/// `schema`, tables are looked for and made in that schema only.
pub(crate) async fn connect(url: &str, schema: Option<&str>) -> Result<DatabaseConnection, Fault> {
    let mut options = options(url)?.application_name("resurgam").options([
        ("lock_timeout", LOCK_TIMEOUT),
        ("synchronous_commit", "on"),
        ("client_min_messages", "warning"),
    ]);
    if let Some(schema) = schema {
        options = options.options([("search_path", schema)]);
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

/// What PostgreSQL's own tools need to know to reach a database. It goes into their environment: what stands among a
/// program's arguments, everybody on the machine can read.
pub(crate) struct Environment(Vec<(&'static str, String)>);

impl Environment {
    /// Gives it to a program that is about to be started.
    pub(crate) fn apply(&self, command: &mut Command) {
        command.envs(self.0.iter().map(|(name, value)| (name, value)));
    }
}

/// The environment for a URL.
pub(crate) fn environment(url: &str) -> Result<Environment, Fault> {
    let options = options(url)?;
    let host = options.get_socket().map_or_else(|| options.get_host().to_owned(), |path| path.display().to_string());
    let mode = match options.get_ssl_mode() {
        PgSslMode::Disable => "disable",
        PgSslMode::Allow => "allow",
        PgSslMode::Prefer => "prefer",
        PgSslMode::Require => "require",
        PgSslMode::VerifyCa => "verify-ca",
        PgSslMode::VerifyFull => "verify-full",
    };
    let mut variables = vec![
        ("PGHOST", host),
        ("PGPORT", options.get_port().to_string()),
        ("PGUSER", options.get_username().to_owned()),
        ("PGDATABASE", options.get_database().unwrap_or(DATABASE_NAME).to_owned()),
        ("PGSSLMODE", mode.to_owned()),
        ("PGCONNECT_TIMEOUT", CONNECT_TIMEOUT.as_secs().to_string()),
    ];
    variables.extend(options.get_options().map(|options| ("PGOPTIONS", options.to_owned())));
    variables.extend(location::password(url).map(|password| ("PGPASSWORD", password)));
    Ok(Environment(variables))
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
