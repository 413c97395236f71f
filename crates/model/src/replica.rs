//! What the pool holds of one data source, and how far it can be trusted.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The state of a replica. Why it is `inconsistent` is a field of its own beside the state, never part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplicaState {
    /// Proved by hashes, or written by a job that ended well.
    Valid,
    /// Must be checked against its source before it can be relied on.
    Inconsistent,
    /// The volume does not hold it.
    Missing,
    /// The first recovery point is still to come.
    CreationPending,
    /// The first copy is to be loaded by hand.
    ManualCreationPending,
    /// Protection was stopped; the points are kept.
    Stopped,
}

impl ReplicaState {
    /// Every state with its word.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Valid, "valid"),
        (Self::Inconsistent, "inconsistent"),
        (Self::Missing, "missing"),
        (Self::CreationPending, "creation-pending"),
        (Self::ManualCreationPending, "manual-creation-pending"),
        (Self::Stopped, "stopped"),
    ];
}

impl fmt::Display for ReplicaState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::ALL.iter().find(|(s, _)| s == self).map_or("valid", |(_, w)| *w);
        f.write_str(word)
    }
}

/// A word that names no replica state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a replica state")]
pub struct UnknownState(pub String);

impl FromStr for ReplicaState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL.iter().find(|(_, w)| *w == text).map(|(s, _)| *s).ok_or_else(|| UnknownState(text.to_owned()))
    }
}
