//! A tree with every oddity that a file system allows, built by Python so that it owes nothing to the project's code.

use std::{io::Write, path::Path, process::Command};

use crate::parts::run_tool;

/// Patterns for [`crate::rsync_differences`] of what rsync itself cannot handle: paths longer than PATH_MAX.
pub const BEYOND_RSYNC: &[&str] = &["/beyond"];

/// Fills the existing directory `root`, which must lie on a [`crate::disk::Disk`]; `crowd` entries in its fullest
/// directory. Needs root and python3.
pub fn build(root: &Path, crowd: u64) {
    let mut script = tempfile::NamedTempFile::with_suffix(".py").unwrap();
    script.write_all(include_bytes!("odd_tree.py")).unwrap();
    run_tool(Command::new("python3").arg(script.path()).arg(root).arg(crowd.to_string()));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        compare::differences,
        disk::Disk,
        facts::{Content, Facts, of_tree},
        parts::{Part, is_present},
    };

    #[test]
    fn the_tree_has_every_oddity() {
        if !is_present("the_tree_has_every_oddity", &[Part::LoopDevice, Part::Tool("python3")]) {
            return;
        }
        let disk = Disk::new(200, "defaults");
        let root = disk.path().join("odd");
        std::fs::create_dir(&root).unwrap();
        build(&root, 50);
        let tree = of_tree(&root);
        let any = |what: &str, is: &dyn Fn(&Facts) -> bool| assert!(tree.values().any(is), "the tree has no {what}");
        let xattr = |name: &'static [u8]| move |facts: &Facts| facts.xattrs.contains_key(name);

        let kinds: BTreeSet<&str> = tree.values().map(|facts| facts.kind.as_str().split(' ').next().unwrap()).collect();
        assert_eq!(kinds.len(), 7, "{kinds:?}");
        for kind in ["Fifo", "Socket", "Symlink", "RegularFile"] {
            any(kind, &|facts| facts.kind == kind && facts.first_name.is_some());
        }
        any("time before 1970", &|facts| facts.modified == (-1, 999_999_999));
        any("time after 2106", &|facts| facts.modified.0 > 1 << 33);
        any("setuid file of a stranger", &|facts| facts.mode == 0o4755 && facts.owner == (1, 2));
        any("large attribute", &|facts| facts.xattrs.values().any(|value| value.len() == 60_000));
        any("empty attribute", &|facts| facts.xattrs.values().any(Vec::is_empty));
        any("capability", &xattr(b"security.capability"));
        any("ACL", &xattr(b"system.posix_acl_access"));
        any("default ACL", &xattr(b"system.posix_acl_default"));
        any("attribute of a symlink", &|facts| facts.kind == "Symlink" && !facts.xattrs.is_empty());
        any("immutable directory", &|facts| facts.kind == "Directory" && facts.flags & 0x10 != 0);
        any("append-only file", &|facts| facts.kind == "RegularFile" && facts.flags & 0x20 != 0);
        any(
            "file of holes",
            &|facts| matches!(facts.content, Content::File { length, allocated, .. } if length > 1 << 20 && allocated == 0),
        );
        assert!(tree.keys().any(|path| path.len() > 5000), "no path is longer than PATH_MAX");
        assert!(tree.keys().any(|path| path.iter().filter(|byte| **byte == b'/').count() > 300), "nothing lies deep");
        assert!(tree.keys().any(|path| path.rsplit(|byte| *byte == b'/').next().unwrap() == [b'\xff'; 255]));
        assert_eq!(differences(&root, &root), Vec::<String>::new());
    }
}
