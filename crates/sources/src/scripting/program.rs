//! Running a program so that it can be ended with all that it began.
//!
//! The program gets a process group of its own. When it has ended, or has to, the whole group is ended. The first
//! process of the group is not reaped before that: as long as it is there, dead or alive, its number is nobody else's,
//! and no signal can reach a stranger.

use std::{
    io::{self, PipeReader, Read},
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid},
};

/// So much of what a program wrote last is kept.
const OUTPUT_KEPT: usize = 4096;
/// How often it is looked whether the program has ended or has to.
const PAUSE: Duration = Duration::from_millis(20);

/// How long things may take.
pub(super) struct Limits {
    /// The program.
    pub(super) time_out: Duration,
    /// Its ending, once it was asked to.
    pub(super) grace: Duration,
}

/// How a program ended.
pub(super) enum Ended {
    Exit(ExitStatus),
    TimedOut,
    Cancelled,
}

/// What came of a program.
pub(super) struct Outcome {
    pub(super) ended: Ended,
    /// The last that it wrote, to either stream, in one line that can be shown.
    pub(super) output: String,
}

/// Runs a program to its end.
///
/// # Errors
/// Where it cannot be started or watched.
pub(super) fn run(mut command: Command, limits: &Limits, is_cancelled: &dyn Fn() -> bool) -> io::Result<Outcome> {
    let (reader, writer) = io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).process_group(0);
    let child = command.spawn()?;
    // With it go our ends of the pipe that the program writes to.
    drop(command);
    let mut running = Running { pid: Pid::from_child(&child), child, reader: Some(reader), output: Vec::new() };
    let watched = running.watch(limits, is_cancelled);
    // However the watching ended, nothing of the group is left behind.
    let status = running.reap()?;
    let ended = match watched? {
        Watched::Exited => Ended::Exit(status),
        Watched::TimedOut => Ended::TimedOut,
        Watched::Cancelled => Ended::Cancelled,
    };
    Ok(Outcome { ended, output: shown(&running.output) })
}

enum Watched {
    Exited,
    TimedOut,
    Cancelled,
}

struct Running {
    child: Child,
    pid: Pid,
    /// `None` when everybody who could write has closed it.
    reader: Option<PipeReader>,
    output: Vec<u8>,
}

impl Running {
    fn watch(&mut self, limits: &Limits, is_cancelled: &dyn Fn() -> bool) -> io::Result<Watched> {
        let end = later(limits.time_out);
        loop {
            self.listen(PAUSE)?;
            if self.has_exited()? {
                return Ok(Watched::Exited);
            }
            let watched = if is_cancelled() {
                Watched::Cancelled
            } else if has_come(end) {
                Watched::TimedOut
            } else {
                continue;
            };
            self.ask_to_end(limits.grace)?;
            return Ok(watched);
        }
    }

    /// Asks the group to end, and gives it a while: until its first process is dead and nobody holds the pipe.
    fn ask_to_end(&mut self, grace: Duration) -> io::Result<()> {
        self.signal(Signal::TERM)?;
        let end = later(grace);
        while !(has_come(end) || self.reader.is_none() && self.has_exited()?) {
            self.listen(PAUSE)?;
        }
        Ok(())
    }

    /// Kills what is left of the group, then lets go of its number.
    fn reap(&mut self) -> io::Result<ExitStatus> {
        self.signal(Signal::KILL)?;
        let status = self.child.wait()?;
        // What is in the pipe by now, and no more: a process that left the group may hold it for ever.
        for _ in 0..16 {
            self.listen(Duration::ZERO)?;
        }
        Ok(status)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        match kill_process_group(self.pid, signal) {
            // All of it is dead already.
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the first process is dead; it stays unreaped.
    fn has_exited(&self) -> io::Result<bool> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        loop {
            match waitid(WaitId::Pid(self.pid), options) {
                Err(rustix::io::Errno::INTR) => {}
                found => return Ok(found?.is_some()),
            }
        }
    }

    /// Takes what the program writes within `pause`, at most one piece of it.
    fn listen(&mut self, pause: Duration) -> io::Result<()> {
        let pause = Timespec::try_from(pause).ok();
        let Some(reader) = &mut self.reader else {
            return poll(&mut [], pause.as_ref()).map(|_| ()).or_else(ignore_interrupts);
        };
        let mut waiting = [PollFd::new(reader, PollFlags::IN)];
        if poll(&mut waiting, pause.as_ref()).or_else(|error| ignore_interrupts(error).map(|()| 0))? == 0 {
            return Ok(());
        }
        let mut piece = [0; OUTPUT_KEPT];
        match reader.read(&mut piece) {
            Ok(0) => self.reader = None,
            Ok(length) => {
                self.output.extend_from_slice(&piece[..length]);
                let surplus = self.output.len().saturating_sub(OUTPUT_KEPT);
                self.output.drain(..surplus);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

fn ignore_interrupts(error: rustix::io::Errno) -> io::Result<()> {
    if error == rustix::io::Errno::INTR { Ok(()) } else { Err(error.into()) }
}

/// The moment when a time-out ends; `None`: beyond any clock.
#[expect(clippy::disallowed_methods, reason = "the time-out of a program that runs beside us")]
fn later(wait: Duration) -> Option<Instant> {
    Instant::now().checked_add(wait)
}

#[expect(clippy::disallowed_methods, reason = "the time-out of a program that runs beside us")]
fn has_come(moment: Option<Instant>) -> bool {
    moment.is_some_and(|moment| Instant::now() >= moment)
}

/// Output in one line, without what would play tricks on a terminal.
fn shown(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines = text.lines().map(|line| line.chars().filter(|c| !c.is_control()).collect::<String>());
    lines.map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" | ")
}
