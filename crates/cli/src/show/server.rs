//! What the server is and does: sources, groups, volumes, jobs, and how things stand.

use jiff::{Timestamp, tz::TimeZone};
use resurgam_model::{
    report::{GroupSummary, JobSummary, SourceSummary, VolumeSummary},
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
#[derive(Serialize)]
pub(crate) struct Status {
    pub(crate) sources: Vec<SourceStatus>,
    pub(crate) volumes: Vec<VolumeSummary>,
    /// Those that run now.
    pub(crate) jobs: Vec<JobSummary>,
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
    if !status.jobs.is_empty() {
        text.push('\n');
        text.push_str(&jobs(&status.jobs, zone));
    }
    text
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
    ]);
    for source in sources {
        table.row([
            short(&source.id, length),
            source.root.clone(),
            source.group.clone(),
            state(source),
            amount::count(source.points),
            source.newest.map_or_else(|| "never".to_owned(), |newest| amount::time(newest, zone)),
        ]);
    }
    table.text()
}

/// A table of groups.
pub(crate) fn groups(groups: &[GroupSummary]) -> String {
    let mut table = Table::new(&[("NAME", Left), ("SOURCES", Right), ("EVERY", Left), ("KEEPS", Left)]);
    for group in groups {
        table.row([
            group.name.clone(),
            amount::count(group.sources),
            group.every_seconds.map_or_else(|| "when asked".to_owned(), span_in_words),
            group.retention.clone(),
        ]);
    }
    table.text()
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
