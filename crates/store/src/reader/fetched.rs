//! Frames that are on their way from a far place, or have come.
//!
//! They are kept as they are stored: that takes a third of the memory, and they are opened by the thread that needs them,
//! into its own processor's cache. One that was opened stays while there is room, since a few are needed again.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use super::runs::{RUN_MAX, Run};
use crate::{index::Located, pack::PackId};

/// Pack, and the frame's place in it.
pub(super) type Key = (PackId, u32);

pub(super) fn key_of(at: &Located) -> Key {
    (at.pack.id, at.frame.offset)
}

/// Bytes kept at most. Those that were opened are let go first, and then those that came first: who needs one of them fetches
/// it again.
pub(crate) const KEPT_MAX: usize = 72 << 20;

/// Long buffers that are free again. Touching new memory for each run would cost more than copying into it.
#[derive(Clone, Default)]
pub(super) struct Spare(Arc<Mutex<Vec<Vec<u8>>>>);

/// Buffers that are kept to be used again, at most.
const SPARE_MAX: usize = 4;

impl Spare {
    /// Room for a run. What is in it is of no account.
    pub(super) fn room(&self, length: usize) -> Room {
        let long = length > RUN_MAX as usize / 2 && length <= RUN_MAX as usize;
        let used = if long { self.0.lock().unwrap_or_else(PoisonError::into_inner).pop() } else { None };
        let bytes = used.unwrap_or_else(|| vec![0; if long { RUN_MAX as usize } else { length }]);
        Room { bytes, length, back: long.then(|| self.clone()) }
    }
}

/// The bytes of a run.
pub(super) struct Room {
    bytes: Vec<u8>,
    length: usize,
    /// Where the buffer goes when nobody needs it any more.
    back: Option<Spare>,
}

impl std::ops::Deref for Room {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl std::ops::DerefMut for Room {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let Some(Spare(spare)) = &self.back else { return };
        let mut spare = spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE_MAX {
            spare.push(std::mem::take(&mut self.bytes));
        }
    }
}

/// A frame as it came, among its neighbours.
#[derive(Clone)]
pub(super) struct Came {
    run: Arc<Room>,
    start: usize,
    end: usize,
}

impl std::ops::Deref for Came {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.run[self.start..self.end]
    }
}

enum Stage {
    /// Asked for.
    Coming,
    /// Here, and not needed by anyone yet.
    Waiting(Came),
    /// Here, and opened by whoever needed it.
    Opened(Came),
}

#[derive(Default)]
struct State {
    frames: HashMap<Key, Stage>,
    /// In the order in which they came, and in that in which they were opened.
    waiting: VecDeque<Key>,
    opened: VecDeque<Key>,
    bytes: usize,
}

impl State {
    fn keep_within(&mut self, limit: usize) {
        while self.bytes > limit
            && let Some(oldest) = self.opened.pop_front().or_else(|| self.waiting.pop_front())
        {
            if let Some(Stage::Waiting(came) | Stage::Opened(came)) = self.frames.remove(&oldest) {
                self.bytes -= came.len();
            }
        }
    }
}

/// What was asked for ahead. Shared by who asks, who fetches and who opens; none of them waits for another but who opens, for
/// what is being fetched.
#[derive(Default)]
pub(super) struct Fetched {
    pub(super) spare: Spare,
    state: Mutex<State>,
    arrival: Condvar,
}

impl Fetched {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has(&self, key: &Key) -> bool {
        self.state().frames.contains_key(key)
    }

    /// Says that the frames of a run are on their way. [`Fetched::arrive`] must follow.
    pub(super) fn expect(&self, run: &Run) {
        let mut state = self.state();
        for (offset, _) in &run.frames {
            state.frames.entry((run.pack.id, *offset)).or_insert(Stage::Coming);
        }
    }

    /// Says what came of a run: `None`: nothing, and whoever needs it shall look for himself.
    pub(super) fn arrive(&self, run: &Run, bytes: Option<Room>) {
        let bytes = bytes.map(Arc::new);
        let mut state = self.state();
        for (offset, length) in &run.frames {
            let key = (run.pack.id, *offset);
            if !matches!(state.frames.get(&key), Some(Stage::Coming)) {
                continue;
            }
            let start = (u64::from(*offset) - run.start) as usize;
            let end = start + *length as usize;
            match bytes.as_ref().filter(|bytes| end <= bytes.len()) {
                Some(run) => {
                    state.frames.insert(key, Stage::Waiting(Came { run: Arc::clone(run), start, end }));
                    state.waiting.push_back(key);
                    state.bytes += end - start;
                }
                None => drop(state.frames.remove(&key)),
            }
        }
        state.keep_within(KEPT_MAX);
        drop(state);
        self.arrival.notify_all();
    }

    /// A frame that was asked for, waiting if it is on its way. `None`: it is to be read by the caller.
    pub(super) fn take(&self, key: &Key) -> Option<Came> {
        let mut state = self.state();
        while let Some(Stage::Coming) = state.frames.get(key) {
            state = self.arrival.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        match state.frames.get(key)? {
            Stage::Coming => None,
            Stage::Opened(came) => Some(came.clone()),
            Stage::Waiting(came) => {
                let came = came.clone();
                if let Some(at) = state.waiting.iter().position(|other| other == key) {
                    state.waiting.remove(at);
                }
                state.opened.push_back(*key);
                state.frames.insert(*key, Stage::Opened(came.clone()));
                Some(came)
            }
        }
    }
}

#[cfg(test)]
mod tests;
