//! `sources` and `source …`.

use resurgam_jobs::{Protect, SourceChange};
use resurgam_model::report::SourceSummary;
use serde::Serialize;

use super::{Context, Removed, pin};
use crate::{
    Ending,
    args::{SourceAdd, SourceCommand, SourceLoad, SourceRemove, SourceSet},
    failure::Failure,
    naming,
    progress::watched,
    show::server,
    signals,
};

/// The document of `sources`, and of what makes or changes some.
#[derive(Serialize)]
struct SourcesDocument {
    sources: Vec<SourceSummary>,
}

pub(super) fn run(context: &Context<'_>, command: SourceCommand) -> Result<Ending, Failure> {
    match command {
        SourceCommand::Add(arguments) => add(context, arguments),
        SourceCommand::Load(arguments) => load(context, &arguments),
        SourceCommand::Remove(arguments) => remove(context, &arguments),
        SourceCommand::Set(arguments) => set(context, &arguments),
    }
}

pub(super) fn list(context: &Context<'_>) -> Result<Ending, Failure> {
    answer(context, context.server()?.sources()?)
}

fn answer(context: &Context<'_>, sources: Vec<SourceSummary>) -> Result<Ending, Failure> {
    let document = SourcesDocument { sources };
    let verbose = context.output.is_verbose();
    context.output.answer(&document, || server::sources(&document.sources, &context.zone, verbose))?;
    Ok(Ending::Whole)
}

fn add(context: &Context<'_>, arguments: SourceAdd) -> Result<Ending, Failure> {
    let what = Protect {
        paths: arguments.paths,
        group: arguments.to.group,
        pool: arguments.to.pool,
        retention: super::retention(&arguments.keep)?,
        every_seconds: arguments.every.every,
        selection: arguments.leave.selection(),
        manual: arguments.manual,
    };
    let added = context.server_or_new(context.passphrase_given()?)?.add_sources(&what)?;
    answer(context, added)
}

fn load(context: &Context<'_>, arguments: &SourceLoad) -> Result<Ending, Failure> {
    let source = naming::path_or_id(&arguments.source);
    let cancel = signals::cancel_on_signals(context.output.is_quiet())?;
    let server = context.server()?;
    let report =
        watched(context.output, "loading", |meter| server.load_source(&source, &arguments.directory, meter, &cancel))?;
    super::backup::answer(context, &report, None)
}

fn remove(context: &Context<'_>, arguments: &SourceRemove) -> Result<Ending, Failure> {
    let source = naming::path_or_id(&arguments.source);
    let server = context.server()?;
    pin::with(context, &arguments.pin, |pin| server.remove_source(&source, arguments.delete_points, pin))?;
    let points = if arguments.delete_points { "its points are given up" } else { "its points stay" };
    context.output.answer(&Removed::of(&source), || format!("{source} is no longer protected; {points}.\n"))?;
    Ok(Ending::Whole)
}

fn set(context: &Context<'_>, arguments: &SourceSet) -> Result<Ending, Failure> {
    let retention = match super::retention(&arguments.keep)? {
        Some(retention) => Some(Some(retention)),
        None if arguments.keep_as_group => Some(None),
        None => None,
    };
    let is_selection_given = arguments.exclude_nothing || arguments.leave.is_given();
    if retention.is_none() && !is_selection_given {
        return Err(Failure::arguments(
            "nothing to change was named",
            "`resurgam source set --help` lists what can be changed",
        ));
    }
    let change = SourceChange { retention, selection: is_selection_given.then(|| arguments.leave.selection()) };
    let changed = context.server()?.change_source(&naming::path_or_id(&arguments.source), change)?;
    answer(context, vec![changed])
}
