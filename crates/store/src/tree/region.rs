//! Files that change in place, region by region: what a page was last time, what becomes of it now.
//!
//! Such a file is cut at multiples of [`REGION`], and each region has a list of extents of its own. The list begins with
//! an extent of no bytes, whose blob holds the hashes of the region's pages: by them the next point finds what has
//! changed. That blob serves writers only; a region whose hashes are gone is taken as changed.
//!
//! Pages that changed are stored side by side in new blobs; the others go on pointing into parts of the blobs in which
//! they lie. So that a region never points into much that it does not need, the blobs it refers to have at most
//! [`SPREAD`] times its bytes: beyond that, the ones of which the least is needed are given up, and what is needed of
//! them is stored anew.

use std::collections::HashMap;

use super::content::{self, List};
use crate::{
    entry::{BlobId, Content, Extent, ListRef},
    error::StoreError,
    keys::Derived,
    limits::{CHUNK_TARGET, PAGE},
    reader::Reader,
    writer::Lane,
};

/// Bytes of a region.
pub const REGION: usize = 4 << 20;
/// Blobs that a region refers to have at most so many times its bytes.
pub const SPREAD: u64 = 2;
/// Once more than one page in so many is new, all are stored anew: that costs at most as much again.
const RENEW: usize = 2;
/// Pages that lie in one new blob.
const PAGES_A_BLOB: usize = CHUNK_TARGET / PAGE;

/// The beginning of a page's name. 96 bits: that a change goes unseen is as likely as guessing it.
pub type PageHash = [u8; 12];
/// In place of the hash of a page that lies in a hole.
pub const HOLE: PageHash = [0; 12];

/// The hash of a page.
pub(crate) fn hash(keys: &Derived, page: &[u8]) -> PageHash {
    let name = keys.name(crate::pack::PackKind::Data, page).0;
    let mut hash = HOLE;
    hash.copy_from_slice(&name[..HOLE.len()]);
    // No page of data may look like a hole.
    hash[0] |= u8::from(hash == HOLE);
    hash
}

/// A region as an earlier point has it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Region {
    hashes: Vec<PageHash>,
    /// Where each page lies, if it lies in one piece.
    places: Vec<Option<(BlobId, u32)>>,
}

/// What becomes of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// It lies in a hole.
    Hole,
    /// It is as it was, and stays in this blob, from this byte on.
    Kept(BlobId, u32),
    /// It is stored anew.
    New,
}

impl Region {
    /// Reads a region. `None`: there are no hashes, or they cannot be read.
    ///
    /// # Errors
    /// Where the volume cannot be reached.
    pub fn read(reader: &Reader, list: &ListRef) -> Result<Option<Self>, StoreError> {
        let read = || -> Result<Option<Self>, StoreError> {
            let Some(List::Extents(extents)) = content::parse(&reader.meta(&list.list)?, 1) else { return Ok(None) };
            let Some((Extent::Data { blob, length: 0, .. }, extents)) = extents.split_first() else { return Ok(None) };
            Ok(Self::of(extents, &reader.blob(blob)?))
        };
        match read() {
            Err(error) if error.is_damage() => Ok(None),
            read => read,
        }
    }

    /// `None`: these are not the hashes of that many pages.
    fn of(extents: &[Extent], hashes: &[u8]) -> Option<Self> {
        let length = extents.iter().fold(0, |sum: u64, extent| sum.saturating_add(extent.length()));
        let (hashes, rest) = hashes.as_chunks();
        if length > REGION as u64 || !rest.is_empty() || hashes.len() as u64 != length.div_ceil(PAGE as u64) {
            return None;
        }
        let mut places = vec![None; hashes.len()];
        let mut position = 0;
        for extent in extents {
            let end = position + extent.length();
            if let Extent::Data { blob, offset, .. } = extent {
                let first = position.div_ceil(PAGE as u64) as usize;
                for (number, place) in places.iter_mut().enumerate().skip(first) {
                    let start = (number * PAGE) as u64;
                    if (start + PAGE as u64).min(length) > end {
                        break;
                    }
                    *place = offset.checked_add((start - position) as u32).map(|within| (*blob, within));
                }
            }
            position = end;
        }
        Some(Self { hashes: hashes.to_vec(), places })
    }

    /// Whether its pages are these.
    pub fn is(&self, hashes: &[PageHash]) -> bool {
        self.hashes == hashes
    }
}

/// What becomes of the pages of a region of `length` bytes. `length_of`: the length of a blob that the volume has.
pub fn plan(
    previous: &Region,
    hashes: &[PageHash],
    length: usize,
    length_of: &dyn Fn(&BlobId) -> Option<u32>,
) -> Vec<Page> {
    let mut blobs: HashMap<BlobId, Use> = HashMap::new();
    let mut pages: Vec<Page> = Vec::with_capacity(hashes.len());
    for (number, hash) in hashes.iter().enumerate() {
        let bytes = page_length(number, length);
        let was = previous.hashes.get(number).filter(|was| *was == hash).and(previous.places.get(number).copied());
        pages.push(match was.flatten() {
            _ if *hash == HOLE => Page::Hole,
            Some((blob, offset)) => {
                let used =
                    blobs.entry(blob).or_insert_with(|| Use { length: length_of(&blob).unwrap_or(0), needed: 0 });
                // What the volume has lost, or what no such blob can hold, is stored anew.
                if offset as usize + bytes <= used.length as usize {
                    used.needed += bytes as u64;
                    Page::Kept(blob, offset)
                } else {
                    Page::New
                }
            }
            None => Page::New,
        });
    }
    let data = pages.iter().filter(|page| **page != Page::Hole).count();
    let new = pages.iter().filter(|page| **page == Page::New).count();
    let given_up = give_up(blobs, (data * PAGE) as u64, (new * PAGE) as u64);
    let is_given_up = |page: &Page| matches!(page, Page::Kept(blob, _) if given_up.contains_key(blob));
    let renew = (new + pages.iter().filter(|page| is_given_up(page)).count()) * RENEW > data;
    for page in &mut pages {
        if *page != Page::Hole && (renew || is_given_up(page)) {
            *page = Page::New;
        }
    }
    pages
}

/// A blob in a region.
#[derive(Clone, Copy)]
struct Use {
    length: u32,
    /// Bytes of it that are needed.
    needed: u64,
}

/// The blobs to do without, so that what is left keeps within the bound: those of which the least is needed.
fn give_up(blobs: HashMap<BlobId, Use>, data: u64, new: u64) -> HashMap<BlobId, Use> {
    let mut total = new + blobs.values().map(|used| u64::from(used.length)).sum::<u64>();
    let mut by_need: Vec<(BlobId, Use)> = blobs.into_iter().collect();
    by_need.sort_unstable_by_key(|(blob, used)| (used.needed * 1024 / u64::from(used.length).max(1), *blob));
    let within = |(_, used): &(BlobId, Use)| {
        let over = total > SPREAD * data;
        if over {
            total = (total + used.needed).saturating_sub(u64::from(used.length));
        }
        over
    };
    by_need.into_iter().take_while(within).collect()
}

/// Bytes of a page: the last one of a file may be short.
fn page_length(number: usize, length: usize) -> usize {
    length.saturating_sub(number * PAGE).min(PAGE)
}

/// The pages to be stored anew, as the ranges of bytes of each new blob.
pub fn new_blobs(pages: &[Page], length: usize) -> Vec<Vec<std::ops::Range<usize>>> {
    let new: Vec<usize> = (0..pages.len()).filter(|number| pages[*number] == Page::New).collect();
    let ranges = |numbers: &[usize]| {
        let runs = numbers.chunk_by(|one, next| one + 1 == *next);
        runs.map(|run| run[0] * PAGE..(run[0] + run.len()) * PAGE).map(|run| run.start..run.end.min(length)).collect()
    };
    new.chunks(PAGES_A_BLOB).map(ranges).collect()
}

/// The extents of a region whose new blobs have these names.
pub fn extents(pages: &[Page], length: usize, new: &[BlobId]) -> Vec<Extent> {
    let mut extents = Vec::new();
    let mut stored = 0;
    for (number, page) in pages.iter().enumerate() {
        let bytes = page_length(number, length) as u32;
        let extent = match page {
            Page::Hole => Some(Extent::Hole { length: u64::from(bytes) }),
            Page::Kept(blob, offset) => Some(Extent::Data { blob: *blob, offset: *offset, length: bytes }),
            Page::New => {
                let offset = (stored % PAGES_A_BLOB * PAGE) as u32;
                stored += 1;
                new.get((stored - 1) / PAGES_A_BLOB).map(|blob| Extent::Data { blob: *blob, offset, length: bytes })
            }
        };
        let joined = extents.last_mut().zip(extent).is_some_and(|(last, next)| join(last, &next));
        extents.extend(extent.filter(|_| !joined));
    }
    extents
}

/// Whether `next` goes on where `last` ends; then `last` is both.
fn join(last: &mut Extent, next: &Extent) -> bool {
    match (last, next) {
        (Extent::Hole { length }, Extent::Hole { length: more }) => *length += more,
        (Extent::Data { blob, offset, length }, Extent::Data { blob: other, offset: from, length: more })
            if blob == other && *offset + *length == *from =>
        {
            *length += more;
        }
        _ => return false,
    }
    true
}

/// Where regions and their lists are stored. Hashes lie beside each other, so that the next point reads little besides them.
pub struct RegionWriter<'a> {
    lists: Lane<'a>,
    hashes: Lane<'a>,
}

impl<'a> RegionWriter<'a> {
    /// `lists` is for metadata, `hashes` for content.
    pub(crate) fn new(lists: Lane<'a>, hashes: Lane<'a>) -> Self {
        Self { lists, hashes }
    }

    /// Stores the hashes of a region's pages, and its list.
    ///
    /// # Errors
    /// Where the volume cannot be written.
    pub fn region(&mut self, hashes: &[PageHash], extents: &[Extent]) -> Result<ListRef, StoreError> {
        let mut all = Vec::with_capacity(extents.len() + 1);
        let blob = self.hashes.put(hashes.as_flattened())?;
        all.push(Extent::Data { blob, offset: 0, length: 0 });
        all.extend_from_slice(extents);
        Ok(ListRef {
            list: self.lists.put(&content::list_of_extents(&all))?,
            length: extents.iter().map(Extent::length).sum(),
        })
    }

    /// Content made of regions.
    ///
    /// # Errors
    /// Where the volume cannot be written.
    pub fn content(&mut self, regions: Vec<ListRef>) -> Result<Content, StoreError> {
        content::listed(regions, &mut |bytes| self.lists.put(bytes))
    }

    /// Call it before the writer is dropped.
    ///
    /// # Errors
    /// Where the volume cannot be written.
    pub fn flush(&mut self) -> Result<(), StoreError> {
        self.hashes.flush()?;
        self.lists.flush()
    }
}

/// The regions of a file's content, in order. Empty: it was not taken by regions. Lists that cannot be read count as
/// regions that are not known.
///
/// # Errors
/// Where the volume cannot be reached.
pub fn regions(reader: &Reader, content: &Content) -> Result<Vec<ListRef>, StoreError> {
    let Content::Listed { depth, lists } = content else { return Ok(Vec::new()) };
    let regions = match content::lists_of_extents(reader, *depth, lists) {
        Err(error) if error.is_damage() => Vec::new(),
        regions => regions?,
    };
    let is_cut = regions.iter().rev().skip(1).all(|region| region.length == REGION as u64);
    Ok(if is_cut { regions } else { Vec::new() })
}

/// For fuzzing: a region made of a list of extents and hashes, on any bytes.
pub(super) fn fuzz_region(extents: &[Extent], hashes: &[u8]) {
    if let Some(region) = Region::of(extents, hashes) {
        let length = extents.iter().map(Extent::length).sum::<u64>() as usize;
        let pages = plan(&region, &region.hashes, length, &|_| Some(u32::MAX));
        let blobs = vec![BlobId([0; 32]); new_blobs(&pages, length).len()];
        let planned = self::extents(&pages, length, &blobs);
        assert_eq!(planned.iter().map(Extent::length).sum::<u64>(), length as u64);
    }
}

#[cfg(test)]
mod tests;
