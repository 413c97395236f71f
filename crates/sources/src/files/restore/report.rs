//! What a restore has to say at its end; and the error that ends it early.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use resurgam_model::{BytePath, bytepath::compare, report::Unproved};

use super::Restored;
use crate::error::SourceError;

/// Collected by all threads.
#[derive(Default)]
pub(super) struct Report {
    files: AtomicU64,
    bytes: AtomicU64,
    skipped: AtomicU64,
    unproved: Mutex<Vec<(BytePath, String)>>,
    aborted: AtomicBool,
    error: Mutex<Option<SourceError>>,
}

impl Report {
    /// An entry, not a directory, is there with so many bytes.
    pub(super) fn made(&self, bytes: u64) {
        self.files.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn skipped(&self) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
    }

    /// Names an entry that is not there, or not as it was.
    pub(super) fn unproved(&self, path: &BytePath, error: impl Into<String>) {
        self.unproved.lock().unwrap_or_else(PoisonError::into_inner).push((path.clone(), error.into()));
    }

    /// Ends the restore; the first reason counts.
    pub(super) fn abort(&self, error: SourceError) {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.aborted.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::Relaxed)
    }

    /// Several faults of one entry are named together: an entry is named once.
    pub(super) fn into_restored(self) -> Result<Restored, SourceError> {
        if let Some(error) = self.error.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let mut list = self.unproved.into_inner().unwrap_or_else(PoisonError::into_inner);
        list.sort_by(|(a, _), (b, _)| compare(a.as_bytes(), b.as_bytes()));
        let mut unproved: Vec<Unproved> = Vec::new();
        for (path, error) in list {
            let path = path.to_string();
            match unproved.last_mut().filter(|last| last.path == path) {
                Some(last) => last.error = format!("{}; {error}", last.error),
                None => unproved.push(Unproved { path, error }),
            }
        }
        Ok(Restored {
            files: self.files.into_inner(),
            bytes: self.bytes.into_inner(),
            skipped: self.skipped.into_inner(),
            unproved,
        })
    }
}
