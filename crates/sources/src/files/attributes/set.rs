//! Giving an inode its attributes back.
//!
//! The order matters: the owner first, since changing it clears setuid and capabilities; extended attributes before the
//! mode, since an owner without write permission may not set them; times after everything that touches the inode; flags
//! last, since they may forbid all else.

use std::io;

use resurgam_model::bytepath::escape;
use resurgam_store::{Entry, FileTime, Kind, Xattr};
use rustix::{
    fd::{AsFd, BorrowedFd},
    fs::{AtFlags, CWD, Gid, IFlags, Mode, Timespec, Timestamps, Uid, XattrFlags},
    io::Errno,
};

use super::{SETTABLE, WHILE_EMPTY, XATTR_MAX, proc_path};
use crate::files::stat::Stat;

/// An inode whose attributes are set.
pub(crate) enum Handle<'a> {
    /// A regular file or directory, open for more than its path.
    Open(BorrowedFd<'a>),
    /// Anything else, opened with `O_PATH`.
    Named(BorrowedFd<'a>),
}

/// What is known of the inode before, so that no system call is made in vain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Before {
    /// The owner that it has, if that is known.
    pub(crate) owner: Option<(u32, u32)>,
    /// It may have extended attributes that it should not keep.
    pub(crate) clear_xattrs: bool,
    /// It may have flags that it should not keep.
    pub(crate) clear_flags: bool,
}

/// Sets everything that `entry` says; `owner` is the owner in numbers of this machine, `None` to leave it as it is.
/// What could not be set is said in `faults`. Flags out of `flags_later` are not set: the caller does it.
pub(crate) fn apply(
    handle: &Handle<'_>,
    entry: &Entry,
    owner: Option<(u32, u32)>,
    before: Before,
    flags_later: u32,
    faults: &mut Vec<String>,
) {
    let owned = set_owner(handle, owner, before.owner, faults);
    set_xattrs(handle, &entry.xattrs, before.clear_xattrs, faults);
    set_mode(handle, entry, owned, faults);
    set_modified(handle, entry.modified, faults);
    if let Handle::Open(file) = handle {
        set_flags(file, entry.flags & !flags_later, before.clear_flags, faults);
    }
}

/// Flags that must be set before there is content.
pub(crate) fn apply_while_empty(file: impl AsFd, flags: u32, faults: &mut Vec<String>) {
    if flags & WHILE_EMPTY != 0 {
        set_flags(file, flags & WHILE_EMPTY, false, faults);
    }
}

/// Returns whether the owner is now the one wanted.
fn set_owner(
    handle: &Handle<'_>,
    wanted: Option<(u32, u32)>,
    before: Option<(u32, u32)>,
    faults: &mut Vec<String>,
) -> bool {
    let Some((uid, gid)) = wanted else { return false };
    if before == wanted {
        return true;
    }
    let (user, group) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    let result = match handle {
        Handle::Open(file) => rustix::fs::fchown(file, user, group),
        Handle::Named(file) => rustix::fs::chownat(file, c"", user, group, AtFlags::EMPTY_PATH),
    };
    if let Err(error) = result {
        if stat_of(handle).is_ok_and(|s| (s.uid, s.gid) == (uid, gid)) {
            return true;
        }
        faults.push(format!("its owner {uid}:{gid} could not be set: {}", io::Error::from(error)));
        return false;
    }
    true
}

fn set_xattrs(handle: &Handle<'_>, wanted: &[Xattr], clear: bool, faults: &mut Vec<String>) {
    if clear {
        clear_xattrs(handle, wanted);
    }
    if wanted.is_empty() {
        return;
    }
    let path = named_path(handle);
    for xattr in wanted {
        let name = xattr.name.as_slice();
        let result = match (handle, &path) {
            (Handle::Open(file), _) => rustix::fs::fsetxattr(file, name, &xattr.value, XattrFlags::empty()),
            (_, Some(path)) => rustix::fs::setxattr(path.as_c_str(), name, &xattr.value, XattrFlags::empty()),
            (_, None) => Err(Errno::BADF),
        };
        if let Err(error) = result {
            let (name, error) = (escape(name), io::Error::from(error));
            faults.push(format!("its extended attribute {name} could not be set: {error}"));
        }
    }
}

/// Removes attributes that came by inheritance or from what was there before. Labels that a security module gives to
/// every inode cannot be removed, and need not be.
fn clear_xattrs(handle: &Handle<'_>, wanted: &[Xattr]) {
    let mut names = vec![0; XATTR_MAX];
    let path = named_path(handle);
    let listed = match (handle, &path) {
        (Handle::Open(file), _) => rustix::fs::flistxattr(file, names.as_mut_slice()),
        (_, Some(path)) => rustix::fs::listxattr(path.as_c_str(), names.as_mut_slice()),
        (_, None) => Err(Errno::BADF),
    };
    let extra = names[..listed.unwrap_or(0)].split(|&b| b == 0).filter(|n| !n.is_empty());
    for name in extra.filter(|n| !wanted.iter().any(|w| w.name == **n)) {
        let _ = match (handle, &path) {
            (Handle::Open(file), _) => rustix::fs::fremovexattr(file, name),
            (_, Some(path)) => rustix::fs::removexattr(path.as_c_str(), name),
            (_, None) => Ok(()),
        };
    }
}

fn set_mode(handle: &Handle<'_>, entry: &Entry, owned: bool, faults: &mut Vec<String>) {
    if matches!(entry.kind, Kind::Symlink { .. }) {
        return;
    }
    let mut mode = entry.mode & 0o7777;
    let lends_rights = mode & 0o6000 != 0 && matches!(entry.kind, Kind::File { .. });
    if lends_rights && !owned && !stat_of(handle).is_ok_and(|s| (s.uid, s.gid) == (entry.owner.uid, entry.owner.gid)) {
        mode &= !0o6000;
        faults.push("its setuid and setgid bits were not set, since its owner is another one here".to_owned());
    }
    let bits = Mode::from_raw_mode(mode);
    let result = match handle {
        Handle::Open(file) => rustix::fs::fchmod(file, bits),
        Handle::Named(file) => rustix::fs::chmodat(CWD, proc_path(file, None).as_c_str(), bits, AtFlags::empty()),
    };
    if let Err(error) = result {
        faults.push(format!("its mode {mode:04o} could not be set: {}", io::Error::from(error)));
    }
}

fn set_modified(handle: &Handle<'_>, wanted: FileTime, faults: &mut Vec<String>) {
    let keep = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT };
    let modified = Timespec { tv_sec: wanted.seconds, tv_nsec: wanted.nanos.into() };
    let times = Timestamps { last_access: keep, last_modification: modified };
    let result = match handle {
        Handle::Open(file) => rustix::fs::futimens(file, &times),
        Handle::Named(file) => rustix::fs::utimensat(CWD, proc_path(file, None).as_c_str(), &times, AtFlags::empty()),
    };
    if let Err(error) = result {
        faults.push(format!("its time of modification could not be set: {}", io::Error::from(error)));
        return;
    }
    // Beyond what its inodes can hold, a file system takes the nearest time and says nothing.
    let unusual = i32::try_from(wanted.seconds).is_err() || wanted.seconds < 0;
    if unusual && stat_of(handle).is_ok_and(|s| s.modified.seconds != wanted.seconds) {
        faults.push(format!(
            "its time of modification, {} seconds from 1970, cannot be held by the file system there",
            wanted.seconds
        ));
    }
}

/// Sets `wanted` out of the flags that can be set, and clears the others of those if `clear`.
pub(crate) fn set_flags(file: impl AsFd, wanted: u32, clear: bool, faults: &mut Vec<String>) {
    if wanted == 0 && !clear {
        return;
    }
    let now = match rustix::fs::ioctl_getflags(&file) {
        Ok(flags) => flags.bits(),
        Err(_) if wanted == 0 => return,
        Err(error) => {
            faults.push(format!("its flags {wanted:#x} could not be set: {}", io::Error::from(error)));
            return;
        }
    };
    let target = if clear { (now & !SETTABLE) | wanted } else { now | wanted };
    if target == now || rustix::fs::ioctl_setflags(&file, IFlags::from_bits_retain(target)).is_ok() {
        return;
    }
    // Not all of them: as many as this file system and this user can set.
    let mut refused = 0;
    let mut reached = now;
    for bit in (0..32).map(|n| 1 << n).filter(|bit| (target ^ now) & bit != 0) {
        let next = reached ^ bit;
        if rustix::fs::ioctl_setflags(&file, IFlags::from_bits_retain(next)).is_ok() {
            reached = next;
        } else {
            refused |= bit;
        }
    }
    if refused & wanted != 0 {
        faults.push(format!("its flags {:#x} could not be set here", refused & wanted));
    }
}

/// Takes the flags from something that keep it from being changed, so that a restore over it can be. `false`: it had none.
pub(crate) fn unseal(file: impl AsFd) -> bool {
    let Ok(now) = rustix::fs::ioctl_getflags(&file) else { return false };
    // By bits: flags that the library has no name for must stay as they are.
    let open = IFlags::from_bits_retain(now.bits() & !super::SEALING);
    open != now && rustix::fs::ioctl_setflags(&file, open).is_ok()
}

fn stat_of(handle: &Handle<'_>) -> io::Result<Stat> {
    match handle {
        Handle::Open(file) => Stat::of(file),
        Handle::Named(file) => Stat::of(file),
    }
}

fn named_path(handle: &Handle<'_>) -> Option<std::ffi::CString> {
    match handle {
        Handle::Open(_) => None,
        Handle::Named(file) => Some(proc_path(file, None)),
    }
}
