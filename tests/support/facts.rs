//! Everything that can be seen of one entry of a tree, walked by directory handles so that no path is too long.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek},
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{AtFlags, CWD, Dir, FileType, IFlags, Mode, OFlags, StatxFlags, ioctl_getflags, openat, readlinkat, statx},
    io::Errno,
};

/// The inode flags that a person can set and a copy must carry.
const KEPT_FLAGS: IFlags = IFlags::SYNC
    .union(IFlags::IMMUTABLE)
    .union(IFlags::APPEND)
    .union(IFlags::NODUMP)
    .union(IFlags::NOATIME)
    .union(IFlags::DIRSYNC)
    .union(IFlags::TOPDIR)
    .union(IFlags::JOURNALING)
    .union(IFlags::SECURE_REMOVAL)
    .union(IFlags::UNRM)
    .union(IFlags::NOTAIL);

/// What is known of one entry. The path is relative to the root, the root's own is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The kind, with the device number of a device.
    pub kind: String,
    /// Permission bits, 07777.
    pub mode: u32,
    /// User and group number.
    pub owner: (u32, u32),
    /// Last modification: seconds and nanoseconds.
    pub modified: (i64, u32),
    /// Length and a sum of the content of a file; the target of a symlink.
    pub content: Content,
    /// The first name, in order, of the same inode.
    pub first_name: Option<Vec<u8>>,
    /// Extended attributes, ACLs among them.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Inode flags that a person can set.
    pub flags: u32,
}

/// What an entry holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Nothing of its own.
    None,
    /// A symlink's target.
    Target(Vec<u8>),
    /// A regular file.
    File {
        /// Length.
        length: u64,
        /// A sum over the bytes.
        sum: u64,
        /// Bytes that take space on the disk.
        allocated: u64,
    },
}

/// All entries below `root` and the root itself, by path.
pub fn of_tree(root: &Path) -> BTreeMap<Vec<u8>, Facts> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let handle = openat(CWD, root, flags, Mode::empty())
        .unwrap_or_else(|error| panic!("cannot open {}: {error}", root.display()));
    let mut walk = Walk { found: BTreeMap::new(), inodes: BTreeMap::new() };
    walk.entry(&handle, b".", Vec::new());
    walk.directory(&handle, &[]);
    walk.name_links();
    walk.found
}

struct Walk {
    found: BTreeMap<Vec<u8>, Facts>,
    /// Paths by device and inode, of entries that say they have several names.
    inodes: BTreeMap<(u32, u32, u64), Vec<Vec<u8>>>,
}

impl Walk {
    fn directory(&mut self, handle: &OwnedFd, path: &[u8]) {
        for entry in Dir::read_from(handle).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let below = if path.is_empty() { name.to_vec() } else { [path, b"/", name].concat() };
            if self.entry(handle, name, below.clone()) == FileType::Directory {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let child = openat(handle, name, flags, Mode::empty()).unwrap();
                self.directory(&child, &below);
            }
        }
    }

    fn entry(&mut self, parent: &OwnedFd, name: &[u8], path: Vec<u8>) -> FileType {
        let stat = statx(parent, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS).unwrap();
        let kind = FileType::from_raw_mode(u32::from(stat.stx_mode));
        let device = (stat.stx_rdev_major, stat.stx_rdev_minor);
        let facts = Facts {
            kind: match kind {
                FileType::CharacterDevice | FileType::BlockDevice => format!("{kind:?} {}:{}", device.0, device.1),
                _ => format!("{kind:?}"),
            },
            mode: u32::from(stat.stx_mode) & 0o7777,
            owner: (stat.stx_uid, stat.stx_gid),
            modified: (stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec),
            content: match kind {
                FileType::Symlink => Content::Target(readlinkat(parent, name, Vec::new()).unwrap().into_bytes()),
                FileType::RegularFile => content_of(parent, name, stat.stx_blocks * 512),
                _ => Content::None,
            },
            first_name: None,
            xattrs: xattrs_of(parent, name),
            flags: flags_of(parent, name, kind),
        };
        if kind != FileType::Directory && stat.stx_nlink > 1 {
            let inode = (stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino);
            self.inodes.entry(inode).or_default().push(path.clone());
        }
        self.found.insert(path, facts);
        kind
    }

    /// Only names inside the tree count: a name outside cannot be put back.
    fn name_links(&mut self) {
        for names in self.inodes.values() {
            let Some(first) = names.iter().min().filter(|_| names.len() > 1) else { continue };
            for name in names {
                self.found.get_mut(name).unwrap().first_name = Some(first.clone());
            }
        }
    }
}

fn content_of(parent: &OwnedFd, name: &[u8], allocated: u64) -> Content {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(parent, name, flags, Mode::empty()).unwrap());
    let length = file.metadata().unwrap().len();
    let mut sum = length;
    let mut buffer = vec![0; 1 << 18];
    loop {
        let count = file.read(&mut buffer).unwrap();
        if count == 0 {
            break;
        }
        sum = add_to_sum(sum, &buffer[..count]);
    }
    assert_eq!(file.stream_position().unwrap(), length);
    Content::File { length, sum, allocated }
}

/// Not a hash against an adversary: it has to see accidents. Each eight bytes pass through a multiplication and a turn,
/// so that their order counts.
fn add_to_sum(mut sum: u64, bytes: &[u8]) -> u64 {
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        sum = (sum ^ u64::from_le_bytes(word)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    }
    sum
}

fn xattrs_of(parent: &OwnedFd, name: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    // By way of /proc, since no call takes a handle and a name, and a path may be too long.
    let path = [format!("/proc/self/fd/{}/", parent.as_raw_fd()).as_bytes(), name].concat();
    let mut list = vec![0; 64 * 1024];
    let length = match rustix::fs::llistxattr(path.as_slice(), list.as_mut_slice()) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => 0,
        Err(error) => panic!("cannot list attributes of {}: {error}", String::from_utf8_lossy(&path)),
    };
    let names = list[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    names
        .map(|attribute| {
            let mut value = vec![0; 64 * 1024];
            let length = rustix::fs::lgetxattr(path.as_slice(), attribute, value.as_mut_slice()).unwrap();
            value.truncate(length);
            (attribute.to_vec(), value)
        })
        .collect()
}

fn flags_of(parent: &OwnedFd, name: &[u8], kind: FileType) -> u32 {
    if !matches!(kind, FileType::RegularFile | FileType::Directory) {
        return 0;
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(parent, name, flags, Mode::empty()).unwrap();
    match ioctl_getflags(&file) {
        Ok(flags) => (flags & KEPT_FLAGS).bits(),
        Err(Errno::NOTTY | Errno::OPNOTSUPP) => 0,
        Err(error) => panic!("cannot read inode flags: {error}"),
    }
}
