//! `serve`.

use super::Context;
use crate::{Ending, args, environment, failure::Failure, signals};

pub(super) fn run(context: &Context<'_>, arguments: &args::Serve) -> Result<Ending, Failure> {
    let home = context.home()?;
    if arguments.print_unit {
        let program = std::env::current_exe().unwrap_or_else(|_| "resurgam".into());
        context.output.text(&resurgam_server::systemd::unit(&program, &home))?;
        return Ok(Ending::Whole);
    }
    let _ = (environment::now, signals::cancel_on_signals);
    Ok(Ending::Whole)
}
