//! Loading the index: from its segments, and from packs that no segment covers.

use std::collections::{HashMap, hash_map::Entry};

use resurgam_model::VolumeId;

use crate::{
    backend::{self, Backend, Held, Listed},
    error::StoreError,
    frame::{FrameKind, Sealer},
    index::{INDEX, Index, IndexedPack, Part, Payload, Segment, merge::merge},
    keys,
    limits::{PACK_MAX, SEGMENT_BLOBS},
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
    /// Objects of the segments that were read, in the order of `index.parts()`; packs without a segment come after.
    pub(crate) objects: Vec<String>,
    /// Objects that are damaged, and how.
    pub(crate) damaged: Vec<(String, String)>,
    /// Metadata packs of which no segment tells and only the second copy is there: their writer was killed between the
    /// two.
    pub(crate) half: Vec<PackId>,
}

impl Loaded {
    /// Reads every segment, or the table of it. One that is damaged is passed over: it is a cache, and packs say what it
    /// said.
    pub(crate) fn segments(volume: &Volume) -> Result<Self, StoreError> {
        Self::segments_by(volume, hold_segment)
    }

    /// The same, and no table is believed before its segment has been read and found sound: for whoever verifies.
    pub(crate) fn segments_proved(volume: &Volume) -> Result<Self, StoreError> {
        Self::segments_by(volume, |volume, sealer, listed| {
            let payload = read_segment(volume, sealer, &listed.name)?;
            let table = volume.tables().open(volume.id(), &listed.name);
            table.map_or_else(|| hold_payload(volume, listed, &payload), Ok)
        })
    }

    fn segments_by(volume: &Volume, hold: Hold) -> Result<Self, StoreError> {
        let mut loaded = Self::default();
        for _ in 0..LISTINGS {
            loaded = Self::listed_segments(volume, hold)?;
            if !loaded.damaged.iter().any(|(_, what)| what == GONE) {
                break;
            }
        }
        Ok(loaded)
    }

    fn listed_segments(volume: &Volume, hold: Hold) -> Result<Self, StoreError> {
        let mut loaded = Self::default();
        let mut sealer = volume.sealer()?;
        let segments = volume.backend().list(INDEX)?;
        volume.tables().tidy(&segments);
        for listed in segments {
            match hold(volume, &mut sealer, &listed) {
                Ok(part) => {
                    loaded.index.add_part(part);
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
        let unknown: Vec<PackId> = present.keys().filter(|id| !self.index.knows(**id)).copied().collect();
        for id in unknown {
            match read_pack_index(volume.backend(), &mut sealer, volume.id(), id, &mut unindexed) {
                Ok(()) => {}
                Err(error) if error.is_not_found() => {}
                Err(StoreError::Corrupt { object, what }) => self.damaged.push((object, what)),
                Err(error) => return Err(error),
            }
            if unindexed.blobs.len() >= SEGMENT_BLOBS {
                self.index.add_part(hold_packs(volume, &mut unindexed));
            }
        }
        if !unindexed.packs.is_empty() {
            self.index.add_part(hold_packs(volume, &mut unindexed));
        }
        Ok(present)
    }
}

impl Loaded {
    /// The packs that no segment covers.
    pub(crate) fn unindexed(&self) -> impl Iterator<Item = IndexedPack> + '_ {
        self.index.parts().iter().skip(self.objects.len()).flat_map(|part| part.packs().iter().copied())
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
        for unindexed in &self.index.parts()[self.objects.len()..] {
            if let Some(payload) = merge(&[unindexed], &|_| true)? {
                let (object, _) = write_segment(volume, &mut volume.sealer()?, payload)?;
                self.objects.push(object);
            }
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

/// How a segment of the listing comes to be at hand.
type Hold = fn(&Volume, &mut Sealer<'_>, &Listed) -> Result<Part, StoreError>;

/// A segment as it is held on this machine, in memory or as a table, or else what the volume says.
pub(crate) fn hold_segment(volume: &Volume, sealer: &mut Sealer<'_>, listed: &Listed) -> Result<Part, StoreError> {
    if let Some(part) = volume.tables().open(volume.id(), &listed.name) {
        return Ok(part);
    }
    hold_payload(volume, listed, &read_segment(volume, sealer, &listed.name)?)
}

fn hold_payload(volume: &Volume, listed: &Listed, payload: &[u8]) -> Result<Part, StoreError> {
    let payload = Payload::parse(payload).ok_or_else(|| no_segment(&listed.name))?;
    Ok(volume.tables().hold_read(volume.id(), listed, &payload))
}

/// The payload of a segment.
fn read_segment(volume: &Volume, sealer: &mut Sealer<'_>, object: &str) -> Result<Vec<u8>, StoreError> {
    let bytes = backend::read_whole(volume.backend(), object, SEGMENT_BYTES_MAX as u64)?;
    let payload = sealer.open_owned(bytes, FrameKind::IndexSegment, SEGMENT_BYTES_MAX);
    payload.ok_or_else(|| no_segment(object))
}

fn no_segment(object: &str) -> StoreError {
    StoreError::corrupt(object, "it is no index segment of this volume, or damaged")
}

/// What packs say that no segment covers, as it is held on this machine. Leaves nothing of it.
fn hold_packs(volume: &Volume, unindexed: &mut Segment) -> Part {
    let mut segment = std::mem::take(unindexed);
    segment.sort();
    volume.tables().hold(volume.id(), None, segment)
}

/// Stores a segment, given by its payload, durably. Returns its object and length.
pub(crate) fn write_segment(
    volume: &Volume,
    sealer: &mut Sealer<'_>,
    payload: Vec<u8>,
) -> Result<(String, u64), StoreError> {
    let object = format!("{INDEX}{}", keys::hex(&keys::random::<16>()?));
    let bytes = sealer.seal_list(FrameKind::IndexSegment, payload)?;
    let mut upload = volume.backend().create(&object)?;
    upload.append(&bytes)?;
    upload.commit()?;
    Ok((object, bytes.len() as u64))
}

#[cfg(test)]
mod tests;
