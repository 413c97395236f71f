//! `dpmsync`: the command `resurgam dpmsync` under the name that MABS gave it.

use std::{ffi::OsString, process::ExitCode};

fn main() -> ExitCode {
    // Global options may stand anywhere, so the command may come first.
    let command: [OsString; 2] = ["resurgam".into(), "dpmsync".into()];
    resurgam_cli::main(command.into_iter().chain(std::env::args_os().skip(1)).collect())
}
