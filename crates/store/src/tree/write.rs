//! Making a tree: entries in, pages out, one open page a level in memory.

use resurgam_model::{
    BytePath,
    bytepath::{compare, escape},
};

use super::{
    Origin, TreeRoot, content,
    page::{Child, LeafBuilder, encode_directory, encode_leaf},
};
use crate::{
    entry::{BlobId, Content, Entry, Extent, Kind},
    error::StoreError,
    limits::{TREE_PAGE_MIN, TREE_PAGE_TARGET_MAX},
    writer::{Lane, Session},
};

/// Takes entries in path order and makes the pages of a point.
pub struct TreeWriter<'a> {
    lane: Lane<'a>,
    leaf: LeafBuilder,
    same: Option<Same>,
    open: Option<Sums>,
    /// Path of the entry before, once there was one.
    last: Option<Vec<u8>>,
    levels: Vec<Level>,
}

/// A page of an earlier point whose entries have all come back so far, from its first on. While there is one, the open
/// leaf is empty.
struct Same {
    page: BlobId,
    entries: Vec<Entry>,
    /// Entries in the page.
    count: usize,
}

/// What a directory page says of a page below it, while that page grows.
struct Sums {
    first: BytePath,
    entries: u64,
    files: u64,
    bytes: u64,
}

#[derive(Default)]
struct Level {
    children: Vec<Child>,
    size: usize,
}

/// FNV-1a with a final mix: whether a page ends behind an entry or a child depends on its path alone. Part of what
/// makes equal trees equal pages, so it never changes; readers need not know it.
fn cut_behind(path: &BytePath, level: u8, one_in: u64) -> bool {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ u64::from(level);
    for byte in path.as_bytes() {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    (hash ^ (hash >> 33)).is_multiple_of(one_in)
}

/// Entries in a page, on average, once it has its least length.
const ENTRIES_A_PAGE: u64 = 12;
/// Pages named by a directory page, on average.
const CHILDREN_A_PAGE: u64 = 64;

impl<'a> TreeWriter<'a> {
    pub(crate) fn new(session: &'a Session) -> Result<Self, StoreError> {
        let lane = session.meta_lane()?;
        Ok(Self { lane, leaf: LeafBuilder::default(), same: None, open: None, last: None, levels: Vec::new() })
    }

    /// Adds the next entry.
    ///
    /// # Errors
    /// Where it is not behind the last one in path order, or the store fails.
    pub fn push(&mut self, entry: &Entry) -> Result<(), StoreError> {
        self.follow(entry)?;
        self.make_same();
        self.leaf.push(entry);
        let length = self.leaf.len();
        if length >= TREE_PAGE_TARGET_MAX || (length >= TREE_PAGE_MIN && cut_behind(&entry.path, 0, ENTRIES_A_PAGE)) {
            self.close_leaf()?;
        }
        Ok(())
    }

    /// Adds the next entry, which is in every byte what a reader of this volume gave, and lay where it said. A page all of
    /// whose entries come back like that is the page that it was, and is not made again: where a page ends depends on its
    /// entries alone.
    ///
    /// # Errors
    /// As of [`Self::push`].
    pub fn push_same(&mut self, entry: Entry, origin: Origin) -> Result<(), StoreError> {
        let goes_on = match &self.same {
            Some(same) => (same.page, same.entries.len()) == (origin.page, origin.index),
            None => self.leaf.is_empty() && origin.index == 0,
        };
        if !goes_on {
            return self.push(&entry);
        }
        self.follow(&entry)?;
        let begin = || Same { page: origin.page, entries: Vec::with_capacity(origin.count), count: origin.count };
        let same = self.same.get_or_insert_with(begin);
        same.entries.push(entry);
        if same.entries.len() == same.count { self.close_same() } else { Ok(()) }
    }

    /// Counts an entry, which must be behind the last.
    fn follow(&mut self, entry: &Entry) -> Result<(), StoreError> {
        if self.last.as_ref().is_some_and(|last| compare(last, entry.path.as_bytes()).is_ge()) {
            let last = self.last.as_deref().map(escape);
            return Err(StoreError::Internal(format!("entries out of order: {} came behind {last:?}", entry.path)));
        }
        let open = self.open.get_or_insert_with(|| Sums { first: entry.path.clone(), entries: 0, files: 0, bytes: 0 });
        open.entries += 1;
        open.files += u64::from(!matches!(entry.kind, Kind::Directory));
        if let Kind::File { size, .. } = entry.kind {
            open.bytes += size;
        }
        let last = self.last.get_or_insert_default();
        last.clear();
        last.extend_from_slice(entry.path.as_bytes());
        Ok(())
    }

    /// Puts into the open leaf what has come back of a page that is not to be what it was.
    fn make_same(&mut self) {
        for entry in self.same.take().into_iter().flat_map(|same| same.entries) {
            self.leaf.push(&entry);
        }
    }

    fn close_same(&mut self) -> Result<(), StoreError> {
        let Some(same) = &self.same else { return Ok(()) };
        debug_assert_eq!(self.lane.name(&encode_leaf(&same.entries)), same.page, "the same entries, the same page");
        let page = same.page;
        if !self.lane.has(&page) {
            // Damage has taken it: it is stored again.
            self.make_same();
            return self.close_leaf();
        }
        self.same = None;
        self.add_page(page)
    }

    /// Turns a list of extents into content: kept in the entry where it is short, in list blobs where it is long.
    pub fn content(&mut self, extents: Vec<Extent>) -> Result<Content, StoreError> {
        content::content(extents, &mut |bytes| self.lane.put(bytes))
    }

    /// Ends the stream.
    pub fn finish(mut self) -> Result<TreeRoot, StoreError> {
        self.make_same();
        if !self.leaf.is_empty() || self.levels.is_empty() {
            self.close_leaf()?;
        }
        let mut number = 0;
        while number + 1 < self.levels.len() || self.levels.get(number).is_some_and(|level| level.children.len() > 1) {
            if !self.levels[number].children.is_empty() {
                self.close_directory(number)?;
            }
            number += 1;
        }
        let top = self.levels.last_mut().and_then(|level| level.children.pop());
        let top = top.ok_or_else(|| StoreError::Internal("a tree without a root".to_owned()))?;
        self.lane.flush()?;
        let level = u8::try_from(self.levels.len() - 1).unwrap_or(u8::MAX);
        Ok(TreeRoot { page: top.page, level, entries: top.entries, files: top.files, bytes: top.bytes })
    }

    fn close_leaf(&mut self) -> Result<(), StoreError> {
        let page = self.lane.put(&self.leaf.take())?;
        self.add_page(page)
    }

    /// Names the page that the entries since the last one make.
    fn add_page(&mut self, page: BlobId) -> Result<(), StoreError> {
        let sums = self.open.take().unwrap_or(Sums { first: BytePath::root(), entries: 0, files: 0, bytes: 0 });
        let child = Child { first: sums.first, page, entries: sums.entries, files: sums.files, bytes: sums.bytes };
        self.add_child(0, child)
    }

    /// Names a page of level `number` in the open directory page above it.
    fn add_child(&mut self, number: usize, child: Child) -> Result<(), StoreError> {
        if self.levels.len() == number {
            self.levels.push(Level::default());
        }
        let level = &mut self.levels[number];
        // An interior page of one child would only lengthen the way.
        let cut = level.children.len() > 1
            && (level.size >= TREE_PAGE_TARGET_MAX
                || cut_behind(&child.first, u8::try_from(number + 1).unwrap_or(u8::MAX), CHILDREN_A_PAGE));
        level.size += child.first.as_bytes().len() + 48;
        level.children.push(child);
        if cut { self.close_directory(number) } else { Ok(()) }
    }

    fn close_directory(&mut self, number: usize) -> Result<(), StoreError> {
        let Level { children, .. } = std::mem::take(&mut self.levels[number]);
        let above = u8::try_from(number + 1).unwrap_or(u8::MAX);
        let page = self.lane.put(&encode_directory(above, &children))?;
        let sum = |field: fn(&Child) -> u64| children.iter().map(field).sum();
        let child = Child {
            first: children.first().map(|child| child.first.clone()).unwrap_or_default(),
            page,
            entries: sum(|child| child.entries),
            files: sum(|child| child.files),
            bytes: sum(|child| child.bytes),
        };
        self.add_child(number + 1, child)
    }
}
