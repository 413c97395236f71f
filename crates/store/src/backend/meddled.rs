//! For tests: a place where something happens between two calls, as others make it happen on a bad day.

use std::sync::Arc;

use super::{Backend, Hold, Listed, Result, Upload, Writers};

/// What meddles.
pub(crate) trait Meddler: Send + Sync {
    /// Before `bytes` bytes are read of an object.
    fn before_read(&self, _name: &str, _bytes: u64) -> Result<()> {
        Ok(())
    }

    /// How many may read at a time, if the place is to be a far one.
    fn reads_at_once(&self) -> usize {
        0
    }

    /// Before objects are listed.
    fn before_list(&self, _prefix: &str) {}

    /// What the listing shows.
    fn shown(&self, listed: Vec<Listed>) -> Vec<Listed> {
        listed
    }
}

/// A place and who meddles with it.
pub(crate) struct Meddled<M> {
    pub(crate) inner: Arc<dyn Backend>,
    pub(crate) meddler: M,
}

impl<M: Meddler> Backend for Meddled<M> {
    fn location(&self) -> String {
        self.inner.location()
    }
    fn create(&self, name: &str) -> Result<Box<dyn Upload>> {
        self.inner.create(name)
    }
    fn replace(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.inner.replace(name, bytes)
    }
    fn read_at(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.meddler.before_read(name, buffer.len() as u64)?;
        self.inner.read_at(name, offset, buffer)
    }
    fn length(&self, name: &str) -> Result<u64> {
        self.meddler.before_read(name, 0)?;
        self.inner.length(name)
    }
    fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        self.meddler.before_list(prefix);
        Ok(self.meddler.shown(self.inner.list(prefix)?))
    }
    fn delete(&self, name: &str) -> Result<()> {
        self.inner.delete(name)
    }
    fn lock(&self, name: &str) -> Result<Option<Hold>> {
        self.inner.lock(name)
    }
    fn register(&self, writer: &str) -> Result<Hold> {
        self.inner.register(writer)
    }
    fn writers(&self) -> Result<Writers> {
        self.inner.writers()
    }
    fn forget_writer(&self, writer: &str) -> Result<()> {
        self.inner.forget_writer(writer)
    }
    fn keep_reserve(&self) -> Result<()> {
        self.inner.keep_reserve()
    }
    fn release_reserve(&self) -> Result<()> {
        self.inner.release_reserve()
    }
    fn reads_at_once(&self) -> usize {
        self.meddler.reads_at_once()
    }
}
