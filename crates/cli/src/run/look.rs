//! `points`, `ls`, `find`, `diff`.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

use resurgam_jobs::Scope;
use resurgam_model::{point::Point, report::Listed};
use serde::Serialize;

use super::Context;
use crate::{
    Ending, args,
    failure::Failure,
    naming,
    show::{entry, point},
};

/// The document of `points`.
#[derive(Serialize)]
struct PointsDocument {
    points: Vec<Point>,
}

pub(super) fn points(context: &Context<'_>, arguments: args::Points) -> Result<Ending, Failure> {
    let source = arguments.of.source.as_deref().map(naming::path_or_id);
    let server = context.server()?;
    let points =
        if arguments.online { server.online_points(source.as_deref())? } else { server.points(source.as_deref())? };
    let document = PointsDocument { points };
    let verbose = context.output.is_verbose();
    context.output.answer(&document, || point::table(&document.points, &context.zone, verbose))?;
    Ok(Ending::Whole)
}

pub(super) fn ls(context: &Context<'_>, arguments: args::Ls) -> Result<Ending, Failure> {
    let server = context.server()?;
    let source = arguments.of.source.as_deref().map(naming::path_or_id);
    let path = arguments.path.as_deref().unwrap_or(OsStr::new("")).as_bytes();
    context.output.list(
        "entries",
        |line, listed| entry::listed(line, listed, &context.zone),
        |each: &mut dyn FnMut(Listed)| {
            Ok(server.list(&arguments.point, source.as_deref(), path, arguments.recursive, each)?)
        },
    )?;
    Ok(Ending::Whole)
}

pub(super) fn find(context: &Context<'_>, arguments: args::Find) -> Result<Ending, Failure> {
    let server = context.server()?;
    let scope = Scope { group: arguments.group, source: arguments.of.source.as_deref().map(naming::path_or_id) };
    let length = if context.output.is_verbose() || context.output.is_json() {
        usize::MAX
    } else {
        point::id_length(&server.points(None)?.iter().map(|point| point.id.to_string()).collect::<Vec<_>>())
    };
    context.output.list(
        "entries",
        |line, found| entry::found(line, found, length, &context.zone),
        |each: &mut dyn FnMut(Listed)| Ok(server.find(&arguments.glob, &scope, each)?),
    )?;
    Ok(Ending::Whole)
}

pub(super) fn diff(context: &Context<'_>, arguments: args::Diff) -> Result<Ending, Failure> {
    let server = context.server()?;
    let source = arguments.of.source.as_deref().map(naming::path_or_id);
    context.output.list("differences", entry::difference, |each| {
        Ok(server.diff(&arguments.from, &arguments.to, source.as_deref(), each)?)
    })?;
    Ok(Ending::Whole)
}
