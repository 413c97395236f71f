//! What a command answers: the documents of the command line's JSON. Keys may be added, none is ever renamed.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::{
    PointId, SourceId, Timestamp, VolumeId,
    charter::{CopyKind, DrillRecord},
    point::Point,
};

/// An item that could not be read when a point was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unread {
    /// Its full path, every byte shown.
    pub path: String,
    /// What was wrong.
    pub error: String,
}

/// Something left out of a point on purpose, other than by the user's own globs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Its full path, every byte shown.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// Answer of `protect` and `backup`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct BackupReport {
    /// The points made.
    pub points: Vec<Point>,
    /// What could not be read.
    pub unread: Vec<Unread>,
    /// What was left out.
    pub left_out: Vec<LeftOut>,
    /// Sources of which no point could be made, where others succeeded or were tried too.
    pub failed: Vec<Failed>,
    /// The point of the server's own catalog that `protect` took along without being asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalog: Option<Point>,
}

/// A source of which no point could be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// Its root, as text.
    pub source: String,
    /// Its id.
    pub source_id: SourceId,
    /// Why.
    pub error: String,
}

/// An item that was not restored, or was restored without proof that it is right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unproved {
    /// Its path inside the point, every byte shown.
    pub path: String,
    /// What was wrong.
    pub error: String,
}

/// Answer of `recover`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct RecoverReport {
    /// Entries restored that are not directories.
    pub files: u64,
    /// Bytes of content restored.
    pub bytes: u64,
    /// Entries left alone because something of that name was there (`--conflict skip`).
    pub skipped: u64,
    /// What could not be restored or proved.
    pub unproved: Vec<Unproved>,
}

/// What recovering would take: answer of `recover --dry-run`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub struct RecoverEstimate {
    /// Entries that are not directories.
    pub files: u64,
    /// Bytes of their content.
    pub bytes: u64,
    /// What it takes to fetch them from where the point lies; nothing where it lies near.
    pub fetch: Option<Fetch>,
}

/// Traffic with a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub struct Fetch {
    /// Requests.
    pub requests: u64,
    /// Bytes received.
    pub bytes: u64,
}

/// One finding of `verify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The object, by its name in the volume.
    pub object: String,
    /// What is wrong with it.
    pub what: String,
    /// Whether it has been put right.
    pub mended: bool,
}

/// Answer of `verify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct VerifyReport {
    /// Bytes read and checked.
    pub checked_bytes: u64,
    /// What was found.
    pub damage: Vec<Damage>,
    /// Points that cannot be restored whole because of damage that was not mended.
    pub affected_points: Vec<PointId>,
}

/// Answer of `expire`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct ExpireReport {
    /// Points that were, or with `--dry-run` would be, given up.
    pub expired: Vec<Point>,
    /// How many stay.
    pub kept: u64,
    /// Sources for which nothing was expired, and why.
    pub paused: Vec<Paused>,
}

/// A source whose expiry was held back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Paused {
    /// The source.
    pub source_id: SourceId,
    /// Its root, as text.
    pub source: String,
    /// Why.
    pub reason: String,
}

/// Answer of `prune`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct PruneReport {
    /// Packs deleted.
    pub packs_deleted: u64,
    /// Packs whose live part was moved to new ones.
    pub packs_rewritten: u64,
    /// Packs condemned, to be deleted by a later prune, when the writers registered now have ended.
    pub packs_waiting: u64,
    /// Bytes that the volumes shrank by.
    pub freed_bytes: u64,
    /// Bytes of live data moved.
    pub moved_bytes: u64,
}

/// How something differs between two points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Only the second has it.
    Added,
    /// Only the first has it.
    Removed,
    /// Content or kind differ.
    Modified,
    /// Only attributes differ.
    Attributes,
}

/// One line of `diff`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// How it differs.
    pub change: Change,
    /// Path inside the points, every byte shown.
    pub path: String,
}

/// One line of `ls` and `find`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// The point that holds it.
    pub point: PointId,
    /// Path inside the point, every byte shown.
    pub path: String,
    /// `file`, `directory`, `symlink`, `fifo`, `socket`, `character-device` or `block-device`.
    pub kind: &'static str,
    /// Bytes of content; 0 for what is not a file.
    pub size: u64,
    /// Permission bits; in octal where they are text.
    #[serde(serialize_with = "octal")]
    pub mode: u32,
    /// Owner, by name where it has one.
    pub owner: String,
    /// Group, by name where it has one.
    pub group: String,
    /// Time of last modification.
    pub modified: Modified,
    /// Target of a symlink.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

fn octal<S: Serializer>(mode: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{mode:04o}"))
}

/// When an entry was last modified: as text RFC 3339, or `@` and seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Modified {
    /// A time that calendars know.
    At(Timestamp),
    /// Seconds since 1970, beyond every calendar.
    Beyond(i64),
}

impl fmt::Display for Modified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(time) => time.fmt(f),
            Self::Beyond(seconds) => write!(f, "@{seconds}"),
        }
    }
}

impl Serialize for Modified {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One data source, as `sources` and `status` show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceSummary {
    /// Its id.
    pub id: SourceId,
    /// `files`, or `dpmdb` for the server's own catalog.
    pub kind: String,
    /// Its root, as text.
    pub root: String,
    /// The group's name.
    pub group: String,
    /// The state of its replica.
    pub state: String,
    /// Why the replica is in that state, where there is more to say.
    pub cause: Option<String>,
    /// The volume that holds its replica.
    pub volume: Option<VolumeId>,
    /// How many points there are.
    pub points: u64,
    /// When the newest was made.
    pub newest: Option<Timestamp>,
    /// Its own retention in words, where it has one instead of its group's.
    pub retention: Option<String>,
}

/// One volume, as `pool list` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VolumeSummary {
    /// Its id.
    pub id: VolumeId,
    /// Where it lies.
    pub location: String,
    /// `passphrase` or `clear`.
    pub protection: String,
    /// How many replicas lie there.
    pub replicas: u64,
    /// `present`, or why it cannot be used.
    pub state: String,
}

/// One vault, as `vault list` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VaultSummary {
    /// Its id.
    pub id: crate::VaultId,
    /// Its name.
    pub name: String,
    /// Where it lies.
    pub url: String,
    /// The volume that is this server's part.
    pub part: VolumeId,
    /// When the server registered.
    pub registered: Timestamp,
    /// Online points of this server.
    pub points: u64,
    /// When the newest of them was made.
    pub newest: Option<Timestamp>,
    /// How fast it may be talked to.
    pub limits: crate::transfer::TransferLimits,
    /// `present`, or why it cannot be used.
    pub state: String,
}

/// An online point that was given up and can come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeletedSummary {
    /// Its id.
    pub id: PointId,
    /// The root's path, as text.
    pub source: String,
    /// The data source.
    pub source_id: SourceId,
    /// When the server received it.
    pub time: Timestamp,
    /// When it was given up.
    pub deleted: Timestamp,
    /// Until when it can come back.
    pub until: Timestamp,
}

/// A disk that carries the first copy to a vault, as `vault carry` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CarriedSummary {
    /// The points on it, newest of each source.
    pub points: Vec<CarriedPoint>,
    /// URL of the vault that it is for.
    pub vault: String,
    /// Objects to be loaded.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A point on a carried disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CarriedPoint {
    /// Its id, which it will have in the vault.
    pub id: PointId,
    /// The root's path, as text.
    pub source: String,
    /// When the server received it.
    pub time: Timestamp,
    /// Files in it.
    pub files: u64,
    /// Bytes of content in it.
    pub bytes: u64,
}

/// What a carried disk gave to a vault, as `vault load` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoadedSummary {
    /// URL of the vault.
    pub vault: String,
    /// Objects sent.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that the vault had already.
    pub there: u64,
}

/// Something that a vault relies on, and whether a store does it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoreCheck {
    /// What is relied on, in words.
    pub promise: String,
    /// Whether it holds.
    pub holds: bool,
    /// Whether a vault does without it.
    pub optional: bool,
    /// What was found.
    pub what: Option<String>,
}

/// A server of a vault, as `external list` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServerSummary {
    /// Its id.
    pub id: crate::ServerId,
    /// Its name.
    pub name: String,
    /// The volume that is its part.
    pub part: VolumeId,
    /// When it registered.
    pub registered: Timestamp,
}

/// One protection group, as `group list` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupSummary {
    /// Its id.
    pub id: crate::GroupId,
    /// Its name.
    pub name: String,
    /// Its retention in words.
    pub retention: String,
    /// Its interval in seconds, if it has one.
    pub every_seconds: Option<u64>,
    /// Its calendar times, if it has some.
    pub calendar: Option<crate::policy::Calendar>,
    /// Its online protection, where that is switched on.
    pub online: Option<crate::policy::Online>,
    /// How many sources it has.
    pub sources: u64,
}

/// One copy of the catalog: what survives the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CopyStatus {
    /// What kind of copy.
    pub kind: CopyKind,
    /// The volume's id, or the directory.
    pub place: String,
    /// Where that lies.
    pub location: String,
    /// When the newest usable one was made.
    pub made: Option<Timestamp>,
    /// Its age.
    pub age_seconds: Option<u64>,
    /// How many changes of the configuration it knows.
    pub sequence: Option<u64>,
    /// Digest of the configuration that it holds.
    pub digest: Option<String>,
    /// How many changes of the configuration it lacks.
    pub changes_lacking: Option<u64>,
    /// How many recovery points it does not know (the volumes themselves know all of theirs).
    pub points_lacking: Option<u64>,
    /// Why there is none, or what is wrong with it.
    pub fault: Option<String>,
    /// How its last drill went.
    pub drill: Option<DrillRecord>,
}

/// A replica that was given a new place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reallocated {
    /// The source.
    pub source_id: SourceId,
    /// Its root, as text.
    pub source: String,
    /// The replica that is missing.
    pub old_replica: crate::ReplicaId,
    /// The new, empty one.
    pub replica: crate::ReplicaId,
    /// Where it lies.
    pub volume: VolumeId,
}

/// Answer of `catalog backup`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CatalogBackupReport {
    /// The file made.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// Version of the catalog's schema.
    pub schema: i64,
    /// How many changes of the configuration it knows.
    pub sequence: u64,
    /// Rows in it, proved to be those of the catalog.
    pub rows: u64,
    /// Older files that were removed.
    pub removed: Vec<String>,
}

/// One job, as `jobs` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobSummary {
    /// Its id.
    pub id: crate::JobId,
    /// What it did: `backup`, `recover`, `verify`, `expire`, `prune`.
    pub kind: String,
    /// What it was about, in words.
    pub subject: String,
    /// `running`, `done`, `partial`, `failed`, `interrupted` or `cancelled`.
    pub state: String,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// What went wrong, or what it achieved.
    pub message: Option<String>,
}
