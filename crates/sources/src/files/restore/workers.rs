//! The threads that make files, and which of them makes what.

use std::{
    sync::Arc,
    thread::{self, Scope},
    time::Duration,
};

use crossbeam_channel::{Receiver, SendTimeoutError, Sender, bounded, select_biased};

use super::{
    Context, JOB_HANDLES,
    batch::Batch,
    fill::{self, Pieces},
    folder::Folder,
    node::Maker,
    report::Report,
};
use crate::error::SourceError;

/// Entries that go to one worker at once.
pub(super) const JOB_NODES: usize = 128;
/// Bytes of content after which no more entries go to the same worker at once.
pub(super) const JOB_BYTES: u64 = 2 * 1024 * 1024;
/// Jobs that wait for one worker.
const JOBS_WAITING: usize = 2;
/// How long a job waits for the worker that is in the same directory.
const PATIENCE: Duration = Duration::from_millis(20);

/// Ends the restore if this thread ends by a panic: others might wait for what it was making for ever.
struct Alarm<'a>(&'a Report);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let what = "a thread that makes files ended early";
            self.0.abort(SourceError::internal(what));
        }
    }
}

/// A worker's life: jobs as they come, and pieces of large files before them, since somebody waits for those. Who has no more
/// jobs goes on helping, until nobody has.
fn work<'a>(maker: Maker<'a>, jobs: &Receiver<Batch<'a>>) {
    let _alarm = Alarm(&maker.context.report);
    let pieces = maker.pieces.offered.clone();
    loop {
        select_biased! {
            recv(pieces) -> piece => {
                if let Ok(piece) = piece {
                    maker.help(piece);
                }
            }
            recv(jobs) -> job => {
                let Ok(job) = job else { break };
                for node in job.nodes {
                    maker.make(node);
                }
            }
        }
    }
    let Maker { context, pieces: Pieces { offer, .. } } = maker;
    drop(offer);
    pieces.iter().for_each(|piece| fill::help(context, piece));
}

/// The workers, by their queues.
///
/// Two threads that make files in one directory mostly wait for each other, and spend processor time on it. So the small
/// files of one directory go to one worker, unless that has been busy for long.
pub(super) struct Workers<'a> {
    queues: Vec<Sender<Batch<'a>>>,
    /// Who got the last job.
    last: usize,
    /// The directory in which that ended, by address; never looked into.
    folder: Option<*const Folder<'a>>,
}

impl<'a> Workers<'a> {
    pub(super) fn start<'scope>(scope: &'scope Scope<'scope, '_>, context: &'a Context<'a>, threads: usize) -> Self
    where
        'a: 'scope,
    {
        let pieces = Pieces::new(threads);
        let start = |pieces| {
            let (jobs, offered) = bounded(JOBS_WAITING);
            scope.spawn(move || work(Maker { context, pieces }, &offered));
            jobs
        };
        Self { queues: (0..threads).map(|_| start(pieces.clone())).collect(), last: 0, folder: None }
    }

    /// How many directories a job may hold, so that all jobs together hold no more handles than they may.
    pub(super) fn folders_a_job(&self) -> usize {
        (JOB_HANDLES / ((JOBS_WAITING + 1) * self.queues.len() + 1)).clamp(1, JOB_NODES)
    }

    /// Returns whether somebody took the job.
    pub(super) fn give(&mut self, mut job: Batch<'a>) -> bool {
        let begins_in = job.nodes.first().map(|node| Arc::as_ptr(&node.folder));
        let small = job.bytes < JOB_BYTES;
        if small && begins_in.is_some() && begins_in == self.folder {
            match self.queues[self.last].send_timeout(job, PATIENCE) {
                Ok(()) => return true,
                Err(SendTimeoutError::Timeout(back) | SendTimeoutError::Disconnected(back)) => job = back,
            }
        }
        let least = (0..self.queues.len()).min_by_key(|&index| self.queues[index].len());
        self.last = least.unwrap_or(0);
        self.folder = job.nodes.last().map(|node| Arc::as_ptr(&node.folder));
        self.queues[self.last].send(job).is_ok()
    }
}
