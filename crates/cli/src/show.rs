//! Answers as people read them: tables and sentences. Functions from data to text, with no output of their own.

pub(crate) mod amount;
pub(crate) mod entry;
pub(crate) mod point;
pub(crate) mod report;
pub(crate) mod server;
pub(crate) mod table;
pub(crate) mod vault;
