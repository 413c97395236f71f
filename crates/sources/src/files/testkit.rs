//! For tests: a tree with every oddity that a file system holds ([`odd_tree`]), a comparer of two trees ([`compare`]),
//! and a way to remove such a tree again. Nothing here uses the code that captures and restores.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is a test, compiled into the library for other tests")]

mod compare;
mod odd_tree;

use std::{ffi::CStr, io};

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{AtFlags, CWD, FileType, IFlags, Mode, OFlags, RawDir},
};

pub use compare::compare;
pub use odd_tree::{Sizes, noise, odd_tree};

/// Names in a directory, sorted.
fn names_of(directory: &OwnedFd) -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    let mut buffer = vec![std::mem::MaybeUninit::uninit(); 1 << 16];
    let again = rustix::fs::openat(directory, c".", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let mut raw = RawDir::new(again, &mut buffer);
    while let Some(entry) = raw.next() {
        names.push(entry.unwrap().file_name().to_bytes().to_vec());
    }
    names.retain(|n| n != b"." && n != b"..");
    names.sort();
    names
}

fn open_dir(parent: impl AsFd, name: &[u8]) -> OwnedFd {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
        .unwrap_or_else(|e| panic!("cannot open {}: {e}", String::from_utf8_lossy(name)))
}

/// Removes everything in `root`, however deep, immutable or append-only it is, but not `root`.
pub fn clear(root: &std::path::Path) {
    let fd = rustix::fs::open(root, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    unseal(&fd);
    let mut stack = vec![(fd, None::<Vec<u8>>)];
    while let Some((directory, _)) = stack.last() {
        let mut deeper = None;
        for name in names_of(directory) {
            let stat = rustix::fs::statat(directory, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW).unwrap();
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => {
                    deeper = Some(name);
                    break;
                }
                FileType::RegularFile => unseal_at(directory, &name),
                _ => {}
            }
            rustix::fs::unlinkat(directory, name.as_slice(), AtFlags::empty()).unwrap();
        }
        match deeper {
            Some(name) => {
                let inner = open_dir(directory, &name);
                unseal(&inner);
                stack.push((inner, Some(name)));
            }
            None => {
                let done = stack.pop();
                if let (Some((_, Some(name))), Some((parent, _))) = (done, stack.last()) {
                    rustix::fs::unlinkat(parent, name.as_slice(), AtFlags::REMOVEDIR).unwrap();
                }
            }
        }
    }
}

fn unseal_at(directory: &OwnedFd, name: &[u8]) {
    if let Ok(file) = rustix::fs::openat(directory, name, OFlags::RDONLY | OFlags::NOFOLLOW, Mode::empty()) {
        unseal(&file);
    }
}

fn unseal(file: &OwnedFd) {
    if let Ok(flags) = rustix::fs::ioctl_getflags(file)
        && flags.intersects(IFlags::IMMUTABLE | IFlags::APPEND)
    {
        rustix::fs::ioctl_setflags(file, flags - IFlags::IMMUTABLE - IFlags::APPEND).unwrap();
    }
}

/// A path through a handle, for calls that take none.
fn through(directory: &OwnedFd, name: &[u8]) -> Vec<u8> {
    use std::os::fd::AsRawFd;
    let mut path = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    path
}

/// A temporary directory for odd trees, removed at the end whatever is in it.
pub struct OddDir(std::path::PathBuf);

impl OddDir {
    /// A new, empty one; `name` tells tests apart.
    pub fn new(name: &str) -> Self {
        let base = std::env::temp_dir();
        for number in 0_u32.. {
            let path = base.join(format!("resurgam-{name}-{}-{number}", std::process::id()));
            match std::fs::create_dir(&path) {
                Ok(()) => return Self(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => panic!("cannot make {}: {error}", path.display()),
            }
        }
        unreachable!("there are four thousand million names")
    }

    /// Where it is.
    pub fn path(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for OddDir {
    fn drop(&mut self) {
        clear(&self.0);
        std::fs::remove_dir(&self.0).unwrap();
    }
}

/// Whether the tests run as root, which some oddities need.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn stat_at(directory: impl AsFd, name: &CStr) -> rustix::fs::Statx {
    rustix::fs::statx(directory, name, AtFlags::SYMLINK_NOFOLLOW, rustix::fs::StatxFlags::BASIC_STATS).unwrap()
}

fn open_root(path: &std::path::Path) -> OwnedFd {
    rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
        .unwrap_or_else(|e| panic!("cannot open {}: {e}", path.display()))
}
