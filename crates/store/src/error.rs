//! What can go wrong in a volume, by class and by object.

use std::io;

use crate::entry::BlobId;

/// Why an operation of the store did not happen.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The place that holds the volume failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// An object is there and is not what it should be.
    #[error("{object}: {what}")]
    Corrupt {
        /// The object, by its name in the volume.
        object: String,
        /// What is wrong with it.
        what: String,
    },
    /// A blob that something refers to is in no readable pack.
    #[error("blob {0} is in no pack of the volume that can be read")]
    MissingBlob(BlobId),
    /// The volume needs a newer program, another passphrase, another server and the like.
    #[error("{object}: {what}")]
    Refused {
        /// The object.
        object: String,
        /// What is refused and what to do about it.
        what: String,
    },
    /// A passphrase was given, and nothing else opens the volume either.
    #[error("{object}: the passphrase is wrong: none of the volume's key slots opens with it")]
    WrongPassphrase {
        /// Where the volume lies.
        object: String,
    },
    /// Somebody else holds what this needs.
    #[error("{0}")]
    Busy(String),
    /// The caller asked for the work to stop.
    #[error("stopped on request; what was stored so far will be found again")]
    Cancelled,
    /// A library refused its input: a defect of this program.
    #[error("internal: {0}")]
    Internal(String),
}

/// Why a backend did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempt} {object}: {}", .kind.explain(.source))]
pub struct BackendError {
    /// What was attempted, as a verb.
    pub attempt: &'static str,
    /// Where: path or URL of the object.
    pub object: String,
    /// The class of the fault.
    pub kind: Fault,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// Classes of faults, by what the caller can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is not there.
    NotFound,
    /// It is there already.
    Exists,
    /// No space is left.
    Full,
    /// The place is read-only.
    ReadOnly,
    /// Access was denied.
    Denied,
    /// Anything else; "could not read" is not "is corrupt".
    Io,
}

impl Fault {
    /// The class of an error of the operating system.
    pub fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::NotFound,
            io::ErrorKind::AlreadyExists => Self::Exists,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Self::Full,
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            io::ErrorKind::PermissionDenied => Self::Denied,
            _ => Self::Io,
        }
    }

    fn explain(self, source: &io::Error) -> String {
        // What the system says adds nothing to its class; what a distant store says may be all that helps.
        match source.get_ref() {
            Some(said) if self != Self::Io => format!("{} ({said})", self.class(source)),
            _ => self.class(source),
        }
    }

    fn class(self, source: &io::Error) -> String {
        match self {
            Self::NotFound => "it is not there".to_owned(),
            Self::Exists => "it is there already".to_owned(),
            Self::Full => {
                "no space is left; free some (`resurgam expire`, then `resurgam prune`) or enlarge the disk".to_owned()
            }
            Self::ReadOnly => "the file system, or this use of it, is read-only".to_owned(),
            Self::Denied => "permission denied".to_owned(),
            Self::Io => source.to_string(),
        }
    }
}

impl StoreError {
    /// Whether an object was not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Backend(BackendError { kind: Fault::NotFound, .. }))
    }

    /// Whether this says that data is damaged or gone, as opposed to out of reach.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::MissingBlob(_)) || self.is_not_found()
    }

    /// What is wrong, without the name of the object.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Corrupt { what, .. } => what.clone(),
            error if error.is_not_found() => "it is missing".to_owned(),
            error => error.to_string(),
        }
    }

    /// The same error once more, for another thread that it stops.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Backend(BackendError { attempt, object, kind, source }) => {
                let source = source
                    .raw_os_error()
                    .map_or_else(|| io::Error::new(source.kind(), source.to_string()), io::Error::from_raw_os_error);
                Self::Backend(BackendError { attempt, object: object.clone(), kind: *kind, source })
            }
            Self::Corrupt { object, what } => Self::Corrupt { object: object.clone(), what: what.clone() },
            Self::MissingBlob(id) => Self::MissingBlob(*id),
            Self::Refused { object, what } => Self::Refused { object: object.clone(), what: what.clone() },
            Self::WrongPassphrase { object } => Self::WrongPassphrase { object: object.clone() },
            Self::Busy(what) => Self::Busy(what.clone()),
            Self::Cancelled => Self::Cancelled,
            Self::Internal(what) => Self::Internal(what.clone()),
        }
    }

    pub(crate) fn corrupt(object: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Corrupt { object: object.into(), what: what.into() }
    }
}
