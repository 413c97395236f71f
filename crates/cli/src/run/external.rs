//! `external …`.

use resurgam_jobs::{External, Recover, VolumeReader};
use resurgam_model::{point::Point, report::ServerSummary};
use serde::Serialize;

use super::{Context, recover, vault};
use crate::{
    Ending,
    args::{ExternalCommand, ExternalRecover},
    environment,
    failure::Failure,
    naming, passphrase,
    show::{point, vault as show},
};

/// The document of `external list` and `external add`.
#[derive(Serialize)]
struct ServersDocument {
    servers: Vec<ServerSummary>,
}

/// The document of `external points`.
#[derive(Serialize)]
struct PointsDocument {
    points: Vec<Point>,
}

/// The document of `external clear`.
#[derive(Serialize)]
struct ClearedDocument {
    cleared: bool,
}

pub(super) fn run(context: &Context<'_>, command: ExternalCommand) -> Result<Ending, Failure> {
    match command {
        ExternalCommand::Add { credentials } => {
            let text = vault::read_text(&credentials, "credentials")?;
            let stores = vault::stores(context)?;
            let external = External::add(&context.home()?, &stores, &text, environment::now())?;
            answer(context, external.servers()?)
        }
        ExternalCommand::List => answer(context, open(context)?.servers()?),
        ExternalCommand::Points { server, of } => {
            let source = of.source.as_deref().map(naming::path_or_id);
            let (points, unreadable) = part(context, &server)?.points(source.as_deref())?;
            let points = points.into_iter().map(|point| Point { online: true, ..point }).collect();
            let document = PointsDocument { points };
            let verbose = context.output.is_verbose();
            context.output.answer(&document, || point::table(&document.points, &context.zone, verbose))?;
            for (object, error) in &unreadable {
                context.output.warn(&format!("cannot read {object}: {error}"));
            }
            Ok(if unreadable.is_empty() { Ending::Whole } else { Ending::Partial })
        }
        ExternalCommand::Recover(arguments) => recover_from(context, arguments),
        ExternalCommand::Clear => {
            External::clear(&context.home()?)?;
            context
                .output
                .answer(&ClearedDocument { cleared: true }, || "Nothing of the vault is left here.\n".to_owned())?;
            Ok(Ending::Whole)
        }
    }
}

fn answer(context: &Context<'_>, servers: Vec<ServerSummary>) -> Result<Ending, Failure> {
    let document = ServersDocument { servers };
    context.output.answer(&document, || show::servers(&document.servers, &context.zone))?;
    Ok(Ending::Whole)
}

fn open(context: &Context<'_>) -> Result<External, Failure> {
    Ok(External::open(&context.home()?, &vault::stores(context)?)?)
}

/// The part of a server, opened with its passphrase.
fn part(context: &Context<'_>, server: &str) -> Result<VolumeReader, Failure> {
    let external = open(context)?;
    let typed = match context.passphrase_given()? {
        Some(given) => given,
        None => passphrase::ask(&format!("the server {server}"))?,
    };
    Ok(external.server(server, typed)?)
}

fn recover_from(context: &Context<'_>, arguments: ExternalRecover) -> Result<Ending, Failure> {
    let what = Recover {
        point: arguments.point,
        source: arguments.of.source.as_deref().map(naming::path_or_id),
        paths: recover::bytes(arguments.paths),
        to: Some(arguments.to),
        conflict: arguments.how.conflict(),
        owner: recover::restores_owners(context, &arguments.how),
        online: true,
    };
    let reader = part(context, &arguments.server)?;
    recover::by_reader(context, &reader, &what, arguments.how.dry_run)
}
