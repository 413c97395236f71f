//! Whether only those can change a thing who may tell the server what to do.

use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::Path,
};

use super::ScriptError;

/// Refuses what belongs to neither root nor the user that the server runs as, and what any other may write to. An
/// access-control list that lets others write shows in the bits of the group.
pub(super) fn check(path: &Path, metadata: &Metadata) -> Result<(), ScriptError> {
    let refused = |reason| ScriptError::Refused { path: path.to_owned(), reason };
    let owner = metadata.uid();
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Err(refused(format!("it belongs to user {owner}, neither root nor the server's own")));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(refused(format!("others may write to it (mode {:04o})", metadata.mode() & 0o7777)));
    }
    Ok(())
}

/// The same for what a path leads to.
pub(super) fn check_path(path: &Path) -> Result<(), ScriptError> {
    let metadata = fs::metadata(path).map_err(|source| ScriptError::Unreadable { path: path.to_owned(), source })?;
    check(path, &metadata)
}
