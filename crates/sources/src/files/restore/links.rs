//! Inodes with several names: the first name is made, the others are linked to it.

use std::{
    collections::HashMap,
    ffi::CString,
    io,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

use resurgam_model::BytePath;
use rustix::fd::{AsFd, OwnedFd};

use super::report::Report;
use crate::files::{
    attributes::set::set_flags,
    handle::{open_directory, open_file},
    stat::Stat,
};

/// How far the first name of an inode is.
pub(super) enum State {
    /// Nobody has begun: whoever is told this makes it.
    New,
    /// A worker makes it.
    Making,
    /// It is there.
    Made(Arc<First>),
}

/// A first name that was made.
#[derive(Debug)]
pub(super) struct First {
    /// The directories from the target down.
    pub(super) folders: Vec<CString>,
    pub(super) name: CString,
    pub(super) identity: (u64, u64),
}

/// All inodes with several names that were met: one path each.
#[derive(Default)]
pub(super) struct Links {
    firsts: Mutex<HashMap<u64, Option<Arc<First>>>>,
    changed: Condvar,
    /// Flags that forbid further names, and so have to wait until all are made.
    sealed: Mutex<Vec<(BytePath, Arc<First>, u32)>>,
}

impl Links {
    /// Says how far the inode is, and that it is being made if nobody had begun.
    pub(super) fn meet(&self, link: u64) -> State {
        let mut firsts = self.firsts.lock().unwrap_or_else(PoisonError::into_inner);
        match firsts.get(&link) {
            None => {
                firsts.insert(link, None);
                State::New
            }
            Some(None) => State::Making,
            Some(Some(first)) => State::Made(Arc::clone(first)),
        }
    }

    /// The caller makes it now.
    pub(super) fn begin(&self, link: u64) {
        self.firsts.lock().unwrap_or_else(PoisonError::into_inner).insert(link, None);
    }

    /// It is there, or (`None`) could not be made.
    pub(super) fn made(&self, link: u64, first: Option<Arc<First>>) {
        let mut firsts = self.firsts.lock().unwrap_or_else(PoisonError::into_inner);
        match first {
            Some(first) => firsts.insert(link, Some(first)),
            None => firsts.remove(&link),
        };
        self.changed.notify_all();
    }

    /// Waits until the first name is there or given up.
    pub(super) fn wait(&self, link: u64, is_over: impl Fn() -> bool) -> Option<Arc<First>> {
        let mut firsts = self.firsts.lock().unwrap_or_else(PoisonError::into_inner);
        while matches!(firsts.get(&link), Some(None)) && !is_over() {
            // The time-out is only for the end of the job, which nobody announces here.
            let waited = self.changed.wait_timeout(firsts, Duration::from_millis(50));
            firsts = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        firsts.get(&link).cloned().flatten()
    }

    /// Remembers flags to be set when all names are made.
    pub(super) fn seal_later(&self, path: BytePath, first: Arc<First>, flags: u32) {
        self.sealed.lock().unwrap_or_else(PoisonError::into_inner).push((path, first, flags));
    }

    /// Sets them.
    pub(super) fn seal(&self, target: &OwnedFd, report: &Report) {
        for (path, first, flags) in self.sealed.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let mut faults = Vec::new();
            match first.open_folder(target).and_then(|dir| open_file(&dir, &first.name)) {
                Ok(file) if Stat::of(&file).is_ok_and(|s| s.identity() == first.identity) => {
                    set_flags(&file, flags, false, &mut faults);
                }
                Ok(_) => faults.push(format!("its flags {flags:#x} were not set: it was replaced meanwhile")),
                Err(error) => faults.push(format!("its flags {flags:#x} could not be set: {error}")),
            }
            for fault in faults {
                report.unproved(&path, fault);
            }
        }
    }
}

impl First {
    /// Opens the directory that it lies in, from the target down.
    pub(super) fn open_folder(&self, target: impl AsFd) -> io::Result<OwnedFd> {
        let mut dir = target.as_fd().try_clone_to_owned()?;
        for name in &self.folders {
            dir = open_directory(&dir, name)?;
        }
        Ok(dir)
    }
}
