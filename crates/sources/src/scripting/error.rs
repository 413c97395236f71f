//! What can go wrong with scripts. Where MABS has a number for it, the message names it.

use std::{fmt, io, path::PathBuf, time::Duration};

use resurgam_model::retention::span_in_words;

use crate::error::explain;

/// Which of the two scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The one before the job.
    Before,
    /// The one after it.
    After,
}

impl When {
    /// The number that MABS has for a fault of this script.
    fn code(self, before: u32, after: u32) -> u32 {
        if self == Self::Before { before } else { after }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Before => "pre-backup script",
            Self::After => "post-backup script",
        })
    }
}

/// Why the scripts of a source could not do their part.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// `ScriptingConfig.xml` cannot be understood.
    #[error("{} cannot be understood (30193): {reason}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        reason: String,
    },
    /// Something cannot be read.
    #[error("cannot read {}: {}", .path.display(), explain(.source))]
    Unreadable {
        /// What.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Others could change what would be run.
    #[error("{} is refused: {reason}", .path.display())]
    Refused {
        /// The script, its folder, or `ScriptingConfig.xml` and its folder.
        path: PathBuf,
        /// Who could.
        reason: String,
    },
    /// A script did not end well.
    #[error("the {when} {} failed ({}): {reason}{}", .program.display(), .when.code(30189, 30190), said(.output))]
    Failed {
        /// Which.
        when: When,
        /// The script.
        program: PathBuf,
        /// How it ended.
        reason: String,
        /// The last that it wrote.
        output: String,
    },
    /// A script was not done in time.
    #[error(
        "the {when} {} was not done within {} and was ended ({}){}",
        .program.display(),
        span_in_words(.time_out.as_secs()),
        .when.code(30191, 30192),
        said(.output)
    )]
    TimedOut {
        /// Which.
        when: When,
        /// The script.
        program: PathBuf,
        /// How long it had.
        time_out: Duration,
        /// The last that it wrote.
        output: String,
    },
    /// The job was called off while the script ran.
    #[error("stopped on request")]
    Cancelled,
}

impl ScriptError {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "correct the file; it is read anew for each job",
            Self::Unreadable { .. } => "make it readable for the server, or remove it",
            Self::Refused { .. } => "let only root or the server's own user own it and write to it (chown, chmod go-w)",
            Self::Failed { .. } => "run the script by hand to see what it lacks; then run the job again",
            Self::TimedOut { .. } => {
                "see what the script waits for, or give it more minutes in TimeOut; then run the job again"
            }
            Self::Cancelled => "run the job again when it suits",
        }
    }

    /// Whether nothing failed and somebody asked for the end.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled)
    }
}

/// The last words of a script, as the end of a sentence.
fn said(output: &str) -> String {
    if output.is_empty() { String::new() } else { format!("; it said: {output}") }
}
