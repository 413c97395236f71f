//! `-Sync`: reconciling the catalog with what the volumes hold.
//!
//! Three steps, and only the last writes: look ([`observe`]), decide ([`resurgam_model::reconcile`], pure), carry out
//! ([`apply`]). No step deletes. Interrupted anywhere, it is run again and ends right; run twice, it changes nothing.

mod apply;
mod charter;
mod observe;
mod report;

use std::path::PathBuf;

use resurgam_jobs::{Cancel, JobError, Meter, Server};
use resurgam_model::{
    PointId,
    reconcile::{Adoption, Plan},
};

pub use report::{Item, SyncReport};

/// How to reconcile.
#[derive(Debug, Clone, Default)]
pub struct Sync {
    /// Read and prove the data as well, not the metadata alone.
    pub read_data: bool,
    /// Only say what would be done.
    pub what_if: bool,
    /// Directories to look at besides those that the catalog names: for volumes that have moved.
    pub also: Vec<PathBuf>,
}

/// Reconciles the catalog with the volumes. Where the report is clean, deleting is allowed again.
///
/// # Errors
/// Where the catalog cannot be read or written. What is wrong with a volume is told in the report.
pub fn sync(server: &Server, how: &Sync, meter: &Meter, cancel: &Cancel) -> Result<SyncReport, JobError> {
    server.must_not_be_superseded("reconcile catalog and volumes")?;
    // First what the catalog knows, then what the volumes hold: a point made meanwhile must not seem to be missing.
    let before = observe::known(server)?;
    let mut observation = observe::observe(server, how, meter, cancel)?;
    let mut report = SyncReport { what_if: how.what_if, ..SyncReport::default() };
    // What people decided after the copy was made goes first: points may belong to sources that it does not know.
    charter::adopt(server, &observation, how.what_if, &mut report)?;
    let mut known = observe::known(server)?;
    known.points.retain(|point, _| before.points.contains_key(point) || observation.documents.contains_key(point));
    let mut plan = Plan::new(&known, &observation.observed);
    // Nor must one come back that was given up meanwhile.
    let given_up = |point: &PointId| before.points.contains_key(point) && !known.points.contains_key(point);
    plan.adopt.retain(|adoption| !matches!(adoption, Adoption::Point { point, .. } if given_up(point)));
    observe::leave_loaded_alone(server, &mut plan)?;
    if !how.what_if {
        apply::apply(server, &plan, &mut observation)?;
    }
    report.tell(server, &plan, &observation)?;
    if !how.what_if {
        server.publish_capsules()?;
        if report.clean {
            report.thawed = server.catalog().lineage()?.is_some_and(|lineage| lineage.frozen.is_some());
            server.thaw()?;
        }
        // The alerts follow; that they cannot be written now is no reason to doubt the sync.
        if let Err(error) = server.evaluate_alerts() {
            server.notice(format!("the alerts could not be worked out anew: {error}"));
        }
    }
    Ok(report)
}
