//! One page, as bytes. A page is read by itself: nothing in it depends on another.
//!
//! Numbers are LEB128, signed ones zigzag first, byte strings have their length before them (`codec`).
//! ```text
//! page       := version (1), level (1), body
//! leaf body  := count of owners, { uid, gid, user, group }, count of entries, { entry }
//! entry      := path, form (1), owner, mode, modified, changed, inode, [link], [xattrs], [flags], what
//! path       := bytes shared with the path before, the rest as a byte string
//! modified   := seconds (signed, less those of the entry before), nanoseconds; changed and inode likewise
//! form       := kind in the low 4 bits; 16 has a link; 32 torn; 64 racy; 128 has xattrs and flags
//! what       := file: size, content | symlink: target | device: major, minor | else nothing
//! content    := 0, bytes | 1, count, { extent } | 2, depth, count, { list id (32), length }
//! extent     := 0, length | 1, blob id (32), offset, length
//! directory body := count, { path of the first entry below, page id (32), entries below, files below, bytes below }
//! ```

use resurgam_model::BytePath;

use crate::{
    codec::{Input, put_bytes, put_number, put_signed},
    entry::{BlobId, Content, Entry, Extent, FileTime, Kind, ListRef, Owner, Seen, Xattr},
    limits::{INLINE_MAX, LIST_DEPTH_MAX, PATH_MAX, TREE_LEVELS_MAX},
};

const VERSION: u8 = 1;

mod form {
    pub(super) const KIND: u8 = 0x0f;
    pub(super) const LINK: u8 = 0x10;
    pub(super) const TORN: u8 = 0x20;
    pub(super) const RACY: u8 = 0x40;
    pub(super) const EXTRA: u8 = 0x80;
}

/// A line of a directory page: a page below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// Path of the first entry below it.
    pub first: BytePath,
    /// The page.
    pub page: BlobId,
    /// Entries below it.
    pub entries: u64,
    /// Entries below it that are not directories.
    pub files: u64,
    /// Bytes of content below it.
    pub bytes: u64,
}

/// A page, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// Level 0.
    Leaf(Vec<Entry>),
    /// Higher levels: the level and the pages below.
    Directory(u8, Vec<Child>),
}

/// What each entry is written relative to.
#[derive(Default)]
struct Before {
    path: Vec<u8>,
    modified: i64,
    changed: i64,
    inode: u64,
}

/// Collects the entries of one leaf.
#[derive(Default)]
pub(crate) struct LeafBuilder {
    owners: Vec<Owner>,
    before: Before,
    entries: Vec<u8>,
    count: u64,
}

impl LeafBuilder {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn push(&mut self, entry: &Entry) {
        let owner = match self.owners.iter().position(|owner| *owner == entry.owner) {
            Some(owner) => owner,
            None => {
                self.owners.push(entry.owner.clone());
                self.owners.len() - 1
            }
        };
        put_entry(&mut self.entries, entry, owner, &mut self.before);
        self.count += 1;
    }

    pub(crate) fn take(&mut self) -> Vec<u8> {
        let done = std::mem::take(self);
        let mut out = Vec::with_capacity(done.entries.len() + 64);
        out.extend_from_slice(&[VERSION, 0]);
        put_number(&mut out, done.owners.len() as u64);
        for owner in &done.owners {
            put_number(&mut out, u64::from(owner.uid));
            put_number(&mut out, u64::from(owner.gid));
            put_bytes(&mut out, &owner.user);
            put_bytes(&mut out, &owner.group);
        }
        put_number(&mut out, done.count);
        out.extend_from_slice(&done.entries);
        out
    }
}

fn put_path(out: &mut Vec<u8>, path: &BytePath, before: &mut Vec<u8>) {
    let shared = path.as_bytes().iter().zip(before.iter()).take_while(|(a, b)| a == b).count();
    put_number(out, shared as u64);
    put_bytes(out, &path.as_bytes()[shared..]);
    before.truncate(shared);
    before.extend_from_slice(&path.as_bytes()[shared..]);
}

fn put_entry(out: &mut Vec<u8>, entry: &Entry, owner: usize, before: &mut Before) {
    put_path(out, &entry.path, &mut before.path);
    let extra = !entry.xattrs.is_empty() || entry.flags != 0;
    let kind = match entry.kind {
        Kind::Directory => 0,
        Kind::File { .. } => 1,
        Kind::Symlink { .. } => 2,
        Kind::Fifo => 3,
        Kind::Socket => 4,
        Kind::CharacterDevice { .. } => 5,
        Kind::BlockDevice { .. } => 6,
    };
    let bit = |set: bool, bit: u8| if set { bit } else { 0 };
    out.push(
        kind | bit(entry.link.is_some(), form::LINK)
            | bit(entry.torn, form::TORN)
            | bit(entry.seen.racy, form::RACY)
            | bit(extra, form::EXTRA),
    );
    put_number(out, owner as u64);
    put_number(out, u64::from(entry.mode));
    put_time(out, entry.modified, &mut before.modified);
    put_time(out, entry.seen.changed, &mut before.changed);
    put_signed(out, entry.seen.inode.wrapping_sub(before.inode) as i64);
    before.inode = entry.seen.inode;
    if let Some(link) = entry.link {
        put_number(out, link);
    }
    if extra {
        put_number(out, entry.xattrs.len() as u64);
        for Xattr { name, value } in &entry.xattrs {
            put_bytes(out, name);
            put_bytes(out, value);
        }
        put_number(out, u64::from(entry.flags));
    }
    match &entry.kind {
        Kind::File { size, content } => {
            put_number(out, *size);
            put_content(out, content);
        }
        Kind::Symlink { target } => put_bytes(out, target),
        Kind::CharacterDevice { major, minor } | Kind::BlockDevice { major, minor } => {
            put_number(out, u64::from(*major));
            put_number(out, u64::from(*minor));
        }
        Kind::Directory | Kind::Fifo | Kind::Socket => {}
    }
}

fn put_time(out: &mut Vec<u8>, time: FileTime, before: &mut i64) {
    put_signed(out, time.seconds.wrapping_sub(*before));
    put_number(out, u64::from(time.nanos));
    *before = time.seconds;
}

fn put_content(out: &mut Vec<u8>, content: &Content) {
    match content {
        Content::Inline(bytes) => {
            out.push(0);
            put_bytes(out, bytes);
        }
        Content::Extents(extents) => {
            out.push(1);
            put_number(out, extents.len() as u64);
            for extent in extents {
                put_extent(out, extent);
            }
        }
        Content::Listed { depth, lists } => {
            out.extend_from_slice(&[2, *depth]);
            put_number(out, lists.len() as u64);
            for list in lists {
                put_list_ref(out, list);
            }
        }
    }
}

pub(super) fn put_extent(out: &mut Vec<u8>, extent: &Extent) {
    match extent {
        Extent::Hole { length } => {
            out.push(0);
            put_number(out, *length);
        }
        Extent::Data { blob, offset, length } => {
            out.push(1);
            out.extend_from_slice(&blob.0);
            put_number(out, u64::from(*offset));
            put_number(out, u64::from(*length));
        }
    }
}

pub(super) fn put_list_ref(out: &mut Vec<u8>, list: &ListRef) {
    out.extend_from_slice(&list.list.0);
    put_number(out, list.length);
}

/// The bytes of a page of entries.
pub(crate) fn encode_leaf(entries: &[Entry]) -> Vec<u8> {
    let mut builder = LeafBuilder::default();
    entries.iter().for_each(|entry| builder.push(entry));
    builder.take()
}

/// The bytes of a directory page.
pub(crate) fn encode_directory(level: u8, children: &[Child]) -> Vec<u8> {
    let mut out = vec![VERSION, level];
    put_number(&mut out, children.len() as u64);
    let mut before = Vec::new();
    for child in children {
        put_path(&mut out, &child.first, &mut before);
        out.extend_from_slice(&child.page.0);
        for number in [child.entries, child.files, child.bytes] {
            put_number(&mut out, number);
        }
    }
    out
}

/// Reads a page. `None`: it is none, or of a version that this program does not know.
pub fn parse(bytes: &[u8]) -> Option<Page> {
    let mut input = Input(bytes);
    if input.byte()? != VERSION {
        return None;
    }
    let page = match input.byte()? {
        0 => Page::Leaf(leaf(&mut input)?),
        level if level <= TREE_LEVELS_MAX => Page::Directory(level, directory(&mut input)?),
        _ => return None,
    };
    input.is_empty().then_some(page)
}

fn leaf(input: &mut Input<'_>) -> Option<Vec<Entry>> {
    let owners = input.count(4)?;
    let owners = (0..owners).map(|_| owner(input)).collect::<Option<Vec<_>>>()?;
    let count = input.count(9)?;
    let mut before = Before::default();
    let mut entries: Vec<Entry> = Vec::with_capacity(count);
    for _ in 0..count {
        let next = entry(input, &owners, &mut before)?;
        if entries.last().is_some_and(|last| last.path >= next.path) {
            return None;
        }
        entries.push(next);
    }
    Some(entries)
}

fn owner(input: &mut Input<'_>) -> Option<Owner> {
    let (uid, gid) = (input.small()?, input.small()?);
    Some(Owner { uid, gid, user: input.bytes()?.into(), group: input.bytes()?.into() })
}

fn path(input: &mut Input<'_>, before: &mut Vec<u8>) -> Option<BytePath> {
    let shared: usize = input.small()?;
    let rest = input.bytes()?;
    if shared > before.len() || shared + rest.len() > PATH_MAX {
        return None;
    }
    before.truncate(shared);
    before.extend_from_slice(rest);
    BytePath::new(before.clone()).ok()
}

fn time(input: &mut Input<'_>, before: &mut i64) -> Option<FileTime> {
    let seconds = before.wrapping_add(input.signed()?);
    let nanos = input.small().filter(|nanos| *nanos < 1_000_000_000)?;
    *before = seconds;
    Some(FileTime { seconds, nanos })
}

fn entry(input: &mut Input<'_>, owners: &[Owner], before: &mut Before) -> Option<Entry> {
    let path = path(input, &mut before.path)?;
    let form = input.byte()?;
    let owner = owners.get(input.small::<usize>()?)?.clone();
    let mode = input.small().filter(|mode| *mode <= 0o7777)?;
    let modified = time(input, &mut before.modified)?;
    let changed = time(input, &mut before.changed)?;
    let inode = before.inode.wrapping_add(input.signed()? as u64);
    before.inode = inode;
    let link = if form & form::LINK != 0 { Some(input.number()?) } else { None };
    let (mut xattrs, mut flags) = (Vec::new(), 0);
    if form & form::EXTRA != 0 {
        let count = input.count(2)?;
        xattrs = (0..count).map(|_| xattr(input)).collect::<Option<_>>()?;
        flags = input.small()?;
    }
    let kind = match form & form::KIND {
        0 => Kind::Directory,
        1 => Kind::File { size: input.number()?, content: content(input)? },
        2 => Kind::Symlink { target: input.bytes()?.to_vec() },
        3 => Kind::Fifo,
        4 => Kind::Socket,
        5 => Kind::CharacterDevice { major: input.small()?, minor: input.small()? },
        6 => Kind::BlockDevice { major: input.small()?, minor: input.small()? },
        _ => return None,
    };
    let seen = Seen { inode, changed, racy: form & form::RACY != 0 };
    Some(Entry { path, kind, mode, owner, modified, xattrs, flags, link, seen, torn: form & form::TORN != 0 })
}

fn xattr(input: &mut Input<'_>) -> Option<Xattr> {
    Some(Xattr { name: input.bytes()?.to_vec(), value: input.bytes()?.to_vec() })
}

fn content(input: &mut Input<'_>) -> Option<Content> {
    match input.byte()? {
        0 => Some(Content::Inline(input.bytes().filter(|bytes| bytes.len() <= INLINE_MAX)?.to_vec())),
        1 => {
            let count = input.count(2)?;
            Some(Content::Extents((0..count).map(|_| extent(input)).collect::<Option<_>>()?))
        }
        2 => {
            let depth = input.byte().filter(|depth| (1..=LIST_DEPTH_MAX).contains(depth))?;
            let count = input.count(33)?;
            Some(Content::Listed { depth, lists: (0..count).map(|_| list_ref(input)).collect::<Option<_>>()? })
        }
        _ => None,
    }
}

pub(super) fn extent(input: &mut Input<'_>) -> Option<Extent> {
    match input.byte()? {
        0 => Some(Extent::Hole { length: input.number()? }),
        1 => Some(Extent::Data { blob: BlobId(input.hash()?), offset: input.small()?, length: input.small()? }),
        _ => None,
    }
}

pub(super) fn list_ref(input: &mut Input<'_>) -> Option<ListRef> {
    Some(ListRef { list: BlobId(input.hash()?), length: input.number()? })
}

fn directory(input: &mut Input<'_>) -> Option<Vec<Child>> {
    let count = input.count(37).filter(|count| *count > 0)?;
    let mut before = Vec::new();
    let mut children: Vec<Child> = Vec::with_capacity(count);
    for _ in 0..count {
        let first = path(input, &mut before)?;
        let page = BlobId(input.hash()?);
        let (entries, files, bytes) = (input.number()?, input.number()?, input.number()?);
        if children.last().is_some_and(|last| last.first >= first) {
            return None;
        }
        children.push(Child { first, page, entries, files, bytes });
    }
    Some(children)
}

/// For fuzzing: a page, on any bytes; what can be read is written again in the same words.
pub fn fuzz_page(bytes: &[u8]) {
    match parse(bytes) {
        Some(Page::Leaf(entries)) => {
            assert_eq!(parse(&encode_leaf(&entries)), Some(Page::Leaf(entries)));
        }
        Some(Page::Directory(level, children)) => {
            assert_eq!(parse(&encode_directory(level, &children)), Some(Page::Directory(level, children)));
        }
        None => {}
    }
}
