//! What is protected and by which rules.

use serde::{Deserialize, Serialize};

use crate::words::words;
use crate::{GroupId, SourceId, VaultId, retention::Retention};

/// Data sources that share a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its id.
    pub id: GroupId,
    /// Its name: 1 to 64 characters, at least one letter, none of `| / ( ) .`, unique on the server.
    pub name: String,
    /// What is kept on disk.
    pub retention: Retention,
    /// How often a point is made, in seconds; the objective that status holds the source to. `None`: when asked.
    pub every_seconds: Option<u64>,
    /// Calendar times at which a point is made, besides `every_seconds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<Calendar>,
    /// Online protection, where it is switched on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub online: Option<Online>,
}

/// How the sources of a group are protected online: points of the pool are copied to a vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Online {
    /// Which vault.
    pub vault: VaultId,
    /// What is kept there.
    pub retention: Retention,
    /// How often an online point is made, in seconds. `None`: when asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_seconds: Option<u64>,
    /// Calendar times at which one is made, besides `every_seconds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<Calendar>,
}

/// Times of a calendar: `0 2 * * 1-5` in `Europe/Berlin`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calendar {
    /// Minute, hour, day of the month, month, day of the week, as in `crontab(5)`.
    pub cron: String,
    /// IANA name of the time zone; `None`: the server's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

/// The name of the group that `protect` uses when none is given.
pub const DEFAULT_GROUP: &str = "Default";

/// A name that a group cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` cannot be the name of a protection group: {reason}")]
pub struct InvalidGroupName {
    /// The name.
    pub name: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Checks the name of a protection group (the rule of MABS).
///
/// # Errors
/// Where it is empty, longer than 64 characters, without a letter, or holds one of `| / ( ) .` or a control character.
pub fn check_group_name(name: &str) -> Result<(), InvalidGroupName> {
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.chars().count() > 64 {
        "it is longer than 64 characters"
    } else if !name.chars().any(char::is_alphabetic) {
        "it has no letter"
    } else if name.chars().any(|c| "|/().".contains(c) || c.is_control()) {
        "it holds one of | / ( ) . or a control character"
    } else {
        return Ok(());
    };
    Err(InvalidGroupName { name: name.to_owned(), reason })
}

/// Which entries of a folder tree are left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Selection {
    /// Globs of what to leave out; relative to the root; `**` crosses directories, a glob without a slash matches names
    /// anywhere.
    pub exclude: Vec<String>,
    /// Globs of what to keep although `exclude` matches it.
    pub include: Vec<String>,
    /// Whether to leave out directories that hold a valid CACHEDIR.TAG (the tag itself is kept).
    pub exclude_caches: bool,
    /// Whether to enter other file systems mounted below the root.
    pub cross_file_systems: bool,
}

/// What kind of thing a data source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    /// A folder tree or a file.
    #[default]
    Files,
    /// The server's own catalog.
    Dpmdb,
}

words!(SourceKind, "a kind of data source", Files = "files", Dpmdb = "dpmdb");

/// The name of the data source that is the server's own catalog, and of the group that it is put into.
pub const DPMDB: &str = "DPMDB";

/// One thing protected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its id.
    pub id: SourceId,
    /// What kind of thing it is.
    #[serde(default)]
    pub kind: SourceKind,
    /// The group that it belongs to.
    pub group: GroupId,
    /// The root: bytes of an absolute path; of the catalog, [`DPMDB`].
    pub root: Vec<u8>,
    /// What is left out.
    pub selection: Selection,
    /// A retention of its own, instead of the group's.
    pub retention: Option<Retention>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_names_follow_the_rule() {
        assert!(check_group_name("Files on web-1").is_ok());
        for bad in ["", "123", "a/b", "a.b", "(a)", "a|b", &"x".repeat(65)] {
            assert!(check_group_name(bad).is_err(), "{bad}");
        }
    }
}
