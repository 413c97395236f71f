//! Deciding what is to be begun. Pure: the clock, what is wanted and what was done come in as values.
//!
//! A task is due by its schedule, counted from the beginning of its last run that ended well. One that failed is tried
//! again after five minutes, then ten, then twenty and so on up to six hours, but never later than its schedule would
//! have it anyway.
//! What was missed, however often, is made good by one run.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, tz::TimeZone};
use resurgam_model::{
    Timestamp,
    schedule::{Due, InvalidCalendar, Schedule, Timetable},
};

use crate::work::{Lane, Work};

/// How long after the first failure the next try is.
pub const FIRST_PAUSE: SignedDuration = SignedDuration::from_mins(5);

/// How long the pause between two tries may grow: what is mended is to be noticed, even by what runs once a month.
pub const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(6);

/// Something that is to be done by a schedule.
#[derive(Debug, Clone)]
pub struct Task {
    /// What.
    pub work: Work,
    /// When.
    pub schedule: Schedule,
    /// What is on record of its runs.
    pub history: History,
}

/// What is on record of a task's runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// When runs began that ended well: at least the last one, in any order.
    pub begun: Vec<Timestamp>,
    /// How many runs have failed since.
    pub failures: u64,
    /// When the last of them ended.
    pub failed: Option<Timestamp>,
}

/// A run that is to begin now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// What.
    pub work: Work,
    /// Since when it is due.
    pub since: Timestamp,
    /// How many more were due since, which this run makes good.
    pub missed: u64,
    /// How many times it has failed since it last ended well.
    pub failures: u64,
}

/// What is to be done now.
#[derive(Debug, Default)]
pub struct Step {
    /// To be begun; the scheduler counts them as running from now on.
    pub start: Vec<Start>,
    /// When to ask again, if no run ends before.
    pub wake: Option<Timestamp>,
    /// Schedules that cannot be followed. (The alerts say so too.)
    pub unreadable: Vec<(Work, InvalidCalendar)>,
}

/// When a task is to be begun.
enum Next {
    Never,
    At(Timestamp),
    Now { since: Timestamp, missed: u64 },
}

/// What runs, and what came of the runs of this process. (The record knows them too, unless it cannot be written.)
pub struct Scheduler {
    slots: usize,
    zone: TimeZone,
    running: BTreeMap<Work, Timestamp>,
    own: HashMap<Work, History>,
    timetables: HashMap<Work, (Schedule, Timetable)>,
}

impl Scheduler {
    /// `slots`: how many jobs may run at once, at least one. `zone`: for calendars that name none.
    pub fn new(slots: usize, zone: TimeZone) -> Self {
        let (running, own, timetables) = (BTreeMap::new(), HashMap::new(), HashMap::new());
        Self { slots: slots.max(1), zone, running, own, timetables }
    }

    /// What runs now, and since when.
    pub fn running(&self) -> &BTreeMap<Work, Timestamp> {
        &self.running
    }

    /// Decides what is to begin at `now`: what has failed least comes first, then what has waited longest.
    pub fn step(&mut self, tasks: &[Task], now: Timestamp) -> Step {
        let mut step = Step::default();
        let mut due = Vec::new();
        for task in tasks {
            if self.running.contains_key(&task.work) {
                continue;
            }
            let (next, failures) = match self.next(task, now) {
                Ok(found) => found,
                Err(error) => {
                    step.unreadable.push((task.work.clone(), error));
                    continue;
                }
            };
            match next {
                Next::Never => {}
                Next::At(time) => step.wake = Some(step.wake.map_or(time, |wake| wake.min(time))),
                Next::Now { since, missed } => due.push(Start { work: task.work.clone(), since, missed, failures }),
            }
        }
        due.sort_by(|a, b| (a.failures, a.since, &a.work).cmp(&(b.failures, b.since, &b.work)));
        for start in due {
            if self.has_room(start.work.lane()) {
                self.running.insert(start.work.clone(), now);
                step.start.push(start);
            }
        }
        step
    }

    /// A run has ended. Answers how many have failed in a row, this one included.
    pub fn ended(&mut self, work: &Work, now: Timestamp, well: bool) -> u64 {
        let Some(begun) = self.running.remove(work) else { return 0 };
        let own = self.own.entry(work.clone()).or_default();
        if well {
            *own = History { begun: vec![begun], failures: 0, failed: None };
        } else {
            own.failures += 1;
            own.failed = Some(now);
        }
        own.failures
    }

    /// A run was called off: it neither ended well nor failed.
    pub fn called_off(&mut self, work: &Work) {
        self.running.remove(work);
    }

    fn has_room(&self, lane: Lane) -> bool {
        let running = |lane| self.running.keys().filter(|work| work.lane() == lane).count();
        match lane {
            Lane::Beside => true,
            Lane::Job | Lane::Upkeep if running(Lane::Job) + running(Lane::Upkeep) >= self.slots => false,
            Lane::Job => true,
            Lane::Upkeep => running(Lane::Upkeep) == 0,
        }
    }

    fn next(&mut self, task: &Task, now: Timestamp) -> Result<(Next, u64), InvalidCalendar> {
        let timetable = self.timetable(task)?;
        let own = self.own.get(&task.work);
        let begun = task.history.begun.iter().chain(own.iter().flat_map(|own| &own.begun));
        let last = timetable.last_of(begun.copied(), now);
        let (failures, failed) = failures(&task.history, own, last, now);
        let again = failed.and_then(|failed| retry(&timetable, failures, failed));
        let next = match (timetable.is_due(last, now), again) {
            (Due::No { next: None }, _) => Next::Never,
            (Due::No { next: Some(next) }, _) => Next::At(next),
            (Due::Yes { .. }, Some(again)) if now < again => Next::At(again),
            (Due::Yes { since, missed }, _) => Next::Now { since, missed },
        };
        Ok((next, failures))
    }

    /// The task's schedule, read once.
    fn timetable(&mut self, task: &Task) -> Result<Timetable, InvalidCalendar> {
        if let Some((schedule, timetable)) = self.timetables.get(&task.work)
            && *schedule == task.schedule
        {
            return Ok(timetable.clone());
        }
        let timetable = Timetable::new(&task.schedule, &self.zone)?;
        self.timetables.insert(task.work.clone(), (task.schedule.clone(), timetable.clone()));
        Ok(timetable)
    }
}

/// How often a task has failed since it last ended well, and when it did last: by the record, or by what this process saw
/// where that could not be written down. A failure of the future is one of a clock that was set back since; it counts,
/// and its time does not.
fn failures(
    record: &History,
    own: Option<&History>,
    last: Option<Timestamp>,
    now: Timestamp,
) -> (u64, Option<Timestamp>) {
    let count = record.failures.max(own.map_or(0, |own| own.failures));
    let times = record.failed.into_iter().chain(own.and_then(|own| own.failed));
    let failed = times.filter(|failed| *failed <= now).max();
    // A run that ended well since, by whoever's hand, settles it.
    let settled = failed.is_some_and(|failed| last.is_some_and(|last| last >= failed));
    if settled { (0, None) } else { (count, failed.filter(|_| count > 0)) }
}

/// Until when a task that failed has to wait.
fn retry(timetable: &Timetable, failures: u64, failed: Timestamp) -> Option<Timestamp> {
    let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    let pause = FIRST_PAUSE.checked_mul(1 << doublings).unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE);
    failed.checked_add(pause).ok().into_iter().chain(timetable.next_after(failed)).min()
}
