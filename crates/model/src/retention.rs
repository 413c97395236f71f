//! Which recovery points stay.

use serde::{Deserialize, Serialize};

/// What a policy keeps; a point stays if any rule keeps it. All `None`: everything stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Retention {
    /// Points younger than this many seconds stay.
    pub within_seconds: Option<u64>,
    /// The newest N stay.
    pub last: Option<u32>,
    /// The newest point of each of the last N days that have one.
    pub daily: Option<u32>,
    /// The same for weeks (ISO, Monday first).
    pub weekly: Option<u32>,
    /// The same for months.
    pub monthly: Option<u32>,
    /// The same for years.
    pub yearly: Option<u32>,
}
