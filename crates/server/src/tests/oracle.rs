//! What should have happened, worked out the naive way: minute by minute, and point by point.

use std::collections::BTreeSet;

use jiff::{
    SignedDuration,
    civil::{Date, DateTime},
    tz::TimeZone,
};
use resurgam_model::{Timestamp, retention::Retention};

/// A calendar as sets of what a wall clock must show.
#[derive(Debug, Clone)]
pub(super) struct Wall {
    pub(super) zone: &'static str,
    pub(super) minutes: &'static [i8],
    pub(super) hours: &'static [i8],
    /// From Sunday.
    pub(super) weekdays: &'static [i8],
}

impl Wall {
    pub(super) fn cron(&self) -> String {
        let list = |set: &[i8]| set.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        format!("{} {} * * {}", list(self.minutes), list(self.hours), list(self.weekdays))
    }

    fn shows(&self, wall: DateTime) -> bool {
        self.minutes.contains(&wall.minute())
            && self.hours.contains(&wall.hour())
            && self.weekdays.contains(&wall.weekday().to_sunday_zero_offset())
    }

    /// The moments wanted within some minutes: each minute that the wall clock shows for the first time; those that it
    /// jumps over count when it shows the next one.
    pub(super) fn moments(&self, from: Timestamp, minutes: i64) -> Vec<Timestamp> {
        let zone = TimeZone::get(self.zone).unwrap();
        let one = SignedDuration::from_mins(1);
        let mut newest = zone.to_datetime(from - one);
        let mut found = Vec::new();
        for minute in 0..minutes {
            let moment = from + SignedDuration::from_mins(minute);
            let wall = zone.to_datetime(moment);
            let mut wanted = false;
            while newest < wall {
                newest += one;
                wanted |= self.shows(newest);
            }
            if wanted {
                found.push(moment);
            }
        }
        found
    }
}

/// Which points (sorted, all good) a run of expiry leaves, by the words of the manual.
pub(super) fn kept(
    policy: &Retention,
    points: &[Timestamp],
    now: Timestamp,
    zone: &TimeZone,
    objective: Option<u64>,
    cap: usize,
) -> Vec<Timestamp> {
    let present: Vec<Timestamp> = points.iter().copied().filter(|time| *time <= now).collect();
    let dates: Vec<Date> = present.iter().map(|time| zone.to_datetime(*time).date()).collect();
    let ages = ages(&present, objective);
    let mut going = Vec::new();
    for (at, time) in present.iter().enumerate() {
        let newer = present.len() - at - 1;
        let young = policy.within_seconds.is_some_and(|within| ages[at] <= i128::from(within) * 1_000_000_000);
        let last = policy.last.is_some_and(|count| newer < count as usize);
        let daily = period(&dates, at, policy.daily, |date| (date.year(), date.day_of_year()));
        let week = |date: Date| (date.iso_week_date().year(), i16::from(date.iso_week_date().week()));
        let weekly = period(&dates, at, policy.weekly, week);
        let monthly = period(&dates, at, policy.monthly, |date| (date.year(), i16::from(date.month())));
        let yearly = period(&dates, at, policy.yearly, |date| (date.year(), 0));
        let all = policy.keeps_everything();
        if !(all || newer == 0 || young || last || daily || weekly || monthly || yearly) {
            going.push(*time);
        }
    }
    going.truncate(cap);
    let going: BTreeSet<Timestamp> = going.into_iter().collect();
    points.iter().copied().filter(|time| !going.contains(time)).collect()
}

/// Whether a point is the newest of its period, and its period among the newest `count`.
fn period(dates: &[Date], at: usize, count: Option<u32>, of: impl Fn(Date) -> (i16, i16)) -> bool {
    let Some(count) = count else { return false };
    let own = of(dates[at]);
    let newest_of_it = dates.get(at + 1).is_none_or(|next| of(*next) != own);
    // Dates are sorted, so a period begins wherever the next date lies in another.
    let newer = dates[at..].windows(2).filter(|pair| of(pair[0]) != of(pair[1])).take(count as usize).count();
    newest_of_it && newer < count as usize
}

/// Time from each point to the newest, less what of each gap is a pause.
fn ages(present: &[Timestamp], objective: Option<u64>) -> Vec<i128> {
    const SECOND: i128 = 1_000_000_000;
    const DAY: i128 = 86_400 * SECOND;
    let mut ages = vec![0; present.len()];
    for at in (0..present.len().saturating_sub(1)).rev() {
        let gap = present[at + 1].as_nanosecond() - present[at].as_nanosecond();
        let counted = match objective {
            Some(objective) => gap.min(DAY.max(2 * i128::from(objective) * SECOND)),
            None if gap > 400 * DAY => 0,
            None => gap,
        };
        ages[at] = ages[at + 1] + counted;
    }
    ages
}
