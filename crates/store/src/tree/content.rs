//! Lists of extents: short ones stay in their entry, long ones go into list blobs, as many levels as it takes.
//!
//! ```text
//! list := version (1), depth (1), count, { extent } at depth 1, { list id (32), length } above
//! ```
//! Lists are cut where a blob's name says so, so that an insertion into a file changes one list and not all behind it.

use super::page::{extent, list_ref, put_extent, put_list_ref};
use crate::{
    codec::{Input, put_number},
    entry::{BlobId, Content, Extent, ListRef},
    error::StoreError,
    limits::{EXTENTS_INLINE, LIST_DEPTH_MAX, LIST_LENGTH},
    reader::Reader,
};

const VERSION: u8 = 1;

/// Whether a list ends behind something with this name: on average every 256th does.
fn cut_behind(id: Option<&BlobId>) -> bool {
    id.is_some_and(|id| id.0[31] == 0)
}

/// The bytes of a list.
fn list<T>(depth: u8, items: &[T], put: impl Fn(&mut Vec<u8>, &T)) -> Vec<u8> {
    let mut bytes = vec![VERSION, depth];
    put_number(&mut bytes, items.len() as u64);
    items.iter().for_each(|item| put(&mut bytes, item));
    bytes
}

/// The bytes of a list of extents that is not cut any further.
pub(crate) fn list_of_extents(extents: &[Extent]) -> Vec<u8> {
    list(1, extents, put_extent)
}

/// Splits `items` into lists and stores each.
fn level<T>(
    depth: u8,
    items: &[T],
    name: impl Fn(&T) -> Option<&BlobId>,
    put: impl Fn(&mut Vec<u8>, &T),
    length: impl Fn(&T) -> u64,
    store: &mut dyn FnMut(&[u8]) -> Result<BlobId, StoreError>,
) -> Result<Vec<ListRef>, StoreError> {
    let mut lists = Vec::new();
    let mut start = 0;
    for end in 1..=items.len() {
        let count = end - start;
        let full = count == LIST_LENGTH || (count >= LIST_LENGTH / 16 && cut_behind(name(&items[end - 1])));
        if full || end == items.len() {
            let part = &items[start..end];
            lists.push(ListRef { list: store(&list(depth, part, &put))?, length: part.iter().map(&length).sum() });
            start = end;
        }
    }
    Ok(lists)
}

/// Content made of `extents`; `store` stores a metadata blob.
pub(super) fn content(
    extents: Vec<Extent>,
    store: &mut dyn FnMut(&[u8]) -> Result<BlobId, StoreError>,
) -> Result<Content, StoreError> {
    if extents.len() <= EXTENTS_INLINE {
        return Ok(Content::Extents(extents));
    }
    listed(level(1, &extents, Extent::blob, put_extent, Extent::length, store)?, store)
}

/// Content made of lists of extents; `store` stores a metadata blob.
pub(super) fn listed(
    mut lists: Vec<ListRef>,
    store: &mut dyn FnMut(&[u8]) -> Result<BlobId, StoreError>,
) -> Result<Content, StoreError> {
    let mut depth = 1;
    while lists.len() > EXTENTS_INLINE && depth < LIST_DEPTH_MAX {
        depth += 1;
        lists = level(depth, &lists, |list| Some(&list.list), put_list_ref, |list| list.length, store)?;
    }
    Ok(Content::Listed { depth, lists })
}

/// A list, read.
pub(crate) enum List {
    /// What the content is made of.
    Extents(Vec<Extent>),
    /// Lists of the level below.
    Lists(Vec<ListRef>),
}

/// Reads a list. `None`: it is none of this depth.
pub(crate) fn parse(bytes: &[u8], depth: u8) -> Option<List> {
    let mut input = Input(bytes);
    if input.byte()? != VERSION || input.byte()? != depth {
        return None;
    }
    let list = if depth == 1 {
        let count = input.count(2)?;
        List::Extents((0..count).map(|_| extent(&mut input)).collect::<Option<_>>()?)
    } else {
        let count = input.count(33)?;
        List::Lists((0..count).map(|_| list_ref(&mut input)).collect::<Option<_>>()?)
    };
    input.is_empty().then_some(list)
}

/// The lists of extents that `lists` of this depth are made of, in order.
pub(super) fn lists_of_extents(reader: &Reader, depth: u8, lists: &[ListRef]) -> Result<Vec<ListRef>, StoreError> {
    if depth <= 1 {
        return Ok(lists.to_vec());
    }
    let mut found = Vec::new();
    for reference in lists {
        match parse(&reader.meta(&reference.list)?, depth) {
            Some(List::Lists(lists)) => found.extend(lists_of_extents(reader, depth - 1, &lists)?),
            _ => return Err(no_list(&reference.list)),
        }
    }
    Ok(found)
}

fn no_list(id: &BlobId) -> StoreError {
    StoreError::corrupt(format!("blob {id}"), "it is no list of extents")
}

/// Calls `each` for every extent, and `list` for every list blob before it is read.
pub(crate) fn walk(
    reader: &Reader,
    content: &Content,
    list: &mut dyn FnMut(&BlobId) -> bool,
    each: &mut dyn FnMut(Extent) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    match content {
        Content::Inline(_) => Ok(()),
        Content::Extents(extents) => extents.iter().try_for_each(|extent| each(*extent)),
        Content::Listed { depth, lists } => walk_lists(reader, *depth, lists, list, each),
    }
}

fn walk_lists(
    reader: &Reader,
    depth: u8,
    lists: &[ListRef],
    list: &mut dyn FnMut(&BlobId) -> bool,
    each: &mut dyn FnMut(Extent) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    for reference in lists {
        if !list(&reference.list) {
            continue;
        }
        let blob = reader.meta(&reference.list)?;
        match parse(&blob, depth) {
            Some(List::Extents(extents)) => extents.into_iter().try_for_each(&mut *each)?,
            Some(List::Lists(lists)) => walk_lists(reader, depth - 1, &lists, list, each)?,
            None => return Err(no_list(&reference.list)),
        }
    }
    Ok(())
}

/// For fuzzing: a list of extents, on any bytes.
pub fn fuzz_list(bytes: &[u8]) {
    for depth in 1..=LIST_DEPTH_MAX {
        if let Some(List::Extents(extents)) = parse(bytes, depth) {
            let length = extents.iter().fold(0, |sum: u64, extent| sum.saturating_add(extent.length()));
            let hashes = bytes.iter().copied().cycle().take(length.div_ceil(4096).min(1 << 10) as usize * 12);
            super::region::fuzz_region(&extents, &hashes.collect::<Vec<u8>>());
        }
    }
}
