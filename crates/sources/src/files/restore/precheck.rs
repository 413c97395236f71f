//! Whether anything stands in the way, before anything is written.

use resurgam_model::BytePath;
use resurgam_store::{Cancel, Kind, Reader, TreeReader, TreeRoot};
use rustix::{
    fd::{AsFd, OwnedFd},
    fs::FileType,
};

use super::{Restore, minimal, place::c_name};
use crate::{
    error::SourceError,
    files::{
        handle::{is_gone, open_directory},
        stat::Stat,
    },
};

/// A directory of the target that is there already.
struct Level {
    path: BytePath,
    dir: OwnedFd,
}

/// # Errors
/// [`SourceError::TargetHas`] where something other than a directory for a directory has the name of an entry.
pub(super) fn refuse(
    reader: &Reader,
    root: &TreeRoot,
    what: &Restore,
    target: &OwnedFd,
    cancel: &Cancel,
) -> Result<(), SourceError> {
    let shown = |path: &BytePath| what.target.join(path.to_string()).display().to_string();
    let paths = if what.selection.is_empty() { vec![BytePath::root()] } else { minimal(&what.selection) };
    for wanted in paths {
        let mut levels = Vec::new();
        if let Some(end) = enter(target, &wanted, &mut levels) {
            match end {
                Ok(()) => continue,
                Err(path) => return Err(SourceError::TargetHas { path: shown(&path) }),
            }
        }
        // What cannot be read cannot be put back either, so it stands in nobody's way.
        for entry in TreeReader::below(reader, root, &wanted).filter_map(Result::ok) {
            if cancel.is_cancelled() {
                return Err(SourceError::Cancelled);
            }
            let single_root = entry.path.is_root() && entry.kind != Kind::Directory;
            let name = if single_root { what.root_name.as_slice() } else { entry.path.name() };
            let parent = entry.path.parent().unwrap_or_default();
            while levels.len() > 1 && levels.last().is_some_and(|l: &Level| !l.path.contains(&parent)) {
                levels.pop();
            }
            let Some(level) = levels.last().filter(|l| l.path == parent) else { continue };
            let (true, Ok(name)) = (!name.is_empty(), c_name(name)) else { continue };
            match Stat::at(&level.dir, &name) {
                Err(error) if is_gone(&error) => {}
                Ok(stat) if stat.kind == FileType::Directory && entry.kind == Kind::Directory => {
                    let opened = open_directory(&level.dir, &name);
                    let dir = opened.map_err(|_| SourceError::TargetHas { path: shown(&entry.path) })?;
                    levels.push(Level { path: entry.path, dir });
                }
                Ok(_) | Err(_) => return Err(SourceError::TargetHas { path: shown(&entry.path) }),
            }
        }
    }
    Ok(())
}

/// Opens the directories on the way to `wanted`. Where the way ends early: `Ok` if the next one is not there, else the path
/// of what is there instead.
fn enter(target: &OwnedFd, wanted: &BytePath, levels: &mut Vec<Level>) -> Option<Result<(), BytePath>> {
    let root = BytePath::root();
    let Ok(dir) = target.as_fd().try_clone_to_owned() else { return Some(Err(root)) };
    levels.push(Level { path: root, dir });
    let depth = wanted.depth().saturating_sub(1);
    for name in wanted.components().take(depth) {
        let level = levels.last()?;
        let path = level.path.join(name).unwrap_or_default();
        match c_name(name).and_then(|name| open_directory(&level.dir, &name)) {
            Ok(dir) => levels.push(Level { path, dir }),
            Err(error) if is_gone(&error) => return Some(Ok(())),
            Err(_) => return Some(Err(path)),
        }
    }
    None
}
