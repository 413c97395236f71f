//! Replicas that are filled by hand: data carried on a disk is cheaper than a first copy over a thin line.

use std::path::Path;

use resurgam_catalog::ReplicaRecord;
use resurgam_model::{
    bytepath::escape,
    point::PointState,
    replica::ReplicaState,
    report::{BackupReport, Reallocated, VolumeSummary},
};
use resurgam_store::{Cancel, Meter};

use crate::{
    backup::LOADED,
    error::JobError,
    job::{About, Ended},
    server::Server,
    sources::{Scope, current_replica},
};

impl Server {
    /// Fills the replica of a source from a folder that was carried here by hand: the same tree, names, times and rights
    /// as the source. The next backup or consistency check proves it against the source and stores only what differs.
    pub fn load_source(
        &self,
        source: &str,
        directory: &Path,
        meter: &Meter,
        cancel: &Cancel,
    ) -> Result<BackupReport, JobError> {
        let source = self.find_source(source)?;
        let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
        if !directory.is_dir() {
            let message = format!("{} is no directory", directory.display());
            return Err(JobError::request("no-such-path", message, "name the folder that was carried here"));
        }
        self.refuse_own("load", &directory, None)?;
        let replica = self.replica_of(source.id)?;
        if let Some(state @ (ReplicaState::Valid | ReplicaState::Stopped)) = replica.map(|replica| replica.state) {
            return Err(JobError::request(
                "not-pending",
                format!("the replica of {} is {state}: there is nothing to load", escape(&source.root)),
                "`resurgam backup --consistency-check` proves it against its source",
            ));
        }
        let about = About {
            kind: "load",
            subject: format!("{} from {}", escape(&source.root), directory.display()),
            source: Some(source.id),
            even_unwritten: false,
        };
        let made = self.run(about, cancel, || {
            let made = self.take_point_from(&source, Some(&directory), true, meter, cancel)?;
            let message = format!("point {}: {} files, {} bytes", made.point.id, made.point.files, made.point.bytes);
            Ok(Ended { partial: !made.unread.is_empty(), message, value: made })
        })?;
        self.publish_capsules()?;
        Ok(BackupReport {
            points: vec![made.point],
            unread: made.unread,
            left_out: made.left_out,
            ..BackupReport::default()
        })
    }

    /// Gives every source whose replica is missing a new, empty place. What is known of the old one stays as history.
    pub fn reallocate_missing(&self) -> Result<Vec<Reallocated>, JobError> {
        let _lock = crate::home::lock(&self.home)?;
        let replicas = self.catalog.replicas()?;
        let mut done = Vec::new();
        for source in self.catalog.sources()? {
            let Some(old) = current_replica(&replicas, source.id).filter(|old| old.state == ReplicaState::Missing)
            else {
                continue;
            };
            let volume = self.volume_for_reallocation(old.volume)?;
            let cause = Some("reallocated and empty: take the next backup, or load it by hand".to_owned());
            let new = self.new_replica(source.id, volume, ReplicaState::Inconsistent, cause)?;
            done.push(Reallocated {
                source_id: source.id,
                source: escape(&source.root),
                old_replica: old.id,
                replica: new.id,
                volume,
            });
        }
        if !done.is_empty() {
            self.forget_lost_places()?;
            self.publish_capsules()?;
        }
        Ok(done)
    }

    /// A place that was lost and replaced stays in the catalog for the sake of its points. Without any it goes, so that no
    /// sync looks for it any more.
    pub(crate) fn forget_lost_places(&self) -> Result<(), JobError> {
        let replicas = self.catalog.replicas()?;
        let is_replaced = |replica: &ReplicaRecord| {
            let current = current_replica(&replicas, replica.source);
            replica.state == ReplicaState::Missing && current.is_some_and(|current| current.id != replica.id)
        };
        for replica in replicas.iter().filter(|replica| is_replaced(replica)) {
            let points = self.catalog.point_entries(Some(replica.source))?;
            if points.iter().all(|point| point.replica != replica.id) {
                self.catalog.remove_replica(replica.id)?;
            }
        }
        Ok(())
    }

    /// Says that a volume is lost for good: its replicas and points are missing from now on, and `-ReallocateReplica` gives
    /// the sources new places. Should it come back, a sync finds everything again.
    pub fn give_volume_up(&self, volume: &str) -> Result<VolumeSummary, JobError> {
        let record = self.find_volume(volume)?;
        if self.open_volume(&record).is_ok() {
            return Err(JobError::request(
                "volume-present",
                format!("the volume {} can be reached: it is not lost", record.location),
                "`dpmsync -Sync` marks what is missing in it",
            ));
        }
        for replica in self.catalog.replicas()?.into_iter().filter(|replica| replica.volume == record.id) {
            let cause = format!("its volume {} is lost", record.location);
            self.catalog.set_replica_state(replica.id, ReplicaState::Missing, Some(&cause))?;
        }
        for point in self.catalog.point_entries(None)?.into_iter().filter(|point| point.volume == record.id) {
            self.catalog.set_point_state(point.id, PointState::Missing)?;
        }
        self.publish_capsules()?;
        let all = self.volumes()?;
        all.into_iter()
            .find(|summary| summary.id == record.id)
            .ok_or_else(|| JobError::request("no-volume", "the volume is gone from the catalog", "list the volumes"))
    }

    /// The volume that the replica lay in, if it can be reached; else the oldest that can.
    fn volume_for_reallocation(&self, old: resurgam_model::VolumeId) -> Result<resurgam_model::VolumeId, JobError> {
        let mut volumes = self.catalog.pool()?;
        volumes.sort_by_key(|volume| (volume.id != old, volume.added));
        let reachable = volumes.iter().find(|volume| self.open_volume(volume).is_ok());
        reachable.map(|volume| volume.id).ok_or_else(|| {
            JobError::request(
                "no-volume",
                "no volume of the pool can be reached",
                "mount one, or add one with `resurgam pool add DIR`",
            )
        })
    }

    /// Proves every replica that was loaded by hand against its source; only what differs is stored.
    pub fn check_loaded(&self, meter: &Meter, cancel: &Cancel) -> Result<BackupReport, JobError> {
        let mut report = BackupReport::default();
        for replica in self.catalog.replicas()? {
            if replica.state != ReplicaState::Inconsistent || replica.cause.as_deref() != Some(LOADED) {
                continue;
            }
            let scope = Scope { source: Some(replica.source.to_string()), group: None };
            let one = self.backup(&scope, true, meter, cancel)?;
            report.points.extend(one.points);
            report.unread.extend(one.unread);
            report.left_out.extend(one.left_out);
            report.failed.extend(one.failed);
        }
        self.publish_capsules()?;
        Ok(report)
    }
}
