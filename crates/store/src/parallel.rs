//! The same work on many items by several threads.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use crate::error::StoreError;

/// What `work` makes of each item, in the order of the items. Each thread has a state of its own, made by `begin`. The first
/// error ends it all.
pub(crate) fn map<I: Send, S, T: Send>(
    items: Vec<I>,
    threads: usize,
    begin: impl Fn() -> Result<S, StoreError> + Sync,
    work: impl Fn(&mut S, I) -> Result<T, StoreError> + Sync,
) -> Result<Vec<T>, StoreError> {
    let queue = Mutex::new(items.into_iter().enumerate());
    let failed = AtomicBool::new(false);
    let one_thread = || -> Result<Vec<(usize, T)>, StoreError> {
        let mut state = begin()?;
        let mut done = Vec::new();
        while !failed.load(Ordering::Relaxed) {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((number, item)) = next else { break };
            done.push((number, work(&mut state, item)?));
        }
        Ok(done)
    };
    let guarded = || one_thread().inspect_err(|_| failed.store(true, Ordering::Relaxed));
    let mut all = Vec::new();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(guarded)).collect();
        workers.into_iter().try_for_each(|worker| {
            let died = |_| Err(StoreError::Internal("a thread of the store has died".to_owned()));
            all.extend(worker.join().unwrap_or_else(died)?);
            Ok::<(), StoreError>(())
        })
    })?;
    all.sort_by_key(|(number, _)| *number);
    Ok(all.into_iter().map(|(_, done)| done).collect())
}
