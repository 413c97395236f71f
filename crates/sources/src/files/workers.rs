//! The threads that read files.

use std::thread::{self, Scope, ScopedJoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded, select_biased, unbounded};
use resurgam_store::Cancel;

use super::{
    item::{Hand, Shared, Taken, Work},
    large::Helpers,
    prefetch::prefetch,
};
use crate::error::SourceError;

/// Work for one worker: items of one batch that follow one another, with their places there.
pub(super) struct Job {
    pub(super) batch: u64,
    pub(super) works: Vec<(usize, Work)>,
}

/// What became of an item of a batch.
pub(super) struct Done {
    pub(super) batch: u64,
    pub(super) place: usize,
    pub(super) result: Result<Option<Taken>, SourceError>,
}

/// Tells whoever collects that this thread has ended by a panic: he would wait for its results for ever.
struct Alarm<'a>(&'a Sender<Done>);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let result = Err(SourceError::internal("a thread that reads files ended early"));
            let _ = self.0.send(Done { batch: u64::MAX, place: 0, result });
        }
    }
}

/// A worker's life: jobs as they come, and pieces of large files before them, since somebody waits for those.
fn work(mut hand: Hand<'_>, stop: &Cancel, jobs: &Receiver<Job>, done: &Sender<Done>) -> Result<(), SourceError> {
    let _alarm = Alarm(done);
    let pieces = hand.helpers.offered.clone();
    loop {
        select_biased! {
            recv(pieces) -> piece => {
                if let Ok(piece) = piece {
                    hand.help(piece);
                }
            }
            recv(jobs) -> job => {
                let Ok(job) = job else { break };
                prefetch(job.works.iter().map(|(_, work)| work));
                for (place, work) in job.works {
                    if stop.is_cancelled() {
                        return Ok(());
                    }
                    let result = hand.take(&work);
                    // Whoever collects has met an error and gone: then there is no more to do.
                    if done.send(Done { batch: job.batch, place, result }).is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }
    hand.flush()?;
    Ok(())
}

/// The threads. Without anybody who sends jobs they end, once the last one is done.
pub(super) struct Workers<'scope>(Vec<ScopedJoinHandle<'scope, Result<(), SourceError>>>);

impl<'scope> Workers<'scope> {
    /// Starts as many as are wanted. With them comes what their jobs go in by and what the results come out by.
    pub(super) fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        count: usize,
        shared: &'env Shared<'env>,
        helpers: &Helpers,
        stop: &'env Cancel,
    ) -> Result<(Self, Sender<Job>, Receiver<Done>), SourceError> {
        let (jobs, offered_jobs) = bounded(count);
        let (done, results) = unbounded();
        let mut threads = Vec::with_capacity(count);
        for _ in 0..count {
            let hand = Hand::new(shared, helpers.clone())?;
            let (jobs, done) = (offered_jobs.clone(), done.clone());
            threads.push(scope.spawn(move || work(hand, stop, &jobs, &done)));
        }
        Ok((Self(threads), jobs, results))
    }

    /// Waits until all have ended. Of several errors, the first worker's.
    pub(super) fn finish(self) -> Result<(), SourceError> {
        let mut result = Ok(());
        for thread in self.0 {
            let gone = |_| Err(SourceError::internal("a thread that reads files ended early"));
            result = result.and(thread.join().unwrap_or_else(gone));
        }
        result
    }
}
