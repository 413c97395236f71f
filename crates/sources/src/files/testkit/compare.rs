//! Comparing two trees, attribute by attribute.

use std::{
    collections::{BTreeSet, HashMap},
    ffi::CString,
    path::Path,
};

use rustix::{
    fd::OwnedFd,
    fs::{FileType, Mode, OFlags, SeekFrom, Statx},
};

use super::{names_of, open_dir, open_root, stat_at, through};

/// Flags that `chattr` sets; the others are the file system's own business.
const FLAGS: u32 = 0x6283_c4ff;

/// One directory of both trees.
struct Level {
    path: String,
    a: OwnedFd,
    b: OwnedFd,
    names: Vec<Vec<u8>>,
}

#[derive(Default)]
struct Comparer {
    differences: Vec<String>,
    /// The first path of each inode with several names, in both trees.
    first: [HashMap<(u32, u32, u64), String>; 2],
}

/// Every difference between the trees at `a` and `b`: kinds, modes, owners, times of modification, targets, devices,
/// content, holes, extended attributes, inode flags, and which names belong to one inode. Empty: none.
pub fn compare(a: &Path, b: &Path) -> Vec<String> {
    let mut comparer = Comparer::default();
    let (a, b) = (open_root(a), open_root(b));
    comparer.attributes(".", (&a, b"."), (&b, b"."));
    let mut stack = vec![comparer.level(String::new(), a, b)];
    while let Some(level) = stack.last_mut() {
        let Some(name) = level.names.pop() else {
            stack.pop();
            continue;
        };
        let path = format!("{}/{}", level.path, resurgam_model::bytepath::escape(&name));
        if comparer.attributes(&path, (&level.a, &name), (&level.b, &name)) {
            let (a, b) = (open_dir(&level.a, &name), open_dir(&level.b, &name));
            let deeper = comparer.level(path, a, b);
            stack.push(deeper);
        }
    }
    comparer.differences
}

impl Comparer {
    fn say(&mut self, path: &str, what: String) {
        self.differences.push(format!("{path}: {what}"));
    }

    fn level(&mut self, path: String, a: OwnedFd, b: OwnedFd) -> Level {
        let (in_a, in_b): (BTreeSet<_>, BTreeSet<_>) =
            (names_of(&a).into_iter().collect(), names_of(&b).into_iter().collect());
        for (only, which) in [(in_a.difference(&in_b), "first"), (in_b.difference(&in_a), "second")] {
            for name in only {
                let name = resurgam_model::bytepath::escape(name);
                self.differences.push(format!("{path}/{name}: only in the {which}"));
            }
        }
        Level { path, a, b, names: in_a.intersection(&in_b).cloned().collect() }
    }

    /// Compares one entry; returns whether it is a directory in both.
    fn attributes(&mut self, path: &str, a: (&OwnedFd, &[u8]), b: (&OwnedFd, &[u8])) -> bool {
        let stat = |(dir, name): (&OwnedFd, &[u8])| stat_at(dir, &CString::new(name).unwrap());
        let (x, y) = (stat(a), stat(b));
        let kind = |s: &Statx| FileType::from_raw_mode(s.stx_mode.into());
        let mut field = |what: &str, x: String, y: String| {
            if x != y {
                self.differences.push(format!("{path}: {what} {x} and {y}"));
            }
        };
        field("mode", format!("{:o}", x.stx_mode), format!("{:o}", y.stx_mode));
        field("owner", format!("{}:{}", x.stx_uid, x.stx_gid), format!("{}:{}", y.stx_uid, y.stx_gid));
        let time = |s: &Statx| format!("{}.{:09}", s.stx_mtime.tv_sec, s.stx_mtime.tv_nsec);
        field("modified", time(&x), time(&y));
        field("xattrs", xattrs(a), xattrs(b));
        if kind(&x) != kind(&y) {
            return false;
        }
        if kind(&x) == FileType::Directory {
            field("flags", flags(a), flags(b));
            return true;
        }
        field("links", x.stx_nlink.to_string(), y.stx_nlink.to_string());
        match kind(&x) {
            FileType::RegularFile => {
                field("size", x.stx_size.to_string(), y.stx_size.to_string());
                field("flags", flags(a), flags(b));
                self.content(path, a, b);
            }
            FileType::Symlink => {
                let target = |(dir, name): (&OwnedFd, &[u8])| rustix::fs::readlinkat(dir, name, Vec::new());
                field("target", format!("{:?}", target(a)), format!("{:?}", target(b)));
            }
            FileType::CharacterDevice | FileType::BlockDevice => {
                let device = |s: &Statx| format!("{}:{}", s.stx_rdev_major, s.stx_rdev_minor);
                field("device", device(&x), device(&y));
            }
            _ => {}
        }
        if x.stx_nlink > 1 || y.stx_nlink > 1 {
            self.links(path, [&x, &y]);
        }
        false
    }

    fn links(&mut self, path: &str, stats: [&Statx; 2]) {
        let first: Vec<String> = stats
            .iter()
            .zip(&mut self.first)
            .map(|(s, map)| {
                let inode = (s.stx_dev_major, s.stx_dev_minor, s.stx_ino);
                map.entry(inode).or_insert_with(|| path.to_owned()).clone()
            })
            .collect();
        if first[0] != first[1] {
            self.say(path, format!("is linked to {} and {}", first[0], first[1]));
        }
    }

    fn content(&mut self, path: &str, a: (&OwnedFd, &[u8]), b: (&OwnedFd, &[u8])) {
        let open = |(dir, name): (&OwnedFd, &[u8])| {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NOATIME | OFlags::CLOEXEC;
            std::fs::File::from(rustix::fs::openat(dir, name, flags, Mode::empty()).unwrap())
        };
        let (a, b) = (open(a), open(b));
        let (in_a, in_b) = (data_of(&a), data_of(&b));
        if in_a != in_b {
            self.say(path, format!("data at {in_a:?} and {in_b:?}"));
        }
        let (mut x, mut y) = (vec![0; 1 << 18], vec![0; 1 << 18]);
        for &(start, end) in in_a.iter().chain(&in_b) {
            let mut at = start;
            while at < end {
                let length = usize::try_from(end - at).unwrap().min(x.len());
                let read = |file: &std::fs::File, buffer: &mut [u8]| {
                    std::os::unix::fs::FileExt::read_at(file, buffer, at).unwrap_or(0)
                };
                let (from_a, from_b) = (read(&a, &mut x[..length]), read(&b, &mut y[..length]));
                if from_a == 0 || x[..from_a] != y[..from_b] {
                    return self.say(path, format!("content differs at or behind byte {at}"));
                }
                at += from_a as u64;
            }
        }
    }
}

/// The runs of data in a file.
fn data_of(file: &std::fs::File) -> Vec<(u64, u64)> {
    let mut runs = Vec::new();
    let mut end = 0;
    while let Ok(start) = rustix::fs::seek(file, SeekFrom::Data(end)) {
        end = rustix::fs::seek(file, SeekFrom::Hole(start)).unwrap();
        runs.push((start, end));
    }
    runs
}

fn flags((dir, name): (&OwnedFd, &[u8])) -> String {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir, name, flags, Mode::empty()).unwrap();
    format!("{:x}", rustix::fs::ioctl_getflags(&file).map_or(0, |f| f.bits() & FLAGS))
}

fn xattrs((dir, name): (&OwnedFd, &[u8])) -> String {
    let path = through(dir, name);
    let mut names = vec![0; 1 << 16];
    let length = rustix::fs::llistxattr(path.as_slice(), names.as_mut_slice()).unwrap_or(0);
    let mut sorted: Vec<&[u8]> = names[..length].split(|&b| b == 0).filter(|n| !n.is_empty()).collect();
    sorted.sort_unstable();
    let mut value = vec![0; 1 << 16];
    let mut text = String::new();
    for name in sorted {
        let length = rustix::fs::lgetxattr(path.as_slice(), name, value.as_mut_slice()).unwrap();
        let digest = value[..length]
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        text.push_str(&format!("[{} {length} {digest:x}]", resurgam_model::bytepath::escape(name)));
    }
    text
}
