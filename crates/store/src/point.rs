//! Recovery points and replicas as they lie in a volume: signed texts.

use resurgam_model::{
    PointId, ReplicaId, ServerId, SourceId, Timestamp, VolumeId,
    bytepath::escape,
    point::{PointKind, PointState},
};
use serde::{Deserialize, Serialize};

use crate::{
    entry::BlobId,
    error::StoreError,
    keys::{hex, unhex},
    tree::TreeRoot,
};

/// Where a replica lies in a volume.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaPlace {
    /// Directory of its server: the name that the server had.
    pub server: String,
    /// The replica.
    pub replica: ReplicaId,
}

/// Prefix of everything about replicas.
pub const REPLICAS: &str = "replicas/";
const REPLICA_TOML: &str = "REPLICA.toml";

/// A server's name as a directory: what is not a letter, digit, dot, dash or underscore becomes an underscore.
pub fn server_directory(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let directory: String = name.chars().take(200).map(plain).collect();
    if directory.trim_matches('.').is_empty() { "server".to_owned() } else { directory }
}

impl ReplicaPlace {
    pub(crate) fn directory(&self) -> String {
        format!("{REPLICAS}{}/{}/", self.server, self.replica)
    }

    /// Name of the text that describes the replica.
    pub fn description(&self) -> String {
        format!("{}{REPLICA_TOML}", self.directory())
    }

    /// Name of one of its points.
    pub fn point(&self, point: PointId) -> String {
        format!("{}{point}", self.directory())
    }

    /// What an object below [`REPLICAS`] is: a place and a point, or a place and its description.
    pub fn of_object(name: &str) -> Option<(Self, Option<PointId>)> {
        let mut parts = name.strip_prefix(REPLICAS)?.split('/');
        let (server, replica, last) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let place = Self { server: server.to_owned(), replica };
        let point = if last == REPLICA_TOML { None } else { Some(last.parse().ok()?) };
        // Ids have one spelling, so that no two names stand for one point.
        let own = point.map_or_else(|| place.description(), |point| place.point(point));
        (own == name).then_some((place, point))
    }
}

/// What a volume says of a replica without any catalog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplicaText {
    /// Always `replica`.
    pub document: String,
    /// The volume.
    pub volume: VolumeId,
    /// The server.
    pub server: ServerId,
    /// The replica.
    pub replica: ReplicaId,
    /// The data source.
    pub source: SourceId,
    /// The source's root, every byte shown.
    pub root: String,
    /// The same, exactly, in hexadecimal.
    pub root_bytes: String,
    /// Group and policy, in the words of the model; the store does not look inside.
    pub policy: toml::Table,
}

impl ReplicaText {
    /// The word in `document`.
    pub const DOCUMENT: &'static str = "replica";
}

/// A recovery point as its text has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointText {
    /// Always `recovery point`.
    pub document: String,
    /// The volume.
    pub volume: VolumeId,
    /// The replica.
    pub replica: ReplicaId,
    /// The data source.
    pub source: SourceId,
    /// The point.
    pub point: PointId,
    /// The source's root, every byte shown.
    pub root: String,
    /// When the server received it.
    pub time: Timestamp,
    /// How it came to be.
    pub kind: PointKind,
    /// Whether everything is in it.
    pub state: PointState,
    /// Items that could not be read.
    pub unread: u64,
    /// Bytes that the volume grew by.
    pub added_bytes: u64,
    /// Where its entries are.
    pub tree: TreeText,
}

/// A tree's root as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeText {
    /// The topmost page, hexadecimal.
    pub page: String,
    /// Its level.
    pub level: u8,
    /// Entries in all.
    pub entries: u64,
    /// Those that are not directories.
    pub files: u64,
    /// Bytes of content.
    pub bytes: u64,
}

impl From<&TreeRoot> for TreeText {
    fn from(root: &TreeRoot) -> Self {
        let TreeRoot { page, level, entries, files, bytes } = *root;
        Self { page: hex(&page.0), level, entries, files, bytes }
    }
}

impl PointText {
    /// The word in `document`.
    pub const DOCUMENT: &'static str = "recovery point";

    /// The tree's root.
    pub fn tree_root(&self) -> Result<TreeRoot, StoreError> {
        let page = unhex(&self.tree.page).and_then(|bytes| bytes.try_into().ok());
        let page = page.ok_or_else(|| {
            StoreError::corrupt(format!("point {}", self.point), "its page is not 64 hexadecimal digits")
        })?;
        let TreeText { level, entries, files, bytes, .. } = self.tree;
        Ok(TreeRoot { page: BlobId(page), level, entries, files, bytes })
    }
}

/// The root of a source, as the texts have it: shown, and exactly.
pub fn root_texts(root: &[u8]) -> (String, String) {
    (escape(root), hex(root))
}
