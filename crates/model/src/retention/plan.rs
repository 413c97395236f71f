//! Applying a policy to the points of one source: data in, a plan out; no clock, no storage.

use std::{collections::BTreeSet, fmt};

use jiff::{Timestamp, tz::TimeZone};

use super::{KeepsNothing, Retention};

/// What the plan needs to know of a point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate<K> {
    /// What the caller knows it by. Points of the same time are ordered by it.
    pub key: K,
    /// When the server received it.
    pub time: Timestamp,
    /// Whether it can be recovered: complete or partial, not damaged or missing.
    pub good: bool,
}

/// What limits a run, whatever the policy says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guards {
    /// How often the source is meant to be backed up. A gap between points much longer than this is a stop, and time
    /// spent stopped does not count as age. `None`: only gaps of more than 400 days do not count (see [`Plan`]).
    pub objective_seconds: Option<u64>,
    /// A run may always give up this many points of the source...
    pub cap_points: usize,
    /// ...or this share of those it has, in percent, whichever is more.
    pub cap_percent: u8,
}

impl Default for Guards {
    fn default() -> Self {
        Self { objective_seconds: None, cap_points: 10, cap_percent: 50 }
    }
}

impl Guards {
    /// The most that one run may give up of a source with `count` points.
    fn cap(&self, count: usize) -> usize {
        let share = count.saturating_mul(usize::from(self.cap_percent.min(100))) / 100;
        share.max(self.cap_points)
    }

    /// How much of the time between two good points, in nanoseconds, counts as age.
    ///
    /// With an objective, a gap counts up to twice the objective or a day. Without one nobody can say what a stop is,
    /// and every gap counts in full; but one of more than 400 days is nobody's schedule: the clock was wrong, or the
    /// source had been forgotten.
    fn counted(&self, gap: i128) -> i128 {
        const SECOND: i128 = 1_000_000_000;
        const DAY: i128 = 86_400 * SECOND;
        match self.objective_seconds {
            Some(objective) => gap.min(DAY.max(2 * i128::from(objective) * SECOND)),
            None if gap > 400 * DAY => 0,
            None => gap,
        }
    }
}

/// Why a point stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The policy has no rule.
    NoRule,
    /// It is young enough.
    Within,
    /// It is among the newest N.
    Last,
    /// It is the newest of its day.
    Daily,
    /// It is the newest of its week.
    Weekly,
    /// It is the newest of its month.
    Monthly,
    /// It is the newest of its year.
    Yearly,
    /// It is the newest good point of the source.
    NewestGood,
    /// Its time lies in the future.
    Future,
    /// The source has no good point by which others could be judged.
    NoGoodPoint,
    /// It was to go, and the run may not give up more.
    HeldBack,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRule => "everything is kept",
            Self::Within => "young enough",
            Self::Last => "among the newest",
            Self::Daily => "newest of its day",
            Self::Weekly => "newest of its week",
            Self::Monthly => "newest of its month",
            Self::Yearly => "newest of its year",
            Self::NewestGood => "newest good point",
            Self::Future => "its time lies in the future",
            Self::NoGoodPoint => "the source has no good point",
            Self::HeldBack => "held back by the cap of a run",
        })
    }
}

/// A point that stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept<K> {
    /// The point.
    pub point: Candidate<K>,
    /// Every reason that keeps it; never empty.
    pub reasons: Vec<Reason>,
}

/// Something about a plan that people should be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Ages are not counted up to now, and that saved points.
    Paused {
        /// The time that ages are counted from.
        newest: Timestamp,
        /// How many points stay only because of it.
        spared: usize,
    },
    /// More was to go than one run may give up.
    HeldBack {
        /// How many points the next runs will give up.
        count: usize,
        /// How many this run may.
        cap: usize,
    },
    /// Some points are of the future.
    Future {
        /// How many.
        count: usize,
    },
    /// No point of the source (none that is not of the future) is good.
    NoGoodPoint,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paused { newest, spared } => write!(
                f,
                "backups paused: ages are counted up to the newest good point, of {newest}, and without the pauses \
                 between points; {spared} point(s) stay because of it"
            ),
            Self::HeldBack { count, cap } => {
                write!(f, "one run gives up at most {cap} point(s) here; {count} more wait for the next runs")
            }
            Self::Future { count } => write!(
                f,
                "{count} point(s) have a time in the future; they stay and count for nothing: check the server's clock"
            ),
            Self::NoGoodPoint => f.write_str("no point is good, so nothing expires: make a new one"),
        }
    }
}

/// What is to become of the points of one source. Both lists are oldest first; together they hold every point given.
///
/// *Age* is the time from a point to the newest good one, less the pauses in between: what a pause is, see
/// [`Guards::objective_seconds`]. So a source whose backups have stopped does not age, neither while they are stopped
/// nor all at once when they begin again, and a clock that steps years ahead makes nothing old.
///
/// A point that is not good is judged as if it alone had been mended: the same rules keep it, since the next backup or
/// another copy may mend it, but no rule counts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan<K> {
    /// What stays, and why.
    pub kept: Vec<Kept<K>>,
    /// What may be given up.
    pub expired: Vec<Candidate<K>>,
    /// What people should be told.
    pub notes: Vec<Note>,
}

impl<K> Plan<K> {
    /// How many points were to go and were held back by the cap of a run.
    pub fn held_back(&self) -> usize {
        self.notes
            .iter()
            .find_map(|n| if let Note::HeldBack { count, .. } = n { Some(*count) } else { None })
            .unwrap_or(0)
    }
}

impl Retention {
    /// Decides which of a source's points stay. `zone` says where its days, weeks, months and years begin.
    ///
    /// # Errors
    /// Where the policy would keep nothing ([`Retention::check`]).
    pub fn plan<K: Ord>(
        &self,
        mut points: Vec<Candidate<K>>,
        now: Timestamp,
        zone: &TimeZone,
        guards: &Guards,
    ) -> Result<Plan<K>, KeepsNothing> {
        self.check()?;
        points.sort_by(|a, b| (a.time, &a.key).cmp(&(b.time, &b.key)));
        let cap = guards.cap(points.len());
        let judged = Judge::new(self, now, zone, guards).judge(&points);

        let mut plan = Plan { kept: Vec::new(), expired: Vec::new(), notes: judged.notes };
        let mut held_back = 0;
        for (point, mut reasons) in points.into_iter().zip(judged.reasons) {
            if reasons.is_empty() && plan.expired.len() < cap {
                plan.expired.push(point);
                continue;
            }
            if reasons.is_empty() {
                held_back += 1;
                reasons.push(Reason::HeldBack);
            }
            plan.kept.push(Kept { point, reasons });
        }
        if held_back > 0 {
            plan.notes.push(Note::HeldBack { count: held_back, cap });
        }
        Ok(plan)
    }
}

/// A rule that counts: the newest good point of each of the newest `left` periods.
struct Counter {
    reason: Reason,
    left: u32,
    /// The periods that a good point was seen in. For `Last` each point is a period of its own.
    seen: BTreeSet<(i16, i16)>,
}

impl Counter {
    /// Whether the rule keeps the next older point. Only good points are counted.
    fn keeps(&mut self, period: Option<(i16, i16)>, good: bool) -> bool {
        if self.left == 0 || period.is_some_and(|p| self.seen.contains(&p)) {
            return false;
        }
        if good {
            self.left -= 1;
            self.seen.extend(period);
        }
        true
    }
}

/// What the rules say of each point, in the order given.
struct Judged {
    /// Empty where no rule keeps the point.
    reasons: Vec<Vec<Reason>>,
    notes: Vec<Note>,
}

/// Goes through the points from the newest to the oldest.
struct Judge<'a> {
    policy: &'a Retention,
    now: Timestamp,
    zone: &'a TimeZone,
    guards: &'a Guards,
    counters: Vec<Counter>,
}

impl<'a> Judge<'a> {
    fn new(policy: &'a Retention, now: Timestamp, zone: &'a TimeZone, guards: &'a Guards) -> Self {
        let rules = [
            (Reason::Last, policy.last),
            (Reason::Daily, policy.daily),
            (Reason::Weekly, policy.weekly),
            (Reason::Monthly, policy.monthly),
            (Reason::Yearly, policy.yearly),
        ];
        let counters = rules
            .into_iter()
            .filter_map(|(reason, left)| left.map(|left| Counter { reason, left, seen: BTreeSet::new() }))
            .collect();
        Self { policy, now, zone, guards, counters }
    }

    fn judge<K>(mut self, points: &[Candidate<K>]) -> Judged {
        let newest = points.iter().rev().find(|p| p.good && p.time <= self.now).map(|p| p.time);
        let mut reasons: Vec<Vec<Reason>> = Vec::with_capacity(points.len());
        let (mut future, mut spared) = (0, 0);
        // The good point met last, and its age.
        let mut newer: Option<(Timestamp, i128)> = None;
        for point in points.iter().rev() {
            let mut why = Vec::new();
            if point.time > self.now {
                future += 1;
                why.push(Reason::Future);
                reasons.push(why);
                continue;
            }
            if self.policy.keeps_everything() {
                why.push(Reason::NoRule);
            }
            if newest.is_none() {
                why.push(Reason::NoGoodPoint);
            }
            let age = newer.map_or(0, |(time, age)| age + self.guards.counted(nanoseconds(point.time, time)));
            if self.is_young(age) {
                why.push(Reason::Within);
            }
            let periods = self.periods(point.time);
            for counter in &mut self.counters {
                let period = periods.iter().find(|(reason, _)| *reason == counter.reason).map(|(_, period)| *period);
                if counter.keeps(period, point.good) {
                    why.push(counter.reason);
                }
            }
            if point.good && newer.is_none() {
                why.push(Reason::NewestGood);
            }
            if point.good {
                newer = Some((point.time, age));
            }
            if why == [Reason::Within] && !self.is_young(nanoseconds(point.time, self.now)) {
                spared += 1;
            }
            reasons.push(why);
        }
        reasons.reverse();

        let mut notes = Vec::new();
        match newest {
            Some(newest) if spared > 0 => notes.push(Note::Paused { newest, spared }),
            None if !points.is_empty() && !self.policy.keeps_everything() => notes.push(Note::NoGoodPoint),
            _ => {}
        }
        if future > 0 {
            notes.push(Note::Future { count: future });
        }
        Judged { reasons, notes }
    }

    fn is_young(&self, age: i128) -> bool {
        self.policy.within_seconds.is_some_and(|within| within > 0 && age <= i128::from(within) * 1_000_000_000)
    }

    /// The day, week, month and year that a time lies in, by the zone's calendar.
    fn periods(&self, time: Timestamp) -> [(Reason, (i16, i16)); 4] {
        let date = self.zone.to_datetime(time).date();
        let week = date.iso_week_date();
        [
            (Reason::Daily, (date.year(), date.day_of_year())),
            (Reason::Weekly, (week.year(), i16::from(week.week()))),
            (Reason::Monthly, (date.year(), i16::from(date.month()))),
            (Reason::Yearly, (date.year(), 0)),
        ]
    }
}

/// The time from one moment to a later one.
fn nanoseconds(from: Timestamp, to: Timestamp) -> i128 {
    to.as_nanosecond() - from.as_nanosecond()
}
