//! What a test needs of the machine, and what happens where that is missing.

use std::{fs, io::Write, path::PathBuf, process::Command};

/// Something that not every machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Being root, with the rights to change owners, make devices and mount.
    Root,
    /// Mounting a file as a disk.
    LoopDevice,
    /// A program.
    Tool(&'static str),
    /// A private PostgreSQL, as `RESURGAM_TEST_POSTGRES` names it.
    Postgres,
    /// A private Azurite, as `RESURGAM_TEST_AZURITE` names it, with a container `resurgam`.
    Azurite,
    /// A private store that speaks S3, as `RESURGAM_TEST_S3` names it, with a bucket `resurgam`.
    S3,
}

/// Whether all `parts` are there. Where one is missing, CI (`CI=true` or `RESURGAM_ALL_PARTS=1`) fails; elsewhere
/// the test is skipped with a line in the file that `RESURGAM_SKIPPED` names, which `scripts/test` prints at the end.
pub fn is_present(test: &str, parts: &[Part]) -> bool {
    let missing: Vec<String> = parts.iter().filter_map(|part| part.missing()).collect();
    if missing.is_empty() {
        return true;
    }
    let line = format!("SKIPPED {test}: {}", missing.join(", "));
    let must_be_whole = ["CI", "RESURGAM_ALL_PARTS"]
        .iter()
        .any(|name| std::env::var(name).is_ok_and(|value| value == "true" || value == "1"));
    assert!(!must_be_whole, "{line}: this run must have all parts");
    eprintln!("{line}");
    if let Some(list) = std::env::var_os("RESURGAM_SKIPPED") {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(list).unwrap();
        writeln!(file, "{line}").unwrap();
    }
    false
}

impl Part {
    fn missing(self) -> Option<String> {
        match self {
            Self::Root if !rustix::process::geteuid().is_root() => Some("not root".to_owned()),
            Self::LoopDevice if !fs::exists("/dev/loop-control").unwrap_or(false) => {
                Some("no /dev/loop-control".to_owned())
            }
            Self::LoopDevice => Self::Root.missing().or_else(|| Self::Tool("mkfs.ext4").missing()),
            Self::Tool(name) if tool(name).is_none() => Some(format!("no {name}")),
            Self::Postgres => unset("RESURGAM_TEST_POSTGRES"),
            Self::Azurite => unset("RESURGAM_TEST_AZURITE"),
            Self::S3 => unset("RESURGAM_TEST_S3"),
            _ => None,
        }
    }
}

/// What is missing where a variable is not set.
fn unset(variable: &str) -> Option<String> {
    std::env::var_os(variable).is_none().then(|| format!("{variable} is not set"))
}

/// Where a program lies.
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|candidate| candidate.is_file())
}

/// Runs a program of the machine to its end and hands back what it printed.
pub fn run_tool(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} ended with {}:\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A number from the environment: how often a test repeats what it does.
pub fn count_from(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .ok()
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable} must be a number, not `{text}`")))
}
