//! What the server is and does: sources, groups, volumes, jobs, and how things stand.

use jiff::{Timestamp, tz::TimeZone};
use resurgam_model::{
    alert::Condition,
    report::{CopyStatus, GroupSummary, JobSummary, SourceSummary, VolumeSummary},
    retention::span_in_words,
};
use serde::Serialize;

use super::{
    amount,
    point::{id_length, short},
    table::{Align, Table},
};

use Align::{Left, Right};

/// The state of a source that is no longer protected.
const STOPPED: &str = "stopped";

/// The document of `status`.
#[derive(Serialize, Default)]
pub(crate) struct Status {
    pub(crate) sources: Vec<SourceStatus>,
    pub(crate) volumes: Vec<VolumeSummary>,
    /// Those that run now.
    pub(crate) jobs: Vec<JobSummary>,
    /// The copies of the catalog: what survives this server.
    pub(crate) copies: Vec<CopyStatus>,
    /// What is wrong now.
    pub(crate) alerts: Vec<Condition>,
    /// Why nothing may be deleted, if so.
    pub(crate) frozen: Option<String>,
}

/// A source and whether it keeps its objective.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct SourceStatus {
    #[serde(flatten)]
    pub(crate) source: SourceSummary,
    /// The objective of its group.
    pub(crate) every_seconds: Option<u64>,
    /// Age of the newest point.
    pub(crate) age_seconds: Option<u64>,
    /// Whether a point was due and did not come.
    pub(crate) objective_missed: bool,
}

/// Joins sources with the objectives of their groups.
pub(crate) fn statuses(sources: Vec<SourceSummary>, groups: &[GroupSummary], now: Timestamp) -> Vec<SourceStatus> {
    let status = |source: SourceSummary| {
        let every_seconds =
            groups.iter().find(|group| group.name == source.group).and_then(|group| group.every_seconds);
        let age_seconds = source.newest.map(|newest| amount::seconds_between(newest, now));
        let is_due = |every: u64| source.state != STOPPED && age_seconds.is_none_or(|age| age > every);
        let objective_missed = every_seconds.is_some_and(is_due);
        SourceStatus { source, every_seconds, age_seconds, objective_missed }
    };
    sources.into_iter().map(status).collect()
}

/// How things stand.
pub(crate) fn status(status: &Status, zone: &TimeZone) -> String {
    let mut text = String::new();
    if status.sources.is_empty() {
        text.push_str("Nothing is protected yet: `resurgam protect DIR` begins.\n");
    } else {
        let mut table = Table::new(&[
            ("SOURCE", Left),
            ("STATE", Left),
            ("POINTS", Right),
            ("NEWEST", Left),
            ("AGE", Right),
            ("OBJECTIVE", Left),
        ]);
        for entry in &status.sources {
            table.row([
                entry.source.root.clone(),
                state(&entry.source),
                amount::count(entry.source.points),
                entry.source.newest.map_or_else(|| "never".to_owned(), |newest| amount::time(newest, zone)),
                entry.age_seconds.map(amount::span).unwrap_or_default(),
                objective(entry),
            ]);
        }
        text.push_str(&table.text());
    }
    if !status.volumes.is_empty() {
        text.push('\n');
        text.push_str(&volumes(&status.volumes));
    }
    if !status.copies.is_empty() {
        text.push('\n');
        text.push_str(&copies(&status.copies, zone));
    }
    if !status.jobs.is_empty() {
        text.push('\n');
        text.push_str(&jobs(&status.jobs, zone));
    }
    if let Some(reason) = &status.frozen {
        text.push_str(&format!("\nNothing is deleted: {reason}\n"));
    }
    if !status.alerts.is_empty() {
        text.push('\n');
        for alert in &status.alerts {
            text.push_str(&format!("{}: {}: {}: {}\n", alert.severity, alert.kind, alert.subject, alert.message));
        }
    }
    text
}

/// A table of the copies of the catalog, from which a lost server comes back.
fn copies(copies: &[CopyStatus], zone: &TimeZone) -> String {
    let mut table = Table::new(&[
        ("SURVIVES IN", Left),
        ("WHERE", Left),
        ("AGE", Right),
        ("CHANGE", Right),
        ("LACKS", Left),
        ("LAST DRILL", Left),
    ]);
    for copy in copies {
        table.row([
            copy.kind.to_string(),
            copy.location.clone(),
            copy.age_seconds.map_or_else(|| "none".to_owned(), amount::span),
            copy.sequence.map(amount::count).unwrap_or_default(),
            lacking(copy),
            copy.drill.as_ref().map_or_else(
                || "never".to_owned(),
                |drill| {
                    let outcome = if drill.passed { "passed" } else { "FAILED" };
                    format!("{outcome} {}", amount::time(drill.time, zone))
                },
            ),
        ]);
    }
    table.text()
}

fn lacking(copy: &CopyStatus) -> String {
    if let Some(fault) = &copy.fault {
        return fault.clone();
    }
    let (changes, points) = (copy.changes_lacking.unwrap_or(0), copy.points_lacking.unwrap_or(0));
    match (changes, points) {
        (0, 0) => "nothing".to_owned(),
        (0, points) => amount::counted(points, "point", "points"),
        (changes, 0) => amount::counted(changes, "change", "changes"),
        _ => {
            format!("{}, {}", amount::counted(changes, "change", "changes"), amount::counted(points, "point", "points"))
        }
    }
}

fn objective(entry: &SourceStatus) -> String {
    match (entry.every_seconds, entry.objective_missed) {
        _ if entry.source.state == STOPPED => String::new(),
        (None, _) => "none".to_owned(),
        (Some(every), true) => format!("every {}: MISSED", span_in_words(every)),
        (Some(every), false) => format!("every {}: kept", span_in_words(every)),
    }
}

fn state(source: &SourceSummary) -> String {
    source.cause.as_ref().map_or_else(|| source.state.clone(), |cause| format!("{} ({cause})", source.state))
}

/// A table of sources.
pub(crate) fn sources(sources: &[SourceSummary], zone: &TimeZone, whole_ids: bool) -> String {
    let length = lengths(sources.iter().map(|source| source.id.to_string()), whole_ids);
    let mut table = Table::new(&[
        ("ID", Left),
        ("ROOT", Left),
        ("GROUP", Left),
        ("STATE", Left),
        ("POINTS", Right),
        ("NEWEST", Left),
        ("KEEPS", Left),
    ]);
    for source in sources {
        table.row([
            short(&source.id, length),
            source.root.clone(),
            source.group.clone(),
            state(source),
            amount::count(source.points),
            source.newest.map_or_else(|| "never".to_owned(), |newest| amount::time(newest, zone)),
            source.retention.clone().unwrap_or_else(|| "what its group keeps".to_owned()),
        ]);
    }
    table.text()
}

/// A table of groups.
pub(crate) fn groups(groups: &[GroupSummary]) -> String {
    let mut table = Table::new(&[("NAME", Left), ("SOURCES", Right), ("EVERY", Left), ("KEEPS", Left)]);
    for group in groups {
        table.row([group.name.clone(), amount::count(group.sources), schedule(group), group.retention.clone()]);
    }
    table.text()
}

fn schedule(group: &GroupSummary) -> String {
    let calendar = group.calendar.as_ref().map(|calendar| {
        let zone = calendar.zone.as_ref().map(|zone| format!(" {zone}")).unwrap_or_default();
        format!("at {}{zone}", calendar.cron)
    });
    match (group.every_seconds.map(span_in_words), calendar) {
        (None, None) => "when asked".to_owned(),
        (Some(every), None) => every,
        (None, Some(calendar)) => calendar,
        (Some(every), Some(calendar)) => format!("{every}, {calendar}"),
    }
}

/// A table of volumes.
pub(crate) fn volumes(volumes: &[VolumeSummary]) -> String {
    let mut table =
        Table::new(&[("VOLUME", Left), ("LOCATION", Left), ("PROTECTION", Left), ("REPLICAS", Right), ("STATE", Left)]);
    for volume in volumes {
        table.row([
            volume.id.to_string(),
            volume.location.clone(),
            volume.protection.clone(),
            amount::count(volume.replicas),
            volume.state.clone(),
        ]);
    }
    table.text()
}

/// A table of jobs.
pub(crate) fn jobs(jobs: &[JobSummary], zone: &TimeZone) -> String {
    let mut table = Table::new(&[
        ("STARTED", Left),
        ("JOB", Left),
        ("SUBJECT", Left),
        ("STATE", Left),
        ("TOOK", Right),
        ("MESSAGE", Left),
    ]);
    for job in jobs {
        table.row([
            amount::time(job.started, zone),
            job.kind.clone(),
            job.subject.clone(),
            job.state.clone(),
            job.ended.map(|ended| amount::span(amount::seconds_between(job.started, ended))).unwrap_or_default(),
            job.message.clone().unwrap_or_default().replace('\n', " "),
        ]);
    }
    table.text()
}

fn lengths(ids: impl Iterator<Item = String>, whole: bool) -> usize {
    if whole { usize::MAX } else { id_length(&ids.collect::<Vec<_>>()) }
}

#[cfg(test)]
mod tests;
