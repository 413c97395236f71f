//! Writing into a volume: a registered session, shared by threads that each have a lane of their own.
//!
//! A lane looks blobs up, gathers new ones into frames, compresses, seals and checks them. One thread packs what all
//! lanes make; another closes full packs, so that nobody waits for an fsync. Queues are short and bounded.
//!
//! What makes writing beside collecting safe: the session registers first and reads the index and the list of
//! condemned packs after that; the collector condemns first and looks for registered writers after that. A pack that a
//! session may rely on is thus either not condemned, or not deleted before the session has ended and its point was
//! seen. [`crate::collect`] has the whole table.

mod chunker;
mod lane;
mod packer;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use resurgam_model::{
    PointId, SourceId, Timestamp,
    point::{PointKind, PointState},
};

pub use chunker::Chunker;
pub use lane::Lane;

use crate::{
    backend::Hold,
    collect, document,
    entry::{BlobId, Content, Extent},
    error::StoreError,
    index::{Index, Segment},
    keys::{self, SigningKey, hex},
    load::{self, Loaded},
    meter::Counter,
    pack::{PackKind, build::FinishedPack},
    point::{PointText, ReplicaPlace, root_texts},
    reader::Reader,
    tree::{
        TreeRoot, TreeWriter,
        region::{self, PageHash, RegionWriter},
        walk_extents,
    },
    volume::Volume,
};
use packer::Packer;

/// A registered writer of a volume. `&Session` is shared by all threads of a backup.
pub struct Session {
    /// The name of its registration.
    writer: String,
    packer: Packer,
    shared: Arc<Shared>,
    chunker: Chunker,
}

/// What lanes and packer have in common.
struct Shared {
    volume: Arc<Volume>,
    index: RwLock<Index>,
    /// Blobs that a lane has taken to store and that `index` does not have yet, by the first byte of their names.
    claimed: [Mutex<HashSet<BlobId>>; 16],
    /// Bytes that the volume grew by.
    added: Counter,
    /// Why the session cannot end well.
    failed: Mutex<Option<StoreError>>,
    registered: Hold,
}

/// What a point is made of, besides its entries.
pub struct NewPoint<'a> {
    /// Where it goes.
    pub place: &'a ReplicaPlace,
    /// Its id.
    pub point: PointId,
    /// The data source.
    pub source: SourceId,
    /// The root's path.
    pub root: &'a [u8],
    /// When the server received it.
    pub time: Timestamp,
    /// How it came to be.
    pub kind: PointKind,
    /// Items that could not be read.
    pub unread: u64,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Whether the volume has the blob; if not, the caller has taken it upon itself to store it.
    fn claim(&self, id: BlobId) -> bool {
        let known = self.index.read().unwrap_or_else(PoisonError::into_inner).find(&id).is_some();
        !known && held(&self.claimed[usize::from(id.0[0] & 15)]).insert(id)
    }

    fn fail(&self, error: StoreError) {
        held(&self.failed).get_or_insert(error);
    }

    /// Why the packer stopped. Every lane learns the same.
    fn failure(&self) -> StoreError {
        held(&self.failed).as_ref().map_or(StoreError::Cancelled, StoreError::again)
    }

    /// Makes finished packs part of the index, in memory and in the volume.
    fn index_packs(&self, packs: &[FinishedPack]) -> Result<(), StoreError> {
        if packs.is_empty() {
            return Ok(());
        }
        let segment = Segment::of_packs(packs);
        let payload = segment.encode();
        let (object, length) = load::write_segment(&self.volume, &mut self.volume.sealer()?, payload)?;
        self.added.add(length);
        let ids: Vec<BlobId> = segment.blobs.iter().map(|blob| blob.id).collect();
        let part = self.volume.tables().hold(self.volume.id(), Some((&object, length)), segment);
        self.index.write().unwrap_or_else(PoisonError::into_inner).add_part(part);
        for id in ids {
            held(&self.claimed[usize::from(id.0[0] & 15)]).remove(&id);
        }
        Ok(())
    }
}

/// What a session has stored is durable and indexed; it is registered still, so that what it relies on stays until its
/// point is there.
pub(crate) struct Stored {
    writer: String,
    shared: Arc<Shared>,
}

impl Stored {
    /// Ends the registration. One that is not ended, by an error or a kill, tells whoever comes that packs may lie here
    /// which no segment covers.
    pub(crate) fn end(self) -> Result<(), StoreError> {
        let Self { writer, shared } = self;
        let volume = Arc::clone(&shared.volume);
        drop(shared);
        Ok(volume.backend().forget_writer(&writer)?)
    }
}

impl Session {
    /// Registers a writer and loads what the volume has. What an interrupted writer stored before is found again.
    pub fn begin(volume: &Arc<Volume>) -> Result<Self, StoreError> {
        let writer = hex(&keys::random::<16>()?);
        let registered = volume.backend().register(&writer)?;
        let condemned = collect::condemned(volume)?;
        let mut loaded = Loaded::segments(volume)?;
        loaded.match_packs(volume)?;
        for pack in &condemned.packs {
            loaded.index.exclude(*pack);
        }
        let shared = Arc::new(Shared {
            volume: Arc::clone(volume),
            index: RwLock::new(loaded.index),
            claimed: std::array::from_fn(|_| Mutex::default()),
            added: Counter::default(),
            failed: Mutex::default(),
            registered,
        });
        Ok(Self { writer, packer: Packer::start(&shared), chunker: Chunker::new(volume.keys()), shared })
    }

    /// A lane for one thread: blobs put into one lane one after the other lie side by side in a frame.
    ///
    /// # Errors
    /// Where the compressor cannot be set up.
    pub fn lane(&self) -> Result<Lane<'_>, StoreError> {
        Lane::new(&self.shared, self.packer.queue(), PackKind::Data)
    }

    pub(crate) fn meta_lane(&self) -> Result<Lane<'_>, StoreError> {
        Lane::new(&self.shared, self.packer.queue(), PackKind::Meta)
    }

    /// Where the regions of files that change in place are listed, by one thread.
    ///
    /// # Errors
    /// Where the compressor cannot be set up.
    pub fn regions(&self) -> Result<RegionWriter<'_>, StoreError> {
        Ok(RegionWriter::new(self.meta_lane()?, self.lane()?))
    }

    /// The hash by which a page of a file is known again.
    pub fn page_hash(&self, page: &[u8]) -> PageHash {
        region::hash(self.shared.volume.keys(), page)
    }

    /// The length of a blob, if the volume has it.
    pub fn length_of(&self, blob: &BlobId) -> Option<u32> {
        let index = self.shared.index.read().unwrap_or_else(PoisonError::into_inner);
        index.find(blob).map(|at| at.blob.length)
    }

    /// Starts the stream of entries of a point. Entries must be pushed in path order ([`resurgam_model::BytePath`]).
    ///
    /// # Errors
    /// Where the compressor cannot be set up.
    pub fn tree(&self) -> Result<TreeWriter<'_>, StoreError> {
        TreeWriter::new(self)
    }

    /// The cutter for large files; a value that each thread may share.
    pub fn chunker(&self) -> &Chunker {
        &self.chunker
    }

    /// Whether every blob of `content` is in the volume. What an earlier point refers to may have been lost since: then
    /// it must be read from the source again. Lists of extents are read by `reader`.
    pub fn has(&self, reader: &Reader, content: &Content) -> Result<bool, StoreError> {
        let index = self.shared.index.read().unwrap_or_else(PoisonError::into_inner);
        let (mut lists, mut blobs) = (true, true);
        let walked = walk_extents(
            reader,
            content,
            &mut |list| {
                lists &= index.find(list).is_some();
                lists
            },
            &mut |extent| {
                if let Extent::Data { blob, .. } = extent {
                    blobs &= index.find(&blob).is_some();
                }
                Ok(())
            },
        );
        match walked {
            Ok(()) => Ok(lists && blobs),
            Err(error) if error.is_damage() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether the volume lacks the blob; the caller has then taken it upon itself to store it.
    pub(crate) fn claim(&self, id: BlobId) -> bool {
        self.shared.claim(id)
    }

    /// Whether small frames are filled up here.
    pub(crate) fn is_filled(&self) -> bool {
        self.shared.volume.is_filled()
    }

    /// Bytes that the volume grew by so far.
    pub fn added_bytes(&self) -> u64 {
        self.shared.added.get()
    }

    /// Makes everything stored so far durable and findable. Every lane must have been flushed.
    pub(crate) fn finish(self) -> Result<Stored, StoreError> {
        let Self { writer, packer, shared, .. } = self;
        let packs = packer.finish()?;
        if let Some(error) = held(&shared.failed).take() {
            return Err(error);
        }
        // A writer that was taken for dead must not go on as if what it relies on were safe.
        shared.registered.check()?;
        shared.index_packs(&packs)?;
        Ok(Stored { writer, shared })
    }

    /// Makes the point, and with it all that it refers to, durable. When this returns, a power cut takes nothing away.
    pub fn commit(
        self,
        tree: &TreeRoot,
        new: &NewPoint<'_>,
        signing: &SigningKey,
    ) -> Result<(PointText, String), StoreError> {
        let volume = Arc::clone(&self.shared.volume);
        let stored = self.finish()?;
        let mut text = PointText {
            document: PointText::DOCUMENT.to_owned(),
            volume: volume.id(),
            replica: new.place.replica,
            source: new.source,
            point: new.point,
            root: root_texts(new.root).0,
            time: new.time,
            kind: new.kind,
            state: if new.unread == 0 { PointState::Complete } else { PointState::Partial },
            unread: new.unread,
            added_bytes: stored.shared.added.get(),
            tree: tree.into(),
        };
        // The document counts itself, near enough: its own length changes with the digits of the sum.
        text.added_bytes += 2 * document::sign(&document::to_text(&text)?, signing).len() as u64;
        let document = document::sign(&document::to_text(&text)?, signing);
        stored.shared.registered.check()?;
        volume.documents()?.write(&new.place.point(new.point), &document)?;
        stored.end()?;
        collect::merge_segments(&volume)?;
        Ok((text, document))
    }
}
