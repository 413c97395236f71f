//! What a machine keeps of the leases that its programs hold: a lock of the kernel for each, and when a lease of somebody
//! else was first seen as it is.
//!
//! Who holds the kernel's lock of a name is the only one of this home that may hold, or be about to take, the lease of that
//! name; so a lease of this home that somebody finds while holding the kernel's lock is that of a program that died.
//! A home is known by a random id in the file `installation`. A copy of the directory is another home: kernel's locks in one
//! say nothing of those in the other.

use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::clock::{since_boot, this_boot};
use crate::{
    backend::{
        Hold,
        disk::{Disk, LocalDisk, Publish},
    },
    keys,
};

const INSTALLATION: &str = "installation";

/// A directory of this machine, for the leases of its programs. Clones share what was seen.
#[derive(Debug, Clone)]
pub struct LeaseHome {
    /// The directory.
    pub directory: PathBuf,
    /// What leases call it.
    pub id: String,
    seen: Arc<Mutex<HashMap<String, Sighting>>>,
}

/// A lease of somebody else, as it was at one time and has been since.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sighting {
    /// The version of the object.
    version: String,
    /// When that was first seen.
    first: Duration,
    /// When it was last looked at.
    looked: Duration,
}

impl LeaseHome {
    /// The home in `directory`, which is made where it is missing.
    ///
    /// # Errors
    /// Where the directory cannot be written.
    pub fn open(directory: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let file = directory.join(INSTALLATION);
        if !fs::exists(&file)? {
            let random: [u8; 16] = keys::random().map_err(|error| io::Error::other(error.to_string()))?;
            let disk = LocalDisk::new(directory);
            let mut new = disk.create("")?;
            new.write(format!("{}\n", keys::hex(&random)).as_bytes())?;
            new.sync()?;
            match new.publish(INSTALLATION, Publish::New) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => disk.sync_directory("")?,
            }
        }
        let installation = fs::read_to_string(&file)?;
        // A copy has another file number, or lies on another machine.
        let number = fs::metadata(&file)?.ino();
        let machine = fs::read_to_string("/etc/machine-id").unwrap_or_default();
        let id = digest(&[installation.trim(), &number.to_string(), machine.trim()]);
        Ok(Self { directory: directory.to_owned(), id, seen: Arc::default() })
    }

    /// The file in which the lease `object` of the store at `root` is locked.
    fn file(root: &str, object: &str) -> String {
        digest(&[root, object])
    }

    /// The kernel's lock of a lease. `None`: another program of this home has it.
    pub(super) fn lock(&self, root: &str, object: &str) -> io::Result<Option<Hold>> {
        LocalDisk::new(&self.directory).lock(&format!("{}.lock", Self::file(root, object)))
    }

    /// Takes away what is kept of a lease that is gone for good; whoever calls holds the kernel's lock of it.
    pub(super) fn forget(&self, root: &str, object: &str) {
        let file = Self::file(root, object);
        for ending in ["lock", "seen"] {
            let _ = fs::remove_file(self.directory.join(format!("{file}.{ending}")));
        }
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).remove(&file);
    }

    /// When the lease was last looked at, if it was ever seen held by somebody else.
    pub(super) fn looked(&self, root: &str, object: &str) -> Option<Duration> {
        let file = Self::file(root, object);
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(&file).map(|sighting| sighting.looked)
    }

    /// Notes that the lease is in `version` now, and says for how long it has been. Programs that follow one another on
    /// this machine watch together: what one saw is kept in a file until the machine is started again.
    pub(super) fn watch(&self, root: &str, object: &str, version: &str) -> Duration {
        let file = Self::file(root, object);
        let now = since_boot();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let known = seen.get(&file).cloned().or_else(|| self.read(&file));
        let first = known.filter(|known| known.version == version && known.first <= now).map(|known| known.first);
        if first.is_none() {
            let text = format!("{}\n{}\n{version}\n", this_boot(), now.as_millis());
            // Beside, and then in one step: another program may be reading.
            let beside = self.directory.join(format!("{file}.seen.{}", std::process::id()));
            if fs::write(&beside, text).is_ok() {
                let _ = fs::rename(&beside, self.directory.join(format!("{file}.seen")));
            }
        }
        let first = first.unwrap_or(now);
        seen.insert(file, Sighting { version: version.to_owned(), first, looked: now });
        now - first
    }

    fn read(&self, file: &str) -> Option<Sighting> {
        let text = fs::read_to_string(self.directory.join(format!("{file}.seen"))).ok()?;
        let mut lines = text.lines();
        if lines.next()? != this_boot() || this_boot().is_empty() {
            return None;
        }
        // The next millisecond: the file must not make it older than it is.
        let first = Duration::from_millis(lines.next()?.parse::<u64>().ok()?.checked_add(1)?);
        Some(Sighting { version: lines.next()?.to_owned(), first, looked: Duration::ZERO })
    }
}

fn digest(parts: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    keys::hex(&hasher.finalize().as_bytes()[..16])
}
