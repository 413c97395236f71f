//! Files that change in place, such as databases and disk images: all of one is read, and what is stored of it is the pages
//! that changed since the previous point.
//!
//! Which files: those that begin like a database or an image ([`super::kinds`]), those that were taken so before, and
//! those that changed and are as long as they were, or longer, by whole pages.

use std::ops::Range;

use resurgam_store::{
    BlobId, Content, Extent, ListRef,
    limits::PAGE,
    tree::region::{HOLE, Page, PageHash, REGION, Region, extents, new_blobs, plan, regions},
};
use rustix::{
    fd::OwnedFd,
    fs::{Advice, fadvise},
};

use super::{
    content::read_fully,
    item::{Failure, Hand, Work},
    kinds::{HEAD, changes_in_place},
    large::{LONG, Outstanding, Rooms},
    runs::Runs,
    stat::Stat,
};
use crate::error::SourceError;

/// Shorter files are not worth the lists.
const IN_PLACE_MIN: u64 = 1 << 20;
/// New blobs, or regions, after which those that wait for their names are listed.
const BLOBS_AT_ONCE: usize = 256;
const REGIONS_AT_ONCE: usize = 64;

/// A region that was looked through.
enum Looked {
    /// As it was: the previous point's list serves.
    Same(ListRef),
    /// Its new blobs are being stored.
    Changed {
        length: usize,
        hashes: Vec<PageHash>,
        pages: Vec<Page>,
        /// Its new blobs, among those of the batch.
        blobs: Range<usize>,
    },
}

/// Regions in the order of the file. The batch goes on from the listed ones.
#[derive(Default)]
struct Taken {
    listed: Vec<ListRef>,
    batch: Vec<Looked>,
    /// The new blobs of the batch. Their names come later.
    blobs: Vec<Extent>,
}

impl Hand<'_> {
    /// The regions that the previous point has of a file; `None`: it is not to be taken by regions.
    pub(crate) fn regions_of(
        &self,
        work: &Work,
        file: &OwnedFd,
        before: &Stat,
    ) -> Result<Option<Vec<ListRef>>, Failure> {
        if before.size < IN_PLACE_MIN {
            return Ok(None);
        }
        if let (Some((size, content)), Some(reader)) = (&work.previous, self.shared.previous) {
            let known = regions(reader, content)?;
            let is_region = |list: &ListRef| Region::read(reader, list).map(|region| region.is_some());
            if known.first().map_or(Ok(false), is_region)? {
                return Ok(Some(known));
            }
            let whole_pages = |size: u64| size.is_multiple_of(PAGE as u64);
            if *size >= IN_PLACE_MIN && *size <= before.size && whole_pages(*size) && whole_pages(before.size) {
                return Ok(Some(Vec::new()));
            }
        }
        let mut head = [0; HEAD];
        let read = read_fully(file, &mut head, 0)?;
        Ok(changes_in_place(&head[..read]).then(Vec::new))
    }

    /// Takes a file of `before.size` bytes by regions, of which the previous point has these.
    pub(crate) fn read_in_place(
        &mut self,
        work: &Work,
        file: &OwnedFd,
        before: &Stat,
        previous: &[ListRef],
    ) -> Result<Content, Failure> {
        let helpers = self.helpers.clone();
        let _leave = (before.size > LONG).then(|| self.wait_for_leave(&helpers, work));
        // Only advice: whether it is taken changes nothing but the speed.
        let _ = fadvise(file, 0, None, Advice::Sequential);
        let content = self.take_regions(file, before, previous, &helpers.rooms);
        self.shared.moment.reading(&work.path);
        content
    }

    fn take_regions(
        &mut self,
        file: &OwnedFd,
        before: &Stat,
        previous: &[ListRef],
        rooms: &Rooms,
    ) -> Result<Content, Failure> {
        let mut taken = Taken::default();
        let mut outstanding = Outstanding::new();
        let mut window = rooms.take(REGION);
        let mut runs = if before.may_have_holes() { Runs::of(file) } else { Runs::without_holes() };
        for (number, start) in (0..before.size).step_by(REGION).enumerate() {
            if self.shared.cancel.is_cancelled() {
                return Err(Failure::Job(SourceError::Cancelled));
            }
            let wanted = usize::try_from(before.size - start).unwrap_or(REGION).min(REGION);
            window.resize(wanted, 0);
            let (length, hashes) = self.read_region(file, start, &mut window, &mut runs)?;
            if length == 0 {
                break;
            }
            window.truncate(length);
            let region = self.region(previous.get(number), &mut window, hashes, &mut taken, &mut outstanding)?;
            taken.batch.push(region);
            if taken.blobs.len() >= BLOBS_AT_ONCE || taken.batch.len() >= REGIONS_AT_ONCE {
                self.list(&mut taken, std::mem::replace(&mut outstanding, Outstanding::new()))?;
            }
            if length < wanted {
                break;
            }
        }
        self.list(&mut taken, outstanding)?;
        rooms.give_back(window);
        Ok(self.region_writer()?.content(taken.listed)?)
    }

    /// Reads a region and hashes its pages. Returns how many bytes there were: fewer if the file became shorter meanwhile.
    /// What lies in holes is not touched in the window: no page of a hole is ever stored.
    fn read_region(
        &self,
        file: &OwnedFd,
        start: u64,
        window: &mut [u8],
        runs: &mut Runs<'_>,
    ) -> Result<(usize, Vec<PageHash>), Failure> {
        let mut hashes = vec![HOLE; window.len().div_ceil(PAGE)];
        let (mut position, mut length) = (0, window.len());
        while position < length {
            let data = runs.next(start + position as u64..start + length as u64)?;
            if data.is_empty() {
                break;
            }
            let within = |position: u64| (position - start) as usize;
            // Whole pages: what of one lies in a hole reads as zeros.
            let data = within(data.start) / PAGE * PAGE..within(data.end).next_multiple_of(PAGE).min(length);
            let read = read_fully(file, &mut window[data.clone()], start + data.start as u64)?;
            self.shared.meter.read.add(read as u64);
            if read < data.len() {
                length = data.start + read;
            }
            let pages = window[data.start..data.start + read].chunks(PAGE);
            for (hash, page) in hashes[data.start / PAGE..].iter_mut().zip(pages) {
                *hash = self.shared.session.page_hash(page);
            }
            position = data.end;
        }
        hashes.truncate(length.div_ceil(PAGE));
        Ok((length, hashes))
    }

    /// Finds out what has changed in a region, and stores it. Where that is all of it, it is stored where it lies, and the
    /// window gets other memory.
    fn region(
        &mut self,
        known: Option<&ListRef>,
        window: &mut Vec<u8>,
        hashes: Vec<PageHash>,
        taken: &mut Taken,
        outstanding: &mut Outstanding,
    ) -> Result<Looked, Failure> {
        let mut previous = Region::default();
        if let (Some(list), Some(reader)) = (known, self.shared.previous) {
            previous = Region::read(reader, list)?.unwrap_or_default();
            let same = list.length == window.len() as u64 && previous.is(&hashes);
            if same && self.shared.session.has(reader, &Content::Listed { depth: 1, lists: vec![*list] })? {
                return Ok(Looked::Same(*list));
            }
        }
        let session = self.shared.session;
        let length = window.len();
        let pages = plan(&previous, &hashes, length, &|blob| session.length_of(blob));
        let first = taken.blobs.len();
        let ranges = new_blobs(&pages, length);
        let lengths: Vec<u32> = ranges.iter().map(|blob| blob.iter().map(|range| range.len() as u32).sum()).collect();
        if !lengths.is_empty() {
            let mut piece = self.helpers.rooms.take(REGION);
            if lengths.iter().map(|length| *length as usize).sum::<usize>() == length {
                std::mem::swap(window, &mut piece);
            } else {
                ranges.iter().flatten().for_each(|range| piece.extend_from_slice(&window[range.clone()]));
            }
            self.store(piece, lengths, &mut taken.blobs, outstanding)?;
        }
        Ok(Looked::Changed { length, hashes, pages, blobs: first..taken.blobs.len() })
    }

    /// Lists the regions of a batch, once their blobs are stored.
    fn list(&mut self, taken: &mut Taken, outstanding: Outstanding) -> Result<(), Failure> {
        self.collect(&mut taken.blobs, outstanding)?;
        for region in taken.batch.drain(..) {
            let list = match region {
                Looked::Same(list) => list,
                Looked::Changed { length, hashes, pages, blobs } => {
                    let new: Vec<BlobId> = taken.blobs[blobs].iter().filter_map(Extent::blob).copied().collect();
                    self.region_writer()?.region(&hashes, &extents(&pages, length, &new))?
                }
            };
            taken.listed.push(list);
        }
        taken.blobs.clear();
        Ok(())
    }
}
