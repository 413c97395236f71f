//! The program, killed at a call that it makes: what a crash at that place leaves.

use std::{ffi::OsString, process::Command, time::Duration};

use crate::{outcome::Outcome, program::Program, random::Random, running::Running};

/// Calls in strace's words, and how many of each kind are worth looking at.
const KINDS: [(&str, u64); 3] = [
    // All that change a disk.
    (
        "write,pwrite64,writev,pwritev,fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,ftruncate,fallocate",
        120,
    ),
    // Those that give and take names: what is whole comes into its place.
    ("rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat", 24),
    // Those that make certain that what was written stays.
    ("fsync,fdatasync", 48),
];

/// A call: the `number`-th of a thread's calls of one kind.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    kind: &'static str,
    number: u64,
}

impl Call {
    /// Draws a kind, and then one of its calls.
    pub fn draw(random: &mut Random) -> Self {
        let (kind, most) = *random.pick(&KINDS);
        Self { kind, number: 1 + random.below(most) }
    }
}

/// Runs a command that is killed when one of its threads is about to make the call, unless it ends before. Needs
/// `Part::Tool("strace")`.
pub fn killed_at_call(program: &Program, arguments: impl IntoIterator<Item = OsString>, call: Call) -> Outcome {
    let Call { kind, number } = call;
    println!("kill at call {number} of {kind}");
    let mut strace = Command::new("strace");
    // Not with --seccomp-bpf: strace 6.1 then forgets any call but the first.
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={kind}")]);
    strace.args(["-e", &format!("inject={kind}:signal=KILL:when={number}")]);
    let outcome = Running::start(&mut program.command_under(strace, arguments)).finish(Duration::from_secs(180));
    assert!(outcome.was_killed() || outcome.code() == Some(0), "{outcome}");
    outcome
}
