//! Spoiling copies of the catalog, as a bad disk or a careless hand does: each so that nothing else is touched.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{plain_tree::files_below, random::Random};

/// Overwrites 8 KiB in the middle of a file, or a third of a smaller one, with noise. Its times stay, as they do when a
/// disk rots.
pub fn spoil(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let modified = fs::metadata(file).unwrap().modified().unwrap();
    let length = (bytes.len() / 3).min(8 * 1024);
    assert!(length > 0, "{} is empty", file.display());
    let start = (bytes.len() - length) / 2;
    let noise = Random::new(bytes.len() as u64).bytes(length);
    bytes[start..start + length].copy_from_slice(&noise);
    fs::write(file, bytes).unwrap();
    fs::File::options().write(true).open(file).unwrap().set_modified(modified).unwrap();
}

/// An object of a volume in all its copies: the first, and the one below `mirror/`.
pub fn in_both_copies(volume: &Path, object: &Path) -> Vec<PathBuf> {
    let mut copies = vec![volume.join(object), volume.join("mirror").join(object)];
    copies.retain(|path| path.exists());
    copies
}

/// Every capsule of a volume, in both copies.
pub fn capsules(volume: &Path) -> Vec<PathBuf> {
    let mut files = files_below(&volume.join("catalog"));
    files.extend(files_below(&volume.join("mirror/catalog")));
    files
}

/// The document of a recovery point, in both copies.
pub fn documents_of(volume: &Path, point: &str) -> Vec<PathBuf> {
    let mut files = files_below(&volume.join("replicas"));
    files.extend(files_below(&volume.join("mirror/replicas")));
    files.retain(|file| file.file_name().is_some_and(|name| name == point));
    assert!(!files.is_empty(), "{} has no point {point}", volume.display());
    files
}

/// The directories of a replica in a volume: the first, and the one below `mirror/`.
pub fn directories_of(volume: &Path, replica: &str) -> Vec<PathBuf> {
    let servers = ["replicas", "mirror/replicas"].map(|name| volume.join(name));
    let servers = servers.iter().flat_map(|all| fs::read_dir(all).unwrap()).map(|server| server.unwrap().path());
    let found: Vec<PathBuf> = servers.map(|server| server.join(replica)).filter(|path| path.is_dir()).collect();
    assert!(!found.is_empty(), "{} has no replica {replica}", volume.display());
    found
}
