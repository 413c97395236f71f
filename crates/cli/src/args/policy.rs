//! Retention, objective and selection, wherever they can be given.

use clap::Args;
use resurgam_model::{
    policy::{Calendar, Selection},
    retention::{InvalidSpan, KeepsNothing, Retention, parse_span_seconds},
};

/// Which points stay. A point stays if any rule keeps it; without a rule every point stays.
#[derive(Debug, Args, Default)]
#[command(next_help_heading = "Retention (a point stays if any rule keeps it; without a rule every point stays)")]
pub(crate) struct Keep {
    /// Keep points younger than this, such as 36h, 14d, 6mo
    #[arg(long, value_name = "AGE", value_parser = span, allow_hyphen_values = true)]
    pub(crate) keep: Option<u64>,
    /// Keep the newest N points
    #[arg(long, value_name = "N")]
    pub(crate) keep_last: Option<u32>,
    /// Keep the newest point of each of the last N days that have one
    #[arg(long, value_name = "N")]
    pub(crate) keep_daily: Option<u32>,
    /// The same for weeks
    #[arg(long, value_name = "N")]
    pub(crate) keep_weekly: Option<u32>,
    /// The same for months
    #[arg(long, value_name = "N")]
    pub(crate) keep_monthly: Option<u32>,
    /// The same for years
    #[arg(long, value_name = "N")]
    pub(crate) keep_yearly: Option<u32>,
}

impl Keep {
    /// The policy; `None` where no rule was given.
    ///
    /// # Errors
    /// Where it would keep nothing.
    pub(crate) fn retention(&self) -> Result<Option<Retention>, KeepsNothing> {
        let retention = Retention {
            within_seconds: self.keep,
            last: self.keep_last,
            daily: self.keep_daily,
            weekly: self.keep_weekly,
            monthly: self.keep_monthly,
            yearly: self.keep_yearly,
        };
        retention.check()?;
        Ok((!retention.keeps_everything()).then_some(retention))
    }
}

/// How often a point is due.
#[derive(Debug, Args, Default)]
pub(crate) struct Every {
    /// How often a point is due, such as 1h: `status` says where it was missed
    #[arg(long, value_name = "SPAN", value_parser = span, allow_hyphen_values = true)]
    pub(crate) every: Option<u64>,
}

/// Calendar times at which a point is made.
#[derive(Debug, Args, Default)]
pub(crate) struct At {
    /// Times of a calendar as in crontab(5), such as "0 2 * * 1-5": `serve` makes a point then
    #[arg(long, value_name = "CRON")]
    pub(crate) at: Option<String>,
    /// The time zone of --at, such as Europe/Berlin [default: this machine's]
    #[arg(long, value_name = "ZONE", requires = "at")]
    pub(crate) time_zone: Option<String>,
}

impl At {
    /// The calendar, where one was given.
    pub(crate) fn calendar(&self) -> Option<Calendar> {
        self.at.clone().map(|cron| Calendar { cron, zone: self.time_zone.clone() })
    }
}

/// What is left out of a source.
#[derive(Debug, Args, Default)]
#[command(next_help_heading = "Selection")]
pub(crate) struct Leave {
    /// Leave out what matches; `**` crosses directories, a glob without a slash matches names anywhere
    #[arg(long, value_name = "GLOB")]
    pub(crate) exclude: Vec<String>,
    /// Keep what matches although an --exclude matches it too
    #[arg(long, value_name = "GLOB")]
    pub(crate) include: Vec<String>,
    /// Leave out the contents of directories marked by a CACHEDIR.TAG
    #[arg(long)]
    pub(crate) exclude_caches: bool,
    /// Enter other file systems mounted below the root
    #[arg(long, conflicts_with = "one_file_system")]
    pub(crate) cross_file_systems: bool,
    /// Stay on the root's file system (the default)
    #[arg(long)]
    pub(crate) one_file_system: bool,
}

impl Leave {
    /// The selection.
    pub(crate) fn selection(&self) -> Selection {
        Selection {
            exclude: self.exclude.clone(),
            include: self.include.clone(),
            exclude_caches: self.exclude_caches,
            cross_file_systems: self.cross_file_systems,
        }
    }

    /// Whether anything was said about it.
    pub(crate) fn is_given(&self) -> bool {
        self.one_file_system || self.selection() != Selection::default()
    }
}

pub(super) fn span(text: &str) -> Result<u64, InvalidSpan> {
    parse_span_seconds(text)
}
