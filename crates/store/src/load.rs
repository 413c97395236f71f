//! Loading the index: from its segments, and from packs that no segment covers.

use std::collections::{HashMap, hash_map::Entry};

use resurgam_model::VolumeId;

use crate::{
    backend::{self, Backend, Held},
    error::StoreError,
    frame::{FrameKind, Sealer},
    index::{INDEX, Index, IndexedPack, Segment},
    keys,
    limits::PACK_MAX,
    pack::{MIRROR, PACKS, PackId, PackKind, open::OpenPack},
    volume::Volume,
};

/// No segment is longer: a reader must be ready to allocate it.
const SEGMENT_BYTES_MAX: usize = 1 << 30;
/// A segment that is listed and gone was merged into another by a collector in between, so that the next listing has
/// that one. What is gone time and again is not merged, but lost, and its packs tell what it told.
const LISTINGS: usize = 8;
const GONE: &str = "it is listed, and gone";

/// The index, and what was noticed while loading it.
#[derive(Default)]
pub(crate) struct Loaded {
    pub(crate) index: Index,
    /// Objects of the segments that were read, in the order of `index.segments()`; packs without a segment come after.
    pub(crate) objects: Vec<String>,
    /// Objects that are damaged, and how.
    pub(crate) damaged: Vec<(String, String)>,
    /// Metadata packs of which no segment tells and only the second copy is there: their writer was killed between the
    /// two.
    pub(crate) half: Vec<PackId>,
}

impl Loaded {
    /// Reads every segment. One that is damaged is passed over: it is a cache, and packs say what it said.
    pub(crate) fn segments(volume: &Volume) -> Result<Self, StoreError> {
        let mut loaded = Self::default();
        for _ in 0..LISTINGS {
            loaded = Self::listed_segments(volume)?;
            if !loaded.damaged.iter().any(|(_, what)| what == GONE) {
                break;
            }
        }
        Ok(loaded)
    }

    fn listed_segments(volume: &Volume) -> Result<Self, StoreError> {
        let mut loaded = Self::default();
        let mut sealer = volume.sealer()?;
        for listed in volume.backend().list(INDEX)? {
            match read_segment(volume.backend(), &mut sealer, &listed.name) {
                Ok(segment) => {
                    loaded.index.add(segment);
                    loaded.objects.push(listed.name);
                }
                Err(StoreError::Corrupt { what, .. }) => loaded.damaged.push((listed.name, what)),
                Err(error) if error.is_not_found() => loaded.damaged.push((listed.name, GONE.to_owned())),
                Err(error) => return Err(error),
            }
        }
        Ok(loaded)
    }

    /// Compares the index with the packs that are there: reads the indexes of those that it lacks, and excludes those
    /// that are gone or have another length than they should.
    pub(crate) fn match_packs(&mut self, volume: &Volume) -> Result<HashMap<PackId, u64>, StoreError> {
        let mut present = packs_present(volume.backend())?;
        let gone: Vec<_> = self.index.packs().filter(|pack| present.get(&pack.id) != Some(&pack.length)).collect();
        for pack in gone {
            if pack.kind == PackKind::Meta
                && volume.backend().length(&pack.id.mirror()).is_ok_and(|length| length == pack.length)
            {
                continue;
            }
            self.index.exclude(pack.id);
            let what = if present.contains_key(&pack.id) { "its length is wrong" } else { "it is missing" };
            self.damaged.push((pack.id.object(), what.to_owned()));
        }
        for listed in volume.backend().list(&format!("{MIRROR}{PACKS}"))? {
            if let Some(id) = listed.name.strip_prefix(MIRROR).and_then(PackId::of_object)
                && !self.index.knows(id)
                && let Entry::Vacant(place) = present.entry(id)
            {
                place.insert(listed.length);
                self.half.push(id);
            }
        }
        let mut sealer = volume.sealer()?;
        let mut unindexed = Segment::default();
        for id in present.keys().filter(|id| !self.index.knows(**id)) {
            match read_pack_index(volume.backend(), &mut sealer, volume.id(), *id, &mut unindexed) {
                Ok(()) => {}
                Err(error) if error.is_not_found() => {}
                Err(StoreError::Corrupt { object, what }) => self.damaged.push((object, what)),
                Err(error) => return Err(error),
            }
        }
        if !unindexed.packs.is_empty() {
            unindexed.sort();
            self.index.add(unindexed);
        }
        Ok(present)
    }
}

impl Loaded {
    /// The packs that no segment covers.
    pub(crate) fn unindexed(&self) -> impl Iterator<Item = IndexedPack> + '_ {
        self.index.segments().iter().skip(self.objects.len()).flat_map(|segment| segment.packs.iter().copied())
    }

    /// Makes the index on disk what it should be: packs without a segment, left by a killed writer or by a damaged
    /// segment, get one; damaged segments go, and so do the registrations of
    /// the dead. Only for who holds the collector's lock and knows of no writer at work.
    pub(crate) fn adopt(&mut self, volume: &Volume, lock: &dyn Held, dead: &[String]) -> Result<(), StoreError> {
        // First what was half: were this stopped before it, a segment would tell of packs without a first copy.
        for pack in &self.half {
            let bytes = backend::read_whole(volume.backend(), &pack.mirror(), PACK_MAX)?;
            volume.backend().replace(&pack.object(), &bytes)?;
        }
        if let Some(unindexed) = self.index.segments().get(self.objects.len()) {
            let (object, _) = write_segment(volume, &mut volume.sealer()?, unindexed)?;
            self.objects.push(object);
        }
        for (object, _) in &self.damaged {
            if object.starts_with(INDEX) {
                lock.check()?;
                volume.backend().delete(object)?;
            }
        }
        // What the dead have left is covered now.
        for writer in dead {
            volume.backend().forget_writer(writer)?;
        }
        Ok(())
    }
}

/// Adds the index of one pack to a segment, from its second copy if need be.
pub(crate) fn read_pack_index(
    backend: &dyn Backend,
    sealer: &mut Sealer<'_>,
    volume: VolumeId,
    id: PackId,
    segment: &mut Segment,
) -> Result<(), StoreError> {
    let mut read = |object: String| -> Result<(), StoreError> {
        let pack = OpenPack::open(backend, object, volume, id)?;
        let frames = pack.index(sealer)?;
        segment.add(id, pack.kind(), pack.length(), &frames);
        Ok(())
    };
    match read(id.object()) {
        Err(error) if error.is_damage() => read(id.mirror()).map_err(|_| error),
        done => done,
    }
}

/// The packs of the listing, with their lengths.
pub(crate) fn packs_present(backend: &dyn Backend) -> Result<HashMap<PackId, u64>, StoreError> {
    let listed = backend.list(PACKS)?;
    Ok(listed.iter().filter_map(|listed| Some((PackId::of_object(&listed.name)?, listed.length))).collect())
}

fn read_segment(backend: &dyn Backend, sealer: &mut Sealer<'_>, object: &str) -> Result<Segment, StoreError> {
    let bytes = backend::read_whole(backend, object, SEGMENT_BYTES_MAX as u64)?;
    let payload = sealer.open(&bytes, FrameKind::IndexSegment, SEGMENT_BYTES_MAX);
    let segment = payload.and_then(|payload| Segment::parse(&payload));
    segment.ok_or_else(|| StoreError::corrupt(object, "it is no index segment of this volume, or damaged"))
}

/// Stores a segment durably. Returns its object and length.
pub(crate) fn write_segment(
    volume: &Volume,
    sealer: &mut Sealer<'_>,
    segment: &Segment,
) -> Result<(String, u64), StoreError> {
    let object = format!("{INDEX}{}", keys::hex(&keys::random::<16>()?));
    let bytes = sealer.seal_list(FrameKind::IndexSegment, segment.encode())?;
    let mut upload = volume.backend().create(&object)?;
    upload.append(&bytes)?;
    upload.commit()?;
    Ok((object, bytes.len() as u64))
}
