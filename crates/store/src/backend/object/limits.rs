//! How much a store may be asked at once, how fast, and how long an answer may take.
//!
//! The times hang together: what changes something small is given up after [`Limits::change`], and a lease that was lost
//! is known to be lost [`LeaseTimes::hold`] after its last renewal. Together they are no longer than a lease
//! ([`Limits::fit`]), so that nothing which a holder began in good faith happens after another took its place.

use std::time::Duration;

/// Objects up to this length are one put; longer ones are put together from parts of this length.
pub(super) const PART_BYTES: usize = 8 * 1024 * 1024;
/// Parts of one object that are on their way at once.
pub(super) const PARTS_IN_FLIGHT: usize = 4;
/// An object of this length is small: putting it takes no longer than [`Limits::change`].
pub(super) const SMALL_BYTES: u64 = 256 * 1024;
/// Slower than this, a store does not count as answering.
const SLOWEST_BYTES_PER_SECOND: u64 = 32 * 1024;

/// Limits of one backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Whose limits of requests and bytes these are. Backends of one program that name the same keep them together; those
    /// that name nothing each for itself.
    pub shared_by: Option<String>,
    /// Requests at once.
    pub requests_at_once: usize,
    /// Bytes a second, sent. `None`: as many as there are.
    pub up_bytes_per_second: Option<u64>,
    /// Bytes a second, received.
    pub down_bytes_per_second: Option<u64>,
    /// How long a connection may take.
    pub connect: Duration,
    /// How long one answer may take, the time for its bytes apart.
    pub request: Duration,
    /// How long one attempt may take that changes something small.
    pub change: Duration,
    /// After which time nothing is tried again.
    pub give_up: Duration,
    /// The first pause before something is tried again; each that follows is twice as long.
    pub pause: Duration,
    /// The longest pause.
    pub pause_max: Duration,
    /// Locks and registrations.
    pub lease: LeaseTimes,
}

/// The times of locks and registrations, as `docs/format/vault.md` has them. All programs of a vault must have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTimes {
    /// What did not change for so long is dead.
    pub lease: Duration,
    /// How often a holder renews.
    pub renew: Duration,
    /// A holder that could not renew for so long has lost its hold.
    pub hold: Duration,
    /// How often at most a lock that somebody else holds is looked at.
    pub poll: Duration,
}

impl Default for LeaseTimes {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { lease: seconds(30), renew: seconds(5), hold: seconds(20), poll: seconds(1) }
    }
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            shared_by: None,
            requests_at_once: 16,
            up_bytes_per_second: None,
            down_bytes_per_second: None,
            connect: seconds(10),
            request: seconds(30),
            change: seconds(9),
            give_up: seconds(120),
            pause: Duration::from_millis(200),
            pause_max: seconds(10),
            lease: LeaseTimes::default(),
        }
    }
}

impl Limits {
    /// Whether the times hang together as they must.
    pub fn fit(&self) -> bool {
        let lease = &self.lease;
        let renewed = lease.renew * 2 < lease.hold && !lease.renew.is_zero();
        renewed && self.change < lease.lease && lease.hold <= lease.lease - self.change && self.requests_at_once > 0
    }

    /// How long one attempt may take that moves so many bytes.
    pub(super) fn attempt(&self, changes: bool, bytes: u64) -> Duration {
        if changes && bytes <= SMALL_BYTES {
            return self.change;
        }
        let slowest = [self.up_bytes_per_second, self.down_bytes_per_second].into_iter().flatten();
        let rate = slowest.fold(SLOWEST_BYTES_PER_SECOND, u64::min).max(1);
        self.request + Duration::from_secs(bytes / rate)
    }

    /// The pause before attempt number `again` (from 1): doubled each time, and between half and all of that by chance.
    pub(super) fn pause(&self, again: u32, chance: u8) -> Duration {
        let whole = self.pause.saturating_mul(1 << again.saturating_sub(1).min(16)).min(self.pause_max);
        whole / 2 + whole * u32::from(chance) / 512
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_hang_together() {
        assert!(Limits::default().fit());
        assert!(!Limits { change: Duration::from_secs(11), ..Limits::default() }.fit());
    }

    #[test]
    fn pauses_grow_and_end_growing() {
        let limits = Limits::default();
        for again in 1..100 {
            let (least, most) = (limits.pause(again, 0), limits.pause(again, 255));
            assert!(least < most && most <= limits.pause_max && least >= limits.pause / 2);
        }
    }
}
