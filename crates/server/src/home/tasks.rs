//! What a server has to do of itself, with what its catalog says of it.

use std::collections::HashMap;

use resurgam_catalog::JobRecord;
use resurgam_jobs::{CATALOG_BACKUP, JobError, ONLINE_BACKUP, Server};
use resurgam_model::{SourceId, Timestamp, policy::Calendar, replica::ReplicaState, schedule::Schedule};
use resurgam_rebuild::drill::DRILL;

use super::record::{history, of_parts};
use crate::{
    scheduler::{History, Task},
    work::Work,
};

/// So many of the newest jobs are looked at.
const JOBS_LOOKED_AT: usize = 2_000;
/// How often what is wrong is worked out.
const ALERTS_EVERY: u64 = 5 * 60;
/// How often capsules and kit are compared with what they should say. (Each change publishes them at once as well.)
const CAPSULES_EVERY: u64 = 3_600;

/// Upkeep, at night in the server's own zone: kind of the job, and when.
const EXPIRE: &str = "15 1 * * *";
const VERIFY: &str = "30 1 * * *";
const PRUNE: &str = "0 3 * * 0";
const DRILLS: &str = "0 4 * * 6";

fn calendar(cron: &str) -> Schedule {
    Schedule { every_seconds: None, calendar: Some(Calendar { cron: cron.to_owned(), zone: None }) }
}

/// Whether nothing may be deleted.
pub(super) fn is_frozen(server: &Server) -> Result<bool, JobError> {
    Ok(server.catalog().lineage()?.is_some_and(|lineage| lineage.frozen.is_some()))
}

/// Everything that is to be done again and again.
///
/// # Errors
/// Where the catalog cannot be read.
pub(super) fn tasks(server: &Server, now: Timestamp) -> Result<Vec<Task>, JobError> {
    let catalog = server.catalog();
    let record = Record { jobs: catalog.jobs(JOBS_LOOKED_AT)?, now };
    let mut tasks = backups(server, &record)?;
    tasks.extend(online_backups(server, &record)?);
    for copy in catalog.copies()?.into_iter().filter(|copy| copy.every_seconds.is_some()) {
        let history = record.of(|job| job.kind == CATALOG_BACKUP && job.subject == copy.place);
        let schedule = Schedule { every_seconds: copy.every_seconds, calendar: None };
        tasks.push(Task { work: Work::CatalogBackup(copy.place), schedule, history });
    }
    let volumes = catalog.volumes()?;
    if !volumes.is_empty() {
        // Of the pool alone: reading a vault costs requests, and people decide when.
        let pool: Vec<String> = catalog.pool()?.iter().map(|volume| volume.id.to_string()).collect();
        let volumes: Vec<String> = volumes.iter().map(|volume| volume.id.to_string()).collect();
        let of_volumes = |kind: &str| {
            let of = |volume: &String| record.of(|job| job.kind == kind && job.subject.contains(volume));
            of_parts(if kind == "verify" { &pool } else { &volumes }.iter().map(of))
        };
        let mut upkeep = |work, cron, history| tasks.push(Task { work, schedule: calendar(cron), history });
        upkeep(Work::Verify, VERIFY, of_volumes("verify"));
        upkeep(Work::Drill, DRILLS, record.of(|job| job.kind == DRILL));
        // What would be refused is not asked for; that nothing may be deleted stands in the alerts.
        if !is_frozen(server)? {
            upkeep(Work::Expire, EXPIRE, record.of(|job| job.kind == "expire"));
            upkeep(Work::Prune, PRUNE, of_volumes("prune"));
        }
    }
    // Of these there are no rows; they are done when the daemon begins.
    for (work, every) in [(Work::Capsules, CAPSULES_EVERY), (Work::Alerts, ALERTS_EVERY)] {
        tasks.push(Task { work, schedule: Schedule::every(every), history: History::default() });
    }
    // What a person is just doing by hand is not done a second time.
    let running = catalog.running_jobs()?;
    tasks.retain(|task| !running.iter().any(|job| is_run_of(job, &task.work)));
    Ok(tasks)
}

fn is_run_of(job: &JobRecord, work: &Work) -> bool {
    match work {
        Work::Backup(source) => job.source == Some(*source) && is_backup(job),
        Work::Online(source) => job.source == Some(*source) && job.kind == ONLINE_BACKUP,
        Work::CatalogBackup(place) => job.kind == CATALOG_BACKUP && job.subject == *place,
        Work::Expire | Work::Prune | Work::Verify | Work::Drill => job.kind == work.to_string(),
        Work::Capsules | Work::Alerts => false,
    }
}

fn is_backup(job: &JobRecord) -> bool {
    job.kind == "backup" || job.kind == "consistency-check"
}

/// A backup of each source whose group has a schedule, unless there is nothing that it could do: it was stopped, is to
/// be loaded by hand first, or has lost its place. The last stands in the alerts.
fn backups(server: &Server, record: &Record) -> Result<Vec<Task>, JobError> {
    let catalog = server.catalog();
    let groups: HashMap<_, Schedule> =
        catalog.groups()?.into_iter().map(|group| (group.id, Schedule::from(&group))).collect();
    let mut states: HashMap<SourceId, Vec<ReplicaState>> = HashMap::new();
    for replica in catalog.replicas()? {
        states.entry(replica.source).or_default().push(replica.state);
    }
    let idle = [ReplicaState::Stopped, ReplicaState::ManualCreationPending, ReplicaState::Missing];
    let mut newest: HashMap<SourceId, Vec<Timestamp>> = HashMap::new();
    for point in catalog.point_entries(None)?.into_iter().filter(|point| point.state.is_good()) {
        let times = newest.entry(point.source).or_default();
        // Points come oldest first: the newest of all, and the newest that is not of the future.
        times.retain(|time| *time <= record.now && point.time > record.now);
        times.push(point.time);
    }
    let mut tasks = Vec::new();
    for source in catalog.sources()? {
        let schedule = groups.get(&source.group).cloned().unwrap_or_default();
        let is_idle = states.get(&source.id).is_some_and(|states| states.iter().all(|state| idle.contains(state)));
        if schedule.is_empty() || is_idle {
            continue;
        }
        let mut history = record.of(|job| job.source == Some(source.id) && is_backup(job));
        if history.begun.is_empty() {
            // Jobs are forgotten, and lost with a catalog that is rebuilt from volumes; points are not.
            history.begun = newest.remove(&source.id).unwrap_or_default();
        }
        tasks.push(Task { work: Work::Backup(source.id), schedule, history });
    }
    Ok(tasks)
}

/// An online point of each source whose group is protected online by a schedule.
fn online_backups(server: &Server, record: &Record) -> Result<Vec<Task>, JobError> {
    let catalog = server.catalog();
    let groups = catalog.groups()?;
    let mut tasks = Vec::new();
    for source in catalog.sources()? {
        let online = groups.iter().find(|group| group.id == source.group).and_then(|group| group.online.as_ref());
        let Some(online) = online else { continue };
        let schedule = Schedule { every_seconds: online.every_seconds, calendar: online.calendar.clone() };
        if schedule.is_empty() {
            continue;
        }
        let mut history = record.of(|job| job.source == Some(source.id) && job.kind == ONLINE_BACKUP);
        if history.begun.is_empty() {
            let newest = catalog.online_entries(Some(source.id))?.last().map(|point| point.time);
            history.begun = newest.into_iter().collect();
        }
        tasks.push(Task { work: Work::Online(source.id), schedule, history });
    }
    Ok(tasks)
}

/// The newest jobs.
struct Record {
    jobs: Vec<JobRecord>,
    now: Timestamp,
}

impl Record {
    fn of(&self, is_run: impl Fn(&JobRecord) -> bool) -> History {
        history(self.jobs.iter().filter(|job| is_run(job)), self.now)
    }
}
