//! Putting what is finished under its name, by the rule for conflicts, in one step.
//!
//! A file is made without any name where the file system can do that (`O_TMPFILE`): then a restore that is killed leaves
//! nothing behind, and giving it its name is all that its directory sees. Everything else has a private name first.

use std::{
    ffi::CString,
    io,
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags},
    io::Errno,
};

use super::Conflict;
use crate::files::attributes::set::unseal;

/// The longest name of a directory entry.
const NAME_MAX: usize = 255;
/// How many names beside the first are tried.
const COPIES_MAX: u32 = 10_000;

/// Where something ended up.
pub(super) enum Placed {
    /// Under this name.
    As(Vec<u8>),
    /// Nowhere: something has the name and stays. What was made is gone again.
    Skipped,
}

/// What is finished, as long as it is not under its name.
pub(super) enum Finished<'a> {
    /// A file without a name.
    Unnamed(&'a OwnedFd),
    /// Anything, under a private name in the same directory.
    Private(&'a [u8]),
}

/// A name as system calls want it.
pub(super) fn c_name(name: &[u8]) -> io::Result<CString> {
    CString::new(name).map_err(|_| io::Error::other("a name holds a NUL byte"))
}

/// Gives what is finished the name `name` in `dir`. With an error, what had a private name still has it. `private` makes
/// a private name, should one be needed.
pub(super) fn place(
    dir: impl AsFd,
    finished: &Finished<'_>,
    name: &[u8],
    conflict: Conflict,
    private: impl FnOnce() -> Vec<u8>,
) -> io::Result<Placed> {
    let dir = dir.as_fd();
    match conflict {
        Conflict::Overwrite => {
            overwrite(dir, finished, name, private)?;
            Ok(Placed::As(name.to_vec()))
        }
        Conflict::Refuse | Conflict::Skip => match finished.name_beside(dir, name) {
            Ok(()) => Ok(Placed::As(name.to_vec())),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                finished.remove(dir);
                Ok(Placed::Skipped)
            }
            Err(error) => Err(error),
        },
        Conflict::Copy => Ok(Placed::As(under_free_name(name, |n| finished.name_beside(dir, n))?)),
    }
}

fn overwrite(
    dir: BorrowedFd<'_>,
    finished: &Finished<'_>,
    name: &[u8],
    private: impl FnOnce() -> Vec<u8>,
) -> io::Result<()> {
    match finished {
        Finished::Private(private) => replace(dir, private, name),
        Finished::Unnamed(_) => match finished.name_beside(dir, name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let private = private();
                finished.name_beside(dir, &private)?;
                replace(dir, &private, name).inspect_err(|_| Finished::Private(&private).remove(dir))
            }
            other => other,
        },
    }
}

fn replace(dir: BorrowedFd<'_>, private: &[u8], name: &[u8]) -> io::Result<()> {
    match rustix::fs::renameat(dir, private, dir, name) {
        Err(Errno::ISDIR) => {}
        // What stands there may be immutable or append-only. Whoever says `overwrite` means it.
        Err(Errno::PERM) => {
            return if unseal_named(dir, name) {
                Ok(rustix::fs::renameat(dir, private, dir, name)?)
            } else {
                Err(Errno::PERM.into())
            };
        }
        other => return Ok(other?),
    }
    // A directory stands there. An empty one gives way.
    match rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR) {
        Ok(()) => Ok(rustix::fs::renameat(dir, private, dir, name)?),
        Err(Errno::NOTEMPTY | Errno::EXIST) => {
            Err(io::Error::other("a directory that is not empty has its name; move it away and recover again"))
        }
        Err(error) => Err(error.into()),
    }
}

/// Takes from a file or directory the flags that keep it as it is. Only those can have them; nothing else is opened.
fn unseal_named(dir: BorrowedFd<'_>, name: &[u8]) -> bool {
    let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW);
    let kind = stat.map(|stat| FileType::from_raw_mode(stat.st_mode));
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    matches!(kind, Ok(FileType::RegularFile | FileType::Directory))
        && rustix::fs::openat(dir, name, flags, Mode::empty()).is_ok_and(unseal)
}

/// Whether a handle can be named by itself; older kernels allow that only to those who may read everything.
static NAMES_HANDLES: AtomicBool = AtomicBool::new(true);

impl Finished<'_> {
    /// Gives it a name without replacing anything.
    fn name_beside(&self, dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
        match self {
            Finished::Unnamed(file) => {
                if NAMES_HANDLES.load(Ordering::Relaxed) {
                    match rustix::fs::linkat(file, c"", dir, name, AtFlags::EMPTY_PATH) {
                        Err(Errno::NOENT | Errno::PERM | Errno::INVAL) => NAMES_HANDLES.store(false, Ordering::Relaxed),
                        other => return Ok(other?),
                    }
                }
                let path = crate::files::attributes::proc_path(file, None);
                Ok(rustix::fs::linkat(CWD, path.as_c_str(), dir, name, AtFlags::SYMLINK_FOLLOW)?)
            }
            Finished::Private(private) => {
                match rustix::fs::renameat_with(dir, *private, dir, name, RenameFlags::NOREPLACE) {
                    // File systems that cannot promise it can at least refuse a second link of that name.
                    Err(Errno::INVAL | Errno::NOSYS) => {
                        rustix::fs::linkat(dir, *private, dir, name, AtFlags::empty())?;
                        Ok(rustix::fs::unlinkat(dir, *private, AtFlags::empty())?)
                    }
                    other => Ok(other?),
                }
            }
        }
    }

    /// Removes what was not placed. Should even that fail, it is under a private name, and what was wrong is reported.
    pub(super) fn remove(&self, dir: impl AsFd) {
        if let Finished::Private(private) = self {
            let _ = rustix::fs::unlinkat(dir, *private, AtFlags::empty());
        }
    }
}

/// Tries `attempt` with the name and then with numbers behind it, as long as the name is taken. Returns the one that was
/// free.
pub(super) fn under_free_name(name: &[u8], mut attempt: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<Vec<u8>> {
    for number in 1..COPIES_MAX {
        let candidate = numbered(name, number);
        match attempt(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("thousands of recovered copies have its name; remove some"))
}

/// `NAME`, `NAME (recovered 2)`, `NAME (recovered 3)`, …, cut where it would be too long.
fn numbered(name: &[u8], number: u32) -> Vec<u8> {
    if number == 1 {
        return name.to_vec();
    }
    let suffix = format!(" (recovered {number})");
    let mut full = name[..name.len().min(NAME_MAX - suffix.len())].to_vec();
    full.extend_from_slice(suffix.as_bytes());
    full
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    #[test]
    fn names_of_copies_are_numbered_and_never_too_long() {
        assert_eq!(numbered(b"a", 1), b"a");
        assert_eq!(numbered(b"a", 2), b"a (recovered 2)");
        assert_eq!(numbered(&[b'x'; 255], 12).len(), 255);
    }

    #[test]
    fn each_rule_does_what_it_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let dir = File::open(folder.path()).unwrap();
        for unnamed in [true, false] {
            each_rule(&path, &dir, unnamed);
            fs::remove_dir_all(path("name")).unwrap();
            fs::remove_file(path("name (recovered 2)")).unwrap();
        }
    }

    fn each_rule(path: &dyn Fn(&str) -> std::path::PathBuf, dir: &File, unnamed: bool) {
        let place = |conflict| {
            let spare = || b"spare".to_vec();
            if unnamed {
                let flags = rustix::fs::OFlags::TMPFILE | rustix::fs::OFlags::WRONLY;
                let fd = rustix::fs::openat(dir, c".", flags, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
                rustix::io::write(&fd, b"new").unwrap();
                super::place(dir, &Finished::Unnamed(&fd), b"name", conflict, spare)
            } else {
                fs::write(path("private"), "new").unwrap();
                super::place(dir, &Finished::Private(b"private"), b"name", conflict, spare)
            }
        };
        fs::write(path("name"), "old").unwrap();
        assert!(matches!(place(Conflict::Skip).unwrap(), Placed::Skipped));
        assert!(!path("private").exists());
        assert_eq!(fs::read(path("name")).unwrap(), b"old");
        place(Conflict::Copy).unwrap();
        assert_eq!(fs::read(path("name (recovered 2)")).unwrap(), b"new");
        place(Conflict::Overwrite).unwrap();
        assert_eq!(fs::read(path("name")).unwrap(), b"new");
        fs::remove_file(path("name")).unwrap();
        fs::create_dir(path("name")).unwrap();
        place(Conflict::Overwrite).unwrap();
        assert_eq!(fs::read(path("name")).unwrap(), b"new");
        fs::remove_file(path("name")).unwrap();
        fs::create_dir_all(path("name/inside")).unwrap();
        assert!(place(Conflict::Overwrite).is_err());
        assert!(path("name/inside").exists() && !path("spare").exists());
        let _ = fs::remove_file(path("private"));
    }
}
