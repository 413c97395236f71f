//! Putting a recovery point, or parts of it, back into a directory.
//!
//! The caller's thread reads the entries in path order and makes directories as it meets them; worker threads make
//! everything else ([`node`]), each file under a private name until it is whole. A directory gets its own attributes when
//! the last thing inside it is done ([`folder`]).
//!
//! Files are made in the order of the frames that they lie in, as far as is looked ahead: so a frame is opened once for all
//! that is in it, and not again for a file that an earlier point or another directory had already.
//!
//! Memory: the directories on the way down, what is looked ahead, the batches that wait for workers, and one path for each
//! inode with several names.

mod ahead;
mod fill;
mod folder;
mod leftovers;
mod links;
mod node;
mod place;
mod precheck;
mod report;

use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use crossbeam_channel::{Receiver, SendTimeoutError, Sender, bounded, select_biased};
use resurgam_model::{
    BytePath,
    bytepath::{compare, escape},
    report::Unproved,
};
use resurgam_store::{Cancel, Entry, Kind, Meter, Reader, StoreError, TreeReader, TreeRoot, reader::EntriesAhead};
use rustix::fs::{Mode, OFlags};

use self::{
    ahead::Ahead,
    fill::Pieces,
    folder::{Folder, Made},
    links::{Links, State},
    node::{Maker, Node},
    report::Report,
};
use super::{handle::Dir, listing::Listing, owners::Numbers};
use crate::error::SourceError;

/// Entries that go to one worker at once.
const JOB_NODES: usize = 128;
/// Bytes of content after which no more entries go to the same worker at once.
const JOB_BYTES: u64 = 2 * 1024 * 1024;
/// Jobs that wait for one worker.
const JOBS_WAITING: usize = 2;
/// How long a job waits for the worker that is in the same directory.
const PATIENCE: Duration = Duration::from_millis(20);
/// Directories on the way down that are kept open, besides the target.
const KEEP_OPEN: usize = 64;
/// Directory handles that all jobs together may hold; and as many may be held by what is looked ahead.
const JOB_HANDLES: usize = 192;
/// Names of inodes whose first name is still being made, that may wait for it.
const LINKS_WAITING: usize = 64;

/// What happens where something has an entry's name already. Directories are always merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Conflict {
    /// Nothing is put back at all: the restore fails before it has written anything.
    #[default]
    Refuse,
    /// The entry takes its place, in one step, when it is whole. Directories that are not empty stay.
    Overwrite,
    /// What is there stays.
    Skip,
    /// The entry is put beside it, as `NAME (recovered 2)`.
    Copy,
}

/// What is to be put back, and where.
#[derive(Debug, Clone)]
pub struct Restore {
    /// The directory that becomes what the root of the point was; made if it is not there.
    pub target: PathBuf,
    /// Paths of the point, with all that is below them; none: everything, and then the target gets the attributes of the
    /// root too. Directories on the way to a path are made with their attributes.
    pub selection: Vec<BytePath>,
    /// What happens where something is there already.
    pub conflict: Conflict,
    /// Whether owners are set.
    pub owner: bool,
    /// The name that the root gets in the target, if it is not a directory.
    pub root_name: Vec<u8>,
    /// Worker threads; 0: as many as there are processors.
    pub threads: usize,
}

/// What was put back.
#[derive(Debug, Default)]
pub struct Restored {
    /// Entries that are not directories.
    pub files: u64,
    /// Bytes of content, holes included.
    pub bytes: u64,
    /// Entries left alone because something had their name.
    pub skipped: u64,
    /// Entries that are not there, or not as they were.
    pub unproved: Vec<Unproved>,
}

/// What all threads of a restore share.
struct Context<'a> {
    reader: &'a Reader,
    meter: &'a Meter,
    cancel: &'a Cancel,
    conflict: Conflict,
    owner: bool,
    numbers: Numbers,
    /// The owner that new inodes get.
    user: (u32, u32),
    report: Report,
    links: Links,
    names_made: AtomicU64,
    /// Whether the target's file system makes files without names, as far as is known.
    can_be_unnamed: AtomicBool,
    process: i32,
    /// The target as it was given, every byte shown.
    target: String,
}

impl Context<'_> {
    fn owner_of(&self, entry: &Entry) -> Option<(u32, u32)> {
        self.owner.then(|| self.numbers.of(&entry.owner))
    }

    /// Whether there is no point in going on.
    fn is_over(&self) -> bool {
        self.cancel.is_cancelled() || self.report.is_aborted()
    }

    /// A name that nobody else uses.
    fn private_name(&self) -> Vec<u8> {
        let number = self.names_made.fetch_add(1, Ordering::Relaxed);
        leftovers::private_name(self.process, number)
    }

    /// The full path of what has `path` in the point, every byte shown.
    fn shown(&self, path: &BytePath) -> String {
        format!("{}/{}", self.target.trim_end_matches('/'), escape(path.as_bytes()))
    }
}

/// Puts entries of the point at `root` back.
///
/// # Errors
/// Where the target cannot be used or is full, or `cancel` was set. What concerns single entries, damage in the volume
/// among it, is named in the result, and everything else is put back.
pub fn restore(
    reader: &Reader,
    root: &TreeRoot,
    what: &Restore,
    meter: &Meter,
    cancel: &Cancel,
) -> Result<Restored, SourceError> {
    let threads = match what.threads {
        0 => thread::available_parallelism().map_or(2, usize::from),
        given => given,
    };
    for path in &what.selection {
        if TreeReader::below(reader, root, path).next().is_none() {
            return Err(SourceError::NotInPoint { path: path.to_string() });
        }
    }
    let target = open_target(&what.target, what.selection.is_empty())?;
    if what.conflict == Conflict::Refuse && !target.fresh {
        precheck::refuse(reader, root, what, &target.dir.fd, cancel)?;
    }
    let context = Context {
        reader,
        meter,
        cancel,
        conflict: what.conflict,
        owner: what.owner,
        numbers: Numbers::of_this_machine(),
        user: (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()),
        report: Report::default(),
        links: Links::default(),
        names_made: AtomicU64::new(0),
        can_be_unnamed: AtomicBool::new(true),
        process: rustix::process::getpid().as_raw_nonzero().get(),
        target: escape(what.target.as_os_str().as_encoded_bytes()),
    };
    thread::scope(|scope| {
        let mut queues = Vec::with_capacity(threads);
        let pieces = Pieces::new(threads);
        for _ in 0..threads {
            let (jobs, offered) = bounded(JOBS_WAITING);
            let (context, pieces) = (&context, pieces.clone());
            queues.push(jobs);
            scope.spawn(move || work(Maker { context, pieces }, &offered));
        }
        drop(pieces);
        let handles = (JOB_HANDLES / ((JOBS_WAITING + 1) * threads + 1)).clamp(1, JOB_NODES);
        let stream = Stream {
            context: &context,
            root,
            what,
            target,
            stack: Vec::new(),
            ahead: Ahead::new(reader),
            job: Job::default(),
            job_handles: handles,
            queues: Queues { queues, last: 0, folder: None },
            waiting: Vec::new(),
            last: BytePath::root(),
            lost: None,
        };
        stream.run();
    });
    context.links.seal(&open_target(&what.target, false)?.dir.fd, &context.report);
    if cancel.is_cancelled() {
        return Err(SourceError::Cancelled);
    }
    context.report.into_restored()
}

/// The opened target.
struct Target {
    dir: Dir,
    /// It was made, or nothing was in it.
    fresh: bool,
}

/// Opens the target, making it if need be; closed to others until it gets attributes of its own, if it will.
fn open_target(path: &Path, gets_attributes: bool) -> Result<Target, SourceError> {
    let fault =
        |attempt, source| SourceError::Target { attempt, path: escape(path.as_os_str().as_encoded_bytes()), source };
    let made = !path.exists();
    if made {
        let mode = if gets_attributes { 0o700 } else { 0o777 };
        fs::DirBuilder::new().recursive(true).mode(mode).create(path).map_err(|e| fault("make", e))?;
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| fault("recover into", e.into()))?;
    let mut buffer = vec![std::mem::MaybeUninit::uninit(); super::listing::LISTING_BUFFER];
    let fresh = made || Listing::read(&fd, &mut buffer).0.len() == 0;
    Ok(Target { dir: Dir { fd }, fresh })
}

/// Entries that go to one worker.
#[derive(Default)]
struct Job<'a> {
    nodes: Vec<Node<'a>>,
    bytes: u64,
    folders: usize,
}

/// Ends the restore if this thread ends by a panic: others might wait for what it was making for ever.
struct Alarm<'a>(&'a Report);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let what = "a thread that makes files ended early";
            self.0.abort(StoreError::Internal(what.to_owned()).into());
        }
    }
}

/// A worker's life: jobs as they come, and pieces of large files before them, since somebody waits for those. Who has no more
/// jobs goes on helping, until nobody has.
fn work<'a>(maker: Maker<'a>, jobs: &Receiver<Job<'a>>) {
    let _alarm = Alarm(&maker.context.report);
    let pieces = maker.pieces.offered.clone();
    loop {
        select_biased! {
            recv(pieces) -> piece => {
                if let Ok(piece) = piece {
                    maker.help(piece);
                }
            }
            recv(jobs) -> job => {
                let Ok(job) = job else { break };
                for node in job.nodes {
                    maker.make(node);
                }
            }
        }
    }
    let Maker { context, pieces: Pieces { offer, .. } } = maker;
    drop(offer);
    pieces.iter().for_each(|piece| fill::help(context, piece));
}

/// The workers' queues.
///
/// Two threads that make files in one directory mostly wait for each other, and spend processor time on it. So the small
/// files of one directory go to one worker, unless that has been busy for long.
struct Queues<'a> {
    queues: Vec<Sender<Job<'a>>>,
    /// Who got the last job.
    last: usize,
    /// The directory in which that ended, by address; never looked into.
    folder: Option<*const Folder<'a>>,
}

impl<'a> Queues<'a> {
    /// Returns whether somebody took the job.
    fn give(&mut self, mut job: Job<'a>) -> bool {
        let begins_in = job.nodes.first().map(|node| Arc::as_ptr(&node.folder));
        let small = job.bytes < JOB_BYTES;
        if small && begins_in.is_some() && begins_in == self.folder {
            match self.queues[self.last].send_timeout(job, PATIENCE) {
                Ok(()) => return true,
                Err(SendTimeoutError::Timeout(back) | SendTimeoutError::Disconnected(back)) => job = back,
            }
        }
        let least = (0..self.queues.len()).min_by_key(|&index| self.queues[index].len());
        self.last = least.unwrap_or(0);
        self.folder = job.nodes.last().map(|node| Arc::as_ptr(&node.folder));
        self.queues[self.last].send(job).is_ok()
    }
}

/// A directory of the point on the way down.
struct Level<'a> {
    path: BytePath,
    /// Where its entries go; `None`: nowhere, and why was said.
    folder: Option<Arc<Folder<'a>>>,
    /// It was left out because something was there: what is in it counts as skipped.
    skipped: bool,
}

/// The caller's thread: entries in, directories made, everything else given away.
struct Stream<'a, 'w> {
    context: &'a Context<'a>,
    root: &'w TreeRoot,
    what: &'w Restore,
    target: Target,
    stack: Vec<Level<'a>>,
    ahead: Ahead<'a>,
    job: Job<'a>,
    job_handles: usize,
    queues: Queues<'a>,
    /// Further names of inodes whose first name is being made.
    waiting: Vec<Node<'a>>,
    /// The last entry read.
    last: BytePath,
    /// What was lost behind it.
    lost: Option<StoreError>,
}

impl<'a> Stream<'a, '_> {
    fn run(mut self) {
        if self.what.selection.is_empty() {
            self.all_below(&BytePath::root());
        } else {
            for path in minimal(&self.what.selection) {
                self.all_below(&path);
            }
        }
        self.give_all();
        self.link_waiting();
    }

    fn all_below(&mut self, path: &BytePath) {
        let entries = TreeReader::below(self.context.reader, self.root, path).whole();
        // What may be there already is asked for by whoever sees that it is not.
        if self.context.conflict == Conflict::Skip {
            self.all_of(entries, path);
        } else {
            self.all_of(EntriesAhead::new(self.context.reader, entries), path);
        }
    }

    fn all_of(&mut self, entries: impl Iterator<Item = Result<Entry, StoreError>>, below: &BytePath) {
        self.last = below.clone();
        for entry in entries {
            if self.context.is_over() {
                return;
            }
            match entry {
                Ok(entry) => {
                    self.name_lost(Some(&entry.path));
                    self.last = entry.path.clone();
                    self.entry(entry);
                }
                Err(StoreError::Cancelled) => return self.context.report.abort(SourceError::Cancelled),
                Err(error) => {
                    self.lost.get_or_insert(error);
                }
            }
        }
        self.name_lost(None);
    }

    /// Names the entries that could not be read between the last one and `next`.
    fn name_lost(&mut self, next: Option<&BytePath>) {
        if let Some(error) = self.lost.take() {
            let end = next.map_or_else(|| "the end".to_owned(), ToString::to_string);
            let what = format!("entries between {} and {end} could not be read: {error}", self.last);
            self.context.report.unproved(&self.last, what);
        }
    }

    fn entry(&mut self, entry: Entry) {
        let is_directory = entry.kind == Kind::Directory;
        if entry.path.is_root() {
            return if is_directory { self.push_root(Some(entry)) } else { self.single(entry) };
        }
        let Some(parent) = entry.path.parent() else { return };
        self.go_to(&parent);
        let Some(level) = self.stack.last() else { return };
        match (&level.folder, level.skipped) {
            (Some(folder), _) => {
                let folder = Arc::clone(folder);
                if is_directory { self.directory(folder, entry) } else { self.node(folder, entry) }
            }
            (None, skipped) => {
                if skipped && !is_directory {
                    self.context.report.skipped();
                }
                if is_directory {
                    self.stack.push(Level { path: entry.path, folder: None, skipped });
                }
            }
        }
    }

    /// Leaves and enters directories until the innermost is `path`.
    fn go_to(&mut self, path: &BytePath) {
        while self.stack.len() > 1 && self.stack.last().is_some_and(|l| !l.path.contains(path)) {
            self.stack.pop();
        }
        if self.stack.is_empty() {
            self.push_root(None);
        }
        // Directories on the way that were not met: of a path that was asked for, or on a page that was lost.
        while let Some(level) = self.stack.last()
            && level.path != *path
        {
            let depth = level.path.depth();
            let components: Vec<&[u8]> = path.components().take(depth + 1).collect();
            let Ok(missing) = BytePath::new(components.join(&b'/')) else { return };
            let found = TreeReader::below(self.context.reader, self.root, &missing).next();
            match (found, level.folder.clone(), level.skipped) {
                (_, None, skipped) => self.stack.push(Level { path: missing, folder: None, skipped }),
                (Some(Ok(entry)), Some(folder), _) if entry.path == missing && entry.kind == Kind::Directory => {
                    self.directory(folder, entry);
                }
                (_, Some(folder), _) => self.unknown_directory(folder, missing),
            }
        }
    }

    /// The target itself.
    fn push_root(&mut self, entry: Option<Entry>) {
        let whole = self.what.selection.is_empty();
        let apply = whole && (self.target.fresh || self.context.conflict == Conflict::Overwrite);
        let opened = self.target.dir.fd.try_clone().and_then(|fd| Folder::of_target(self.context, fd, entry, apply));
        let folder = match opened {
            Ok(folder) => Some(Arc::new(folder)),
            Err(source) => {
                let path = self.context.target.clone();
                self.context.report.abort(SourceError::Target { attempt: "recover into", path, source });
                None
            }
        };
        self.stack.push(Level { path: BytePath::root(), folder, skipped: false });
    }

    /// A root that is not a directory.
    fn single(&mut self, entry: Entry) {
        self.push_root(None);
        if let Some(folder) = self.stack.last().and_then(|l| l.folder.clone()) {
            let name = if self.what.root_name.is_empty() { b"recovered".to_vec() } else { self.what.root_name.clone() };
            self.offer(Node { folder, name, entry });
        }
    }

    fn directory(&mut self, parent: Arc<Folder<'a>>, entry: Entry) {
        self.context.meter.entries.add(1);
        let path = entry.path.clone();
        let level = match Folder::make(self.context, parent, entry) {
            Made::Folder(folder) => Level { path, folder: Some(folder), skipped: false },
            Made::Skipped => Level { path, folder: None, skipped: true },
            Made::Failed => Level { path, folder: None, skipped: false },
        };
        self.stack.push(level);
        if let Some(far) = self.stack.len().checked_sub(KEEP_OPEN + 2)
            && far > 0
            && let Some(folder) = &self.stack[far].folder
        {
            folder.close();
        }
    }

    /// A directory of which only the path is known.
    fn unknown_directory(&mut self, parent: Arc<Folder<'a>>, path: BytePath) {
        self.context.report.unproved(&path, "the entry of this directory could not be read: it has no attributes");
        let folder = match Folder::make_plain(self.context, parent, path.clone()) {
            Made::Folder(folder) => Some(folder),
            Made::Skipped | Made::Failed => None,
        };
        self.stack.push(Level { path, folder, skipped: false });
    }

    fn node(&mut self, folder: Arc<Folder<'a>>, entry: Entry) {
        let name = entry.path.name().to_vec();
        self.offer(Node { folder, name, entry });
    }

    /// Gives a node to the workers, unless it is a further name of something that is there or will be.
    fn offer(&mut self, node: Node<'a>) {
        if let Some(link) = node.entry.link {
            match self.context.links.meet(link) {
                State::New => {}
                State::Making => {
                    self.waiting.push(node);
                    if self.waiting.len() >= LINKS_WAITING {
                        self.give_all();
                        self.link_waiting();
                    }
                    return;
                }
                State::Made(first) => {
                    if let Some(node) = node.link_to(self.context, &first) {
                        self.context.links.begin(link);
                        self.add(node);
                    }
                    return;
                }
            }
        }
        self.add(node);
    }

    fn add(&mut self, node: Node<'a>) {
        self.ahead.push(node);
        if self.ahead.is_full() {
            self.give_ahead();
        }
    }

    /// What was looked ahead, to the workers.
    fn give_ahead(&mut self) {
        for node in self.ahead.take(self.context.reader) {
            self.join(node);
        }
    }

    fn give_all(&mut self) {
        self.give_ahead();
        self.give();
    }

    fn join(&mut self, node: Node<'a>) {
        if let Kind::File { size, .. } = &node.entry.kind {
            self.job.bytes += size;
        }
        let same = self.job.nodes.last().is_some_and(|last| Arc::ptr_eq(&last.folder, &node.folder));
        self.job.folders += usize::from(!same);
        self.job.nodes.push(node);
        if self.job.nodes.len() >= JOB_NODES || self.job.bytes >= JOB_BYTES || self.job.folders >= self.job_handles {
            self.give();
        }
    }

    fn give(&mut self) {
        let job = std::mem::take(&mut self.job);
        if !job.nodes.is_empty() && !self.queues.give(job) {
            let what = "every thread that makes files has ended";
            self.context.report.abort(StoreError::Internal(what.to_owned()).into());
        }
    }

    /// Makes the names that waited for the first name of their inode.
    fn link_waiting(&mut self) {
        for node in std::mem::take(&mut self.waiting) {
            let Some(link) = node.entry.link else { continue };
            let first = self.context.links.wait(link, || self.context.is_over());
            let left = match first {
                Some(first) => node.link_to(self.context, &first),
                None => Some(node),
            };
            if let Some(node) = left.filter(|_| !self.context.is_over()) {
                // The first name could not be made: this one is the first now. Further ones find it made or try again.
                self.context.links.begin(link);
                self.add(node);
                self.give_all();
            }
        }
    }
}

/// The paths in order, without those that lie below others.
fn minimal(selection: &[BytePath]) -> Vec<BytePath> {
    let mut sorted = selection.to_vec();
    sorted.sort_by(|a, b| compare(a.as_bytes(), b.as_bytes()));
    let mut kept: Vec<BytePath> = Vec::new();
    for path in sorted {
        if !kept.last().is_some_and(|last| last.contains(&path)) {
            kept.push(path);
        }
    }
    kept
}
