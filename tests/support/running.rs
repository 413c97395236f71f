//! A process that was started: waiting for its end with a limit, and killing it at a moment.

use std::{
    fs::File,
    os::fd::OwnedFd,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use tempfile::tempfile;

use crate::outcome::Outcome;

/// A process under way. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    handle: OwnedFd,
    stdout: File,
    stderr: File,
    what: String,
    started: Instant,
}

impl Running {
    /// Starts the command. What it prints goes to files, so that no full pipe can hold it up.
    pub fn start(command: &mut Command) -> Self {
        let (stdout, stderr) = (tempfile().unwrap(), tempfile().unwrap());
        let what = format!("{command:?}");
        let child = command
            .stdin(Stdio::null())
            .stdout(stdout.try_clone().unwrap())
            .stderr(stderr.try_clone().unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {what}: {error}"));
        let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
        let handle = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        Self { child, handle, stdout, stderr, what, started: Instant::now() }
    }

    /// Waits until the process has ended or `limit` has passed since this call; whether it has ended.
    pub fn has_ended_within(&self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let mut fds = [PollFd::new(&self.handle, PollFlags::IN)];
            match poll(&mut fds, Some(&Timespec::try_from(left).unwrap())) {
                Ok(0) => return false,
                Ok(_) => return true,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => panic!("cannot wait for {}: {error}", self.what),
            }
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        match pidfd_send_signal(&self.handle, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => panic!("cannot signal {}: {error}", self.what),
        }
    }

    /// Kills the process `after` so long from its start, unless it ended before, and hands back how it ended.
    pub fn kill_after(self, after: Duration) -> Outcome {
        if !self.has_ended_within(after.saturating_sub(self.started.elapsed())) {
            self.signal(Signal::KILL);
        }
        self.finish(Duration::from_secs(60))
    }

    /// The process's number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end. A process that takes longer than `limit` hangs: it is killed and the test fails.
    pub fn finish(mut self, limit: Duration) -> Outcome {
        if !self.has_ended_within(limit) {
            self.signal(Signal::KILL);
            self.child.wait().unwrap();
            let (stdout, stderr) = self.printed();
            panic!("{} did not end within {limit:?}\nstdout: {stdout}\nstderr: {stderr}", self.what);
        }
        let status: ExitStatus = self.child.wait().unwrap();
        let took = self.started.elapsed();
        let (stdout, stderr) = self.printed();
        Outcome::new(std::mem::take(&mut self.what), status, stdout, stderr, took)
    }

    fn printed(&mut self) -> (String, String) {
        [&mut self.stdout, &mut self.stderr].map(read_from_start).into()
    }
}

fn read_from_start(file: &mut File) -> String {
    use std::io::{Read, Seek};
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Drop for Running {
    fn drop(&mut self) {
        // Ended already, in the usual case: then both calls do nothing.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_killed_at_its_moment_and_its_output_kept() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; exec sleep 600"]);
        let outcome = Running::start(&mut command).kill_after(Duration::from_millis(300));
        assert_eq!((outcome.was_killed(), outcome.code()), (true, None));
        assert_eq!((outcome.stdout(), outcome.stderr()), ("out\n", "err\n"));
    }

    #[test]
    fn an_ended_process_is_not_killed() {
        let outcome = Running::start(Command::new("sh").args(["-c", "exit 3"])).kill_after(Duration::from_secs(60));
        assert_eq!((outcome.was_killed(), outcome.code()), (false, Some(3)));
    }
}
