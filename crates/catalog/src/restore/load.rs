//! The rows of a copy, into a database that is being built.

use std::{collections::BTreeMap, path::Path};

use resurgam_model::Timestamp;
use sea_orm::{ConnectionTrait, DatabaseConnection};

use crate::{
    Fault, Snapshot, SnapshotKind,
    catalog::{or_close, write_transaction},
    schema,
    snapshot::{copy_text, dump},
    sqlite,
    tables::{self, Cell, Kind, TableRows},
};

/// Makes a file of a copy, of the copy's schema, and opens it.
pub(super) async fn into_file(
    copy: &Path,
    snapshot: &Snapshot,
    file: &Path,
    now: Timestamp,
) -> Result<DatabaseConnection, Fault> {
    if snapshot.kind == SnapshotKind::Sqlite {
        let source = open(copy).await?;
        let copied = sqlite::copy_into(&source, file).await;
        let _ = source.close().await;
        copied?;
        let db = sqlite::connect(file, false).await?;
        // The copy's checksum is not that of a catalog that is written to.
        return or_close(db, async |db| {
            db.execute_unprepared("PRAGMA user_version = 0").await?;
            db.execute_unprepared("PRAGMA application_id = 0").await?;
            Ok(())
        })
        .await;
    }
    let db = sqlite::connect(file, false).await?;
    or_close(db, async |db| rows_into(db, copy, snapshot, now).await).await
}

/// Fills an empty database with the rows of a copy, in the copy's schema.
pub(super) async fn rows_into(
    db: &DatabaseConnection,
    copy: &Path,
    snapshot: &Snapshot,
    now: Timestamp,
) -> Result<(), Fault> {
    let transaction = write_transaction(db).await?;
    schema::migrate(&transaction, snapshot.version, now).await?;
    let mut rows = match snapshot.kind {
        SnapshotKind::Sqlite => {
            let source = open(copy).await?;
            let read = of_sqlite(&source).await;
            let _ = source.close().await;
            read?
        }
        SnapshotKind::PgDump => of_dump(&transaction, copy).await?,
    };
    for table in tables::TABLES.iter().filter(|table| table.carried) {
        if let Some(rows) = rows.remove(table.name) {
            tables::insert(&transaction, table, rows).await?;
        }
    }
    let counts = tables::counts(&transaction).await?;
    for table in tables::TABLES.iter().filter(|table| table.carried) {
        let (wanted, found) = (snapshot.rows.get(table.name), counts.get(table.name));
        if wanted > found {
            return Err(Fault::Corrupt(format!(
                "table {} did not come over whole: {found:?} rows instead of {wanted:?}",
                table.name
            )));
        }
    }
    transaction.commit().await?;
    Ok(())
}

async fn open(copy: &Path) -> Result<DatabaseConnection, Fault> {
    let path = std::path::absolute(copy).map_err(|e| Fault::of_file(&e))?;
    sqlite::connect_to_copy(&path).await
}

async fn of_sqlite(db: &DatabaseConnection) -> Result<BTreeMap<&'static str, TableRows>, Fault> {
    let mut rows = BTreeMap::new();
    for table in tables::present(db).await?.iter().filter(|table| table.carried) {
        rows.insert(table.name, tables::read(db, table.name).await?);
    }
    Ok(rows)
}

/// What a cell of an archive holds is told by the table that it goes into.
async fn of_dump(db: &impl ConnectionTrait, copy: &Path) -> Result<BTreeMap<&'static str, TableRows>, Fault> {
    let mut kinds = BTreeMap::new();
    for table in tables::present(db).await?.iter().filter(|table| table.carried) {
        kinds.insert(table.name, tables::columns(db, table.name).await?);
    }
    let mut all: BTreeMap<&'static str, TableRows> = BTreeMap::new();
    dump::read(copy, |row| {
        let Some((table, kinds)) = kinds.get_key_value(row.table) else { return Ok(()) };
        let rows = all.entry(table).or_insert_with(|| TableRows { columns: row.columns.to_vec(), rows: Vec::new() });
        let Some(cells) = row.cells else { return Ok(()) };
        let of_column =
            |name: &str| kinds.iter().find(|(known, _)| known == name).map_or(Kind::Text, |(_, kind)| *kind);
        let typed = row.columns.iter().zip(cells).map(|(name, text)| cell(of_column(name), text.as_deref()));
        let typed = typed.collect::<Option<Vec<_>>>();
        rows.rows.push(typed.ok_or_else(|| Fault::Corrupt(format!("a row of table {table} cannot be read")))?);
        Ok(())
    })?;
    Ok(all)
}

fn cell(kind: Kind, text: Option<&str>) -> Option<Cell> {
    let Some(text) = text else { return Some(Cell::Null) };
    match kind {
        Kind::Text => Some(Cell::Text(text.to_owned())),
        Kind::Integer => text.parse().ok().map(Cell::Integer),
        Kind::Bytes => copy_text::bytes(text).map(Cell::Bytes),
    }
}
