//! The schema's versions: how a database is found to be ours, and brought to the version that this program knows.
//!
//! A migration, once released, is never changed: it holds its own copy of every name that it uses. All that are pending
//! run in one transaction with the note of them in `schema_change`, so a kill leaves the old version or the new one.

mod m0001_first;
mod m0002_copies;
mod m0002_views;
mod m0003_vaults;
mod program;

use resurgam_model::Timestamp;
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, Statement, sea_query::Query};
use sea_orm_migration::{MigrationTrait, MigratorTrait};

use crate::{Fault, catalog::write_transaction, cells};

/// The version of the schema that this program makes and needs.
pub const SCHEMA_VERSION: i64 = 3;

/// Notes the version of the running program in a catalog that is up to date, where it is not noted yet.
pub(crate) use program::note_unless_known as note_program;

/// Where the versions are noted, with the programs that made them.
const CHANGES: &str = "schema_change";

struct Migrator;

impl MigratorTrait for Migrator {
    /// In order; the n-th makes version n.
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(m0001_first::Migration), Box::new(m0002_copies::Migration), Box::new(m0003_vaults::Migration)]
    }
}

/// The version of a database's schema, and the program that made it so; `None` where there is no schema of ours.
pub(crate) async fn version(db: &impl ConnectionTrait) -> Result<Option<(i64, String)>, Fault> {
    let ours = match db.get_database_backend() {
        DbBackend::Postgres => {
            "SELECT 1 AS one FROM pg_catalog.pg_tables WHERE schemaname = current_schema() AND tablename = 'schema_change'"
        }
        _ => "SELECT 1 AS one FROM sqlite_schema WHERE type = 'table' AND name = 'schema_change'",
    };
    if db.query_one_raw(Statement::from_string(db.get_database_backend(), ours)).await?.is_none() {
        return Ok(None);
    }
    let newest = Query::select()
        .columns(["version", "program"])
        .from(CHANGES)
        .order_by("version", sea_orm::Order::Desc)
        .limit(1)
        .to_owned();
    let Some(row) = db.query_one(&newest).await? else {
        return Err(Fault::Corrupt(format!("the table {CHANGES} is empty, so the schema's version is not known")));
    };
    Ok(Some((row.try_get("", "version")?, row.try_get("", "program")?)))
}

/// Brings the schema to the version that this program knows. A newer one is refused. Writes nothing if it is that
/// already, so that a catalog opens on a full disk. `keep` is called before an older schema is changed, with its version.
/// Answers whether anything was to be done.
pub(crate) async fn bring_up_to_date(
    db: &DatabaseConnection,
    now: Timestamp,
    keep: impl AsyncFnOnce(i64) -> Result<(), Fault>,
) -> Result<bool, Fault> {
    let mut before = version(db).await?;
    if before.is_none()
        && let Err(foreign) = refuse_foreign(db).await
    {
        // Or another process has made the catalog since it was looked for.
        before = version(db).await?;
        if before.is_none() {
            return Err(foreign);
        }
    }
    if let Some((found, program)) = before {
        if refuse_newer(found, program)? {
            return Ok(false);
        }
        keep(found).await?;
    }
    let transaction = write_transaction(db).await?;
    let done = migrate(&transaction, SCHEMA_VERSION, now).await;
    match done {
        Ok(()) => {
            transaction.commit().await?;
            Ok(true)
        }
        Err(fault) => {
            transaction.rollback().await?;
            Err(fault)
        }
    }
}

/// Whether the version is the one that this program knows.
pub(crate) fn refuse_newer(found: i64, program: String) -> Result<bool, Fault> {
    if found > SCHEMA_VERSION {
        return Err(Fault::Newer { found, supported: SCHEMA_VERSION, program });
    }
    Ok(found == SCHEMA_VERSION)
}

/// Refuses an SQLite file that holds tables of another program. (In PostgreSQL several may share a database.)
async fn refuse_foreign(db: &DatabaseConnection) -> Result<(), Fault> {
    if db.get_database_backend() == DbBackend::Sqlite {
        let any = "SELECT name FROM sqlite_schema LIMIT 1";
        if let Some(row) = db.query_one_raw(Statement::from_string(DbBackend::Sqlite, any)).await? {
            let name: String = row.try_get("", "name")?;
            return Err(Fault::Corrupt(format!("it is an SQLite database of another program: it holds `{name}`")));
        }
    }
    Ok(())
}

/// Brings the schema up to `wanted`, which is at most [`SCHEMA_VERSION`].
pub(crate) async fn migrate(transaction: &DatabaseTransaction, wanted: i64, now: Timestamp) -> Result<(), Fault> {
    if transaction.get_database_backend() == DbBackend::Postgres {
        // Two that find an empty database at once: the second waits here and then finds it made. The number is ours.
        transaction.execute_unprepared("SELECT pg_advisory_xact_lock(7233747172)").await?;
    }
    let found = match version(transaction).await? {
        Some((found, program)) if refuse_newer(found, program.clone())? => return Ok(()),
        Some((found, _)) => found,
        None => 0,
    };
    Migrator::up(transaction, u32::try_from(wanted - found).ok()).await?;
    for version in found + 1..=wanted {
        let note = Query::insert()
            .into_table(CHANGES)
            .columns(["version", "program", "applied"])
            .values([version.into(), env!("CARGO_PKG_VERSION").into(), cells::time(now).into()])
            .map_err(|e| Fault::Other(e.to_string()))?
            .to_owned();
        transaction.execute(&note).await?;
    }
    if wanted == SCHEMA_VERSION {
        program::note(transaction, now).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_number_of_migrations() {
        assert_eq!(i64::try_from(Migrator::migrations().len()), Ok(SCHEMA_VERSION));
    }
}
