//! What people type for a source or a volume, made into what the engine knows them by.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use resurgam_jobs::Stores;
use resurgam_model::bytepath::escape;

/// A source or volume as the engine takes it: an id or a prefix of one as it stands; a path as an absolute one, so that a
/// relative path, a trailing slash or a dot means the same as the path that was protected; the URL of a volume as it stands.
pub(crate) fn path_or_id(typed: &OsStr) -> String {
    let bytes = typed.as_bytes();
    let path = Path::new(typed);
    if Stores::is_url(path) {
        return typed.to_string_lossy().into_owned();
    }
    let is_path = bytes.contains(&b'/') || bytes.starts_with(b".") || (!may_be_id(bytes) && path.exists());
    let named = if is_path { absolute(path).into_os_string() } else { typed.to_owned() };
    // Bytes that are no text are named as lists show them.
    named.to_str().map_or_else(|| escape(named.as_bytes()), str::to_owned)
}

fn may_be_id(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| b.is_ascii_hexdigit() || *b == b'-')
}

/// The path from the root of the file system, without dots and doubled slashes. Symbolic links and `..` are left as they
/// are: only the file system knows where they lead.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).components().collect()
}

#[cfg(test)]
mod tests;
