//! Walking a tree: entries in path order, from the pages, one page a level in memory.

use resurgam_model::BytePath;

use super::{
    TreeRoot,
    page::{Child, Page, parse},
};
use crate::{
    entry::{BlobId, Entry},
    error::StoreError,
    reader::{Reader, Wanted},
};

/// The place of an entry in its page, for [`TreeWriter::push_same`](super::TreeWriter::push_same).
#[derive(Debug, Clone, Copy)]
pub struct Origin {
    pub(super) page: BlobId,
    pub(super) index: usize,
    /// Entries in the page.
    pub(super) count: usize,
}

/// Reads the entries of a point in path order. An iterator; after an error it goes on with the next page that can be
/// read, so that one lost page does not hide the rest.
pub struct TreeReader<'a> {
    reader: &'a Reader,
    /// Pages still to be read, the next one last: page, its level, the path of its first entry.
    pending: Vec<(BlobId, u8, BytePath)>,
    entries: std::vec::IntoIter<Entry>,
    /// The page that they are of, and how many entries it has. `None`: the last one, which nothing but the end of the tree
    /// closed.
    page: Option<(BlobId, usize)>,
    below: BytePath,
    /// A directory whose contents are not wanted.
    skip: Option<BytePath>,
    /// All pages will be read, so they are asked for together.
    whole: bool,
    done: bool,
}

impl<'a> TreeReader<'a> {
    /// All entries.
    pub fn new(reader: &'a Reader, root: &TreeRoot) -> Self {
        Self::below(reader, root, &BytePath::root())
    }

    /// Only `path` and what lies below it.
    pub fn below(reader: &'a Reader, root: &TreeRoot, path: &BytePath) -> Self {
        Self {
            reader,
            pending: vec![(root.page, root.level, BytePath::root())],
            entries: Vec::new().into_iter(),
            page: None,
            below: path.clone(),
            skip: None,
            whole: false,
            done: false,
        }
    }

    /// Says that every entry will be read: then pages of a far place are asked for ahead.
    pub fn whole(self) -> Self {
        Self { whole: true, ..self }
    }

    /// The volume that it reads from.
    pub fn reader(&self) -> &'a Reader {
        self.reader
    }

    /// Where the entry lay that was given last.
    pub fn origin(&self) -> Option<Origin> {
        let (page, count) = self.page?;
        Some(Origin { page, index: count.checked_sub(self.entries.len() + 1)?, count })
    }

    /// Passes over everything below `path`, without reading pages that hold nothing else.
    pub fn skip_below(&mut self, path: &BytePath) {
        self.skip = Some(path.clone());
    }

    fn is_skipped(&self, path: &BytePath) -> bool {
        self.skip.as_ref().is_some_and(|skip| skip != path && skip.contains(path))
    }

    /// Reads the next page. `Ok(false)`: there is none.
    fn advance(&mut self) -> Result<bool, StoreError> {
        let Some((page, level, first)) = self.pending.pop() else { return Ok(false) };
        if self.is_skipped(&first) && self.pending.last().is_some_and(|(_, _, next)| self.is_skipped(next)) {
            return Ok(true);
        }
        let lost = |error: StoreError| match error {
            StoreError::Corrupt { what, .. } => {
                StoreError::corrupt(format!("the page of entries from {first} on"), what)
            }
            StoreError::MissingBlob(id) => StoreError::corrupt(
                format!("the page of entries from {first} on"),
                format!("blob {id} is in no pack that can be read"),
            ),
            other => other,
        };
        match self.reader.page(&page).map_err(lost)? {
            Page::Leaf(entries) if level == 0 => {
                self.page = (!self.pending.is_empty()).then_some((page, entries.len()));
                let from = entries.partition_point(|entry| entry.path < self.below);
                self.entries = entries.into_iter();
                if from > 0 {
                    self.entries.nth(from - 1);
                }
            }
            Page::Directory(found, children) if found == level => self.descend(level, children),
            _ => return Err(StoreError::corrupt(format!("page {page}"), format!("it is not of level {level}"))),
        }
        Ok(true)
    }

    fn descend(&mut self, level: u8, children: Vec<Child>) {
        // The last child that begins at or before the path may hold it; those before it cannot.
        let from = children.partition_point(|child| child.first <= self.below).saturating_sub(1);
        let wanted = children.into_iter().skip(from);
        let wanted: Vec<_> =
            wanted.take_while(|child| child.first <= self.below || self.below.contains(&child.first)).collect();
        if self.whole {
            let mut pages = Wanted::new(self.reader);
            for child in &wanted {
                pages.add(&child.page);
            }
            pages.ask();
        }
        self.pending.extend(wanted.into_iter().rev().map(|child| (child.page, level - 1, child.first)));
    }
}

impl Iterator for TreeReader<'_> {
    type Item = Result<Entry, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.done {
            if let Some(entry) = self.entries.next() {
                if self.is_skipped(&entry.path) {
                    continue;
                }
                if self.below.contains(&entry.path) {
                    return Some(Ok(entry));
                }
                self.done = true;
                return None;
            }
            match self.advance() {
                Ok(true) => {}
                Ok(false) => self.done = true,
                Err(error) => return Some(Err(error)),
            }
        }
        None
    }
}

pub(crate) fn parse_page(id: &BlobId, bytes: &[u8]) -> Result<Page, StoreError> {
    parse(bytes)
        .ok_or_else(|| StoreError::corrupt(format!("page {id}"), "it is no page of entries that this version can read"))
}
