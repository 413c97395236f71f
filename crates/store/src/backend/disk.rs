//! What the directory backend asks of an operating system, and the real one.
//!
//! Kept this small so that a simulated disk can stand in, which forgets at a power cut what was not synced.

use std::{
    ffi::CString,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::{
        fd::{AsFd, AsRawFd},
        unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags};

use super::{Held, Hold};
use crate::keys;

/// How a finished file takes its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publish {
    /// The name must be free.
    New,
    /// Whatever has the name gives way, atomically.
    Replace,
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The name.
    pub name: String,
    /// Its length; `None` for a directory.
    pub length: Option<u64>,
}

/// The operations. Paths are relative to the volume's directory and have only components that the program chose.
pub trait Disk: Send + Sync {
    /// Where this is, for messages.
    fn location(&self) -> String;
    /// Begins a file that has no name yet, in the file system of `directory`.
    fn create(&self, directory: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Makes one directory, private to its owner.
    fn make_directory(&self, path: &str) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &str) -> io::Result<()>;
    /// Removes a file's name.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// Fills the buffer from the file.
    fn read_at(&self, path: &str, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
    /// The length of a file.
    fn length(&self, path: &str) -> io::Result<u64>;
    /// The names in a directory, in any order.
    fn list(&self, path: &str) -> io::Result<Vec<Found>>;
    /// Takes a lock that the kernel gives up with the process, on the file `path`, which is made if it is missing.
    /// `None`: somebody else holds it.
    fn lock(&self, path: &str) -> io::Result<Option<Hold>>;
    /// Makes a file of `length` bytes whose space is taken.
    fn reserve(&self, path: &str, length: u64) -> io::Result<()>;
}

/// A file without a name.
pub trait DiskFile: Send {
    /// Appends.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was written durable.
    fn sync(&mut self) -> io::Result<()>;
    /// Gives the file its name. The name is durable only after [`Disk::sync_directory`].
    fn publish(self: Box<Self>, path: &str, how: Publish) -> io::Result<()>;
}

/// A directory of this machine.
pub struct LocalDisk {
    root: PathBuf,
}

impl LocalDisk {
    /// The disk below `root`, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn path(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }
}

impl Disk for LocalDisk {
    fn location(&self) -> String {
        self.root.display().to_string()
    }

    fn create(&self, directory: &str) -> io::Result<Box<dyn DiskFile>> {
        let directory = self.path(directory);
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::open(&directory, flags, Mode::RUSR | Mode::WUSR) {
            Ok(fd) => Ok(Box::new(Unnamed { root: self.root.clone(), file: File::from(fd), temporary: None })),
            // File systems without unnamed files (NFS, some overlays): a private name instead.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR | rustix::io::Errno::INVAL) => {
                let temporary = directory.join(private_name()?);
                let file = OpenOptions::new().write(true).read(true).create_new(true).mode(0o600).open(&temporary)?;
                Ok(Box::new(Unnamed { root: self.root.clone(), file, temporary: Some(temporary) }))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn make_directory(&self, path: &str) -> io::Result<()> {
        fs::DirBuilder::new().mode(0o700).create(self.path(path))
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        File::open(self.path(path))?.sync_all()
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.path(path))
    }

    fn read_at(&self, path: &str, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        File::open(self.path(path))?.read_exact_at(buffer, offset)
    }

    fn length(&self, path: &str) -> io::Result<u64> {
        let found = fs::metadata(self.path(path))?;
        if found.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Ok(found.len())
    }

    fn list(&self, path: &str) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.path(path))? {
            let entry = entry?;
            // Names that are not UTF-8 are none of ours.
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.starts_with(PRIVATE_PREFIX) {
                continue;
            }
            match entry.metadata() {
                Ok(data) if data.is_dir() => found.push(Found { name, length: None }),
                Ok(data) => found.push(Found { name, length: Some(data.len()) }),
                // Deleted between the listing and the look: it is not there any more.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    fn lock(&self, path: &str) -> io::Result<Option<Hold>> {
        let path = self.path(path);
        // Opened for reading where it is there, so that locking works on a disk that has no byte free.
        loop {
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?
                }
                Err(error) => return Err(error),
            };
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
            // Whoever held it may have removed the file in the meantime: then the lock is on a file without a name.
            match fs::metadata(&path) {
                Ok(named) if named.ino() == file.metadata()?.ino() => return Ok(Some(Box::new(file))),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn reserve(&self, path: &str, length: u64) -> io::Result<()> {
        let path = self.path(path);
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        if file.metadata()?.len() == length {
            return Ok(());
        }
        let taken = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, length);
        match taken {
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
            Err(error) => {
                drop(file);
                fs::remove_file(&path)?;
                Err(error.into())
            }
        }
    }
}

/// The kernel's lock on a file stays until the file is closed.
impl Held for File {
    fn check(&self) -> super::Result<()> {
        Ok(())
    }
}

/// Files under such names are being written by somebody; no listing shows them.
const PRIVATE_PREFIX: &str = ".unfinished-";

fn private_name() -> io::Result<String> {
    let random: [u8; 8] = keys::random().map_err(|error| io::Error::other(error.to_string()))?;
    Ok(format!("{PRIVATE_PREFIX}{}", keys::hex(&random)))
}

struct Unnamed {
    root: PathBuf,
    file: File,
    temporary: Option<PathBuf>,
}

impl Unnamed {
    /// Links the file to a name that must be free.
    fn link(&self, to: &Path) -> io::Result<()> {
        match &self.temporary {
            Some(temporary) => fs::hard_link(temporary, to),
            None => {
                let by_number = CString::new(format!("/proc/self/fd/{}", self.file.as_fd().as_raw_fd()))?;
                Ok(rustix::fs::linkat(CWD, by_number.as_c_str(), CWD, to, AtFlags::SYMLINK_FOLLOW)?)
            }
        }
    }
}

impl DiskFile for Unnamed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn publish(self: Box<Self>, path: &str, how: Publish) -> io::Result<()> {
        let to = self.root.join(path);
        match how {
            Publish::New => self.link(&to),
            Publish::Replace => {
                let beside = to.with_file_name(private_name()?);
                self.link(&beside)?;
                fs::rename(&beside, &to).inspect_err(|_| {
                    let _ = fs::remove_file(&beside);
                })
            }
        }
    }
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            let _ = fs::remove_file(temporary);
        }
    }
}
