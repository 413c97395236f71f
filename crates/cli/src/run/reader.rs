//! `reader`: one volume and nothing else.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::Path};

use resurgam_jobs::{Recover, VolumeReader};
use resurgam_model::{point::Point, report::Listed};
use resurgam_store::keys::Unlock;
use serde::Serialize;

use super::{Context, recover};
use crate::{
    Ending,
    args::{Reader, ReaderLs, ReaderPoints, ReaderRecover},
    environment,
    failure::Failure,
    naming,
    show::{entry, point},
};

/// The document of `reader points`.
#[derive(Serialize)]
struct ReaderPointsDocument {
    points: Vec<Point>,
    unreadable: Vec<Unreadable>,
}

/// Something in the volume that should tell of points and cannot be read.
#[derive(Serialize)]
struct Unreadable {
    object: String,
    error: String,
}

pub(super) fn run(context: &Context<'_>, command: Reader) -> Result<Ending, Failure> {
    match command {
        Reader::Points(arguments) => points(context, &arguments),
        Reader::Ls(arguments) => ls(context, &arguments),
        Reader::Recover(arguments) => recover(context, arguments),
    }
}

fn open(context: &Context<'_>, directory: &Path) -> Result<VolumeReader, Failure> {
    let passphrase = context.passphrase_of_volume(directory)?;
    Ok(VolumeReader::open_backend(environment::stores().backend(directory)?, &Unlock { wrapping: None, passphrase })?)
}

fn points(context: &Context<'_>, arguments: &ReaderPoints) -> Result<Ending, Failure> {
    let output = context.output;
    let source = arguments.of.source.as_deref().map(naming::path_or_id);
    let (points, faults) = open(context, &arguments.volume)?.points(source.as_deref())?;
    let unreadable: Vec<_> = faults.into_iter().map(|(object, error)| Unreadable { object, error }).collect();
    let document = ReaderPointsDocument { points, unreadable };
    output.answer(&document, || point::table(&document.points, &context.zone, output.is_verbose()))?;
    if document.unreadable.is_empty() {
        return Ok(Ending::Whole);
    }
    if !output.is_json() {
        for item in &document.unreadable {
            output.warn(&format!("cannot read {}: {}", item.object, item.error));
        }
    }
    Ok(Ending::Partial)
}

fn ls(context: &Context<'_>, arguments: &ReaderLs) -> Result<Ending, Failure> {
    let reader = open(context, &arguments.volume)?;
    let source = arguments.of.source.as_deref().map(naming::path_or_id);
    let path = arguments.path.as_deref().unwrap_or(OsStr::new("")).as_bytes();
    context.output.list(
        "entries",
        |line, listed| entry::listed(line, listed, &context.zone),
        |each: &mut dyn FnMut(Listed)| {
            Ok(reader.list(&arguments.point, source.as_deref(), path, arguments.recursive, each)?)
        },
    )?;
    Ok(Ending::Whole)
}

fn recover(context: &Context<'_>, arguments: ReaderRecover) -> Result<Ending, Failure> {
    let what = Recover {
        point: arguments.point,
        source: arguments.of.source.as_deref().map(naming::path_or_id),
        paths: recover::bytes(arguments.paths),
        to: Some(arguments.to),
        conflict: arguments.how.conflict(),
        owner: recover::restores_owners(context, &arguments.how),
        online: false,
    };
    let reader = open(context, &arguments.volume)?;
    recover::by_reader(context, &reader, &what, arguments.how.dry_run)
}
