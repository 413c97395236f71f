//! A volume in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use super::{Backend, Held, Hold, Listed, Result, Upload, Writers};
use crate::error::{BackendError, Fault};

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Arc<Vec<u8>>>,
    held: BTreeSet<String>,
    /// Everybody who registered and was not forgotten.
    writers: BTreeSet<String>,
}

/// Objects in a map. Clones share it.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<State>>);

impl Memory {
    /// The same objects in a place of its own, where nothing is held and nobody is registered.
    #[cfg(test)]
    pub(crate) fn copied(&self) -> Self {
        let objects = self.state().objects.clone();
        Self(Arc::new(Mutex::new(State { objects, ..State::default() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn object(&self, attempt: &'static str, name: &str) -> Result<Arc<Vec<u8>>> {
        self.state().objects.get(name).cloned().ok_or_else(|| failed(attempt, name, io::ErrorKind::NotFound))
    }

    fn hold(&self, key: String) -> Option<Hold> {
        self.state().held.insert(key.clone()).then(|| Box::new(Taken { memory: self.clone(), key }) as Hold)
    }
}

fn failed(attempt: &'static str, name: &str, kind: io::ErrorKind) -> BackendError {
    let source = io::Error::from(kind);
    BackendError { attempt, object: format!("memory:{name}"), kind: Fault::of(&source), source }
}

fn registration(writer: &str) -> String {
    format!("writer/{writer}")
}

struct Taken {
    memory: Memory,
    key: String,
}

impl Held for Taken {
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.memory.state().held.remove(&self.key);
    }
}

struct Growing {
    memory: Memory,
    name: String,
    bytes: Vec<u8>,
}

impl Upload for Growing {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<()> {
        let mut state = self.memory.state();
        if state.objects.contains_key(&self.name) {
            return Err(failed("store", &self.name, io::ErrorKind::AlreadyExists));
        }
        state.objects.insert(self.name, Arc::new(self.bytes));
        Ok(())
    }
}

impl Backend for Memory {
    fn location(&self) -> String {
        "memory".to_owned()
    }

    fn create(&self, name: &str) -> Result<Box<dyn Upload>> {
        Ok(Box::new(Growing { memory: self.clone(), name: name.to_owned(), bytes: Vec::new() }))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.state().objects.insert(name.to_owned(), Arc::new(bytes.to_vec()));
        Ok(())
    }

    fn read_at(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let object = self.object("read", name)?;
        let part = usize::try_from(offset).ok().and_then(|start| object.get(start..start.checked_add(buffer.len())?));
        buffer.copy_from_slice(part.ok_or_else(|| failed("read", name, io::ErrorKind::UnexpectedEof))?);
        Ok(())
    }

    fn length(&self, name: &str) -> Result<u64> {
        Ok(self.object("look at", name)?.len() as u64)
    }

    fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        let state = self.state();
        let from = state.objects.range(prefix.to_owned()..);
        let found = from.take_while(|(name, _)| name.starts_with(prefix));
        Ok(found.map(|(name, bytes)| Listed { name: name.clone(), length: bytes.len() as u64 }).collect())
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.state().objects.remove(name);
        Ok(())
    }

    fn lock(&self, name: &str) -> Result<Option<Hold>> {
        Ok(self.hold(format!("lock/{name}")))
    }

    fn register(&self, writer: &str) -> Result<Hold> {
        let taken = || failed("register", writer, io::ErrorKind::AlreadyExists);
        let hold = self.hold(registration(writer)).ok_or_else(taken)?;
        self.state().writers.insert(writer.to_owned());
        Ok(hold)
    }

    fn writers(&self) -> Result<Writers> {
        let state = self.state();
        let (alive, dead) =
            state.writers.iter().cloned().partition(|writer| state.held.contains(&registration(writer)));
        Ok(Writers { alive, dead })
    }

    fn forget_writer(&self, writer: &str) -> Result<()> {
        let mut state = self.state();
        if !state.held.contains(&registration(writer)) {
            state.writers.remove(writer);
        }
        Ok(())
    }

    fn keep_reserve(&self) -> Result<()> {
        Ok(())
    }

    fn release_reserve(&self) -> Result<()> {
        Ok(())
    }
}
