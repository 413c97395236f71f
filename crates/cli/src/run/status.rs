//! `status` and `jobs`.

use resurgam_model::report::JobSummary;
use serde::Serialize;

use super::Context;
use crate::{
    Ending, args, environment,
    failure::Failure,
    show::server::{self, Status},
};

/// Running jobs are among the newest.
const JOBS_LOOKED_AT: u64 = 200;

/// The document of `jobs`.
#[derive(Serialize)]
struct JobsDocument {
    jobs: Vec<JobSummary>,
}

pub(super) fn status(context: &Context<'_>) -> Result<Ending, Failure> {
    let server = context.server()?;
    let mut jobs = server.jobs(JOBS_LOOKED_AT)?;
    jobs.retain(|job| job.state == "running");
    let sources = server::statuses(server.sources()?, &server.groups()?, environment::now());
    let copies = server.survivability()?;
    let alerts = server.alerts(false)?.iter().map(super::alerts::condition).collect();
    let frozen = server.catalog().lineage().map_err(resurgam_jobs::JobError::from)?.and_then(|lineage| lineage.frozen);
    let document = Status { sources, volumes: server.volumes()?, jobs, copies, alerts, frozen };
    context.output.answer(&document, || server::status(&document, &context.zone))?;
    Ok(Ending::Whole)
}

pub(super) fn jobs(context: &Context<'_>, arguments: args::Jobs) -> Result<Ending, Failure> {
    let document = JobsDocument { jobs: context.server()?.jobs(arguments.limit)? };
    context.output.answer(&document, || server::jobs(&document.jobs, &context.zone))?;
    Ok(Ending::Whole)
}
