//! A store that behaves as stores do on a bad day, by a seed: errors, answers that never come, bodies that break off,
//! listings that stop in the middle, requests refused for being too many, answers that are lost after all was done.
//!
//! It stands where the network would be, so that whatever [`super::ObjectBackend`] promises is promised on top of it.

use std::{
    fmt,
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartId, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    multipart::{MultipartStore, PartId},
    path::Path,
};

use super::Remote;

/// A store in memory, for tests.
pub fn memory() -> Arc<dyn Remote> {
    Arc::new(object_store::memory::InMemory::new())
}

/// What goes wrong, each in so many of 1,000 requests.
#[derive(Debug, Clone, Copy, Default)]
pub struct Trouble {
    /// Refused with 500 or 503 before anything is done.
    pub errors: u64,
    /// Refused with 429 or 503 SlowDown.
    pub throttled: u64,
    /// Done, and answered with an error all the same.
    pub lost_answers: u64,
    /// Never answered.
    pub silent: u64,
    /// Bodies with fewer bytes than were announced.
    pub torn: u64,
    /// Listings that fail in the middle.
    pub broken_listings: u64,
    /// Listings as they were before the last change. No store that a volume may lie in has them.
    pub stale_listings: u64,
}

impl Trouble {
    /// A bad day, but one on which trying again helps.
    pub fn bad_day() -> Self {
        Self {
            errors: 60,
            throttled: 40,
            lost_answers: 60,
            silent: 10,
            torn: 60,
            broken_listings: 80,
            stale_listings: 0,
        }
    }
}

/// A store with trouble in front of it.
pub struct Troubled {
    inner: Arc<dyn Remote>,
    trouble: Trouble,
    state: AtomicU64,
    /// No request reaches the store any more, while this is set.
    cut: AtomicBool,
    /// What the last listing of each prefix held.
    listed: Arc<Mutex<std::collections::HashMap<String, Vec<ObjectMeta>>>>,
    met: AtomicU64,
}

impl Troubled {
    /// `inner` with the trouble that `seed` makes.
    pub fn new(inner: Arc<dyn Remote>, trouble: Trouble, seed: u64) -> Self {
        Self {
            inner,
            trouble,
            state: AtomicU64::new(seed),
            cut: AtomicBool::new(false),
            listed: Arc::default(),
            met: AtomicU64::new(0),
        }
    }

    /// Cuts the line, or mends it.
    pub fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::SeqCst);
    }

    /// How often something went wrong.
    pub fn met(&self) -> u64 {
        self.met.load(Ordering::SeqCst)
    }

    /// Whether something that happens in `share` of 1,000 cases happens now.
    fn happens(&self, share: u64) -> bool {
        let mut mixed = self.state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let happens = (mixed ^ (mixed >> 31)) % 1000 < share;
        self.met.fetch_add(u64::from(happens), Ordering::SeqCst);
        happens
    }

    async fn before(&self) -> Result<()> {
        if self.cut.load(Ordering::SeqCst) || self.happens(self.trouble.silent) {
            tokio::time::sleep(Duration::from_secs(3600)).await;
        }
        if self.happens(self.trouble.throttled) {
            return Err(said("503 Service Unavailable", "SlowDown", "Please reduce your request rate."));
        }
        if self.happens(self.trouble.errors) {
            return Err(said("500 Internal Server Error", "InternalError", "Something broke."));
        }
        Ok(())
    }

    fn after<T>(&self, done: Result<T>) -> Result<T> {
        if self.cut.load(Ordering::SeqCst) || self.happens(self.trouble.lost_answers) {
            return Err(Error::Generic { store: "troubled", source: "connection reset by peer".into() });
        }
        done
    }
}

fn said(status: &str, code: &str, message: &str) -> Error {
    let body = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
    let source = format!("Server returned non-2xx status code: {status}: {body}").into();
    Error::Generic { store: "troubled", source }
}

impl fmt::Debug for Troubled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Troubled").field("trouble", &self.trouble).finish_non_exhaustive()
    }
}

impl fmt::Display for Troubled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("troubled")
    }
}

#[async_trait]
impl ObjectStore for Troubled {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.before().await?;
        let done = self.inner.put_opts(location, payload, options).await;
        self.after(done)
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(Error::NotSupported { source: "parts are put one by one".into() })
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.before().await?;
        let head = options.head;
        let got = self.after(self.inner.get_opts(location, options).await)?;
        if head || !self.happens(self.trouble.torn) {
            return Ok(got);
        }
        let (meta, range, attributes, extensions) =
            (got.meta.clone(), got.range.clone(), got.attributes.clone(), got.extensions.clone());
        let bytes = got.bytes().await?;
        let part = bytes.slice(..bytes.len() / 2);
        let payload =
            GetResultPayload::Stream(futures_util::stream::once(async move { Ok::<Bytes, Error>(part) }).boxed());
        Ok(GetResult { payload, meta, range, attributes, extensions })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.before().await?;
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (refused, lost) = (self.happens(self.trouble.errors), self.happens(self.trouble.lost_answers));
        if refused || self.cut.load(Ordering::SeqCst) {
            return locations
                .map(|_| Err(said("500 Internal Server Error", "InternalError", "Something broke.")))
                .boxed();
        }
        let done = self.inner.delete_stream(locations);
        if lost { done.map(|_| Err(said("502 Bad Gateway", "", ""))).boxed() } else { done }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let broken = self.cut.load(Ordering::SeqCst) || self.happens(self.trouble.broken_listings);
        let stale = self.happens(self.trouble.stale_listings);
        let key = prefix.map(ToString::to_string).unwrap_or_default();
        let (listed, listing) = (Arc::clone(&self.listed), self.inner.list(prefix));
        let all = async move {
            let mut now: Vec<Result<ObjectMeta>> = listing.collect().await;
            let whole: Vec<ObjectMeta> = now.iter().filter_map(|meta| meta.as_ref().ok().cloned()).collect();
            let before = listed.lock().unwrap_or_else(PoisonError::into_inner).insert(key, whole);
            if let (true, Some(before)) = (stale, before) {
                now = before.into_iter().map(Ok).collect();
            }
            if broken {
                now.truncate(now.len() / 2);
                now.push(Err(said("500 Internal Server Error", "InternalError", "The listing broke.")));
            }
            futures_util::stream::iter(now)
        };
        futures_util::stream::once(all).flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[async_trait]
impl MultipartStore for Troubled {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        self.before().await?;
        let done = self.inner.create_multipart(path).await;
        self.after(done)
    }

    async fn put_part(&self, path: &Path, id: &MultipartId, number: usize, data: PutPayload) -> Result<PartId> {
        self.before().await?;
        let done = self.inner.put_part(path, id, number, data).await;
        self.after(done)
    }

    async fn complete_multipart(&self, path: &Path, id: &MultipartId, parts: Vec<PartId>) -> Result<PutResult> {
        self.before().await?;
        let done = self.inner.complete_multipart(path, id, parts).await;
        self.after(done)
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        self.before().await?;
        self.inner.abort_multipart(path, id).await
    }
}
