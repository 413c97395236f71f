//! Bringing back: `recover` and `reader`.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use resurgam_jobs::Conflict;

use super::OfSource;

/// `recover`
#[derive(Debug, Args)]
pub(crate) struct Recover {
    /// The recovery point: an id, the beginning of one, or `latest`
    pub(crate) point: String,
    /// Only these paths of the point, relative to the source's root
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) how: How,
    #[command(flatten)]
    pub(crate) of: OfSource,
    /// `latest` is the newest online point
    #[arg(long)]
    pub(crate) online: bool,
}

/// Where to.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Place {
    /// Into this directory: what lies below the source's root comes to lie directly in it
    #[arg(long, value_name = "DIR")]
    pub(crate) to: Option<PathBuf>,
    /// Where the source was
    #[arg(long)]
    pub(crate) original: bool,
}

/// What to do with what is there.
#[derive(Debug, Args)]
pub(crate) struct How {
    /// What to do where something of that name is there already [default: stop]
    #[arg(long, value_name = "HOW")]
    pub(crate) conflict: Option<ConflictWord>,
    /// Leave owner and group as the system sets them
    #[arg(long)]
    pub(crate) no_owner: bool,
    /// Only say how much it is, and what fetching it takes where it lies in a vault
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// The words of `--conflict`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ConflictWord {
    /// Replace it
    Overwrite,
    /// Leave it
    Skip,
    /// Put the recovered one beside it under another name
    Copy,
}

impl How {
    /// In the engine's words.
    pub(crate) fn conflict(&self) -> Conflict {
        match self.conflict {
            None => Conflict::Refuse,
            Some(ConflictWord::Overwrite) => Conflict::Overwrite,
            Some(ConflictWord::Skip) => Conflict::Skip,
            Some(ConflictWord::Copy) => Conflict::Copy,
        }
    }
}

/// `reader`
#[derive(Debug, Subcommand)]
pub(crate) enum Reader {
    /// List the recovery points of a volume
    Points(ReaderPoints),
    /// List what a recovery point of a volume holds
    Ls(ReaderLs),
    /// Bring back a recovery point of a volume, or single paths of it
    Recover(ReaderRecover),
}

/// `reader points`
#[derive(Debug, Args)]
pub(crate) struct ReaderPoints {
    /// The volume's directory
    pub(crate) volume: PathBuf,
    #[command(flatten)]
    pub(crate) of: OfSource,
}

/// `reader ls`
#[derive(Debug, Args)]
pub(crate) struct ReaderLs {
    /// The volume's directory
    pub(crate) volume: PathBuf,
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

/// `reader recover`
#[derive(Debug, Args)]
pub(crate) struct ReaderRecover {
    /// The volume's directory
    pub(crate) volume: PathBuf,
    /// The recovery point: an id, the beginning of one, or `latest`
    pub(crate) point: String,
    /// Only these paths of the point, relative to the source's root
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
    /// Into this directory: what lies below the source's root comes to lie directly in it
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
    #[command(flatten)]
    pub(crate) how: How,
    #[command(flatten)]
    pub(crate) of: OfSource,
}
