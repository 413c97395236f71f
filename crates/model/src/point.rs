//! Recovery points as programs and people see them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::words::words;
use crate::{PointId, ReplicaId, SourceId, VolumeId};

/// How a point came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PointKind {
    /// The source as a whole, whatever was sent to make it.
    ExpressFull,
    /// Changes since the last express full, to be replayed (databases' logs).
    Incremental,
}

/// Whether a point can be recovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PointState {
    /// Every item of the source is in it.
    Complete,
    /// Some items could not be read when it was made; each was named then.
    Partial,
    /// Verification found damage that it could not mend.
    Damaged,
    /// The catalog knows it and the volume lacks it.
    Missing,
}

impl PointState {
    /// Whether it can be built upon and recovered from.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Complete | Self::Partial)
    }
}

words!(PointKind, "a kind of recovery point", ExpressFull = "express-full", Incremental = "incremental");
words!(
    PointState,
    "a state of a recovery point",
    Complete = "complete",
    Partial = "partial",
    Damaged = "damaged",
    Missing = "missing"
);

/// One recovery point, in the form of the command line's JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Point {
    /// Its id.
    pub id: PointId,
    /// The root's path, as text.
    pub source: String,
    /// The data source.
    pub source_id: SourceId,
    /// The replica that it belongs to.
    pub replica: ReplicaId,
    /// The volume that holds it.
    pub volume: VolumeId,
    /// When the server received it; what retention counts from.
    pub time: Timestamp,
    /// How it came to be.
    pub kind: PointKind,
    /// Entries that are not directories.
    pub files: u64,
    /// Bytes of content, holes included.
    pub bytes: u64,
    /// Bytes that the volume grew by.
    pub added_bytes: u64,
    /// Whether it can be recovered.
    pub state: PointState,
    /// Whether it lies in a vault, not in the pool.
    pub online: bool,
}
