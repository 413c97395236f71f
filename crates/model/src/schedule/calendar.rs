//! Times of a calendar: from a local time to the one moment that it stands for.

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{
    SignedDuration,
    civil::{DateTime, date},
    tz::{AmbiguousOffset, TimeZone},
};

use crate::{Timestamp, policy::Calendar};

/// A calendar that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCalendar {
    /// The times cannot be understood.
    #[error(
        "`{cron}` is no calendar: {reason}; give minute, hour, day of the month, month and day of the week as in \
         crontab(5), for example `0 2 * * 1-5` for two o'clock from Monday to Friday"
    )]
    Cron {
        /// What was given.
        cron: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no such time.
    #[error("`{cron}` names a time that never comes; `0 2 29 2 *` is the rarest that does: each 29th of February")]
    Never {
        /// What was given.
        cron: String,
    },
    /// The time zone is not known on this machine.
    #[error(
        "this machine knows no time zone `{zone}`; give a name of the IANA database, for example Europe/Berlin (the \
         package tzdata brings them), or none for the machine's own zone"
    )]
    Zone {
        /// What was given.
        zone: String,
    },
}

/// Whether a calendar can be followed; for whoever is about to store one.
///
/// # Errors
/// Where its times cannot be understood or never come, or its zone is not known here.
pub fn check_calendar(calendar: &Calendar) -> Result<(), InvalidCalendar> {
    Times::new(calendar, &TimeZone::UTC).map(|_| ())
}

/// A calendar that has been read.
#[derive(Debug, Clone)]
pub(super) struct Times {
    cron: Cron,
    zone: TimeZone,
}

impl Times {
    pub(super) fn new(calendar: &Calendar, default_zone: &TimeZone) -> Result<Self, InvalidCalendar> {
        let cron = parse(&calendar.cron)?;
        let zone = match &calendar.zone {
            None => default_zone.clone(),
            Some(name) => TimeZone::get(name).map_err(|_| InvalidCalendar::Zone { zone: name.clone() })?,
        };
        Ok(Self { cron, zone })
    }

    /// The first time later than `after`.
    ///
    /// The cron text is asked about wall clocks only; which moment a wall clock's time is, is decided here. Moments
    /// never go back as wall clocks go on, so the first that is late enough is the one. Several tries are needed only
    /// where an hour comes twice.
    pub(super) fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let mut wall = self.zone.to_datetime(after);
        loop {
            wall = self.cron.find_next_occurrence(&wall, false).ok()?;
            let moment = self.moment(wall)?;
            if moment > after {
                return Some(moment);
            }
        }
    }

    /// The last time not later than `now`.
    pub(super) fn latest_at_or_before(&self, now: Timestamp) -> Option<Timestamp> {
        let mut wall = self.zone.to_datetime(now);
        // When an hour has begun to come a second time, all of it has been once.
        if let AmbiguousOffset::Fold { before, after } = self.zone.to_ambiguous_timestamp(wall).offset() {
            let again = SignedDuration::from_secs(i64::from(before.seconds()) - i64::from(after.seconds()));
            wall = wall.checked_add(again).ok()?;
        }
        let mut inclusive = true;
        loop {
            wall = self.cron.find_previous_occurrence(&wall, inclusive).ok()?;
            inclusive = false;
            let moment = self.moment(wall)?;
            if moment <= now {
                return Some(moment);
            }
        }
    }

    /// The one moment that a time on the wall clock stands for.
    fn moment(&self, wall: DateTime) -> Option<Timestamp> {
        let ambiguous = self.zone.to_ambiguous_timestamp(wall);
        let AmbiguousOffset::Gap { .. } = ambiguous.offset() else { return ambiguous.earlier().ok() };
        // As the clocks ran before the gap: a moment behind it, or the very one at which they were set.
        let behind = ambiguous.later().ok()?.checked_add(SignedDuration::from_nanos(1)).ok()?;
        self.zone.preceding(behind).next().map(|transition| transition.timestamp())
    }
}

/// Reads five fields as in `crontab(5)`, or `@daily` and its like.
fn parse(text: &str) -> Result<Cron, InvalidCalendar> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let cron = parser.parse(text).map_err(|error| InvalidCalendar::Cron {
        cron: text.to_owned(),
        reason: if text.split_whitespace().count() == 5 {
            error.to_string()
        } else {
            "it has not five fields".to_owned()
        },
    })?;
    match cron.find_next_occurrence(&date(2000, 1, 1).at(0, 0, 0, 0), true) {
        Ok(_) => Ok(cron),
        Err(_) => Err(InvalidCalendar::Never { cron: text.to_owned() }),
    }
}
