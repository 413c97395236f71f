//! Which recovery points stay.
//!
//! A policy ([`Retention`]) names what to keep. [`Retention::plan`] applies it to the points of one source and answers
//! with a value that can be printed, tested and then carried out. Deleting is late and limited, so the policy alone
//! never decides:
//!
//! - A policy that would keep nothing is refused.
//! - The newest good point always stays.
//! - A point that cannot be relied on never pushes a good one out.
//! - A point whose time lies in the future stays and counts for nothing, so a clock that once ran ahead pushes nothing
//!   out.
//! - Ages are counted from the newest good point, not from now, and long gaps between points hardly count at all: a
//!   source that is no longer backed up stops ageing.
//! - One run gives up no more than its [`Guards`] allow, the oldest first.

mod plan;
mod span;

use serde::{Deserialize, Serialize};

pub use plan::{Candidate, Guards, Kept, Note, Plan, Reason};
pub use span::{InvalidSpan, parse_span_seconds, span_in_words};

/// What a policy keeps; a point stays if any rule keeps it. All `None`: everything stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Retention {
    /// Points younger than this many seconds stay.
    pub within_seconds: Option<u64>,
    /// The newest N stay.
    pub last: Option<u32>,
    /// The newest point of each of the last N days that have one.
    pub daily: Option<u32>,
    /// The same for weeks (ISO, Monday first).
    pub weekly: Option<u32>,
    /// The same for months.
    pub monthly: Option<u32>,
    /// The same for years.
    pub yearly: Option<u32>,
}

/// A policy that would keep nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "this retention would keep nothing: every rule in it is zero; give at least one rule a number above zero, or none at all to keep everything"
)]
pub struct KeepsNothing;

impl Retention {
    /// Refuses a policy that would keep nothing.
    ///
    /// # Errors
    /// Where there are rules and every one of them is zero.
    pub fn check(&self) -> Result<(), KeepsNothing> {
        let counts = [self.last, self.daily, self.weekly, self.monthly, self.yearly];
        let rules = || self.within_seconds.into_iter().chain(counts.iter().flatten().map(|&n| u64::from(n)));
        if rules().next().is_some() && rules().all(|n| n == 0) { Err(KeepsNothing) } else { Ok(()) }
    }

    /// Whether there is no rule at all, so that everything stays.
    pub fn keeps_everything(&self) -> bool {
        *self == Self::default()
    }

    /// For how many days a point is surely kept, whatever other points there are.
    pub fn surely_kept_days(&self) -> u64 {
        let periods = [(self.daily, 1), (self.weekly, 7), (self.monthly, 28), (self.yearly, 365)];
        let by_period = periods.map(|(count, days)| u64::from(count.unwrap_or(0)) * days);
        by_period.into_iter().fold(self.within_seconds.unwrap_or(0) / 86_400, u64::max)
    }

    /// The policy in words, for lists and questions.
    pub fn describe(&self) -> String {
        let mut rules = Vec::new();
        if let Some(seconds) = self.within_seconds {
            rules.push(format!("points younger than {}", span_in_words(seconds)));
        }
        match self.last {
            Some(1) => rules.push("the newest point".to_owned()),
            Some(n) => rules.push(format!("the newest {n} points")),
            None => {}
        }
        let periods = [(self.daily, "day"), (self.weekly, "week"), (self.monthly, "month"), (self.yearly, "year")];
        for (count, period) in periods {
            match count {
                Some(1) => rules.push(format!("the newest point of the last {period} that has one")),
                Some(n) => rules.push(format!("the newest point of each of the last {n} {period}s that have one")),
                None => {}
            }
        }
        if rules.is_empty() { "everything".to_owned() } else { rules.join(", and ") }
    }
}

#[cfg(test)]
mod tests;
