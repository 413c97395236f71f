//! A tree with every oddity.

use std::{
    ffi::{CString, OsStr},
    fs::{self, File},
    os::unix::{
        ffi::OsStrExt,
        fs::{FileExt, PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, CWD, FileType, Gid, IFlags, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags},
};

use super::{is_root, open_root};

/// How much of what costs time there is.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Entries in the fullest directory.
    pub crowd: usize,
    /// Levels of the deepest path.
    pub levels: usize,
    /// Bytes of the largest file without holes.
    pub large: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { crowd: 2_000, levels: 300, large: 9 << 20 }
    }
}

/// Fills the empty directory `root`. What only root may make is left out for others.
pub fn odd_tree(root: &Path, sizes: Sizes) {
    contents(&root.join("contents"), sizes.large);
    names(&root.join("names"), sizes.crowd);
    depth(&root.join("depth"), sizes.levels);
    links(&root.join("links"));
    specials(&root.join("specials"));
    modes(&root.join("modes"));
    xattrs(&root.join("xattrs"));
    flags(&root.join("flags"));
    // Last, since everything else moves the times of directories.
    times(&root.join("times"));
    set_time(root, -777, 123_456_789);
}

/// Bytes that do not compress and differ by seed.
pub fn noise(mut seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend_from_slice(&(z ^ (z >> 31)).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn make_dir(path: &Path) {
    fs::create_dir(path).unwrap_or_else(|e| panic!("cannot make {}: {e}", path.display()));
}

fn contents(dir: &Path, large: usize) {
    make_dir(dir);
    for (number, size) in
        [0, 1, 511, 512, 513, 4096, 100_000, 512 * 1024, 512 * 1024 + 1, large].into_iter().enumerate()
    {
        fs::write(dir.join(format!("of {size} bytes")), noise(number as u64, size)).unwrap();
    }
    fs::write(dir.join("zeros, no holes"), vec![0; 300_000]).unwrap();
    let sparse = |name: &str, length: u64, data: &[(u64, usize)]| {
        let file = File::create(dir.join(name)).unwrap();
        file.set_len(length).unwrap();
        for &(at, size) in data {
            file.write_all_at(&noise(at, size), at).unwrap();
        }
    };
    sparse("nothing but a hole", 1 << 40, &[]);
    sparse("small hole", 100, &[]);
    sparse("hole at the end", (5 << 20) + 7, &[(0, 10_000)]);
    sparse("hole at the beginning", (1 << 30) + 5000, &[(1 << 30, 5000)]);
    sparse("hole in the middle", (3 << 20) + 100, &[(0, 700_000), (2 << 20, (1 << 20) + 100)]);
    let many: Vec<(u64, usize)> = (0..60).map(|n| (n * 100_000 + n, 3000)).collect();
    sparse("many holes", 10_000_000, &many);
}

fn names(dir: &Path, crowd: usize) {
    make_dir(dir);
    let bytes = dir.join("every byte");
    make_dir(&bytes);
    for byte in (1..=255_u8).filter(|&b| b != b'/' && b != b'.') {
        File::create(bytes.join(OsStr::from_bytes(&[byte]))).unwrap();
    }
    for name in [&[b'n'; 255][..], &[0xff; 255], b"a", b"a ", b"a.", b"a.b", b"-rf", b"...", b"new\nline", b"\xc3\x28"]
    {
        fs::write(dir.join(OsStr::from_bytes(name)), name).unwrap();
    }
    // A file beside a directory whose name is a beginning of it: the order of paths is not that of their bytes.
    make_dir(&dir.join("a!"));
    make_dir(&dir.join("b"));
    for name in ["b/inside", "b.c", "b-", "b0"] {
        fs::write(dir.join(name), name).unwrap();
    }
    let crowded = dir.join("crowded");
    make_dir(&crowded);
    for number in 0..crowd {
        fs::write(crowded.join(format!("{number:x}")), number.to_string()).unwrap();
    }
}

/// A chain of directories, each made in the one before by handle; a file at the end.
fn chain(root: &Path, name: &[u8], levels: usize) {
    let mut dir = open_root(root);
    for level in 0..levels {
        rustix::fs::mkdirat(&dir, name, Mode::from_raw_mode(0o755)).unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        dir = rustix::fs::openat(&dir, name, flags, Mode::empty()).unwrap();
        if level % 50 == 0 {
            create_at(&dir, b"zzz after");
        }
    }
    create_at(&dir, b"at the end");
}

fn create_at(dir: &OwnedFd, name: &[u8]) {
    let flags = OFlags::CREATE | OFlags::WRONLY;
    let file = File::from(rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(0o640)).unwrap());
    file.write_all_at(name, 0).unwrap();
}

fn depth(dir: &Path, levels: usize) {
    make_dir(dir);
    make_dir(&dir.join("levels"));
    chain(&dir.join("levels"), b"d", levels);
    make_dir(&dir.join("longer than PATH_MAX"));
    chain(&dir.join("longer than PATH_MAX"), &[b'p'; 200], 30);
}

fn links(dir: &Path) {
    make_dir(dir);
    for part in ["one", "two", "three", "three/deeper"] {
        make_dir(&dir.join(part));
    }
    let second_names = |name: &str| {
        for (number, part) in ["two", "three/deeper"].into_iter().enumerate() {
            let to = dir.join(part).join(format!("{name} {number}"));
            rustix::fs::linkat(CWD, dir.join("one").join(name), CWD, to, AtFlags::empty()).unwrap();
        }
    };
    fs::write(dir.join("one/file"), noise(1, 5000)).unwrap();
    fs::write(dir.join("one/tiny"), b"tiny").unwrap();
    fs::write(dir.join("one/large"), noise(2, 2 << 20)).unwrap();
    symlink("/nowhere", dir.join("one/symlink")).unwrap();
    node(&dir.join("one/fifo"), FileType::Fifo, (0, 0));
    node(&dir.join("one/socket"), FileType::Socket, (0, 0));
    for name in ["file", "tiny", "large", "symlink", "fifo", "socket"] {
        second_names(name);
    }
    if is_root() {
        node(&dir.join("one/device"), FileType::CharacterDevice, (1, 3));
        second_names("device");
        fs::write(dir.join("one/immutable"), b"immutable").unwrap();
        second_names("immutable");
        set_flags(&dir.join("one/immutable"), IFlags::IMMUTABLE);
        fs::write(dir.join("one/append"), b"append").unwrap();
        second_names("append");
        set_flags(&dir.join("three/deeper/append 1"), IFlags::APPEND);
    }
}

fn node(path: &Path, kind: FileType, (major, minor): (u32, u32)) {
    let device = rustix::fs::makedev(major, minor);
    rustix::fs::mknodat(CWD, path, kind, Mode::from_raw_mode(0o640), device).unwrap();
}

fn specials(dir: &Path) {
    make_dir(dir);
    node(&dir.join("fifo"), FileType::Fifo, (0, 0));
    node(&dir.join("socket"), FileType::Socket, (0, 0));
    for (name, target) in [
        ("to nothing", &b"no/such/thing"[..]),
        ("up", b"../../.."),
        ("absolute", b"/etc/passwd"),
        ("no text", b"\xff\xfe\x01\n"),
        ("long", &[b'l'; 4095]),
        ("itself", b"itself"),
    ] {
        symlink(OsStr::from_bytes(target), dir.join(name)).unwrap();
    }
    if is_root() {
        node(&dir.join("null"), FileType::CharacterDevice, (1, 3));
        node(&dir.join("high numbers"), FileType::CharacterDevice, (4000, 1_000_000));
        node(&dir.join("loop"), FileType::BlockDevice, (7, 99));
        fs::set_permissions(dir.join("null"), fs::Permissions::from_mode(0o666)).unwrap();
        rustix::fs::chownat(
            CWD,
            dir.join("up"),
            Some(Uid::from_raw(12)),
            Some(Gid::from_raw(34)),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .unwrap();
    }
}

fn modes(dir: &Path) {
    make_dir(dir);
    for mode in [0o000, 0o111, 0o444, 0o755, 0o777, 0o1644, 0o2755, 0o4755, 0o6711, 0o7777] {
        let (file, inner) = (dir.join(format!("file {mode:o}")), dir.join(format!("dir {mode:o}")));
        fs::write(&file, b"x").unwrap();
        make_dir(&inner);
        fs::write(inner.join("inside"), b"x").unwrap();
        for path in [&file, &inner] {
            if is_root() {
                own(path, 1, 2);
            }
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
    }
    if is_root() {
        fs::write(dir.join("of nobody known"), b"x").unwrap();
        own(&dir.join("of nobody known"), 4_000_000_000, 3_999_999_999);
    }
}

fn own(path: &Path, uid: u32, gid: u32) {
    let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    rustix::fs::chownat(CWD, path, uid, gid, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

fn set_xattr(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(path, name, value, XattrFlags::empty())
        .unwrap_or_else(|e| panic!("cannot set {name} of {}: {e}", path.display()));
}

/// A POSIX ACL as the kernel keeps it, out of tag, permissions and number.
fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, number) in entries {
        bytes.extend_from_slice(&tag.to_le_bytes());
        bytes.extend_from_slice(&permissions.to_le_bytes());
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes
}

fn xattrs(dir: &Path) {
    make_dir(dir);
    let file = |name: &str| {
        let path = dir.join(name);
        fs::write(&path, name).unwrap();
        path
    };
    set_xattr(&file("one"), "user.comment", b"\x00\xff bytes");
    set_xattr(&file("empty"), "user.empty", b"");
    set_xattr(&file("large"), "user.large", &noise(3, 3500));
    set_xattr(&file("long name"), &format!("user.{}", "n".repeat(250)), b"v");
    let many = file("many");
    for number in 0..40 {
        set_xattr(&many, &format!("user.number {number}"), format!("{number}").as_bytes());
    }
    let none = u32::MAX;
    let access = acl(&[(1, 6, none), (2, 4, 12), (2, 7, 34), (4, 4, none), (8, 5, 56), (16, 7, none), (32, 0, none)]);
    let mask = acl(&[(1, 7, none), (2, 7, 12), (4, 7, none), (16, 1, none), (32, 4, none)]);
    set_xattr(&file("acl"), "system.posix_acl_access", &access);
    set_xattr(&file("acl with a narrow mask"), "system.posix_acl_access", &mask);
    let inherits = dir.join("default acl");
    make_dir(&inherits);
    for name in ["made before", "dir made before"] {
        if name.starts_with("dir") {
            make_dir(&inherits.join(name))
        } else {
            fs::write(inherits.join(name), b"").unwrap()
        }
    }
    set_xattr(&inherits, "system.posix_acl_default", &access);
    set_xattr(&inherits, "user.of a directory", b"d");
    for name in ["made after", "dir made after"] {
        if name.starts_with("dir") {
            make_dir(&inherits.join(name))
        } else {
            fs::write(inherits.join(name), b"").unwrap()
        }
    }
    if is_root() {
        privileged_xattrs(dir, file);
    }
}

fn privileged_xattrs(dir: &Path, file: impl Fn(&str) -> PathBuf) {
    set_xattr(&file("trusted"), "trusted.secret", b"t");
    let capability = file("capability");
    own(&capability, 5, 6);
    let mut value = 0x0200_0001_u32.to_le_bytes().to_vec();
    value.extend_from_slice(&(1_u32 << 13).to_le_bytes());
    value.extend_from_slice(&[0; 12]);
    set_xattr(&capability, "security.capability", &value);
    let link = dir.join("symlink");
    symlink("nowhere", &link).unwrap();
    set_xattr(&link, "trusted.of a link", b"l");
    set_xattr(&link, "trusted.large", &noise(4, 2000));
    for (name, kind) in [("fifo", FileType::Fifo), ("socket", FileType::Socket)] {
        node(&dir.join(name), kind, (0, 0));
        set_xattr(&dir.join(name), "trusted.of a special", b"s");
    }
    node(&dir.join("device"), FileType::CharacterDevice, (1, 5));
    set_xattr(&dir.join("device"), "trusted.of a device", b"d");
    let access = acl(&[(1, 6, u32::MAX), (2, 6, 99), (4, 0, u32::MAX), (16, 6, u32::MAX), (32, 0, u32::MAX)]);
    set_xattr(&dir.join("device"), "system.posix_acl_access", &access);
}

fn set_flags(path: &Path, flags: IFlags) {
    let file = File::open(path).unwrap();
    let now = rustix::fs::ioctl_getflags(&file).unwrap();
    rustix::fs::ioctl_setflags(&file, now | flags).unwrap_or_else(|e| panic!("flags of {}: {e}", path.display()));
}

fn flags(dir: &Path) {
    make_dir(dir);
    let flagged = |name: &str, flags: IFlags| {
        let (file, inner) = (dir.join(name), dir.join(format!("dir {name}")));
        fs::write(&file, name).unwrap();
        make_dir(&inner);
        // Things made before the directory has its flag do not have it.
        fs::write(inner.join("inside"), name).unwrap();
        make_dir(&inner.join("dir inside"));
        for path in [&file, &inner] {
            set_time(path, 1_000_000_000, 5);
            set_flags(path, flags);
        }
    };
    flagged("no dump", IFlags::NODUMP);
    flagged("no access times", IFlags::NOATIME);
    flagged("synchronous", IFlags::SYNC);
    if is_root() {
        flagged("immutable", IFlags::IMMUTABLE);
        flagged("append only", IFlags::APPEND);
        flagged("several", IFlags::IMMUTABLE | IFlags::NODUMP | IFlags::NOATIME);
        make_dir(&dir.join("synchronous directory"));
        set_flags(&dir.join("synchronous directory"), IFlags::DIRSYNC);
    }
}

fn set_time(path: &Path, seconds: i64, nanos: i64) {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanos };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

fn times(dir: &Path) {
    make_dir(dir);
    // What ext4 can hold, from 1901 to 2446.
    let all = [
        ("first", -2_147_483_648, 0),
        ("before 1970", -86_401, 999_999_999),
        ("just before 1970", -1, 1),
        ("1970", 0, 0),
        ("nanoseconds", 1_234_567_890, 123_456_789),
        ("2038", 2_147_483_648, 1),
        ("2106", 4_294_967_296, 999_999_999),
        ("2400", 13_569_465_600, 7),
        ("last", 15_032_385_535, 0),
    ];
    for (name, seconds, nanos) in all {
        let (file, inner, link) = (dir.join(name), dir.join(format!("dir {name}")), dir.join(format!("link {name}")));
        fs::write(&file, name).unwrap();
        make_dir(&inner);
        fs::write(inner.join("inside"), b"").unwrap();
        symlink(name, &link).unwrap();
        let fifo = dir.join(CString::new(format!("fifo {name}")).unwrap().to_str().unwrap());
        node(&fifo, FileType::Fifo, (0, 0));
        for path in [&file, &inner, &link, &fifo] {
            set_time(path, seconds, nanos);
        }
    }
}
