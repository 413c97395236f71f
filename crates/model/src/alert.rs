//! What is wrong with a server, worked out from what is known of it.
//!
//! [`conditions`] is asked again and again. What it names stands; what it no longer names has cleared itself. Nobody
//! has to notice a moment: a run that did not happen shows in the age of what there is, whatever kept it from
//! happening.

use std::collections::BTreeMap;

use jiff::{SignedDuration, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::words::words;
use crate::{ReplicaId, SourceId, Timestamp, VolumeId, charter::CopyKind, replica::ReplicaState, schedule::Schedule};

mod rules;

/// How bad a condition is. The gravest comes first in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Something cannot be restored, or soon could not be.
    Critical,
    /// Something does not go as it was asked for.
    Warning,
    /// Something that a person should know.
    Information,
}

words!(
    Severity,
    "a severity: they are critical, warning and information",
    Critical = "critical",
    Warning = "warning",
    Information = "information"
);

/// Something that is wrong now. `kind` and `subject` together say which; severity and message may change while it
/// lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// One of the words of [`kind`].
    pub kind: String,
    /// What it is about, as people know it: a source's root, a volume's location, a copy's kind and place.
    pub subject: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong and what to do.
    pub message: String,
}

/// The kinds of conditions.
pub mod kind {
    /// A source has no new point although its schedule wanted one.
    pub const SOURCE_OVERDUE: &str = "source-overdue";
    /// The last backup of a source failed.
    pub const SOURCE_FAILING: &str = "source-failing";
    /// A volume cannot be reached.
    pub const VOLUME_MISSING: &str = "volume-missing";
    /// A volume is nearly full.
    pub const VOLUME_FILLING: &str = "volume-filling";
    /// A copy of the catalog is too old, lacks something that it should hold, or is not there.
    pub const CATALOG_COPY_OLD: &str = "catalog-copy-old";
    /// The last drill of a copy did not bring everything back.
    pub const DRILL_FAILED: &str = "drill-failed";
    /// A copy has not been drilled for long.
    pub const DRILL_OVERDUE: &str = "drill-overdue";
    /// A verification found damage that is not mended.
    pub const DAMAGE_FOUND: &str = "damage-found";
    /// There is no recovery kit that is proved and up to date.
    pub const KIT_MISSING: &str = "kit-missing";
    /// A vault cannot be reached.
    pub const VAULT_UNREACHABLE: &str = "vault-unreachable";
    /// A vault no longer holds this server's part.
    pub const VAULT_LOST: &str = "vault-lost";
    /// Nothing may be deleted.
    pub const FROZEN: &str = "frozen";
    /// Another catalog of this server is newer.
    pub const SUPERSEDED: &str = "superseded";
    /// A replica must be checked against its source.
    pub const REPLICA_INCONSISTENT: &str = "replica-inconsistent";
    /// The volume does not hold a replica.
    pub const REPLICA_MISSING: &str = "replica-missing";

    /// All of them.
    pub const ALL: [&str; 15] = [
        SOURCE_OVERDUE,
        SOURCE_FAILING,
        VOLUME_MISSING,
        VOLUME_FILLING,
        CATALOG_COPY_OLD,
        DRILL_FAILED,
        DRILL_OVERDUE,
        DAMAGE_FOUND,
        KIT_MISSING,
        VAULT_UNREACHABLE,
        VAULT_LOST,
        FROZEN,
        SUPERSEDED,
        REPLICA_INCONSISTENT,
        REPLICA_MISSING,
    ];
}

/// What is known of a server, gathered by whoever asks. What cannot be known now is left out, and then nothing is
/// concluded from it.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The zone for calendars that name none; `None`: UTC.
    pub zone: Option<TimeZone>,
    /// Every source.
    pub sources: Vec<SourceFacts>,
    /// Every volume of the pool.
    pub volumes: Vec<VolumeFacts>,
    /// Every vault.
    pub vaults: Vec<VaultFacts>,
    /// Every copy of the catalog that there should be.
    pub copies: Vec<CopyFacts>,
    /// Damage that is not mended, by volume.
    pub damage: Vec<DamageFacts>,
    /// Every replica.
    pub replicas: Vec<ReplicaFacts>,
    /// The recovery kit; `None`: not looked at.
    pub kit: Option<Kit>,
    /// Why nothing may be deleted, if so.
    pub frozen: Option<String>,
    /// Which newer catalog of this server was found, if any, in words.
    pub superseded: Option<String>,
}

/// What is known of a source.
#[derive(Debug, Clone)]
pub struct SourceFacts {
    /// Its id.
    pub id: SourceId,
    /// Its root, every byte shown.
    pub root: String,
    /// When points of it are wanted.
    pub schedule: Schedule,
    /// Time of the newest good point; of those not later than now, where there is one.
    pub newest: Option<Timestamp>,
    /// Whether its protection was stopped.
    pub stopped: bool,
    /// How many backups have failed since the last that did not.
    pub failures: u64,
    /// What the last of them said.
    pub last_failure: Option<String>,
}

/// What is known of a volume.
#[derive(Debug, Clone)]
pub struct VolumeFacts {
    /// Its id.
    pub id: VolumeId,
    /// Its directory or URL.
    pub location: String,
    /// Why it cannot be used; `None`: it can.
    pub unreachable: Option<String>,
    /// Its space, where known.
    pub space: Option<Space>,
}

/// Space of a volume, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes that can still be written.
    pub free: u64,
    /// Bytes in all.
    pub total: u64,
}

/// What is known of a vault.
#[derive(Debug, Clone)]
pub struct VaultFacts {
    /// What people call it.
    pub name: String,
    /// Its URL.
    pub location: String,
    /// Why the server's part of it could not be opened when that was last tried; `None`: it could.
    pub trouble: Option<VaultTrouble>,
}

/// Why the server's part of a vault cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultTrouble {
    /// Since when it failed each time.
    pub since: Timestamp,
    /// What was said the last time.
    pub what: String,
    /// Whether the store answers, and does not have the part.
    pub gone: bool,
}

/// What is known of a copy of the catalog, and of the drills of it.
#[derive(Debug, Clone)]
pub struct CopyFacts {
    /// Its kind.
    pub kind: CopyKind,
    /// Its volume's location, or its directory.
    pub place: String,
    /// When the newest usable one was made; `None`: there is none.
    pub newest: Option<Timestamp>,
    /// Why there is none, or why a newer one is of no use.
    pub problem: Option<String>,
    /// How old it may be, in seconds; `None`: as old as the last change.
    pub allowed_age_seconds: Option<u64>,
    /// How many changes of the charter it lacks.
    pub lacks_changes: u64,
    /// How many recovery points it lacks.
    pub lacks_points: u64,
    /// The last drill; `None`: it was never drilled.
    pub drill: Option<Drilled>,
}

/// How the last drill of a copy went.
#[derive(Debug, Clone)]
pub struct Drilled {
    /// When.
    pub time: Timestamp,
    /// Whether everything came back.
    pub passed: bool,
    /// What was missing, or a few words.
    pub message: String,
}

/// Damage in a volume that is not mended.
#[derive(Debug, Clone)]
pub struct DamageFacts {
    /// The volume.
    pub volume: VolumeId,
    /// Its directory or URL.
    pub location: String,
    /// How many objects are damaged.
    pub objects: u64,
    /// How many recovery points cannot be restored whole.
    pub affected_points: u64,
}

/// What is known of a replica.
#[derive(Debug, Clone)]
pub struct ReplicaFacts {
    /// Its id.
    pub id: ReplicaId,
    /// Root of its source, every byte shown.
    pub root: String,
    /// Its state.
    pub state: ReplicaState,
    /// Why.
    pub cause: Option<String>,
}

/// How the recovery kit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kit {
    /// None was ever made.
    NeverMade,
    /// One was made, and its passphrase was never proved.
    NeverProved,
    /// What it holds has changed since it was written.
    OutOfDate,
    /// Proved, and up to date.
    Current,
}

/// A source is late only when its point is this share of the interval late, within [`GRACE_LEAST`] and [`GRACE_MOST`]:
/// a backup takes its time, and may wait for another.
const GRACE_SHARE: u64 = 2;
const GRACE_LEAST: SignedDuration = SignedDuration::from_mins(15);
const GRACE_MOST: SignedDuration = SignedDuration::from_hours(6);
/// A network that is away for a moment is nobody's business; one that is away for a day is.
const VAULT_PATIENCE: SignedDuration = SignedDuration::from_mins(15);
const VAULT_CRITICAL: SignedDuration = SignedDuration::from_hours(24);
/// A copy is to be drilled at least this often; `serve` does it weekly.
pub const DRILL_OBJECTIVE: SignedDuration = SignedDuration::from_hours(14 * 24);
/// A volume with less than this many percent free is filling,
const FILLING_PERCENT: u64 = 10;
/// and with less than this nearly full.
const FULL_PERCENT: u64 = 3;
/// So many failures in a row are no accident,
const FAILURES_CRITICAL: u64 = 3;
/// nor are so many missed runs besides the first.
const MISSED_CRITICAL: u64 = 2;

/// What is wrong at `now`: the gravest first, then by kind and subject. No two have the same kind and subject.
pub fn conditions(facts: &Facts, now: Timestamp) -> Vec<Condition> {
    let mut found: BTreeMap<(String, String), Condition> = BTreeMap::new();
    for condition in rules::all(facts, now) {
        let key = (condition.kind.clone(), condition.subject.clone());
        let graver = found.get(&key).is_none_or(|known| condition.severity < known.severity);
        if graver {
            found.insert(key, condition);
        }
    }
    let mut conditions: Vec<Condition> = found.into_values().collect();
    conditions.sort_by(|a, b| (a.severity, &a.kind, &a.subject).cmp(&(b.severity, &b.kind, &b.subject)));
    conditions
}

#[cfg(test)]
mod tests;
