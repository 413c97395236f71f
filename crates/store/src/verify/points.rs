//! Which points cannot be restored whole: every page is read and proved once, however many points share it.

use std::{collections::HashMap, sync::Arc};

use super::{Verified, packs::Lost};
use crate::{
    entry::{BlobId, Extent, Kind},
    error::StoreError,
    meter::Cancel,
    reader::Reader,
    tree::{page::Page, walk_extents},
    volume::Volume,
};

pub(super) fn verify(
    volume: &Arc<Volume>,
    lost: &Lost,
    cancel: &Cancel,
    verified: &mut Verified,
) -> Result<(), StoreError> {
    let mut trees = Trees { reader: Reader::new(volume)?, lost, cancel, known: HashMap::new(), lost_pages: Vec::new() };
    for (place, point) in volume.point_names()? {
        let root = match volume.point(&place, point).and_then(|text| text.tree_root()) {
            Ok(root) => root,
            // Given up since its name was read.
            Err(error) if error.is_not_found() => continue,
            // Reported with the documents.
            Err(error) if error.is_damage() => {
                verified.affected.push((place, point));
                continue;
            }
            Err(error) => return Err(error),
        };
        if !trees.is_whole(&root.page)? {
            verified.affected.push((place, point));
        }
    }
    for (page, what) in std::mem::take(&mut trees.lost_pages) {
        verified.found(format!("page {page}"), what, false);
    }
    Ok(())
}

struct Trees<'a> {
    reader: Reader,
    lost: &'a Lost,
    cancel: &'a Cancel,
    /// Pages looked at: whether all below them is sound.
    known: HashMap<BlobId, bool>,
    lost_pages: Vec<(BlobId, String)>,
}

impl Trees<'_> {
    fn is_whole(&mut self, page: &BlobId) -> Result<bool, StoreError> {
        if let Some(whole) = self.known.get(page) {
            return Ok(*whole);
        }
        if self.cancel.is_cancelled() {
            return Err(StoreError::Cancelled);
        }
        let whole = match self.reader.page(page) {
            Ok(Page::Directory(_, children)) => {
                let mut whole = true;
                for child in children {
                    whole &= self.is_whole(&child.page)?;
                }
                whole
            }
            Ok(Page::Leaf(entries)) => {
                let mut whole = true;
                for entry in entries {
                    if let Kind::File { content, .. } = &entry.kind {
                        whole &= self.has_content(content)?;
                    }
                }
                whole
            }
            Err(error) if error.is_damage() => {
                self.lost_pages.push((*page, error.to_string()));
                false
            }
            Err(error) => return Err(error),
        };
        self.known.insert(*page, whole);
        Ok(whole)
    }

    fn has_content(&self, content: &crate::entry::Content) -> Result<bool, StoreError> {
        let mut whole = true;
        let walked = walk_extents(&self.reader, content, &mut |_| true, &mut |extent| {
            if let Extent::Data { blob, .. } = extent {
                whole &= self.lost.is_sound(&blob);
            }
            Ok(())
        });
        match walked {
            Ok(()) => Ok(whole),
            Err(error) if error.is_damage() => Ok(false),
            Err(error) => Err(error),
        }
    }
}
