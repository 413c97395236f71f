//! Why a command did not do what it was asked, in the form that is shown: a word for programs, a message, a remedy.

use std::{error::Error, fmt::Display};

use clap::error::{ContextKind, ContextValue};
use resurgam_jobs::JobError;
use serde::Serialize;

/// What is said where a crate below knows no better.
const ANY_REMEDY: &str =
    "put right what the message names and run the command again; nothing that was reported done is affected";

/// A command that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// A stable word for programs.
    pub(crate) code: String,
    /// What was attempted, on what, and what went wrong.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) remedy: String,
    /// What lies behind the message; shown with `-v`.
    pub(crate) causes: Vec<String>,
    /// The exit code.
    pub(crate) exit: u8,
}

/// The document that `--json` prints of a failure.
#[derive(Serialize)]
pub(crate) struct ErrorDocument<'a> {
    error: ErrorBody<'a>,
}

/// What the document's one key holds.
#[derive(Serialize)]
pub(crate) struct ErrorBody<'a> {
    code: &'a str,
    message: &'a str,
    remedy: &'a str,
}

impl Failure {
    /// A failure with exit code 1.
    pub(crate) fn new(code: &str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), remedy: remedy.into(), causes: Vec::new(), exit: 1 }
    }

    /// Arguments that make no sense although each can be read by itself.
    pub(crate) fn arguments(message: impl Display, remedy: impl Into<String>) -> Self {
        Self { exit: 2, ..Self::new("usage", message.to_string(), remedy) }
    }

    /// Arguments that clap refused.
    pub(crate) fn usage(error: &clap::Error) -> Self {
        let text = error.to_string();
        let mut paragraphs = text.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty());
        let first = one_line(paragraphs.next().unwrap_or_default());
        let message = first.strip_prefix("error: ").unwrap_or(&first).to_owned();
        let mut remedy: Vec<String> = paragraphs.clone().filter(|p| p.starts_with("tip:")).map(one_line).collect();
        if let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage) {
            remedy.push(one_line(&usage.to_string()).replacen("Usage: ", "usage: ", 1));
        }
        remedy.push("`--help` after the command tells more".to_owned());
        // Without a command there is no message, only the help.
        let message = if is_help(error) { "no command was given".to_owned() } else { message };
        Self::arguments(message, remedy.join("; "))
    }

    /// The JSON document.
    pub(crate) fn document(&self) -> ErrorDocument<'_> {
        ErrorDocument { error: self.body() }
    }

    /// The value of the document's `error`.
    pub(crate) fn body(&self) -> ErrorBody<'_> {
        ErrorBody { code: &self.code, message: &self.message, remedy: &self.remedy }
    }

    /// The text for people; `verbose` adds what lies behind it.
    pub(crate) fn text(&self, verbose: bool) -> String {
        let mut text = format!("resurgam: {}\n", self.message);
        if verbose {
            for cause in &self.causes {
                text.push_str(&format!("  because: {cause}\n"));
            }
        }
        if !self.remedy.is_empty() {
            text.push_str(&format!("  remedy: {}\n", self.remedy));
        }
        text
    }
}

fn is_help(error: &clap::Error) -> bool {
    error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
}

/// Lines as one, with single spaces.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl From<JobError> for Failure {
    fn from(error: JobError) -> Self {
        let mut failure = Self::new(error.code(), error.to_string(), error.remedy());
        if failure.remedy.trim().is_empty() {
            failure.remedy = ANY_REMEDY.to_owned();
        }
        let mut cause = error.source();
        while let Some(inner) = cause {
            let text = inner.to_string();
            if !failure.message.contains(&text) {
                failure.causes.push(text);
            }
            cause = inner.source();
        }
        failure
    }
}

#[cfg(test)]
mod tests;
