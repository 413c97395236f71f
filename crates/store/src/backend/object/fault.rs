//! What a store's refusal means: whether to try again, the class of the fault, and what to tell, in one line, without any
//! secret.

use std::{error::Error as _, io};

use object_store::Error;
use zeroize::Zeroizing;

use crate::error::{BackendError, Fault};

/// More of what a store says helps nobody.
const SAID_MAX: usize = 300;

/// A failed attempt.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) kind: Fault,
    /// Whether the same may succeed later.
    pub(super) passing: bool,
    /// Whether the store refused a condition: the object is not as it was taken to be.
    pub(super) condition: bool,
    /// Whether it is the container that is missing.
    pub(super) bucket: bool,
    /// Whether it was the store that said no.
    pub(super) answered: bool,
    pub(super) source: io::Error,
}

impl Failure {
    /// A failure of which nobody but this program knows.
    pub(super) fn of(kind: io::ErrorKind, what: impl Into<String>, passing: bool) -> Self {
        let source = io::Error::new(kind, what.into());
        Self { kind: Fault::of(&source), passing, condition: false, bucket: false, answered: false, source }
    }

    /// A hold of ours was lost: nothing may be changed any more.
    pub(super) fn lost(error: BackendError) -> Self {
        Self {
            kind: error.kind,
            passing: false,
            condition: false,
            bucket: false,
            answered: false,
            source: error.source,
        }
    }

    /// What an error of the store means. `secrets` are struck out of what it says.
    pub(super) fn from(error: &Error, secrets: &[Zeroizing<String>]) -> Self {
        let text = chain(error);
        let status = number_after(&text, "status code: ");
        let code = between(&text, "<Code>", "</Code>").unwrap_or_default();
        let passing_code = [
            "ConditionalRequestConflict",
            "OperationAborted",
            "SlowDown",
            "ServerBusy",
            "InternalError",
            "OperationTimedOut",
        ];
        let passing = passing_code.contains(&code)
            || match (error, status) {
                (Error::NotFound { .. } | Error::Precondition { .. } | Error::PermissionDenied { .. }, _) => false,
                (_, Some(507)) => false,
                (_, Some(status)) => status >= 500 || matches!(status, 408 | 429),
                (Error::Generic { .. } | Error::JoinError { .. }, None) => true,
                _ => false,
            };
        let condition = !passing
            && matches!(error, Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotModified { .. });
        let full = status == Some(507) || ["QuotaExceeded", "InsufficientStorage", "XMinioStorageFull"].contains(&code);
        let bucket = ["NoSuchBucket", "ContainerNotFound"].contains(&code);
        let kind = match error {
            _ if full => Fault::Full,
            _ if bucket => Fault::NotFound,
            Error::NotFound { .. } => Fault::NotFound,
            Error::AlreadyExists { .. } if condition => Fault::Exists,
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => Fault::Denied,
            // Of a listing, the crate passes on what was said, and no class.
            _ if matches!(status, Some(401 | 403)) => Fault::Denied,
            _ => Fault::Io,
        };
        // Somebody is there, unless it was the connection that took so long.
        let silent = status.is_none() && text.contains("timed out") && !text.contains("(Connect)");
        let mut said = said(&text, status, code);
        for secret in secrets {
            said = said.replace(secret.as_str(), "…");
        }
        if bucket {
            said = format!("the bucket or container does not exist: make it first; {said}");
        }
        Self {
            kind,
            passing,
            condition,
            bucket,
            answered: status.is_some(),
            source: io::Error::new(if silent { io::ErrorKind::TimedOut } else { io_kind(kind) }, said),
        }
    }
}

fn io_kind(kind: Fault) -> io::ErrorKind {
    match kind {
        Fault::NotFound => io::ErrorKind::NotFound,
        Fault::Exists => io::ErrorKind::AlreadyExists,
        Fault::Full => io::ErrorKind::QuotaExceeded,
        Fault::ReadOnly => io::ErrorKind::ReadOnlyFilesystem,
        Fault::Denied => io::ErrorKind::PermissionDenied,
        Fault::Io => io::ErrorKind::Other,
    }
}

/// The text of an error, and of those below it that it does not repeat.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(error) = below {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        below = error.source();
    }
    text
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(from)?;
    Some(rest.split_once(to)?.0)
}

fn number_after(text: &str, mark: &str) -> Option<u16> {
    text.split_once(mark)?.1.get(..3)?.parse().ok()
}

/// One line of what the store said: its own words where it has some.
fn said(text: &str, status: Option<u16>, code: &str) -> String {
    let message = between(text, "<Message>", "</Message>").unwrap_or_default();
    let line = |text: &str| text.lines().next().unwrap_or_default().trim().to_owned();
    let words = match status {
        Some(status) if !code.is_empty() => format!("the store says {status} {code}: {}", line(message)),
        Some(status) => format!("the store says {status}"),
        None => text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" "),
    };
    let shown = words.split(' ').map(without_query).collect::<Vec<_>>().join(" ");
    shown.chars().take(SAID_MAX).collect()
}

/// Queries of URLs hold signatures.
fn without_query(word: &str) -> &str {
    if word.contains("sig=") || word.contains("://") { word.split('?').next().unwrap_or_default() } else { word }
}
