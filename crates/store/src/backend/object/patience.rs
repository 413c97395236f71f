//! How long a store is waited for, by what it was last known to do: so that a command which asks many things of a store that
//! does none of them ends soon, and one bad moment of a store that works is not the end of a command.

use std::{
    io,
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use super::{fault::Failure, limits::Limits};

/// Nobody answered yet: there may be nobody.
const UNKNOWN: u8 = 0;
/// It has only said that it is too busy or broken, or was given up after a long time.
const BUSY: u8 = 1;
/// It does what it is asked, or says no for good.
const WORKING: u8 = 2;

/// What is known of one store.
#[derive(Debug, Default)]
pub(super) struct Patience(AtomicU8);

impl Patience {
    /// An attempt ended so.
    pub(super) fn learn(&self, ended: Result<(), &Failure>) {
        match ended {
            Err(failure) if !failure.answered => {}
            Err(failure) if failure.passing => self.change(UNKNOWN, BUSY),
            _ => self.0.store(WORKING, Ordering::Relaxed),
        }
    }

    /// A request was given up, since its time was over.
    pub(super) fn lose(&self, failure: &Failure) {
        self.change(WORKING, BUSY);
        if is_silence(failure) {
            self.change(UNKNOWN, BUSY);
        }
    }

    /// For how long what failed in this way is tried again.
    pub(super) fn left(&self, limits: &Limits, failure: &Failure) -> Duration {
        match self.0.load(Ordering::Relaxed) {
            UNKNOWN if !is_silence(failure) => limits.give_up.min(limits.connect),
            BUSY => limits.give_up.min(limits.request),
            _ => limits.give_up,
        }
    }

    fn change(&self, from: u8, to: u8) {
        // Where it is known to be another by now, that stands.
        let _ = self.0.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// Somebody listens, and said nothing in time.
fn is_silence(failure: &Failure) -> bool {
    failure.source.kind() == io::ErrorKind::TimedOut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(passing: bool, answered: bool) -> Failure {
        Failure { answered, ..Failure::of(io::ErrorKind::Other, "no", passing) }
    }

    #[test]
    fn a_store_is_waited_for_as_it_has_deserved() {
        let (limits, patience) = (Limits::default(), Patience::default());
        let (deaf, busy, refused) = (failure(true, false), failure(true, true), failure(false, true));
        let left = || patience.left(&limits, &busy);
        patience.learn(Err(&deaf));
        assert_eq!(left(), limits.connect);
        patience.learn(Err(&busy));
        assert_eq!(left(), limits.request);
        patience.learn(Ok(()));
        patience.learn(Err(&busy));
        patience.learn(Err(&deaf));
        assert_eq!(left(), limits.give_up, "a bad moment");
        patience.lose(&busy);
        assert_eq!(left(), limits.request);
        patience.learn(Err(&refused));
        assert_eq!(left(), limits.give_up, "it says no, so it works");
    }

    #[test]
    fn a_store_that_was_never_heard_of_and_is_slow_may_be_there() {
        let limits = Limits::default();
        let slow = Failure::of(io::ErrorKind::TimedOut, "no answer", true);
        let patience = Patience::default();
        assert_eq!(patience.left(&limits, &slow), limits.give_up);
        patience.lose(&slow);
        assert_eq!(patience.left(&limits, &slow), limits.request);
    }
}
