//! Jobs: a row in the catalog while something runs, with a lease, so that whoever comes later can tell a running job
//! from one whose process died.

use std::{fs, sync::mpsc, time::Duration};

use resurgam_catalog::{Fault, Holder, JobState, NewJob};
use resurgam_model::{JobId, SourceId};
use resurgam_store::Cancel;

use crate::{error::JobError, server::Server};

/// How long a job counts as alive on another machine after it was heard of last.
const LEASE_SECONDS: u64 = 120;

/// What a job is about.
pub(crate) struct About {
    pub(crate) kind: &'static str,
    pub(crate) subject: String,
    pub(crate) source: Option<SourceId>,
    /// Whether the job is worth doing although the catalog has no room to write it down: it reads, or makes room.
    pub(crate) even_unwritten: bool,
}

/// How a job ended, when it did not fail.
pub(crate) struct Ended<T> {
    pub(crate) value: T,
    /// Whether all of it was done.
    pub(crate) partial: bool,
    /// What it achieved, in a few words.
    pub(crate) message: String,
}

impl Server {
    /// Runs `work` as a job. However it ends, the row says so.
    pub(crate) fn run<T>(
        &self,
        about: About,
        cancel: &Cancel,
        work: impl FnOnce() -> Result<Ended<T>, JobError>,
    ) -> Result<T, JobError> {
        let id = Self::new_job_id()?;
        let new = NewJob {
            id,
            kind: about.kind.to_owned(),
            subject: about.subject,
            source: about.source,
            holder: this_process(),
            now: self.now(),
            lease_seconds: LEASE_SECONDS,
        };
        let written = match self.catalog.start_job(&new) {
            Ok(()) => true,
            Err(error) if about.even_unwritten && is_unwritable(&error.fault) => {
                self.notice(format!("this {} is not in the list of jobs: {}", about.kind, error.message()));
                false
            }
            Err(error) => return Err(error.into()),
        };
        let result = if written { self.with_lease(id, cancel, work) } else { work() };
        if !written {
            return result.map(|ended| ended.value);
        }
        let (state, message) = match &result {
            Ok(ended) if ended.partial => (JobState::Partial, ended.message.clone()),
            Ok(ended) => (JobState::Done, ended.message.clone()),
            Err(error) if error.is_cancelled() => (JobState::Cancelled, "stopped as asked".to_owned()),
            Err(error) => (JobState::Failed, error.to_string()),
        };
        if let Err(error) = self.catalog.end_job(id, state, Some(&message), self.now()) {
            self.notice(format!("how job {id} ended could not be written down: {}", error.message()));
        }
        result.map(|ended| ended.value)
    }

    /// Runs `work` as a job, for the crates above. `work` answers whether all of it was done, what it achieved in a few
    /// words, and its value.
    ///
    /// # Errors
    /// What `work` fails with; and where the catalog cannot be written.
    pub fn as_job<T>(
        &self,
        kind: &'static str,
        subject: String,
        cancel: &Cancel,
        work: impl FnOnce() -> Result<(bool, String, T), JobError>,
    ) -> Result<T, JobError> {
        let about = About { kind, subject, source: None, even_unwritten: true };
        self.run(about, cancel, || {
            let (whole, message, value) = work()?;
            Ok(Ended { partial: !whole, message, value })
        })
    }

    /// Keeps the lease of a job alive while `work` runs.
    fn with_lease<T>(&self, id: JobId, cancel: &Cancel, work: impl FnOnce() -> T) -> T {
        let (ended, wait) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let pause = Duration::from_secs(LEASE_SECONDS / 3);
                while wait.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
                    match self.catalog.renew_job(id, self.now(), LEASE_SECONDS) {
                        // Somebody has closed this job and may be doing the same work now.
                        Err(error) if matches!(error.fault, Fault::JobLost(_)) => cancel.cancel(),
                        // A catalog that cannot be written for a while does not stop the job.
                        _ => {}
                    }
                }
            });
            let result = work();
            drop(ended);
            result
        })
    }
}

/// Closes the jobs of dead processes. A catalog that cannot be written now will be told later.
pub(crate) fn close_dead(server: &Server) {
    let here = this_process();
    if let Ok(closed) = server.catalog.close_dead_jobs(server.now(), &|holder| is_alive(&here, holder)) {
        for job in closed {
            server.notice(format!(
                "{} of {} ({}) was interrupted: its process ended without a word",
                job.kind, job.subject, job.id
            ));
        }
    }
}

pub(crate) fn is_unwritable(fault: &Fault) -> bool {
    matches!(fault, Fault::Full(_) | Fault::ReadOnly(_) | Fault::Locked(_))
}

fn first_line(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().next().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned)
}

/// This process, so that another can tell whether it lives.
pub(crate) fn this_process() -> Holder {
    let pid = std::process::id();
    let host = first_line("/etc/machine-id").or_else(|| first_line("/proc/sys/kernel/hostname"));
    Holder {
        host: host.unwrap_or_default(),
        boot: first_line("/proc/sys/kernel/random/boot_id").unwrap_or_default(),
        pid,
        pid_started: started(pid).unwrap_or_default(),
    }
}

/// When a process began, in ticks since the machine did: field 22 of its `stat`, counted behind the name in brackets.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_whitespace().nth(19)?.parse().ok()
}

/// Whether the holder of a job lives; `None`: it is on another machine.
fn is_alive(here: &Holder, holder: &Holder) -> Option<bool> {
    if holder.host != here.host {
        return None;
    }
    Some(holder.boot == here.boot && started(holder.pid) == Some(holder.pid_started))
}
