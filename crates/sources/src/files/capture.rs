//! Taking a tree into a volume.
//!
//! One thread walks ([`super::walk`]), another goes ahead of it ([`super::scout`]); the caller's thread joins the walk with the previous point, in path order, so that
//! what is unchanged costs a look and nothing else; worker threads read the rest ([`super::item`]); the caller's thread
//! then pushes the entries, in path order again, into the tree.
//!
//! Memory, with N workers: what the scout holds, at most 32 directories; the walk's batches (4 and 2 N + 4 waiting, 512 entries each); for each worker a frame that is
//! filled and one that is compressed; of large files as many pieces, as long as a frame, as there are hands and half as
//! many again, and two or three for each that is read; and of inodes with several names those of which not all names have been met yet. None of it grows
//! with the number of files, but for the last where the other names lie outside of the tree.

use std::{
    collections::{HashMap, VecDeque},
    ffi::CStr,
    path::PathBuf,
    sync::Arc,
    thread::{self, ScopedJoinHandle},
};

use crossbeam_channel::{Receiver, Sender, bounded, select_biased, unbounded};
use resurgam_model::{
    BytePath,
    bytepath::{compare, escape},
    policy::Selection,
    report::{LeftOut, Unread},
};
use resurgam_store::{
    Cancel, Content, Entry, Kind, Meter, Origin, Session, StoreError, TreeReader, TreeRoot, TreeWriter, limits,
};
use rustix::fs::FileType;

use super::{
    filter::Filter,
    item::{Hand, Shared, Taken, Work},
    large::Helpers,
    links::LinkNumbers,
    moment::{Moment, System},
    notes::Notes,
    owners::Names,
    prefetch::prefetch,
    scout::Ahead,
    stat::Stat,
    walk::{Batch, Item, Root, Rules, Walk},
};
use crate::error::SourceError;

/// Directory handles that all batches together may hold.
const BATCH_HANDLES: usize = 384;
/// Bytes of content after which no more items go to the same worker at once: what lies side by side fills a frame.
const JOB_BYTES: u64 = limits::FRAME_TARGET as u64;
/// Batches that the walk may be ahead of the join.
const WALK_AHEAD: usize = 4;

/// What is to be taken.
#[derive(Debug, Clone)]
pub struct Capture {
    /// The root: a directory, or one thing of any other kind. A symbolic link to a directory means that directory, any
    /// other link is itself what is taken.
    pub root: PathBuf,
    /// What is left out.
    pub selection: Selection,
    /// Directories that are kept empty, whatever the selection says.
    pub never_entered: Vec<NeverEntered>,
    /// Worker threads; 0: as many as there are processors.
    pub threads: usize,
}

/// A directory that is kept without what is in it, such as a volume of the storage pool.
#[derive(Debug, Clone)]
pub struct NeverEntered {
    /// Number of its device, as `stat` gives it.
    pub device: u64,
    /// Its inode number.
    pub inode: u64,
    /// What it is, as in "it is …".
    pub reason: String,
}

/// What was taken.
#[derive(Debug)]
pub struct Captured {
    /// The entries, ready to be committed.
    pub root: TreeRoot,
    /// Items that are not in the point, or not as they were at one moment.
    pub unread: Vec<Unread>,
    /// Items that were left out on purpose, other than by globs.
    pub left_out: Vec<LeftOut>,
    /// Entries that were taken over from the previous point without being opened.
    pub unchanged: u64,
}

/// Takes the tree below `what.root` into the volume, reading only what changed since `previous`.
///
/// # Errors
/// Where the root cannot be reached or is left out itself, a glob cannot be understood, the volume fails, or `cancel` was
/// set. What concerns single items is named in the result instead.
pub fn capture(
    session: &Session,
    previous: Option<TreeReader<'_>>,
    what: &Capture,
    meter: &Meter,
    cancel: &Cancel,
) -> Result<Captured, SourceError> {
    capture_at(session, previous, what, meter, cancel, &System)
}

/// [`capture`] by another clock.
pub(crate) fn capture_at(
    session: &Session,
    previous: Option<TreeReader<'_>>,
    what: &Capture,
    meter: &Meter,
    cancel: &Cancel,
    moment: &dyn Moment,
) -> Result<Captured, SourceError> {
    let threads = match what.threads {
        0 => thread::available_parallelism().map_or(2, usize::from),
        given => given,
    };
    let pending_max = 2 * threads + 4;
    let root = open_root(what)?;
    let rules = rules_of(what, root.stat.device, pending_max)?;
    let notes = Notes::new(&what.root);
    let names = Names::of_this_machine();
    let links = LinkNumbers::new(root.stat.device);
    let reader = previous.as_ref().map(TreeReader::reader);
    let shared = Shared { session, notes: &notes, names, links, meter, cancel, moment, previous: reader };
    let stop = Cancel::default();
    let ahead = Ahead::default();
    let (tree_root, unchanged) = thread::scope(|scope| {
        let (walked, batches) = bounded(WALK_AHEAD);
        let walk = Walk::new(&rules, &notes, cancel, &ahead, walked);
        let walker = scope.spawn(move || walk.run(root));
        let scout = scope.spawn(|| ahead.scout(&rules));
        let (jobs, offered_jobs) = bounded(threads);
        let (done, results) = unbounded();
        let helpers = Helpers::new(threads);
        let mut workers = Vec::with_capacity(threads);
        for _ in 0..threads {
            let hand = Hand::new(&shared, helpers.clone())?;
            let (stop, jobs, done) = (&stop, offered_jobs.clone(), done.clone());
            workers.push(scope.spawn(move || work(hand, stop, &jobs, &done)));
        }
        drop((done, offered_jobs));
        let late_results: Receiver<Done> = results.clone();
        let collector = Collector {
            shared: &shared,
            tree: session.tree()?,
            previous: Previous::new(previous),
            jobs,
            results,
            pending: VecDeque::new(),
            pending_first: 0,
            pending_max,
            several_names: HashMap::new(),
            spare_hand: None,
            helpers,
            unchanged: 0,
        };
        let collected = collector.run(&batches);
        if collected.is_err() {
            stop.cancel();
        }
        drop(batches);
        let (walked, scouted) = (walker.join(), scout.join());
        let worked = finish(workers);
        let collected = collected.map_err(|error| first_cause(error, &late_results))?;
        worked?;
        match (walked, scouted) {
            (Ok(Ok(())), Ok(())) => Ok(collected),
            _ if cancel.is_cancelled() => Err(SourceError::Cancelled),
            _ => Err(internal("the thread that walks the tree ended early")),
        }
    })?;
    let (unread, left_out) = notes.into_reports();
    Ok(Captured { root: tree_root, unread, left_out, unchanged })
}

fn rules_of(what: &Capture, root_device: u64, pending_max: usize) -> Result<Rules<'_>, SourceError> {
    Ok(Rules {
        filter: Filter::new(&what.selection)?,
        exclude_caches: what.selection.exclude_caches,
        cross_file_systems: what.selection.cross_file_systems,
        root_device,
        never_entered: &what.never_entered,
        batch_handles: (BATCH_HANDLES / (pending_max + WALK_AHEAD + 2)).clamp(1, 32),
    })
}

fn open_root(what: &Capture) -> Result<Root, SourceError> {
    let shown = escape(what.root.as_os_str().as_encoded_bytes());
    let root = Root::open(&what.root).map_err(|source| SourceError::Root { path: shown.clone(), source })?;
    let left_out = what.never_entered.iter().find(|n| (n.device, n.inode) == root.stat.identity());
    match left_out {
        Some(never) => Err(SourceError::RootLeftOut { path: shown, reason: never.reason.clone() }),
        None => Ok(root),
    }
}

/// When the volume fails one thread is told why, and the others only that it is over: whichever came first, why it is.
fn first_cause(error: SourceError, late_results: &Receiver<Done>) -> SourceError {
    let is_echo = |e: &SourceError| matches!(e, SourceError::Store(StoreError::Cancelled));
    if !is_echo(&error) {
        return error;
    }
    late_results.try_iter().filter_map(|done| done.result.err()).find(|e| !is_echo(e)).unwrap_or(error)
}

fn internal(what: &str) -> SourceError {
    StoreError::Internal(what.to_owned()).into()
}

fn finish(workers: Vec<ScopedJoinHandle<'_, Result<(), SourceError>>>) -> Result<(), SourceError> {
    let mut result = Ok(());
    for worker in workers {
        let ended = worker.join().unwrap_or_else(|_| Err(internal("a thread that reads files ended early")));
        result = result.and(ended);
    }
    result
}

/// Work for one worker: items of one batch that follow one another, with their places there.
struct Job {
    batch: u64,
    works: Vec<(usize, Work)>,
}

/// What became of an item of a batch.
struct Done {
    batch: u64,
    place: usize,
    result: Result<Option<Taken>, SourceError>,
}

/// Tells whoever collects that this thread has ended by a panic: he would wait for its results for ever.
struct Alarm<'a>(&'a Sender<Done>);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let result = Err(internal("a thread that reads files ended early"));
            let _ = self.0.send(Done { batch: u64::MAX, place: 0, result });
        }
    }
}

/// A worker's life: jobs as they come, and pieces of large files before them, since somebody waits for those.
fn work(mut hand: Hand<'_>, stop: &Cancel, jobs: &Receiver<Job>, done: &Sender<Done>) -> Result<(), SourceError> {
    let _alarm = Alarm(done);
    let pieces = hand.helpers.offered.clone();
    loop {
        select_biased! {
            recv(pieces) -> piece => {
                if let Ok(piece) = piece {
                    hand.help(piece);
                }
            }
            recv(jobs) -> job => {
                let Ok(job) = job else { break };
                prefetch(job.works.iter().map(|(_, work)| work));
                for (place, work) in job.works {
                    if stop.is_cancelled() {
                        return Ok(());
                    }
                    let result = hand.take(&work);
                    // Whoever collects has met an error and gone: then there is no more to do.
                    if done.send(Done { batch: job.batch, place, result }).is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }
    hand.flush()?;
    Ok(())
}

/// An item's place in a batch that is not finished.
enum Slot {
    /// The entry is there; if it is just what the previous point has, from where in it.
    Ready(Box<Entry>, Option<Origin>),
    /// A worker has it; if it is the first name of an inode with several, which one.
    Waiting(Option<(u64, u64)>),
    /// Another name of an inode that stands before it.
    SameAs((u64, u64), Box<Work>),
    /// It could not be read.
    Nothing,
}

/// A batch whose items are being read.
struct Pending {
    slots: Vec<Slot>,
    waiting: usize,
}

/// An inode with several names.
struct Several {
    /// Names that have not been met.
    names_left: u32,
    /// What its first name gave, once it was read.
    entry: Option<Box<Entry>>,
}

/// The previous point, one entry ahead.
struct Previous<'a> {
    reader: Option<TreeReader<'a>>,
    next: Option<(Entry, Option<Origin>)>,
}

impl<'a> Previous<'a> {
    fn new(reader: Option<TreeReader<'a>>) -> Self {
        let mut previous = Self { reader, next: None };
        previous.advance();
        previous
    }

    /// Pages that cannot be read are passed over: what they held is read from the source again.
    fn advance(&mut self) {
        self.next = self.reader.as_mut().and_then(|r| Some((r.find_map(Result::ok)?, r.origin())));
    }

    /// The previous point's entry for an item, if it has one.
    fn find(&mut self, batch: &Batch, item: &Item, path: &mut Vec<u8>) -> Option<(Entry, Option<Origin>)> {
        let mut path_known = false;
        loop {
            let (candidate, _) = self.next.as_ref()?;
            if batch.is_path_of(item, candidate.path.as_bytes()) {
                let found = self.next.take();
                self.advance();
                return found;
            }
            if !path_known {
                batch.path_of(item, path);
                path_known = true;
            }
            if compare(candidate.path.as_bytes(), path).is_gt() {
                return None;
            }
            self.advance();
        }
    }
}

/// Whether the entry can be taken over: nothing that `stat` can show has changed since it was read.
fn is_unchanged(entry: &Entry, stat: &Stat) -> bool {
    let same_kind = match &entry.kind {
        Kind::File { size, .. } => stat.kind == FileType::RegularFile && *size == stat.size,
        Kind::Directory => stat.kind == FileType::Directory,
        Kind::Symlink { .. } => stat.kind == FileType::Symlink,
        Kind::Fifo => stat.kind == FileType::Fifo,
        Kind::Socket => stat.kind == FileType::Socket,
        Kind::CharacterDevice { major, minor } => {
            stat.kind == FileType::CharacterDevice && stat.stands_for == (*major, *minor)
        }
        Kind::BlockDevice { major, minor } => stat.kind == FileType::BlockDevice && stat.stands_for == (*major, *minor),
    };
    same_kind
        && entry.seen.inode == stat.inode
        && entry.seen.changed == stat.changed
        && entry.modified == stat.modified
        && (entry.mode, entry.owner.uid, entry.owner.gid) == (stat.mode, stat.uid, stat.gid)
        && !entry.seen.racy
        && !entry.torn
}

struct Collector<'a> {
    shared: &'a Shared<'a>,
    tree: TreeWriter<'a>,
    previous: Previous<'a>,
    jobs: Sender<Job>,
    results: Receiver<Done>,
    /// Batches that are not finished, in order.
    pending: VecDeque<Pending>,
    /// Number of the first of them.
    pending_first: u64,
    pending_max: usize,
    several_names: HashMap<(u64, u64), Several>,
    /// For what must be read out of turn.
    spare_hand: Option<Hand<'a>>,
    helpers: Helpers,
    unchanged: u64,
}

impl Collector<'_> {
    fn run(mut self, batches: &Receiver<Batch>) -> Result<(TreeRoot, u64), SourceError> {
        loop {
            let walked = if self.pending.len() < self.pending_max {
                select_biased! {
                    recv(self.results) -> done => {
                        self.accept(done.map_err(|_| internal("every thread that reads files has ended"))?)?;
                        continue;
                    }
                    recv(batches) -> batch => batch,
                }
            } else {
                let done = self.results.recv().map_err(|_| internal("every thread that reads files has ended"))?;
                self.accept(done)?;
                continue;
            };
            match walked {
                Ok(batch) => self.join(batch)?,
                Err(_) => break,
            }
        }
        // A single large file may be all that is left: the workers stay, to help with it.
        while !self.pending.is_empty() {
            let done = self.results.recv().map_err(|_| internal("every thread that reads files has ended"))?;
            self.accept(done)?;
        }
        if self.shared.cancel.is_cancelled() {
            return Err(SourceError::Cancelled);
        }
        if let Some(hand) = &mut self.spare_hand {
            hand.flush()?;
        }
        Ok((self.tree.finish()?, self.unchanged))
    }

    /// Joins a batch with the previous point and gives away what must be read.
    fn join(&mut self, mut batch: Batch) -> Result<(), SourceError> {
        let number = self.pending_first + self.pending.len() as u64;
        let mut pending = Pending { slots: Vec::with_capacity(batch.items.len()), waiting: 0 };
        let mut path = Vec::new();
        let mut job = Job { batch: number, works: Vec::new() };
        let mut job_bytes = 0;
        let items = std::mem::take(&mut batch.items);
        for item in items {
            let mut content = None;
            match self.previous.find(&batch, &item, &mut path) {
                Some((entry, origin))
                    if !item.incomplete && is_unchanged(&entry, &item.stat) && self.is_stored(&entry)? =>
                {
                    self.take_over(entry, origin, &item.stat, &mut pending)?;
                    continue;
                }
                Some((Entry { kind: Kind::File { size, content: was }, .. }, _))
                    if !matches!(was, Content::Inline(_)) =>
                {
                    content = Some((size, was));
                }
                _ => {}
            }
            batch.path_of(&item, &mut path);
            let Some(mut work) = self.work_of(&batch, item, &path) else { continue };
            work.previous = content;
            let several = work.stat.links > 1 && work.stat.kind != FileType::Directory;
            let identity = work.stat.identity();
            if several && self.is_known(&work.stat) {
                pending.slots.push(Slot::SameAs(identity, Box::new(work)));
                continue;
            }
            job_bytes += if work.stat.kind == FileType::RegularFile { work.stat.size } else { 0 };
            job.works.push((pending.slots.len(), work));
            pending.slots.push(Slot::Waiting(several.then_some(identity)));
            pending.waiting += 1;
            if job_bytes >= JOB_BYTES {
                self.give(&mut job)?;
                job_bytes = 0;
            }
        }
        self.give(&mut job)?;
        self.pending.push_back(pending);
        self.push_finished()
    }

    /// Whether the volume still has all of an entry's content. What damage has taken is read from the source again, and so
    /// mended in every point that refers to it.
    fn is_stored(&self, entry: &Entry) -> Result<bool, SourceError> {
        let reader = self.previous.reader.as_ref().map(|previous| previous.reader());
        match (&entry.kind, reader) {
            (Kind::File { content: Content::Inline(_), .. }, _) => Ok(true),
            (Kind::File { content, .. }, Some(reader)) => Ok(self.shared.session.has(reader, content)?),
            _ => Ok(true),
        }
    }

    /// An unchanged entry: straight into the tree if nothing before it is still to come.
    fn take_over(
        &mut self,
        mut entry: Entry,
        origin: Option<Origin>,
        stat: &Stat,
        pending: &mut Pending,
    ) -> Result<(), SourceError> {
        self.unchanged += 1;
        let renamed = self.shared.names.refresh(&mut entry.owner);
        let several_names = stat.links > 1 && stat.kind != FileType::Directory;
        let link = several_names.then(|| self.shared.links.of(stat.identity()));
        let origin = origin.filter(|_| !renamed && link == entry.link);
        entry.link = link;
        if self.pending.is_empty() && pending.slots.is_empty() {
            return self.push(entry, origin);
        }
        pending.slots.push(Slot::Ready(Box::new(entry), origin));
        Ok(())
    }

    fn work_of(&self, batch: &Batch, item: Item, path: &[u8]) -> Option<Work> {
        let name: &CStr = batch.name(&item);
        let path = match BytePath::new(path.to_vec()) {
            Ok(path) => path,
            Err(error) => {
                self.shared.notes.unread(path, error.to_string());
                return None;
            }
        };
        let dir = Arc::clone(&batch.dirs.get(item.dir)?.handle);
        let Item { stat, own, incomplete, .. } = item;
        Some(Work { path, dir, name: name.to_owned(), stat, own, incomplete, previous: None })
    }

    /// Whether a name of this inode was met before; if not, it is now.
    fn is_known(&mut self, stat: &Stat) -> bool {
        match self.several_names.get_mut(&stat.identity()) {
            Some(several) => {
                several.names_left = several.names_left.saturating_sub(1);
                true
            }
            None => {
                let several = Several { names_left: stat.links - 1, entry: None };
                self.several_names.insert(stat.identity(), several);
                false
            }
        }
    }

    fn give(&mut self, job: &mut Job) -> Result<(), SourceError> {
        if job.works.is_empty() {
            return Ok(());
        }
        let full = Job { batch: job.batch, works: std::mem::take(&mut job.works) };
        self.jobs.send(full).map_err(|_| internal("every thread that reads files has ended"))
    }

    fn accept(&mut self, done: Done) -> Result<(), SourceError> {
        let taken = done.result?;
        let index = usize::try_from(done.batch - self.pending_first).unwrap_or(usize::MAX);
        let Some(pending) = self.pending.get_mut(index) else { return Ok(()) };
        pending.waiting -= 1;
        let slot = &mut pending.slots[done.place];
        let first_of = if let Slot::Waiting(first_of) = slot { *first_of } else { None };
        *slot = match taken {
            Some(taken) => {
                if let Some(identity) = first_of.filter(|&i| i == taken.identity)
                    && let Some(several) = self.several_names.get_mut(&identity)
                {
                    several.entry = Some(Box::new(taken.entry.clone()));
                }
                Slot::Ready(Box::new(taken.entry), None)
            }
            None => Slot::Nothing,
        };
        if pending.waiting == 0 { self.push_finished() } else { Ok(()) }
    }

    /// Pushes the batches at the front that are finished.
    fn push_finished(&mut self) -> Result<(), SourceError> {
        while self.pending.front().is_some_and(|p| p.waiting == 0) {
            let Some(pending) = self.pending.pop_front() else { break };
            self.pending_first += 1;
            for slot in pending.slots {
                match slot {
                    Slot::Ready(entry, origin) => self.push(*entry, origin)?,
                    Slot::SameAs(identity, work) => self.push_same(identity, &work)?,
                    Slot::Waiting(_) | Slot::Nothing => {}
                }
            }
        }
        Ok(())
    }

    /// A further name of an inode. Its first name stands before it and so is finished.
    fn push_same(&mut self, identity: (u64, u64), work: &Work) -> Result<(), SourceError> {
        let several = self.several_names.get(&identity);
        let known = several.and_then(|s| s.entry.as_deref()).map(|e| Entry { path: work.path.clone(), ..e.clone() });
        if several.is_some_and(|s| s.names_left == 0) {
            self.several_names.remove(&identity);
        }
        if let Some(entry) = known {
            return self.push(entry, None);
        }
        // The first name could not be read, or is another inode's by now.
        let (shared, helpers) = (self.shared, &self.helpers);
        let mut hand = match self.spare_hand.take() {
            Some(hand) => hand,
            None => Hand::new(shared, helpers.clone())?,
        };
        let taken = hand.take(work)?;
        self.spare_hand = Some(hand);
        match taken {
            Some(taken) => self.push(taken.entry, None),
            None => Ok(()),
        }
    }

    /// Counts an entry and adds it to the tree. Where it is just what the previous point has, `origin` says where in it.
    fn push(&mut self, mut entry: Entry, mut origin: Option<Origin>) -> Result<(), SourceError> {
        self.shared.meter.entries.add(1);
        if let Kind::File { size, content } = &mut entry.kind {
            self.shared.meter.bytes.add(*size);
            if let Content::Extents(extents) = content
                && extents.len() > limits::EXTENTS_INLINE
            {
                *content = self.tree.content(std::mem::take(extents))?;
                origin = None;
            }
        }
        match origin {
            Some(origin) => Ok(self.tree.push_same(entry, origin)?),
            None => Ok(self.tree.push(&entry)?),
        }
    }
}
