//! Talking to a store: each request with a limit of time, tried again where that may help, counted, and held back by the
//! limits of bandwidth.
//!
//! - What failed is tried again for [`super::Limits::give_up`] at most, with pauses that grow and differ by chance. A store
//!   that has done nothing yet, or was given up just now, is waited for a part of that.
//! - Nothing is changed, and no change is tried again, once a hold that this backend gave out was lost.
//! - A conditional put whose first answer was lost is no conflict: what is there is compared with what was sent.
//! - What was read is exactly what was asked for, or the read failed.

use std::{
    future::Future,
    io,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::StreamExt;
use object_store::{
    GetOptions, GetRange, MultipartId, ObjectMeta, ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion,
    multipart::PartId, path::Path,
};
use zeroize::Zeroizing;

use super::{
    client::Remote, clock::since_boot, fault::Failure, lease::Standing, limits::Limits, patience::Patience,
    throttle::Throttle,
};
use crate::{
    backend::{Listed, Result, Traffic},
    error::{BackendError, Fault},
    keys,
};

/// One store, as one backend talks to it.
pub(super) struct Wire {
    store: Arc<dyn Remote>,
    /// The URL, for messages.
    root: String,
    /// Before every name: empty, or ending in a slash.
    prefix: String,
    pub(super) limits: Limits,
    throttle: Arc<Throttle>,
    counted: Counted,
    secrets: Vec<Zeroizing<String>>,
    /// The holds given out that live.
    holds: Mutex<Vec<Weak<Standing>>>,
    patience: Patience,
}

#[derive(Default)]
struct Counted {
    requests: AtomicU64,
    up: AtomicU64,
    down: AtomicU64,
}

/// A request, for messages and limits.
#[derive(Clone, Copy)]
struct Call<'a> {
    attempt: &'static str,
    name: &'a str,
    changes: bool,
    bytes: u64,
}

/// An object as it was at one time.
pub(super) struct Seen {
    pub(super) bytes: Bytes,
    pub(super) version: UpdateVersion,
}

/// How a put ended that was not refused for good.
#[derive(Debug)]
pub(super) enum Put {
    Done(UpdateVersion),
    /// The condition did not hold. `again`: a former attempt may have been carried out.
    Refused {
        again: bool,
    },
}

/// A lock or document is no longer than this.
const SMALL_OBJECT_MAX: u64 = 1024 * 1024;
/// No object is below this.
const NOTHING: &str = "none";

impl Wire {
    pub(super) fn new(
        store: Arc<dyn Remote>,
        root: String,
        prefix: &str,
        limits: Limits,
        secrets: Vec<Zeroizing<String>>,
    ) -> Self {
        Self {
            store,
            root,
            prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") },
            throttle: Throttle::of(&limits),
            limits,
            counted: Counted::default(),
            secrets,
            holds: Mutex::default(),
            patience: Patience::default(),
        }
    }

    pub(super) fn location(&self) -> &str {
        &self.root
    }

    pub(super) fn traffic(&self) -> Traffic {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Traffic {
            requests: get(&self.counted.requests),
            bytes_up: get(&self.counted.up),
            bytes_down: get(&self.counted.down),
        }
    }

    /// From now on, nothing is changed any more once this hold is lost.
    pub(super) fn watch_over(&self, hold: &Arc<Standing>) {
        let mut holds = self.holds.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        holds.retain(|hold| hold.strong_count() > 0);
        holds.push(Arc::downgrade(hold));
    }

    fn holds_stand(&self) -> Result<()> {
        let holds: Vec<_> = {
            let holds = self.holds.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            holds.iter().filter_map(Weak::upgrade).collect()
        };
        holds.iter().try_for_each(|hold| hold.check())
    }

    pub(super) fn error(&self, attempt: &'static str, name: &str, kind: Fault, source: io::Error) -> BackendError {
        let object = if name.is_empty() { self.root.clone() } else { format!("{}/{name}", self.root) };
        BackendError { attempt, object, kind, source }
    }

    fn path(&self, attempt: &'static str, name: &str) -> Result<Path> {
        let whole = format!("{}{name}", self.prefix);
        let path = Path::parse(&whole).ok().filter(|path| path.as_ref() == whole.trim_end_matches('/'));
        path.ok_or_else(|| {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "this is no name of an object");
            self.error(attempt, name, Fault::Io, source)
        })
    }

    /// Makes one attempt after the other. Hands back how many there were with what the last one gave.
    async fn try_again<T, F: Future<Output = std::result::Result<T, Failure>>>(
        &self,
        call: Call<'_>,
        attempt: impl Fn() -> F,
    ) -> std::result::Result<(T, u32), (Failure, u32)> {
        // Without what it waited for its turn, however long that was.
        let mut spent = Duration::ZERO;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let turn = self.throttle.turn(call.changes, call.bytes).await;
            let began = since_boot();
            let failure = match self.one(call, attempt()).await {
                Ok(done) => return Ok((done, attempts)),
                Err(failure) => failure,
            };
            drop(turn);
            if !failure.passing {
                return Err((failure, attempts));
            }
            spent += since_boot().saturating_sub(began);
            if spent >= self.patience.left(&self.limits, &failure) {
                self.patience.lose(&failure);
                return Err((failure, attempts));
            }
            let chance = keys::random::<1>().map_or(0, |[byte]| byte);
            let pause = self.limits.pause(attempts, chance);
            spent += pause;
            tokio::time::sleep(pause).await;
        }
    }

    /// One attempt, counted and timed.
    async fn one<T>(
        &self,
        call: Call<'_>,
        request: impl Future<Output = std::result::Result<T, Failure>>,
    ) -> std::result::Result<T, Failure> {
        // Only now: it may have waited for its turn for longer than a lease lasts.
        if call.changes {
            self.holds_stand().map_err(Failure::lost)?;
        }
        self.counted.requests.fetch_add(1, Ordering::Relaxed);
        if call.changes {
            self.counted.up.fetch_add(call.bytes, Ordering::Relaxed);
        }
        let limit = self.limits.attempt(call.changes, call.bytes);
        match tokio::time::timeout(limit, request).await {
            Ok(result) => {
                self.patience.learn(result.as_ref().map(|_| ()));
                result
            }
            Err(_) => Err(Failure::of(
                io::ErrorKind::TimedOut,
                format!("the store did not answer within {:.1} s", limit.as_secs_f64()),
                true,
            )),
        }
    }

    fn failure(&self, error: &object_store::Error) -> Failure {
        Failure::from(error, &self.secrets)
    }

    fn failed(&self, call: Call<'_>, (failure, attempts): (Failure, u32)) -> BackendError {
        let mut source = failure.source;
        if failure.passing && attempts > 1 {
            source = io::Error::new(source.kind(), format!("{source} ({attempts} attempts)"));
        }
        self.error(call.attempt, call.name, failure.kind, source)
    }

    /// A simple request, tried until it succeeds or time is up.
    async fn ask<T, F>(&self, call: Call<'_>, request: impl Fn() -> F) -> std::result::Result<(T, u32), (Failure, u32)>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        self.try_again(call, || async { request().await.map_err(|error| self.failure(&error)) }).await
    }

    /// Puts an object in one request.
    pub(super) async fn put(&self, attempt: &'static str, name: &str, bytes: Bytes, mode: PutMode) -> Result<Put> {
        let path = self.path(attempt, name)?;
        let call = Call { attempt, name, changes: true, bytes: bytes.len() as u64 };
        let conditional = !matches!(mode, PutMode::Overwrite);
        let put = || {
            let options = PutOptions { mode: mode.clone(), ..PutOptions::default() };
            self.store.put_opts(&path, PutPayload::from(bytes.clone()), options)
        };
        match self.ask(call, put).await {
            Ok((done, _)) => Ok(Put::Done(done.into())),
            Err((failure, attempts)) if failure.condition && conditional => Ok(Put::Refused { again: attempts > 1 }),
            Err(failed) => Err(self.failed(call, failed)),
        }
    }

    /// Renews what is held: one attempt, within `limit`. `None`: nobody knows whether it was carried out.
    pub(super) async fn renew(&self, name: &str, bytes: Bytes, version: UpdateVersion, limit: Duration) -> Option<Put> {
        let path = self.path("renew", name).ok()?;
        let options = PutOptions { mode: PutMode::Update(version), ..PutOptions::default() };
        self.counted.requests.fetch_add(1, Ordering::Relaxed);
        self.counted.up.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        // Neither waits its turn nor for bandwidth: a hold must not be lost because much is being sent.
        match tokio::time::timeout(limit, self.store.put_opts(&path, PutPayload::from(bytes), options)).await {
            Ok(Ok(done)) => Some(Put::Done(done.into())),
            Ok(Err(error)) => {
                let failure = self.failure(&error);
                (failure.condition || failure.kind == Fault::NotFound).then_some(Put::Refused { again: true })
            }
            Err(_) => None,
        }
    }

    /// A small object whole, or `None` where there is none.
    pub(super) async fn small(&self, attempt: &'static str, name: &str) -> Result<Option<Seen>> {
        let path = self.path(attempt, name)?;
        let call = Call { attempt, name, changes: false, bytes: 0 };
        let read = || async {
            let got = self.store.get(&path).await.map_err(|error| self.failure(&error))?;
            let (length, meta) = (got.meta.size, got.meta.clone());
            if length > SMALL_OBJECT_MAX {
                return Err(Failure::of(io::ErrorKind::InvalidData, format!("it is {length} bytes long"), false));
            }
            let bytes = got.bytes().await.map_err(|error| self.failure(&error))?;
            if bytes.len() as u64 != length {
                return Err(torn(bytes.len() as u64, length));
            }
            Ok(Seen { bytes, version: UpdateVersion { e_tag: meta.e_tag, version: meta.version } })
        };
        match self.try_again(call, read).await {
            Ok((seen, _)) => {
                self.counted.down.fetch_add(seen.bytes.len() as u64, Ordering::Relaxed);
                Ok(Some(seen))
            }
            Err((failure, _)) if failure.kind == Fault::NotFound && !failure.bucket => Ok(None),
            Err(failed) => Err(self.failed(call, failed)),
        }
    }

    /// What the store knows of an object.
    pub(super) async fn head(&self, attempt: &'static str, name: &str) -> Result<ObjectMeta> {
        let path = self.path(attempt, name)?;
        let call = Call { attempt, name, changes: false, bytes: 0 };
        match self.ask(call, || self.store.head(&path)).await {
            Ok((meta, _)) => Ok(meta),
            Err(failed) => Err(self.missing(call, failed).await),
        }
    }

    /// That an object is not there is only said of a bucket that is.
    async fn missing(&self, call: Call<'_>, failed: (Failure, u32)) -> BackendError {
        if failed.0.kind == Fault::NotFound
            && let Err(error) = self.bucket_answers(call.attempt).await
        {
            let kind = if error.kind == Fault::NotFound { Fault::Io } else { error.kind };
            return BackendError { kind, ..error };
        }
        self.failed(call, failed)
    }

    /// Exactly the bytes from `start` on that fill `into`.
    pub(super) async fn range(&self, name: &str, start: u64, into: &mut [u8]) -> Result<()> {
        let attempt = "read";
        let path = self.path(attempt, name)?;
        let wanted = into.len() as u64;
        let range = start..start.saturating_add(wanted);
        let call = Call { attempt, name, changes: false, bytes: wanted };
        // One attempt at a time has it.
        let into = tokio::sync::Mutex::new(into);
        let read = || async {
            let options = GetOptions { range: Some(GetRange::Bounded(range.clone())), ..GetOptions::default() };
            let got = self.store.get_opts(&path, options).await.map_err(|error| self.failure(&error))?;
            if got.meta.size < range.end {
                return Err(beyond(got.meta.size));
            }
            if got.range != range {
                return Err(torn(got.range.end - got.range.start, wanted));
            }
            let mut into = into.lock().await;
            let mut rest = &mut **into;
            let mut stream = got.into_stream();
            while let Some(bytes) = stream.next().await {
                let bytes = bytes.map_err(|error| self.failure(&error))?;
                let Some((now, later)) = rest.split_at_mut_checked(bytes.len()) else {
                    return Err(torn(wanted + 1, wanted));
                };
                now.copy_from_slice(&bytes);
                rest = later;
            }
            if rest.is_empty() { Ok(()) } else { Err(torn(wanted - rest.len() as u64, wanted)) }
        };
        match self.try_again(call, read).await {
            Ok(_) => {
                self.counted.down.fetch_add(wanted, Ordering::Relaxed);
                Ok(())
            }
            Err((failure, _)) if failure.kind == Fault::Io && failure.source.kind() != io::ErrorKind::UnexpectedEof => {
                // Stores refuse a range that begins beyond the end, each in its own words.
                match self.head(attempt, name).await {
                    Ok(meta) if meta.size < range.end => Err(self.failed(call, (beyond(meta.size), 1))),
                    Ok(_) => Err(self.failed(call, (failure, 1))),
                    Err(error) => Err(error),
                }
            }
            Err(failed) => Err(self.missing(call, failed).await),
        }
    }

    /// Every object below a prefix, or of exactly that name.
    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        let attempt = "list";
        let below = self.path(attempt, prefix)?;
        let call = Call { attempt, name: prefix.trim_end_matches('/'), changes: false, bytes: 0 };
        let mut found = match self.try_again(call, || self.list_once(&below)).await {
            Ok((found, _)) => found,
            Err(failed) => return Err(self.failed(call, failed)),
        };
        let mut named = Vec::with_capacity(found.len());
        for meta in found.drain(..) {
            // Foreign objects whose names are like a directory's are none of ours.
            if let Some(name) = meta.location.as_ref().strip_prefix(&self.prefix)
                && name.starts_with(prefix)
            {
                named.push(Listed { name: name.to_owned(), length: meta.size });
            }
        }
        if !prefix.is_empty() && !prefix.ends_with('/') {
            match self.head(attempt, prefix).await {
                Ok(meta) => named.push(Listed { name: prefix.to_owned(), length: meta.size }),
                Err(error) if error.kind == Fault::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        if named.is_empty() {
            self.bucket_answers(attempt).await?;
        }
        named.sort();
        named.dedup();
        Ok(named)
    }

    async fn list_once(&self, below: &Path) -> std::result::Result<Vec<ObjectMeta>, Failure> {
        let mut listing = self.store.list((!below.as_ref().is_empty()).then_some(below));
        let mut found = Vec::new();
        // Each page has its own time; a listing may have very many of them.
        loop {
            match tokio::time::timeout(self.limits.request, listing.next()).await {
                Ok(Some(Ok(meta))) => found.push(meta),
                Ok(Some(Err(error))) => return Err(self.failure(&error)),
                Ok(None) => return Ok(found),
                Err(_) => return Err(Failure::of(io::ErrorKind::TimedOut, "the listing stopped", true)),
            }
        }
    }

    /// Sees that the bucket is there.
    pub(super) async fn bucket_answers(&self, attempt: &'static str) -> Result<()> {
        let call = Call { attempt, name: "", changes: false, bytes: 0 };
        // Where nothing ever is: the answer is short, and a bucket that is missing says so all the same.
        let nothing = self.path(attempt, NOTHING)?;
        let look = || async {
            let mut listing = self.store.list(Some(&nothing));
            match listing.next().await {
                None | Some(Ok(_)) => Ok(()),
                Some(Err(error)) => Err(self.failure(&error)),
            }
        };
        match self.try_again(call, look).await {
            Ok(_) => Ok(()),
            Err(failed) => Err(self.failed(call, failed)),
        }
    }

    /// Deletes; what is not there is no error.
    pub(super) async fn delete(&self, name: &str) -> Result<()> {
        let attempt = "delete";
        let path = self.path(attempt, name)?;
        let call = Call { attempt, name, changes: true, bytes: 0 };
        match self.ask(call, || self.store.delete(&path)).await {
            Ok(_) => Ok(()),
            Err((failure, _)) if failure.kind == Fault::NotFound && !failure.bucket => Ok(()),
            Err(failed) => Err(self.failed(call, failed)),
        }
    }

    /// Begins an object of many parts.
    pub(super) async fn begin_parts(&self, name: &str) -> Result<MultipartId> {
        let attempt = "create";
        let path = self.path(attempt, name)?;
        let call = Call { attempt, name, changes: true, bytes: 0 };
        match self.ask(call, || self.store.create_multipart(&path)).await {
            Ok((id, _)) => Ok(id),
            Err(failed) => Err(self.failed(call, failed)),
        }
    }

    /// Sends one part. The same part may be sent again.
    pub(super) async fn part(&self, name: &str, id: &MultipartId, number: usize, bytes: Bytes) -> Result<PartId> {
        let attempt = "write";
        let path = self.path(attempt, name)?;
        let call = Call { attempt, name, changes: true, bytes: bytes.len() as u64 };
        match self.ask(call, || self.store.put_part(&path, id, number, PutPayload::from(bytes.clone()))).await {
            Ok((part, _)) => Ok(part),
            Err(failed) => Err(self.failed(call, failed)),
        }
    }

    /// Makes an object of its parts.
    pub(super) async fn end_parts(&self, name: &str, id: &MultipartId, parts: &[PartId], length: u64) -> Result<()> {
        let attempt = "store";
        let path = self.path(attempt, name)?;
        let call = Call { attempt, name, changes: true, bytes: 0 };
        match self.ask(call, || self.store.complete_multipart(&path, id, parts.to_vec())).await {
            Ok(_) => Ok(()),
            // Where the answer of a former attempt was lost, the upload is over and the object is there.
            Err(failed) if failed.1 > 1 && self.head(attempt, name).await.is_ok_and(|meta| meta.size == length) => {
                Ok(())
            }
            Err(failed) => Err(self.failed(call, failed)),
        }
    }

    /// Gives an unfinished object up, as well as it can be done: one attempt.
    pub(super) async fn drop_parts(&self, name: &str, id: &MultipartId) {
        let Ok(path) = self.path("give up", name) else { return };
        self.counted.requests.fetch_add(1, Ordering::Relaxed);
        let _ = tokio::time::timeout(self.limits.change, self.store.abort_multipart(&path, id)).await;
    }
}

fn torn(got: u64, wanted: u64) -> Failure {
    let what = format!("the answer broke off: {got} of {wanted} bytes came");
    Failure { kind: Fault::Io, ..Failure::of(io::ErrorKind::ConnectionAborted, what, true) }
}

fn beyond(length: u64) -> Failure {
    Failure::of(io::ErrorKind::UnexpectedEof, format!("it ends at {length} bytes"), false)
}
