//! The program, killed at a call that it makes: what a crash at that place leaves.

use std::{ffi::OsString, process::Command, time::Duration};

use crate::{outcome::Outcome, program::Program, random::Random, running::Running};

/// Calls of one kind, in strace's words, and how many of them are worth looking at.
#[derive(Debug, Clone, Copy)]
pub struct Calls(&'static str, u64);

/// All calls that change a disk.
pub const ANY: Calls = Calls(
    "write,pwrite64,writev,pwritev,fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,ftruncate,fallocate",
    120,
);
/// Those that give and take names: what is whole comes into its place.
pub const NAMES: Calls = Calls("rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat", 24);
/// Those that make certain that what was written stays.
pub const SYNCS: Calls = Calls("fsync,fdatasync", 48);

impl Calls {
    /// Draws one of them: any is as likely as all that give names, and as all that make certain.
    pub fn draw(random: &mut Random) -> (Self, u64) {
        let calls = *random.pick(&[ANY, NAMES, SYNCS]);
        (calls, 1 + random.below(calls.1))
    }
}

/// Runs a command that is killed when one of its threads is about to make its `number`-th of `calls`, unless it ends
/// before. Needs `Part::Tool("strace")`.
pub fn killed_at_call(
    program: &Program,
    arguments: impl IntoIterator<Item = OsString>,
    (calls, number): (Calls, u64),
) -> Outcome {
    println!("kill at call {number} of {}", calls.0);
    let mut strace = Command::new("strace");
    // Not with --seccomp-bpf: strace 6.1 then forgets any call but the first.
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={}", calls.0)]);
    strace.args(["-e", &format!("inject={}:signal=KILL:when={number}", calls.0)]);
    let outcome = Running::start(&mut program.command_under(strace, arguments)).finish(Duration::from_secs(180));
    assert!(outcome.was_killed() || outcome.code() == Some(0), "{outcome}");
    outcome
}
