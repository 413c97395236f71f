//! Memory of frames that are not read any more: touching new memory for each would cost more than opening it.

use std::sync::{Mutex, PoisonError};

use crate::limits::FRAME_TARGET;

/// Buffers that are kept, at most: more than these are seldom in use at a time.
const KEPT_MAX: usize = 3;
/// A shorter one is not worth keeping.
const WORTH_KEEPING: usize = FRAME_TARGET / 4;

/// Buffers of one use, so that none grows to what only another needs.
#[derive(Default)]
pub(super) struct Rooms(Mutex<Vec<Vec<u8>>>);

impl Rooms {
    /// One that was used before, whatever is in it, or a new one.
    pub(super) fn take(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    pub(super) fn give_back(&self, room: Vec<u8>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT_MAX && room.capacity() >= WORTH_KEEPING {
            kept.push(room);
        }
    }
}
