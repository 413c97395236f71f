//! What changes something: protecting, upkeep, and the policy.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Subcommand};
use clap_complete::Shell;

use super::{At, Every, Keep, Leave, OfSource, Online, Pin};

/// `protect`
#[derive(Debug, Args)]
pub(crate) struct Protect {
    /// What to protect; each path is a source of its own
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) to: Destination,
    #[command(flatten)]
    pub(crate) every: Every,
    #[command(flatten)]
    pub(crate) keep: Keep,
    #[command(flatten)]
    pub(crate) leave: Leave,
    #[command(flatten)]
    pub(crate) online: Online,
}

/// Where new sources belong.
#[derive(Debug, Args)]
pub(crate) struct Destination {
    /// Protection group of new sources [default: Default]
    #[arg(long, value_name = "G")]
    pub(crate) group: Option<String>,
    /// Directory of the volume for new sources; it is made where it is missing [default: HOME/pool]
    #[arg(long, value_name = "DIR")]
    pub(crate) pool: Option<PathBuf>,
}

/// `backup`
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// Only the sources of this group
    #[arg(long, value_name = "G", conflicts_with = "source")]
    pub(crate) group: Option<String>,
    #[command(flatten)]
    pub(crate) of: OfSource,
    /// Read every file again, whatever its times say, and prove the replica against it
    #[arg(long, conflicts_with = "online")]
    pub(crate) consistency_check: bool,
    /// Make online points too: of groups that are protected online
    #[arg(long)]
    pub(crate) online: bool,
}

/// `jobs`
#[derive(Debug, Args)]
pub(crate) struct Jobs {
    /// How many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: u64,
}

/// `verify`
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Read the data too, or this share of it; without, only what describes it
    #[arg(long, value_name = "PERCENT", num_args = 0..=1, default_missing_value = "100",
          value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) read_data: Option<u8>,
    /// Mend what can be mended: from parity, and from other volumes and vaults of the server
    #[arg(long)]
    pub(crate) repair: bool,
    /// Verify what the server has in vaults, instead of the pool
    #[arg(long)]
    pub(crate) online: bool,
}

/// `expire`
#[derive(Debug, Args)]
pub(crate) struct Expire {
    /// Give up exactly this point; may be repeated
    #[arg(long, value_name = "ID")]
    pub(crate) point: Vec<String>,
    /// Give up every point that its volume does not hold any more, and no other
    #[arg(long, conflicts_with = "point")]
    pub(crate) missing: bool,
    /// Show what would be given up, and change nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) pin: Pin,
}

/// `prune`
#[derive(Debug, Args)]
pub(crate) struct Prune {
    /// Show what would be deleted, and change nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

/// `pool`
#[derive(Debug, Subcommand)]
pub(crate) enum PoolCommand {
    /// Add a volume: make one in an empty or missing directory, or take in one of this server that lies there
    Add(PoolAdd),
    /// List the volumes
    List,
    /// Say that a volume is lost for good: `dpmsync -ReallocateReplica` gives its sources new places
    Lost {
        /// Its id, the beginning of its id, or its directory
        volume: OsString,
    },
    /// Forget a volume that holds no replica; nothing in it is deleted
    Remove {
        /// Its id, the beginning of its id, or its directory
        volume: OsString,
    },
}

/// `pool add`
#[derive(Debug, Args)]
pub(crate) struct PoolAdd {
    /// The volume's directory; or a place in an object store, where it is always encrypted:
    /// az://CONTAINER/PREFIX, s3://BUCKET/PREFIX, s3+http://HOST:PORT/BUCKET/PREFIX
    pub(crate) directory: PathBuf,
    /// Encrypt a new volume under a passphrase, which is asked for; --passphrase-file alone does it too
    #[arg(long)]
    pub(crate) passphrase: bool,
}

/// `group`
#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// Make a group
    Create(GroupCreate),
    /// List the groups
    List,
    /// Show a group and its sources
    Show {
        /// Its name or id
        group: String,
    },
    /// Change a group's policy
    Set(GroupSet),
    /// Remove a group that has no sources
    Remove {
        /// Its name or id
        group: String,
    },
}

/// `group create`
#[derive(Debug, Args)]
pub(crate) struct GroupCreate {
    /// Its name: up to 64 characters, with a letter, without | / ( ) .
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) every: Every,
    #[command(flatten)]
    pub(crate) at: At,
    #[command(flatten)]
    pub(crate) keep: Keep,
}

/// `group set`
#[derive(Debug, Args)]
pub(crate) struct GroupSet {
    /// Its name or id
    pub(crate) group: String,
    #[command(flatten)]
    pub(crate) every: Every,
    /// No point is ever due
    #[arg(long, conflicts_with = "every")]
    pub(crate) no_every: bool,
    #[command(flatten)]
    pub(crate) at: At,
    /// No calendar times any more
    #[arg(long, conflicts_with = "at")]
    pub(crate) no_at: bool,
    /// Keep every point
    #[arg(long, conflicts_with_all = KEEP_RULES)]
    pub(crate) keep_all: bool,
    #[command(flatten)]
    pub(crate) keep: Keep,
    #[command(flatten)]
    pub(crate) online: Online,
    /// Switch online protection off; online points stay
    #[arg(long, conflicts_with = "online")]
    pub(crate) no_online: bool,
}

/// The rules that contradict a whole other policy.
const KEEP_RULES: [&str; 6] = ["keep", "keep_last", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly"];

/// `source`
#[derive(Debug, Subcommand)]
pub(crate) enum SourceCommand {
    /// Add directories as sources without taking a recovery point
    Add(SourceAdd),
    /// Fill the replica of a source from a folder that was carried here by hand
    Load(SourceLoad),
    /// Stop protecting a source; its recovery points stay
    Remove(SourceRemove),
    /// Change a source's retention or what is left out of it
    Set(SourceSet),
}

/// `source add`
#[derive(Debug, Args)]
pub(crate) struct SourceAdd {
    /// What to protect; each path is a source of its own
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) to: Destination,
    #[command(flatten)]
    pub(crate) every: Every,
    #[command(flatten)]
    pub(crate) keep: Keep,
    #[command(flatten)]
    pub(crate) leave: Leave,
    /// Their first copy is carried here by hand: `source load` takes it in
    #[arg(long)]
    pub(crate) manual: bool,
}

/// `source load`
#[derive(Debug, Args)]
pub(crate) struct SourceLoad {
    /// The source: its root's path, its id, or the beginning of its id
    pub(crate) source: OsString,
    /// The folder with a copy of it: the same tree, names, times and rights
    pub(crate) directory: PathBuf,
}

/// `source remove`
#[derive(Debug, Args)]
pub(crate) struct SourceRemove {
    /// The source: its root's path, its id, or the beginning of its id
    pub(crate) source: OsString,
    /// Give up its recovery points as well
    #[arg(long)]
    pub(crate) delete_points: bool,
    #[command(flatten)]
    pub(crate) pin: Pin,
}

/// `source set`
#[derive(Debug, Args)]
pub(crate) struct SourceSet {
    /// The source: its root's path, its id, or the beginning of its id
    pub(crate) source: OsString,
    /// Keep what its group keeps
    #[arg(long, conflicts_with_all = KEEP_RULES)]
    pub(crate) keep_as_group: bool,
    #[command(flatten)]
    pub(crate) keep: Keep,
    /// Leave nothing out any more
    #[arg(long, conflicts_with_all = ["exclude", "include", "exclude_caches", "cross_file_systems", "one_file_system"])]
    pub(crate) exclude_nothing: bool,
    #[command(flatten)]
    pub(crate) leave: Leave,
}

/// `completions`
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: Shell,
}

/// `man`
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Write a page for every command into this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}
