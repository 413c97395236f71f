//! `serve`: the daemon.

use std::{io::Write, sync::Arc};

use resurgam_server::{
    Options,
    home::{Home, Level, Outside},
    serve,
    systemd::{Notifier, unit},
};
use serde::Serialize;

use super::Context;
use crate::{Ending, args, environment, failure::Failure, show::amount, signals};

/// How many jobs run at once.
const SLOTS: usize = 2;

/// The document of `serve --once`, and of a daemon that was ended.
#[derive(Serialize)]
struct ServedDocument {
    done: u64,
    failed: u64,
}

pub(super) fn run(context: &Context<'_>, arguments: &args::Serve) -> Result<Ending, Failure> {
    let home = context.home()?;
    if arguments.print_unit {
        let program = std::env::current_exe().unwrap_or_else(|_| "resurgam".into());
        context.output.text(&unit(&program, &home))?;
        return Ok(Ending::Whole);
    }
    let passphrase = context.passphrase_given()?;
    let stop = Arc::clone(&signals::cancel_on_signals(true)?);
    let quiet = context.output.is_quiet();
    let log = |level: Level, line: &str| {
        if level == Level::Warning || !quiet {
            // The journal takes what comes on standard error. Where nobody reads it, the alerts tell all the same.
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    };
    let outside = Outside {
        environment: &|| environment::real(passphrase.clone()),
        log: &log,
        notifier: notifier()?,
        scratch: std::env::temp_dir(),
    };
    let world = Home::open(&home, outside)?;
    let options = Options { slots: SLOTS, zone: environment::time_zone(), once: arguments.once };
    let tally = serve(&world, &options, &stop);
    let document = ServedDocument { done: tally.done, failed: tally.failed };
    context.output.answer(&document, || {
        format!("{} ended well, {} did not.\n", amount::counted(tally.done, "run", "runs"), amount::count(tally.failed))
    })?;
    // A daemon that was asked to end has ended well; what failed stands in the alerts.
    Ok(if arguments.once && tally.failed > 0 { Ending::Bad } else { Ending::Whole })
}

fn notifier() -> Result<Notifier, Failure> {
    let text = |name: &str| std::env::var(name).ok();
    let socket = std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty());
    let made = Notifier::new(
        socket.as_deref(),
        text("WATCHDOG_USEC").as_deref(),
        text("WATCHDOG_PID").as_deref(),
        std::process::id(),
    );
    made.map_err(|error| {
        Failure::new(
            "notify-socket",
            format!("cannot speak to systemd: {error}"),
            "start it as a unit (`resurgam serve --print-unit`), or with NOTIFY_SOCKET unset",
        )
    })
}
