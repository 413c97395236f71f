//! Trees like those of source code: many small files, a few large ones, all from a seed.

use std::{
    fs::{self, File},
    os::unix::fs::{FileExt, symlink},
    path::{Path, PathBuf},
};

use crate::random::Random;

/// How large a tree is to be.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Small files, of 0 to about 32 KiB, most of a few KiB.
    pub small_files: u64,
    /// Large files, which are cut by content.
    pub large_files: u64,
    /// Bytes of each large file.
    pub large_bytes: usize,
}

impl Size {
    /// Some 400 KB: what most tests need.
    pub const TINY: Self = Self { small_files: 60, large_files: 0, large_bytes: 0 };
    /// Some 8 MB in 400 files.
    pub const SMALL: Self = Self { small_files: 400, large_files: 2, large_bytes: 2_500_000 };
    /// Some 60 MB in 3,000 files.
    pub const MEDIUM: Self = Self { small_files: 3000, large_files: 5, large_bytes: 7_000_000 };
}

/// Fills the existing directory `root`.
pub fn build(root: &Path, size: Size, random: &mut Random) {
    let mut directories: Vec<PathBuf> = vec![root.to_owned()];
    for number in 0..size.small_files {
        if number % 12 == 0 {
            let new = random.pick(&directories).join(format!("dir-{number:04}"));
            fs::create_dir(&new).unwrap();
            directories.push(new);
        }
        let path = random.pick(&directories).join(format!("file-{number:05}.txt"));
        fs::write(path, small_content(random)).unwrap();
    }
    for number in 0..size.large_files {
        let path = random.pick(&directories).join(format!("large-{number:02}.bin"));
        let bytes = if number % 2 == 0 { random.bytes(size.large_bytes) } else { random.text(size.large_bytes) };
        fs::write(path, bytes).unwrap();
    }
    symlink("dir-0000/nowhere", root.join("dangling")).unwrap();
    if let Some(first) = files_below(root).first() {
        fs::hard_link(first, root.join("second-name")).unwrap();
    }
}

fn small_content(random: &mut Random) -> Vec<u8> {
    let length = match random.below(10) {
        0 => random.index(600),
        1..=7 => random.index(8_000),
        _ => random.index(32_000),
    };
    if random.below(2) == 0 { random.bytes(length) } else { random.text(length) }
}

/// All regular files, sorted, each inode once.
pub fn files_below(root: &Path) -> Vec<PathBuf> {
    use std::os::unix::fs::MetadataExt;
    let mut files = Vec::new();
    let mut inodes = std::collections::HashSet::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        let mut entries: Vec<PathBuf> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            let metadata = fs::symlink_metadata(&path).unwrap();
            if metadata.is_dir() {
                open.push(path);
            } else if metadata.is_file() && inodes.insert(metadata.ino()) {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// What [`change`] did.
#[derive(Debug, Default)]
pub struct Changes {
    /// Bytes of new content.
    pub bytes: u64,
    /// Files touched.
    pub files: u64,
}

/// Changes about this share of the files (at least one): most are rewritten, some grow, some go, some come.
pub fn change(root: &Path, share: f64, random: &mut Random) -> Changes {
    let files = files_below(root);
    let count = ((files.len() as f64 * share).round() as u64).max(1);
    let mut changes = Changes::default();
    for _ in 0..count {
        let path = random.pick(&files);
        let length = fs::metadata(path).map_or(0, |metadata| metadata.len());
        match random.below(10) {
            0 => fs::remove_file(path).or_else(ignore_gone).unwrap(),
            1 => {
                let new = path.with_extension(format!("new-{:x}", random.number()));
                let content = small_content(random);
                changes.bytes += content.len() as u64;
                fs::write(new, content).unwrap();
            }
            2 | 3 => {
                // A few bytes in the middle of the file as it is: large files change only there.
                if let Ok(file) = File::options().write(true).open(path) {
                    let patch = random.bytes(64);
                    file.write_all_at(&patch, length / 2).unwrap();
                    changes.bytes += length.min(1_500_000) + 64;
                }
            }
            _ => {
                let content = small_content(random);
                changes.bytes += content.len() as u64;
                fs::write(path, content).unwrap();
            }
        }
        changes.files += 1;
    }
    changes
}

fn ignore_gone(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// Copies a tree with all its attributes, by the system's own `cp`.
pub fn copy(from: &Path, to: &Path) {
    assert!(!to.exists(), "{} is there already: the copy would be a mixture", to.display());
    let mut command = std::process::Command::new("cp");
    command.args(["-a", "--reflink=auto", "--sparse=always", "-T"]).arg(from).arg(to);
    crate::parts::run_tool(&mut command);
}

/// Bytes that the files below `root` take, by length.
pub fn bytes_below(root: &Path) -> u64 {
    files_below(root).iter().map(|path| fs::symlink_metadata(path).unwrap().len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::differences;

    #[test]
    fn the_same_seed_builds_the_same_tree() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let contents = |dir: &Path| -> Vec<(PathBuf, Vec<u8>)> {
            let files = files_below(dir);
            files.iter().map(|f| (f.strip_prefix(dir).unwrap().to_owned(), fs::read(f).unwrap())).collect()
        };
        for dir in [&a, &b] {
            let mut random = Random::new(1);
            build(dir.path(), Size::TINY, &mut random);
            change(dir.path(), 0.3, &mut random);
        }
        assert_eq!(contents(a.path()), contents(b.path()));
        assert!(contents(a.path()).len() > 40);
    }

    #[test]
    fn a_copy_is_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        fs::create_dir(&a).unwrap();
        build(&a, Size::TINY, &mut Random::new(2));
        copy(&a, &b);
        assert_eq!(differences(&a, &b), Vec::<String>::new());
    }
}
