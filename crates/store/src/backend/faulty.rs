//! A backend that fails where a test wants it.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use resurgam_model::Timestamp;

use super::{Backend, Hold, Listed, Result, Traffic, Upload, Writers};
use crate::error::{BackendError, Fault};

/// Passes calls on to another backend, until the chosen one, which fails; those after it pass again.
pub struct Faulty {
    inner: Arc<dyn Backend>,
    plan: Arc<Plan>,
}

/// Which call fails, and how.
pub struct Plan {
    calls: AtomicU64,
    fail_at: u64,
    kind: io::ErrorKind,
    /// Whether all calls after the chosen one fail, too.
    for_good: bool,
}

impl Plan {
    /// Fails call number `fail_at` (from 0).
    pub fn once(fail_at: u64, kind: io::ErrorKind) -> Arc<Self> {
        Arc::new(Self { calls: AtomicU64::new(0), fail_at, kind, for_good: false })
    }

    /// Fails call number `fail_at` and all after it.
    pub fn from(fail_at: u64, kind: io::ErrorKind) -> Arc<Self> {
        Arc::new(Self { calls: AtomicU64::new(0), fail_at, kind, for_good: true })
    }

    /// How many calls there were.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    fn step(&self, attempt: &'static str, name: &str) -> Result<()> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        if call == self.fail_at || (self.for_good && call > self.fail_at) {
            let source = io::Error::from(self.kind);
            return Err(BackendError { attempt, object: format!("faulty:{name}"), kind: Fault::of(&source), source });
        }
        Ok(())
    }
}

impl Faulty {
    /// `inner`, failing by `plan`.
    pub fn new(inner: Arc<dyn Backend>, plan: Arc<Plan>) -> Self {
        Self { inner, plan }
    }
}

struct FaultyUpload {
    inner: Box<dyn Upload>,
    plan: Arc<Plan>,
    name: String,
}

impl Upload for FaultyUpload {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.plan.step("write", &self.name)?;
        self.inner.append(bytes)
    }

    fn commit(self: Box<Self>) -> Result<()> {
        self.plan.step("store", &self.name)?;
        self.inner.commit()
    }
}

impl Backend for Faulty {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn create(&self, name: &str) -> Result<Box<dyn Upload>> {
        self.plan.step("create", name)?;
        let inner = self.inner.create(name)?;
        Ok(Box::new(FaultyUpload { inner, plan: Arc::clone(&self.plan), name: name.to_owned() }))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.plan.step("write", name)?;
        self.inner.replace(name, bytes)
    }

    fn read_at(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.plan.step("read", name)?;
        self.inner.read_at(name, offset, buffer)
    }

    fn length(&self, name: &str) -> Result<u64> {
        self.plan.step("look at", name)?;
        self.inner.length(name)
    }

    fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        self.plan.step("list", prefix)?;
        self.inner.list(prefix)
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.plan.step("delete", name)?;
        self.inner.delete(name)
    }

    fn lock(&self, name: &str) -> Result<Option<Hold>> {
        self.plan.step("lock", name)?;
        self.inner.lock(name)
    }

    fn register(&self, writer: &str) -> Result<Hold> {
        self.plan.step("register", writer)?;
        self.inner.register(writer)
    }

    fn writers(&self) -> Result<Writers> {
        self.plan.step("list", "writers")?;
        self.inner.writers()
    }

    fn forget_writer(&self, writer: &str) -> Result<()> {
        self.plan.step("forget", writer)?;
        self.inner.forget_writer(writer)
    }

    fn keep_reserve(&self) -> Result<()> {
        self.inner.keep_reserve()
    }

    fn release_reserve(&self) -> Result<()> {
        self.inner.release_reserve()
    }

    fn traffic(&self) -> Traffic {
        self.inner.traffic()
    }

    fn reads_at_once(&self) -> usize {
        self.inner.reads_at_once()
    }

    fn now(&self) -> Result<Option<Timestamp>> {
        self.plan.step("ask the time of", "")?;
        self.inner.now()
    }
}
