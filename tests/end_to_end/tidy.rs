//! What a reader expects of the text of the project, checked as an ordinary test.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::architecture::workspace;

/// A file holds one idea; one that is longer holds two.
const LINES_MAX: usize = 800;
const ARCHITECTURE_LINES_MAX: usize = 300;

/// The project's own text files with one of the extensions.
fn files(extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![workspace()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name());
            let foreign =
                name == "target" || name == "corpus" || name == "artifacts" || name.as_encoded_bytes()[0] == b'.';
            if entry.file_type().unwrap().is_dir() && !foreign {
                open.push(path);
            } else if path.extension().is_some_and(|e| extensions.iter().any(|wanted| e == *wanted)) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(found.len() > 1, "found only {found:?}");
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(workspace()).unwrap().display().to_string()
}

#[test]
fn no_file_is_too_long() {
    let long: Vec<String> = files(&["rs"])
        .iter()
        .map(|path| (fs::read_to_string(path).unwrap().lines().count(), path))
        .filter(|(lines, _)| *lines > LINES_MAX)
        .map(|(lines, path)| format!("{} has {lines} lines", shown(path)))
        .collect();
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn every_crate_says_first_what_it_is_for() {
    let silent: Vec<String> = files(&["rs"])
        .iter()
        .filter(|path| path.ends_with("lib.rs") || path.ends_with("main.rs"))
        .filter(|path| !fs::read_to_string(path).unwrap().starts_with("//!"))
        .map(|path| shown(path))
        .collect();
    assert!(silent.is_empty(), "these do not begin with `//!`: {silent:#?}");
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here, so that this file does not find itself.
    let marks = ["TO", "FIX", "X"].map(|start| {
        format!(
            "{start}{}",
            if start == "TO" {
                "DO"
            } else if start == "FIX" {
                "ME"
            } else {
                "XX"
            }
        )
    });
    let mut left = Vec::new();
    for path in files(&["rs", "toml", "md"]) {
        // Golden volumes hold files that are no text.
        for (number, line) in String::from_utf8_lossy(&fs::read(&path).unwrap()).lines().enumerate() {
            let words = line.split(|c: char| !c.is_ascii_alphanumeric());
            if words.into_iter().any(|word| marks.iter().any(|mark| mark == word)) {
                left.push(format!("{}:{}: {}", shown(&path), number + 1, line.trim()));
            }
        }
    }
    assert!(left.is_empty(), "{left:#?}");
}

#[test]
fn every_file_that_the_architecture_names_exists() {
    let root = workspace();
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    assert!(
        text.lines().count() <= ARCHITECTURE_LINES_MAX,
        "ARCHITECTURE.md is longer than {ARCHITECTURE_LINES_MAX} lines"
    );
    // Words in backticks outside of drawings; those that look like files of the project.
    let prose: String = text.split("```").step_by(2).collect();
    let named: Vec<&str> = prose.split('`').skip(1).step_by(2).filter(|word| looks_like_file(word)).collect();
    assert!(!named.is_empty(), "ARCHITECTURE.md names no file");
    let missing: Vec<&str> = named
        .into_iter()
        .filter(|name| {
            let name = name.trim_end_matches('/');
            !root.join(name).exists() && !root.join("crates").join(name).exists()
        })
        .collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names what is not there: {missing:#?}");
}

fn looks_like_file(word: &str) -> bool {
    let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    // Upper-case names such as VOLUME.toml are of volumes, not of the project; so are paths with placeholders.
    let of_project =
        ["crates/", "tests/", "scripts/", "fuzz/", "docs/", "benches/", ".ci/"].iter().any(|p| word.starts_with(p));
    plain && (of_project || (word.ends_with(".rs") && word.contains('/')))
}

#[test]
fn the_readme_shows_what_the_script_does() {
    let root = workspace();
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    assert!(readme.contains("scripts/test"), "README.md does not name the command that runs the tests");
    assert_eq!(
        fs::read_to_string(root.join(".ci/run")).unwrap().lines().filter(|l| l.contains("scripts/test")).count(),
        1
    );
}
