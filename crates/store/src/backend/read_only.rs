//! A place that may be read and nothing else, whatever it is.
//!
//! For drills, which run the very code that restores in earnest: what it must not do is refused here, below all of it.

use std::{io, sync::Arc};

use super::{Backend, Hold, Listed, Result, Traffic, Upload, Writers};
use crate::error::{BackendError, Fault};

/// Passes reads on to another backend and refuses every other verb with [`Fault::ReadOnly`], as a disk does that is
/// mounted read-only. Locks are refused, too: taking one makes a file, and it is a claim upon others. The
/// time of the place is not asked: a store tells it by an object that is written.
pub struct ReadOnly(pub Arc<dyn Backend>);

impl ReadOnly {
    fn refuse<T>(&self, attempt: &'static str, name: &str) -> Result<T> {
        let object = format!("{}/{name}", self.0.location());
        let source = io::Error::from(io::ErrorKind::ReadOnlyFilesystem);
        Err(BackendError { attempt, object, kind: Fault::ReadOnly, source })
    }
}

impl Backend for ReadOnly {
    fn location(&self) -> String {
        self.0.location()
    }

    fn create(&self, name: &str) -> Result<Box<dyn Upload>> {
        self.refuse("create", name)
    }

    fn replace(&self, name: &str, _bytes: &[u8]) -> Result<()> {
        self.refuse("write", name)
    }

    fn read_at(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.0.read_at(name, offset, buffer)
    }

    fn length(&self, name: &str) -> Result<u64> {
        self.0.length(name)
    }

    fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        self.0.list(prefix)
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.refuse("delete", name)
    }

    fn lock(&self, name: &str) -> Result<Option<Hold>> {
        self.refuse("lock", name)
    }

    fn register(&self, writer: &str) -> Result<Hold> {
        self.refuse("register the writer", writer)
    }

    fn writers(&self) -> Result<Writers> {
        self.0.writers()
    }

    fn forget_writer(&self, writer: &str) -> Result<()> {
        self.refuse("forget the writer", writer)
    }

    fn keep_reserve(&self) -> Result<()> {
        self.refuse("reserve space in", "")
    }

    fn release_reserve(&self) -> Result<()> {
        self.refuse("release the reserve of", "")
    }

    fn traffic(&self) -> Traffic {
        self.0.traffic()
    }

    fn reads_at_once(&self) -> usize {
        self.0.reads_at_once()
    }
}
