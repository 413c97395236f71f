//! The program on a disk that answers slowly, so that a test can do something while it works.

use std::{ffi::OsString, process::Command};

use crate::{program::Program, running::Running};

/// Starts a command for which each file that it captures takes 50 ms more. Needs `Part::Tool("strace")`.
pub fn start_slowly(program: &Program, arguments: impl IntoIterator<Item = OsString>) -> Running {
    let mut strace = Command::new("strace");
    // -D: what is started is the program itself, and signals go to it; strace only stands beside it.
    strace.args(["-D", "-f", "-qq", "-o", "/dev/null", "--seccomp-bpf"]);
    // Extended attributes are asked for once per file, and for nothing else.
    strace.args(["-e", "trace=flistxattr", "-e", "inject=flistxattr:delay_enter=50000"]);
    Running::start(&mut program.command_under(strace, arguments))
}
