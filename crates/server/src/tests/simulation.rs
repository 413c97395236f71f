//! A server's life without a server: a clock that is set, a daemon that is away at times, sources that fail for a while.

use std::collections::BTreeMap;

use jiff::{SignedDuration, tz::TimeZone};
use resurgam_model::{
    SourceId, Timestamp,
    alert::{Condition, Facts, SourceFacts, conditions},
    policy::Calendar,
    retention::{Candidate, Guards, Retention},
    schedule::Schedule,
};

use super::oracle::Wall;
use crate::{
    scheduler::{History, Scheduler, Task},
    work::Work,
};

pub(super) const MINUTE: i64 = 60;
pub(super) const HOUR: i64 = 3_600;
pub(super) const DAY: i64 = 24 * HOUR;

/// Numbers that only look random (SplitMix64), so that a seed tells all.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn between(&mut self, least: i64, most: i64) -> i64 {
        least + (self.roll() % (most - least).unsigned_abs()) as i64
    }
}

/// A run of a source's backup, by the true time in seconds and by the clock.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) begun_truly: i64,
    pub(super) begun: Timestamp,
    pub(super) ended: Timestamp,
    pub(super) well: bool,
}

pub(super) struct Source {
    pub(super) id: SourceId,
    pub(super) every: Option<u64>,
    pub(super) wall: Option<Wall>,
    pub(super) retention: Retention,
    /// True times at which it fails, from and to.
    pub(super) fails: Vec<(i64, i64)>,
    pub(super) points: Vec<Timestamp>,
    pub(super) runs: Vec<Run>,
}

impl Source {
    pub(super) fn new(number: u8, every: Option<u64>, wall: Option<Wall>, retention: Retention) -> Self {
        let id = SourceId::from_bytes([number; 16]);
        Self { id, every, wall, retention, fails: Vec::new(), points: Vec::new(), runs: Vec::new() }
    }

    pub(super) fn root(&self) -> String {
        self.id.to_string()
    }

    pub(super) fn schedule(&self) -> Schedule {
        let calendar = self.wall.as_ref().map(|wall| Calendar { cron: wall.cron(), zone: Some(wall.zone.to_owned()) });
        Schedule { every_seconds: self.every, calendar }
    }

    /// Whether it fails at a time, or has within some seconds before.
    pub(super) fn failed_within(&self, truly: i64, before: i64) -> bool {
        self.fails.iter().any(|(from, to)| *from <= truly && truly - before <= *to)
    }

    fn history(&self, now: Timestamp) -> History {
        let mut begun: Vec<Timestamp> = Vec::new();
        let well = || self.runs.iter().rev().filter(|run| run.well);
        begun.extend(well().next().map(|run| run.begun));
        begun.extend(well().find(|run| run.begun <= now).map(|run| run.begun));
        let (failures, last_failure) = self.failures();
        History { begun, failures, failed: last_failure.map(|run| run.ended) }
    }

    fn failures(&self) -> (u64, Option<&Run>) {
        let failed = self.runs.iter().rev().take_while(|run| !run.well).count();
        (failed as u64, self.runs.last().filter(|run| !run.well))
    }
}

/// What happens to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Happening {
    Down,
    Up,
    /// The clock is set by so many seconds.
    Step(i64),
}

struct Running {
    ends_truly: i64,
    begun_truly: i64,
    begun: Timestamp,
}

/// Looks at a run of expiry: a source, its points before and after, and the clock.
type Expired = Box<dyn FnMut(&Source, &[Timestamp], &[Timestamp], Timestamp)>;

pub(super) struct Simulation {
    start: Timestamp,
    pub(super) truly: i64,
    offset: i64,
    pub(super) zone: TimeZone,
    pub(super) sources: Vec<Source>,
    pub(super) happenings: Vec<(i64, Happening)>,
    dice: Dice,
    scheduler: Option<Scheduler>,
    running: BTreeMap<Work, Running>,
    /// Runs of expiry.
    pub(super) expiries: Vec<Run>,
    pub(super) up_since: i64,
    pub(super) stepped: i64,
    pub(super) expired: Expired,
}

/// As `jobs` has it.
pub(super) const CAP_POINTS: usize = 64;
pub(super) const CAP_PERCENT: u8 = 50;

impl Simulation {
    pub(super) fn new(start: Timestamp, zone: TimeZone, sources: Vec<Source>, dice: Dice) -> Self {
        Self {
            start,
            truly: 0,
            offset: 0,
            scheduler: Some(Scheduler::new(2, zone.clone())),
            zone,
            sources,
            happenings: Vec::new(),
            dice,
            running: BTreeMap::new(),
            expiries: Vec::new(),
            up_since: 0,
            stepped: 0,
            expired: Box::new(|_, _, _, _| {}),
        }
    }

    pub(super) fn clock(&self) -> Timestamp {
        self.start + SignedDuration::from_secs(self.truly + self.offset)
    }

    pub(super) fn is_up(&self) -> bool {
        self.scheduler.is_some()
    }

    pub(super) fn is_running(&self, source: &Source) -> bool {
        self.running.contains_key(&Work::Backup(source.id))
    }

    /// What is wrong now, by the rules of the model.
    pub(super) fn alerts(&self) -> Vec<Condition> {
        let now = self.clock();
        let facts = |source: &Source| SourceFacts {
            id: source.id,
            root: source.root(),
            schedule: source.schedule(),
            newest: source.points.iter().copied().filter(|time| *time <= now).max().or(source.points.last().copied()),
            stopped: false,
            failures: source.failures().0,
            last_failure: None,
        };
        conditions(&Facts { sources: self.sources.iter().map(facts).collect(), ..Facts::default() }, now)
    }

    fn tasks(&self) -> Vec<Task> {
        let now = self.clock();
        let backup = |source: &Source| Task {
            work: Work::Backup(source.id),
            schedule: source.schedule(),
            history: source.history(now),
        };
        let begun = self.expiries.iter().rev().take(3).map(|run| run.begun).collect();
        let expire = Task {
            work: Work::Expire,
            schedule: Schedule::every(DAY as u64),
            history: History { begun, ..History::default() },
        };
        self.sources.iter().map(backup).chain([expire]).collect()
    }

    /// Lives until the next thing happens, at the latest until `limit`.
    pub(super) fn advance(&mut self, limit: i64) {
        let mut next = limit;
        if let Some(mut scheduler) = self.scheduler.take() {
            let (tasks, now) = (self.tasks(), self.clock());
            let step = scheduler.step(&tasks, now);
            assert!(step.unreadable.is_empty());
            for start in step.start {
                let lasts = if start.work == Work::Expire { MINUTE } else { self.dice.between(MINUTE, 40 * MINUTE) };
                let run = Running { ends_truly: self.truly + lasts, begun_truly: self.truly, begun: now };
                assert!(self.running.insert(start.work, run).is_none(), "one run at a time");
            }
            assert!(self.running.len() <= 2);
            if let Some(wake) = step.wake {
                next = next.min(self.truly + wake.duration_since(now).as_secs().max(1));
            }
            self.scheduler = Some(scheduler);
        }
        next = next.min(self.running.values().map(|run| run.ends_truly).min().unwrap_or(next));
        next = next.min(self.happenings.first().map_or(next, |(time, _)| *time));
        self.truly = next.max(self.truly);
        self.end_runs();
        while self.happenings.first().is_some_and(|(time, _)| *time <= self.truly) {
            let (_, happening) = self.happenings.remove(0);
            self.happen(happening);
        }
    }

    fn end_runs(&mut self) {
        let ended: Vec<Work> =
            self.running.iter().filter(|(_, run)| run.ends_truly <= self.truly).map(|(work, _)| work.clone()).collect();
        for work in ended {
            let run = self.running.remove(&work).unwrap();
            let well = match &work {
                Work::Backup(id) => !self.sources.iter().any(|s| s.id == *id && s.failed_within(self.truly, 0)),
                _ => true,
            };
            let now = self.clock();
            if let Some(scheduler) = &mut self.scheduler {
                scheduler.ended(&work, now, well);
            }
            let run = Run { begun_truly: run.begun_truly, begun: run.begun, ended: now, well };
            self.record(&work, run);
        }
    }

    fn record(&mut self, work: &Work, run: Run) {
        let Work::Backup(id) = work else {
            if run.well {
                self.expire();
            }
            return self.expiries.push(run);
        };
        let source = self.sources.iter_mut().find(|source| source.id == *id).unwrap();
        if run.well {
            source.points.push(run.ended);
        }
        source.runs.push(run);
    }

    /// Gives points up as `jobs` does.
    fn expire(&mut self) {
        let now = self.clock();
        for source in &mut self.sources {
            source.points.sort();
            let before = source.points.clone();
            let candidates = before.iter().enumerate().map(|(key, time)| Candidate { key, time: *time, good: true });
            let guards = Guards { objective_seconds: source.every, cap_points: CAP_POINTS, cap_percent: CAP_PERCENT };
            let plan = source.retention.plan(candidates.collect(), now, &self.zone, &guards).unwrap();
            source.points = plan.kept.iter().map(|kept| kept.point.time).collect();
            (self.expired)(source, &before, &source.points, now);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Step(seconds) => {
                self.offset += seconds;
                self.stepped = self.truly;
            }
            Happening::Down => {
                self.scheduler = None;
                // What ran is found dead by the next start; until then its row says that it runs.
                let now = self.clock();
                for (work, run) in std::mem::take(&mut self.running) {
                    let run = Run { begun_truly: run.begun_truly, begun: run.begun, ended: now, well: false };
                    self.record(&work, run);
                }
            }
            Happening::Up => {
                self.scheduler = Some(Scheduler::new(2, self.zone.clone()));
                self.up_since = self.truly;
            }
        }
    }
}
