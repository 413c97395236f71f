//! The world of a real server: its home, its clock, and whoever listens.
//!
//! Each look and each run opens the home anew. So a catalog that is restored, a volume that is added or a policy that is
//! changed meanwhile counts from then on, and what one run spoils is no other's.

mod record;
mod tasks;

use std::{
    collections::HashMap,
    fs::File,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use resurgam_jobs::{CatalogBackup, Environment, JobError, Meter, Scope, Server, Verify};
use resurgam_model::{SourceId, Timestamp, alert::Severity, bytepath::escape};
use resurgam_rebuild::{
    drill::{Drill, drill},
    recovery_kit,
};
use resurgam_store::Cancel;

use crate::{
    daemon::{Event, World},
    scheduler::Task,
    systemd::Notifier,
    work::Work,
};

/// How much of the data each verification reads, in percent: a daily one has read all of it in 25 days.
pub const VERIFIED_PERCENT: u8 = 4;
/// How many files of each source a drill proves.
pub const DRILL_SAMPLE: u64 = 20;

/// How much something that is told matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Something went as it was meant to.
    Information,
    /// Something did not.
    Warning,
}

/// What the world is made of besides the home.
pub struct Outside<'a> {
    /// Gathers clock, zone, passphrase and name.
    pub environment: &'a (dyn Fn() -> Environment + Sync),
    /// Takes a line for people.
    pub log: &'a (dyn Fn(Level, &str) + Sync),
    /// Tells systemd.
    pub notifier: Notifier,
    /// Where drills rebuild the server.
    pub scratch: PathBuf,
}

/// A real server.
pub struct Home<'a> {
    home: PathBuf,
    outside: Outside<'a>,
    now: fn() -> Timestamp,
    /// Roots of the sources, for people.
    names: Mutex<HashMap<SourceId, String>>,
    /// When systemd was told last that all is well.
    told: Mutex<Option<Instant>>,
    /// Held as long as this daemon lives.
    _only: File,
}

impl<'a> Home<'a> {
    /// Takes charge of a home that is there.
    ///
    /// # Errors
    /// Where there is no server, or another daemon is in charge of it.
    pub fn open(home: &Path, outside: Outside<'a>) -> Result<Self, JobError> {
        let environment = (outside.environment)();
        let now = environment.now;
        let server = Server::open(home, environment)?;
        let only = only_one(server.home())?;
        Ok(Self {
            home: server.home().to_owned(),
            outside,
            now,
            names: Mutex::default(),
            told: Mutex::default(),
            _only: only,
        })
    }

    fn server(&self) -> Result<Server, JobError> {
        Server::open(&self.home, (self.outside.environment)())
    }

    fn log(&self, level: Level, line: &str) {
        (self.outside.log)(level, line);
    }

    fn pass_notices_on(&self, server: &Server) {
        for notice in server.take_notices() {
            self.log(Level::Warning, &notice);
        }
    }

    /// What a piece of work is, for people.
    fn name(&self, work: &Work) -> String {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        match work {
            Work::Backup(source) => {
                names.get(source).map_or_else(|| work.to_string(), |root| format!("backup of {root}"))
            }
            Work::Online(source) => {
                names.get(source).map_or_else(|| work.to_string(), |root| format!("online backup of {root}"))
            }
            _ => work.to_string(),
        }
    }

    fn work(&self, server: &Server, work: &Work, cancel: &Cancel) -> Result<String, JobError> {
        let meter = Meter::default();
        match work {
            Work::Backup(source) => {
                let scope = Scope { source: Some(source.to_string()), ..Scope::default() };
                let report = server.backup(&scope, false, &meter, cancel)?;
                let unread = match report.unread.len() {
                    0 => String::new(),
                    count => format!(", {count} item(s) could not be read"),
                };
                let points = report.points.iter().map(|point| format!("point {}, {} files", point.id, point.files));
                Ok(points.collect::<Vec<_>>().join("; ") + &unread)
            }
            Work::Online(source) => {
                let scope = Scope { source: Some(source.to_string()), ..Scope::default() };
                let report = server.back_up_online(&scope, &meter, cancel)?;
                let points = report.points.iter().map(|point| format!("point {}, {} files", point.id, point.files));
                Ok(points.collect::<Vec<_>>().join("; "))
            }
            Work::CatalogBackup(place) => {
                let known = server.catalog().copies()?.into_iter().find(|copy| copy.place == *place);
                let what = CatalogBackup {
                    to: place.into(),
                    keep: known.as_ref().and_then(|copy| copy.keep),
                    max_age_seconds: known.as_ref().and_then(|copy| copy.max_age_seconds),
                    every_seconds: known.as_ref().and_then(|copy| copy.every_seconds),
                };
                Ok(server.catalog_backup(&what, cancel)?.file)
            }
            Work::Expire => {
                let report = server.expire(&[], None, false, cancel)?;
                Ok(format!("{} points given up, {} kept", report.expired.len(), report.kept))
            }
            Work::Prune => {
                let report = server.prune(false, cancel)?;
                Ok(format!("{} packs deleted, {} bytes freed", report.packs_deleted, report.freed_bytes))
            }
            Work::Verify => {
                // A server that may not delete has reasons not to trust its own view; it looks and mends nothing.
                let repair = !tasks::is_frozen(server)?;
                let what = Verify { read_data_percent: Some(VERIFIED_PERCENT), repair, online: false };
                let report = server.verify(&what, &meter, cancel)?;
                let left = report.damage.iter().filter(|damage| !damage.mended).count();
                Ok(format!("{} faults found, {left} left", report.damage.len()))
            }
            Work::Drill => self.drill(server, &meter, cancel),
            Work::Capsules => {
                server.publish_capsules()?;
                recovery_kit::refresh(server)?;
                Ok("capsules and recovery kit are up to date".to_owned())
            }
            Work::Alerts => self.alerts(server),
        }
    }

    fn drill(&self, server: &Server, meter: &Meter, cancel: &Cancel) -> Result<String, JobError> {
        let what = Drill { kind: None, scratch: self.outside.scratch.clone(), sample: DRILL_SAMPLE };
        let report = drill(server, &what, meter, cancel)?;
        let failed: Vec<String> = report
            .copies
            .iter()
            .filter(|copy| !copy.passed)
            .map(|copy| format!("{} {}", copy.kind, copy.location))
            .collect();
        // What a drill found stands in the alerts; as a piece of work it is done.
        Ok(if failed.is_empty() {
            format!("{} copies bring the server back", report.copies.len())
        } else {
            format!("FAILED for {}", failed.join(", "))
        })
    }

    fn alerts(&self, server: &Server) -> Result<String, JobError> {
        let changes = server.evaluate_alerts()?;
        for raised in &changes.raised {
            let level = if raised.severity < Severity::Information { Level::Warning } else { Level::Information };
            self.log(level, &format!("{}: {}, {}: {}", raised.severity, raised.kind, raised.subject, raised.message));
        }
        for cleared in &changes.cleared {
            self.log(Level::Information, &format!("no more: {}, {}", cleared.kind, cleared.subject));
        }
        Ok(String::new())
    }

    /// What happened, in a line. Of what is done every few minutes only failures are told.
    fn line(&self, event: &Event<'_>) -> Option<(Level, String)> {
        let is_quiet = |work: &Work| matches!(work, Work::Alerts | Work::Capsules);
        let line = match event {
            Event::Ready { tasks } => format!("serving {}: {tasks} things to do", self.home.display()),
            Event::Started(start) if is_quiet(&start.work) => return None,
            Event::Started(start) if start.missed > 0 => {
                format!("{} begins, and makes good {} missed run(s)", self.name(&start.work), start.missed)
            }
            Event::Started(start) => format!("{} begins", self.name(&start.work)),
            Event::Done { work, .. } if is_quiet(work) => return None,
            Event::Done { work, message } => format!("{} is done: {message}", self.name(work)),
            Event::CalledOff { work } => format!("{} was called off", self.name(work)),
            Event::Stopping { running } => format!("stopping; {running} run(s) are called off"),
            Event::Failed { work, message, failures } => {
                let line = format!("{} failed ({failures} in a row): {message}", self.name(work));
                return Some((Level::Warning, line));
            }
            Event::Unreadable { work, error } => {
                return Some((Level::Warning, format!("no {}: {error}", self.name(work))));
            }
            Event::Blind { error } => {
                let line = format!("what is to be done cannot be known now: {error}; it is asked again and again");
                return Some((Level::Warning, line));
            }
        };
        Some((Level::Information, line))
    }
}

impl World for Home<'_> {
    fn now(&self) -> Timestamp {
        (self.now)()
    }

    fn tasks(&self) -> Result<Vec<Task>, String> {
        let found = self.server().and_then(|server| {
            let names = server.catalog().sources()?.into_iter().map(|source| (source.id, escape(&source.root)));
            *self.names.lock().unwrap_or_else(PoisonError::into_inner) = names.collect();
            let tasks = tasks::tasks(&server, self.now());
            self.pass_notices_on(&server);
            tasks
        });
        found.map_err(|error| error.to_string())
    }

    fn run(&self, work: &Work, cancel: &Cancel) -> Result<String, String> {
        let server = self.server().map_err(|error| error.to_string())?;
        let done = self.work(&server, work, cancel).map_err(|error| error.to_string());
        self.pass_notices_on(&server);
        done
    }

    fn tell(&self, event: Event<'_>) {
        if let Some((level, line)) = self.line(&event) {
            self.log(level, &line);
            self.outside.notifier.status(&line);
        }
        match event {
            Event::Ready { .. } => self.outside.notifier.ready(),
            Event::Stopping { .. } => self.outside.notifier.stopping(),
            _ => {}
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the watchdog of systemd wants to hear of us in real time")]
    fn alive(&self) {
        let Some(pause) = self.outside.notifier.watchdog() else { return };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        // The turns of the daemon are not exact, so one of them is left as a margin.
        let margin = Duration::from_secs(1);
        if told.is_none_or(|told| told.elapsed() + margin >= pause) {
            self.outside.notifier.alive();
            *told = Some(Instant::now());
        }
    }
}

/// Sees to it that no other daemon serves this home. The lock is the kernel's and goes with the process; nothing has to
/// be written for it.
fn only_one(home: &Path) -> Result<File, JobError> {
    let failed = |message: String| JobError::Request {
        code: "serving",
        message,
        remedy: "stop the other `resurgam serve` first; `systemctl status resurgam` shows it".to_owned(),
    };
    let directory = File::open(home).map_err(|error| failed(format!("cannot open {}: {error}", home.display())))?;
    directory.try_lock().map_err(|_| failed(format!("{} is being served already", home.display())))?;
    Ok(directory)
}

#[cfg(test)]
mod tests;
