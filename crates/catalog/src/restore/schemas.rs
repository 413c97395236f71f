//! One set of PostgreSQL's tables in the place of another.

use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, Statement};

use crate::{Catalog, CatalogError, Fault, catalog, postgres, tables::TABLES};

/// Where a catalog is built. What is found there was left by a killed process.
const SCRATCH: &str = "resurgam_building";

/// The longest name that PostgreSQL keeps whole, in bytes.
const NAME_MAX: usize = 63;

/// Looks where the catalog's tables lie, or would, and answers the name of that schema.
pub(super) fn scratch(url: &str) -> Result<String, Fault> {
    catalog::runtime()?.block_on(async {
        let db = postgres::connect(url, None).await?;
        let found = answers(&db, "SELECT current_schema()::text AS answer WHERE current_schema() IS NOT NULL").await;
        let _ = db.close().await;
        found?.pop().ok_or_else(|| Fault::NotFound("the database has no schema that tables could lie in".to_owned()))
    })
}

/// Connects to an empty place for building, which nobody else has while the connection lasts.
pub(super) async fn connect(url: &str) -> Result<DatabaseConnection, Fault> {
    let db = postgres::connect(url, Some(SCRATCH)).await?;
    catalog::or_close(db, async |db| {
        // The number is ours.
        let ours = answers(db, "SELECT pg_try_advisory_lock(7233747173)::text AS answer").await?;
        if ours.first().is_none_or(|answer| answer != "true") {
            return Err(Fault::Locked("another process is building a catalog in this database".to_owned()));
        }
        db.execute_unprepared(&format!("DROP SCHEMA IF EXISTS {SCRATCH} CASCADE")).await?;
        db.execute_unprepared(&format!("CREATE SCHEMA {SCRATCH}")).await?;
        Ok(())
    })
    .await
}

/// Puts what was built in place, in one transaction, and answers which schema holds what was there.
pub(super) fn put_in_place(
    catalog: &Catalog,
    target: &str,
    aside: &str,
    attempt: &str,
) -> Result<Option<String>, CatalogError> {
    catalog.change(attempt, async |db| {
        let old = relations(db, target).await?;
        let aside = if old.is_empty() { None } else { Some(free_name(db, aside).await?) };
        if let Some(aside) = &aside {
            db.execute_unprepared(&format!("CREATE SCHEMA {}", quoted(aside))).await?;
            move_all(db, &old, target, aside).await?;
        }
        move_all(db, &relations(db, SCRATCH).await?, SCRATCH, target).await?;
        db.execute_unprepared(&format!("DROP SCHEMA {SCRATCH}")).await?;
        Ok(aside)
    })
}

/// A table or a view of ours.
struct Relation {
    kind: &'static str,
    name: String,
}

async fn relations(db: &impl ConnectionTrait, schema: &str) -> Result<Vec<Relation>, Fault> {
    let ask = "SELECT c.relname::text AS name, c.relkind::text AS kind FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind IN ('r', 'v')";
    let mut relations = Vec::new();
    for row in db.query_all_raw(Statement::from_sql_and_values(DbBackend::Postgres, ask, [schema.into()])).await? {
        let (name, kind): (String, String) = (row.try_get("", "name")?, row.try_get("", "kind")?);
        let ours = TABLES.iter().any(|table| table.name == name) || (kind == "v" && name.starts_with("tbl_"));
        if ours {
            relations.push(Relation { kind: if kind == "v" { "VIEW" } else { "TABLE" }, name });
        }
    }
    Ok(relations)
}

async fn move_all(db: &DatabaseTransaction, relations: &[Relation], from: &str, to: &str) -> Result<(), Fault> {
    for Relation { kind, name } in relations {
        let (from, name, to) = (quoted(from), quoted(name), quoted(to));
        db.execute_unprepared(&format!("ALTER {kind} {from}.{name} SET SCHEMA {to}")).await?;
    }
    Ok(())
}

/// The wanted name for a schema, with a number where it is taken.
async fn free_name(db: &impl ConnectionTrait, wanted: &str) -> Result<String, Fault> {
    let taken = answers(db, "SELECT nspname::text AS answer FROM pg_catalog.pg_namespace").await?;
    let mut short = String::new();
    for c in wanted.chars().filter(|c| *c != '\0') {
        if short.len() + c.len_utf8() > NAME_MAX - 8 {
            break;
        }
        short.push(c);
    }
    let names = (1..u32::MAX).map(|n| if n == 1 { short.clone() } else { format!("{short}.{n}") });
    let free = names.into_iter().find(|name| !name.is_empty() && !taken.contains(name));
    free.ok_or_else(|| Fault::Other("no name is free for the schema of the old tables".to_owned()))
}

async fn answers(db: &impl ConnectionTrait, ask: &str) -> Result<Vec<String>, Fault> {
    let rows = db.query_all_raw(Statement::from_string(DbBackend::Postgres, ask)).await?;
    rows.iter().map(|row| row.try_get("", "answer").map_err(Fault::from)).collect()
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
