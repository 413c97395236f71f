//! Numbers for inodes that have several names.
//!
//! On the file system of the root the number is the inode's own, so that it is the same in every point and pages of
//! entries stay the same. Inodes of other file systems get the rank of their file system in the top 16 bits; where an
//! inode number does not fit below, a number that only counts. So no two inodes of one point ever share a number.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

const RANK_SHIFT: u32 = 48;
/// The rank under which numbers only count.
const COUNTED: u64 = 0xffff;

/// Gives out numbers; shared by all threads of one capture.
#[derive(Debug, Default)]
pub(crate) struct LinkNumbers {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    devices: Vec<u64>,
    counted: HashMap<(u64, u64), u64>,
}

impl LinkNumbers {
    /// For a tree whose root lies on `device`.
    pub(crate) fn new(device: u64) -> Self {
        Self { state: Mutex::new(State { devices: vec![device], counted: HashMap::new() }) }
    }

    /// The number of an inode.
    pub(crate) fn of(&self, (device, inode): (u64, u64)) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let rank = state.devices.iter().position(|&d| d == device).unwrap_or_else(|| {
            state.devices.push(device);
            state.devices.len() - 1
        }) as u64;
        if rank < COUNTED && inode >> RANK_SHIFT == 0 {
            return (rank << RANK_SHIFT) | inode;
        }
        let next = state.counted.len() as u64;
        (COUNTED << RANK_SHIFT) | *state.counted.entry((device, inode)).or_insert(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_inodes_own_at_home_and_never_shared() {
        let numbers = LinkNumbers::new(7);
        assert_eq!(numbers.of((7, 1234)), 1234);
        let all = [(7, 1234), (8, 1234), (9, 1234), (7, u64::MAX), (8, u64::MAX), (7, 1 << 48), (7, 0)];
        let given: Vec<u64> = all.iter().map(|&id| numbers.of(id)).collect();
        let again: Vec<u64> = all.iter().rev().map(|&id| numbers.of(id)).rev().collect();
        assert_eq!(given, again);
        let mut distinct = given.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), all.len());
    }
}
