//! What the rows of jobs say of the runs of a task.

use resurgam_catalog::{JobRecord, JobState};
use resurgam_model::Timestamp;

use crate::scheduler::History;

/// The history of a task, from the jobs that are runs of it, newest first.
///
/// Jobs of the future are those of a clock that was set back since: they may tell when something began, and never that
/// something failed.
pub(super) fn history<'a>(jobs: impl Iterator<Item = &'a JobRecord>, now: Timestamp) -> History {
    let mut history = History::default();
    for job in jobs {
        match job.state {
            JobState::Running | JobState::Cancelled => {}
            JobState::Done | JobState::Partial => {
                history.begun.push(job.started);
                // The scheduler may need the one before, where the clock does not allow this one to be believed.
                if job.started <= now {
                    break;
                }
            }
            JobState::Failed | JobState::Interrupted if job.started > now => {}
            JobState::Failed | JobState::Interrupted => {
                history.failures += 1;
                history.failed = history.failed.max(Some(job.ended.unwrap_or(job.started)));
            }
        }
    }
    history
}

/// The history of a task that is one job for each of several parts: it has ended well when each of them has.
pub(super) fn of_parts(parts: impl IntoIterator<Item = History>) -> History {
    let mut whole: Option<History> = None;
    for part in parts {
        whole = Some(match whole {
            None => part,
            Some(whole) => History {
                // The part that was done longest ago; none, if one never was.
                begun: if whole.begun.iter().max() <= part.begun.iter().max() { whole.begun } else { part.begun },
                failures: whole.failures.max(part.failures),
                failed: whole.failed.max(part.failed),
            },
        });
    }
    whole.unwrap_or_default()
}

#[cfg(test)]
mod tests;
