//! ^C and `kill`: the first asks the running job to stop in good order, the second ends the program at once.

use std::{io::Write, sync::Arc};

use resurgam_jobs::Cancel;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};

use crate::failure::Failure;

/// The exit code of the second signal: what a shell makes of ^C.
const INTERRUPTED: i32 = 130;

/// From now on SIGINT and SIGTERM set what this returns. Commands that only look something up never ask for it, so the
/// system's default ends them.
pub(crate) fn cancel_on_signals(quiet: bool) -> Result<Arc<Cancel>, Failure> {
    let cancel = Arc::new(Cancel::default());
    let failed = |error: std::io::Error| {
        Failure::new("system", format!("cannot listen for signals: {error}"), "close some programs and try again")
    };
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(failed)?;
    let asked = Arc::clone(&cancel);
    let listen = move || {
        for _ in signals.forever() {
            if asked.is_cancelled() {
                signal_hook::low_level::exit(INTERRUPTED);
            }
            asked.cancel();
            if !quiet {
                let _ = writeln!(std::io::stderr(), "resurgam: stopping; once more ends it at once");
            }
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(listen).map_err(failed)?;
    Ok(cancel)
}
