//! What is done in the order of paths: each batch of the walk is joined with the previous point, what must be read goes to
//! the workers, and what they made of it is pushed into the tree.

use std::{
    collections::{HashMap, VecDeque},
    ffi::CStr,
    sync::Arc,
};

use crossbeam_channel::{Receiver, Sender, select_biased};
use resurgam_model::BytePath;
use resurgam_store::{Content, Entry, Kind, Origin, TreeRoot, TreeWriter, limits};
use rustix::fs::FileType;

use super::{
    item::{Hand, Shared, Work},
    large::Helpers,
    previous::{Previous, is_unchanged},
    stat::Stat,
    walk::{Batch, Item},
    workers::{Done, Job},
};
use crate::error::SourceError;

/// Bytes of content after which no more items go to the same worker at once: what lies side by side fills a frame.
const JOB_BYTES: u64 = limits::FRAME_TARGET as u64;

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

fn workers_gone<E>(_: E) -> SourceError {
    SourceError::internal("every thread that reads files has ended")
}

/// The caller's thread at its work.
pub(super) struct Collector<'a> {
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

impl<'a> Collector<'a> {
    /// Of batches, at most `pending_max` are not finished at a time.
    pub(super) fn new(
        shared: &'a Shared<'a>,
        helpers: Helpers,
        previous: Previous<'a>,
        jobs: Sender<Job>,
        results: Receiver<Done>,
        pending_max: usize,
    ) -> Result<Self, SourceError> {
        Ok(Self {
            shared,
            tree: shared.session.tree()?,
            previous,
            jobs,
            results,
            pending: VecDeque::new(),
            pending_first: 0,
            pending_max,
            several_names: HashMap::new(),
            spare_hand: None,
            helpers,
            unchanged: 0,
        })
    }

    /// Works until the walk has ended and everything it saw is in the tree. Also says how many entries were taken over
    /// from the previous point.
    pub(super) fn run(mut self, batches: &Receiver<Batch>) -> Result<(TreeRoot, u64), SourceError> {
        loop {
            let walked = if self.pending.len() < self.pending_max {
                select_biased! {
                    recv(self.results) -> done => {
                        self.accept(done.map_err(workers_gone)?)?;
                        continue;
                    }
                    recv(batches) -> batch => batch,
                }
            } else {
                let done = self.results.recv().map_err(workers_gone)?;
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
            let done = self.results.recv().map_err(workers_gone)?;
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
        match (&entry.kind, self.shared.previous) {
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
        self.jobs.send(full).map_err(workers_gone)
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
