//! A server, opened at its home.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use jiff::tz::TimeZone;
use resurgam_catalog::{Catalog, Fault, ServerRecord};
use resurgam_model::{JobId, Timestamp, report::JobSummary};
use resurgam_store::{keyring::Keyring, keys};
use zeroize::Zeroizing;

use crate::{
    error::JobError,
    home, job,
    stores::{PlaceLimits, Stores},
    vault::of_vaults,
};

/// What a job needs of the world besides its arguments.
pub struct Environment {
    /// Reads the clock.
    pub now: fn() -> Timestamp,
    /// The time zone that calendar rules count days in.
    pub time_zone: TimeZone,
    /// The passphrase, where one was given. Wiped when dropped.
    pub passphrase: Option<Zeroizing<Vec<u8>>>,
    /// The machine's name, as it shall stand in a new server's identity (FQDN).
    pub host_name: String,
    /// What may be done to volumes.
    pub volumes: Access,
    /// Reads a variable of the environment.
    pub variable: fn(&str) -> Option<String>,
}

/// What may be done to volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Access {
    /// Everything.
    #[default]
    ReadWrite,
    /// Nothing is ever written to one: for drills.
    ReadOnly,
}

/// One Resurgam installation, opened at its home.
pub struct Server {
    pub(crate) home: PathBuf,
    pub(crate) environment: Environment,
    pub(crate) catalog: Catalog,
    pub(crate) keyring: Keyring,
    pub(crate) record: ServerRecord,
    /// How fast its vaults may be talked to.
    pub(crate) limits: Vec<PlaceLimits>,
    notices: Mutex<Vec<String>>,
}

impl Server {
    /// Opens the home, making home, identity and catalog where they are missing.
    pub fn open_or_create(home: &Path, environment: Environment) -> Result<Self, JobError> {
        home::create(home)?;
        let location = home::catalog_location(home)?;
        let keyring = match home::read_keyring(home)? {
            Some(keyring) => keyring,
            None => {
                // The keyring is written first: a catalog without one has lost it.
                match Catalog::open_existing(&location, (environment.now)()) {
                    Ok(catalog) if catalog.server()?.is_some() => return Err(no_keyring(home)),
                    Err(error) if !matches!(error.fault, Fault::NotFound(_)) => return Err(error.into()),
                    _ => home::new_keyring(home)?,
                }
            }
        };
        let catalog = Catalog::open(&location, (environment.now)())?;
        let record = match catalog.server()? {
            Some(record) => record,
            None => {
                let record = ServerRecord {
                    id: keyring.server,
                    name: environment.host_name.clone(),
                    public_key: keyring.signing.public().0.to_vec(),
                    created: (environment.now)(),
                };
                catalog.set_server(&record)?;
                record
            }
        };
        Self::assemble(home, environment, catalog, keyring, record)
    }

    /// Opens a home that is there.
    pub fn open(home: &Path, environment: Environment) -> Result<Self, JobError> {
        home::must_exist(home)?;
        let keyring = home::read_keyring(home)?;
        let catalog = match Catalog::open_existing(&home::catalog_location(home)?, (environment.now)()) {
            Err(error) if keyring.is_none() && matches!(error.fault, Fault::NotFound(_)) => {
                let message = format!("there is no server at {}", home.display());
                return Err(JobError::request(
                    "no-server",
                    message,
                    "`resurgam protect PATH` makes one; --home or RESURGAM_HOME names another place",
                ));
            }
            opened => opened?,
        };
        let keyring = keyring.ok_or_else(|| no_keyring(home))?;
        let record = catalog.server()?.ok_or_else(|| {
            JobError::request(
                "no-server",
                format!("the catalog of {} names no server", home.display()),
                "`resurgam protect PATH` completes it",
            )
        })?;
        Self::assemble(home, environment, catalog, keyring, record)
    }

    fn assemble(
        home: &Path,
        environment: Environment,
        catalog: Catalog,
        keyring: Keyring,
        record: ServerRecord,
    ) -> Result<Self, JobError> {
        if record.id != keyring.server {
            let message = format!(
                "the catalog is that of server {}, and the keyring that of server {}",
                record.id, keyring.server
            );
            return Err(JobError::request(
                "identity",
                message,
                "put the keyring and the catalog of one server together",
            ));
        }
        let home = home.canonicalize().unwrap_or_else(|_| home.to_owned());
        let limits = of_vaults(&catalog)?;
        let server = Self { home, environment, catalog, keyring, record, limits, notices: Mutex::default() };
        job::close_dead(&server);
        Ok(server)
    }

    /// The catalog, for what rebuilds and reconciles it.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The server's keys.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// The server's identity, as the catalog has it.
    pub fn record(&self) -> &ServerRecord {
        &self.record
    }

    /// The server's own directory.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Keeps what makes new recovery kits, with the server's other secrets.
    ///
    /// # Errors
    /// Where the keyring cannot be written.
    pub fn set_kit(&mut self, text: &str) -> Result<(), JobError> {
        self.keyring.kit = Some(Zeroizing::new(text.to_owned()));
        home::write_keyring(&self.home, &self.keyring)
    }

    /// How the places are reached where its volumes and vaults lie.
    pub fn stores(&self) -> Stores {
        let known = self.keyring.access.clone();
        let limits = self.limits.clone();
        Stores { variable: self.environment.variable, directory: self.home.clone(), known, limits }
    }

    /// What it was opened with of the world.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.environment.now)()
    }

    /// Something that the person should know although the command goes on.
    pub fn notice(&self, text: impl Into<String>) {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).push(text.into());
    }

    /// Keeps the first of several errors to be the answer; the others are told.
    pub(crate) fn also_failed(&self, first: &mut Option<JobError>, error: JobError) {
        if first.is_none() {
            *first = Some(error);
        } else {
            self.notice(error.to_string());
        }
    }

    /// What should be told besides the answers so far.
    pub fn take_notices(&self) -> Vec<String> {
        std::mem::take(&mut *self.notices.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The newest jobs, newest first.
    pub fn jobs(&self, limit: u64) -> Result<Vec<JobSummary>, JobError> {
        let jobs = self.catalog.jobs(usize::try_from(limit).unwrap_or(usize::MAX))?;
        let summary = |job: resurgam_catalog::JobRecord| JobSummary {
            id: job.id,
            kind: job.kind,
            subject: job.subject,
            state: job.state.to_string(),
            started: job.started,
            ended: job.ended,
            message: job.message,
        };
        Ok(jobs.into_iter().map(summary).collect())
    }

    pub(crate) fn new_job_id() -> Result<JobId, JobError> {
        Ok(JobId::from_random(keys::random()?))
    }
}

fn no_keyring(home: &Path) -> JobError {
    let message = format!("the keyring of the server at {} is missing", home.display());
    JobError::request(
        "keyring",
        message,
        "put keyring.toml back from a copy of the home; without it the server's identity is lost",
    )
}
