//! A clock that never jumps, and runs on while the machine sleeps: the only one by which leases are judged.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The time since this machine was started, its sleep included. One for all processes, until it is started again.
pub(super) fn since_boot() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Which start of the machine [`since_boot`] counts from.
pub(super) fn this_boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}
