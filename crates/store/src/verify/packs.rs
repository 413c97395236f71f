//! The packs: that each is there, that each byte of it is what was written, that each blob has its name.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use super::{Verified, Verify, load_index};
use crate::{
    backend::Held,
    entry::BlobId,
    error::{Fault, StoreError},
    frame::Sealer,
    index::{Index, IndexedPack},
    limits::PAGE,
    load,
    meter::{Cancel, Meter},
    pack::{
        MIRROR, PACKS, PackId, PackKind, PackedFrame,
        open::{OpenPack, open_payload},
        parse_frame_payload,
    },
    parallel,
    volume::Volume,
    writer::Session,
};

/// Blobs that are in no sound place.
pub(super) struct Lost {
    /// The index, without the packs that are gone.
    pub(super) index: Arc<Index>,
    /// Blobs found damaged where the index has them.
    pub(super) damaged: HashSet<(PackId, BlobId)>,
}

/// One copy of a pack, looked through.
#[derive(Default)]
struct Look {
    /// What is wrong; empty: nothing.
    faults: Vec<String>,
    /// Whether parity makes up for all of it.
    mendable: bool,
    /// Frames that open, with whether each of their blobs is sound.
    frames: Vec<(PackedFrame, Vec<bool>)>,
    /// The pages that parity brought back.
    mended: Vec<(usize, Vec<u8>)>,
}

/// `suspects`: packs that are read whatever `how` says.
pub(super) fn verify(
    volume: &Arc<Volume>,
    how: &Verify<'_>,
    suspects: &HashSet<PackId>,
    lock: Option<&dyn Held>,
    meter: &Meter,
    cancel: &Cancel,
    verified: &mut Verified,
) -> Result<Lost, StoreError> {
    let loaded = load_index(volume, how, lock, verified)?;
    let half: HashSet<PackId> = loaded.half.into_iter().collect();
    let mut lost = Lost { index: Arc::new(loaded.index), damaged: HashSet::new() };
    let mut wanted: BTreeMap<PackId, Option<IndexedPack>> =
        lost.index.packs().map(|pack| (pack.id, Some(pack))).collect();
    // Second copies tell of metadata packs that are gone without a trace in the index.
    for listed in volume.backend().list(&format!("{MIRROR}{PACKS}"))? {
        if let Some(id) = listed.name.strip_prefix(MIRROR).and_then(PackId::of_object) {
            wanted.entry(id).or_insert(None);
        }
    }
    for (object, _) in &loaded.damaged {
        if let Some(id) = PackId::of_object(object) {
            wanted.entry(id).or_insert(None);
        }
    }
    let present = load::packs_present(volume.backend())?;
    let second: HashMap<String, u64> = volume
        .backend()
        .list(&format!("{MIRROR}{PACKS}"))?
        .into_iter()
        .map(|listed| (listed.name, listed.length))
        .collect();
    let condemned = crate::collect::condemned(volume)?;
    // A pack that is going to be deleted may be gone already.
    wanted.retain(|id, _| !condemned.packs.contains(id));
    let due = due(how, &wanted);
    let jobs: Vec<Job> = wanted
        .into_iter()
        .map(|(id, indexed)| {
            let due = suspects.contains(&id) || due.contains(&id);
            let sound = indexed.is_some_and(|pack| {
                present.get(&id) == Some(&pack.length)
                    && (pack.kind == PackKind::Data || second.get(&id.mirror()) == Some(&pack.length))
            });
            Job { id, indexed, read: due || !sound }
        })
        .filter(|job| job.read)
        .collect();
    meter.expected.add(jobs.iter().map(|job| job.indexed.map_or(0, |pack| pack.length)).sum());
    // In the order of their ids, whichever thread was first.
    let found = parallel::map(
        jobs,
        how.threads,
        || volume.sealer(),
        |sealer, job| {
            if cancel.is_cancelled() {
                return Err(StoreError::Cancelled);
            }
            let checked = Checked::of(volume, sealer, &job, meter)?;
            if checked.is_sound() {
                how.proved.note(job.id);
            }
            Ok((checked, job))
        },
    )?;
    let findings = verified.findings.len();
    let mut sealer = volume.sealer()?;
    for (mut checked, job) in found {
        if checked.lacks_a_copy() {
            let is_half = job.indexed.is_none() || half.contains(&job.id);
            let is_awaited = is_half && !volume.backend().writers()?.alive.is_empty();
            // Looked for again: whoever was storing it and has ended since, has stored it.
            checked = Checked::of(volume, &mut sealer, &job, meter)?;
            if checked.lacks_a_copy() && (is_awaited || is_taken_away(volume, &job, lock.is_some())?) {
                continue;
            }
        }
        settle(volume, how, lock, &job, checked, &mut lost, verified)?;
    }
    if how.repair && verified.findings.len() > findings {
        let mut loaded = load::Loaded::segments(volume)?;
        loaded.match_packs(volume)?;
        lost.index = Arc::new(loaded.index);
    }
    Ok(lost)
}

/// Whether a collector has deleted a pack since the index was read, or is about to. `alone`: no collector is at work but
/// whoever asks.
fn is_taken_away(volume: &Volume, job: &Job, alone: bool) -> Result<bool, StoreError> {
    let (_hold, alone) = if alone { (None, true) } else { super::try_collector(volume)? };
    let is_known = load::Loaded::segments(volume)?.index.knows(job.id);
    // A collector takes a pack out of the index first, then its first copy away, then its second.
    let is_left = job.indexed.is_none() && volume.backend().length(&job.id.mirror()).is_ok();
    Ok(!is_known && (!is_left || !alone))
}

/// A pack to be looked through.
struct Job {
    id: PackId,
    indexed: Option<IndexedPack>,
    read: bool,
}

/// The packs whose turn has come: those that were proved longest ago, until they make up the share.
fn due(how: &Verify<'_>, packs: &BTreeMap<PackId, Option<IndexedPack>>) -> HashSet<PackId> {
    let Some(percent) = how.read_data else { return HashSet::new() };
    how.proved.keep_only(&packs.keys().copied().collect());
    let length = |pack: &Option<IndexedPack>| pack.map_or(0, |pack| pack.length);
    let mut left = u128::from(packs.values().map(length).sum::<u64>()) * u128::from(percent.min(100)) / 100;
    let mut by_age: Vec<_> = packs.iter().collect();
    by_age.sort_by_key(|(id, _)| how.proved.when(**id));
    let is_within = |(_, pack): &(&PackId, &Option<IndexedPack>)| {
        let is_within = left > 0 || percent >= 100;
        left = left.saturating_sub(u128::from(length(pack)));
        is_within
    };
    by_age.into_iter().take_while(is_within).map(|(id, _)| *id).collect()
}

/// What was found of a pack: in its first copy, and in its second where it has one.
struct Checked {
    first: Option<Look>,
    second: Option<Look>,
    kind: PackKind,
}

impl Checked {
    fn is_sound(&self) -> bool {
        let mut looks = self.first.iter().chain(&self.second);
        !self.lacks_a_copy() && looks.all(|look| look.faults.is_empty())
    }

    fn lacks_a_copy(&self) -> bool {
        self.first.is_none() || (self.kind == PackKind::Meta && self.second.is_none())
    }

    fn of(volume: &Volume, sealer: &mut Sealer<'_>, job: &Job, meter: &Meter) -> Result<Self, StoreError> {
        let first = look(volume, sealer, job.id.object(), job.id, meter)?;
        let mirrored = volume.backend().length(&job.id.mirror());
        let kind = match (job.indexed, &mirrored) {
            (Some(pack), _) => pack.kind,
            (None, Ok(_)) => PackKind::Meta,
            (None, Err(_)) => PackKind::Data,
        };
        let second = match kind {
            PackKind::Meta => look(volume, sealer, job.id.mirror(), job.id, meter)?,
            PackKind::Data => None,
        };
        Ok(Self { first, second, kind })
    }
}

/// Looks through one copy. `None`: it is not there.
fn look(
    volume: &Volume,
    sealer: &mut Sealer<'_>,
    object: String,
    id: PackId,
    meter: &Meter,
) -> Result<Option<Look>, StoreError> {
    let pack = match OpenPack::open(volume.backend(), object, volume.id(), id) {
        Ok(pack) => pack,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(StoreError::Corrupt { what, .. }) => return Ok(Some(Look { faults: vec![what], ..Look::default() })),
        Err(error) => return Err(error),
    };
    let frames = match pack.index(sealer) {
        Ok(frames) => frames,
        // Deleted by a collector in the meantime, as it may be.
        Err(error) if error.is_not_found() => return Ok(None),
        Err(StoreError::Corrupt { what, .. }) => return Ok(Some(Look { faults: vec![what], ..Look::default() })),
        Err(error) => return Err(error),
    };
    let mut look = Look::default();
    let mut walk = FrameWalk {
        volume,
        sealer,
        kind: pack.kind(),
        frames: frames.into_iter().peekable(),
        base: 0,
        bytes: Vec::new(),
        found: Vec::new(),
    };
    let check = match pack.check_pages(&mut |group| {
        meter.read.add(group.len() as u64);
        walk.group(group);
    }) {
        Ok(check) => check,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    walk.end();
    let bad_frames = walk.found.iter().filter(|(_, sound)| sound.iter().any(|sound| !sound)).count();
    look.frames = walk.found;
    if let Some(first) = check.damaged.first() {
        let lost = if check.lost.is_empty() {
            "parity makes up for all of them".to_owned()
        } else {
            format!("{} of them beyond parity", check.lost.len())
        };
        look.faults.push(format!("{} of its pages are damaged, page {first} the first; {lost}", check.damaged.len()));
    }
    if bad_frames > 0 && check.lost.is_empty() {
        look.faults.push(format!("{bad_frames} of its frames do not hold what their names say"));
    }
    look.mendable = check.lost.is_empty() && bad_frames == 0;
    look.mended = check.mended;
    Ok(Some(look))
}

/// Proves frames while the pages of a pack come by.
struct FrameWalk<'a, 'b, I: Iterator<Item = PackedFrame>> {
    volume: &'a Volume,
    sealer: &'a mut Sealer<'b>,
    kind: PackKind,
    frames: std::iter::Peekable<I>,
    /// Offset in the pack of the first byte kept.
    base: usize,
    bytes: Vec<u8>,
    found: Vec<(PackedFrame, Vec<bool>)>,
}

impl<I: Iterator<Item = PackedFrame>> FrameWalk<'_, '_, I> {
    fn group(&mut self, group: &[u8]) {
        self.bytes.extend_from_slice(group);
        let mut used = 0;
        while let Some(frame) =
            self.frames.next_if(|frame| frame.offset as usize + frame.length as usize <= self.base + self.bytes.len())
        {
            let start = frame.offset as usize - self.base;
            used = start + frame.length as usize;
            let sound = self.prove(&frame, start, used);
            self.found.push((frame, sound));
        }
        self.bytes.drain(..used);
        self.base += used;
    }

    fn prove(&mut self, frame: &PackedFrame, start: usize, end: usize) -> Vec<bool> {
        let payload = open_payload(self.sealer, &self.bytes[start..end], self.kind);
        let ranges = payload.as_ref().and_then(|payload| parse_frame_payload(payload)).unwrap_or_default();
        let keys = self.volume.keys();
        let proved = |number: usize, id: &BlobId| {
            let bytes = payload.as_ref().zip(ranges.get(number)).map(|(payload, range)| &payload[range.0..range.1]);
            bytes.is_some_and(|bytes| keys.proves(self.kind, id, bytes))
        };
        frame.blobs.iter().enumerate().map(|(number, (id, _))| proved(number, id)).collect()
    }

    /// Frames that the pack's index has and its pages do not.
    fn end(&mut self) {
        for frame in self.frames.by_ref() {
            let sound = vec![false; frame.blobs.len()];
            self.found.push((frame, sound));
        }
    }
}

/// Reports what was found of a pack, and mends it.
fn settle(
    volume: &Arc<Volume>,
    how: &Verify<'_>,
    lock: Option<&dyn Held>,
    job: &Job,
    checked: Checked,
    lost: &mut Lost,
    verified: &mut Verified,
) -> Result<(), StoreError> {
    let (object, second) = (job.id.object(), job.id.mirror());
    let describe = |look: &Option<Look>| match look {
        None => Some("it is missing".to_owned()),
        Some(look) if look.faults.is_empty() => None,
        Some(look) => Some(look.faults.join("; ")),
    };
    let usable = |look: &Option<Look>| look.as_ref().is_some_and(|look| look.mendable);
    let mirrored = checked.kind == PackKind::Meta;
    let copies = [(&object, &checked.first), (&second, &checked.second)];
    for (number, (name, look)) in copies.iter().enumerate().take(if mirrored { 2 } else { 1 }) {
        let Some(what) = describe(look) else { continue };
        let (other, other_look) = copies[1 - number];
        let mended = how.repair
            && if usable(look) {
                mend_from_parity(volume, name, job.id)?
            } else {
                mirrored && usable(other_look) && copy_pack(volume, other, name, job.id)?
            };
        verified.found(*name, what, mended);
    }
    if usable(&checked.first) || (mirrored && usable(&checked.second)) {
        return Ok(());
    }
    // Nothing mends it. What is sound in it is still good.
    let look = checked.first.unwrap_or_default();
    let in_index: Vec<BlobId> = lost.index.blobs_of(job.id).collect();
    let sound: HashSet<BlobId> = look
        .frames
        .iter()
        .flat_map(|(frame, sound)| frame.blobs.iter().zip(sound))
        .filter_map(|((id, _), sound)| sound.then_some(*id))
        .collect();
    lost.damaged.extend(in_index.into_iter().filter(|id| !sound.contains(id)).map(|id| (job.id, id)));
    if let Some(lock) = lock {
        take_apart(volume, lock, job.id, checked.kind, &look, lost)?;
    }
    Ok(())
}

/// Reads a whole pack's data pages with all damage mended, and stores it anew under `to`.
fn rewrite(volume: &Volume, from: &str, to: &str, id: PackId) -> Result<bool, StoreError> {
    let pack = OpenPack::open(volume.backend(), from.to_owned(), volume.id(), id)?;
    let mut data = Vec::new();
    let check = pack.check_pages(&mut |group| data.extend_from_slice(group))?;
    if !check.lost.is_empty() || data.len() % PAGE != 0 {
        return Ok(false);
    }
    match volume.backend().replace(to, &pack.rebuild(&data)?) {
        Ok(()) => Ok(true),
        Err(error) if error.kind == Fault::Full => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn mend_from_parity(volume: &Volume, object: &str, id: PackId) -> Result<bool, StoreError> {
    rewrite(volume, object, object, id)
}

fn copy_pack(volume: &Volume, from: &str, to: &str, id: PackId) -> Result<bool, StoreError> {
    rewrite(volume, from, to, id)
}

/// Moves what is sound in a pack to a new one, and the pack out of the way.
fn take_apart(
    volume: &Arc<Volume>,
    lock: &dyn Held,
    id: PackId,
    kind: PackKind,
    look: &Look,
    lost: &mut Lost,
) -> Result<(), StoreError> {
    let session = Session::begin(volume)?;
    let mut lane = match kind {
        PackKind::Data => session.lane()?,
        PackKind::Meta => session.meta_lane()?,
    };
    if look.frames.iter().any(|(_, sound)| sound.contains(&true)) {
        let pack = OpenPack::open(volume.backend(), id.object(), volume.id(), id)?;
        let mut sealer = volume.sealer()?;
        for (frame, sound) in look.frames.iter().filter(|(_, sound)| sound.contains(&true)) {
            let payload =
                open_payload(&mut sealer, &pack.mended(frame.offset, frame.length)?, kind).unwrap_or_default();
            let ranges = parse_frame_payload(&payload).unwrap_or_default();
            for (((blob, _), sound), (start, end)) in frame.blobs.iter().zip(sound).zip(ranges) {
                if *sound {
                    lane.push(*blob, &payload[start..end])?;
                }
            }
        }
    }
    lane.flush()?;
    drop(lane);
    session.finish()?.end()?;
    // The copy is durable and indexed; now the damaged pack leaves the index, and then its place.
    crate::collect::forget_packs(volume, lock, &HashSet::from([id]))?;
    lock.check()?;
    quarantine(volume, &id.object())?;
    volume.backend().delete(&id.mirror())?;
    let mut loaded = load::Loaded::segments(volume)?;
    loaded.match_packs(volume)?;
    lost.index = Arc::new(loaded.index);
    Ok(())
}

/// Keeps a damaged object for whoever wants to look at it, where there is room.
pub(super) fn quarantine(volume: &Volume, object: &str) -> Result<(), StoreError> {
    let backend = volume.backend();
    let length = match backend.length(object) {
        Ok(length) => length,
        Err(error) if error.kind == Fault::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let copy = || -> Result<(), StoreError> {
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        backend.read_at(object, 0, &mut bytes)?;
        Ok(backend.replace(&format!("quarantine/{object}"), &bytes)?)
    };
    match copy() {
        // An unreadable or unplaceable copy of what is known to be damaged is worth less than a working volume.
        Ok(()) | Err(StoreError::Backend(_)) => Ok(backend.delete(object)?),
        Err(error) => Err(error),
    }
}

impl Lost {
    /// Whether a blob has a sound copy, as far as was looked.
    pub(super) fn is_sound(&self, id: &BlobId) -> bool {
        self.index.copies(id).any(|copy| !self.damaged.contains(&(copy.pack.id, *id)))
    }
}
