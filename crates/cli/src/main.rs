//! The `resurgam` program. Everything is in the library, where tests reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    resurgam_cli::main(std::env::args_os().collect())
}
