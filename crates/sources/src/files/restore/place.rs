//! Putting what is finished under its name, by the rule for conflicts, in one step.

use std::{ffi::CString, io};

use rustix::{
    fd::AsFd,
    fs::{AtFlags, RenameFlags},
    io::Errno,
};

use super::Conflict;

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

/// A name as system calls want it.
pub(super) fn c_name(name: &[u8]) -> io::Result<CString> {
    CString::new(name).map_err(|_| io::Error::other("a name holds a NUL byte"))
}

/// Gives what is called `private` in `dir` the name `name`. With an error, `private` is still there.
pub(super) fn place(dir: impl AsFd, private: &[u8], name: &[u8], conflict: Conflict) -> io::Result<Placed> {
    let dir = dir.as_fd();
    match conflict {
        Conflict::Overwrite => {
            replace(dir, private, name)?;
            Ok(Placed::As(name.to_vec()))
        }
        Conflict::Refuse | Conflict::Skip => match rename_beside(dir, private, name) {
            Ok(()) => Ok(Placed::As(name.to_vec())),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                rustix::fs::unlinkat(dir, private, AtFlags::empty())?;
                Ok(Placed::Skipped)
            }
            Err(error) => Err(error),
        },
        Conflict::Copy => Ok(Placed::As(under_free_name(name, |n| rename_beside(dir, private, n))?)),
    }
}

fn replace(dir: rustix::fd::BorrowedFd<'_>, private: &[u8], name: &[u8]) -> io::Result<()> {
    match rustix::fs::renameat(dir, private, dir, name) {
        Err(Errno::ISDIR) => {}
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

/// Renames without replacing anything.
fn rename_beside(dir: rustix::fd::BorrowedFd<'_>, private: &[u8], name: &[u8]) -> io::Result<()> {
    match rustix::fs::renameat_with(dir, private, dir, name, RenameFlags::NOREPLACE) {
        // File systems that cannot promise it can at least refuse a second link of that name.
        Err(Errno::INVAL | Errno::NOSYS) => {
            rustix::fs::linkat(dir, private, dir, name, AtFlags::empty())?;
            Ok(rustix::fs::unlinkat(dir, private, AtFlags::empty())?)
        }
        other => Ok(other?),
    }
}

/// Tries `attempt` with the name and then with numbers behind it, as long as the name is taken. Returns the one that was
/// free.
pub(super) fn under_free_name(
    name: &[u8],
    mut attempt: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<Vec<u8>> {
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
        let place = |conflict| {
            fs::write(path("private"), "new").unwrap();
            super::place(&dir, b"private", b"name", conflict)
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
        assert!(path("name/inside").exists());
    }
}
