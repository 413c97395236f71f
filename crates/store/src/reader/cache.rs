//! The frames that were decoded last.

use std::{collections::HashMap, sync::Arc};

use super::fetched::Key;

/// Keeps what was used last, up to a number of bytes.
pub(super) struct FrameCache {
    capacity: usize,
    frames: HashMap<Key, (u64, Arc<Vec<u8>>)>,
    bytes: usize,
    clock: u64,
}

impl FrameCache {
    /// For so many decoded bytes.
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, frames: HashMap::new(), bytes: 0, clock: 0 }
    }

    pub(super) fn grow_to(&mut self, capacity: usize) {
        self.capacity = self.capacity.max(capacity);
    }

    pub(super) fn clear(&mut self) {
        self.frames.clear();
        self.bytes = 0;
    }

    pub(super) fn get(&mut self, key: &Key) -> Option<Arc<Vec<u8>>> {
        self.clock += 1;
        let (used, frame) = self.frames.get_mut(key)?;
        *used = self.clock;
        Some(Arc::clone(frame))
    }

    /// Returns the memory of a frame that made room for it and that nobody reads any more.
    pub(super) fn put(&mut self, key: Key, frame: &Arc<Vec<u8>>) -> Option<Vec<u8>> {
        self.clock += 1;
        if self.frames.insert(key, (self.clock, Arc::clone(frame))).is_none() {
            self.bytes += frame.len();
        }
        let mut room = None;
        while self.bytes > self.capacity && self.frames.len() > 1 {
            let oldest = self.frames.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| *key);
            let Some((_, gone)) = oldest.and_then(|key| self.frames.remove(&key)) else { break };
            self.bytes -= gone.len();
            room = Arc::into_inner(gone);
        }
        room
    }
}
