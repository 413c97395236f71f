//! Why a job or a request did not do what was asked.

use resurgam_catalog::CatalogError;
use resurgam_sources::SourceError;
use resurgam_store::{
    StoreError,
    error::{BackendError, Fault},
};

/// What went wrong. Each has a code that programs can rely on, and a remedy.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// A volume failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A source or a target failed.
    #[error(transparent)]
    Source(SourceError),
    /// The catalog failed.
    #[error("{}", .0.message())]
    Catalog(#[from] CatalogError),
    /// What was asked for makes no sense here.
    #[error("{message}")]
    Request {
        /// A stable word.
        code: &'static str,
        /// What is wrong.
        message: String,
        /// What to do.
        remedy: String,
    },
}

impl From<SourceError> for JobError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Store(error) => Self::Store(error),
            SourceError::Cancelled => Self::Store(StoreError::Cancelled),
            other => Self::Source(other),
        }
    }
}

impl From<BackendError> for JobError {
    fn from(error: BackendError) -> Self {
        Self::Store(error.into())
    }
}

impl JobError {
    pub(crate) fn request(code: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Request { code, message: message.into(), remedy: remedy.into() }
    }

    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(StoreError::Backend(error)) => match error.kind {
                Fault::Full => "volume-full",
                Fault::ReadOnly => "volume-read-only",
                Fault::NotFound => "volume-object-missing",
                Fault::Denied => "volume-denied",
                Fault::Exists | Fault::Io => "volume-io",
            },
            Self::Store(StoreError::Corrupt { .. } | StoreError::MissingBlob(_)) => "volume-damaged",
            Self::Store(StoreError::Refused { .. }) => "volume-refused",
            Self::Store(StoreError::WrongPassphrase { .. }) => "passphrase-wrong",
            Self::Store(StoreError::Busy(_)) => "busy",
            Self::Store(StoreError::Cancelled) => "cancelled",
            Self::Store(StoreError::Internal(_)) => "internal",
            Self::Source(SourceError::TargetFull { .. }) => "target-full",
            Self::Source(SourceError::Target { .. }) => "target",
            Self::Source(_) => "source",
            Self::Catalog(error) => error.code(),
            Self::Request { code, .. } => code,
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> String {
        let text = match self {
            Self::Request { remedy, .. } => return remedy.clone(),
            Self::Catalog(error) => return error.remedy().to_owned(),
            Self::Store(StoreError::Backend(error)) if error.object.contains("://") => of_store(error.kind),
            Self::Store(StoreError::Backend(error)) => match error.kind {
                Fault::Full => {
                    "free space on that disk, or run `resurgam expire` and `resurgam prune`; what was stored so far is found again"
                }
                Fault::ReadOnly => "mount the file system so that it can be written",
                Fault::NotFound => "see that the disk is mounted, then run `resurgam verify --repair`",
                Fault::Denied => "run as the user who owns the volume",
                Fault::Exists | Fault::Io => "see the system's log for faults of the disk, then run the command again",
            },
            Self::Store(StoreError::Corrupt { .. } | StoreError::MissingBlob(_)) => {
                "run `resurgam verify --read-data --repair`"
            }
            Self::Store(StoreError::Refused { .. }) => "the message says what is needed",
            Self::Store(StoreError::WrongPassphrase { .. }) => {
                "give the passphrase that was set for it last; a space or a line more than the one at the end counts"
            }
            Self::Store(StoreError::Busy(_)) => "wait until the other command has ended, then run this one again",
            Self::Store(StoreError::Cancelled) => "run the command again; it goes on from what was stored",
            Self::Store(StoreError::Internal(_)) => "this is a defect of resurgam: report it with this message",
            Self::Source(SourceError::TargetFull { .. } | SourceError::Target { .. }) => {
                "see that the target can be written and has room"
            }
            Self::Source(_) => "correct the path or the pattern and run the command again",
        };
        text.to_owned()
    }

    /// Whether somebody asked for the work to stop.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Store(StoreError::Cancelled))
    }
}

/// What to do about a fault of an object store.
fn of_store(kind: Fault) -> &'static str {
    match kind {
        Fault::Full => "see what the store's owner allows; what was stored so far is found again",
        Fault::ReadOnly | Fault::Denied => {
            "see that the keys for the store are right and may do this, and that this machine's clock is right"
        }
        Fault::NotFound => "see that the container or bucket is there, and that the URL names it",
        Fault::Exists | Fault::Io => {
            "see that the store can be reached from here (its name, the network), then run the command again; it goes on from \
             what was stored"
        }
    }
}
