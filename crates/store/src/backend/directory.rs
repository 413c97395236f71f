//! A volume in a directory: objects are files, names are paths.
//!
//! The order that makes a name a promise: bytes, fsync of the file, its name, fsync of the directory (and, where a
//! directory was made for it, of the one above). Nothing has to be written before reading or deleting can begin.

use std::{
    collections::HashSet,
    io,
    path::Path,
    sync::{Arc, Mutex},
};

use super::{
    Backend, Hold, Listed, Result, Upload, Writers,
    disk::{Disk, DiskFile, LocalDisk, Publish},
};
use crate::error::{BackendError, Fault};

/// Space kept back for what deleting has to write, in bytes.
const RESERVE_BYTES: u64 = 8 * 1024 * 1024;
const REGISTER_ATTEMPTS: u32 = 10_000;
const RESERVE: &str = "reserve";
const LOCKS: &str = "locks";
const WRITERS: &str = "writers";

/// A backend on a [`Disk`].
pub struct Directory {
    disk: Arc<dyn Disk>,
    /// Directories known to exist durably, so that each is made and synced once.
    known: Arc<Mutex<HashSet<String>>>,
}

impl Directory {
    /// A volume's directory on this machine; it need not exist yet.
    pub fn local(root: &Path) -> Self {
        Self::on(Arc::new(LocalDisk::new(root)))
    }

    /// A volume on any disk.
    pub fn on(disk: Arc<dyn Disk>) -> Self {
        Self { disk, known: Arc::default() }
    }

    fn error(&self, attempt: &'static str, name: &str, source: io::Error) -> BackendError {
        error(&*self.disk, attempt, name, source)
    }

    fn walk(&self, directory: &str, found: &mut Vec<Listed>) -> io::Result<()> {
        let entries = match self.disk.list(directory.trim_end_matches('/')) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // A prefix under which nothing was ever stored is empty; a volume that is gone is an error.
                self.disk.list("")?;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        for entry in entries {
            let name = format!("{directory}{}", entry.name);
            match entry.length {
                Some(length) => found.push(Listed { name, length }),
                None => self.walk(&format!("{name}/"), found)?,
            }
        }
        Ok(())
    }
}

fn error(disk: &dyn Disk, attempt: &'static str, name: &str, source: io::Error) -> BackendError {
    let object = if name.is_empty() { disk.location() } else { format!("{}/{name}", disk.location()) };
    BackendError { attempt, object, kind: Fault::of(&source), source }
}

/// The directory part of a name.
fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// Makes `directory` and those above it that are missing, each durably.
fn make_directories(disk: &dyn Disk, known: &Mutex<HashSet<String>>, directory: &str) -> io::Result<()> {
    if directory.is_empty() || locked(known).contains(directory) {
        return Ok(());
    }
    make_directories(disk, known, parent(directory))?;
    match disk.make_directory(directory) {
        Ok(()) => disk.sync_directory(parent(directory))?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    locked(known).insert(directory.to_owned());
    Ok(())
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

struct FileUpload {
    disk: Arc<dyn Disk>,
    known: Arc<Mutex<HashSet<String>>>,
    name: String,
    file: Box<dyn DiskFile>,
}

impl FileUpload {
    fn publish(self, how: Publish) -> io::Result<()> {
        let Self { disk, name, mut file, known } = self;
        file.sync()?;
        make_directories(&*disk, &known, parent(&name))?;
        match file.publish(&name, how) {
            Ok(()) => disk.sync_directory(parent(&name)),
            Err(error) => Err(error),
        }
    }
}

impl Upload for FileUpload {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write(bytes).map_err(|source| error(&*self.disk, "write", &self.name, source))
    }

    fn commit(self: Box<Self>) -> Result<()> {
        let (disk, name) = (Arc::clone(&self.disk), self.name.clone());
        self.publish(Publish::New).map_err(|source| error(&*disk, "store", &name, source))
    }
}

impl Backend for Directory {
    fn location(&self) -> String {
        self.disk.location()
    }

    fn create(&self, name: &str) -> Result<Box<dyn Upload>> {
        // Unnamed files are made in the volume's root: the directory for the name is made only when it is needed.
        let file = self.disk.create("").map_err(|source| self.error("create", name, source))?;
        let (disk, known) = (Arc::clone(&self.disk), Arc::clone(&self.known));
        Ok(Box::new(FileUpload { disk, known, name: name.to_owned(), file }))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let write = || {
            let mut file = self.disk.create("")?;
            file.write(bytes)?;
            let (disk, known) = (Arc::clone(&self.disk), Arc::clone(&self.known));
            FileUpload { disk, known, name: name.to_owned(), file }.publish(Publish::Replace)
        };
        write().map_err(|source| self.error("write", name, source))
    }

    fn read_at(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.disk.read_at(name, offset, buffer).map_err(|source| self.error("read", name, source))
    }

    fn length(&self, name: &str) -> Result<u64> {
        self.disk.length(name).map_err(|source| self.error("look at", name, source))
    }

    fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        let mut found = Vec::new();
        self.walk(prefix, &mut found).map_err(|source| self.error("list", prefix.trim_end_matches('/'), source))?;
        found.sort();
        Ok(found)
    }

    fn delete(&self, name: &str) -> Result<()> {
        match self.disk.remove(name) {
            Ok(()) => self.disk.sync_directory(parent(name)).map_err(|source| self.error("delete", name, source)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(self.error("delete", name, source)),
        }
    }

    fn lock(&self, name: &str) -> Result<Option<Hold>> {
        let path = format!("{LOCKS}/{name}");
        let lock = || {
            make_directories(&*self.disk, &self.known, LOCKS)?;
            self.disk.lock(&path)
        };
        lock().map_err(|source| self.error("lock", &path, source))
    }

    fn register(&self, writer: &str) -> Result<Hold> {
        let path = format!("{WRITERS}/{writer}");
        let register = || {
            make_directories(&*self.disk, &self.known, WRITERS)?;
            // Between our making the file and our locking it, somebody who lists the writers may hold it for a moment.
            for _ in 0..REGISTER_ATTEMPTS {
                match self.disk.lock(&path)? {
                    Some(hold) => return Ok(hold),
                    None => std::thread::yield_now(),
                }
            }
            Err(io::Error::other("another writer has the same id"))
        };
        register().map_err(|source| self.error("register the writer", &path, source))
    }

    fn writers(&self) -> Result<Writers> {
        let look = || {
            let entries = match self.disk.list(WRITERS) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.disk.list("")?;
                    return Ok(Writers::default());
                }
                entries => entries?,
            };
            let mut writers = Writers::default();
            for entry in entries {
                match self.disk.lock(&format!("{WRITERS}/{}", entry.name))? {
                    None => writers.alive.push(entry.name),
                    Some(_free) => writers.dead.push(entry.name),
                }
            }
            Ok(writers)
        };
        look().map_err(|source| self.error("list the writers of", "", source))
    }

    fn forget_writer(&self, writer: &str) -> Result<()> {
        let path = format!("{WRITERS}/{writer}");
        let forget = || match self.disk.lock(&path)? {
            // Holding the lock, we may take the file away: whoever waits for it will see that it has lost its name.
            Some(_lock) => self.disk.remove(&path),
            None => Ok(()),
        };
        forget().map_err(|source| self.error("forget the writer", &path, source))
    }

    fn keep_reserve(&self) -> Result<()> {
        self.disk.reserve(RESERVE, RESERVE_BYTES).map_err(|source| self.error("reserve space in", RESERVE, source))
    }

    fn release_reserve(&self) -> Result<()> {
        self.delete(RESERVE)
    }
}
