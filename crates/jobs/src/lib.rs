//! What a server does: makes recovery points, recovers them, verifies, expires and prunes. The command line, and later
//! the daemon, call the verbs of [`Server`] and show what they answer; no rule lives in a handler.
//!
//! What it promises: a job is a row in the catalog with a lease; whatever way it ends, the next one needs no repair by
//! hand. What it must not know: terminals, arguments, HTTP.

use std::path::{Path, PathBuf};

use resurgam_model::{
    GroupId, Timestamp,
    policy::{Group, Selection},
    report::{
        BackupReport, Difference, ExpireReport, GroupSummary, JobSummary, Listed, PruneReport, RecoverReport, SourceSummary,
        VerifyReport, VolumeSummary,
    },
    retention::Retention,
    point::Point,
};
pub use resurgam_sources::files::Conflict;
pub use resurgam_store::{Cancel, Meter};

pub mod error;
pub use error::JobError;

/// What a job needs of the world besides its arguments.
pub struct Environment {
    /// Reads the clock.
    pub now: fn() -> Timestamp,
    /// The time zone that calendar rules count days in.
    pub time_zone: jiff::tz::TimeZone,
    /// The passphrase, where one was given. Wiped when dropped.
    pub passphrase: Option<zeroize::Zeroizing<Vec<u8>>>,
    /// The machine's name, as it shall stand in a new server's identity (FQDN).
    pub host_name: String,
}

/// One Resurgam installation, opened at its home.
pub struct Server {}

/// Arguments of `protect`. One source is made for each path that is not protected yet.
pub struct Protect {
    /// Paths to protect.
    pub paths: Vec<PathBuf>,
    /// Group for new sources; the group `Default` where none is named.
    pub group: Option<String>,
    /// Directory of the volume for new sources; `HOME/pool` where there is no volume yet and none is named.
    pub pool: Option<PathBuf>,
    /// Retention of the new sources, where given: becomes the source's own.
    pub retention: Option<Retention>,
    /// Objective in seconds (`--every`): set on the group.
    pub every_seconds: Option<u64>,
    /// What is left out of new sources.
    pub selection: Selection,
}

/// Which sources something is about.
#[derive(Default, Clone)]
pub struct Scope {
    /// Name of a group.
    pub group: Option<String>,
    /// A source: id, prefix of one, or its root's path.
    pub source: Option<String>,
}

/// Arguments of `recover`.
pub struct Recover {
    /// Point: id, prefix of one, or `latest`.
    pub point: String,
    /// The source that `latest` is about.
    pub source: Option<String>,
    /// Paths inside the point; empty: everything.
    pub paths: Vec<Vec<u8>>,
    /// Where to; `None`: the original place.
    pub to: Option<PathBuf>,
    /// What to do with what is there already.
    pub conflict: Conflict,
    /// Whether owner and group are restored.
    pub owner: bool,
}

/// Arguments of `verify`.
pub struct Verify {
    /// Read this share of the data, in percent; `None`: metadata only.
    pub read_data_percent: Option<u8>,
    /// Mend what can be mended.
    pub repair: bool,
}

/// Changes to a source; `None`: as it is.
#[derive(Default)]
pub struct SourceChange {
    /// Its own retention; `Some(None)`: the group's again.
    pub retention: Option<Option<Retention>>,
    /// What is left out.
    pub selection: Option<Selection>,
}

impl Server {
    /// Opens the home, making home, identity and catalog where they are missing.
    pub fn open_or_create(_home: &Path, _environment: Environment) -> Result<Self, JobError> {
        todo!()
    }
    /// Opens a home that is there.
    pub fn open(_home: &Path, _environment: Environment) -> Result<Self, JobError> {
        todo!()
    }
    /// Makes what is missing and takes a point of each path.
    pub fn protect(&self, _what: &Protect, _meter: &Meter, _cancel: &Cancel) -> Result<BackupReport, JobError> {
        todo!()
    }
    /// Takes points. `consistency_check`: reads every source in full and proves the replica against it.
    pub fn backup(&self, _scope: &Scope, _consistency_check: bool, _meter: &Meter, _cancel: &Cancel) -> Result<BackupReport, JobError> {
        todo!()
    }
    /// Points, newest last.
    pub fn points(&self, _source: Option<&str>) -> Result<Vec<Point>, JobError> {
        todo!()
    }
    /// Entries of a point: `path` and, with `recursive`, all below; without, a directory's children.
    pub fn list(&self, _point: &str, _source: Option<&str>, _path: &[u8], _recursive: bool, _each: &mut dyn FnMut(Listed)) -> Result<(), JobError> {
        todo!()
    }
    /// Entries whose path or name matches a glob, in every point of the scope.
    pub fn find(&self, _glob: &str, _scope: &Scope, _each: &mut dyn FnMut(Listed)) -> Result<(), JobError> {
        todo!()
    }
    /// What differs from one point to another.
    pub fn diff(&self, _from: &str, _to: &str, _source: Option<&str>, _each: &mut dyn FnMut(Difference)) -> Result<(), JobError> {
        todo!()
    }
    /// Recovers.
    pub fn recover(&self, _what: &Recover, _meter: &Meter, _cancel: &Cancel) -> Result<RecoverReport, JobError> {
        todo!()
    }
    /// Verifies every volume.
    pub fn verify(&self, _what: &Verify, _meter: &Meter, _cancel: &Cancel) -> Result<VerifyReport, JobError> {
        todo!()
    }
    /// Gives up the points that no rule keeps; or exactly those of `points` (ids or prefixes), where there are some.
    pub fn expire(&self, _points: &[String], _dry_run: bool, _cancel: &Cancel) -> Result<ExpireReport, JobError> {
        todo!()
    }
    /// Gives the space of given-up points back.
    pub fn prune(&self, _dry_run: bool, _cancel: &Cancel) -> Result<PruneReport, JobError> {
        todo!()
    }
    /// Every source.
    pub fn sources(&self) -> Result<Vec<SourceSummary>, JobError> {
        todo!()
    }
    /// Adds sources without taking a point.
    pub fn add_sources(&self, _what: &Protect) -> Result<Vec<SourceSummary>, JobError> {
        todo!()
    }
    /// Stops protecting a source; its points stay unless `delete_points`.
    pub fn remove_source(&self, _source: &str, _delete_points: bool) -> Result<(), JobError> {
        todo!()
    }
    /// Changes a source.
    pub fn change_source(&self, _source: &str, _change: SourceChange) -> Result<SourceSummary, JobError> {
        todo!()
    }
    /// Every group.
    pub fn groups(&self) -> Result<Vec<GroupSummary>, JobError> {
        todo!()
    }
    /// Makes a group.
    pub fn create_group(&self, _name: &str, _retention: Retention, _every_seconds: Option<u64>) -> Result<GroupSummary, JobError> {
        todo!()
    }
    /// Changes a group; `None`: as it is.
    pub fn change_group(&self, _name: &str, _retention: Option<Retention>, _every_seconds: Option<Option<u64>>) -> Result<GroupSummary, JobError> {
        todo!()
    }
    /// One group (name, id or prefix of one) with its sources.
    pub fn group(&self, _name: &str) -> Result<(GroupSummary, Vec<SourceSummary>), JobError> {
        todo!()
    }
    /// Removes a group without sources.
    pub fn remove_group(&self, _name: &str) -> Result<(), JobError> {
        todo!()
    }
    /// Every volume.
    pub fn volumes(&self) -> Result<Vec<VolumeSummary>, JobError> {
        todo!()
    }
    /// Adds a volume: makes one in an empty or missing directory, or takes in one of this server that lies there.
    pub fn add_volume(&self, _directory: &Path, _passphrase: bool) -> Result<VolumeSummary, JobError> {
        todo!()
    }
    /// Forgets a volume (id, prefix, or path) without deleting anything in it. Refused while replicas lie there.
    pub fn remove_volume(&self, _volume: &str) -> Result<(), JobError> {
        todo!()
    }
    /// The newest jobs, newest first.
    pub fn jobs(&self, _limit: u64) -> Result<Vec<JobSummary>, JobError> {
        todo!()
    }
}

/// Reads a volume with no home and no catalog.
pub struct VolumeReader {}

impl VolumeReader {
    /// Opens the volume in a directory.
    pub fn open(_directory: &Path, _passphrase: Option<zeroize::Zeroizing<Vec<u8>>>) -> Result<Self, JobError> {
        todo!()
    }
    /// Points, newest last; and what could not be read, by object and fault.
    pub fn points(&self, _source: Option<&str>) -> Result<(Vec<Point>, Vec<(String, String)>), JobError> {
        todo!()
    }
    /// As [`Server::list`].
    pub fn list(&self, _point: &str, _source: Option<&str>, _path: &[u8], _recursive: bool, _each: &mut dyn FnMut(Listed)) -> Result<(), JobError> {
        todo!()
    }
    /// As [`Server::recover`].
    pub fn recover(&self, _what: &Recover, _meter: &Meter, _cancel: &Cancel) -> Result<RecoverReport, JobError> {
        todo!()
    }
}

#[doc(hidden)]
pub type Unused = (Group, GroupId);
