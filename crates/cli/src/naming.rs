//! What people type for a source, made into what the engine knows sources by.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
};

use resurgam_model::bytepath::escape;

/// A source as the engine takes it: an id or a prefix of one as it stands; a path as an absolute one, so that a relative
/// path, a trailing slash or a dot means the same as the path that was protected.
pub(crate) fn source(typed: &OsStr) -> String {
    let bytes = typed.as_bytes();
    let path = Path::new(typed);
    let is_path = bytes.contains(&b'/') || bytes.starts_with(b".") || (!may_be_id(bytes) && path.exists());
    if !is_path {
        return escape(bytes);
    }
    let plain = absolute(path);
    match typed.to_str() {
        // A path copied from a list, where strange bytes are shown as `\xNN`: as it stands, unless it is a real path.
        Some(text) if text.contains("\\x") && !path.exists() => text.to_owned(),
        _ => escape(plain.as_os_str().as_bytes()),
    }
}

fn may_be_id(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| b.is_ascii_hexdigit() || *b == b'-')
}

/// The path from the root of the file system, without dots and doubled slashes. Symbolic links are left as they are.
fn absolute(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut plain = PathBuf::new();
    for component in whole.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests;
