//! Lineages: which catalog is the current one.
//!
//! A catalog that was restored is not the one that was lost: it begins a new lineage, whose generation is one more than
//! that of the catalog it was made from. So a catalog that was thought lost and comes back can never pass for current,
//! whatever the clocks say.

use serde::{Deserialize, Serialize};

use crate::{LineageId, Timestamp};

/// The life of one catalog, from its making or restoring to the next restoring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// Its id.
    pub id: LineageId,
    /// The lineage that it was restored from.
    pub parent: Option<LineageId>,
    /// 1 for a catalog that was made new; each restoring adds one.
    pub generation: u64,
    /// How many times the charter has changed within this server's life; it goes on counting through restores.
    pub sequence: u64,
    /// Digest of the charter that `sequence` stands for; empty before the first.
    pub digest: String,
    /// When it began.
    pub started: Timestamp,
    /// What it was made from, in words.
    pub origin: String,
    /// Why nothing may be deleted; `None`: deleting is as allowed as ever.
    pub frozen: Option<String>,
}

impl Lineage {
    /// The order of catalogs of one server by how current they are: generation, then sequence.
    pub fn age(&self) -> (u64, u64) {
        (self.generation, self.sequence)
    }
}
