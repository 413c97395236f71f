//! Making recovery points.

use std::{
    collections::HashSet,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use resurgam_catalog::{PointEntry, PointRecord, ReplicaRecord};
use resurgam_model::{
    PointId, ReplicaId,
    bytepath::escape,
    point::{Point, PointKind},
    policy::{Source, SourceKind},
    replica::ReplicaState,
    report::{BackupReport, Failed, LeftOut, Unread},
};
use resurgam_sources::files::{Capture, NeverEntered, capture};
use resurgam_store::{
    Cancel, Meter, NewPoint, Reader, Session, TreeReader, Volume,
    keys::random,
    point::{PointText, ReplicaPlace, ReplicaText, root_texts, server_directory},
};

use crate::{
    error::JobError,
    job::{About, Ended},
    points::shown,
    server::Server,
    sources::{Protect, Scope, current_replica},
};

/// A point made, and what is to be said of it.
pub(crate) struct Made {
    pub(crate) point: Point,
    pub(crate) unread: Vec<Unread>,
    pub(crate) left_out: Vec<LeftOut>,
}

impl Server {
    /// Makes what is missing and takes a point of each path.
    pub fn protect(&self, what: &Protect, meter: &Meter, cancel: &Cancel) -> Result<BackupReport, JobError> {
        let sources = self.sources_for(what)?;
        let catalog = self.catalog.sources()?.into_iter().find(|source| source.kind == SourceKind::Dpmdb);
        let mut report =
            if what.manual { BackupReport::default() } else { self.take_points(&sources, false, meter, cancel)? };
        // The catalog goes along without being asked; what keeps it from doing so keeps nothing else from being done.
        if let Some(source) = catalog.filter(|source| self.is_protected_now(source)) {
            match self.is_dpmdb_due(&source) {
                Ok(false) => {}
                Ok(true) => match self.take_points(&[source], false, &Meter::default(), cancel) {
                    Ok(made) => report.catalog = made.points.into_iter().next(),
                    Err(error) => self.notice(format!("no recovery point of the catalog: {error}")),
                },
                Err(error) => self.notice(format!("no recovery point of the catalog: {error}")),
            }
        }
        Ok(report)
    }

    fn is_protected_now(&self, source: &Source) -> bool {
        let replica = self.replica_of(source.id).ok().flatten();
        replica.is_some_and(|replica| replica.state != ReplicaState::Stopped)
    }

    /// Takes points. `consistency_check`: reads every source in full and proves the replica against it.
    pub fn backup(
        &self,
        scope: &Scope,
        consistency_check: bool,
        meter: &Meter,
        cancel: &Cancel,
    ) -> Result<BackupReport, JobError> {
        let mut sources = self.sources_in(scope)?;
        if scope.source.is_none() {
            let idle = [ReplicaState::Stopped, ReplicaState::ManualCreationPending];
            let replicas = self.catalog.replicas()?;
            let is_idle = |source: &Source| {
                current_replica(&replicas, source.id).is_some_and(|replica| idle.contains(&replica.state))
            };
            sources.retain(|source| !is_idle(source));
            // The catalog last, so that its point knows the others'.
            sources.sort_by_key(|source| source.kind == SourceKind::Dpmdb);
        }
        if sources.is_empty() {
            return Err(JobError::request(
                "no-source",
                "there is nothing to back up",
                "`resurgam protect PATH` protects something",
            ));
        }
        self.take_points(&sources, consistency_check, meter, cancel)
    }

    /// Takes a point of each source. What fails for one does not keep the others from theirs.
    fn take_points(
        &self,
        sources: &[Source],
        full: bool,
        meter: &Meter,
        cancel: &Cancel,
    ) -> Result<BackupReport, JobError> {
        let mut report = BackupReport::default();
        for source in sources {
            let about = About {
                kind: if full { "consistency-check" } else { "backup" },
                subject: escape(&source.root),
                source: Some(source.id),
                even_unwritten: false,
            };
            let made = self.run(about, cancel, || {
                let made = self.with_scripts(source, cancel, || self.take_point(source, full, meter, cancel))?;
                let partial = !made.unread.is_empty();
                let message = format!(
                    "point {}: {} files, {} bytes, {} added",
                    made.point.id, made.point.files, made.point.bytes, made.point.added_bytes
                );
                Ok(Ended { value: made, partial, message })
            });
            match made {
                Ok(made) => {
                    report.points.push(made.point);
                    report.unread.extend(made.unread);
                    report.left_out.extend(made.left_out);
                }
                Err(error) if sources.len() == 1 || error.is_cancelled() => return Err(error),
                Err(error) => report.failed.push(Failed {
                    source: escape(&source.root),
                    source_id: source.id,
                    error: error.to_string(),
                }),
            }
        }
        Ok(report)
    }

    pub(crate) fn place_of(&self, replica: ReplicaId) -> ReplicaPlace {
        ReplicaPlace { server: server_directory(&self.record.name), replica }
    }

    fn take_point(&self, source: &Source, full: bool, meter: &Meter, cancel: &Cancel) -> Result<Made, JobError> {
        self.take_point_from(source, None, full, meter, cancel)
    }

    /// Takes a point of a source from where it lies, or from a folder that was carried here by hand.
    pub(crate) fn take_point_from(
        &self,
        source: &Source,
        carried: Option<&Path>,
        full: bool,
        meter: &Meter,
        cancel: &Cancel,
    ) -> Result<Made, JobError> {
        let replica = self.replica_of(source.id)?.ok_or_else(|| {
            JobError::request(
                "no-replica",
                format!("source {} has no replica", escape(&source.root)),
                "`resurgam protect` it again",
            )
        })?;
        refuse_unready(source, &replica, carried.is_some())?;
        let record = self.volume_record(replica.volume)?;
        let volume = self.open_volume(&record)?;
        let place = self.place_of(replica.id);
        self.describe(&volume, &place, source)?;
        let Some(_lock) = volume.lock_replica(&place)? else {
            let message = format!("another backup of {} is running", escape(&source.root));
            return Err(JobError::request("busy", message, "wait until it has ended; `resurgam jobs` shows it"));
        };
        self.publish_capsule_to(&volume)?;
        self.adopt_points(&volume, &place, source, cancel)?;
        let staged = if source.kind == SourceKind::Dpmdb { Some(self.stage_catalog()?) } else { None };
        let root = match (&staged, carried) {
            (Some(staged), _) => staged.path().to_owned(),
            (None, Some(carried)) => carried.to_owned(),
            (None, None) => PathBuf::from(std::ffi::OsStr::from_bytes(&source.root)),
        };
        let reader = Reader::new(&volume)?;
        let previous = if full { None } else { self.previous(&volume, &place, source)? };
        let session = Session::begin(&volume)?;
        let what = Capture {
            root,
            selection: source.selection.clone(),
            never_entered: self.never_entered(Path::new(&record.location))?,
            threads: 0,
        };
        let previous = previous.and_then(|text| text.tree_root().ok()).map(|root| TreeReader::new(&reader, &root));
        let captured = capture(&session, previous, &what, meter, cancel)?;
        let new = NewPoint {
            place: &place,
            point: PointId::from_random(random()?),
            source: source.id,
            root: &source.root,
            time: self.now(),
            kind: PointKind::ExpressFull,
            unread: captured.unread.len() as u64,
        };
        let (text, document) = session.commit(&captured.root, &new, &self.keyring.signing)?;
        let made = point_record(&text, document);
        let entry = made.entry.clone();
        self.catalog.add_point(&made)?;
        let (state, cause) = match carried {
            None => (ReplicaState::Valid, None),
            Some(_) => (ReplicaState::Inconsistent, Some(LOADED)),
        };
        self.catalog.set_replica_state(replica.id, state, cause)?;
        Ok(Made { point: shown(&entry, &source.root), unread: captured.unread, left_out: captured.left_out })
    }

    /// Writes group and policy beside the points, so that the volume describes itself.
    pub(crate) fn describe(&self, volume: &Volume, place: &ReplicaPlace, source: &Source) -> Result<(), JobError> {
        let group = self.catalog.group(source.group)?;
        let mut policy = toml::Table::new();
        let mut put = |key: &str, value: Result<toml::Value, toml::ser::Error>| {
            if let Ok(value) = value {
                policy.insert(key.to_owned(), value);
            }
        };
        if let Some(group) = &group {
            put("group", toml::Value::try_from(group));
        }
        put("kind", toml::Value::try_from(source.kind));
        put("selection", toml::Value::try_from(&source.selection));
        if let Some(retention) = &source.retention {
            put("retention", toml::Value::try_from(retention));
        }
        let (root, root_bytes) = root_texts(&source.root);
        let text = ReplicaText {
            document: ReplicaText::DOCUMENT.to_owned(),
            volume: volume.id(),
            server: self.keyring.server,
            replica: place.replica,
            source: source.id,
            root,
            root_bytes,
            policy,
        };
        Ok(volume.describe_replica(place, &text, &self.keyring.signing)?)
    }

    /// Takes points into the catalog that the volume has and the catalog lacks: a job was killed between the two.
    pub(crate) fn adopt_points(
        &self,
        volume: &Volume,
        place: &ReplicaPlace,
        source: &Source,
        cancel: &Cancel,
    ) -> Result<(), JobError> {
        if self.unknown_points(volume, place, source)?.is_empty() {
            return Ok(());
        }
        // What is being given up at this moment is unknown too, until it is gone.
        let _lock = volume.lock_points(place, cancel)?;
        for id in self.unknown_points(volume, place, source)? {
            match volume.point_document(place, id) {
                Ok((text, document)) if text.source == source.id => {
                    // Its writer may have been killed between the two copies.
                    volume.restore_point_document(place, id, &document)?;
                    self.catalog.add_point(&point_record(&text, document))?;
                    self.notice(format!(
                        "point {id} of {} was in the volume and not in the catalog; it has been adopted",
                        text.root
                    ));
                }
                Ok(_) => {}
                Err(error) if error.is_damage() => {
                    self.notice(format!("{error}; `resurgam verify --repair` looks after it"))
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn unknown_points(&self, volume: &Volume, place: &ReplicaPlace, source: &Source) -> Result<Vec<PointId>, JobError> {
        let listed = volume.points_of(place)?;
        let known = self.catalog.every_entry(Some(source.id))?;
        let known: HashSet<PointId> = known.iter().map(|point| point.id).collect();
        Ok(listed.into_iter().filter(|id| !known.contains(id)).collect())
    }

    /// The newest point that can be built upon.
    fn previous(&self, volume: &Volume, place: &ReplicaPlace, source: &Source) -> Result<Option<PointText>, JobError> {
        let Some(latest) = self.catalog.latest_point(source.id)? else { return Ok(None) };
        let object = place.point(latest.entry.id);
        let usable = latest.entry.state.is_good();
        let document = String::from_utf8_lossy(&latest.document).into_owned();
        Ok(usable.then(|| volume.check_point(&object, place, latest.entry.id, &document).ok()).flatten())
    }

    /// The home and the volumes are never part of a source.
    fn never_entered(&self, volume: &Path) -> Result<Vec<NeverEntered>, JobError> {
        let mut never = Vec::new();
        let mut add = |path: &Path, reason: &str| {
            if let Ok(found) = std::fs::metadata(path) {
                never.push(NeverEntered { device: found.dev(), inode: found.ino(), reason: reason.to_owned() });
            }
        };
        add(&self.home, "the home of this server");
        add(volume, "a volume of the storage pool");
        for record in self.catalog.pool()? {
            add(Path::new(&record.location), "a volume of the storage pool");
        }
        Ok(never)
    }
}

/// Why a replica is inconsistent that was filled by hand.
pub const LOADED: &str = "loaded by hand, not yet checked against its source";

fn refuse_unready(source: &Source, replica: &ReplicaRecord, carried: bool) -> Result<(), JobError> {
    match replica.state {
        ReplicaState::ManualCreationPending if !carried => Err(JobError::request(
            "manual-creation-pending",
            format!("the first copy of {} is to be loaded by hand", escape(&source.root)),
            "carry a copy of it here and run `resurgam source load SOURCE DIR`",
        )),
        ReplicaState::Missing => Err(JobError::request(
            "replica-missing",
            format!("the replica of {} is missing from its volume", escape(&source.root)),
            "`dpmsync -ReallocateReplica` gives it a new place; `dpmsync -Sync` looks for it again",
        )),
        _ => Ok(()),
    }
}

/// A point's row of the catalog, made from its document alone.
pub fn point_record(text: &PointText, document: String) -> PointRecord {
    let entry = PointEntry {
        id: text.point,
        source: text.source,
        replica: text.replica,
        volume: text.volume,
        time: text.time,
        kind: text.kind,
        files: text.tree.files,
        bytes: text.tree.bytes,
        added_bytes: text.added_bytes,
        state: text.state,
    };
    PointRecord { entry, document: document.into_bytes() }
}
