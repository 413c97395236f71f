//! Reading from a volume: blobs, proved by their hashes, mended from parity on the way where that is enough.

mod ahead;
mod cache;
mod fetched;
mod places;
mod rooms;
mod runs;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use ahead::Fetching;
pub(crate) use ahead::{ENTRIES_BYTES, EXTENTS_BYTES, Wanted};
pub use ahead::{EntriesAhead, Window};
use cache::FrameCache;
pub(crate) use fetched::KEPT_MAX;
use fetched::{Came, key_of};
pub use places::{BlobPlaces, Place};
use rooms::Rooms;
pub(crate) use runs::runs;

use crate::{
    backend::Listed,
    entry::{BlobId, Content, Extent},
    error::{BackendError, Fault, StoreError},
    frame::Sealer,
    index::{INDEX, Index, Located},
    limits::{FRAME_MAX, FRAME_TARGET, PAGE},
    load::Loaded,
    pack::{PackId, PackKind, open::OpenPack},
    tree::{self, page::Page},
    volume::Volume,
};

/// Threads that read content at the same time, unless more are announced.
const THREADS: usize = 2;
/// Decoded bytes of metadata kept at most, by themselves: a page of entries is needed again after any amount of content.
const META_CACHE: usize = 16 << 20;
/// More than there are threads, so that different frames rarely wait for each other.
const TURNS: usize = 128;
/// How often tables of the index are made anew that cannot be read, before that is an error.
const TABLE_FAULTS_MAX: usize = 2;

/// Reads blobs of a volume. `&Reader` is shared by threads; it keeps the frames that were decoded last.
pub struct Reader {
    volume: Arc<Volume>,
    index: RwLock<Arc<Index>>,
    data: Mutex<FrameCache>,
    meta: Mutex<FrameCache>,
    /// Memory that frames are read into, and that they are opened into.
    sealed: Rooms,
    opened: Rooms,
    /// What is asked for ahead; `None`: the volume is near.
    fetching: Option<Fetching>,
    /// Whoever reads a frame has its turn, so that nobody reads the same at the same time.
    turns: [Mutex<()>; TURNS],
    /// The segments that were there when the index was last compared with the packs; that is done when something cannot
    /// be found, and again only if the segments have changed since.
    matched: Mutex<Option<Vec<Listed>>>,
}

/// Decoded bytes of content kept at most: each thread is in one frame, and what it needs next in another's or in one more.
fn data_cache(threads: usize) -> usize {
    (threads + 1) * FRAME_TARGET
}

/// The bytes of a blob, inside the decoded frame that holds it.
#[derive(Clone)]
pub struct BlobBytes {
    frame: Arc<Vec<u8>>,
    start: usize,
    end: usize,
}

impl std::ops::Deref for BlobBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.frame[self.start..self.end]
    }
}

impl Reader {
    /// Opens a volume for reading. Nothing is written, and no lock is taken.
    pub fn new(volume: &Arc<Volume>) -> Result<Self, StoreError> {
        let loaded = Loaded::segments(volume)?;
        Ok(Self::with_index(volume, Arc::new(loaded.index)))
    }

    pub(crate) fn with_index(volume: &Arc<Volume>, index: Arc<Index>) -> Self {
        Self {
            volume: Arc::clone(volume),
            index: RwLock::new(index),
            data: Mutex::new(FrameCache::new(data_cache(THREADS))),
            meta: Mutex::new(FrameCache::new(META_CACHE)),
            sealed: Rooms::default(),
            opened: Rooms::default(),
            fetching: Fetching::of(volume),
            turns: std::array::from_fn(|_| Mutex::default()),
            matched: Mutex::new(None),
        }
    }

    /// Announces how many threads will read content at the same time.
    pub fn expect_threads(&self, threads: usize) {
        self.data.lock().unwrap_or_else(PoisonError::into_inner).grow_to(data_cache(threads));
    }

    /// Gives the memory of metadata back: whoever calls this will hardly read more of it.
    pub(crate) fn forget_metadata(&self) {
        self.meta.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The blob of file content, proved.
    pub fn blob(&self, id: &BlobId) -> Result<BlobBytes, StoreError> {
        self.proved(id, PackKind::Data)
    }

    /// The blob of metadata, proved.
    pub(crate) fn meta(&self, id: &BlobId) -> Result<BlobBytes, StoreError> {
        self.proved(id, PackKind::Meta)
    }

    pub(crate) fn page(&self, id: &BlobId) -> Result<Page, StoreError> {
        tree::parse_page(id, &self.meta(id)?)
    }

    /// Whether what is needed is asked for ahead.
    pub fn is_far(&self) -> bool {
        self.fetching.is_some()
    }

    /// What it reads from.
    pub(crate) fn volume(&self) -> &Arc<Volume> {
        &self.volume
    }

    /// The index as it is now.
    pub(crate) fn index(&self) -> Arc<Index> {
        Arc::clone(&self.index.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The frame that holds the first blob of `content`; what has the same is read together. `None`: it has no blob, or the
    /// index does not know it.
    pub fn first_frame(&self, content: &Content) -> Option<(PackId, u32)> {
        let Content::Extents(extents) = content else { return None };
        let blob = extents.iter().find_map(Extent::blob)?;
        self.index().find(blob).map(|at| key_of(&at))
    }

    /// Calls `each` for every extent of `content` in the order of the file, reading lists as needed ([`Content::Inline`]
    /// has none). A long list is never in memory as a whole.
    pub fn extents(
        &self,
        content: &Content,
        each: &mut dyn FnMut(Extent) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let each = &mut |extent: Extent| if extent.length() > 0 { each(extent) } else { Ok(()) };
        tree::walk_extents(self, content, &mut |_| true, each)
    }

    fn proved(&self, id: &BlobId, kind: PackKind) -> Result<BlobBytes, StoreError> {
        let mut first = StoreError::MissingBlob(*id);
        let mut faults = 0;
        loop {
            let index = self.index();
            // What the index does not count on (a pack that was cut off) may be readable in this very place.
            let doubtful = index.every_copy(id).filter(|copy| index.is_excluded(copy.pack.id));
            for copy in index.copies(id).chain(doubtful) {
                match self.copy(id, kind, &copy) {
                    Ok(bytes) => return Ok(bytes),
                    Err(error) => first = error,
                }
            }
            if let Err(fault) = index.check() {
                // What is on this machine is no word on the volume: made anew, it may be readable.
                if faults == TABLE_FAULTS_MAX {
                    return Err(fault);
                }
                faults += 1;
            }
            // Perhaps a collector moved it since the index was read, or the index lacks it: ask the packs.
            if !(first.is_damage() && self.match_packs(&index)?) {
                return Err(first);
            }
        }
    }

    /// Compares the index with the packs; `false`: that has been done, and nothing has changed since. One thread does it, the
    /// others wait for what it finds: `seen` is the index that the caller knows.
    fn match_packs(&self, seen: &Arc<Index>) -> Result<bool, StoreError> {
        let mut matched = self.matched.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(seen, &self.index()) {
            return Ok(true);
        }
        let segments = self.volume.backend().list(INDEX)?;
        if matched.as_ref() == Some(&segments) && seen.check().is_ok() {
            return Ok(false);
        }
        let mut loaded = Loaded::segments(&self.volume)?;
        loaded.match_packs(&self.volume)?;
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded.index);
        *matched = Some(segments);
        Ok(true)
    }

    fn copy(&self, id: &BlobId, kind: PackKind, at: &Located) -> Result<BlobBytes, StoreError> {
        let frame = self.frame(at)?;
        let (start, end) = (at.blob.start as usize, at.blob.start as usize + at.blob.length as usize);
        let name = frame.get(start..end).map(|bytes| self.volume.keys().name(kind, bytes));
        if name == Some(*id) {
            return Ok(BlobBytes { frame, start, end });
        }
        Err(StoreError::corrupt(at.pack.id.object(), format!("blob {id} is not where the index says")))
    }

    fn kept(&self, at: &Located) -> MutexGuard<'_, FrameCache> {
        let cache = if at.pack.kind == PackKind::Meta { &self.meta } else { &self.data };
        cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a frame need not be read.
    fn has_open(&self, at: &Located) -> bool {
        self.kept(at).get(&key_of(at)).is_some()
    }

    fn frame(&self, at: &Located) -> Result<Arc<Vec<u8>>, StoreError> {
        let key = key_of(at);
        if let Some(frame) = self.kept(at).get(&key) {
            return Ok(frame);
        }
        let turn = (usize::from(key.0.0[0]) + key.1 as usize / PAGE) % TURNS;
        let _turn = self.turns[turn].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(frame) = self.kept(at).get(&key) {
            return Ok(frame);
        }
        let came = self.fetching.as_ref().and_then(|fetching| fetching.fetched.take(&key));
        let frame = Arc::new(self.load(at, came)?);
        if let Some(room) = self.kept(at).put(key, &frame) {
            self.opened.give_back(room);
        }
        Ok(frame)
    }

    fn load(&self, at: &Located, came: Option<Came>) -> Result<Vec<u8>, StoreError> {
        let mut sealer = self.volume.sealer()?;
        if at.pack.kind == PackKind::Meta {
            let mut payload = self.load_with(at, came, &mut sealer, Vec::new(), &mut Vec::new())?;
            payload.shrink_to_fit();
            return Ok(payload);
        }
        let mut bytes = self.sealed.take();
        let loaded = self.load_with(at, came, &mut sealer, self.opened.take(), &mut bytes);
        self.sealed.give_back(bytes);
        loaded
    }

    /// Opens a frame: as it came, from its pack, from the pack's second copy, or mended from parity.
    fn load_with(
        &self,
        at: &Located,
        came: Option<Came>,
        sealer: &mut Sealer<'_>,
        mut payload: Vec<u8>,
        bytes: &mut Vec<u8>,
    ) -> Result<Vec<u8>, StoreError> {
        let kind = at.pack.kind.frame();
        if let Some(came) = came {
            bytes.clear();
            bytes.extend_from_slice(&came);
            if sealer.open_into(bytes, kind, FRAME_MAX, &mut payload) {
                return Ok(payload);
            }
        }
        let backend = self.volume.backend();
        bytes.resize(at.frame.length as usize, 0);
        let mut objects = vec![at.pack.id.object()];
        if at.pack.kind == PackKind::Meta {
            objects.push(at.pack.id.mirror());
        }
        let mut first = None;
        for object in &objects {
            match backend.read_at(object, u64::from(at.frame.offset), bytes) {
                Ok(()) if sealer.open_into(bytes, kind, FRAME_MAX, &mut payload) => return Ok(payload),
                Ok(()) => {
                    first = first.or_else(|| {
                        Some(StoreError::corrupt(object, format!("the frame at {} is damaged", at.frame.offset)))
                    });
                }
                // The object ends before the frame: damage. Other faults mean that it is out of reach.
                Err(BackendError { kind: Fault::Io, source, .. })
                    if source.kind() == std::io::ErrorKind::UnexpectedEof =>
                {
                    first = first.or_else(|| Some(StoreError::corrupt(object, "it was cut off")));
                }
                Err(error) => first = first.or(Some(error.into())),
            }
        }
        for object in objects {
            let mended = OpenPack::open(backend, object, self.volume.id(), at.pack.id)
                .and_then(|pack| pack.mended(at.frame.offset, at.frame.length));
            if let Ok(mut mended) = mended
                && sealer.open_into(&mut mended, kind, FRAME_MAX, &mut payload)
            {
                return Ok(payload);
            }
        }
        Err(first.unwrap_or_else(|| StoreError::corrupt(at.pack.id.object(), "it cannot be read")))
    }
}
