//! Taking a tree into a volume.
//!
//! One thread walks ([`super::walk`]), another goes ahead of it ([`super::scout`]); the caller's thread joins the walk with
//! the previous point, in path order, so that what is unchanged costs a look and nothing else; worker threads read the rest
//! ([`super::workers`]); the caller's thread then pushes the entries, in path order again, into the tree
//! ([`super::collector`]).
//!
//! Memory, with N workers: what the scout holds, at most 32 directories; the walk's batches (4 and 2 N + 4 waiting, 512
//! entries each); for each worker a frame that is filled and one that is compressed; of large files as many pieces, as long
//! as a frame, as there are hands and half as many again, and two or three for each that is read; and of inodes with several
//! names those of which not all names have been met yet. None of it grows with the number of files, but for the last where
//! the other names lie outside of the tree.

use std::{path::PathBuf, thread};

use crossbeam_channel::{Receiver, bounded};
use resurgam_model::{
    bytepath::escape,
    policy::Selection,
    report::{LeftOut, Unread},
};
use resurgam_store::{Cancel, Meter, Session, StoreError, TreeReader, TreeRoot};

use super::{
    collector::Collector,
    filter::Filter,
    item::Shared,
    large::Helpers,
    links::LinkNumbers,
    moment::{Moment, System},
    notes::Notes,
    owners::Names,
    previous::Previous,
    scout::Ahead,
    walk::{Root, Rules, Walk},
    workers::{Done, Workers},
};
use crate::error::SourceError;

/// Directory handles that all batches together may hold.
const BATCH_HANDLES: usize = 384;
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
        let helpers = Helpers::new(threads);
        let (workers, jobs, results) = Workers::start(scope, threads, &shared, &helpers, &stop)?;
        let late_results = results.clone();
        let previous = Previous::new(previous);
        let collector = Collector::new(&shared, helpers, previous, jobs, results, pending_max)?;
        let collected = collector.run(&batches);
        if collected.is_err() {
            stop.cancel();
        }
        drop(batches);
        let (walked, scouted) = (walker.join(), scout.join());
        let worked = workers.finish();
        let collected = collected.map_err(|error| first_cause(error, &late_results))?;
        worked?;
        match (walked, scouted) {
            (Ok(Ok(())), Ok(())) => Ok(collected),
            _ if cancel.is_cancelled() => Err(SourceError::Cancelled),
            _ => Err(SourceError::internal("the thread that walks the tree ended early")),
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
