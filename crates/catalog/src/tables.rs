//! The tables as such: which there are, and their rows without their meaning. Copies are counted, compared and carried
//! from one database to the other by it.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, Value, sea_query::Query};

use crate::Fault;

/// A table of ours.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) keys: &'static [&'static str],
    /// What a rebuilt catalog must have as the lost one had it.
    pub(crate) compared: bool,
    /// What a restored catalog takes from the copy; the rest is its own.
    pub(crate) carried: bool,
}

const fn table(name: &'static str, keys: &'static [&'static str], compared: bool, carried: bool) -> Table {
    Table { name, keys, compared, carried }
}

/// All of them, parents before children.
pub(crate) static TABLES: [Table; 17] = [
    table("server", &["slot"], true, true),
    table("protection_group", &["id"], true, true),
    table("data_source", &["id"], true, true),
    table("volume", &["id"], true, true),
    table("vault", &["id"], true, true),
    table("setting", &["name"], true, true),
    table("catalog_copy", &["kind", "place"], true, true),
    table("drill", &["kind", "place"], true, true),
    table("replica", &["id"], true, true),
    table("recovery_point", &["id"], true, true),
    table("job", &["id"], false, true),
    table("alert", &["kind", "subject"], false, true),
    table("lineage", &["slot"], false, true),
    table("agent_patch", &["major", "minor", "build"], false, true),
    table("schema_change", &["version"], false, false),
    table("seaql_migrations", &["version"], false, false),
    table("reserve", &["slot"], false, false),
];

/// The version of the schema that brought a table.
fn since(table: &str) -> i64 {
    match table {
        "vault" => 3,
        "catalog_copy" | "drill" | "alert" | "lineage" | "agent_patch" => 2,
        _ => 1,
    }
}

/// The table of that name.
pub(crate) fn named(name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.name == name)
}

/// Refuses a copy in which a table of its version is not there.
pub(crate) fn refuse_incomplete(version: i64, there: impl Fn(&str) -> bool) -> Result<(), Fault> {
    let wanted = TABLES.iter().filter(|table| since(table.name) <= version);
    match wanted.map(|table| table.name).find(|name| !there(name)) {
        Some(name) => Err(Fault::Corrupt(format!("it is a catalog of schema {version} without the table `{name}`"))),
        None => Ok(()),
    }
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Integer,
    Bytes,
}

/// What a cell holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    Null,
    Text(String),
    Integer(i64),
    Bytes(Vec<u8>),
}

/// The rows of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableRows {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Cell>>,
}

/// How many rows one statement inserts.
const ROWS_PER_STATEMENT: usize = 400;

/// The tables of ours that a database has.
pub(crate) async fn present(db: &impl ConnectionTrait) -> Result<Vec<Table>, Fault> {
    let backend = db.get_database_backend();
    let names = match backend {
        DbBackend::Postgres => {
            "SELECT tablename::text AS answer FROM pg_catalog.pg_tables WHERE schemaname = current_schema()"
        }
        _ => "SELECT name AS answer FROM sqlite_schema WHERE type = 'table'",
    };
    let mut found = Vec::new();
    for row in db.query_all_raw(Statement::from_string(backend, names)).await? {
        found.push(row.try_get::<String>("", "answer")?);
    }
    Ok(TABLES.iter().copied().filter(|table| found.iter().any(|name| name == table.name)).collect())
}

/// The columns of a table, in their order.
pub(crate) async fn columns(db: &impl ConnectionTrait, table: &str) -> Result<Vec<(String, Kind)>, Fault> {
    let backend = db.get_database_backend();
    let ask = match backend {
        DbBackend::Postgres => {
            "SELECT column_name::text AS name, data_type::text AS type FROM information_schema.columns \
             WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position"
        }
        _ => "SELECT name, type FROM pragma_table_info(?) ORDER BY cid",
    };
    let mut columns = Vec::new();
    for row in db.query_all_raw(Statement::from_sql_and_values(backend, ask, [table.into()])).await? {
        let (name, of_type): (String, String) = (row.try_get("", "name")?, row.try_get("", "type")?);
        let kind = match of_type.to_ascii_lowercase() {
            of_type if of_type.contains("int") => Kind::Integer,
            of_type if of_type.contains("blob") || of_type.contains("bytea") => Kind::Bytes,
            _ => Kind::Text,
        };
        columns.push((name, kind));
    }
    Ok(columns)
}

/// Every row of a table.
pub(crate) async fn read(db: &impl ConnectionTrait, table: &str) -> Result<TableRows, Fault> {
    let columns = columns(db, table).await?;
    let select =
        Query::select().columns(columns.iter().map(|(name, _)| name.clone())).from(table.to_owned()).to_owned();
    let mut rows = Vec::new();
    for row in db.query_all(&select).await? {
        rows.push(columns.iter().map(|(name, kind)| cell(&row, name, *kind)).collect::<Result<Vec<_>, _>>()?);
    }
    Ok(TableRows { columns: columns.into_iter().map(|(name, _)| name).collect(), rows })
}

fn cell(row: &QueryResult, column: &str, kind: Kind) -> Result<Cell, Fault> {
    Ok(match kind {
        Kind::Text => row.try_get::<Option<String>>("", column)?.map_or(Cell::Null, Cell::Text),
        Kind::Integer => row.try_get::<Option<i64>>("", column)?.map_or(Cell::Null, Cell::Integer),
        Kind::Bytes => row.try_get::<Option<Vec<u8>>>("", column)?.map_or(Cell::Null, Cell::Bytes),
    })
}

/// Inserts rows; those whose key is there already are left out.
pub(crate) async fn insert(db: &impl ConnectionTrait, table: &Table, rows: TableRows) -> Result<(), Fault> {
    let known = columns(db, table.name).await?;
    let kinds = rows.columns.iter().map(|name| {
        let found = known.iter().find(|(known, _)| known == name).map(|(_, kind)| *kind);
        found.ok_or_else(|| Fault::Corrupt(format!("table {} has a column `{name}` that is not ours", table.name)))
    });
    let kinds = kinds.collect::<Result<Vec<_>, _>>()?;
    let mut rows_left = rows.rows.into_iter().peekable();
    while rows_left.peek().is_some() {
        let mut insert = Query::insert();
        insert.into_table(table.name).columns(rows.columns.clone());
        for row in rows_left.by_ref().take(ROWS_PER_STATEMENT) {
            let values = row.into_iter().zip(&kinds).map(|(cell, kind)| value(cell, *kind).into());
            insert.values(values).map_err(|e| Fault::Corrupt(format!("table {}: {e}", table.name)))?;
        }
        insert.on_conflict(sea_orm::sea_query::OnConflict::columns(table.keys.iter().copied()).do_nothing().to_owned());
        db.execute(&insert).await?;
    }
    Ok(())
}

/// PostgreSQL wants to know of which type a NULL is.
fn value(cell: Cell, kind: Kind) -> Value {
    match (cell, kind) {
        (Cell::Text(text), _) => text.into(),
        (Cell::Integer(number), _) => number.into(),
        (Cell::Bytes(bytes), _) => bytes.into(),
        (Cell::Null, Kind::Text) => None::<String>.into(),
        (Cell::Null, Kind::Integer) => None::<i64>.into(),
        (Cell::Null, Kind::Bytes) => None::<Vec<u8>>.into(),
    }
}

/// How many rows each of our tables has.
pub(crate) async fn counts(db: &impl ConnectionTrait) -> Result<BTreeMap<String, u64>, Fault> {
    let mut counts = BTreeMap::new();
    for table in present(db).await? {
        let ask = format!("SELECT count(*) AS answer FROM \"{}\"", table.name);
        let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), ask)).await?;
        let count: i64 = row.map_or(Ok(0), |row| row.try_get("", "answer"))?;
        counts.insert(table.name.to_owned(), count.cast_unsigned());
    }
    Ok(counts)
}
