//! The arrows between the project's crates are those of the design, and no others.

use std::{collections::BTreeSet, path::PathBuf, process::Command};

use serde_json::Value;

/// Who may know whom. Split or merge a crate when the code asks for it, and change this list and ARCHITECTURE.md with it.
const ARROWS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("store", &["model"]),
    ("sources", &["model", "store"]),
    ("catalog", &["model"]),
    ("jobs", &["model", "store", "sources", "catalog"]),
    ("rebuild", &["model", "store", "catalog", "jobs"]),
    ("server", &["model", "store", "sources", "catalog", "jobs", "rebuild"]),
    ("cli", &["model", "store", "sources", "catalog", "jobs", "rebuild", "server"]),
    ("tests", &[]),
];

pub(crate) fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn metadata() -> Value {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn arrows_between_crates_are_those_of_the_design() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let short = name.strip_prefix("resurgam-").unwrap_or(name);
        let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| *from == short) else {
            faults.push(format!("{name} is in no list"));
            continue;
        };
        seen.insert(short.to_owned());
        let folder = PathBuf::from(package["manifest_path"].as_str().unwrap());
        let folder = folder.parent().unwrap().file_name().unwrap().to_str().unwrap();
        if folder != short {
            faults.push(format!("{name} lies in a folder named {folder}"));
        }
        for dependency in package["dependencies"].as_array().unwrap() {
            let Some(to) = dependency["name"].as_str().unwrap().strip_prefix("resurgam-") else { continue };
            // A crate may turn on its own features for its tests.
            let own_tests = to == short && dependency["kind"] == "dev";
            if !own_tests && !allowed.contains(&to) {
                faults.push(format!("{short} -> {to} is not in the design"));
            }
        }
    }
    faults.extend(ARROWS.iter().filter(|(name, _)| !seen.contains(*name)).map(|(name, _)| format!("no crate {name}")));
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn every_crate_obeys_the_house_rules() {
    let root = workspace();
    let mut faults = Vec::new();
    for package in metadata()["packages"].as_array().unwrap() {
        let manifest = PathBuf::from(package["manifest_path"].as_str().unwrap());
        let text = std::fs::read_to_string(&manifest).unwrap();
        let name = manifest.strip_prefix(&root).unwrap().display().to_string();
        if !text.contains("[lints]\nworkspace = true") {
            faults.push(format!("{name} does not take the workspace's lints"));
        }
        for line in text.lines().filter(|line| line.contains("version = \"") && !line.contains("workspace = true")) {
            faults.push(format!("{name}: versions stand in the root manifest only: {line}"));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}
