//! When something is to be done: intervals, and times of a calendar in a time zone.
//!
//! An interval counts from the beginning of the last run. A calendar names local times, and each is one moment:
//!
//! - A local time that the clocks leave out in spring stands for the moment right behind the gap, and all those of one
//!   gap for one run.
//! - A local time that comes twice in autumn stands for the first of the two.
//! - Runs that were missed are made good by one.
//!
//! The clock itself may step. One that leaps ahead makes one run due, not thousands; one that falls back makes nothing
//! wait for the old time to come again (see [`Timetable::is_due`]).

mod calendar;

use jiff::{SignedDuration, tz::TimeZone};

use calendar::Times;
pub use calendar::{InvalidCalendar, check_calendar};

use crate::{
    Timestamp,
    policy::{Calendar, Group},
};

/// When something is to be done. With both parts, whichever comes first; with neither, only when asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schedule {
    /// So many seconds after the last run began; 0 is taken for 1.
    pub every_seconds: Option<u64>,
    /// At these times.
    pub calendar: Option<Calendar>,
}

impl Schedule {
    /// A schedule of an interval alone.
    pub fn every(seconds: u64) -> Self {
        Self { every_seconds: Some(seconds), calendar: None }
    }

    /// Whether it wants nothing of itself.
    pub fn is_empty(&self) -> bool {
        self.every_seconds.is_none() && self.calendar.is_none()
    }
}

impl From<&Group> for Schedule {
    fn from(group: &Group) -> Self {
        Self { every_seconds: group.every_seconds, calendar: group.calendar.clone() }
    }
}

/// Whether a run is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Not yet.
    No {
        /// When; `None`: never of itself.
        next: Option<Timestamp>,
    },
    /// Now.
    Yes {
        /// Since when.
        since: Timestamp,
        /// How many more have become due since, which this one run makes good; at most [`MISSED_MAX`].
        missed: u64,
    },
}

/// No more missed runs than this are counted.
pub const MISSED_MAX: u64 = 1_000;

/// A schedule that has been read, ready to be asked.
#[derive(Debug, Clone)]
pub struct Timetable {
    every: Option<SignedDuration>,
    times: Option<Times>,
}

impl Timetable {
    /// Reads a schedule. `default_zone`: for a calendar that names none.
    ///
    /// # Errors
    /// Where the calendar cannot be understood, or its zone is not known here.
    pub fn new(schedule: &Schedule, default_zone: &TimeZone) -> Result<Self, InvalidCalendar> {
        let seconds = |every: u64| SignedDuration::from_secs(i64::try_from(every.max(1)).unwrap_or(i64::MAX));
        Ok(Self {
            every: schedule.every_seconds.map(seconds),
            times: schedule.calendar.as_ref().map(|calendar| Times::new(calendar, default_zone)).transpose()?,
        })
    }

    /// When the next run is wanted, if the last began at `last`. Always later than that.
    pub fn next_after(&self, last: Timestamp) -> Option<Timestamp> {
        let by_interval = self.every.and_then(|every| last.checked_add(every).ok());
        let by_calendar = self.times.as_ref().and_then(|times| times.next_after(last));
        by_interval.into_iter().chain(by_calendar).min()
    }

    /// The last time of the calendar up to `now`. An interval has no times of its own.
    pub fn latest_at_or_before(&self, now: Timestamp) -> Option<Timestamp> {
        self.times.as_ref().and_then(|times| times.latest_at_or_before(now))
    }

    /// Whether a run is wanted at `now`, if the last began at `last`. What never ran is due at once.
    ///
    /// A `last` of the future means that the clock was set back. Within one interval (two times of the calendar) it is
    /// believed, and nothing runs twice; further ahead, it is taken for a time of a wrong clock, and a run is due.
    pub fn is_due(&self, last: Option<Timestamp>, now: Timestamp) -> Due {
        if self.every.is_none() && self.times.is_none() {
            return Due::No { next: None };
        }
        let Some(last) = last.filter(|last| self.is_credible(*last, now)) else {
            return Due::Yes { since: self.latest_at_or_before(now).unwrap_or(now), missed: 0 };
        };
        match self.next_after(last) {
            Some(since) if since <= now => Due::Yes { since, missed: self.count_between(since, now) },
            next => Due::No { next },
        }
    }

    /// Of the beginnings of all runs that are on record, the one to count from: the latest that the clock allows to be
    /// believed (see [`Timetable::is_due`]).
    pub fn last_of(&self, starts: impl IntoIterator<Item = Timestamp>, now: Timestamp) -> Option<Timestamp> {
        starts.into_iter().filter(|start| self.is_credible(*start, now)).max()
    }

    fn is_credible(&self, last: Timestamp, now: Timestamp) -> bool {
        if last <= now {
            return true;
        }
        let interval = self.every.and_then(|every| now.checked_add(every).ok());
        let second = |times: &Times| times.next_after(now).and_then(|next| times.next_after(next));
        let limit = interval.into_iter().chain(self.times.as_ref().and_then(second)).min();
        limit.is_none_or(|limit| last <= limit)
    }

    /// How many times there are behind `since` up to `now`, if each is counted from the one before.
    fn count_between(&self, since: Timestamp, now: Timestamp) -> u64 {
        if let (Some(every), None) = (self.every, &self.times) {
            let count = now.duration_since(since).as_secs() / every.as_secs();
            return u64::try_from(count).unwrap_or(0).min(MISSED_MAX);
        }
        let times = std::iter::successors(self.next_after(since), |time| self.next_after(*time));
        (0..MISSED_MAX).zip(times.take_while(|time| *time <= now)).count() as u64
    }
}

#[cfg(test)]
mod tests;
