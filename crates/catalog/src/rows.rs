//! The rows of a catalog as text, to see whether two catalogs are the same.

use std::collections::BTreeMap;

use resurgam_model::bytepath::escape;

use crate::{
    Catalog, CatalogError, cells,
    tables::{self, Cell},
};

/// Every row that a rebuilt catalog must have as the lost one had it: of `server`, `protection_group`, `data_source`,
/// `volume`, `setting`, `catalog_copy`, `drill`, `replica` and `recovery_point`.
///
/// Not compared: `schema_change`, `seaql_migrations`, `agent_patch` and `reserve`, which say how this very database came
/// to be; `lineage`, which a rebuilt catalog must have of its own; `job`, whose history dies with its server; and `alert`,
/// which is found anew.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rows {
    /// Table, key, and the row as one line.
    pub tables: BTreeMap<String, BTreeMap<String, String>>,
}

/// A row that two catalogs do not have alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowDifference {
    /// The table.
    pub table: String,
    /// The row's key.
    pub key: String,
    /// What differs.
    pub what: RowChange,
}

/// How a row differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowChange {
    /// Only the left catalog has it.
    OnlyLeft,
    /// Only the right catalog has it.
    OnlyRight,
    /// Both have it.
    Differs {
        /// As the left one has it.
        left: String,
        /// As the right one has it.
        right: String,
    },
}

impl Catalog {
    /// Every compared row, as of one moment.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn rows(&self) -> Result<Rows, CatalogError> {
        self.view("read all rows", async |db| {
            let mut rows = Rows::default();
            for table in tables::TABLES.iter().filter(|table| table.compared) {
                let read = tables::read(db, table.name).await?;
                let lines = read.rows.iter().map(|row| {
                    let named: Vec<_> = read.columns.iter().map(String::as_str).zip(row).collect();
                    let key = table.keys.iter().filter_map(|key| named.iter().find(|(name, _)| name == key));
                    let key: Vec<String> = key.map(|(_, cell)| text(cell)).collect();
                    let cells: Vec<String> =
                        named.iter().map(|(name, cell)| format!("{name}={}", text(cell))).collect();
                    (key.join(" "), cells.join(" | "))
                });
                rows.tables.insert(table.name.to_owned(), lines.collect());
            }
            Ok(rows)
        })
    }
}

impl Rows {
    /// The rows that differ, by table and key; empty if the catalogs are the same.
    pub fn compare(&self, other: &Self) -> Vec<RowDifference> {
        let empty = BTreeMap::new();
        let mut differences = Vec::new();
        let mut names: Vec<&String> = self.tables.keys().chain(other.tables.keys()).collect();
        names.sort();
        names.dedup();
        for name in names {
            let (left, right) = (self.tables.get(name).unwrap_or(&empty), other.tables.get(name).unwrap_or(&empty));
            let mut keys: Vec<&String> = left.keys().chain(right.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let what = match (left.get(key), right.get(key)) {
                    (Some(left), Some(right)) if left == right => continue,
                    (Some(left), Some(right)) => RowChange::Differs { left: left.clone(), right: right.clone() },
                    (Some(_), None) => RowChange::OnlyLeft,
                    _ => RowChange::OnlyRight,
                };
                differences.push(RowDifference { table: name.clone(), key: key.clone(), what });
            }
        }
        differences
    }
}

/// A cell so that different ones read differently: bytes as text where they are text, else in hexadecimal.
fn text(cell: &Cell) -> String {
    match cell {
        Cell::Null => "-".to_owned(),
        Cell::Text(text) => format!("'{}'", escape(text.as_bytes()).replace('\'', "\\'")),
        Cell::Integer(number) => number.to_string(),
        Cell::Bytes(bytes) if std::str::from_utf8(bytes).is_ok() => {
            format!("\"{}\"", escape(bytes).replace('"', "\\\""))
        }
        Cell::Bytes(bytes) => format!("x{}", cells::hex(bytes)),
    }
}
