//! How far a job is, as numbers that anyone may read at any time; and the wish that it stop.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Counters of a running job. Engines count, whoever shows progress reads.
#[derive(Debug, Default)]
pub struct Meter {
    /// Entries dealt with, of any kind.
    pub entries: Counter,
    /// Bytes of content dealt with, read or recognised as unchanged.
    pub bytes: Counter,
    /// Bytes of content read.
    pub read: Counter,
    /// Bytes that went into packs.
    pub stored: Counter,
    /// Bytes expected in all; 0 while unknown.
    pub expected: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Set once, to ask every thread of a job to stop.
#[derive(Debug, Default)]
pub struct Cancel(AtomicBool);

impl Cancel {
    /// Asks.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
