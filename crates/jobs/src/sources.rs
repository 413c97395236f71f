//! Data sources: adding, changing, stopping, finding them.

use std::{
    collections::HashMap,
    io,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use resurgam_catalog::{Fault, ReplicaRecord, VolumeRecord};
use resurgam_model::{
    GroupId, ReplicaId, SourceId, VolumeId,
    bytepath::escape,
    id::by_prefix,
    policy::{DEFAULT_GROUP, Group, Selection, Source, SourceKind},
    replica::ReplicaState,
    report::SourceSummary,
    retention::Retention,
};
use resurgam_store::{Cancel, keys::random};

use crate::{error::JobError, home, server::Server};

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
    /// The first copy of new sources is to be loaded by hand (`source load`).
    pub manual: bool,
}

/// Which sources something is about.
#[derive(Default, Clone)]
pub struct Scope {
    /// Name of a group.
    pub group: Option<String>,
    /// A source: id, prefix of one, or its root's path.
    pub source: Option<String>,
}

/// Changes to a source; `None`: as it is.
#[derive(Default)]
pub struct SourceChange {
    /// Its own retention; `Some(None)`: the group's again.
    pub retention: Option<Option<Retention>>,
    /// What is left out.
    pub selection: Option<Selection>,
}

/// The absolute path that stands for a root: symbolic links on the way are resolved; one at the end only where it leads
/// to a directory, since then that directory is what is protected.
fn root_of(path: &Path) -> Result<PathBuf, JobError> {
    let missing = |error: io::Error| {
        let what =
            if error.kind() == io::ErrorKind::NotFound { "it is not there".to_owned() } else { error.to_string() };
        JobError::request(
            "no-such-path",
            format!("cannot protect {}: {what}", path.display()),
            "check the path; nothing was changed",
        )
    };
    let absolute = std::path::absolute(path).map_err(missing)?;
    let itself = std::fs::symlink_metadata(&absolute).map_err(missing)?;
    if itself.is_symlink() && !std::fs::metadata(&absolute).is_ok_and(|target| target.is_dir()) {
        let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else { return Ok(absolute) };
        return Ok(parent.canonicalize().map_err(missing)?.join(name));
    }
    absolute.canonicalize().map_err(missing)
}

impl Server {
    /// The sources of `protect`'s paths, made where they are missing.
    pub(crate) fn sources_for(&self, what: &Protect) -> Result<Vec<Source>, JobError> {
        if let Some(retention) = &what.retention {
            check_retention(retention)?;
        }
        // Every path is looked at before anything is written.
        let roots = what.paths.iter().map(|path| root_of(path)).collect::<Result<Vec<_>, _>>()?;
        for root in &roots {
            self.refuse_own("protect", root, what.pool.as_deref())?;
        }
        check_selection(&what.selection)?;
        if let Some(name) = &what.group {
            resurgam_model::policy::check_group_name(name)
                .map_err(|error| JobError::request("group-name", error.to_string(), "choose another name"))?;
        }
        let _lock = home::lock(&self.home)?;
        let known = self.catalog.sources()?;
        let volume = self.volume_for(what.pool.as_deref())?;
        let mut sources: Vec<Source> = Vec::new();
        for root in roots {
            let root = root.into_os_string().into_vec();
            if sources.iter().any(|source| source.root == root) {
                continue;
            }
            let source = match known.iter().find(|source| source.root == root) {
                Some(source) => self.as_asked(source.clone(), what)?,
                None => self.new_source(root, what)?,
            };
            self.replica_in(&source, &volume, what.manual)?;
            sources.push(source);
        }
        if let Some(catalog) = self.ensure_dpmdb()? {
            self.replica_in(&catalog, &volume, false)?;
        }
        if let Some(every) = what.every_seconds {
            for source in &sources {
                if let Some(mut group) = self.catalog.group(source.group)? {
                    group.every_seconds = Some(every);
                    self.catalog.put_group(&group)?;
                }
            }
        }
        self.publish_capsules()?;
        Ok(sources)
    }

    /// The pool and the home cannot protect themselves as files, nor be recovered into.
    pub fn refuse_own(&self, attempt: &str, path: &Path, pool: Option<&Path>) -> Result<(), JobError> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let root =
            path.ancestors().find_map(|known| Some((known.canonicalize().ok()?, path.strip_prefix(known).ok()?)));
        let root = root.map_or_else(|| path.clone(), |(known, rest)| known.join(rest));
        let mut own: Vec<(PathBuf, &str)> = vec![(self.home.clone(), "the home of this server")];
        own.extend(
            self.catalog
                .volumes()?
                .into_iter()
                .map(|volume| (PathBuf::from(volume.location), "a volume of the storage pool")),
        );
        if let Some(pool) = pool.and_then(|pool| std::path::absolute(pool).ok()) {
            own.push((pool.canonicalize().unwrap_or(pool), "a volume of the storage pool"));
        }
        match own.iter().find(|(place, _)| root.starts_with(place)) {
            None => Ok(()),
            Some((place, what)) => Err(JobError::request(
                "own-path",
                format!("cannot {attempt} {}: it lies in {}, {what}", root.display(), place.display()),
                "choose another directory; what lies in home and pool is the server's own",
            )),
        }
    }

    /// A source that is protected already, with what was asked for besides the next point.
    fn as_asked(&self, mut source: Source, what: &Protect) -> Result<Source, JobError> {
        if let Some(name) = &what.group {
            let group = self.catalog.group(source.group)?.map(|group| group.name).unwrap_or_default();
            if group != *name {
                let message = format!("{} is protected in group `{group}`, not `{name}`", escape(&source.root));
                return Err(JobError::request(
                    "other-group",
                    message,
                    "leave --group out; a source stays in its group",
                ));
            }
        }
        let mut changed = false;
        if let Some(retention) =
            what.retention.as_ref().filter(|retention| source.retention.as_ref() != Some(*retention))
        {
            source.retention = Some(retention.clone());
            changed = true;
        }
        if what.selection != Selection::default() && what.selection != source.selection {
            source.selection = what.selection.clone();
            changed = true;
        }
        if changed {
            self.catalog.put_source(&source)?;
            self.notice(format!("{} is protected already; its settings are now those given", escape(&source.root)));
        }
        Ok(source)
    }

    fn new_source(&self, root: Vec<u8>, what: &Protect) -> Result<Source, JobError> {
        let group = self.group_for(what.group.as_deref().unwrap_or(DEFAULT_GROUP))?;
        let source = Source {
            id: SourceId::from_random(random()?),
            kind: SourceKind::Files,
            group: group.id,
            root: root.clone(),
            selection: what.selection.clone(),
            retention: what.retention.clone(),
        };
        match self.catalog.add_source(&source) {
            Ok(()) => Ok(source),
            // Another command made it in this very moment.
            Err(error) if matches!(error.fault, Fault::Conflict(_)) => {
                let made = self.catalog.sources()?.into_iter().find(|source| source.root == root);
                made.ok_or_else(|| error.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The group of that name, made if it is missing.
    fn group_for(&self, name: &str) -> Result<Group, JobError> {
        if let Some(group) = self.catalog.group_by_name(name)? {
            return Ok(group);
        }
        resurgam_model::policy::check_group_name(name)
            .map_err(|error| JobError::request("group-name", error.to_string(), "choose another name"))?;
        let group = Group {
            id: GroupId::from_random(random()?),
            name: name.to_owned(),
            retention: Retention::default(),
            every_seconds: None,
            calendar: None,
            online: None,
        };
        match self.catalog.put_group(&group) {
            Err(error) if matches!(error.fault, Fault::Conflict(_)) => {
                self.catalog.group_by_name(name)?.ok_or_else(|| error.into())
            }
            done => Ok(done.map(|()| group)?),
        }
    }

    /// The volume for new replicas: the one named, else the oldest of the pool, else a new one in the home.
    fn volume_for(&self, pool: Option<&Path>) -> Result<VolumeRecord, JobError> {
        if let Some(pool) = pool {
            return self.add_volume_at(pool, self.environment.passphrase.is_some());
        }
        match self.catalog.pool()?.into_iter().next() {
            Some(volume) => Ok(volume),
            None => self.add_volume_at(&home::default_pool(&self.home), self.environment.passphrase.is_some()),
        }
    }

    /// The replica of a source; made in `volume` where it has none.
    fn replica_in(&self, source: &Source, volume: &VolumeRecord, manual: bool) -> Result<ReplicaRecord, JobError> {
        if let Some(replica) = self.replica_of(source.id)? {
            return Ok(replica);
        }
        let state = if manual { ReplicaState::ManualCreationPending } else { ReplicaState::CreationPending };
        let cause = manual.then(|| "its first copy is to be loaded: `resurgam source load`".to_owned());
        self.new_replica(source.id, volume.id, state, cause)
    }

    pub(crate) fn new_replica(
        &self,
        source: SourceId,
        volume: VolumeId,
        state: ReplicaState,
        cause: Option<String>,
    ) -> Result<ReplicaRecord, JobError> {
        let replica = ReplicaRecord { id: ReplicaId::from_random(random()?), source, volume, state, cause };
        self.catalog.put_replica(&replica)?;
        Ok(replica)
    }

    /// The replica that a source's points go to.
    pub(crate) fn replica_of(&self, source: SourceId) -> Result<Option<ReplicaRecord>, JobError> {
        Ok(current_replica(&self.catalog.replicas()?, source).cloned())
    }

    /// The sources of a scope.
    pub(crate) fn sources_in(&self, scope: &Scope) -> Result<Vec<Source>, JobError> {
        let mut sources = match &scope.source {
            Some(wanted) => vec![self.find_source(wanted)?],
            None => self.catalog.sources()?,
        };
        if let Some(name) = &scope.group {
            let group = self.find_group(name)?;
            sources.retain(|source| source.group == group.id);
        }
        Ok(sources)
    }

    /// A source by its id, the beginning of it, or its root's path.
    pub(crate) fn find_source(&self, wanted: &str) -> Result<Source, JobError> {
        let sources = self.catalog.sources()?;
        let path = std::path::absolute(wanted).unwrap_or_default();
        let resolved = path.canonicalize().unwrap_or_else(|_| path.clone());
        let by_path = |source: &&Source| {
            [path.as_os_str(), resolved.as_os_str()].iter().any(|path| path.as_bytes() == source.root.as_slice())
                || escape(&source.root) == wanted
        };
        if let Some(source) = sources.iter().find(by_path) {
            return Ok(source.clone());
        }
        by_prefix(wanted, sources, |source| source.id.to_string()).map_err(|error| {
            JobError::request(
                "no-source",
                format!("source `{wanted}`: {error}"),
                "`resurgam sources` shows the sources",
            )
        })
    }

    /// Every source.
    pub fn sources(&self) -> Result<Vec<SourceSummary>, JobError> {
        let sources = self.catalog.sources()?;
        self.summaries(&sources)
    }

    pub(crate) fn summaries(&self, sources: &[Source]) -> Result<Vec<SourceSummary>, JobError> {
        let groups: HashMap<_, _> = self.catalog.groups()?.into_iter().map(|group| (group.id, group.name)).collect();
        let replicas = self.catalog.replicas()?;
        let mut points: HashMap<SourceId, (u64, Option<resurgam_model::Timestamp>)> = HashMap::new();
        for point in self.catalog.point_entries(None)? {
            let (count, newest) = points.entry(point.source).or_default();
            *count += 1;
            *newest = (*newest).max(Some(point.time));
        }
        let summary = |source: &Source| {
            let replica = current_replica(&replicas, source.id);
            let (count, newest) = points.get(&source.id).copied().unwrap_or_default();
            SourceSummary {
                id: source.id,
                kind: source.kind.to_string(),
                root: escape(&source.root),
                group: groups.get(&source.group).cloned().unwrap_or_default(),
                state: replica.map_or(ReplicaState::CreationPending, |replica| replica.state).to_string(),
                cause: replica.and_then(|replica| replica.cause.clone()),
                volume: replica.map(|replica| replica.volume),
                points: count,
                newest,
                retention: source.retention.as_ref().map(Retention::describe),
            }
        };
        Ok(sources.iter().map(summary).collect())
    }

    /// Adds sources without taking a point.
    pub fn add_sources(&self, what: &Protect) -> Result<Vec<SourceSummary>, JobError> {
        let sources = self.sources_for(what)?;
        self.summaries(&sources)
    }

    /// Stops protecting a source; its points stay unless `delete_points`.
    /// Deleting online points takes a PIN of the vault's owner.
    pub fn remove_source(&self, source: &str, delete_points: bool, pin: Option<&str>) -> Result<(), JobError> {
        let source = self.find_source(source)?;
        let points = self.catalog.every_entry(Some(source.id))?;
        let replica = self.replica_of(source.id)?;
        if !delete_points {
            // A source with points stays in the catalog as stopped: the points need its name.
            if let (Some(replica), false) = (&replica, points.is_empty()) {
                self.catalog.set_replica_state(replica.id, ReplicaState::Stopped, None)?;
                return self.publish_capsules();
            }
        }
        if !points.is_empty() {
            self.must_not_be_frozen("give up the points of a source")?;
        }
        self.must_have_leave(&points, pin)?;
        if source.kind == SourceKind::Dpmdb {
            self.forget_dpmdb()?;
        }
        self.give_up(&points, &Cancel::default())?;
        // Every place that it ever had, also those that are missing.
        for replica in self.catalog.every_replica()?.into_iter().filter(|replica| replica.source == source.id) {
            self.catalog.remove_replica(replica.id)?;
        }
        self.catalog.remove_source(source.id)?;
        self.publish_capsules()
    }

    /// Changes a source.
    pub fn change_source(&self, source: &str, change: SourceChange) -> Result<SourceSummary, JobError> {
        let mut source = self.find_source(source)?;
        if let Some(retention) = change.retention {
            if let Some(retention) = &retention {
                check_retention(retention)?;
            }
            source.retention = retention;
        }
        if let Some(selection) = change.selection {
            check_selection(&selection)?;
            source.selection = selection;
        }
        self.catalog.put_source(&source)?;
        self.publish_capsules()?;
        let mut summaries = self.summaries(&[source])?;
        summaries.pop().ok_or_else(|| JobError::request("no-source", "the source is gone", "add it again"))
    }
}

/// Of all places that a source ever had, the one that its points go to: not one that is missing, if there is another.
pub fn current_replica(replicas: &[ReplicaRecord], source: SourceId) -> Option<&ReplicaRecord> {
    let mut own: Vec<_> = replicas.iter().filter(|replica| replica.source == source).collect();
    own.sort_by_key(|replica| (replica.state == ReplicaState::Missing, replica.id));
    own.into_iter().next()
}

fn check_selection(selection: &Selection) -> Result<(), JobError> {
    Ok(resurgam_sources::files::check_selection(selection)?)
}

pub(crate) fn check_retention(retention: &Retention) -> Result<(), JobError> {
    retention.check().map_err(|error| {
        JobError::request("keeps-nothing", error.to_string(), "give at least one rule that keeps something")
    })
}
