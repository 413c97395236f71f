//! What a file system knows of an inode beyond `statx`: extended attributes (ACLs and capabilities are such) and flags.

pub(crate) mod read;
pub(crate) mod set;

use std::{ffi::CString, os::fd::AsRawFd};

use rustix::{fd::AsFd, fs::IFlags};

/// Inode flags that a person may set; the rest (such as "has extents") describe how the file system keeps the inode.
const SETTABLE: u32 = 0x0000_0001 // s: secure removal
    | 0x0000_0002 // u: undeletable
    | 0x0000_0004 // c: compressed
    | 0x0000_0008 // S: synchronous
    | 0x0000_0010 // i: immutable
    | 0x0000_0020 // a: append only
    | 0x0000_0040 // d: no dump
    | 0x0000_0080 // A: no access times
    | 0x0000_0400 // m: not compressed
    | 0x0000_4000 // j: data in the journal
    | 0x0000_8000 // t: no tail merging
    | 0x0001_0000 // D: synchronous directory
    | 0x0002_0000 // T: top of a hierarchy
    | 0x0080_0000 // C: not copied on write
    | 0x0200_0000 // x: direct access
    | 0x2000_0000 // P: project hierarchy
    | 0x4000_0000; // F: names without case

/// Flags that only an empty file or directory can take on.
const WHILE_EMPTY: u32 = 0x0000_0004 | 0x0000_0400 | 0x0080_0000 | 0x0200_0000 | 0x4000_0000;

/// Flags that forbid to change an inode any further, new names included.
pub(crate) const SEALING: u32 = 0x0000_0010 | 0x0000_0020;

/// The largest value and the longest list of names that the kernel hands out.
pub(crate) const XATTR_MAX: usize = 64 * 1024;

/// The flags of an open file or directory; 0 where the file system has none.
pub(crate) fn flags_of(file: impl AsFd) -> u32 {
    rustix::fs::ioctl_getflags(file).map_or(0, |flags: IFlags| flags.bits() & SETTABLE)
}

/// The path by which calls that know no handles reach an inode (also one opened with `O_PATH`) or a name in a directory.
pub(crate) fn proc_path(file: impl AsFd, name: Option<&[u8]>) -> CString {
    let mut path = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd()).into_bytes();
    if let Some(name) = name {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    // Cannot fail: names come from the kernel or from checked paths, neither has a NUL.
    CString::new(path).unwrap_or_default()
}
