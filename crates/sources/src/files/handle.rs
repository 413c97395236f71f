//! Opening things by directory handle: no path is ever resolved twice, no symbolic link is followed, nothing blocks.

use std::{ffi::CStr, io};

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{Mode, OFlags},
    io::Errno,
};

/// An open directory with the identity that it had when it was opened.
#[derive(Debug)]
pub(crate) struct Dir {
    pub(crate) fd: OwnedFd,
}

/// Opens without touching access times where the system allows it (it does so for the owner and for root).
fn open_quietly(directory: impl AsFd, name: &CStr, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    match rustix::fs::openat(&directory, name, flags | OFlags::NOATIME, Mode::empty()) {
        Err(Errno::PERM) => Ok(rustix::fs::openat(&directory, name, flags, Mode::empty())?),
        other => Ok(other?),
    }
}

/// Opens the directory `name`.
pub(crate) fn open_directory(parent: impl AsFd, name: &CStr) -> io::Result<OwnedFd> {
    open_quietly(parent, name, OFlags::DIRECTORY)
}

/// Opens what should be the regular file `name`. Should it have become a fifo or a device, this does not block; the
/// caller reads with `pread`, which takes nothing out of a fifo, and looks again at what it has opened.
pub(crate) fn open_file(parent: impl AsFd, name: &CStr) -> io::Result<OwnedFd> {
    open_quietly(parent, name, OFlags::empty())
}

/// Whether the error says that the name now belongs to something of another kind.
pub(crate) fn is_other_kind(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::LOOP | Errno::NOTDIR | Errno::NXIO | Errno::NODEV | Errno::ISDIR | Errno::SPIPE)
    )
}

/// Whether the error says that the name is gone.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOENT | Errno::STALE))
}
