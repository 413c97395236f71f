//! Two trees, attribute by attribute; and once more by rsync, which does not know this project.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use crate::facts::{Content, Facts, of_tree};

/// What a restored file may take more on the disk than its original: the rounding of extents and their trees.
const ALLOCATION_SLACK: u64 = 128 * 1024;

/// Every way in which the tree `other` differs from `original`, one line each. Empty: they are the same.
pub fn differences(original: &Path, other: &Path) -> Vec<String> {
    differences_of(&of_tree(original), &of_tree(other))
}

fn differences_of(expected: &BTreeMap<Vec<u8>, Facts>, found: &BTreeMap<Vec<u8>, Facts>) -> Vec<String> {
    let show = |path: &[u8]| format!("`{}`", path.escape_ascii());
    let mut lines = Vec::new();
    for (path, facts) in expected {
        match found.get(path) {
            None => lines.push(format!("{} is missing", show(path))),
            Some(other) => lines.extend(facts.differences(other).map(|line| format!("{}: {line}", show(path)))),
        }
    }
    lines.extend(
        found.keys().filter(|path| !expected.contains_key(*path)).map(|path| format!("{} is extra", show(path))),
    );
    lines
}

/// A directory as it was, to prove later that nothing in it was touched.
#[derive(Debug)]
pub struct AsItWas {
    path: PathBuf,
    tree: BTreeMap<Vec<u8>, Facts>,
}

impl AsItWas {
    /// Looks at it now.
    pub fn now(path: &Path) -> Self {
        Self { path: path.to_owned(), tree: of_tree(path) }
    }

    /// Fails where anything in it was changed, made or deleted since.
    #[track_caller]
    pub fn assert_still(&self) {
        let lines = differences_of(&self.tree, &of_tree(&self.path));
        assert!(lines.is_empty(), "{} was changed: {lines:#?}", self.path.display());
    }
}

/// Fails with the differences, if there are any.
#[track_caller]
pub fn assert_same(original: &Path, other: &Path) {
    let lines = differences(original, other);
    assert!(
        lines.is_empty(),
        "{} differs from {} in {} ways:\n{}",
        other.display(),
        original.display(),
        lines.len(),
        lines.iter().take(40).map(String::as_str).collect::<Vec<_>>().join("\n")
    );
}

impl Facts {
    fn differences(&self, other: &Self) -> impl Iterator<Item = String> {
        let mut lines = Vec::new();
        let mut note = |what: &str, expected: String, found: String| {
            if expected != found {
                lines.push(format!("{what} is {found}, not {expected}"));
            }
        };
        note("kind", self.kind.clone(), other.kind.clone());
        note("mode", format!("{:o}", self.mode), format!("{:o}", other.mode));
        note("owner", format!("{:?}", self.owner), format!("{:?}", other.owner));
        note("time", format!("{:?}", self.modified), format!("{:?}", other.modified));
        note("inode flags", format!("{:#x}", self.flags), format!("{:#x}", other.flags));
        note("first name", show_name(&self.first_name), show_name(&other.first_name));
        note("content", self.content.without_allocation(), other.content.without_allocation());
        for name in self.xattrs.keys().chain(other.xattrs.keys()) {
            let show = |value: Option<&Vec<u8>>| value.map_or("absent".to_owned(), |v| v.escape_ascii().to_string());
            note(&format!("xattr {}", name.escape_ascii()), show(self.xattrs.get(name)), show(other.xattrs.get(name)));
        }
        if let (Content::File { allocated: expected, .. }, Content::File { allocated: found, .. }) =
            (&self.content, &other.content)
            && *found > expected + ALLOCATION_SLACK + expected / 16
        {
            lines.push(format!("takes {found} bytes on the disk, not {expected}: holes were filled"));
        }
        lines.sort();
        lines.dedup();
        lines.into_iter()
    }
}

fn show_name(name: &Option<Vec<u8>>) -> String {
    name.as_ref().map_or("its own".to_owned(), |name| name.escape_ascii().to_string())
}

impl Content {
    fn without_allocation(&self) -> String {
        match self {
            Self::None => String::new(),
            Self::Target(target) => target.escape_ascii().to_string(),
            Self::File { length, sum, .. } => format!("{length} bytes with sum {sum:016x}"),
        }
    }
}

/// What rsync would change to make `other` like `original`: nothing, one hopes. `exclude`: patterns that rsync cannot
/// handle, such as paths longer than PATH_MAX.
pub fn rsync_differences(original: &Path, other: &Path, exclude: &[&str]) -> String {
    let slash = |path: &Path| -> PathBuf { path.join("") };
    let mut command = Command::new("rsync");
    command.args(["-aHAXn", "--delete", "--checksum", "--itemize-changes"]);
    command.args(exclude.iter().map(|pattern| format!("--exclude={pattern}")));
    command.arg(slash(original)).arg(slash(other));
    crate::parts::run_tool(&mut command)
}

#[cfg(test)]
mod tests;
