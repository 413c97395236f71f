//! The command line: arguments in, progress, tables and JSON documents out.
//!
//! The way of a command: [`args`] says what may be typed; [`run`] has one function for each command, which turns
//! arguments into a request to `resurgam_jobs`, waits, and hands the answer to [`show`] (for people) or prints it as
//! the JSON document that it is (for programs). A new command is a variant in [`args`], a function in [`run`], and a
//! line in the table there.
//!
//! What it promises
//! - Standard output carries answers, standard error everything else. With `--json` standard output is one document,
//!   whatever happens.
//! - Exit codes: 0 done; 1 failed; 2 usage; 3 done, but some items could not be read or proved, and each is named.
//! - A failure is one message with a remedy, never a panic's.
//!
//! What it must not know: how anything is stored, and any rule about what is kept, deleted or refused. Those are in the
//! crates below, so that the daemon and the console follow the same ones.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod args;
mod defect;
mod environment;
mod failure;
mod home;
mod naming;
mod output;
mod passphrase;
mod progress;
mod run;
mod show;
mod signals;
mod switches;

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser, error::ErrorKind};

use crate::{args::Cli, failure::Failure, output::Output};

/// How a command that did its work has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// All of it.
    Whole,
    /// Done, but some items could not be read or proved; each was named.
    Partial,
    /// The work was done and what it found is bad: damage that is still there.
    Bad,
}

impl Ending {
    fn code(self) -> u8 {
        match self {
            Self::Whole => 0,
            Self::Bad => 1,
            Self::Partial => 3,
        }
    }
}

/// Runs the program with its arguments, the program's own name first.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    defect::announce_in_one_line();
    let arguments = switches::spelled_out(arguments);
    match Cli::try_parse_from(&arguments) {
        Ok(cli) => {
            let output = Output::new(&cli.global);
            let result = defect::caught(|| run::run(cli, &output));
            finish(&output, result)
        }
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            // Where nobody reads on, there is nothing to say.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        Err(error) => {
            let json = args::ask_for_json(&arguments);
            if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand && !json {
                let _ = error.print();
                return ExitCode::from(2);
            }
            finish(&Output::plain(json), Err(Failure::usage(&error)))
        }
    }
}

fn finish(output: &Output, result: Result<Ending, Failure>) -> ExitCode {
    match result {
        Ok(ending) => ExitCode::from(ending.code()),
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.exit)
        }
    }
}

#[cfg(test)]
mod tests;
