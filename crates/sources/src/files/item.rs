//! From an item that the walk saw to an entry of a recovery point: the work of one hand, that is, of one thread.

use std::{ffi::CString, io, sync::Arc};

use resurgam_model::BytePath;
use resurgam_store::{
    Cancel, Content, Entry, Extent, Kind, Lane, Meter, Reader, Seen, Session, StoreError, Xattr,
    tree::region::RegionWriter,
};
use rustix::fs::FileType;

use super::{
    attributes::{
        flags_of, proc_path,
        read::{Place, XattrReader},
    },
    handle::{Dir, is_gone, is_other_kind, open_directory},
    large::Helpers,
    links::LinkNumbers,
    moment::{Moment, is_racy},
    notes::Notes,
    owners::Names,
    stat::Stat,
};
use crate::error::SourceError;

/// How often an item that changes while it is read is read before it is taken as torn.
pub(crate) const ATTEMPTS: usize = 3;

/// What all hands of a capture share.
pub(crate) struct Shared<'a> {
    pub(crate) session: &'a Session,
    pub(crate) notes: &'a Notes,
    pub(crate) names: Names,
    pub(crate) links: LinkNumbers,
    pub(crate) meter: &'a Meter,
    pub(crate) cancel: &'a Cancel,
    pub(crate) moment: &'a dyn Moment,
    /// What the previous point is read from.
    pub(crate) previous: Option<&'a Reader>,
}

/// An item that has to be looked into.
pub(crate) struct Work {
    pub(crate) path: BytePath,
    pub(crate) dir: Arc<Dir>,
    pub(crate) name: CString,
    pub(crate) stat: Stat,
    /// For a directory that was entered: its own handle.
    pub(crate) own: Option<Arc<Dir>>,
    /// A directory whose names could not all be read.
    pub(crate) incomplete: bool,
    /// Of a file whose content the previous point has in blobs: its size then, and its content.
    pub(crate) previous: Option<(u64, Content)>,
}

/// What became of it.
pub(crate) struct Taken {
    pub(crate) entry: Entry,
    /// The inode that was read in the end.
    pub(crate) identity: (u64, u64),
}

/// One attempt to read an item.
pub(crate) enum Attempt {
    /// Read, and the inode was the same before and after.
    Whole(Reading),
    /// Read, and the inode was changed meanwhile. What was read is not of one moment.
    Changed(Reading),
    /// The name belongs to another inode, or to something of another kind.
    Replaced,
}

/// What an attempt brought.
pub(crate) struct Reading {
    /// The inode as it was when the reading ended.
    pub(crate) stat: Stat,
    pub(crate) kind: Kind,
    pub(crate) xattrs: Vec<Xattr>,
    pub(crate) flags: u32,
    /// Attributes that could not be read.
    pub(crate) faults: Vec<String>,
    /// A later change might not show in the times.
    pub(crate) racy: bool,
}

/// Why an attempt failed: the source's fault, which concerns this item only, or the store's, which ends the job.
pub(crate) enum Failure {
    Source(io::Error),
    Job(SourceError),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Source(error)
    }
}

impl From<rustix::io::Errno> for Failure {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Source(error.into())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Job(error.into())
    }
}

/// One thread's means: its lane into the volume and its buffers.
pub(crate) struct Hand<'a> {
    pub(crate) shared: &'a Shared<'a>,
    pub(crate) lane: Lane<'a>,
    pub(crate) xattrs: XattrReader,
    /// For small files.
    pub(crate) buffer: Vec<u8>,
    /// For files that change in place.
    regions: Option<RegionWriter<'a>>,
    pub(crate) helpers: Helpers,
}

impl<'a> Hand<'a> {
    pub(crate) fn new(shared: &'a Shared<'a>, helpers: Helpers) -> Result<Self, StoreError> {
        let lane = shared.session.lane()?;
        Ok(Self { shared, lane, xattrs: XattrReader::new(), buffer: Vec::new(), regions: None, helpers })
    }

    pub(crate) fn region_writer(&mut self) -> Result<&mut RegionWriter<'a>, StoreError> {
        let writer = match self.regions.take() {
            Some(writer) => writer,
            None => self.shared.session.regions()?,
        };
        Ok(self.regions.insert(writer))
    }

    /// Sends on its way what is still in hand. Call it before the hand is dropped.
    pub(crate) fn flush(&mut self) -> Result<(), StoreError> {
        self.lane.flush()?;
        self.regions.as_mut().map_or(Ok(()), RegionWriter::flush)
    }

    /// Reads one item. `None`: it has been named as unread or gone.
    ///
    /// # Errors
    /// Only those of the volume, and the wish to stop.
    pub(crate) fn take(&mut self, work: &Work) -> Result<Option<Taken>, SourceError> {
        self.shared.moment.opening(&work.path);
        let mut stat = work.stat;
        let mut torn = None;
        for _ in 0..ATTEMPTS {
            if self.shared.cancel.is_cancelled() {
                return Err(SourceError::Cancelled);
            }
            let looked_again = match self.attempt(work, &stat) {
                Ok(Attempt::Whole(reading)) => return Ok(Some(self.taken(work, reading, false))),
                Ok(Attempt::Changed(reading)) => {
                    torn = Some(reading);
                    Stat::at(&work.dir.fd, &work.name)
                }
                Ok(Attempt::Replaced) => Stat::at(&work.dir.fd, &work.name),
                Err(Failure::Job(error)) => return Err(error),
                Err(Failure::Source(error)) if is_gone(&error) || is_other_kind(&error) => {
                    Stat::at(&work.dir.fd, &work.name)
                }
                Err(Failure::Source(error)) => {
                    self.shared.notes.unread(work.path.as_bytes(), error.to_string());
                    return Ok(None);
                }
            };
            match looked_again {
                Ok(now) if now.kind == FileType::Directory && stat.kind != FileType::Directory => {
                    let what = "it became a directory while it was read; the next backup takes what is in it";
                    self.shared.notes.unread(work.path.as_bytes(), what);
                    return Ok(None);
                }
                Ok(now) => stat = now,
                Err(error) if is_gone(&error) => {
                    self.shared.notes.left_out(work.path.as_bytes(), "it was removed before it could be read");
                    return Ok(None);
                }
                Err(error) => {
                    self.shared.notes.unread(work.path.as_bytes(), error.to_string());
                    return Ok(None);
                }
            }
        }
        let Some(reading) = torn else {
            self.shared.notes.unread(work.path.as_bytes(), "it was replaced each time that it was opened");
            return Ok(None);
        };
        let what = "it changed each time that it was read; what is stored is not its content at any one moment";
        self.shared.notes.unread(work.path.as_bytes(), what);
        Ok(Some(self.taken(work, reading, true)))
    }

    fn attempt(&mut self, work: &Work, stat: &Stat) -> Result<Attempt, Failure> {
        match stat.kind {
            FileType::RegularFile => self.read_file(work, stat),
            FileType::Directory => self.read_directory(work, stat),
            _ => self.read_other(work, stat),
        }
    }

    /// Attributes of a directory; its names are the walk's business.
    fn read_directory(&mut self, work: &Work, stat: &Stat) -> Result<Attempt, Failure> {
        let opened;
        let dir = match &work.own {
            Some(own) => &own.fd,
            // Not entered. Opening it may be forbidden, or mount something over it: then what can be had by name is had.
            None => match open_directory(&work.dir.fd, &work.name) {
                Ok(fd) if Stat::of(&fd)?.identity() == stat.identity() => {
                    opened = fd;
                    &opened
                }
                _ => return self.read_other(work, stat),
            },
        };
        let mut faults = Vec::new();
        let xattrs = self.xattrs.read(&Place::Open(rustix::fd::AsFd::as_fd(dir)), &mut faults);
        let flags = flags_of(dir);
        // Entries come and go in a directory while it is read: that is no change of the directory's own attributes.
        let now = Stat::of(dir)?;
        if now.identity() != stat.identity() {
            return Ok(Attempt::Replaced);
        }
        let racy = is_racy(self.shared.moment, now.changed);
        Ok(Attempt::Whole(Reading { stat: now, kind: Kind::Directory, xattrs, flags, faults, racy }))
    }

    /// Links, fifos, sockets and devices: nothing is opened.
    fn read_other(&mut self, work: &Work, stat: &Stat) -> Result<Attempt, Failure> {
        let (major, minor) = stat.stands_for;
        let kind = match stat.kind {
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&work.dir.fd, &work.name, Vec::new());
                match target {
                    Ok(target) => Kind::Symlink { target: target.into_bytes() },
                    Err(rustix::io::Errno::INVAL) => return Ok(Attempt::Replaced),
                    Err(error) => return Err(error.into()),
                }
            }
            FileType::Fifo => Kind::Fifo,
            FileType::Socket => Kind::Socket,
            FileType::CharacterDevice => Kind::CharacterDevice { major, minor },
            FileType::BlockDevice => Kind::BlockDevice { major, minor },
            FileType::Directory => Kind::Directory,
            FileType::RegularFile | FileType::Unknown => return Ok(Attempt::Replaced),
        };
        let place = Place::Path(proc_path(&work.dir.fd, Some(work.name.to_bytes())));
        let mut faults = Vec::new();
        let xattrs = self.xattrs.read(&place, &mut faults);
        let now = Stat::at(&work.dir.fd, &work.name)?;
        if now.identity() != stat.identity() || now.kind != stat.kind {
            return Ok(Attempt::Replaced);
        }
        let racy = is_racy(self.shared.moment, now.changed);
        let same = now.is_same_state(stat) || kind == Kind::Directory;
        let reading = Reading { stat: now, kind, xattrs, flags: 0, faults, racy };
        // A link's target cannot change, but the attributes just read may be those of before and after.
        Ok(if same { Attempt::Whole(reading) } else { Attempt::Changed(reading) })
    }

    fn taken(&self, work: &Work, reading: Reading, torn: bool) -> Taken {
        let Reading { stat, kind, xattrs, flags, faults, racy } = reading;
        let incomplete_attributes = !faults.is_empty();
        for fault in faults {
            self.shared.notes.unread(work.path.as_bytes(), fault);
        }
        let several_names = stat.links > 1 && kind != Kind::Directory;
        let entry = Entry {
            path: work.path.clone(),
            kind,
            mode: stat.mode,
            owner: self.shared.names.owner(stat.uid, stat.gid),
            modified: stat.modified,
            xattrs,
            flags,
            link: several_names.then(|| self.shared.links.of(stat.identity())),
            // An attribute that could not be read now shall be tried again, whatever the times say then.
            seen: Seen { inode: stat.inode, changed: stat.changed, racy: racy || incomplete_attributes },
            torn: torn || work.incomplete,
        };
        Taken { entry, identity: stat.identity() }
    }
}

/// The content of a file that lies in one blob.
pub(crate) fn whole(blob: resurgam_store::BlobId, length: usize) -> Content {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    Content::Extents(vec![Extent::Data { blob, offset: 0, length }])
}
