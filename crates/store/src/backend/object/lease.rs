//! Leases: objects that say who holds something and how often that one has renewed it.
//!
//! Every change is a put on the condition that the object is as it was read. No two clocks are compared: a holder measures
//! on its own clock from before it asked for its last renewal, and whoever watches measures on its own from when it saw the
//! last change. `docs/format/vault.md` has the rules, `LeaseTimes` the times.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    time::Duration,
};

use bytes::Bytes;
use object_store::{PutMode, UpdateVersion};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::{
    clock::since_boot,
    engine::Engine,
    limits::LeaseTimes,
    wire::{Put, Seen, Wire},
};
use crate::{
    backend::{Held, Hold, Result},
    error::{BackendError, Fault},
    keys,
};

/// What a lease object says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LeaseText {
    /// Which installation.
    pub(super) home: String,
    /// Random, new with each acquisition.
    pub(super) holder: String,
    /// How often it was renewed.
    pub(super) beat: u64,
    pub(super) state: State,
}

/// How a lease stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// By who renews it.
    Held,
    /// By nobody any more.
    Free,
    /// Its holder was taken for dead, and must not take itself for alive.
    Fenced,
}

impl LeaseText {
    pub(super) fn new(home: &str) -> io::Result<Self> {
        let random: [u8; 16] = keys::random().map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Self { home: home.to_owned(), holder: keys::hex(&random), beat: 0, state: State::Held })
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        toml::from_str(std::str::from_utf8(bytes).ok()?).ok()
    }

    fn bytes(&self) -> Bytes {
        toml::to_string(self).unwrap_or_default().into()
    }
}

/// For fuzzing: the text of a lease, on any bytes.
pub fn fuzz_lease(bytes: &[u8]) {
    if let Some(text) = LeaseText::parse(bytes) {
        assert_eq!(LeaseText::parse(&text.bytes()), Some(text));
    }
}

/// How a hold stands, as its holder knows.
pub(super) struct Standing {
    object: String,
    times: LeaseTimes,
    /// Before the last renewal that succeeded was asked for. `None`: it is lost.
    sure: Mutex<Option<Duration>>,
}

impl Standing {
    fn sure(&self) -> MutexGuard<'_, Option<Duration>> {
        self.sure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn check(&self) -> Result<()> {
        let mut sure = self.sure();
        // Once lost, lost for good.
        *sure = sure.filter(|since| since_boot().saturating_sub(*since) < self.times.hold);
        if sure.is_some() {
            return Ok(());
        }
        let what = "it could not be renewed in time, and may have been taken for dead; \
                    nothing is lost, run the command again";
        Err(BackendError {
            attempt: "go on holding",
            object: self.object.clone(),
            kind: Fault::Io,
            source: io::Error::new(io::ErrorKind::TimedOut, what),
        })
    }
}

/// Puts `text` in place of what was seen, or where nothing is. `None`: somebody else was faster.
pub(super) async fn put(
    wire: &Wire,
    name: &str,
    text: &LeaseText,
    instead_of: Option<UpdateVersion>,
) -> Result<Option<UpdateVersion>> {
    let mode = instead_of.map_or(PutMode::Create, PutMode::Update);
    match wire.put("take", name, text.bytes(), mode).await? {
        Put::Done(version) if version.e_tag.is_some() => Ok(Some(version)),
        // What is there tells: a put whose answer was lost may have been ours.
        Put::Done(_) | Put::Refused { again: true } => {
            let seen = wire.small("look at", name).await?;
            Ok(seen.filter(|seen| LeaseText::parse(&seen.bytes).as_ref() == Some(text)).map(|seen| seen.version))
        }
        Put::Refused { again: false } => Ok(None),
    }
}

/// Held while it lives, renewed in the background, given up when it is dropped.
struct Lease {
    standing: Arc<Standing>,
    stop: Option<oneshot::Sender<()>>,
    stopped: Mutex<mpsc::Receiver<()>>,
    times: LeaseTimes,
    /// Given up after the lease. Keeps others of this home away.
    _kernel: Hold,
    /// Lives at least as long as the task that renews.
    _engine: Arc<Engine>,
}

/// Starts renewing what was just taken. `sure` is from before it was asked for.
pub(super) fn hold(
    engine: &Arc<Engine>,
    wire: &Arc<Wire>,
    name: &str,
    taken: (LeaseText, UpdateVersion, Duration),
    kernel: Hold,
) -> Hold {
    let (text, version, sure) = taken;
    let times = wire.limits.lease;
    let object = format!("{}/{name}", wire.location());
    let standing = Arc::new(Standing { object, times, sure: Mutex::new(Some(sure)) });
    wire.watch_over(&standing);
    let (stop, stopping) = oneshot::channel();
    let (ended, stopped) = mpsc::channel();
    let renewal =
        Renewal { wire: Arc::clone(wire), name: name.to_owned(), text, version, standing: Arc::clone(&standing) };
    engine.spawn(async move {
        renewal.run(stopping).await;
        let _ = ended.send(());
    });
    let engine = Arc::clone(engine);
    Box::new(Lease {
        standing,
        stop: Some(stop),
        stopped: Mutex::new(stopped),
        times,
        _kernel: kernel,
        _engine: engine,
    })
}

impl Held for Lease {
    fn check(&self) -> Result<()> {
        self.standing.check()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        // The kernel's lock must not go before the lease. A store that does not answer is not waited for for long: then
        // the lease ends by itself.
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = stopped.recv_timeout(self.times.renew * 2);
    }
}

struct Renewal {
    wire: Arc<Wire>,
    name: String,
    text: LeaseText,
    version: UpdateVersion,
    standing: Arc<Standing>,
}

impl Renewal {
    async fn run(mut self, mut stopping: oneshot::Receiver<()>) {
        let times = self.standing.times;
        let mut pause = times.renew;
        loop {
            if tokio::time::timeout(pause, &mut stopping).await.is_ok() {
                break;
            }
            let began = since_boot();
            let renewed = self.step(State::Held).await;
            if self.standing.check().is_err() {
                return;
            }
            pause = match renewed {
                Some(true) => {
                    *self.standing.sure() = Some(began);
                    times.renew
                }
                // What is there is ours and newer than we knew: at once again.
                Some(false) => Duration::ZERO,
                None => times.renew / 5,
            };
        }
        for _ in 0..3 {
            if self.standing.check().is_err() || self.step(State::Free).await == Some(true) {
                return;
            }
        }
    }

    /// One conditional put. `Some(true)`: done. `Some(false)`: the object had gone on without our knowing, and is ours.
    /// `None`: nobody knows. Where it is not ours any more, the hold is lost.
    async fn step(&mut self, state: State) -> Option<bool> {
        let limit = self.standing.times.renew;
        let next = LeaseText { beat: self.text.beat + 1, state, ..self.text.clone() };
        match self.wire.renew(&self.name, next.bytes(), self.version.clone(), limit).await? {
            Put::Done(version) => {
                self.text = next;
                if version.e_tag.is_some() {
                    self.version = version;
                    return Some(true);
                }
                // A store that does not say which version it made is asked.
                let seen = tokio::time::timeout(limit, self.wire.small("look at", &self.name)).await.ok()?.ok()?;
                Some(self.is_ours(seen) == Some(true))
            }
            Put::Refused { .. } => {
                let seen = tokio::time::timeout(limit, self.wire.small("look at", &self.name)).await.ok()?.ok()?;
                if self.is_ours(seen) != Some(true) {
                    *self.standing.sure() = None;
                    return None;
                }
                // A former attempt was carried out, and its answer lost.
                Some(state == State::Free && self.text.state == State::Free)
            }
        }
    }

    /// Takes over what is there, if this holder wrote it.
    fn is_ours(&mut self, seen: Option<Seen>) -> Option<bool> {
        let seen = seen?;
        let text = LeaseText::parse(&seen.bytes)?;
        if text.holder != self.text.holder || text.state == State::Fenced {
            return Some(false);
        }
        (self.text, self.version) = (text, seen.version);
        Some(true)
    }
}
