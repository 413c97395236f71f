//! The walk: a tree's entries in path order, looked at but not read, in batches.
//!
//! Depth first by directory handle, without recursion: every call names one component below an open directory, so depth
//! and length of paths do not matter. The directories on the way down stay open up to [`KEEP_OPEN`] of them; those above
//! are closed, and on the way up opened again through `..`, or from the root, and recognised by device and inode.
//!
//! Directories that it will come to are listed, and their files looked at, ahead of it ([`super::scout`]).
//!
//! Memory: the names of the directories on the way down, the batches that the channel holds, and what the scout holds.

use std::{ffi::CStr, io, mem::MaybeUninit, path::Path, sync::Arc};

use crossbeam_channel::Sender;
use resurgam_store::{Cancel, limits};
use rustix::fs::{FileType, Mode, OFlags};

use super::{
    capture::NeverEntered,
    filter::{CACHE_SIGNATURE, CACHE_TAG, Filter},
    handle::{Dir, is_gone, is_other_kind, open_directory, open_file},
    listing::{LISTING_BUFFER, Listing, Told},
    notes::Notes,
    scout::{Ahead, Dismissal, Place, Scouted},
    stat::Stat,
};

/// Directories on the way down that are kept open, besides the root.
const KEEP_OPEN: usize = 64;
/// How many excluded directories, one in the other, are searched for something that an include keeps.
const SEARCH_DEPTH: usize = KEEP_OPEN / 2;
/// Entries in a batch.
const BATCH_ITEMS: usize = 512;
/// How often a name that keeps turning into something else is looked at again.
const LOOKS: usize = 3;

/// Entries that follow one another in path order.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) dirs: Vec<BatchDir>,
    pub(crate) items: Vec<Item>,
    /// Names of the items, each followed by NUL.
    names: Vec<u8>,
    /// Directory handles held, counted generously.
    handles: usize,
}

/// A directory that items of a batch lie in.
pub(crate) struct BatchDir {
    /// Its path below the root.
    pub(crate) path: Vec<u8>,
    pub(crate) handle: Arc<Dir>,
}

/// One entry as the walk saw it.
pub(crate) struct Item {
    /// Which of the batch's directories it lies in.
    pub(crate) dir: usize,
    name_start: usize,
    name_length: usize,
    pub(crate) stat: Stat,
    /// The root itself: its path is empty, whatever its name.
    pub(crate) is_root: bool,
    /// For a directory that was entered: its own handle.
    pub(crate) own: Option<Arc<Dir>>,
    /// A directory whose names could not all be read.
    pub(crate) incomplete: bool,
}

impl Batch {
    /// The name of an item, ready for a system call.
    pub(crate) fn name(&self, item: &Item) -> &CStr {
        let bytes = &self.names[item.name_start..=item.name_start + item.name_length];
        CStr::from_bytes_with_nul(bytes).unwrap_or_default()
    }

    /// Whether `path` is that of `item`; cheaper than to make the item's path.
    pub(crate) fn is_path_of(&self, item: &Item, path: &[u8]) -> bool {
        if item.is_root {
            return path.is_empty();
        }
        let (dir, name) = (&self.dirs[item.dir].path, self.name(item).to_bytes());
        match path.strip_suffix(name) {
            Some(rest) if dir.is_empty() => rest.is_empty(),
            Some(rest) => rest.strip_suffix(b"/") == Some(dir),
            None => false,
        }
    }

    /// Puts the path of `item` into `path`.
    pub(crate) fn path_of(&self, item: &Item, path: &mut Vec<u8>) {
        path.clear();
        if !item.is_root {
            path.extend_from_slice(&self.dirs[item.dir].path);
            push_name(path, self.name(item).to_bytes());
        }
    }
}

fn push_name(path: &mut Vec<u8>, name: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
}

/// What the walk is told.
pub(crate) struct Rules<'a> {
    pub(crate) filter: Filter,
    pub(crate) exclude_caches: bool,
    pub(crate) cross_file_systems: bool,
    pub(crate) root_device: u64,
    pub(crate) never_entered: &'a [NeverEntered],
    /// Directory handles that one batch may hold.
    pub(crate) batch_handles: usize,
}

impl Rules<'_> {
    /// Whether the entry at `path` is left out, if its directory is or is not.
    fn excludes(&self, path: &[u8], parent_excluded: bool) -> bool {
        !self.filter.keeps_all() && self.filter.excludes(path, parent_excluded)
    }

    fn is_foreign(&self, stat: &Stat) -> bool {
        !self.cross_file_systems && (stat.device != self.root_device || stat.mount_root)
    }

    /// Why a directory is kept without what is in it, if it is.
    pub(crate) fn not_entered(&self, stat: &Stat) -> Option<String> {
        let given = self.never_entered.iter().find(|n| (n.device, n.inode) == stat.identity());
        match given {
            Some(never) => Some(format!("what is in it was left out: it is {}", never.reason)),
            None if self.is_foreign(stat) => {
                Some("what is in it was left out: another file system is mounted there".to_owned())
            }
            None => None,
        }
    }
}

/// The root of a tree, opened.
pub(crate) struct Root {
    /// The root if it is a directory, else the directory that it lies in.
    dir: Arc<Dir>,
    /// Its name, if it is not a directory.
    name: Option<Vec<u8>>,
    pub(crate) stat: Stat,
}

impl Root {
    /// Opens `path`. A symbolic link to a directory means the directory; to anything else, the link itself.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from) {
            Ok(fd) => {
                let stat = Stat::of(&fd)?;
                Ok(Self { dir: Arc::new(Dir { fd }), name: None, stat })
            }
            Err(error) if is_other_kind(&error) || is_gone(&error) => Self::single(path, error),
            Err(error) => Err(error),
        }
    }

    fn single(path: &Path, error: io::Error) -> io::Result<Self> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(error) };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(parent, flags, Mode::empty())?;
        let mut name = name.as_encoded_bytes().to_vec();
        name.push(0);
        let stat = Stat::at(&fd, CStr::from_bytes_with_nul(&name).map_err(|_| error)?)?;
        name.pop();
        Ok(Self { dir: Arc::new(Dir { fd }), name: Some(name), stat })
    }
}

/// A directory on the way down.
struct Level {
    /// Closed, in the depth, to hold fewer handles.
    dir: Option<Arc<Dir>>,
    identity: (u64, u64),
    names: Listing,
    next: usize,
    /// Names up to which it was asked whether the scout should go there.
    offered: usize,
    /// What the scout knows of the first names.
    looked: Vec<Option<Stat>>,
    /// How much of the walk's path is this directory's.
    path_length: usize,
    excluded: bool,
    /// An excluded directory that is stored only if something below it is.
    unsaid: Option<Found>,
    /// Number of the batch that knows this directory, and its place there.
    in_batch: (u64, usize),
}

/// An entry that was found, with what goes into its item.
struct Found {
    stat: Stat,
    own: Option<Arc<Dir>>,
    incomplete: bool,
}

/// The one who takes the batches has gone, or the job was cancelled.
pub(crate) struct Stopped;

/// A walk under way.
pub(crate) struct Walk<'a> {
    pub(crate) rules: &'a Rules<'a>,
    pub(crate) notes: &'a Notes,
    pub(crate) cancel: &'a Cancel,
    sink: Sender<Batch>,
    ahead: &'a Ahead,
    levels: Vec<Level>,
    path: Vec<u8>,
    batch: Batch,
    batch_number: u64,
    buffer: Vec<MaybeUninit<u8>>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(
        rules: &'a Rules<'a>,
        notes: &'a Notes,
        cancel: &'a Cancel,
        ahead: &'a Ahead,
        sink: Sender<Batch>,
    ) -> Self {
        let buffer = vec![MaybeUninit::uninit(); LISTING_BUFFER];
        let (levels, path, batch) = (Vec::new(), Vec::new(), Batch::default());
        Self { rules, notes, cancel, sink, ahead, levels, path, batch, batch_number: 1, buffer }
    }

    /// Walks the whole tree.
    pub(crate) fn run(mut self, root: Root) -> Result<(), Stopped> {
        let _dismissal = Dismissal(self.ahead);
        match root.name {
            None => self.enter(root.stat, root.dir, false)?,
            Some(name) => {
                self.batch.dirs.push(BatchDir { path: Vec::new(), handle: root.dir });
                self.batch.names.extend_from_slice(&name);
                self.batch.names.push(0);
                let name_length = name.len();
                let (stat, own, incomplete) = (root.stat, None, false);
                self.batch.items.push(Item {
                    dir: 0,
                    name_start: 0,
                    name_length,
                    stat,
                    is_root: true,
                    own,
                    incomplete,
                });
            }
        }
        while !self.levels.is_empty() {
            if self.cancel.is_cancelled() {
                return Err(Stopped);
            }
            self.step()?;
        }
        self.send()
    }

    /// Looks at the next name of the innermost directory, or leaves it.
    fn step(&mut self) -> Result<(), Stopped> {
        let depth = self.levels.len();
        let Some(level) = self.levels.last_mut() else { return Ok(()) };
        let index = level.next;
        let (Some((name, told)), Some(dir)) = (level.names.get_told(index), &level.dir) else {
            self.leave();
            self.offer_next();
            return Ok(());
        };
        let looked = level.looked.get(index).copied().flatten();
        level.next += 1;
        self.path.truncate(level.path_length);
        push_name(&mut self.path, name.to_bytes());
        let excluded = self.rules.excludes(&self.path, level.excluded);
        if excluded && !self.rules.filter.may_keep_below_excluded() {
            return Ok(());
        }
        if self.path.len() > limits::PATH_MAX {
            self.notes.unread(&self.path, "its path is longer than a recovery point can hold");
            return Ok(());
        }
        if told == Told::Directory
            && index < level.offered
            && let Some(found) = self.ahead.arrive(Place { depth, index }, self.rules, &mut self.buffer)
        {
            return self.enter_listed(*found, None, excluded);
        }
        match looked.map_or_else(|| Stat::at(&dir.fd, name), Ok) {
            Ok(stat) if stat.kind == FileType::Directory => self.directory(stat, excluded),
            Ok(_) if excluded => Ok(()),
            Ok(stat) => self.other(stat),
            Err(error) => {
                self.failed(&error);
                Ok(())
            }
        }
    }

    /// Something that is not a directory.
    fn other(&mut self, stat: Stat) -> Result<(), Stopped> {
        if self.rules.is_foreign(&stat) {
            self.notes.left_out(&self.path, "it is on another file system");
            return Ok(());
        }
        self.found(Found { stat, own: None, incomplete: false })
    }

    /// The name at the end of the path could not be looked at.
    fn failed(&self, error: &io::Error) {
        if is_gone(error) {
            self.notes.left_out(&self.path, "it was removed before it could be read");
        } else {
            self.notes.unread(&self.path, error.to_string());
        }
    }

    /// A directory below the root: enters it, or says why not.
    fn directory(&mut self, mut stat: Stat, excluded: bool) -> Result<(), Stopped> {
        let unsaid = self.levels.iter().rev().take_while(|l| l.unsaid.is_some()).count();
        if excluded && unsaid >= SEARCH_DEPTH {
            return Ok(());
        }
        for _ in 0..LOOKS {
            if let Some(reason) = self.rules.not_entered(&stat) {
                return if excluded { Ok(()) } else { self.kept_empty(stat, &reason) };
            }
            match self.open_last() {
                Ok((opened, dir)) if opened.identity() == stat.identity() => {
                    return self.enter_checked(opened, dir, excluded);
                }
                Ok(_) => {}
                Err(error) if is_gone(&error) || is_other_kind(&error) => {}
                Err(error) if excluded => {
                    self.notes.unread(&self.path, error.to_string());
                    return Ok(());
                }
                Err(error) => {
                    self.notes.unread(&self.path, format!("its names could not be listed: {error}"));
                    return self.found(Found { stat, own: None, incomplete: true });
                }
            }
            // Another one, or another kind, by now: look again and take it as what it is.
            stat = match self.look_again() {
                Ok(now) if now.kind == FileType::Directory => now,
                Ok(_) if excluded => return Ok(()),
                Ok(now) => return self.other(now),
                Err(error) => {
                    self.failed(&error);
                    return Ok(());
                }
            };
        }
        self.notes.unread(&self.path, "it was replaced each time that it was opened");
        Ok(())
    }

    fn kept_empty(&mut self, stat: Stat, reason: &str) -> Result<(), Stopped> {
        self.notes.left_out(&self.path, reason);
        self.found(Found { stat, own: None, incomplete: false })
    }

    /// Opens the name that was looked at last.
    fn open_last(&self) -> io::Result<(Stat, Arc<Dir>)> {
        let (dir, name) = self.last_name()?;
        let fd = open_directory(&dir.fd, name)?;
        Ok((Stat::of(&fd)?, Arc::new(Dir { fd })))
    }

    fn look_again(&self) -> io::Result<Stat> {
        let (dir, name) = self.last_name()?;
        Stat::at(&dir.fd, name)
    }

    fn last_name(&self) -> io::Result<(&Arc<Dir>, &CStr)> {
        let level = self.levels.last();
        let found = level.and_then(|l| Some((l.dir.as_ref()?, l.names.get(l.next.checked_sub(1)?)?)));
        found.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    /// Enters a directory unless it belongs to the kernel's own file systems, which hold no data.
    fn enter_checked(&mut self, stat: Stat, dir: Arc<Dir>, excluded: bool) -> Result<(), Stopped> {
        let parent = self.levels.last().map(|l| l.identity.0);
        if parent.is_some_and(|device| device != stat.device)
            && let Some(kind) = kernel_file_system(&dir)
        {
            let reason = format!("what is in it was left out: {kind} is the kernel's own file system");
            return if excluded { Ok(()) } else { self.kept_empty(stat, &reason) };
        }
        self.enter(stat, dir, excluded)
    }

    /// Lists an open directory and goes down into it.
    fn enter(&mut self, stat: Stat, dir: Arc<Dir>, excluded: bool) -> Result<(), Stopped> {
        let (names, fault) = Listing::read(&dir.fd, &mut self.buffer);
        self.enter_listed(Scouted { stat, dir, names, looked: Vec::new() }, fault, excluded)
    }

    /// Makes the item of a directory that was listed, and goes down into it.
    fn enter_listed(&mut self, listed: Scouted, fault: Option<io::Error>, excluded: bool) -> Result<(), Stopped> {
        let Scouted { stat, dir, mut names, mut looked } = listed;
        if let Some(error) = &fault {
            self.notes.unread(&self.path, format!("not all of its names could be listed: {error}"));
        }
        if self.rules.exclude_caches && names.contains(CACHE_TAG) && is_cache(&dir) {
            names.keep_only(CACHE_TAG);
            looked.clear();
            if !excluded {
                self.notes.left_out(&self.path, "what is in it was left out: it is marked as a cache by CACHEDIR.TAG");
            }
        }
        let found = Found { stat, own: Some(Arc::clone(&dir)), incomplete: fault.is_some() };
        let is_root = self.levels.is_empty();
        let mut level = Level {
            dir: Some(dir),
            identity: stat.identity(),
            names,
            next: 0,
            offered: 0,
            looked,
            path_length: self.path.len(),
            excluded,
            unsaid: None,
            in_batch: (0, 0),
        };
        if excluded {
            level.unsaid = Some(found);
            self.levels.push(level);
        } else if is_root {
            self.levels.push(level);
            self.add(0, 0, found, true)?;
        } else {
            self.found(found)?;
            self.levels.push(level);
        }
        self.close_far_ones();
        self.offer_next();
        Ok(())
    }

    /// Tells the scout which directories come next in the innermost one.
    fn offer_next(&mut self) {
        let depth = self.levels.len();
        let Some(level) = self.levels.last_mut() else { return };
        let Some(dir) = &level.dir else { return };
        level.offered = level.offered.max(level.next);
        let mut room = self.ahead.room(depth);
        while room > 0
            && let Some((name, told)) = level.names.get_told(level.offered)
        {
            if told == Told::Directory {
                self.path.truncate(level.path_length);
                push_name(&mut self.path, name.to_bytes());
                if !self.rules.excludes(&self.path, level.excluded) {
                    self.ahead.offer(Place { depth, index: level.offered }, dir, name);
                    room -= 1;
                }
            }
            level.offered += 1;
        }
    }

    fn close_far_ones(&mut self) {
        if let Some(far) = self.levels.len().checked_sub(KEEP_OPEN + 2)
            && far > 0
        {
            self.levels[far].dir = None;
        }
    }

    /// Leaves the innermost directory, and opens the one around it again if it was closed.
    fn leave(&mut self) {
        self.ahead.left(self.levels.len());
        let Some(left) = self.levels.pop() else { return };
        let Some(index) = self.levels.len().checked_sub(1) else { return };
        if self.levels[index].dir.is_some() {
            return;
        }
        let wanted = self.levels[index].identity;
        let above = left.dir.and_then(|dir| recognised(open_directory(&dir.fd, c".."), wanted));
        let reopened = above.or_else(|| self.open_from_root(index));
        let level = &mut self.levels[index];
        if reopened.is_none() && level.next < level.names.len() {
            let path = &self.path[..level.path_length];
            self.notes.unread(path, "it was moved while it was read: some of what is in it is missing");
        }
        level.dir = reopened;
        if level.dir.is_none() {
            level.next = level.names.len();
        }
    }

    /// Opens the directory of a level component by component, each recognised.
    fn open_from_root(&self, index: usize) -> Option<Arc<Dir>> {
        let mut dir = Arc::clone(self.levels.first()?.dir.as_ref()?);
        for pair in self.levels[..=index].windows(2) {
            let start = if pair[0].path_length == 0 { 0 } else { pair[0].path_length + 1 };
            let mut name = self.path.get(start..pair[1].path_length)?.to_vec();
            name.push(0);
            let name = CStr::from_bytes_with_nul(&name).ok()?;
            dir = recognised(open_directory(&dir.fd, name), pair[1].identity)?;
        }
        Some(dir)
    }

    /// Adds the entry at the end of the path, which lies in the innermost directory, and the excluded directories above
    /// it that had waited for it.
    fn found(&mut self, found: Found) -> Result<(), Stopped> {
        let may_wait = self.rules.filter.may_keep_below_excluded();
        for index in 1..if may_wait { self.levels.len() } else { 0 } {
            if let Some(waiting) = self.levels[index].unsaid.take() {
                let end = self.levels[index].path_length;
                self.add(index - 1, end, waiting, false)?;
            }
        }
        let parent = self.levels.len().saturating_sub(1);
        self.add(parent, self.path.len(), found, false)
    }

    /// Adds an entry that lies in the directory of `parent` and whose path is as much of the walk's as `end` says.
    fn add(&mut self, parent: usize, end: usize, found: Found, is_root: bool) -> Result<(), Stopped> {
        let level = &mut self.levels[parent];
        if level.in_batch.0 != self.batch_number {
            let Some(handle) = level.dir.clone() else {
                self.notes.unread(&self.path[..end], "the directory around it could not be opened again");
                return Ok(());
            };
            self.batch.dirs.push(BatchDir { path: self.path[..level.path_length].to_vec(), handle });
            level.in_batch = (self.batch_number, self.batch.dirs.len() - 1);
            self.batch.handles += 1;
        }
        let start = if level.path_length == 0 { 0 } else { level.path_length + 1 };
        let name = if is_root { &[] } else { &self.path[start..end] };
        let (name_start, name_length) = (self.batch.names.len(), name.len());
        self.batch.names.extend_from_slice(name);
        self.batch.names.push(0);
        self.batch.handles += usize::from(found.own.is_some());
        let Found { stat, own, incomplete } = found;
        let dir = level.in_batch.1;
        self.batch.items.push(Item { dir, name_start, name_length, stat, is_root, own, incomplete });
        if self.batch.items.len() >= BATCH_ITEMS || self.batch.handles >= self.rules.batch_handles {
            self.send()?;
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), Stopped> {
        let batch = std::mem::take(&mut self.batch);
        self.batch_number += 1;
        self.sink.send(batch).map_err(|_| Stopped)
    }
}

fn recognised(opened: io::Result<rustix::fd::OwnedFd>, wanted: (u64, u64)) -> Option<Arc<Dir>> {
    let fd = opened.ok()?;
    (Stat::of(&fd).ok()?.identity() == wanted).then(|| Arc::new(Dir { fd }))
}

/// Whether the directory holds a tag with the right signature.
fn is_cache(dir: &Dir) -> bool {
    let Ok(file) = open_file(&dir.fd, CACHE_TAG) else { return false };
    let mut begin = [0; CACHE_SIGNATURE.len()];
    Stat::of(&file).is_ok_and(|s| s.kind == FileType::RegularFile)
        && rustix::io::pread(&file, &mut begin, 0).is_ok_and(|n| n == begin.len())
        && begin == CACHE_SIGNATURE
}

/// The name of the kernel's file system that the directory belongs to, if it is one of those without data of their own.
fn kernel_file_system(dir: &Dir) -> Option<&'static str> {
    const KINDS: &[(i64, &str)] = &[
        (0x9fa0, "proc"),
        (0x6265_6572, "sysfs"),
        (0x1cd1, "devpts"),
        (0x0027_e0eb, "cgroup"),
        (0x6367_7270, "cgroup2"),
        (0x6462_6720, "debugfs"),
        (0x7472_6163, "tracefs"),
        (0x7363_6673, "securityfs"),
        (0xf97c_ff8c, "selinuxfs"),
        (0x6165_676c, "pstorefs"),
        (0xcafe_4a11, "bpf"),
        (0x6265_6570, "configfs"),
        (0x4249_4e4d, "binfmt_misc"),
        (0xde5e_81e4, "efivarfs"),
        (0x1980_0202, "mqueue"),
        (0x9584_58f6, "hugetlbfs"),
        (0x0187, "autofs"),
        (0x6e73_6673, "nsfs"),
        (0x6759_6969, "rpc_pipefs"),
        (0x6573_5543, "fusectl"),
    ];
    let kind = rustix::fs::fstatfs(&dir.fd).ok()?.f_type;
    KINDS.iter().find(|(magic, _)| i128::from(*magic) == i128::from(kind)).map(|(_, name)| *name)
}
