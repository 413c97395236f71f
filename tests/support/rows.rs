//! The rows of a catalog, as `catalog query` shows them; and where those of two catalogs differ.

use std::{collections::BTreeMap, fs, path::Path};

use crate::{args, program::Program};

/// The tables that a rebuilt catalog must have as the lost one had them, with the columns of their keys. Of the others,
/// `lineage` must be new, `job` dies with its server, `alert` is found anew, and the rest say how the very database came
/// to be.
const TABLES: [(&str, &[&str]); 9] = [
    ("server", &["slot"]),
    ("protection_group", &["id"]),
    ("data_source", &["id"]),
    ("volume", &["id"]),
    ("setting", &["name"]),
    ("catalog_copy", &["kind", "place"]),
    ("drill", &["kind", "place"]),
    ("replica", &["id"]),
    ("recovery_point", &["id"]),
];

/// Columns and what they hold; `None` is NULL.
pub type Row = BTreeMap<String, Option<String>>;

/// Rows by table and key.
#[derive(Debug, Clone, Default)]
pub struct Rows(BTreeMap<&'static str, BTreeMap<String, Row>>);

/// The rows that a query gives.
#[track_caller]
pub fn query(program: &Program, statement: &str) -> Vec<Row> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), statement).unwrap();
    query_file(program, file.path())
}

/// The rows that the query in a file gives.
#[track_caller]
pub fn query_file(program: &Program, file: &Path) -> Vec<Row> {
    let outcome = program.run(args!["catalog", "query", file]);
    let document = outcome.done();
    let texts = |value: &serde_json::Value| -> Vec<Option<String>> {
        let cells = value.as_array().unwrap_or_else(|| panic!("no list: {outcome}"));
        cells.iter().map(|cell| cell.as_str().map(str::to_owned)).collect()
    };
    let columns = texts(&document["columns"]);
    let rows = document["rows"].as_array().unwrap_or_else(|| panic!("no rows: {outcome}"));
    let named = |row| columns.iter().cloned().map(Option::unwrap).zip(texts(row)).collect();
    rows.iter().map(named).collect()
}

impl Rows {
    /// All that are compared.
    #[track_caller]
    pub fn of(program: &Program) -> Self {
        let mut tables = BTreeMap::new();
        for (table, keys) in TABLES {
            let rows = query(program, &format!("SELECT * FROM {table}"));
            let key = |row: &Row| keys.iter().map(|key| row[*key].clone().unwrap_or_default()).collect::<Vec<_>>();
            tables.insert(table, rows.into_iter().map(|row| (key(&row).join(" "), row)).collect());
        }
        Self(tables)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.values().map(BTreeMap::len).sum()
    }

    /// The rows of one table.
    pub fn table(&self, name: &str) -> &BTreeMap<String, Row> {
        &self.0[name]
    }

    /// The same but for one column.
    pub fn without_column(mut self, table: &str, column: &str) -> Self {
        for row in self.0.get_mut(table).unwrap().values_mut() {
            row.remove(column).unwrap_or_else(|| panic!("{table} has no column {column}"));
        }
        self
    }

    /// The same but for the rows of a table that are meant, by their keys and cells.
    pub fn without_rows(mut self, table: &str, meant: impl Fn(&str, &Row) -> bool) -> Self {
        self.0.get_mut(table).unwrap().retain(|key, row| !meant(key, row));
        self
    }

    /// Every way in which `other` differs, one line each. Empty: they are the same.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for (table, rows) in &self.0 {
            let others = &other.0[table];
            for (key, row) in rows {
                match others.get(key) {
                    None => lines.push(format!("{table} {key} is gone: {row:?}")),
                    Some(found) => lines.extend(cells(row, found).map(|line| format!("{table} {key}: {line}"))),
                }
            }
            let extra = others.iter().filter(|(key, _)| !rows.contains_key(*key));
            lines.extend(extra.map(|(key, row)| format!("{table} {key} came from nowhere: {row:?}")));
        }
        lines
    }

    /// Fails with the differences, if there are any.
    #[track_caller]
    pub fn assert_same(&self, other: &Self, what: &str) {
        let lines = self.differences(other);
        assert!(lines.is_empty(), "{what}: {} differences:\n{}", lines.len(), lines.join("\n"));
    }
}

fn cells(expected: &Row, found: &Row) -> impl Iterator<Item = String> {
    let columns: std::collections::BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let differs = columns.into_iter().filter(|column| expected.get(*column) != found.get(*column));
    differs
        .map(|column| format!("{column} is {:?}, not {:?}", found.get(column), expected.get(column)))
        .collect::<Vec<_>>()
        .into_iter()
}
