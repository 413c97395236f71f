//! How values of the model stand in cells, so that both databases keep and sort them alike.
//!
//! - A time is RFC 3339 text in UTC with nine digits after the point: as exact as the time itself (PostgreSQL's own type
//!   stops at microseconds), of one width, so it sorts as it stands, and readable on the worst day.
//! - An id is the text that people see.
//! - A count of `u64` is kept in the 64 bits of the databases' signed integer, bit by bit: exact for every value.
//! - A policy or a selection is JSON.

use std::{fmt::Display, str::FromStr};

use resurgam_model::Timestamp;
use serde::{Serialize, de::DeserializeOwned};

use crate::Fault;

/// A time as it stands in a cell.
pub(crate) fn time(time: Timestamp) -> String {
    format!("{time:.9}")
}

/// A count as it stands in a cell.
pub(crate) fn count(count: u64) -> i64 {
    count.cast_signed()
}

/// A cell as a count.
pub(crate) fn to_count(cell: i64) -> u64 {
    cell.cast_unsigned()
}

/// A document as it stands in a cell.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|e| Fault::Other(format!("a value cannot be written as JSON: {e}")))
}

/// Text that a person or a system made up: PostgreSQL has no zero byte in text.
pub(crate) fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hexadecimal digits as bytes.
pub(crate) fn unhex(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| if let [a, b] = pair { Some(digit(*a)? << 4 | digit(*b)?) } else { None }).collect()
}

fn digit(character: u8) -> Option<u8> {
    (character as char).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Reads cells of one row; an unreadable one is an error that names the row.
pub(crate) struct Row<'a> {
    /// The table.
    pub(crate) table: &'static str,
    /// The row's key.
    pub(crate) key: &'a str,
}

impl Row<'_> {
    /// A cell that holds a word, an id or a time.
    pub(crate) fn parse<T: FromStr>(&self, column: &str, cell: &str) -> Result<T, Fault>
    where
        T::Err: Display,
    {
        cell.parse().map_err(|e| self.unreadable(column, &e))
    }

    /// A cell that holds JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self, column: &str, cell: &str) -> Result<T, Fault> {
        serde_json::from_str(cell).map_err(|e| self.unreadable(column, &e))
    }

    fn unreadable(&self, column: &str, why: &dyn Display) -> Fault {
        Fault::Corrupt(format!("table {}, row {}, column {column} cannot be read: {why}", self.table, self.key))
    }
}
