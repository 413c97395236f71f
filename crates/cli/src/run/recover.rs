//! `recover`, and what it shares with `reader recover`.

use std::{ffi::OsString, os::unix::ffi::OsStringExt};

use resurgam_jobs::{Recover, VolumeReader};
use resurgam_model::report::{RecoverEstimate, RecoverReport};

use super::Context;
use crate::{
    Ending, args,
    failure::Failure,
    naming,
    progress::watched,
    show::{amount, report},
    signals,
};

pub(super) fn recover(context: &Context<'_>, arguments: args::Recover) -> Result<Ending, Failure> {
    let what = Recover {
        point: arguments.point,
        source: arguments.of.source.as_deref().map(naming::path_or_id),
        paths: bytes(arguments.paths),
        to: arguments.place.to,
        conflict: arguments.how.conflict(),
        owner: restores_owners(context, &arguments.how),
        online: arguments.online,
    };
    let cancel = signals::cancel_on_signals(context.output.is_quiet())?;
    let server = context.server()?;
    if arguments.how.dry_run {
        return estimated(context, &server.estimate(&what, &cancel)?);
    }
    let foresee = |estimate: &RecoverEstimate| foresee(context, estimate);
    let report = watched(context.output, "recovering", |meter| server.recover(&what, &foresee, meter, &cancel))?;
    answer(context, &what, &report)
}

/// Recovers from a volume with no server.
pub(super) fn by_reader(
    context: &Context<'_>,
    reader: &VolumeReader,
    what: &Recover,
    dry_run: bool,
) -> Result<Ending, Failure> {
    let cancel = signals::cancel_on_signals(context.output.is_quiet())?;
    if dry_run {
        return estimated(context, &reader.estimate(what, &cancel)?);
    }
    let foresee = |estimate: &RecoverEstimate| foresee(context, estimate);
    let report = watched(context.output, "recovering", |meter| reader.recover(what, &foresee, meter, &cancel))?;
    answer(context, what, &report)
}

fn estimated(context: &Context<'_>, estimate: &RecoverEstimate) -> Result<Ending, Failure> {
    context.output.answer(estimate, || report::estimated(estimate))?;
    Ok(Ending::Whole)
}

/// Says what is to be fetched, before it is.
fn foresee(context: &Context<'_>, estimate: &RecoverEstimate) {
    if let Some(fetch) = &estimate.fetch {
        context.output.note(&report::fetching(fetch));
    }
}

/// Whether owner and group are restored. An ordinary user may not give files away, so what he restores is his, as with
/// `tar`; trying it on every file would only name every file.
pub(super) fn restores_owners(context: &Context<'_>, how: &args::How) -> bool {
    let may = may_change_owners();
    if !may && !how.no_owner {
        context.output.note("owner and group are left as the system sets them: only root can give files away");
    }
    may && !how.no_owner
}

fn may_change_owners() -> bool {
    use rustix::thread::{CapabilitySet, capabilities};
    capabilities(None)
        .map_or_else(|_| rustix::process::geteuid().is_root(), |sets| sets.effective.contains(CapabilitySet::CHOWN))
}

/// Paths inside a point, as their bytes.
pub(super) fn bytes(paths: Vec<OsString>) -> Vec<Vec<u8>> {
    paths.into_iter().map(OsString::into_vec).collect()
}

/// Shows what came back; names what did not.
pub(super) fn answer(context: &Context<'_>, what: &Recover, report: &RecoverReport) -> Result<Ending, Failure> {
    let output = context.output;
    let place = what.to.as_ref().map_or_else(|| "its original place".to_owned(), |to| to.display().to_string());
    output.answer(report, || report::recovered(report, &place))?;
    if report.unproved.is_empty() {
        return Ok(Ending::Whole);
    }
    if !output.is_json() {
        for item in &report.unproved {
            output.warn(&format!("{}: {}", item.path, item.error));
        }
        let items = amount::counted(amount::length(&report.unproved), "item", "items");
        output.warn(&format!("{items} could not be restored or proved; everything else is as it was"));
    }
    Ok(Ending::Partial)
}
