//! The charter: everything that people decided, as one value. What capsules hold.
//!
//! A row of the catalog is *derived* (a rebuild works it out from what volumes hold) or *charter*. The charter and the
//! recovery points of the volumes together make the whole catalog again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::words::words;
use crate::{
    GroupId, ReplicaId, ServerId, SourceId, Timestamp, VaultId, VolumeId,
    bytepath::escape,
    policy::{Group, Selection, Source, SourceKind},
    replica::ReplicaState,
    retention::Retention,
    role::VolumeRole,
};

/// Everything that people decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charter {
    /// Whose it is.
    pub server: ServerCharter,
    /// Single values, by name.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// Protection groups, by id.
    #[serde(default)]
    pub groups: Vec<Group>,
    /// Data sources, by id.
    #[serde(default)]
    pub sources: Vec<SourceCharter>,
    /// Volumes, by id.
    #[serde(default)]
    pub volumes: Vec<VolumeCharter>,
    /// Vaults, by id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vaults: Vec<VaultCharter>,
    /// Replicas, by id: where each source is to lie, and states that only a person or a finding can have given.
    #[serde(default)]
    pub replicas: Vec<ReplicaCharter>,
    /// Where copies of the catalog are put, by kind and place.
    #[serde(default)]
    pub copies: Vec<CatalogCopy>,
    /// How the last drill of each copy went, by kind and place.
    #[serde(default)]
    pub drills: Vec<DrillRecord>,
}

/// The server's identity, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerCharter {
    /// Its id.
    pub id: ServerId,
    /// The name that people know it by.
    pub name: String,
    /// Its public key, 64 hexadecimal digits.
    pub public_key: String,
    /// When it was made.
    pub created: Timestamp,
}

/// A data source; its root both readable and exact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceCharter {
    /// Its id.
    pub id: SourceId,
    /// What kind of thing it is.
    #[serde(default)]
    pub kind: SourceKind,
    /// Its root, every byte shown; for people.
    pub root: String,
    /// The same, exactly: hexadecimal.
    pub root_bytes: String,
    /// Its group.
    pub group: GroupId,
    /// What is left out.
    #[serde(default)]
    pub selection: Selection,
    /// A retention of its own.
    pub retention: Option<Retention>,
}

/// Where a volume lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeCharter {
    /// Its id.
    pub id: VolumeId,
    /// Its directory or URL.
    pub location: String,
    /// When it was added to the pool.
    pub added: Timestamp,
    /// Its description of itself (`VOLUME.toml`).
    pub document: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "is_pool")]
    pub role: VolumeRole,
}

fn is_pool(role: &VolumeRole) -> bool {
    *role == VolumeRole::Pool
}

/// A vault that the server is registered with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultCharter {
    /// Its id.
    pub id: VaultId,
    /// Its name.
    pub name: String,
    /// Its URL.
    pub location: String,
    /// The server's part of it.
    pub part: VolumeId,
    /// Its description of itself (`VAULT.toml`), as read when the server registered.
    pub document: String,
    /// When the server registered.
    pub registered: Timestamp,
}

/// Where a source's replica lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaCharter {
    /// Its id.
    pub id: ReplicaId,
    /// The source.
    pub source: SourceId,
    /// The volume.
    pub volume: VolumeId,
    /// Its state, where that cannot be worked out from the volume: not `valid`, not `creation-pending`.
    pub state: Option<ReplicaState>,
    /// Why.
    pub cause: Option<String>,
}

/// A kind of copy of the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CopyKind {
    /// A recovery point of DPMDB in a volume of the pool.
    Pool,
    /// A native backup in a directory.
    Native,
    /// A native backup in a folder that is itself protected; recovered from there.
    Share,
    /// Capsules and recovery points in a volume.
    Capsules,
    /// A recovery point of DPMDB in a vault.
    Vault,
}

words!(
    CopyKind,
    "a kind of copy of the catalog: they are pool, native, share, capsules and vault",
    Pool = "pool",
    Native = "native",
    Share = "share",
    Capsules = "capsules",
    Vault = "vault"
);

/// A place where native backups of the catalog are put. (Copies in volumes need no row: every volume has them.)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogCopy {
    /// `native`, or `share` where the place lies in a protected folder.
    pub kind: CopyKind,
    /// The directory.
    pub place: String,
    /// How many are kept; `None`: no limit by count.
    pub keep: Option<u32>,
    /// How old they may get, in seconds; `None`: no limit by age.
    pub max_age_seconds: Option<u64>,
    /// How often `serve` makes one, in seconds; `None`: only when asked.
    pub every_seconds: Option<u64>,
}

/// How the last drill of one copy went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillRecord {
    /// The kind of copy.
    pub kind: CopyKind,
    /// The volume's id, or the directory.
    pub place: String,
    /// When it was held.
    pub time: Timestamp,
    /// Whether everything came back.
    pub passed: bool,
    /// How old the copy was, in seconds: what would have been lost.
    pub recovery_point_seconds: u64,
    /// How long the rebuilding took, in milliseconds.
    pub recovery_time_milliseconds: u64,
    /// What was missing, or a few words.
    pub message: String,
}

impl SourceCharter {
    /// A source as the charter has it. `hex` writes bytes as hexadecimal digits.
    pub fn new(source: &Source, hex: impl Fn(&[u8]) -> String) -> Self {
        Self {
            id: source.id,
            kind: source.kind,
            root: escape(&source.root),
            root_bytes: hex(&source.root),
            group: source.group,
            selection: source.selection.clone(),
            retention: source.retention.clone(),
        }
    }

    /// The source; `None` where `root_bytes` is not hexadecimal.
    pub fn source(&self, unhex: impl Fn(&str) -> Option<Vec<u8>>) -> Option<Source> {
        Some(Source {
            id: self.id,
            kind: self.kind,
            group: self.group,
            root: unhex(&self.root_bytes)?,
            selection: self.selection.clone(),
            retention: self.retention.clone(),
        })
    }
}
