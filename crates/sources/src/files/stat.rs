//! What `statx` says of an inode, reduced to what a backup needs.

use std::{ffi::CStr, io};

use resurgam_store::FileTime;
use rustix::{
    fd::AsFd,
    fs::{AtFlags, FileType, Statx, StatxAttributes, StatxFlags},
};

/// An inode as it was at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stat {
    pub(crate) kind: FileType,
    pub(crate) mode: u32,
    pub(crate) links: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) size: u64,
    /// Space taken, in bytes.
    pub(crate) allocated: u64,
    pub(crate) modified: FileTime,
    pub(crate) changed: FileTime,
    /// For device nodes: which device it stands for.
    pub(crate) stands_for: (u32, u32),
    /// Something is mounted here, even if it is a part of the same file system.
    pub(crate) mount_root: bool,
}

impl Stat {
    /// The inode behind `name` in `directory`; a symbolic link is not followed, nothing is mounted on demand.
    pub(crate) fn at(directory: impl AsFd, name: &CStr) -> io::Result<Self> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        Ok(rustix::fs::statx(directory, name, flags, StatxFlags::BASIC_STATS)?.into())
    }

    /// The inode behind an open file.
    pub(crate) fn of(file: impl AsFd) -> io::Result<Self> {
        Ok(rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?.into())
    }

    /// Device and number: what names an inode.
    pub(crate) fn identity(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// Whether both describe one inode between whose two looks nothing happened that the file system would show.
    pub(crate) fn is_same_state(&self, other: &Self) -> bool {
        self.identity() == other.identity()
            && self.kind == other.kind
            && self.size == other.size
            && self.modified == other.modified
            && self.changed == other.changed
    }

    /// Whether it may have holes: it takes less space than its length.
    pub(crate) fn may_have_holes(&self) -> bool {
        self.allocated < self.size
    }
}

impl From<Statx> for Stat {
    fn from(raw: Statx) -> Self {
        let time = |t: rustix::fs::StatxTimestamp| FileTime { seconds: t.tv_sec, nanos: t.tv_nsec };
        Self {
            kind: FileType::from_raw_mode(raw.stx_mode.into()),
            mode: u32::from(raw.stx_mode) & 0o7777,
            links: raw.stx_nlink,
            uid: raw.stx_uid,
            gid: raw.stx_gid,
            device: rustix::fs::makedev(raw.stx_dev_major, raw.stx_dev_minor),
            inode: raw.stx_ino,
            size: raw.stx_size,
            allocated: raw.stx_blocks.saturating_mul(512),
            modified: time(raw.stx_mtime),
            changed: time(raw.stx_ctime),
            stands_for: (raw.stx_rdev_major, raw.stx_rdev_minor),
            mount_root: raw.stx_attributes.contains(StatxAttributes::MOUNT_ROOT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_what_the_standard_library_sees() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"12345").unwrap();
        let file = std::fs::File::open(&path).unwrap();
        let (stat, seen) = (Stat::of(&file).unwrap(), file.metadata().unwrap());
        assert_eq!(stat.identity(), (seen.dev(), seen.ino()));
        assert_eq!((stat.size, stat.links, stat.mode), (5, 1, seen.mode() & 0o7777));
        assert_eq!((stat.modified.seconds, i64::from(stat.modified.nanos)), (seen.mtime(), seen.mtime_nsec()));
        assert!(stat.is_same_state(&Stat::at(std::fs::File::open(folder.path()).unwrap(), c"file").unwrap()));
    }
}
