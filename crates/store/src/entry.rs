//! One thing in a recovery point: a file, a directory, a link, a special file, with all that is known of it.

use std::{fmt, sync::Arc};

use resurgam_model::BytePath;

/// The name of a blob: keyed BLAKE3 of its plain bytes, under the server's identity key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId(pub [u8; 32]);

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A point in time as a file system keeps it: any second that 64 bits can say, before 1970 as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FileTime {
    /// Seconds since 1970, negative before.
    pub seconds: i64,
    /// Nanoseconds after that second, below 1,000,000,000.
    pub nanos: u32,
}

/// Who owns an entry: by number, and by the name that the number had when it was read (empty: none). Few own many, so names
/// are shared.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Owner {
    /// User number.
    pub uid: u32,
    /// Group number.
    pub gid: u32,
    /// User name.
    pub user: Arc<[u8]>,
    /// Group name.
    pub group: Arc<[u8]>,
}

/// An extended attribute: name with its namespace, and value. POSIX ACLs are such attributes too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Xattr {
    /// Name, such as `user.comment` or `system.posix_acl_access`.
    pub name: Vec<u8>,
    /// Value, often empty.
    pub value: Vec<u8>,
}

/// One entry of a recovery point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it is, below the root of the source.
    pub path: BytePath,
    /// What it is.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky (07777).
    pub mode: u32,
    /// Owner and group.
    pub owner: Owner,
    /// Last modification.
    pub modified: FileTime,
    /// Extended attributes, sorted by name.
    pub xattrs: Vec<Xattr>,
    /// Inode flags as `FS_IOC_GETFLAGS` gives them, reduced to those that can be set again.
    pub flags: u32,
    /// Entries of one point with the same number are names of one inode. `None`: it had one name.
    pub link: Option<u64>,
    /// What a later backup compares to know that nothing changed.
    pub seen: Seen,
    /// It changed each time that it was read: the content is not that of any one moment.
    pub torn: bool,
}

/// The traces by which the next backup recognises an unchanged entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// Inode number.
    pub inode: u64,
    /// Last change of the inode.
    pub changed: FileTime,
    /// The entry was modified so shortly before it was read that its times cannot tell a later change: read it again.
    pub racy: bool,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file of `size` bytes.
    File {
        /// Length in bytes, holes included.
        size: u64,
        /// Where its bytes are.
        content: Content,
    },
    /// A symbolic link to any bytes.
    Symlink {
        /// The target.
        target: Vec<u8>,
    },
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharacterDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
}

impl Kind {
    /// The word that listings use.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::File { .. } => "file",
            Self::Symlink { .. } => "symlink",
            Self::Fifo => "fifo",
            Self::Socket => "socket",
            Self::CharacterDevice { .. } => "character-device",
            Self::BlockDevice { .. } => "block-device",
        }
    }
}

/// Where the bytes of a file are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Here: files of up to [`crate::limits::INLINE_MAX`] bytes without holes.
    Inline(Vec<u8>),
    /// In blobs, in the order of the file.
    Extents(Vec<Extent>),
    /// In blobs named by a list that is itself kept in blobs, `depth` levels deep (at least 1).
    Listed {
        /// Levels of lists above the extents.
        depth: u8,
        /// The topmost level, in the order of the file.
        lists: Vec<ListRef>,
    },
}

/// A run of a file's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// `length` bytes that read as zero and take no space.
    Hole {
        /// Bytes.
        length: u64,
    },
    /// `length` bytes of the blob `blob`, from `offset` on. Of no bytes: a blob that serves writers only
    /// ([`crate::tree::region`]).
    Data {
        /// The blob.
        blob: BlobId,
        /// First byte within the blob.
        offset: u32,
        /// Bytes.
        length: u32,
    },
}

impl Extent {
    /// How many bytes of the file it stands for.
    pub fn length(&self) -> u64 {
        match *self {
            Self::Hole { length } => length,
            Self::Data { length, .. } => u64::from(length),
        }
    }

    /// The blob that its bytes lie in, unless it is a hole.
    pub fn blob(&self) -> Option<&BlobId> {
        match self {
            Self::Hole { .. } => None,
            Self::Data { blob, .. } => Some(blob),
        }
    }
}

/// A part of a list of extents, kept in a metadata blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListRef {
    /// The blob with the list.
    pub list: BlobId,
    /// How many bytes of the file it stands for.
    pub length: u64,
}
