//! A directory of the target while things are put into it.
//!
//! Everything that is still to be put into a directory, or into one below it, holds it by a counted reference. When the
//! last one is gone the directory is done, and gets its own attributes: children before parents, with no second pass and
//! no list of directories to remember.

use std::{
    ffi::CString,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use resurgam_model::BytePath;
use resurgam_store::Entry;
use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{AtFlags, FileType, Mode},
    io::Errno,
};

use super::{Conflict, Context, leftovers, place};
use crate::{
    error::{SourceError, is_full},
    files::{
        attributes::{
            flags_of,
            set::{Before, Handle, apply, apply_while_empty, set_flags, unseal},
        },
        handle::open_directory,
        stat::Stat,
    },
};

/// A directory that things are put into.
pub(super) struct Folder<'a> {
    context: &'a Context<'a>,
    parent: Option<Arc<Folder<'a>>>,
    /// Its name in the parent, as it is now.
    name: CString,
    /// Its path in the point.
    path: BytePath,
    identity: (u64, u64),
    /// Closed, in the depth, to hold fewer handles.
    fd: Mutex<Option<Arc<OwnedFd>>>,
    /// What new things in it come with.
    pub(super) gives: Before,
    /// Its own attributes, for the end; `None`: they are left as they are.
    finish: Option<(Entry, Before)>,
}

/// What became of a directory.
pub(super) enum Made<'a> {
    Folder(Arc<Folder<'a>>),
    /// Something else has its name and stays.
    Skipped,
    /// It could not be made, and that was said.
    Failed,
}

impl<'a> Folder<'a> {
    /// The target; `entry` is the root's, if its attributes are known, and `apply` whether the target gets them.
    pub(super) fn of_target(
        context: &'a Context<'a>,
        fd: OwnedFd,
        entry: Option<Entry>,
        apply: bool,
    ) -> io::Result<Self> {
        if let Some(entry) = &entry {
            name_torn(context, entry);
        }
        let finish = entry.filter(|_| apply);
        Self::opened(context, None, CString::default(), BytePath::root(), fd, finish, false)
    }

    /// Makes the directory of `entry` in `parent`, or merges with the one that is there.
    pub(super) fn make(context: &'a Context<'a>, parent: Arc<Folder<'a>>, entry: Entry) -> Made<'a> {
        name_torn(context, &entry);
        let path = entry.path.clone();
        Self::make_with(context, parent, path, Some(entry))
    }

    /// Makes a directory of which no attributes are known.
    pub(super) fn make_plain(context: &'a Context<'a>, parent: Arc<Folder<'a>>, path: BytePath) -> Made<'a> {
        Self::make_with(context, parent, path, None)
    }

    fn make_with(context: &'a Context<'a>, parent: Arc<Folder<'a>>, path: BytePath, entry: Option<Entry>) -> Made<'a> {
        match Self::try_make(context, parent, &path, entry) {
            Ok(Some(folder)) => Made::Folder(Arc::new(folder)),
            Ok(None) => {
                context.report.skipped();
                Made::Skipped
            }
            Err(error) => {
                if !fatal(context, &path, &error) {
                    let what = format!("the directory could not be made: {error}; nothing in it was recovered");
                    context.report.unproved(&path, what);
                }
                Made::Failed
            }
        }
    }

    fn try_make(
        context: &'a Context<'a>,
        parent: Arc<Folder<'a>>,
        path: &BytePath,
        entry: Option<Entry>,
    ) -> io::Result<Option<Self>> {
        let at = parent.fd()?;
        let mut name = path.name().to_vec();
        let mode = Mode::from_raw_mode(0o700);
        let made = match rustix::fs::mkdirat(&at, name.as_slice(), mode) {
            Ok(()) => true,
            Err(Errno::EXIST) if Stat::at(&at, &place::c_name(&name)?)?.kind == FileType::Directory => false,
            Err(Errno::EXIST) => match context.conflict {
                Conflict::Refuse | Conflict::Skip => return Ok(None),
                Conflict::Overwrite => {
                    rustix::fs::unlinkat(&at, name.as_slice(), AtFlags::empty())?;
                    rustix::fs::mkdirat(&at, name.as_slice(), mode)?;
                    true
                }
                Conflict::Copy => {
                    name = place::under_free_name(&name, |n| Ok(rustix::fs::mkdirat(&at, n, mode)?))?;
                    true
                }
            },
            Err(error) => return Err(error.into()),
        };
        let name = place::c_name(&name)?;
        let fd = open_directory(&at, &name)?;
        if made {
            shed_inheritance(&fd, parent.gives);
        }
        let finish = entry.filter(|_| made || context.conflict == Conflict::Overwrite);
        Ok(Some(Self::opened(context, Some(parent), name, path.clone(), fd, finish, made)?))
    }

    fn opened(
        context: &'a Context<'a>,
        parent: Option<Arc<Folder<'a>>>,
        name: CString,
        path: BytePath,
        fd: OwnedFd,
        finish: Option<Entry>,
        made: bool,
    ) -> io::Result<Self> {
        // Whoever does not say `overwrite` finds everything that was there again.
        if !made && context.conflict == Conflict::Overwrite {
            leftovers::clear(&fd);
        }
        let stat = Stat::of(&fd)?;
        let mut faults = Vec::new();
        let early = finish.as_ref().map_or(0, |e| e.flags);
        if !made && finish.is_some() {
            // Restored over: its flags come back with its other attributes, when all in it is done.
            unseal(&fd);
        }
        apply_while_empty(&fd, early, &mut faults);
        let before = match (&parent, made) {
            // The group of a new directory may be inherited; what else might be was shed.
            (Some(parent), true) => Before { clear_xattrs: false, clear_flags: false, ..parent.gives },
            _ => Before { owner: None, clear_xattrs: true, clear_flags: true },
        };
        let default_acl = c"system.posix_acl_default";
        let gives = Before {
            owner: (stat.mode & 0o2000 == 0 || made).then_some(context.user),
            clear_xattrs: !made && rustix::fs::fgetxattr(&fd, default_acl, &mut [0; 0][..]).is_ok(),
            clear_flags: (!made || early != 0) && flags_of(&fd) != 0,
        };
        let fd = Mutex::new(Some(Arc::new(fd)));
        let finish = finish.map(|entry| (entry, before));
        Ok(Self { context, parent, name, path, identity: stat.identity(), fd, gives, finish })
    }

    /// Its handle, opened again if it was closed.
    pub(super) fn fd(&self) -> io::Result<Arc<OwnedFd>> {
        if let Some(fd) = self.open_fd() {
            return Ok(fd);
        }
        // Up to the first directory that is open, then down again.
        let mut closed = vec![self];
        let mut above = self.parent.as_deref();
        let mut fd = loop {
            let Some(folder) = above else { return Err(io::ErrorKind::NotFound.into()) };
            match folder.open_fd() {
                Some(fd) => break fd,
                None => closed.push(folder),
            }
            above = folder.parent.as_deref();
        };
        for folder in closed.iter().rev() {
            fd = Arc::new(folder.recognised(open_directory(&fd, &folder.name)?)?);
        }
        *self.lock() = Some(Arc::clone(&fd));
        Ok(fd)
    }

    /// Closes its handle; whoever needs it opens it again.
    pub(super) fn close(&self) {
        *self.lock() = None;
    }

    /// The handle of the target.
    pub(super) fn target(&self) -> io::Result<Arc<OwnedFd>> {
        let mut folder = self;
        while let Some(above) = &folder.parent {
            folder = above;
        }
        folder.fd()
    }

    /// The names from the target down to it.
    pub(super) fn names(&self) -> Vec<CString> {
        let mut names = Vec::new();
        let mut folder = Some(self);
        while let Some(here) = folder {
            if here.parent.is_some() {
                names.push(here.name.clone());
            }
            folder = here.parent.as_deref();
        }
        names.reverse();
        names
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<OwnedFd>>> {
        self.fd.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_fd(&self) -> Option<Arc<OwnedFd>> {
        self.lock().clone()
    }

    fn recognised(&self, fd: OwnedFd) -> io::Result<OwnedFd> {
        if Stat::of(&fd)?.identity() == self.identity {
            Ok(fd)
        } else {
            Err(io::Error::other("a directory was replaced while it was recovered"))
        }
    }

    /// Gives the directory its own attributes, now that nothing more is put into it.
    fn done(&mut self) {
        let Some((entry, before)) = self.finish.take() else { return };
        let mut faults = Vec::new();
        match self.fd() {
            Ok(fd) => {
                let owner = self.context.owner_of(&entry);
                apply(&Handle::Open(fd.as_fd()), &entry, owner, before, 0, &mut faults);
                self.open_parent(&fd);
            }
            Err(error) => faults.push(format!("its attributes could not be set: {error}")),
        }
        for fault in faults {
            self.context.report.unproved(&self.path, fault);
        }
    }

    /// On the way up through many levels that were closed, each is found from the one below it.
    fn open_parent(&self, fd: &OwnedFd) {
        if let Some(parent) = &self.parent
            && parent.open_fd().is_none()
            && let Ok(above) = open_directory(fd, c"..").and_then(|fd| parent.recognised(fd))
        {
            *parent.lock() = Some(Arc::new(above));
        }
    }
}

impl Drop for Folder<'_> {
    fn drop(&mut self) {
        self.done();
        // Not by dropping the parent from here: a path may have more levels than the stack has room for.
        let mut parent = self.parent.take();
        while let Some(mut folder) = parent.and_then(Arc::into_inner) {
            folder.done();
            parent = folder.parent.take();
        }
    }
}

/// Takes from a new directory what it got from the one around it, so that what is made in it does not get it too.
fn shed_inheritance(fd: &OwnedFd, gives: Before) {
    if gives.clear_xattrs {
        for name in [c"system.posix_acl_default", c"system.posix_acl_access"] {
            let _ = rustix::fs::fremovexattr(fd, name);
        }
    }
    if gives.clear_flags {
        set_flags(fd, 0, true, &mut Vec::new());
    }
    if gives.owner.is_none() {
        let _ = rustix::fs::fchmod(fd, Mode::from_raw_mode(0o700));
    }
}

fn name_torn(context: &Context<'_>, entry: &Entry) {
    if entry.torn {
        let what = "not everything in it could be listed when it was backed up";
        context.report.unproved(&entry.path, what);
    }
}

/// Whether the error ends the restore, which is then noted: nothing more can be made anywhere.
pub(super) fn fatal(context: &Context<'_>, path: &BytePath, error: &io::Error) -> bool {
    if is_full(error) {
        context.report.abort(SourceError::TargetFull { path: context.shown(path) });
        return true;
    }
    if error.kind() == io::ErrorKind::ReadOnlyFilesystem {
        let source = io::Error::from(io::ErrorKind::ReadOnlyFilesystem);
        context.report.abort(SourceError::Target { attempt: "recover", path: context.shown(path), source });
        return true;
    }
    false
}
