//! Giving the space of given-up points back.

use std::collections::HashSet;

use resurgam_catalog::VolumeRecord;
use resurgam_model::{PointId, report::PruneReport, role::VolumeRole};
use resurgam_store::{
    Cancel, Volume,
    collect::{Collect, collect},
};

use crate::{
    cost::Cost,
    error::JobError,
    job::{About, Ended},
    server::Server,
};

impl Server {
    /// Gives the space of given-up points back.
    pub fn prune(&self, dry_run: bool, cancel: &Cancel) -> Result<PruneReport, JobError> {
        if !dry_run {
            self.must_not_be_frozen("prune")?;
        }
        let mut report = PruneReport::default();
        let mut first = None;
        for record in self.catalog.volumes()? {
            let about = About {
                kind: "prune",
                subject: format!("volume {} in {}", record.id, record.location),
                source: None,
                even_unwritten: true,
            };
            let work = || {
                let volume = self.open_volume(&record)?;
                self.must_hold_its_points(&record, &volume)?;
                if record.role == VolumeRole::Vault && !dry_run {
                    self.must_own(&volume)?;
                    self.purge_deleted(&record, &volume)?;
                }
                let threads = std::thread::available_parallelism().map_or(2, usize::from);
                let how = Collect { dry_run, threads, ..Collect::default() };
                let done = Self::with_reserve(&volume, || collect(&volume, &how, cancel))?;
                let message = format!(
                    "{} packs deleted, {} rewritten, {} bytes freed{}",
                    done.deleted,
                    done.rewritten,
                    done.freed_bytes,
                    Cost::of(&volume)
                );
                Ok(Ended { value: done, partial: false, message })
            };
            let done = if dry_run { work().map(|ended| ended.value) } else { self.run(about, cancel, work) };
            let done = match done {
                Err(error) if error.is_cancelled() => return Err(error),
                // One volume that is away keeps no other from being pruned.
                Err(error) => {
                    self.also_failed(&mut first, error);
                    continue;
                }
                Ok(done) => done,
            };
            report.packs_deleted += done.deleted;
            report.packs_rewritten += done.rewritten;
            report.packs_waiting += done.waiting;
            report.freed_bytes += done.freed_bytes;
            report.moved_bytes += done.moved_bytes;
        }
        first.map_or(Ok(report), Err)
    }

    /// Refuses to collect in a volume that lacks points which nobody gave up. As long as their data lies there, they can be
    /// put back from the catalog; to the collector it would be what no point needs.
    fn must_hold_its_points(&self, record: &VolumeRecord, volume: &Volume) -> Result<(), JobError> {
        let known = || -> Result<HashSet<PointId>, JobError> {
            let mut entries = self.catalog.every_entry(None)?;
            entries.retain(|entry| entry.volume == record.id);
            Ok(entries.iter().map(|entry| entry.id).collect())
        };
        let mut lacking = known()?;
        for (_, point) in volume.point_names()? {
            lacking.remove(&point);
        }
        if lacking.is_empty() {
            return Ok(());
        }
        // What is given up meanwhile leaves the catalog first, and then the volume.
        let still = known()?;
        lacking.retain(|point| still.contains(point));
        match lacking.len() {
            0 => Ok(()),
            count => Err(JobError::request(
                "points-missing",
                format!(
                    "the volume {} lacks {count} recovery point(s) that nobody gave up; nothing is deleted in it",
                    record.location
                ),
                "`resurgam verify --repair` puts back what can be; `dpmsync -Sync` and then `resurgam expire --missing` gives \
                 up the rest",
            )),
        }
    }
}
