//! When a file is read, and whether its times can be trusted to show a later change.
//!
//! File systems stamp with a clock that ticks every few milliseconds. A file written twice within one tick has the same
//! times after the second write as after the first. So a file is read only when its last change is safely in the past:
//! then whatever happens during or after the reading gets another time. The wait is at most two [`TICK`]s, and one serves
//! every file written before it.

use resurgam_model::BytePath;
use resurgam_store::FileTime;
use rustix::{
    fs::Timespec,
    time::{ClockId, clock_gettime},
};

/// Longer than a tick of any kernel's clock (10 ms at 100 Hz), in nanoseconds.
pub(crate) const TICK: i128 = 20_000_000;
/// Slept longer than is missing, since the clock may be a tick behind when the sleep ends.
const SLACK: u32 = 4_000_000;
/// How often the clock is looked at; a machine under load may be late with its ticks.
const LOOKS: usize = 10;
/// The granularity of file systems that keep whole seconds (ext3, vfat), in nanoseconds.
const WHOLE_SECONDS: i128 = 2_000_000_000;

/// The clock that files are stamped with, and the points where a test may step in.
pub(crate) trait Moment: Sync {
    /// The time now, by the clock that file systems stamp with.
    fn now(&self) -> FileTime;
    /// Lets so many nanoseconds pass.
    fn pass(&self, nanos: u32);
    /// Called when the file at `path` has been opened and its first bytes were read, before it is looked at again.
    fn reading(&self, _path: &BytePath) {}
    /// Called when the entry at `path` has been seen by the walk and is about to be opened.
    fn opening(&self, _path: &BytePath) {}
}

/// The machine's own clock.
pub(crate) struct System;

impl Moment for System {
    fn now(&self) -> FileTime {
        let now = clock_gettime(ClockId::RealtimeCoarse);
        FileTime { seconds: now.tv_sec, nanos: u32::try_from(now.tv_nsec).unwrap_or(0) }
    }

    fn pass(&self, nanos: u32) {
        // A signal may cut it short; whoever waits looks at the clock again.
        let _ = rustix::thread::nanosleep(&Timespec { tv_sec: 0, tv_nsec: nanos.into() });
    }
}

/// Waits, for two ticks at most, until `changed` is safely in the past. Returns whether it is: if not, the file system
/// keeps whole seconds or its clock runs ahead of ours, and the entry must be marked as racy.
pub(crate) fn settle(moment: &dyn Moment, changed: FileTime) -> bool {
    let needed = if changed.nanos == 0 { WHOLE_SECONDS } else { TICK };
    for _ in 0..LOOKS {
        let age = nanos(moment.now()) - nanos(changed);
        if age > needed {
            return true;
        }
        // Waiting helps only against a tick, not against whole seconds or another clock. Newer kernels stamp more finely
        // than this clock ticks, so `changed` may be ahead of it by a tick.
        let missing = needed - age + 1;
        match u32::try_from(missing) {
            Ok(wait) if missing <= 2 * TICK => moment.pass(wait + SLACK),
            _ => return false,
        }
    }
    false
}

/// Whether `changed` is so near that a later change might not show.
pub(crate) fn is_racy(moment: &dyn Moment, changed: FileTime) -> bool {
    let needed = if changed.nanos == 0 { WHOLE_SECONDS } else { TICK };
    nanos(moment.now()) - nanos(changed) <= needed
}

fn nanos(time: FileTime) -> i128 {
    i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    struct Stepped(Mutex<FileTime>);

    impl Moment for Stepped {
        fn now(&self) -> FileTime {
            *self.0.lock().unwrap()
        }
        fn pass(&self, nanos: u32) {
            self.0.lock().unwrap().nanos += nanos;
        }
    }

    fn at(seconds: i64, nanos: u32) -> FileTime {
        FileTime { seconds, nanos }
    }

    #[test]
    fn a_fresh_file_is_waited_for_and_an_old_one_is_not() {
        let clock = Stepped(Mutex::new(at(100, 5_000_000)));
        assert!(is_racy(&clock, at(100, 1_000_000)));
        assert!(settle(&clock, at(100, 1_000_000)));
        assert!(clock.now().nanos > 21_000_000);
        let before = clock.now();
        assert!(settle(&clock, at(99, 1)));
        assert!(settle(&clock, at(-5, 1)));
        assert_eq!(clock.now(), before);
    }

    #[test]
    fn whole_seconds_and_clocks_that_run_ahead_are_racy_not_waited_for() {
        let clock = Stepped(Mutex::new(at(100, 5)));
        assert!(!settle(&clock, at(99, 0)));
        assert!(!settle(&clock, at(107, 3)));
        assert_eq!(clock.now(), at(100, 5));
        assert!(settle(&clock, at(97, 0)));
    }
}
