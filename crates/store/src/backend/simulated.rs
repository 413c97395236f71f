//! A disk that loses power: what was not synced may be there after it or not.
//!
//! Files are numbered nodes; directories are maps of names. Both have a volatile and a durable side. At the chosen
//! operation the power goes: that operation and all after it fail. [`SimulatedDisk::after_power_cut`] is the disk as it
//! comes back: synced bytes and synced names for certain, of the rest as much as the seed says. Directory operations
//! reach the disk in their order, as those of a journal do, up to a point that the seed chooses.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    Held, Hold,
    disk::{Disk, DiskFile, Found, Publish},
};

#[derive(Clone, Default)]
struct Node {
    bytes: Vec<u8>,
    durable: usize,
}

/// A change of a directory that is not durable yet.
#[derive(Clone)]
enum Change {
    Link(String, u64),
    Unlink(String),
    MakeDirectory(String),
}

#[derive(Default)]
struct State {
    nodes: BTreeMap<u64, Node>,
    names: BTreeMap<String, u64>,
    directories: BTreeSet<String>,
    durable_names: BTreeMap<String, u64>,
    durable_directories: BTreeSet<String>,
    pending: Vec<Change>,
    locks: BTreeSet<String>,
    next: u64,
    operations: u64,
    power_goes_at: Option<u64>,
}

/// The disk. Clones share it.
#[derive(Clone, Default)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

fn apply(change: &Change, names: &mut BTreeMap<String, u64>, directories: &mut BTreeSet<String>) {
    match change {
        Change::Link(path, node) => {
            names.insert(path.clone(), *node);
        }
        Change::Unlink(path) => {
            names.remove(path);
        }
        Change::MakeDirectory(path) => {
            directories.insert(path.clone());
        }
    }
}

impl State {
    /// Counts an operation that changes something; fails once the power is gone.
    fn operate(&mut self) -> io::Result<()> {
        self.operations += 1;
        match self.power_goes_at {
            Some(at) if self.operations > at => Err(io::Error::other("the power is gone")),
            _ => Ok(()),
        }
    }

    fn change(&mut self, change: Change) {
        apply(&change, &mut self.names, &mut self.directories);
        self.pending.push(change);
    }
}

impl SimulatedDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the power go after that many more operations that change something.
    pub fn power_goes_after(&self, operations: u64) {
        let mut state = self.state();
        state.power_goes_at = Some(state.operations + operations);
    }

    /// Operations so far.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// The disk as it comes back. `seed` decides how much of what was not synced is there.
    pub fn after_power_cut(&self, seed: u64) -> Self {
        let state = self.state();
        let mut dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut roll = |below: usize| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            usize::try_from(dice % (below as u64 + 1)).unwrap_or(0)
        };
        let (mut names, mut directories) = (state.durable_names.clone(), state.durable_directories.clone());
        for change in &state.pending[..roll(state.pending.len())] {
            apply(change, &mut names, &mut directories);
        }
        let mut nodes = BTreeMap::new();
        for node in names.values() {
            let Some(was) = state.nodes.get(node) else { continue };
            // The length may be durable without the bytes: zeros.
            let length = was.durable + roll(was.bytes.len() - was.durable);
            let written = was.durable + roll(length - was.durable);
            let mut bytes = was.bytes[..written].to_vec();
            bytes.resize(length, 0);
            nodes.insert(*node, Node { durable: bytes.len(), bytes });
        }
        let fresh = State {
            nodes,
            durable_names: names.clone(),
            durable_directories: directories.clone(),
            names,
            directories,
            next: state.next,
            ..State::default()
        };
        Self(Arc::new(Mutex::new(fresh)))
    }
}

struct SimulatedFile {
    disk: SimulatedDisk,
    node: u64,
}

impl DiskFile for SimulatedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        if let Err(error) = state.operate() {
            // Cut in the middle of a write: half of it is on its way.
            let node = state.nodes.entry(self.node).or_default();
            node.bytes.extend_from_slice(&bytes[..bytes.len() / 2]);
            return Err(error);
        }
        state.nodes.entry(self.node).or_default().bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operate()?;
        let node = state.nodes.entry(self.node).or_default();
        node.durable = node.bytes.len();
        Ok(())
    }

    fn publish(self: Box<Self>, path: &str, how: Publish) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operate()?;
        if how == Publish::New && state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let node = self.node;
        state.change(Change::Link(path.to_owned(), node));
        Ok(())
    }
}

struct Taken(SimulatedDisk, String);

impl Held for Taken {
    fn check(&self) -> super::Result<()> {
        Ok(())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.state().locks.remove(&self.1);
    }
}

impl Disk for SimulatedDisk {
    fn location(&self) -> String {
        "simulated".to_owned()
    }

    fn create(&self, _directory: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.operate()?;
        state.next += 1;
        let node = state.next;
        state.nodes.insert(node, Node::default());
        Ok(Box::new(SimulatedFile { disk: self.clone(), node }))
    }

    fn make_directory(&self, path: &str) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        if state.directories.contains(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.change(Change::MakeDirectory(path.to_owned()));
        Ok(())
    }

    fn sync_directory(&self, _path: &str) -> io::Result<()> {
        // As a journal does: syncing one directory makes all changes before it durable.
        let mut state = self.state();
        state.operate()?;
        let State { pending, durable_names, durable_directories, .. } = &mut *state;
        for change in pending.drain(..) {
            apply(&change, durable_names, durable_directories);
        }
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        if !state.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change(Change::Unlink(path.to_owned()));
        Ok(())
    }

    fn read_at(&self, path: &str, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        let node = state.names.get(path).and_then(|node| state.nodes.get(node));
        let bytes = &node.ok_or(io::ErrorKind::NotFound)?.bytes;
        let part = usize::try_from(offset).ok().and_then(|start| bytes.get(start..start.checked_add(buffer.len())?));
        buffer.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn length(&self, path: &str) -> io::Result<u64> {
        let state = self.state();
        let node = state.names.get(path).and_then(|node| state.nodes.get(node));
        Ok(node.ok_or(io::ErrorKind::NotFound)?.bytes.len() as u64)
    }

    fn list(&self, path: &str) -> io::Result<Vec<Found>> {
        let state = self.state();
        if !path.is_empty() && !state.directories.contains(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let name = |full: &String| full.rsplit('/').next().unwrap_or_default().to_owned();
        let files = state.names.iter().filter(|(full, _)| parent(full) == path);
        let files = files.map(|(full, node)| Found {
            name: name(full),
            length: Some(state.nodes.get(node).map_or(0, |node| node.bytes.len() as u64)),
        });
        let directories = state.directories.iter().filter(|full| parent(full) == path);
        Ok(files.chain(directories.map(|full| Found { name: name(full), length: None })).collect())
    }

    fn lock(&self, path: &str) -> io::Result<Option<Hold>> {
        let mut state = self.state();
        if !state.names.contains_key(path) {
            state.operate()?;
            state.next += 1;
            let node = state.next;
            state.nodes.insert(node, Node::default());
            state.change(Change::Link(path.to_owned(), node));
        }
        let free = state.locks.insert(path.to_owned());
        Ok(free.then(|| Box::new(Taken(self.clone(), path.to_owned())) as Hold))
    }

    fn reserve(&self, path: &str, length: u64) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        state.next += 1;
        let node = state.next;
        let bytes = vec![0; usize::try_from(length.min(4096)).unwrap_or(0)];
        state.nodes.insert(node, Node { durable: 0, bytes });
        state.change(Change::Link(path.to_owned(), node));
        Ok(())
    }
}
