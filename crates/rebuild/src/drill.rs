//! Drills: the server is really rebuilt, in a scratch place, from one of its copies alone, and compared with the living
//! one.
//!
//! The same code restores, reconciles and recovers as on the worst day. It gets a scratch home and nothing of the living
//! one, and its volumes answer every write with a refusal. The rows of the living catalog are read before and after: what
//! changed in between is not held against the copy.

mod compare;
mod copies;
mod rehearse;

use std::path::PathBuf;

use resurgam_jobs::{Cancel, JobError, Meter, Server};
use resurgam_model::charter::{CopyKind, DrillRecord};
use serde::Serialize;

use self::copies::Copy;

/// The kind of the job.
pub const DRILL: &str = "drill";

/// What to rehearse.
#[derive(Debug, Clone)]
pub struct Drill {
    /// From copies of this kind; `None`: from every copy.
    pub kind: Option<CopyKind>,
    /// Below this directory.
    pub scratch: PathBuf,
    /// So many files of each source's newest point are recovered and proved.
    pub sample: u64,
}

/// Answer of `drill`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DrillReport {
    /// How it went with each copy.
    pub copies: Vec<DrilledCopy>,
    /// Whether every copy brought everything back.
    pub passed: bool,
}

/// How a drill of one copy went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DrilledCopy {
    /// What kind of copy.
    pub kind: CopyKind,
    /// The volume's id, or the directory.
    pub place: String,
    /// Where that lies.
    pub location: String,
    /// Whether everything came back.
    pub passed: bool,
    /// What did not, each with its reason.
    pub missing: Vec<String>,
    /// What else should be known.
    pub notes: Vec<String>,
    /// How old the copy is.
    pub recovery_point_seconds: Option<u64>,
    /// How long the rebuilding took, up to the proof of the sample.
    pub recovery_time_milliseconds: u64,
    /// How many rows of the catalog came back as they are.
    pub rows: u64,
    /// How many files were recovered and proved.
    pub files_proved: u64,
    /// Where the keys came from: `kit`, `borrowed` from the living server, or `new`.
    pub keys: String,
}

/// Rehearses, and writes down how it went.
///
/// # Errors
/// Where there is no such copy, or the living catalog cannot be read. What goes wrong in a rehearsal is told in the
/// report.
pub fn drill(server: &Server, what: &Drill, meter: &Meter, cancel: &Cancel) -> Result<DrillReport, JobError> {
    let copies = copies::of(server, what.kind)?;
    if copies.is_empty() {
        let kind = what.kind.map_or_else(|| "of any kind".to_owned(), |kind| format!("of the kind `{kind}`"));
        return Err(JobError::Request {
            code: "no-copy",
            message: format!("there is no copy of the catalog {kind}"),
            remedy: "`resurgam status` shows the copies; `resurgam catalog backup --to DIR` makes a native one"
                .to_owned(),
        });
    }
    let mut report = DrillReport { copies: Vec::new(), passed: true };
    for copy in copies {
        let drilled = one(server, &copy, what, meter, cancel)?;
        report.passed &= drilled.passed;
        report.copies.push(drilled);
    }
    for drilled in &report.copies {
        server.catalog().put_drill(&record(server, drilled))?;
    }
    server.publish_capsules()?;
    if let Err(error) = server.evaluate_alerts() {
        server.notice(format!("the alerts could not be worked out anew: {error}"));
    }
    Ok(report)
}

fn one(server: &Server, copy: &Copy, what: &Drill, meter: &Meter, cancel: &Cancel) -> Result<DrilledCopy, JobError> {
    let subject = format!("{} {}", copy.kind, copy.location);
    server.as_job(DRILL, subject, cancel, || {
        let before = server.catalog().rows()?;
        let began = (server.environment().now)();
        let rehearsed = rehearse::rehearse(server, copy, what, meter, cancel);
        let took = (server.environment().now)().duration_since(began).as_millis().max(0);
        let mut drilled = DrilledCopy {
            kind: copy.kind,
            place: copy.place.clone(),
            location: copy.location.clone(),
            passed: false,
            missing: Vec::new(),
            notes: Vec::new(),
            recovery_point_seconds: copy.age_seconds,
            recovery_time_milliseconds: u64::try_from(took).unwrap_or(u64::MAX),
            rows: 0,
            files_proved: 0,
            keys: String::new(),
        };
        match rehearsed {
            // That there is no place to rehearse in says nothing of the copy.
            Err(error) if error.is_cancelled() || error.code() == rehearse::SCRATCH => return Err(error),
            Err(error) => drilled.missing.push(format!("the server did not come back: {error}")),
            Ok(rebuilt) => {
                let after = server.catalog().rows()?;
                let compared = compare::compare(&before, &after, &rebuilt.rows, rebuilt.new_key);
                drilled.rows = compared.equal;
                drilled.missing = compared.differences;
                drilled.missing.extend(rebuilt.faults);
                drilled.notes = rebuilt.notes;
                drilled.files_proved = rebuilt.files_proved;
                drilled.keys = rebuilt.keys;
                drilled.passed = drilled.missing.is_empty();
            }
        }
        let message = match drilled.missing.first() {
            None => format!("{} rows and {} files came back", drilled.rows, drilled.files_proved),
            Some(first) => format!("{} not as it was; the first: {first}", drilled.missing.len()),
        };
        Ok((drilled.passed, message, drilled))
    })
}

fn record(server: &Server, drilled: &DrilledCopy) -> DrillRecord {
    DrillRecord {
        kind: drilled.kind,
        place: drilled.place.clone(),
        time: (server.environment().now)(),
        passed: drilled.passed,
        recovery_point_seconds: drilled.recovery_point_seconds.unwrap_or(0),
        recovery_time_milliseconds: drilled.recovery_time_milliseconds,
        message: match drilled.missing.first() {
            None => format!("{} rows and {} files came back", drilled.rows, drilled.files_proved),
            Some(first) => first.clone(),
        },
    }
}
