//! Marking: every blob that a point needs, page by unique page, a bit a blob.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::PointName;
use crate::{
    entry::{BlobId, Extent, Kind},
    error::StoreError,
    index::{Index, IndexedPack, Located},
    meter::Cancel,
    pack::PackId,
    reader::Reader,
    tree::{TreeRoot, page::Page, walk_extents},
    volume::Volume,
};

/// What is needed of a pack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(super) pack: IndexedPack,
    /// Plain bytes of the blobs that are needed.
    pub(super) live_bytes: u64,
    /// Plain bytes of all.
    pub(super) total_bytes: u64,
}

/// Which copies of which blobs are needed.
pub(crate) struct Marks {
    reader: Reader,
    /// The index as it was when marking began; positions refer to it.
    index: Arc<Index>,
    /// A bit for every blob of every segment.
    bits: Vec<Vec<u64>>,
    /// Condemned packs that turned out to be needed.
    pub(super) rescued: HashSet<PackId>,
    /// Points whose needs are marked. One that was on its way between `replicas/` and `deleted/` may have been missed.
    pub(crate) seen: HashSet<PointName>,
    condemned: HashSet<PackId>,
}

impl Marks {
    pub(crate) fn new(reader: Reader, condemned: &[PackId]) -> Self {
        let index = reader.index();
        let bits = index.parts().iter().map(|part| vec![0; part.len().div_ceil(64)]).collect();
        let condemned = condemned.iter().copied().collect();
        Self { reader, index, bits, rescued: HashSet::new(), seen: HashSet::new(), condemned }
    }

    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    pub(super) fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Marks what points need, those included that were given up and may come back; but for those that were seen before.
    ///
    /// # Errors
    /// Where a point, one of its pages or the index cannot be read: what it needs is then unknown, and nothing may be
    /// deleted.
    pub(crate) fn all(&mut self, volume: &Volume, cancel: &Cancel) -> Result<(), StoreError> {
        for name in self.unseen(volume.point_names()?) {
            let root = volume.point(&name.0, name.1).and_then(|text| text.tree_root());
            self.point(name, root, cancel)?;
        }
        // After the points: one that is given up meanwhile is in one of the two listings.
        for name in self.unseen(volume.deleted_names()?) {
            let root = volume.deleted_point(&name.0, name.1).and_then(|found| found.text.tree_root());
            self.point(name, root, cancel)?;
        }
        self.reader.forget_metadata();
        self.index.check()
    }

    fn unseen(&self, mut names: Vec<PointName>) -> Vec<PointName> {
        names.retain(|name| !self.seen.contains(name));
        names
    }

    fn point(
        &mut self,
        name: PointName,
        root: Result<TreeRoot, StoreError>,
        cancel: &Cancel,
    ) -> Result<(), StoreError> {
        let marked = match root {
            Ok(root) => self.tree(&root, cancel),
            // Expired, purged or put back since its name was read.
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => Err(error),
        };
        match marked {
            Ok(()) => {
                self.seen.insert(name);
                Ok(())
            }
            Err(StoreError::Cancelled) => Err(StoreError::Cancelled),
            Err(error) => Err(unreadable(name.0.point(name.1), &error)),
        }
    }

    fn tree(&mut self, root: &TreeRoot, cancel: &Cancel) -> Result<(), StoreError> {
        let mut pages = vec![root.page];
        while let Some(page) = pages.pop() {
            if cancel.is_cancelled() {
                return Err(StoreError::Cancelled);
            }
            if !self.mark(&page) {
                continue;
            }
            match self.reader.page(&page)? {
                Page::Directory(_, children) => pages.extend(children.iter().map(|child| child.page)),
                Page::Leaf(entries) => {
                    for entry in entries {
                        if let Kind::File { content, .. } = &entry.kind {
                            self.content(content)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn content(&mut self, content: &crate::entry::Content) -> Result<(), StoreError> {
        let (mut lists, mut blobs) = (Vec::new(), Vec::new());
        let seen = &self.bits;
        let index = &self.index;
        walk_extents(
            &self.reader,
            content,
            &mut |list| {
                lists.push(*list);
                index.find(list).is_none_or(|at| !is_set(seen, at.position))
            },
            &mut |extent| {
                if let Extent::Data { blob, .. } = extent {
                    blobs.push(blob);
                }
                Ok(())
            },
        )?;
        for id in lists.iter().chain(&blobs) {
            self.mark(id);
        }
        Ok(())
    }

    /// Marks one blob; `false`: it was marked before, or is in no pack (and so cannot be deleted either).
    fn mark(&mut self, id: &BlobId) -> bool {
        let at = self.index.find(id).or_else(|| self.rescue(id));
        let Some(Located { position: (segment, number), .. }) = at else { return true };
        let word = &mut self.bits[segment][number / 64];
        let bit = 1 << (number % 64);
        let fresh = *word & bit == 0;
        *word |= bit;
        fresh
    }

    /// Takes a pack off the list of condemned ones because it alone has this blob.
    fn rescue(&mut self, id: &BlobId) -> Option<Located> {
        let copy = self.index.every_copy(id).find(|copy| self.condemned.contains(&copy.pack.id))?;
        self.rescued.insert(copy.pack.id);
        Some(copy)
    }

    /// Whether this very copy of a blob is needed.
    pub(super) fn is_live(&self, position: (usize, usize)) -> bool {
        is_set(&self.bits, position)
    }

    /// What is needed of every pack that is neither condemned nor gone.
    ///
    /// # Errors
    /// Where the index cannot be read.
    pub(crate) fn usage(&self) -> Result<Vec<Usage>, StoreError> {
        let volume = self.reader.volume();
        // Filling is no waste: the pack would be filled up again.
        let is_filling = |at: &Located| volume.is_filled() && volume.keys().is_filling(at.pack.kind, &at.blob.id);
        let mut usage: HashMap<PackId, Usage> = HashMap::new();
        for (ordinal, part) in self.index.parts().iter().enumerate() {
            let mut of_packs = vec![(0, 0); part.packs().len()];
            for at in self.index.scan(ordinal) {
                let at = at?;
                let bytes = u64::from(at.blob.length.max(1));
                let (live, total) = &mut of_packs[at.frame.pack as usize];
                if self.is_live(at.position) {
                    *live += bytes;
                    *total += bytes;
                } else if !is_filling(&at) {
                    *total += bytes;
                }
            }
            for (pack, (live_bytes, total_bytes)) in part.packs().iter().zip(of_packs) {
                let used = usage.entry(pack.id).or_insert(Usage { pack: *pack, live_bytes: 0, total_bytes: 0 });
                used.live_bytes += live_bytes;
                used.total_bytes += total_bytes;
            }
        }
        let mut usage: Vec<Usage> = usage.into_values().filter(|used| !self.index.is_excluded(used.pack.id)).collect();
        usage.sort_by_key(|used| used.pack.id);
        Ok(usage)
    }
}

fn is_set(bits: &[Vec<u64>], (segment, number): (usize, usize)) -> bool {
    bits[segment][number / 64] & (1 << (number % 64)) != 0
}

fn unreadable(object: String, error: &StoreError) -> StoreError {
    let what = format!(
        "what this point needs cannot be told ({error}), so nothing was deleted; run `resurgam verify --repair`, and if \
         that cannot mend it, give the point up with `resurgam expire --point ID`"
    );
    StoreError::Corrupt { object, what }
}
