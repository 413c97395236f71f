//! What a volume is for.

use serde::{Deserialize, Serialize};

use crate::words::words;

/// What a volume is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VolumeRole {
    /// It belongs to the storage pool: backups go there.
    #[default]
    Pool,
    /// It is this server's part of a vault: points are copied there from the pool.
    Vault,
}

words!(VolumeRole, "what a volume is for", Pool = "pool", Vault = "vault");
