//! `pool …`.

use resurgam_model::report::VolumeSummary;
use serde::Serialize;

use super::{Context, Removed, needs_passphrase};
use crate::{
    Ending,
    args::{PoolAdd, PoolCommand},
    failure::Failure,
    naming, passphrase,
    show::server,
};

/// The document of `pool list` and `pool add`.
#[derive(Serialize)]
struct VolumesDocument {
    volumes: Vec<VolumeSummary>,
}

pub(super) fn run(context: &Context<'_>, command: PoolCommand) -> Result<Ending, Failure> {
    match command {
        PoolCommand::Add(arguments) => add(context, &arguments),
        PoolCommand::List => answer(context, context.server()?.volumes()?),
        PoolCommand::Lost { volume } => {
            answer(context, vec![context.server()?.give_volume_up(&naming::path_or_id(&volume))?])
        }
        PoolCommand::Remove { volume } => {
            let volume = naming::path_or_id(&volume);
            context.server()?.remove_volume(&volume)?;
            context.output.answer(&Removed::of(&volume), || {
                format!("Volume {volume} is forgotten; what lies in it is untouched.\n")
            })?;
            Ok(Ending::Whole)
        }
    }
}

fn answer(context: &Context<'_>, volumes: Vec<VolumeSummary>) -> Result<Ending, Failure> {
    let document = VolumesDocument { volumes };
    context.output.answer(&document, || server::volumes(&document.volumes))?;
    Ok(Ending::Whole)
}

fn add(context: &Context<'_>, arguments: &PoolAdd) -> Result<Ending, Failure> {
    let given = context.passphrase_given()?;
    let passphrase = match given {
        Some(given) => Some(given),
        // A volume that is there already has its passphrase; a new one gets one.
        None if needs_passphrase(&arguments.directory) => context.passphrase_of_volume(&arguments.directory)?,
        None if arguments.passphrase => {
            Some(passphrase::ask_new(&format!("the volume {}", arguments.directory.display()))?)
        }
        None => None,
    };
    // Who gives a passphrase in any way wants it used.
    let sealed = passphrase.is_some();
    let volume = context.server_or_new(passphrase)?.server.add_volume(&arguments.directory, sealed)?;
    answer(context, vec![volume])
}
