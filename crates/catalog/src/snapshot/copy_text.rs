//! The rows in a script of `pg_restore`: blocks of `COPY table (columns) FROM stdin;` in PostgreSQL's text format.

use std::{fmt::Display, io::BufRead, str::FromStr};

use crate::{Fault, cells};

/// One row of a table; or, before its rows, the table itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CopyRow<'a> {
    /// The table's name, without its schema.
    pub(crate) table: &'a str,
    /// The columns.
    pub(crate) columns: &'a [String],
    /// The cells, `None` for NULL; `None`: the table begins.
    pub(crate) cells: Option<&'a [Option<String>]>,
}

impl CopyRow<'_> {
    /// A cell.
    pub(super) fn optional(&self, column: &str) -> Result<Option<String>, Fault> {
        let at = self.columns.iter().position(|name| name == column);
        let cell = at.and_then(|at| self.cells.and_then(|cells| cells.get(at)));
        cell.cloned().ok_or_else(|| self.unreadable(column, &"it is not there"))
    }

    /// A cell that is never NULL.
    pub(super) fn text(&self, column: &str) -> Result<String, Fault> {
        self.optional(column)?.ok_or_else(|| self.unreadable(column, &"it is empty"))
    }

    /// A cell that holds a word, a number, an id or a time.
    pub(super) fn parse<T: FromStr>(&self, column: &str) -> Result<T, Fault>
    where
        T::Err: Display,
    {
        self.text(column)?.parse().map_err(|e| self.unreadable(column, &e))
    }

    /// A cell that holds bytes.
    pub(super) fn bytes(&self, column: &str) -> Result<Vec<u8>, Fault> {
        bytes(&self.text(column)?).ok_or_else(|| self.unreadable(column, &"it is no `bytea`"))
    }

    fn unreadable(&self, column: &str, why: &dyn Display) -> Fault {
        Fault::Corrupt(format!("table {}, column {column} cannot be read: {why}", self.table))
    }
}

/// A `bytea` cell as bytes.
pub(crate) fn bytes(text: &str) -> Option<Vec<u8>> {
    text.strip_prefix("\\x").and_then(cells::unhex)
}

/// Reads a script to its end.
pub(super) fn read_rows(
    mut script: impl BufRead,
    row: &mut dyn FnMut(CopyRow<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut block: Option<(String, Vec<String>)> = None;
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = script.read_until(b'\n', &mut line).map_err(|e| Fault::of_file(&e))?;
        if length == 0 {
            return match block {
                Some((table, _)) => Err(Fault::Corrupt(format!("the archive breaks off in table {table}"))),
                None => Ok(()),
            };
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        match &block {
            None => {
                block = std::str::from_utf8(text).ok().and_then(begins_block);
                if let Some((table, columns)) = &block {
                    row(CopyRow { table, columns, cells: None })?;
                }
            }
            Some(_) if text == b"\\." => block = None,
            Some((table, columns)) => {
                let cells = text.split(|byte| *byte == b'\t').map(cell).collect::<Option<Vec<_>>>();
                let cells = cells.filter(|cells| cells.len() == columns.len());
                let cells = cells.ok_or_else(|| Fault::Corrupt(format!("a row of table {table} cannot be read")))?;
                row(CopyRow { table, columns, cells: Some(&cells) })?;
            }
        }
    }
}

/// The table and the columns, if the line begins a block.
fn begins_block(line: &str) -> Option<(String, Vec<String>)> {
    let (table, columns) = line.strip_prefix("COPY ")?.strip_suffix(") FROM stdin;")?.split_once(" (")?;
    let name = table.rsplit('.').next()?;
    Some((unquoted(name), columns.split(", ").map(unquoted).collect()))
}

/// Our names hold neither dots, commas nor quotes.
fn unquoted(name: &str) -> String {
    name.trim_matches('"').to_owned()
}

/// One cell: `Some(None)` is NULL, `None` unreadable.
#[expect(clippy::option_option, reason = "NULL is not an error")]
fn cell(text: &[u8]) -> Option<Option<String>> {
    if text == b"\\N" {
        return Some(None);
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        if *byte != b'\\' {
            plain.push(*byte);
            continue;
        }
        plain.push(match bytes.next()? {
            b'b' => 8,
            b't' => 9,
            b'n' => 10,
            b'v' => 11,
            b'f' => 12,
            b'r' => 13,
            other => *other,
        });
    }
    String::from_utf8(plain).ok().map(Some)
}

#[cfg(test)]
mod tests;
