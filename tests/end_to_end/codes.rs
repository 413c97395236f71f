//! The manual's page of troubles explains every code that the program can give, and none that it cannot give. The program's
//! own text is asked: a code stands in it as a literal at the few places that make errors.

use std::{collections::BTreeSet, fs, path::Path};

use resurgam_tests::plain_tree;

use super::architecture::workspace;

/// What a code stands behind.
const BEFORE: &[&str] = &["request(", "Failure::new(", "Self::new(", "code: ", "must_be_of("];
/// Files whose matches answer with codes.
const ANSWERING: &[&str] =
    &["jobs/src/error.rs", "catalog/src/error.rs", "rebuild/src/kit.rs", "jobs/src/vault/admit.rs"];

/// The program's own text, without tests: by file.
fn sources() -> Vec<(String, String)> {
    let crates = workspace().join("crates");
    let is_code = |file: &Path| {
        let name = file.to_str().unwrap();
        name.ends_with(".rs") && name.contains("/src/") && !name.contains("/tests") && !name.contains("/golden")
    };
    let files = plain_tree::files_below(&crates).into_iter().filter(|file| is_code(file));
    let text =
        |file: &Path| fs::read_to_string(file).unwrap().split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
    files.map(|file| (file.strip_prefix(&crates).unwrap().to_str().unwrap().to_owned(), text(&file))).collect()
}

/// The code at the beginning of `rest`, which is from `text`: a literal, or the name of one that stands there.
fn code<'a>(text: &'a str, rest: &'a str) -> Option<&'a str> {
    let rest = rest.trim_start();
    let name = rest.split(|c: char| !c.is_ascii_uppercase() && c != '_').next().filter(|name| name.len() > 1);
    let rest = match name {
        Some(name) => text.split_once(&format!("const {name}: &str = "))?.1,
        None => rest,
    };
    let (word, _) = rest.strip_prefix('"')?.split_once('"')?;
    let is_code = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    is_code.then_some(word)
}

/// The codes behind each of these places.
fn behind<'a>(text: &'a str, place: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(place).skip(1).filter_map(move |rest| code(text, rest))
}

/// Every code that the program can give.
fn given(sources: &[(String, String)]) -> BTreeSet<&str> {
    let mut codes = BTreeSet::new();
    for (file, text) in sources {
        codes.extend(BEFORE.iter().flat_map(|place| behind(text, place)));
        if ANSWERING.contains(&file.as_str()) {
            codes.extend(behind(text, "=> ").chain(behind(text, "=> (")).chain(behind(text, "=> {\n            (")));
        }
        // The two keyrings that a restore compares, each with the code of its own.
        codes.extend(behind(text, "(&kit, ").chain(behind(text, "(&present, ")));
    }
    codes
}

/// Every code that the page explains: those in the first column of its table.
fn explained(page: &str) -> BTreeSet<&str> {
    let (_, table) = page.split_once("## By code").unwrap();
    let rows = table.split("\n## ").next().unwrap().lines().filter(|line| line.starts_with("| `"));
    rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2)).collect()
}

#[test]
fn every_code_is_explained_and_no_other() {
    let sources = sources();
    let page = fs::read_to_string(workspace().join("docs/manual/src/trouble.md")).unwrap();
    let (given, explained) = (given(&sources), explained(&page));
    assert!(given.len() > 90, "codes are no longer found where they stand: {given:?}");
    let lacking: Vec<_> = given.difference(&explained).collect();
    let made_up: Vec<_> = explained.difference(&given).collect();
    assert!(lacking.is_empty() && made_up.is_empty(), "not explained: {lacking:?}; explained for nothing: {made_up:?}");
}

#[test]
fn no_code_is_made_in_a_way_that_this_does_not_see() {
    // Each of these takes a code that stands as a literal at one of the places above.
    let known = [
        "jobs/src/error.rs",
        "jobs/src/vault/admit.rs",
        "cli/src/failure.rs",
        "cli/src/passphrase.rs",
        "rebuild/src/kit.rs",
        "rebuild/src/restore.rs",
    ];
    for (file, text) in sources() {
        for place in ["JobError::request(", "Failure::new(", "JobError::Request {"] {
            for rest in text.split(place).skip(1) {
                let rest = rest.trim_start();
                let rest = rest.strip_prefix("code: ").unwrap_or(rest);
                let is_pattern = place.ends_with('{') && (rest.starts_with("code,") || rest.starts_with(".."));
                let is_seen = code(&text, rest).is_some() || is_pattern || known.contains(&file.as_str());
                assert!(is_seen, "{file}: {place}{}", rest.lines().next().unwrap_or_default());
            }
        }
    }
}
