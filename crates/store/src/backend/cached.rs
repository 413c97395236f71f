//! A far place whose index is kept on this machine, so that the next command need not fetch it again.
//!
//! - Kept are whole objects below `index/`, which never change; by the name of the object, with a checksum.
//! - A kept copy serves only where the place has just listed the object with that very length. What it says is
//!   authenticated by whoever reads it, as if it had come from the place.
//! - What the place does not list any more goes. Where the directory cannot be written, nothing is kept, and no harm done.

use std::{
    collections::{HashMap, HashSet},
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use resurgam_model::Timestamp;

use super::{Backend, Hold, Listed, Result, Traffic, Upload, Writers};
use crate::keys;

/// Names that are kept begin with this.
const KEPT: &str = "index/";
const SUM_BYTES: usize = 32;
/// A larger object is not kept. Segments of the index are far smaller.
const OBJECT_MAX: u64 = 256 * 1024 * 1024;

/// Passes everything on to another backend, and keeps what is read or written of its index.
pub struct Cached {
    inner: Arc<dyn Backend>,
    kept: Arc<Kept>,
}

struct Kept {
    directory: PathBuf,
    /// What the place has, and how long it is, as far as it was asked.
    known: Mutex<HashMap<String, u64>>,
}

impl Cached {
    /// `inner`, with what is kept of it in `directory`: one directory for each volume.
    pub fn new(inner: Arc<dyn Backend>, directory: &Path) -> Self {
        let _ = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        Self { inner, kept: Arc::new(Kept { directory: directory.to_owned(), known: Mutex::default() }) }
    }
}

fn file_name(object: &str) -> String {
    keys::hex(&blake3::hash(object.as_bytes()).as_bytes()[..16])
}

impl Kept {
    fn known(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The object, where it is kept whole and sound.
    fn get(&self, name: &str, length: u64) -> Option<Vec<u8>> {
        let file = self.directory.join(file_name(name));
        if fs::metadata(&file).ok()?.len() != length.checked_add(SUM_BYTES as u64)? {
            return None;
        }
        let mut bytes = fs::read(file).ok()?;
        let sum = bytes.split_off(usize::try_from(length).ok()?);
        (blake3::hash(&bytes).as_bytes()[..] == sum).then_some(bytes)
    }

    /// Keeps an object, if it can. Not synced: a file that a power cut spoils is found by its checksum.
    fn put(&self, name: &str, bytes: &[u8]) {
        let Ok(random) = keys::random::<8>() else { return };
        let beside = self.directory.join(format!("{}.new", keys::hex(&random)));
        let whole = [bytes, blake3::hash(bytes).as_bytes()].concat();
        let written =
            fs::write(&beside, whole).and_then(|()| fs::rename(&beside, self.directory.join(file_name(name))));
        if written.is_err() {
            let _ = fs::remove_file(&beside);
        }
    }

    fn forget(&self, name: &str) {
        self.known().remove(name);
        let _ = fs::remove_file(self.directory.join(file_name(name)));
    }

    /// Takes over what the place has listed, and lets go of all else.
    fn listed(&self, listed: &[Listed]) {
        let listed = listed.iter().filter(|listed| listed.name.starts_with(KEPT));
        let known: HashMap<String, u64> = listed.map(|listed| (listed.name.clone(), listed.length)).collect();
        let files: HashSet<String> = known.keys().map(|name| file_name(name)).collect();
        *self.known() = known;
        let Ok(entries) = fs::read_dir(&self.directory) else { return };
        for entry in entries.flatten() {
            if entry.file_name().to_str().is_none_or(|name| !files.contains(name)) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

struct CachedUpload {
    inner: Box<dyn Upload>,
    kept: Arc<Kept>,
    name: String,
    bytes: Vec<u8>,
}

impl Upload for CachedUpload {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes.extend_from_slice(bytes);
        self.inner.append(bytes)
    }

    fn commit(self: Box<Self>) -> Result<()> {
        self.inner.commit()?;
        self.kept.put(&self.name, &self.bytes);
        Ok(())
    }
}

impl Backend for Cached {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn create(&self, name: &str) -> Result<Box<dyn Upload>> {
        let inner = self.inner.create(name)?;
        if !name.starts_with(KEPT) {
            return Ok(inner);
        }
        Ok(Box::new(CachedUpload { inner, kept: Arc::clone(&self.kept), name: name.to_owned(), bytes: Vec::new() }))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.kept.forget(name);
        self.inner.replace(name, bytes)
    }

    fn read_at(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let length = self.kept.known().get(name).copied();
        let whole = length.is_some_and(|length| offset == 0 && length == buffer.len() as u64 && length <= OBJECT_MAX);
        if whole && let Some(bytes) = self.kept.get(name, buffer.len() as u64) {
            buffer.copy_from_slice(&bytes);
            return Ok(());
        }
        let read = self.inner.read_at(name, offset, buffer);
        match &read {
            Ok(()) if whole => self.kept.put(name, buffer),
            Ok(()) => {}
            Err(_) => self.kept.forget(name),
        }
        read
    }

    fn length(&self, name: &str) -> Result<u64> {
        if let Some(length) = self.kept.known().get(name).copied() {
            return Ok(length);
        }
        self.inner.length(name)
    }

    fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        let listed = self.inner.list(prefix)?;
        if prefix.is_empty() || prefix == KEPT {
            self.kept.listed(&listed);
        }
        Ok(listed)
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.kept.forget(name);
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

    fn traffic(&self) -> Traffic {
        self.inner.traffic()
    }

    fn keeps_versions(&self) -> Result<bool> {
        self.inner.keeps_versions()
    }

    fn reads_at_once(&self) -> usize {
        self.inner.reads_at_once()
    }

    fn now(&self) -> Result<Option<Timestamp>> {
        self.inner.now()
    }
}

#[cfg(test)]
mod tests;
