//! Looking: `points`, `ls`, `find`, `diff`.

use std::ffi::OsString;

use clap::Args;

use super::OfSource;

/// `points`
#[derive(Debug, Args)]
pub(crate) struct Points {
    #[command(flatten)]
    pub(crate) of: OfSource,
    /// Those in vaults instead of those in the pool
    #[arg(long)]
    pub(crate) online: bool,
}

/// `ls`
#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// The recovery point: an id, the beginning of one, or `latest`
    pub(crate) point: String,
    /// A path inside the point, relative to the source's root
    pub(crate) path: Option<OsString>,
    /// Everything below as well
    #[arg(short, long)]
    pub(crate) recursive: bool,
    #[command(flatten)]
    pub(crate) of: OfSource,
}

/// `find`
#[derive(Debug, Args)]
pub(crate) struct Find {
    /// What to look for; a glob without a slash matches names anywhere, one with a slash whole paths
    pub(crate) glob: String,
    /// Only in points of this group's sources
    #[arg(long, value_name = "G", conflicts_with = "source")]
    pub(crate) group: Option<String>,
    #[command(flatten)]
    pub(crate) of: OfSource,
}

/// `diff`
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The earlier recovery point
    pub(crate) from: String,
    /// The later recovery point
    pub(crate) to: String,
    #[command(flatten)]
    pub(crate) of: OfSource,
}
