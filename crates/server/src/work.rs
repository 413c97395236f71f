//! What the daemon can do.

use std::fmt;

use resurgam_model::SourceId;

/// One thing that is done again and again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Work {
    /// A recovery point of a source.
    Backup(SourceId),
    /// An online point of a source.
    Online(SourceId),
    /// A native backup of the catalog, in this directory.
    CatalogBackup(String),
    /// Giving up points that no rule keeps.
    Expire,
    /// Giving their space back.
    Prune,
    /// Verifying the pool, and a share of its data.
    Verify,
    /// Rebuilding the server from each of its copies, in a scratch place.
    Drill,
    /// Bringing capsules and the recovery kit up to date.
    Capsules,
    /// Working out what is wrong.
    Alerts,
}

/// What may run beside what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Takes one of the few places for jobs.
    Job,
    /// Takes one too, and only one of this lane runs at a time, so that long upkeep never keeps backups waiting.
    Upkeep,
    /// Is short, and runs whatever else does.
    Beside,
}

impl Work {
    /// What it may run beside.
    pub fn lane(&self) -> Lane {
        match self {
            Self::Backup(_) | Self::Online(_) | Self::CatalogBackup(_) => Lane::Job,
            Self::Expire | Self::Prune | Self::Verify | Self::Drill => Lane::Upkeep,
            Self::Capsules | Self::Alerts => Lane::Beside,
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backup(source) => write!(f, "backup of {source}"),
            Self::Online(source) => write!(f, "online backup of {source}"),
            Self::CatalogBackup(place) => write!(f, "catalog backup to {place}"),
            Self::Expire => f.write_str("expire"),
            Self::Prune => f.write_str("prune"),
            Self::Verify => f.write_str("verify"),
            Self::Drill => f.write_str("drill"),
            Self::Capsules => f.write_str("capsules"),
            Self::Alerts => f.write_str("alerts"),
        }
    }
}
