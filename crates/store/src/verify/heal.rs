//! Mending across copies: what points of a volume need and nothing in it can mend comes from other volumes of the server.
//!
//! A blob has one name in all volumes of a server, so any of them may give it, and its name proves what was given: a donor
//! that is itself damaged heals nothing wrong. Which blobs are wanted is found by walking the trees of the affected points, and of
//! those that were given up and may come back. A page that is lost comes first, so that the walk goes on below it. What comes is stored through a [`Session`], as any writer
//! stores; it runs when damaged packs have left the index, so what the index has needs no healing. No collection can
//! take what comes: the points that need it are there already. Whether a point is whole in the end is found as it was found at
//! first, by reading it.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    Finding, Verified,
    documents::Proved,
    packs::Lost,
    points::{self, LACKING},
};
use crate::{
    collect,
    entry::{BlobId, Content, Extent, Kind},
    error::StoreError,
    load::Loaded,
    meter::{Cancel, Meter},
    pack::{MIRROR, PackId, PackKind},
    parallel,
    reader::Reader,
    tree::{List, page::Page, parse_list, parse_page},
    volume::Volume,
    writer::{Lane, Session},
};

/// Bytes of wanted blobs that are put in the order of a donor's packs before they are fetched.
const BATCH_BYTES: u64 = 64 * 1024 * 1024;
/// Blobs of a batch at most.
const BATCH_BLOBS: usize = 1 << 15;

/// Another volume of the same server.
pub struct Donor {
    /// What people call it.
    pub name: String,
    /// The volume.
    pub volume: Arc<Volume>,
}

/// What came from other volumes.
#[derive(Debug, Default)]
pub struct Healed {
    /// Blobs that came.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Donors that could not be used, or not to the end, and why.
    pub passed_over: Vec<(String, StoreError)>,
}

/// Fetches what the affected points of a repaired volume lack from `donors`, the first that has it sound, and brings
/// `verified` up to date.
///
/// # Errors
/// Where the volume itself cannot be read or written. Donors that fail are passed over.
pub fn heal(
    volume: &Arc<Volume>,
    donors: &[Donor],
    verified: &mut Verified,
    threads: usize,
    meter: &Meter,
    cancel: &Cancel,
) -> Result<Healed, StoreError> {
    let givers: Vec<Giver<'_>> = donors.iter().map(Giver::new).collect();
    let mut healed = Healed::default();
    if verified.has_losses() && givers.iter().any(|giver| giver.reader().is_some()) {
        let session = Session::begin(volume)?;
        let mut walk = Walk {
            volume,
            reader: matched_reader(volume)?,
            givers: &givers,
            threads,
            meter,
            cancel,
            lanes: [session.lane()?, session.meta_lane()?],
            session: &session,
            seen: HashSet::new(),
            wanted: HashMap::new(),
            wanted_bytes: 0,
            is_lacking: false,
        };
        for (place, point) in &verified.affected {
            match volume.point(place, *point).and_then(|text| text.tree_root()) {
                Ok(root) => walk.tree(root.page)?,
                // Given up in the meantime, or its document is lost: nobody knows what it needs.
                Err(error) if error.is_damage() => {}
                Err(error) => return Err(error),
            }
        }
        // What was given up may come back, and until it is purged, nothing can be collected where its pages are lost.
        for (place, point) in volume.deleted_names()? {
            match volume.deleted_point(&place, point).and_then(|found| found.text.tree_root()) {
                Ok(root) => walk.tree(root.page)?,
                Err(error) if error.is_damage() => {}
                Err(error) => return Err(error),
            }
        }
        walk.fetch_wanted()?;
        let is_lacking = walk.is_lacking;
        walk.lanes.iter_mut().try_for_each(Lane::flush)?;
        drop(walk);
        session.finish()?.end()?;
        collect::merge_segments(volume)?;
        (healed.blobs, healed.bytes) =
            givers.iter().fold((0, 0), |(blobs, bytes), giver| (blobs + giver.blobs(), bytes + giver.bytes()));
        if healed.blobs > 0 {
            let from: Vec<&str> =
                givers.iter().filter(|giver| giver.blobs() > 0).map(|giver| giver.donor.name.as_str()).collect();
            look_again(volume, verified, &from.join(" and "), is_lacking, threads, cancel)?;
        }
    }
    healed.passed_over = givers.into_iter().filter_map(Giver::fault).collect();
    Ok(healed)
}

/// A reader that has asked the packs what the segments lack.
fn matched_reader(volume: &Arc<Volume>) -> Result<Reader, StoreError> {
    let mut loaded = Loaded::segments(volume)?;
    loaded.match_packs(volume)?;
    Ok(Reader::with_index(volume, Arc::new(loaded.index)))
}

/// A donor at work.
struct Giver<'a> {
    donor: &'a Donor,
    reader: Option<Reader>,
    blobs: AtomicU64,
    bytes: AtomicU64,
    /// Why it gives nothing any more.
    fault: Mutex<Option<StoreError>>,
}

impl<'a> Giver<'a> {
    fn new(donor: &'a Donor) -> Self {
        let (reader, fault) = match matched_reader(&donor.volume) {
            Ok(reader) => (Some(reader), None),
            Err(error) => (None, Some(error)),
        };
        Self { donor, reader, blobs: AtomicU64::new(0), bytes: AtomicU64::new(0), fault: Mutex::new(fault) }
    }

    /// What reads it, as long as it can be reached.
    fn reader(&self) -> Option<&Reader> {
        let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        if fault.is_none() { self.reader.as_ref() } else { None }
    }

    fn blobs(&self) -> u64 {
        self.blobs.load(Ordering::Relaxed)
    }

    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn fault(self) -> Option<(String, StoreError)> {
        let fault = self.fault.into_inner().unwrap_or_else(PoisonError::into_inner);
        fault.map(|error| (self.donor.name.clone(), error))
    }

    /// A blob, if it has it sound: proved by the keys of the volume that wants it.
    fn give(&self, wants: &Volume, kind: PackKind, id: &BlobId) -> Option<Vec<u8>> {
        let reader = self.reader()?;
        reader.index().every_copy(id).next()?;
        let read = match kind {
            PackKind::Data => reader.blob(id),
            PackKind::Meta => reader.meta(id),
        };
        match read {
            Ok(bytes) if wants.keys().proves(kind, id, &bytes) => {
                self.blobs.fetch_add(1, Ordering::Relaxed);
                self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                Some(bytes.to_vec())
            }
            Ok(_) => None,
            Err(error) if error.is_damage() => None,
            Err(error) => {
                self.fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                None
            }
        }
    }
}

/// Where a donor has a blob: the donor's number, the pack, the frame's offset, the place in the frame.
type At = (usize, [u8; 16], u32, u32);

/// The walk over the trees of the affected points.
struct Walk<'a, 'b> {
    volume: &'a Volume,
    reader: Reader,
    givers: &'a [Giver<'a>],
    threads: usize,
    meter: &'a Meter,
    cancel: &'a Cancel,
    session: &'b Session,
    lanes: [Lane<'b>; 2],
    /// Pages and lists that were walked.
    seen: HashSet<BlobId>,
    /// Content to be fetched, and where the first donor has it.
    wanted: HashMap<BlobId, At>,
    wanted_bytes: u64,
    /// Whether anything is wanted that nobody has.
    is_lacking: bool,
}

impl Walk<'_, '_> {
    fn tree(&mut self, root: BlobId) -> Result<(), StoreError> {
        let mut pages = vec![root];
        while let Some(page) = pages.pop() {
            if self.cancel.is_cancelled() {
                return Err(StoreError::Cancelled);
            }
            let Some(bytes) = self.metadata(&page)? else { continue };
            match parse_page(&page, &bytes) {
                // The first child comes off first: in the order of the paths, as their blobs lie.
                Ok(Page::Directory(_, children)) => pages.extend(children.iter().rev().map(|child| child.page)),
                Ok(Page::Leaf(entries)) => {
                    for entry in entries {
                        if let Kind::File { content, .. } = &entry.kind {
                            self.content(content)?;
                        }
                    }
                }
                // It has its name and makes no sense: no copy helps.
                Err(_) => self.is_lacking = true,
            }
        }
        Ok(())
    }

    fn content(&mut self, content: &Content) -> Result<(), StoreError> {
        match content {
            Content::Inline(_) => Ok(()),
            Content::Extents(extents) => self.extents(extents),
            Content::Listed { depth, lists } => {
                let mut pending: Vec<(u8, BlobId)> = lists.iter().rev().map(|list| (*depth, list.list)).collect();
                while let Some((depth, list)) = pending.pop() {
                    let Some(bytes) = self.metadata(&list)? else { continue };
                    match parse_list(&bytes, depth) {
                        Some(List::Extents(extents)) => self.extents(&extents)?,
                        Some(List::Lists(lists)) => {
                            pending.extend(lists.iter().rev().map(|list| (depth.saturating_sub(1), list.list)));
                        }
                        None => self.is_lacking = true,
                    }
                }
                Ok(())
            }
        }
    }

    fn extents(&mut self, extents: &[Extent]) -> Result<(), StoreError> {
        extents.iter().try_for_each(|extent| match extent {
            Extent::Data { blob, .. } => self.want(*blob),
            Extent::Hole { .. } => Ok(()),
        })
    }

    /// A page or a list that was not seen before: what the volume has, or else what a donor gives, which is stored. `None`:
    /// it was seen, or nobody has it.
    fn metadata(&mut self, id: &BlobId) -> Result<Option<Vec<u8>>, StoreError> {
        if !self.seen.insert(*id) {
            return Ok(None);
        }
        // What the index has and cannot be read may be in a pack that was not looked through; another copy helps there too.
        if self.reader.index().every_copy(id).next().is_some() {
            match self.reader.meta(id) {
                Ok(bytes) => return Ok(Some(bytes.to_vec())),
                Err(error) if error.is_damage() => {}
                Err(error) => return Err(error),
            }
        }
        let Some(bytes) = self.fetch(PackKind::Meta, id) else {
            self.is_lacking = true;
            return Ok(None);
        };
        self.lanes[PackKind::Meta as usize].push(*id, &bytes)?;
        Ok(Some(bytes))
    }

    fn fetch(&self, kind: PackKind, id: &BlobId) -> Option<Vec<u8>> {
        let bytes = self.givers.iter().find_map(|giver| giver.give(self.volume, kind, id))?;
        self.meter.read.add(bytes.len() as u64);
        Some(bytes)
    }

    fn want(&mut self, id: BlobId) -> Result<(), StoreError> {
        if !self.session.claim(id) {
            return Ok(());
        }
        let at = self.givers.iter().enumerate().find_map(|(number, giver)| {
            let at = giver.reader()?.index().find(&id)?;
            Some((at.blob.length, (number, at.pack.id.0, at.frame.offset, at.blob.start)))
        });
        // Where no index counts on it, it is asked for all the same: what is left of a pack that was cut off may be enough.
        let (length, at) = at.unwrap_or((0, (usize::MAX, [0; 16], 0, 0)));
        self.wanted.insert(id, at);
        self.wanted_bytes += u64::from(length);
        if self.wanted_bytes >= BATCH_BYTES || self.wanted.len() >= BATCH_BLOBS { self.fetch_wanted() } else { Ok(()) }
    }

    fn fetch_wanted(&mut self) -> Result<(), StoreError> {
        self.wanted_bytes = 0;
        let mut wanted: Vec<(At, BlobId)> = self.wanted.drain().map(|(id, at)| (at, id)).collect();
        wanted.sort_unstable();
        let same_frame =
            |one: &(At, BlobId), next: &(At, BlobId)| (one.0.0, one.0.1, one.0.2) == (next.0.0, next.0.1, next.0.2);
        let frames: Vec<&[(At, BlobId)]> = wanted.chunk_by(same_frame).collect();
        let this = &*self;
        let found = parallel::map(
            frames,
            this.threads,
            || Ok(()),
            |(), frame| {
                if this.cancel.is_cancelled() {
                    return Err(StoreError::Cancelled);
                }
                Ok(frame.iter().filter_map(|(_, id)| Some((*id, this.fetch(PackKind::Data, id)?))).collect::<Vec<_>>())
            },
        )?;
        let found: Vec<(BlobId, Vec<u8>)> = found.into_iter().flatten().collect();
        self.is_lacking |= found.len() < wanted.len();
        let lane = &mut self.lanes[PackKind::Data as usize];
        found.into_iter().try_for_each(|(id, bytes)| lane.push(id, &bytes))
    }
}

/// Looks again at the points that were affected, and at what the findings said was lost.
fn look_again(
    volume: &Arc<Volume>,
    verified: &mut Verified,
    from: &str,
    is_lacking: bool,
    threads: usize,
    cancel: &Cancel,
) -> Result<(), StoreError> {
    let lost = Lost { index: matched_reader(volume)?.index(), damaged: HashSet::new() };
    let mut names = verified.affected.clone();
    names.sort();
    let mut now = Verified::default();
    points::look(volume, threads, names, &Proved::new(), &lost, cancel, &mut now)?;
    verified.affected = now.affected;
    let whole = verified.affected.is_empty() && !is_lacking;
    let affected: BTreeSet<String> = verified.affected.iter().map(|(place, point)| place.point(*point)).collect();
    let still: HashSet<String> = now.findings.iter().map(|finding| finding.object.clone()).collect();
    for finding in verified.findings.iter_mut().filter(|finding| !finding.mended) {
        let healed = match pack_of(finding) {
            Some(pack) => {
                let mut blobs = verified.lost.iter().filter(|(of, _)| *of == pack).map(|(_, blob)| blob).peekable();
                whole || (blobs.peek().is_some() && blobs.all(|blob| lost.index.find(blob).is_some()))
            }
            None if finding.what == LACKING => !affected.contains(&finding.object),
            None => finding.object.starts_with("page ") && !still.contains(&finding.object),
        };
        if healed {
            finding.mended = true;
            finding.what.push_str(&format!("; mended from {from}"));
        }
    }
    let known: HashSet<String> = verified.findings.iter().map(|finding| finding.object.clone()).collect();
    verified.findings.extend(now.findings.into_iter().filter(|finding| !known.contains(&finding.object)));
    points::name_lacking(verified);
    Ok(())
}

/// The pack that a finding is about.
pub(super) fn pack_of(finding: &Finding) -> Option<PackId> {
    PackId::of_object(finding.object.strip_prefix(MIRROR).unwrap_or(&finding.object))
}

#[cfg(test)]
mod tests;
