//! Giving the space of given-up points back.

use resurgam_model::report::PruneReport;
use resurgam_store::{
    Cancel,
    collect::{Collect, collect},
};

use crate::{
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
                let how = Collect { dry_run, ..Collect::default() };
                let done = Self::with_reserve(&volume, || collect(&volume, &how, cancel))?;
                let message = format!(
                    "{} packs deleted, {} rewritten, {} bytes freed",
                    done.deleted, done.rewritten, done.freed_bytes
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
}
