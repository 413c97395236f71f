//! A tree with every oddity that a file system allows, built by Python so that it owes nothing to the project's code.

use std::{path::Path, process::Command};

use crate::parts::run_tool;

/// Patterns for [`crate::rsync_differences`] of what rsync itself cannot handle: paths longer than PATH_MAX.
pub const BEYOND_RSYNC: &[&str] = &["/beyond"];

/// Fills the existing directory `root`, which must lie on a [`crate::disk::Disk`]; `crowd` entries in its fullest
/// directory. Needs root and python3.
pub fn build(root: &Path, crowd: u64) {
    let script = include_str!("odd_tree.py");
    run_tool(Command::new("python3").args(["-c", script]).arg(root).arg(crowd.to_string()));
}
