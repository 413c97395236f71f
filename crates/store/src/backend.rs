//! Where a volume lies: a flat space of immutable objects, named by paths with slashes.
//!
//! | form | for |
//! |---|---|
//! | [`directory::Directory`] on [`disk::LocalDisk`] | a directory of the local machine |
//! | [`object::ObjectBackend`] | a container of Azure, a bucket of S3, and what speaks like them |
//! | [`cached::Cached`] | any of them that is far away: keeps the index on this machine |
//! | [`memory::Memory`] | tests and small temporary volumes |
//! | [`read_only::ReadOnly`] | any of them, for reading alone |
//! | [`faulty::Faulty`] (testkit) | any of them, failing where a test wants it |
//! | `meddled` (tests) | any of them, with others at work between two calls |
//! | `staged` (tests) | any of them, seen by several processes that a schedule hands the turn to, call by call |
//! | [`directory::Directory`] on [`simulated::SimulatedDisk`] (testkit) | power cuts at every operation |

use std::time::Duration;

use resurgam_model::Timestamp;

use crate::{
    error::{BackendError, StoreError},
    meter::Cancel,
};

pub mod cached;
pub mod directory;
pub mod disk;
pub mod memory;
pub mod object;
pub mod read_only;

pub mod conformance;
#[cfg(any(test, feature = "testkit"))]
pub mod faulty;
#[cfg(test)]
pub(crate) mod meddled;
#[cfg(any(test, feature = "testkit"))]
pub mod simulated;
#[cfg(test)]
pub(crate) mod staged;

/// What every backend call returns.
pub type Result<T> = std::result::Result<T, BackendError>;

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// Its full name.
    pub name: String,
    /// Its length in bytes.
    pub length: u64,
}

/// A lock or a registration. Held while it lives; given up when it is dropped or its process dies.
pub type Hold = Box<dyn Held>;

/// What a [`Hold`] can be asked.
pub trait Held: Send + Sync {
    /// Whether this is held still. What the kernel locks is held until it is dropped; a lease may have been lost: ask
    /// before doing what only the holder may do.
    fn check(&self) -> Result<()>;
}

/// What was moved over a network since the backend was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests made, those tried again included.
    pub requests: u64,
    /// Bytes of objects sent.
    pub bytes_up: u64,
    /// Bytes of objects received.
    pub bytes_down: u64,
}

/// Who is registered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Writers {
    /// At work.
    pub alive: Vec<String>,
    /// Killed: packs of theirs may lie in the volume without a segment of the index.
    pub dead: Vec<String>,
}

/// The few verbs that a volume needs of the place where it lies.
pub trait Backend: Send + Sync {
    /// Where this is: a path or URL, for messages.
    fn location(&self) -> String;

    /// Begins an object. Nothing is visible under `name` until [`Upload::commit`].
    fn create(&self, name: &str) -> Result<Box<dyn Upload>>;

    /// Writes a small object durably, instead of one that may be there: readers see the old bytes or the new ones.
    fn replace(&self, name: &str, bytes: &[u8]) -> Result<()>;

    /// Exactly `buffer.len()` bytes from `offset` on. Fewer being there is [`crate::error::Fault::Io`] with
    /// `UnexpectedEof`.
    fn read_at(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<()>;

    /// Length of an object.
    fn length(&self, name: &str) -> Result<u64>;

    /// Every object below `prefix` (empty, or ending in a slash), sorted by name. Complete, or an error.
    fn list(&self, prefix: &str) -> Result<Vec<Listed>>;

    /// Deletes an object durably; one that is not there is no error.
    fn delete(&self, name: &str) -> Result<()>;

    /// Takes the lock `name` alone, or returns `None` while somebody else holds it.
    fn lock(&self, name: &str) -> Result<Option<Hold>>;

    /// Registers a writer: while the hold lives, [`Backend::writers`] names it.
    fn register(&self, writer: &str) -> Result<Hold>;

    /// The writers that are registered: those alive, and those that died without ending.
    fn writers(&self) -> Result<Writers>;

    /// Clears away what a dead writer left of its registration.
    fn forget_writer(&self, writer: &str) -> Result<()>;

    /// Makes sure that some space stays free for what deleting has to write.
    fn keep_reserve(&self) -> Result<()>;

    /// Gives the reserve up, so that deleting can write on a full disk.
    fn release_reserve(&self) -> Result<()>;

    /// What was moved over a network so far; nothing where there is none.
    fn traffic(&self) -> Traffic {
        Traffic::default()
    }

    /// How many reads to have on their way at once, so that the time which each takes to be answered does not add up. 0:
    /// it is near, and reading ahead gains nothing.
    fn reads_at_once(&self) -> usize {
        0
    }

    /// Whether the place itself keeps what is deleted or written over, as a version of its own. Writes an object to see.
    fn keeps_versions(&self) -> Result<bool> {
        Ok(false)
    }

    /// The time by the clock of the place itself. `None`: it has none of its own that may be asked.
    fn now(&self) -> Result<Option<Timestamp>> {
        Ok(None)
    }
}

/// An object being written.
pub trait Upload: Send {
    /// Appends bytes.
    fn append(&mut self, bytes: &[u8]) -> Result<()>;

    /// Makes the object durable and then visible under its name, which must be free. When this returns, both survive a
    /// power cut.
    fn commit(self: Box<Self>) -> Result<()>;
}

/// How often, and with which pauses, a lock is asked for: somewhat longer than a lease of a dead holder stands in an
/// object store, which is half a minute.
const ATTEMPTS: u32 = 1750;
const PAUSE: Duration = Duration::from_millis(20);

/// A lock that others hold for moments. `who` holds it when it is not to be had.
///
/// # Errors
/// [`StoreError::Busy`] where it was not to be had within half a minute.
pub(crate) fn wait_for(
    backend: &dyn Backend,
    lock: &str,
    who: &str,
    cancel: &Cancel,
) -> std::result::Result<Hold, StoreError> {
    for _ in 0..ATTEMPTS {
        if cancel.is_cancelled() {
            return Err(StoreError::Cancelled);
        }
        if let Some(hold) = backend.lock(lock)? {
            return Ok(hold);
        }
        std::thread::park_timeout(PAUSE);
    }
    let place = backend.location();
    Err(StoreError::Busy(format!("{place}: {who} is running; try again when it has ended")))
}

/// How often an object may be replaced by a shorter one between the look at its length and the reading.
const REPLACED_MAX: usize = 8;

/// Reads a whole object of at most `limit` bytes. One that is replaced by a longer one meanwhile comes cut off, and looks
/// damaged.
pub fn read_whole(backend: &dyn Backend, name: &str, limit: u64) -> Result<Vec<u8>> {
    let mut turn = 0;
    loop {
        turn += 1;
        match read_at_its_length(backend, name, limit) {
            Err(error) if turn < REPLACED_MAX && error.source.kind() == std::io::ErrorKind::UnexpectedEof => {}
            read => return read,
        }
    }
}

fn read_at_its_length(backend: &dyn Backend, name: &str, limit: u64) -> Result<Vec<u8>> {
    let length = backend.length(name)?;
    if length > limit {
        return Err(BackendError {
            attempt: "read",
            object: format!("{}/{name}", backend.location()),
            kind: crate::error::Fault::Io,
            source: std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                format!("it is {length} bytes long, and no more than {limit} make sense"),
            ),
        });
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    backend.read_at(name, 0, &mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
