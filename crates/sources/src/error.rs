//! Why a source could not be protected or put back as a whole. Single items that fail are named in reports instead.

use std::io;

use resurgam_store::StoreError;

/// What ends a capture or a restore.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The root of the source cannot be reached.
    #[error("cannot protect {path}: {}", explain(.source))]
    Root {
        /// The root as it was given, every byte shown.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The root of the source is one of the directories that are never entered.
    #[error("cannot protect {path}: it is {reason}; choose another directory")]
    RootLeftOut {
        /// The root as it was given.
        path: String,
        /// What it is.
        reason: String,
    },
    /// A glob of the selection cannot be understood.
    #[error("`{glob}` is not a glob: {reason}")]
    Glob {
        /// The glob as it was given.
        glob: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The target of a restore cannot be used.
    #[error("cannot {attempt} {path}: {}", explain(.source))]
    Target {
        /// What was attempted, as a verb.
        attempt: &'static str,
        /// Where, every byte shown.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Something has the name of an entry that is to be restored, and nobody said what is to happen then.
    #[error(
        "{path} is there already, so nothing was recovered; recover to an empty directory, or say with --conflict \
         overwrite, skip or copy what is to happen"
    )]
    TargetHas {
        /// What is there, every byte shown.
        path: String,
    },
    /// A path was asked for that the point does not hold.
    #[error("the recovery point holds no {path}; `resurgam ls` shows what it holds")]
    NotInPoint {
        /// The path, every byte shown.
        path: String,
    },
    /// The target of a restore has no space left.
    #[error(
        "no space is left to recover {path}; what was recovered before it is whole. Free some space there, or recover \
         to another place with --to, and run the command again (--conflict skip leaves what is there already)"
    )]
    TargetFull {
        /// The file that did not fit, every byte shown.
        path: String,
    },
    /// The caller asked for the work to stop.
    #[error("stopped on request")]
    Cancelled,
    /// The volume failed: never the fault of one item.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SourceError {
    /// Something that cannot be unless a program is wrong, such as a thread that is gone.
    pub(crate) fn internal(what: &str) -> Self {
        StoreError::Internal(what.to_owned()).into()
    }
}

/// An error of the system in words that name the remedy where there is one.
pub(crate) fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "it is not there; check the path".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied; run as root or as its owner".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only".to_owned(),
        io::ErrorKind::NotADirectory => "a part of the path is not a directory".to_owned(),
        _ => error.to_string(),
    }
}

/// Whether the system says that there is no room, on the disk or in the quota.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
