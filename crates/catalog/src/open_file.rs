//! Which SQLite files this process has open, and whether each is still the one in its place.
//!
//! Two things can go wrong that SQLite does not see:
//! - It finds a journal by its name. Once another file was put in the place of one that is open, the journal of the old
//!   one would be played into the new one; so the old one must not be written any more.
//! - A process that opens a file once more and closes it, past SQLite, loses the locks that SQLite holds on it. So a
//!   file that is open here is not looked into by other means.

use std::{
    collections::BTreeMap,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use crate::Fault;

/// Device and inode.
pub(crate) type Identity = (u64, u64);

/// How often each file is open in this process.
static OPEN: Mutex<BTreeMap<Identity, usize>> = Mutex::new(BTreeMap::new());

/// A file that is open as a catalog.
pub(crate) struct OpenFile {
    path: PathBuf,
    identity: Identity,
}

impl OpenFile {
    /// Notes that the file at `path` was opened. `before` is what it was before that ([`identity`]): if another took its
    /// place in between, the first verb will see it.
    pub(crate) fn note(path: &Path, before: Option<Identity>) -> Option<Self> {
        let path = std::path::absolute(path).ok()?;
        let identity = before.or_else(|| identity(&path))?;
        *OPEN.lock().unwrap_or_else(PoisonError::into_inner).entry(identity).or_default() += 1;
        Some(Self { path, identity })
    }

    /// Refuses to go on where another file has taken its place.
    pub(crate) fn refuse_replaced(&self) -> Result<(), Fault> {
        match self.path.metadata() {
            Ok(found) if (found.dev(), found.ino()) == self.identity => Ok(()),
            Ok(_) => Err(Fault::Replaced("another catalog was put in its place while it was open".to_owned())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Err(Fault::Replaced("its file was taken away while it was open".to_owned()))
            }
            Err(e) => Err(Fault::of_file(&e)),
        }
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.identity) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.identity);
            }
        }
    }
}

/// Whether this process has the file open as a catalog.
pub(crate) fn is_open_here(path: &Path) -> bool {
    identity(path).is_some_and(|of| OPEN.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&of))
}

/// Which file it is, whatever it is called; `None` where there is none.
pub(crate) fn identity(path: &Path) -> Option<Identity> {
    path.metadata().map(|found| (found.dev(), found.ino())).ok()
}
