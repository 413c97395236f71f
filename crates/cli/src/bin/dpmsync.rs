//! `dpmsync`: the command `resurgam dpmsync` under the name that MABS gave it.

use std::{ffi::OsString, process::ExitCode};

fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    // Global options may stand anywhere, so the command may come first.
    arguments.insert(1.min(arguments.len()), "dpmsync".into());
    resurgam_cli::main(arguments)
}
