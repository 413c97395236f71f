//! Which points cannot be restored whole: every page is read and proved once, however many points share it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use resurgam_model::PointId;

use super::{Verified, Verify, documents::Proved, packs::Lost};
use crate::{
    entry::{BlobId, Extent, Kind},
    error::StoreError,
    load::Loaded,
    meter::Cancel,
    pack::PackId,
    parallel,
    point::ReplicaPlace,
    reader::Reader,
    tree::{TreeRoot, page::Page, walk_extents},
    volume::Volume,
};

/// What is found of a point that is not whole although no pack is known to be damaged.
pub(super) const LACKING: &str = "content that it needs is in no pack";

/// A point by name.
type Name = (ReplicaPlace, PointId);

/// Which points are not whole. Returns the packs that should have pages which cannot be read.
pub(super) fn verify(
    volume: &Arc<Volume>,
    how: &Verify<'_>,
    proved: &Proved,
    lost: &Lost,
    cancel: &Cancel,
    verified: &mut Verified,
) -> Result<HashSet<PackId>, StoreError> {
    // Points that were given up since their documents were read need not be whole; new ones are looked at.
    let before = verified.findings.len();
    let mut lost_pages = look(volume, how.threads, volume.point_names()?, proved, lost, cancel, verified)?;
    if !verified.affected.is_empty() {
        // A point that was made since the index was read needs what only the index of now has.
        let names = std::mem::take(&mut verified.affected);
        verified.findings.truncate(before);
        let mut loaded = Loaded::segments(volume)?;
        loaded.match_packs(volume)?;
        let now = Lost { index: Arc::new(loaded.index), damaged: lost.damaged.clone() };
        lost_pages = look(volume, how.threads, names, proved, &now, cancel, verified)?;
        now.index.check()?;
    }
    name_lacking(verified);
    Ok(lost_pages.iter().flat_map(|page| lost.index.copies(page)).map(|copy| copy.pack.id).collect())
}

/// Names affected points where nothing else does: they lack content that no pack has, and that no pack is known to have
/// lost, since it is gone and the index with it.
pub(super) fn name_lacking(verified: &mut Verified) {
    if verified.findings.iter().all(|finding| finding.mended) {
        let lacking: Vec<String> = verified.affected.iter().map(|(place, point)| place.point(*point)).collect();
        lacking.into_iter().for_each(|name| verified.found(name, LACKING, false));
    }
}

/// Which of some points, sorted by name, cannot be restored whole; and the pages that are lost of them.
pub(super) fn look(
    volume: &Arc<Volume>,
    threads: usize,
    names: Vec<Name>,
    proved: &Proved,
    lost: &Lost,
    cancel: &Cancel,
    verified: &mut Verified,
) -> Result<Vec<BlobId>, StoreError> {
    // Where all packs are as they should be, the index that was loaded to see that serves to read as well.
    let reader = if lost.index.excludes_nothing() {
        Reader::with_index(volume, Arc::clone(&lost.index))
    } else {
        Reader::new(volume)?
    };
    let trees = Trees { volume, reader, lost, cancel, known: Mutex::default() };
    // Points of one replica share most pages: one thread walks them all.
    let replicas: Vec<&[Name]> = names.chunk_by(|one, next| one.0 == next.0).collect();
    let found = parallel::map(replicas, threads, || Ok(()), |(), names| trees.replica(names, proved))?;
    let mut lost_pages = BTreeMap::new();
    for (affected, pages) in found {
        verified.affected.extend(affected);
        lost_pages.extend(pages);
    }
    let pages = lost_pages.keys().copied().collect();
    for (page, what) in lost_pages {
        verified.found(format!("page {page}"), what, false);
    }
    Ok(pages)
}

struct Trees<'a> {
    volume: &'a Volume,
    reader: Reader,
    lost: &'a Lost,
    cancel: &'a Cancel,
    /// Pages looked at: whether all below them is sound. Two threads may look at the same page; they find the same.
    known: Mutex<HashMap<BlobId, bool>>,
}

/// Pages, and lists of extents, that cannot be read, and why.
type LostPages = BTreeMap<BlobId, String>;

impl Trees<'_> {
    fn known(&self) -> MutexGuard<'_, HashMap<BlobId, bool>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which points of a replica are not whole, and which of their pages are lost.
    fn replica(&self, names: &[Name], proved: &Proved) -> Result<(Vec<Name>, LostPages), StoreError> {
        let (mut affected, mut lost) = (Vec::new(), LostPages::new());
        for name in names {
            let root = match proved.get(name).map_or_else(|| self.root(name), |root| Ok(*root)) {
                Ok(root) => root,
                // Given up since its name was read.
                Err(error) if error.is_not_found() => continue,
                // Reported with the documents.
                Err(error) if error.is_damage() => {
                    affected.push(name.clone());
                    continue;
                }
                Err(error) => return Err(error),
            };
            let mut lost_now = LostPages::new();
            if self.is_whole(&root.page, &mut lost_now)? {
                continue;
            }
            // What was missed for the sake of a point that has been given up meanwhile need not be there.
            if self.root(name).is_err_and(|error| error.is_not_found()) {
                self.known().retain(|_, whole| *whole);
                continue;
            }
            affected.push(name.clone());
            lost.extend(lost_now);
        }
        Ok((affected, lost))
    }

    fn root(&self, (place, point): &Name) -> Result<TreeRoot, StoreError> {
        self.volume.point(place, *point)?.tree_root()
    }

    fn is_whole(&self, page: &BlobId, lost: &mut LostPages) -> Result<bool, StoreError> {
        if let Some(whole) = self.known().get(page) {
            return Ok(*whole);
        }
        if self.cancel.is_cancelled() {
            return Err(StoreError::Cancelled);
        }
        let whole = match self.reader.page(page) {
            Ok(Page::Directory(_, children)) => {
                let mut whole = true;
                for child in children {
                    whole &= self.is_whole(&child.page, lost)?;
                }
                whole
            }
            Ok(Page::Leaf(entries)) => {
                let mut whole = true;
                for entry in entries {
                    if let Kind::File { content, .. } = &entry.kind {
                        whole &= self.has_content(content, lost)?;
                    }
                }
                whole
            }
            Err(error) if error.is_damage() => {
                lost.insert(*page, error.to_string());
                false
            }
            Err(error) => return Err(error),
        };
        self.known().insert(*page, whole);
        Ok(whole)
    }

    fn has_content(&self, content: &crate::entry::Content, lost: &mut LostPages) -> Result<bool, StoreError> {
        let mut whole = true;
        let mut last = None;
        let list = &mut |list: &BlobId| {
            last = Some(*list);
            true
        };
        let walked = walk_extents(&self.reader, content, list, &mut |extent| {
            // What serves writers only is missed by no restore.
            if let Extent::Data { blob, length: 1.., .. } = extent {
                whole &= self.lost.is_sound(&blob);
            }
            Ok(())
        });
        match walked {
            Ok(()) => Ok(whole),
            Err(error) if error.is_damage() => {
                lost.extend(last.map(|list| (list, error.to_string())));
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}
