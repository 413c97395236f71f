//! How a command ended, and what its documents must hold (design.md, section 8).

use std::{os::unix::process::ExitStatusExt, process::ExitStatus, time::Duration};

use serde_json::Value;

/// A command that has ended.
#[derive(Debug)]
pub struct Outcome {
    what: String,
    status: ExitStatus,
    stdout: String,
    stderr: String,
    took: Duration,
}

/// An error as `--json` prints it.
#[derive(Debug, Clone)]
pub struct Failure {
    /// A stable word for programs.
    pub code: String,
    /// What happened, to what.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// A recovery point as `--json` prints it, with the keys that the tests look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// Its id.
    pub id: String,
    /// The root's path.
    pub source: String,
    /// The data source's id.
    pub source_id: String,
    /// The volume's id.
    pub volume: String,
    /// When it was received, RFC 3339.
    pub time: String,
    /// Entries that are not directories.
    pub files: u64,
    /// Bytes of content.
    pub bytes: u64,
    /// Bytes that the volume grew by.
    pub added_bytes: u64,
    /// `complete`, `partial`, `damaged` or `missing`.
    pub state: String,
}

impl Outcome {
    pub(crate) fn new(what: String, status: ExitStatus, stdout: String, stderr: String, took: Duration) -> Self {
        let outcome = Self { what, status, stdout, stderr, took };
        // Whatever else a test expects: the program itself never breaks.
        for text in ["panicked at", "there is a defect in the program", "\"internal:", "\"code\":\"defect\""] {
            assert!(!outcome.stderr.contains(text) && !outcome.stdout.contains(text), "the program broke: {outcome}");
        }
        let signal = outcome.status.signal();
        assert!(!signal.is_some_and(|s| [4, 6, 7, 8, 11].contains(&s)), "the program crashed: {outcome}");
        outcome
    }

    /// The exit code; `None` where a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Whether SIGKILL ended it.
    pub fn was_killed(&self) -> bool {
        self.status.signal() == Some(9)
    }

    /// What it printed.
    pub fn stdout(&self) -> &str {
        &self.stdout
    }

    /// What it said.
    pub fn stderr(&self) -> &str {
        &self.stderr
    }

    /// How long it ran.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// Its document, whatever the exit code.
    pub fn json(&self) -> Value {
        let value: Value = serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("standard output is not one JSON document: {error}: {self}"));
        assert!(value.is_object(), "every document is an object: {self}");
        value
    }

    /// Its document, where it must have ended with this code.
    #[track_caller]
    pub fn json_with_code(&self, code: i32) -> Value {
        assert_eq!(self.code(), Some(code), "{self}");
        self.json()
    }

    /// Its document, where it must be done.
    #[track_caller]
    pub fn done(&self) -> Value {
        self.json_with_code(0)
    }

    /// The error, where it must have failed: code 1 or 2, one document with code, message and remedy, none empty.
    #[track_caller]
    pub fn failed(&self) -> Failure {
        assert!(matches!(self.code(), Some(1 | 2)), "should have failed: {self}");
        let document = self.json();
        let text = |key: &str| {
            let text = document["error"][key].as_str().unwrap_or_default().to_owned();
            assert!(!text.trim().is_empty(), "error.{key} is empty or missing: {self}");
            text
        };
        let failure = Failure { code: text("code"), message: text("message"), remedy: text("remedy") };
        let length = failure.message.len() + failure.remedy.len();
        assert!(length < 2000, "{length} bytes are not one clear message: {self}");
        failure
    }

    /// The points of the document, but for those of the server's own catalog, which go along without being asked for.
    #[track_caller]
    pub fn points(&self) -> Vec<Point> {
        let mut points = self.all_points();
        points.retain(|point| point.source != "DPMDB");
        points
    }

    /// Every point of the document.
    #[track_caller]
    pub fn all_points(&self) -> Vec<Point> {
        let document = self.json();
        let list = document["points"].as_array().unwrap_or_else(|| panic!("no `points`: {self}"));
        list.iter().map(|point| Point::parse(point, self)).collect()
    }

    /// The one point of the document.
    #[track_caller]
    pub fn point(&self) -> Point {
        let mut points = self.points();
        assert_eq!(points.len(), 1, "one point was expected: {self}");
        points.remove(0)
    }

    /// The values of `key` in the list `list`: `paths_in("unread", "path")`.
    #[track_caller]
    pub fn texts_in(&self, list: &str, key: &str) -> Vec<String> {
        let document = self.json();
        let items = document[list].as_array().unwrap_or_else(|| panic!("no list `{list}`: {self}"));
        items
            .iter()
            .map(|item| item[key].as_str().unwrap_or_else(|| panic!("no `{key}` in `{list}`: {self}")).to_owned())
            .collect()
    }
}

impl Failure {
    /// Whether the message or the remedy holds one of the words, in any case.
    pub fn speaks_of(&self, words: &[&str]) -> bool {
        let text = format!("{} {}", self.message, self.remedy).to_lowercase();
        words.iter().any(|word| text.contains(&word.to_lowercase()))
    }
}

impl Point {
    fn parse(value: &Value, outcome: &Outcome) -> Self {
        let text = |key: &str| {
            value[key].as_str().unwrap_or_else(|| panic!("a point has no text `{key}`: {outcome}")).to_owned()
        };
        let number =
            |key: &str| value[key].as_u64().unwrap_or_else(|| panic!("a point has no number `{key}`: {outcome}"));
        assert!(text("replica").len() == 36 && !text("kind").is_empty(), "{outcome}");
        let time = text("time");
        assert!(time.contains('T') && time.ends_with('Z'), "`{time}` is not RFC 3339 in UTC: {outcome}");
        Self {
            id: text("id"),
            source: text("source"),
            source_id: text("source_id"),
            volume: text("volume"),
            time,
            files: number("files"),
            bytes: number("bytes"),
            added_bytes: number("added_bytes"),
            state: text("state"),
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shorten = |text: &str| -> String { text.chars().take(6000).collect() };
        write!(
            f,
            "{} ended with {} after {:?}\n--- stdout\n{}\n--- stderr\n{}",
            self.what,
            self.status,
            self.took,
            shorten(&self.stdout),
            shorten(&self.stderr)
        )
    }
}
