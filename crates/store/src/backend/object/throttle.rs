//! Keeping to the limits of bandwidth and of requests at once.
//!
//! What changes something small is counted and never waits: a point or a lock must not stand behind megabytes that others
//! are sending. The renewal of a lease does neither.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::{
    clock::since_boot,
    limits::{Limits, SMALL_BYTES},
};

/// Requests at once, and bytes a second up and down.
type Rates = (usize, Option<u64>, Option<u64>);
/// By who shares it, and what the limits are.
type Shared = HashMap<(String, Rates), Weak<Throttle>>;

/// What several backends of this program share.
static SHARED: Mutex<Option<Shared>> = Mutex::new(None);

/// Holds requests back.
#[derive(Debug)]
pub(super) struct Throttle {
    at_once: Semaphore,
    up: Bucket,
    down: Bucket,
}

impl Throttle {
    fn new((requests, up, down): Rates) -> Self {
        Self { at_once: Semaphore::new(requests), up: Bucket::new(up), down: Bucket::new(down) }
    }

    /// What keeps to these limits: together with all others that share them.
    pub(super) fn of(limits: &Limits) -> Arc<Self> {
        let rates = (limits.requests_at_once, limits.up_bytes_per_second, limits.down_bytes_per_second);
        let Some(shared_by) = &limits.shared_by else { return Arc::new(Self::new(rates)) };
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = shared.get_or_insert_with(HashMap::new);
        shared.retain(|_, throttle| throttle.strong_count() > 0);
        let key = (shared_by.clone(), rates);
        if let Some(known) = shared.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        let throttle = Arc::new(Self::new(rates));
        shared.insert(key, Arc::downgrade(&throttle));
        throttle
    }

    /// Waits until so many bytes may be moved, and until it is this request's turn, which ends with what is handed back.
    pub(super) async fn turn(&self, changes: bool, bytes: u64) -> Option<SemaphorePermit<'_>> {
        if changes && bytes <= SMALL_BYTES {
            self.up.count(bytes);
        } else if bytes > 0 {
            let wait = if changes { &self.up } else { &self.down }.count(bytes);
            tokio::time::sleep(wait).await;
        }
        // Never closed.
        self.at_once.acquire().await.ok()
    }
}

/// A limit of bytes a second, kept over any time longer than one.
#[derive(Debug)]
struct Bucket {
    bytes_per_second: Option<u64>,
    /// When all that was let through has had its time.
    busy_until: Mutex<Duration>,
}

impl Bucket {
    fn new(bytes_per_second: Option<u64>) -> Self {
        Self { bytes_per_second, busy_until: Mutex::default() }
    }

    /// Counts bytes. Returns how long to wait until they have had their time.
    fn count(&self, bytes: u64) -> Duration {
        let Some(rate) = self.bytes_per_second else { return Duration::ZERO };
        let now = since_boot();
        let mut busy = self.busy_until.lock().unwrap_or_else(PoisonError::into_inner);
        *busy = (*busy).max(now) + Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64);
        *busy - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_wait_for_those_before_them() {
        let bucket = Bucket::new(Some(1000));
        let first = bucket.count(500);
        assert!(first <= Duration::from_millis(500) && first > Duration::from_millis(400), "{first:?}");
        let second = bucket.count(1000);
        assert!(second > Duration::from_millis(1300), "{second:?}");
        assert_eq!(Bucket::new(None).count(u64::MAX), Duration::ZERO);
    }

    #[test]
    fn who_names_the_same_shares_and_nobody_else() {
        let named = |name: &str, up| Limits {
            shared_by: Some(name.to_owned()),
            up_bytes_per_second: Some(up),
            ..Limits::default()
        };
        let one = Throttle::of(&named("one", 5));
        assert!(Arc::ptr_eq(&one, &Throttle::of(&named("one", 5))));
        assert!(!Arc::ptr_eq(&one, &Throttle::of(&named("one", 6))), "the limits were changed");
        assert!(!Arc::ptr_eq(&one, &Throttle::of(&named("two", 5))));
        let alone = Limits::default();
        assert!(!Arc::ptr_eq(&Throttle::of(&alone), &Throttle::of(&alone)));
    }

    #[test]
    fn what_is_small_never_waits_and_is_counted() {
        let limits = Limits { up_bytes_per_second: Some(1000), ..Limits::default() };
        let throttle = Throttle::of(&limits);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let began = since_boot();
        for _ in 0..20 {
            runtime.block_on(throttle.turn(true, 1000));
        }
        // Reading waits for nobody who sends.
        runtime.block_on(throttle.turn(false, 1 << 30));
        assert!(since_boot() - began < Duration::from_secs(5));
        assert!(throttle.up.count(0) > Duration::from_secs(14));
    }
}
