//! The catalog as a data source: `DPMDB`, in a group of its own, made without being asked.
//!
//! A recovery point of it is a directory with `DPMDB.bak`, a native copy that stock tools open, and `DPMDB.toml`, which says
//! which catalog that is, for people and for whoever must choose among many without unpacking them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use jiff::SignedDuration;
use resurgam_model::{
    Timestamp,
    lineage::Lineage,
    point::PointState,
    policy::{DPMDB, Group, Source, SourceKind},
    retention::Retention,
};
use resurgam_store::{StoreError, keys::random};
use serde::{Deserialize, Serialize};

use crate::{error::JobError, server::Server};

/// The copy of the catalog inside a point of `DPMDB`.
pub const COPY: &str = "DPMDB.bak";
/// What says which catalog it is.
pub const ABOUT: &str = "DPMDB.toml";
/// The setting that keeps the source from being made again when a person has removed it.
const SETTING: &str = "protect-dpmdb";
const OFF: &str = "no";

/// What is kept of the catalog: 512 points, which hourly are 21 days.
const KEEP_LAST: u32 = 512;
const EVERY_SECONDS: u64 = 3600;

/// What `DPMDB.toml` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AboutCopy {
    /// The lineage of the catalog.
    pub lineage: Lineage,
    /// Version of its schema.
    pub schema: i64,
    /// The version of the program.
    pub program: String,
    /// When it was made.
    pub made: Timestamp,
    /// The newest recovery point that it knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_point: Option<Timestamp>,
}

impl Server {
    /// The source that is the catalog; made, with its group, unless a person took it away. For who holds the home's lock.
    pub(crate) fn ensure_dpmdb(&self) -> Result<Option<Source>, JobError> {
        let sources = self.catalog.sources()?;
        if let Some(source) = sources.into_iter().find(|source| source.kind == SourceKind::Dpmdb) {
            return Ok(Some(source));
        }
        if self.catalog.setting(SETTING)?.as_deref() == Some(OFF) {
            return Ok(None);
        }
        let group = match self.catalog.group_by_name(DPMDB)? {
            Some(group) => group,
            None => {
                let group = Group {
                    id: resurgam_model::GroupId::from_random(random()?),
                    name: DPMDB.to_owned(),
                    retention: Retention { last: Some(KEEP_LAST), ..Retention::default() },
                    every_seconds: Some(EVERY_SECONDS),
                    calendar: None,
                    online: None,
                };
                self.catalog.put_group(&group)?;
                group
            }
        };
        let source = Source {
            id: resurgam_model::SourceId::from_random(random()?),
            kind: SourceKind::Dpmdb,
            group: group.id,
            root: DPMDB.as_bytes().to_vec(),
            selection: Default::default(),
            retention: None,
        };
        self.catalog.add_source(&source)?;
        Ok(Some(source))
    }

    /// Keeps the source from being made again.
    pub(crate) fn forget_dpmdb(&self) -> Result<(), JobError> {
        Ok(self.catalog.set_setting(SETTING, OFF)?)
    }

    /// Whether a new point of the catalog is due: none yet, or the newest older than its objective.
    pub(crate) fn is_dpmdb_due(&self, source: &Source) -> Result<bool, JobError> {
        let Some(newest) = self.catalog.latest_point(source.id)? else { return Ok(true) };
        if matches!(newest.entry.state, PointState::Damaged | PointState::Missing) {
            return Ok(true);
        }
        let every = self.catalog.group(source.group)?.and_then(|group| group.every_seconds).unwrap_or(EVERY_SECONDS);
        let age = self.now().duration_since(newest.entry.time);
        // A point of the future says that the clock was set back; it must not keep new ones from being made.
        Ok(age.is_negative() || age >= SignedDuration::from_secs(i64::try_from(every).unwrap_or(i64::MAX)))
    }

    /// Puts a copy of the catalog where it can be captured; for who holds the replica's lock. The directory goes with the
    /// value.
    pub(crate) fn stage_catalog(&self) -> Result<Staged, JobError> {
        let place = self.home.join("staging").join(DPMDB);
        let unusable = |error: std::io::Error| {
            let message = format!("cannot put a copy of the catalog into {}: {error}", place.display());
            JobError::request("staging", message, "see that the home can be written and has room")
        };
        match fs::remove_dir_all(&place) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(unusable(error)),
            _ => {}
        }
        crate::home::create_private(&place).map_err(unusable)?;
        let staged = Staged { place: place.clone() };
        let snapshot = self.catalog.snapshot(&place.join(COPY))?;
        let about = AboutCopy {
            // As the copy has it; the catalog may have gone on since.
            lineage: snapshot.lineage.map_or_else(|| self.lineage(), Ok)?,
            schema: snapshot.version,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            made: self.now(),
            newest_point: snapshot.newest_point,
        };
        let text = toml::to_string(&about).map_err(|error| {
            StoreError::Internal(format!("what a copy of the catalog is cannot be written as TOML: {error}"))
        })?;
        fs::write(place.join(ABOUT), text).map_err(unusable)?;
        Ok(staged)
    }
}

/// A copy of the catalog, ready to be captured; removed when dropped.
pub(crate) struct Staged {
    place: PathBuf,
}

impl Staged {
    pub(crate) fn path(&self) -> &Path {
        &self.place
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.place);
    }
}
