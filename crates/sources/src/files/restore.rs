//! Putting a recovery point, or parts of it, back into a directory.
//!
//! The caller's thread reads the entries in path order and makes directories as it meets them ([`stream`]); worker threads
//! ([`workers`]) make everything else ([`node`]), each file under a private name until it is whole. A directory gets its
//! own attributes when the last thing inside it is done ([`folder`]).
//!
//! Files are made in the order of the frames that they lie in, as far as is looked ahead: so a frame is opened once for all
//! that is in it, and not again for a file that an earlier point or another directory had already.
//!
//! Memory: the directories on the way down, what is looked ahead, the batches that wait for workers, and one path for each
//! inode with several names.

mod ahead;
mod batch;
mod fill;
mod folder;
mod leftovers;
mod links;
mod node;
mod place;
mod precheck;
mod report;
mod stream;
mod workers;

use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use resurgam_model::{
    BytePath,
    bytepath::{compare, escape},
    report::Unproved,
};
use resurgam_store::{Cancel, Entry, Meter, Reader, TreeReader, TreeRoot};
use rustix::fs::{Mode, OFlags};

use self::{links::Links, report::Report, stream::Stream, workers::Workers};
use super::{handle::Dir, listing::Listing, owners::Numbers};
use crate::error::SourceError;

/// Directory handles that all jobs together may hold; and as many may be held by what is looked ahead.
const JOB_HANDLES: usize = 192;

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
    reader.expect_threads(threads);
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
        let workers = Workers::start(scope, &context, threads);
        Stream::new(&context, root, what, target, workers).run();
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
