//! `verify`, `expire`, `prune`.

use resurgam_jobs::Verify;
use resurgam_model::report::ExpireReport;

use super::{Context, pin};
use crate::{Ending, args, failure::Failure, progress::watched, show::report, signals};

pub(super) fn verify(context: &Context<'_>, arguments: args::Verify) -> Result<Ending, Failure> {
    let what = Verify { read_data_percent: arguments.read_data, repair: arguments.repair, online: arguments.online };
    let cancel = signals::cancel_on_signals(context.output.is_quiet())?;
    let server = context.server()?;
    let report = watched(context.output, "verifying", |meter| server.verify(&what, meter, &cancel))?;
    context.output.answer(&report, || report::verified(&report, what.read_data_percent.is_some(), what.repair))?;
    Ok(if report.damage.iter().all(|damage| damage.mended) { Ending::Whole } else { Ending::Bad })
}

pub(super) fn expire(context: &Context<'_>, arguments: args::Expire) -> Result<Ending, Failure> {
    let cancel = signals::cancel_on_signals(context.output.is_quiet())?;
    let server = context.server()?;
    let named = if arguments.missing { server.missing_points()? } else { arguments.point };
    let report = if arguments.missing && named.is_empty() {
        ExpireReport::default()
    } else {
        pin::with(context, &arguments.pin, |pin| server.expire(&named, pin, arguments.dry_run, &cancel))?
    };
    let verbose = context.output.is_verbose();
    context.output.answer(&report, || report::expired(&report, arguments.dry_run, &context.zone, verbose))?;
    Ok(Ending::Whole)
}

pub(super) fn prune(context: &Context<'_>, arguments: args::Prune) -> Result<Ending, Failure> {
    let cancel = signals::cancel_on_signals(context.output.is_quiet())?;
    let report = context.server()?.prune(arguments.dry_run, &cancel)?;
    context.output.answer(&report, || report::pruned(&report, arguments.dry_run))?;
    Ok(Ending::Whole)
}
