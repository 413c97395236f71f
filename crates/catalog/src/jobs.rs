//! Jobs: who is doing what, under a lease.
//!
//! A job's row is written when it begins. Whoever runs it renews the lease from time to time and ends it at last. A
//! process that dies does neither: the next that starts finds the row and closes it as `interrupted`. On the host where
//! it ran the kernel knows whether it lives; from another host only the lease can tell.
//!
//! What each change needs the row to be, so that of two processes that close a job one wins and the other learns of it:
//!
//! | verb | the row must be | else |
//! |---|---|---|
//! | `renew_job`, `end_job` | `running` | [`Fault::JobLost`] |
//! | `close_dead_jobs` | `running`, and its lease as it was when judged | left alone |

use std::{fmt, str::FromStr};

use jiff::SignedDuration;
use resurgam_model::{JobId, SourceId, Timestamp};
use sea_orm::{
    ColumnTrait, DatabaseConnection, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, Set,
    sea_query::{Expr, Query},
};

use crate::{
    Catalog, CatalogError, Fault, cells,
    entity::job::{self, Column},
    sqlite,
};

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobState {
    /// It is running.
    Running,
    /// It ended well.
    Done,
    /// It ended, and some items could not be read.
    Partial,
    /// It failed, and said so.
    Failed,
    /// Its process died.
    Interrupted,
    /// Somebody asked it to stop.
    Cancelled,
}

impl JobState {
    /// Every state with its word.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Running, "running"),
        (Self::Done, "done"),
        (Self::Partial, "partial"),
        (Self::Failed, "failed"),
        (Self::Interrupted, "interrupted"),
        (Self::Cancelled, "cancelled"),
    ];
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(state, _)| state == self).map_or("running", |(_, word)| *word))
    }
}

/// A word that names no state of a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a state of a job")]
pub struct UnknownJobState(pub String);

impl FromStr for JobState {
    type Err = UnknownJobState;

    fn from_str(text: &str) -> Result<Self, UnknownJobState> {
        Self::ALL
            .iter()
            .find(|(_, word)| *word == text)
            .map(|(s, _)| *s)
            .ok_or_else(|| UnknownJobState(text.to_owned()))
    }
}

/// The process that runs a job, so that it can be told from any other that later has its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The machine's id.
    pub host: String,
    /// The id of the machine's boot.
    pub boot: String,
    /// The process's number.
    pub pid: u32,
    /// When the process started, in the kernel's ticks since boot.
    pub pid_started: u64,
}

/// A job that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// Its id.
    pub id: JobId,
    /// What it does: `backup`, `recover`, `verify`, `expire`, `prune`.
    pub kind: String,
    /// What it is about, in words.
    pub subject: String,
    /// The data source that it is about, if it is about one.
    pub source: Option<SourceId>,
    /// Who runs it.
    pub holder: Holder,
    /// When it begins.
    pub now: Timestamp,
    /// How long its lease lasts, unless renewed.
    pub lease_seconds: u64,
}

/// What the catalog knows of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRecord {
    /// Its id.
    pub id: JobId,
    /// What it does.
    pub kind: String,
    /// What it is about, in words.
    pub subject: String,
    /// The data source that it is about, if it is about one; it may be gone by now.
    pub source: Option<SourceId>,
    /// Who runs or ran it.
    pub holder: Holder,
    /// How it stands.
    pub state: JobState,
    /// Until when its lease lasts.
    pub lease_until: Timestamp,
    /// When it began.
    pub started: Timestamp,
    /// When it ended, or was found dead.
    pub ended: Option<Timestamp>,
    /// What went wrong, or what it achieved.
    pub message: Option<String>,
}

impl Catalog {
    /// Writes down that a job begins.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn start_job(&self, new: &NewJob) -> Result<(), CatalogError> {
        let row = job::ActiveModel {
            id: Set(new.id.to_string()),
            kind: Set(cells::text(&new.kind)),
            subject: Set(cells::text(&new.subject)),
            source_id: Set(new.source.map(|source| source.to_string())),
            state: Set(JobState::Running.to_string()),
            holder_host: Set(cells::text(&new.holder.host)),
            holder_boot: Set(cells::text(&new.holder.boot)),
            holder_pid: Set(i64::from(new.holder.pid)),
            holder_pid_started: Set(cells::count(new.holder.pid_started)),
            lease_until: Set(cells::time(later(new.now, new.lease_seconds))),
            started: Set(cells::time(new.now)),
            ended: Set(None),
            message: Set(None),
        };
        self.run("start a job", async |db| {
            // Every job begins here, so here the reserve for a full disk is made good as the database grows.
            sqlite::keep_reserve(db).await;
            job::Entity::insert(row).exec_without_returning(db).await?;
            Ok(())
        })
    }

    /// Makes the lease of a running job last longer.
    ///
    /// # Errors
    /// [`Fault::JobLost`] where the job was closed by another: it must stop. And where the database cannot be written.
    pub fn renew_job(&self, id: JobId, now: Timestamp, lease_seconds: u64) -> Result<(), CatalogError> {
        self.run("renew the lease of a job", async |db| {
            let changed = job::Entity::update_many()
                .col_expr(Column::LeaseUntil, Expr::val(cells::time(later(now, lease_seconds))))
                .filter(running(id))
                .exec(db)
                .await?;
            still_ours(db, id, changed.rows_affected).await
        })
    }

    /// Writes down how a job ended.
    ///
    /// # Errors
    /// [`Fault::JobLost`] where the job was closed already; and where the database cannot be written.
    pub fn end_job(
        &self,
        id: JobId,
        state: JobState,
        message: Option<&str>,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        self.run("end a job", async |db| {
            if state == JobState::Running {
                return Err(Fault::Other(format!("job {id} cannot end as running")));
            }
            let changed = close(state, message, now).filter(running(id)).exec(db).await?;
            still_ours(db, id, changed.rows_affected).await
        })
    }

    /// The jobs that are running, or whose death nobody has noticed yet; the first begun first.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn running_jobs(&self) -> Result<Vec<JobRecord>, CatalogError> {
        self.run("list the running jobs", async |db| all_running(db).await)
    }

    /// The newest jobs, the newest first.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn jobs(&self, limit: usize) -> Result<Vec<JobRecord>, CatalogError> {
        self.run("list the jobs", async |db| {
            // Both databases count to the largest signed integer.
            let limit = i64::try_from(limit).unwrap_or(i64::MAX).cast_unsigned();
            let newest = job::Entity::find().order_by_desc(Column::Started).order_by_desc(Column::Id).limit(limit);
            newest.all(db).await?.into_iter().map(record).collect()
        })
    }

    /// The newest job of one kind on each subject that has ended, the oldest first.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn last_jobs(&self, kind: &str) -> Result<Vec<JobRecord>, CatalogError> {
        self.run("list the last jobs", async |db| {
            let ended = || Column::Kind.eq(cells::text(kind)).and(Column::Ended.is_not_null());
            let newest = Query::select()
                .column(Column::Subject)
                .expr(Column::Started.max())
                .from(job::Entity)
                .and_where(ended())
                .group_by_col(Column::Subject)
                .to_owned();
            let place = Expr::tuple([Expr::col(Column::Subject), Expr::col(Column::Started)]);
            let rows = job::Entity::find()
                .filter(ended().and(place.in_subquery(newest)))
                .order_by_asc(Column::Started)
                .order_by_asc(Column::Id)
                .all(db)
                .await?;
            // Of two that began at the very same moment, the one with the greater id.
            let mut jobs: Vec<JobRecord> = Vec::new();
            for row in rows {
                let job = record(row)?;
                jobs.retain(|known| known.subject != job.subject);
                jobs.push(job);
            }
            Ok(jobs)
        })
    }

    /// Closes as interrupted every job whose process is dead, and answers those. `is_alive` says whether a process
    /// lives, or `None` where that cannot be known from here; such a job is closed when its lease has run out.
    ///
    /// # Errors
    /// Where the database cannot be read or written.
    pub fn close_dead_jobs(
        &self,
        now: Timestamp,
        is_alive: &dyn Fn(&Holder) -> Option<bool>,
    ) -> Result<Vec<JobRecord>, CatalogError> {
        let mut closed = Vec::new();
        for mut job in self.running_jobs()? {
            let message = match is_alive(&job.holder) {
                Some(true) => continue,
                Some(false) => "its process ended without a word",
                None if job.lease_until < now => "its lease ran out: nothing was heard of its host",
                None => continue,
            };
            let as_judged = running(job.id).and(Column::LeaseUntil.eq(cells::time(job.lease_until)));
            let ours = self.run("close the job of a dead process", async |db| {
                Ok(close(JobState::Interrupted, Some(message), now).filter(as_judged).exec(db).await?.rows_affected > 0)
            })?;
            if ours {
                job.state = JobState::Interrupted;
                job.ended = Some(now);
                job.message = Some(message.to_owned());
                closed.push(job);
            }
        }
        Ok(closed)
    }

    /// Forgets jobs that ended before a time. Answers how many.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn remove_jobs_ended_before(&self, time: Timestamp) -> Result<u64, CatalogError> {
        self.run("forget old jobs", async |db| {
            let old = Column::State.ne(JobState::Running.to_string()).and(Column::Ended.lt(cells::time(time)));
            Ok(job::Entity::delete_many().filter(old).exec(db).await?.rows_affected)
        })
    }
}

/// The end of a lease that begins now; far beyond the calendar it is the calendar's end.
fn later(now: Timestamp, seconds: u64) -> Timestamp {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

fn running(id: JobId) -> Expr {
    Column::Id.eq(id.to_string()).and(Column::State.eq(JobState::Running.to_string()))
}

fn close(state: JobState, message: Option<&str>, now: Timestamp) -> sea_orm::UpdateMany<job::Entity> {
    job::Entity::update_many()
        .col_expr(Column::State, Expr::val(state.to_string()))
        .col_expr(Column::Message, Expr::val(message.map(cells::text)))
        .col_expr(Column::Ended, Expr::val(cells::time(now)))
}

async fn all_running(db: &DatabaseConnection) -> Result<Vec<JobRecord>, Fault> {
    let rows = job::Entity::find()
        .filter(Column::State.eq(JobState::Running.to_string()))
        .order_by_asc(Column::Started)
        .order_by_asc(Column::Id)
        .all(db)
        .await?;
    rows.into_iter().map(record).collect()
}

/// Tells why a running job was not found.
async fn still_ours(db: &DatabaseConnection, id: JobId, rows: u64) -> Result<(), Fault> {
    if rows > 0 {
        return Ok(());
    }
    Err(match job::Entity::find_by_id(id.to_string()).one(db).await? {
        Some(row) => Fault::JobLost(format!(
            "job {id} is not running any more: it was closed as {} ({})",
            row.state,
            row.message.as_deref().unwrap_or("no reason given")
        )),
        None => Fault::JobLost(format!("there is no job {id} any more")),
    })
}

fn record(row: job::Model) -> Result<JobRecord, Fault> {
    let cell = cells::Row { table: "job", key: &row.id };
    let pid = u32::try_from(row.holder_pid)
        .map_err(|_| Fault::Corrupt(format!("table job, row {}: {} is no process", row.id, row.holder_pid)))?;
    Ok(JobRecord {
        id: cell.parse("id", &row.id)?,
        source: row.source_id.as_deref().map(|text| cell.parse("source_id", text)).transpose()?,
        state: cell.parse("state", &row.state)?,
        lease_until: cell.parse("lease_until", &row.lease_until)?,
        started: cell.parse("started", &row.started)?,
        ended: row.ended.as_deref().map(|text| cell.parse("ended", text)).transpose()?,
        holder: Holder {
            host: row.holder_host,
            boot: row.holder_boot,
            pid,
            pid_started: cells::to_count(row.holder_pid_started),
        },
        kind: row.kind,
        subject: row.subject,
        message: row.message,
    })
}
