//! `protect` and `backup`.

use resurgam_jobs::{OnlineChange, Protect, Scope};
use resurgam_model::report::BackupReport;
use serde::Serialize;

use super::Context;
use crate::{
    Ending, args,
    failure::{ErrorBody, Failure},
    naming,
    progress::watched,
    show::{amount, point},
    signals,
};

/// So many things left out are named without `-v`.
const LEFT_OUT_SHOWN: usize = 8;

pub(super) fn protect(context: &Context<'_>, arguments: args::Protect) -> Result<Ending, Failure> {
    let what = Protect {
        paths: arguments.paths,
        group: arguments.to.group,
        pool: arguments.to.pool,
        retention: super::retention(&arguments.keep)?,
        every_seconds: arguments.every.every,
        selection: arguments.leave.selection(),
        manual: false,
    };
    let cancel = signals::cancel_on_signals(context.output.is_quiet())?;
    let server = context.server_or_new(context.passphrase_given()?)?;
    let mut report = watched(context.output, "protecting", |meter| server.protect(&what, meter, &cancel))?;
    let mut copied = Ok(());
    if arguments.online.online {
        let change = online_change(&arguments.online.policy)?;
        let sources: Vec<String> = report.points.iter().map(|point| point.source_id.to_string()).collect();
        let groups = server.groups_of(&sources)?;
        server.protect_online(&groups, &change)?;
        let catalog = report.catalog.as_ref().map(|point| point.source_id.to_string());
        copied = sources.into_iter().chain(catalog).try_for_each(|source| {
            online(context, &server, &Scope { group: None, source: Some(source) }, &cancel, &mut report)
        });
    }
    answer(context, &report, copied.err())
}

/// What the options say about online protection.
pub(super) fn online_change(policy: &args::OnlinePolicy) -> Result<OnlineChange, Failure> {
    let keeps = |error| Failure::arguments(error, "give a rule of --online-keep… that keeps something");
    Ok(OnlineChange {
        vault: policy.vault.clone(),
        retention: policy.retention().map_err(keeps)?,
        every_seconds: policy.online_every,
        calendar: policy.calendar(),
    })
}

fn online(
    context: &Context<'_>,
    server: &resurgam_jobs::Server,
    scope: &Scope,
    cancel: &resurgam_jobs::Cancel,
    report: &mut BackupReport,
) -> Result<(), Failure> {
    let made = watched(context.output, "copying to the vault", |meter| server.back_up_online(scope, meter, cancel))?;
    report.points.extend(made.points);
    report.failed.extend(made.failed);
    Ok(())
}

pub(super) fn backup(context: &Context<'_>, arguments: args::Backup) -> Result<Ending, Failure> {
    let scope = Scope { group: arguments.group, source: arguments.of.source.as_deref().map(naming::path_or_id) };
    let cancel = signals::cancel_on_signals(context.output.is_quiet())?;
    let server = context.server()?;
    let taken = watched(context.output, "backing up", |meter| {
        server.backup(&scope, arguments.consistency_check, meter, &cancel)
    });
    if !arguments.online {
        return answer(context, &taken?, None);
    }
    // A source that is away keeps nobody from copying what the pool has of it.
    let mut report = taken.unwrap_or_else(|error| {
        context.output.warn(&format!("no new point in the pool ({error}); the newest there is copied"));
        BackupReport::default()
    });
    let copied = online(context, &server, &scope, &cancel, &mut report);
    answer(context, &report, copied.err())
}

/// The document of `protect` and `backup`.
#[derive(Serialize)]
struct BackupDocument<'a> {
    #[serde(flatten)]
    report: &'a BackupReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorBody<'a>>,
}

/// Shows the points; names what is not in them. `ended`: what kept the command from going on, after it had made these.
pub(super) fn answer(context: &Context<'_>, report: &BackupReport, ended: Option<Failure>) -> Result<Ending, Failure> {
    let output = context.output;
    let failure = ended.or_else(|| failure(report));
    let document = BackupDocument { report, error: failure.as_ref().map(Failure::body) };
    output.answer(&document, || {
        if report.points.is_empty() {
            String::new()
        } else {
            point::table(&report.points, &context.zone, output.is_verbose())
        }
    })?;
    if !output.is_json() {
        name_left_out(context, report);
        for item in &report.unread {
            output.warn(&format!("cannot read {}: {}", item.path, item.error));
        }
        if !report.unread.is_empty() {
            let items = amount::counted(amount::length(&report.unread), "item", "items");
            output.warn(&format!("{items} could not be read; the recovery point is made without what could not"));
        }
        for failed in &report.failed {
            output.warn(&format!("no recovery point of {}: {}", failed.source, failed.error));
        }
        if let Some(newest) = report.points.last() {
            output.note(&format!("To bring it back: resurgam{} recover {} --to DIR", home_option(context), newest.id));
        }
    }
    match failure {
        Some(failure) => Err(failure),
        None if report.unread.is_empty() => Ok(Ending::Whole),
        None => Ok(Ending::Partial),
    }
}

/// The failure of the command as a whole, where some sources have no point.
fn failure(report: &BackupReport) -> Option<Failure> {
    let first = report.failed.first()?;
    let (failed, all) = (report.failed.len(), report.failed.len() + report.points.len());
    let message =
        format!("{failed} of {all} sources have no new recovery point; the first is {}: {}", first.source, first.error);
    Some(Failure::new(
        "sources-failed",
        message,
        "put that right, then run `resurgam backup`; the other points are made",
    ))
}

fn name_left_out(context: &Context<'_>, report: &BackupReport) {
    let shown = if context.output.is_verbose() { usize::MAX } else { LEFT_OUT_SHOWN };
    for item in report.left_out.iter().take(shown) {
        context.output.note(&format!("left out {}: {}", item.path, item.reason));
    }
    if let Some(more) = report.left_out.len().checked_sub(shown).filter(|more| *more > 0) {
        context.output.note(&format!("left out {more} more; -v names them all"));
    }
}

/// `--home` as it was given, so that a command shown can be pasted.
fn home_option(context: &Context<'_>) -> String {
    context.global.home.as_ref().map_or_else(String::new, |home| format!(" --home {}", home.display()))
}

#[cfg(test)]
mod tests;
