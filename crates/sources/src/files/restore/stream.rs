//! The caller's thread of a restore: entries come in, in path order; directories are made, everything else is given away.

use std::sync::Arc;

use resurgam_model::BytePath;
use resurgam_store::{Entry, Kind, StoreError, TreeReader, TreeRoot, reader::EntriesAhead};

use super::{
    Conflict, Context, Restore, Target,
    ahead::Ahead,
    batch::Batch,
    folder::{Folder, Made},
    links::State,
    minimal,
    node::Node,
    workers::{JOB_BYTES, JOB_NODES, Workers},
};
use crate::error::SourceError;

/// Directories on the way down that are kept open, besides the target.
const KEEP_OPEN: usize = 64;
/// Names of inodes whose first name is still being made, that may wait for it.
const LINKS_WAITING: usize = 64;

/// A directory of the point on the way down.
struct Level<'a> {
    path: BytePath,
    /// Where its entries go; `None`: nowhere, and why was said.
    folder: Option<Arc<Folder<'a>>>,
    /// It was left out because something was there: what is in it counts as skipped.
    skipped: bool,
}

/// The caller's thread: entries in, directories made, everything else given away.
pub(super) struct Stream<'a, 'w> {
    context: &'a Context<'a>,
    root: &'w TreeRoot,
    what: &'w Restore,
    target: Target,
    stack: Vec<Level<'a>>,
    ahead: Ahead<'a>,
    job: Batch<'a>,
    folders_a_job: usize,
    workers: Workers<'a>,
    /// Further names of inodes whose first name is being made.
    waiting: Vec<Node<'a>>,
    /// The last entry read.
    last: BytePath,
    /// What was lost behind it.
    lost: Option<StoreError>,
}

impl<'a, 'w> Stream<'a, 'w> {
    pub(super) fn new(
        context: &'a Context<'a>,
        root: &'w TreeRoot,
        what: &'w Restore,
        target: Target,
        workers: Workers<'a>,
    ) -> Self {
        Self {
            context,
            root,
            what,
            target,
            stack: Vec::new(),
            ahead: Ahead::new(context.reader),
            job: Batch::default(),
            folders_a_job: workers.folders_a_job(),
            workers,
            waiting: Vec::new(),
            last: BytePath::root(),
            lost: None,
        }
    }

    pub(super) fn run(mut self) {
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
            self.job.push(node);
            if self.job.is_full(JOB_NODES, JOB_BYTES, self.folders_a_job) {
                self.give();
            }
        }
    }

    fn give_all(&mut self) {
        self.give_ahead();
        self.give();
    }

    fn give(&mut self) {
        let job = std::mem::take(&mut self.job);
        if !job.nodes.is_empty() && !self.workers.give(job) {
            let what = "every thread that makes files has ended";
            self.context.report.abort(SourceError::internal(what));
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
