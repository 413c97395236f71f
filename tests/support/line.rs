//! A line between the program and an object store, which can be bad: requests that are refused, cut off, carried out and not
//! answered, or answered in part.

use std::{
    cell::RefCell,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempPath;

use crate::store::Store;

/// How bad a line is.
#[derive(Debug, Clone, Copy)]
pub enum Trouble {
    /// Everything passes.
    None,
    /// Of 1,000 requests, so many go wrong, in all ways in turn; which ones, the seed says.
    Some {
        /// Of 1,000.
        share: u32,
        /// What else is drawn is drawn from it.
        seed: u64,
    },
    /// The store is too busy, whatever it is asked.
    Busy,
}

/// What went through a line.
#[derive(Debug, Clone, Copy)]
pub struct Passed {
    /// Requests, with those that went wrong.
    pub requests: u64,
    /// Those that went wrong.
    pub wrong: u64,
    /// As many were under way at once.
    pub at_once: u64,
}

/// A line to a store. It ends with the value.
#[derive(Debug)]
pub struct Line {
    store: Store,
    process: Child,
    ends: RefCell<(ChildStdin, BufReader<ChildStdout>)>,
    _script: TempPath,
}

impl Line {
    /// Leads to `store`; everything passes at first.
    pub fn to(store: &Store) -> Self {
        let mut script = tempfile::NamedTempFile::with_suffix(".py").unwrap();
        script.write_all(include_bytes!("line.py")).unwrap();
        let mut command = Command::new("python3");
        command.arg(script.path()).arg(store.address()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let (orders, mut answers) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        let mut port = String::new();
        answers.read_line(&mut port).unwrap();
        let store = store.through(&format!("127.0.0.1:{}", port.trim()));
        Self { store, process, ends: RefCell::new((orders, answers)), _script: script.into_temp_path() }
    }

    /// The store at the other end, by an URL that leads through the line.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Is as bad from now on. What went through it since it was told the last time.
    pub fn becomes(&self, trouble: Trouble) -> Passed {
        let order = match trouble {
            Trouble::None => "0 -".to_owned(),
            Trouble::Some { share, seed } => format!("{share} {seed} refused cut lost torn"),
            Trouble::Busy => "1000 - refused".to_owned(),
        };
        self.order(&order)
    }

    /// The store's clock is so many days ahead from now on, as far as it tells when an object was written.
    pub fn sets_the_clock_ahead(&self, days: u64) {
        self.order(&format!("clock {}", days * 86_400));
    }

    fn order(&self, order: &str) -> Passed {
        let (orders, answers) = &mut *self.ends.borrow_mut();
        writeln!(orders, "{order}").unwrap();
        let mut answer = String::new();
        answers.read_line(&mut answer).unwrap();
        let passed: Value = serde_json::from_str(&answer).unwrap_or_else(|error| panic!("`{answer}`: {error}"));
        let number = |key: &str| passed[key].as_u64().unwrap();
        Passed { requests: number("requests"), wrong: number("wrong"), at_once: number("at_once") }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
