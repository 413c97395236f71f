//! Making everything that is not a directory; it gets its name when it is whole.

use std::{
    ffi::CString,
    io,
    sync::{Arc, atomic::Ordering},
};

use resurgam_store::{Content, Entry, Kind};
use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{AtFlags, FileType, Mode, OFlags},
    io::Errno,
};

use super::{
    Conflict, Context,
    fill::{Fault, Piece, Pieces, fill, help},
    folder::{Folder, fatal},
    links::First,
    place::{Finished, Placed, c_name, place},
};
use crate::files::{
    attributes::{
        SEALING,
        set::{Handle, apply, apply_while_empty, set_flags},
    },
    stat::Stat,
};

/// How many private names are tried if others are left over from a restore that was killed.
const NAMES_TRIED: usize = 10_000;

/// An entry with its place in the target.
pub(super) struct Node<'a> {
    pub(super) folder: Arc<Folder<'a>>,
    pub(super) name: Vec<u8>,
    pub(super) entry: Entry,
}

/// One thread's means.
pub(super) struct Maker<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) pieces: Pieces,
}

/// What was made, before it has its name.
enum Inode {
    /// A file; `None`: it has no name at all.
    File(OwnedFd, Option<Vec<u8>>),
    /// Anything else, under a private name.
    Other(OwnedFd, Vec<u8>),
}

impl Inode {
    fn handle(&self) -> Handle<'_> {
        match self {
            Self::File(file, _) => Handle::Open(file.as_fd()),
            Self::Other(file, _) => Handle::Named(file.as_fd()),
        }
    }

    fn finished(&self) -> Finished<'_> {
        match self {
            Self::File(file, None) => Finished::Unnamed(file),
            Self::File(_, Some(private)) | Self::Other(_, private) => Finished::Private(private),
        }
    }
}

impl Maker<'_> {
    /// Makes an entry, or says why not.
    pub(super) fn make(&self, node: Node<'_>) {
        if self.context.is_over() {
            return;
        }
        self.context.meter.entries.add(1);
        let first = match self.try_make(&node) {
            Ok(first) => first,
            Err(Fault::Over) => None,
            Err(Fault::Unproved(what)) => {
                self.context.report.unproved(&node.entry.path, format!("not recovered: {what}"));
                None
            }
            Err(Fault::Target(error)) => {
                if !fatal(self.context, &node.entry.path, &error) {
                    let what = format!("not recovered: it could not be made: {}", explain(&node.entry, &error));
                    self.context.report.unproved(&node.entry.path, what);
                }
                None
            }
        };
        if let Some(link) = node.entry.link {
            self.context.links.made(link, first);
        }
    }

    /// Writes a piece of another hand's file.
    pub(super) fn help(&self, piece: Piece) {
        help(self.context, piece);
    }

    /// `None`: something has its name and stays. Otherwise where it is, if others are to be linked to it.
    fn try_make(&self, node: &Node<'_>) -> Result<Option<Arc<First>>, Fault> {
        let context = self.context;
        let dir = node.folder.fd()?;
        if context.conflict == Conflict::Skip && Stat::at(&dir, &c_name(&node.name)?).is_ok() {
            context.report.skipped();
            return Ok(None);
        }
        let inode = match &node.entry.kind {
            Kind::File { size, content } => self.make_file(node, &dir, content, *size)?,
            _ => self.make_other(node, &dir)?,
        };
        let mut faults = Vec::new();
        let (owner, before) = (context.owner_of(&node.entry), node.folder.gives);
        let handle = inode.handle();
        apply(&handle, &node.entry, owner, before, SEALING, &mut faults);
        let finished = inode.finished();
        let placed = match place(&dir, &finished, &node.name, context.conflict, || context.private_name()) {
            Ok(Placed::As(name)) => name,
            Ok(Placed::Skipped) => {
                context.report.skipped();
                return Ok(None);
            }
            Err(error) => {
                finished.remove(&dir);
                return Err(error.into());
            }
        };
        let first = self.first(node, &handle, &placed)?;
        let sealing = node.entry.flags & SEALING;
        if sealing != 0 {
            match (&first, &handle) {
                (Some(first), _) => context.links.seal_later(node.entry.path.clone(), Arc::clone(first), sealing),
                (None, Handle::Open(file)) => set_flags(file, sealing, false, &mut faults),
                (None, Handle::Named(_)) => {}
            }
        }
        node.report_made(context, faults);
        Ok(first)
    }

    fn make_file(&self, node: &Node<'_>, dir: &OwnedFd, content: &Content, size: u64) -> Result<Inode, Fault> {
        let (fd, private) = self.empty_file(dir)?;
        let mut faults = Vec::new();
        apply_while_empty(&fd, node.entry.flags, &mut faults);
        let inode = Inode::File(fd, private);
        if let Inode::File(file, _) = &inode
            && let Err(fault) = fill(self.context, &self.pieces, file, content, size)
        {
            inode.finished().remove(dir);
            return Err(fault);
        }
        Ok(inode)
    }

    /// A new file: without a name if the file system can do that, else under a private one.
    fn empty_file(&self, dir: &OwnedFd) -> io::Result<(OwnedFd, Option<Vec<u8>>)> {
        let mode = Mode::from_raw_mode(0o600);
        if self.context.can_be_unnamed.load(Ordering::Relaxed) {
            match rustix::fs::openat(dir, c".", OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC, mode) {
                Ok(fd) => return Ok((fd, None)),
                Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL | Errno::NOSYS) => {
                    self.context.can_be_unnamed.store(false, Ordering::Relaxed);
                }
                Err(error) => return Err(error.into()),
            }
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let (private, fd) = self.with_private_name(|name| rustix::fs::openat(dir, name, flags, mode))?;
        Ok((fd, Some(private)))
    }

    fn make_other(&self, node: &Node<'_>, dir: &OwnedFd) -> Result<Inode, Fault> {
        let mode = Mode::from_raw_mode(0o600);
        let (private, kind) = match &node.entry.kind {
            Kind::Symlink { target } => {
                let target = c_name(target)?;
                let made = self.with_private_name(|name| rustix::fs::symlinkat(&target, dir, name))?;
                (made.0, FileType::Symlink)
            }
            kind => {
                let (kind, device) = match *kind {
                    Kind::CharacterDevice { major, minor } => (FileType::CharacterDevice, (major, minor)),
                    Kind::BlockDevice { major, minor } => (FileType::BlockDevice, (major, minor)),
                    Kind::Socket => (FileType::Socket, (0, 0)),
                    _ => (FileType::Fifo, (0, 0)),
                };
                let device = rustix::fs::makedev(device.0, device.1);
                let made = self.with_private_name(|name| rustix::fs::mknodat(dir, name, kind, mode, device))?;
                (made.0, kind)
            }
        };
        // By a handle of what was just made, so that no one who can write here can slip something else under the name.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(dir, private.as_slice(), flags, Mode::empty()).map_err(io::Error::from);
        match opened.and_then(|fd| Ok((Stat::of(&fd)?, fd))) {
            Ok((stat, fd)) if stat.kind == kind && stat.links == 1 => Ok(Inode::Other(fd, private)),
            Ok(_) => Err(io::Error::other("something else was put under its name meanwhile").into()),
            Err(error) => {
                Finished::Private(&private).remove(dir);
                Err(error.into())
            }
        }
    }

    fn with_private_name<T>(
        &self,
        mut attempt: impl FnMut(&[u8]) -> rustix::io::Result<T>,
    ) -> io::Result<(Vec<u8>, T)> {
        for _ in 0..NAMES_TRIED {
            let name = self.context.private_name();
            match attempt(&name) {
                Ok(made) => return Ok((name, made)),
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    fn first(&self, node: &Node<'_>, handle: &Handle<'_>, placed: &[u8]) -> io::Result<Option<Arc<First>>> {
        if node.entry.link.is_none() {
            return Ok(None);
        }
        let identity = match handle {
            Handle::Open(file) => Stat::of(file)?.identity(),
            Handle::Named(file) => Stat::of(file)?.identity(),
        };
        Ok(Some(Arc::new(First { folders: node.folder.names(), name: c_name(placed)?, identity })))
    }
}

impl Node<'_> {
    /// Makes it a further name of what was made before. Given back: it could not be linked and is to be made itself.
    pub(super) fn link_to(self, context: &Context<'_>, first: &First) -> Option<Self> {
        match self.try_link(context, first) {
            Ok(Placed::As(_)) => {
                context.meter.entries.add(1);
                self.report_made(context, Vec::new());
                None
            }
            Ok(Placed::Skipped) => {
                context.meter.entries.add(1);
                context.report.skipped();
                None
            }
            Err(error) if fatal(context, &self.entry.path, &error) => None,
            Err(error) => {
                let what = format!("it could not be linked to the other names of its inode ({error}): it is a copy");
                context.report.unproved(&self.entry.path, what);
                Some(self)
            }
        }
    }

    fn try_link(&self, context: &Context<'_>, first: &First) -> io::Result<Placed> {
        let dir = self.folder.fd()?;
        if context.conflict == Conflict::Skip && Stat::at(&dir, &c_name(&self.name)?).is_ok() {
            return Ok(Placed::Skipped);
        }
        let from = first.open_folder(&self.folder.target()?)?;
        let private = context.private_name();
        rustix::fs::linkat(&from, &first.name, &dir, private.as_slice(), AtFlags::empty())?;
        let linked = Stat::at(&dir, &CString::new(private.as_slice())?).and_then(|stat| {
            if stat.identity() == first.identity {
                place(&dir, &Finished::Private(&private), &self.name, context.conflict, Vec::new)
            } else {
                Err(io::Error::other("its first name was replaced meanwhile"))
            }
        });
        if linked.is_err() {
            Finished::Private(&private).remove(&dir);
        }
        linked
    }

    fn report_made(&self, context: &Context<'_>, faults: Vec<String>) {
        let size = if let Kind::File { size, .. } = self.entry.kind { size } else { 0 };
        context.report.made(size);
        context.meter.bytes.add(size);
        if self.entry.torn {
            let what = "it changed while it was backed up: this is not its content at any one moment";
            context.report.unproved(&self.entry.path, what);
        }
        for fault in faults {
            context.report.unproved(&self.entry.path, fault);
        }
    }
}

fn explain(entry: &Entry, error: &io::Error) -> String {
    let device = matches!(entry.kind, Kind::CharacterDevice { .. } | Kind::BlockDevice { .. });
    if device && error.kind() == io::ErrorKind::PermissionDenied {
        return "only root may make device nodes".to_owned();
    }
    error.to_string()
}
