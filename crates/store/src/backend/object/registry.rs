//! Who holds what in a store: the lock `name` is the object `locks/<name>`, the writer `id` is `writers/<id>`.
//!
//! | what is found | this home has the kernel's lock of it | somebody else may |
//! |---|---|---|
//! | nothing, free | taken | taken |
//! | held by this home | its program died: taken over, or dead, at once | `None`, alive |
//! | held by another home | taken over, or dead, once it was unchanged for a lease | `None`, alive |
//! | unreadable | as if held by another home | `None`, alive |
//!
//! A lock that somebody else holds is looked at once a second at most, however often it is asked for.

use std::{io, sync::Arc};

use object_store::UpdateVersion;

use super::{
    clock::since_boot,
    engine::Engine,
    home::LeaseHome,
    lease::{self, LeaseText, State},
    wire::{Seen, Wire},
};
use crate::{
    backend::{Hold, Result, Writers},
    error::{BackendError, Fault},
};

const LOCKS: &str = "locks/";
const WRITERS: &str = "writers/";

pub(super) struct Registry {
    pub(super) engine: Arc<Engine>,
    pub(super) wire: Arc<Wire>,
    pub(super) home: LeaseHome,
}

/// What is to be made of a lease that is there.
enum Found {
    Free,
    Dead,
    Alive,
}

fn version(seen: &Seen) -> &str {
    seen.version.e_tag.as_deref().or(seen.version.version.as_deref()).unwrap_or_default()
}

impl Registry {
    fn error(&self, attempt: &'static str, name: &str, source: io::Error) -> BackendError {
        self.wire.error(attempt, name, Fault::of(&source), source)
    }

    fn kernel(&self, attempt: &'static str, name: &str) -> Result<Option<Hold>> {
        self.home.lock(self.wire.location(), name).map_err(|source| {
            let what = format!("no lock in {}: {source}", self.home.directory.display());
            self.error(attempt, name, io::Error::new(source.kind(), what))
        })
    }

    /// Judges what was seen. Whoever asks has the kernel's lock of it.
    fn judge(&self, name: &str, seen: &Seen) -> Found {
        match LeaseText::parse(&seen.bytes) {
            Some(text) if text.state != State::Held => Found::Free,
            Some(text) if text.home == self.home.id => Found::Dead,
            _ if self.home.watch(self.wire.location(), name, version(seen)) >= self.wire.limits.lease.lease => {
                Found::Dead
            }
            _ => Found::Alive,
        }
    }

    fn new_text(&self, name: &str) -> Result<LeaseText> {
        LeaseText::new(&self.home.id).map_err(|source| self.error("take", name, source))
    }

    fn take(&self, name: &str, kernel: Hold, instead_of: Option<UpdateVersion>) -> Result<Option<Hold>> {
        let text = self.new_text(name)?;
        let sure = since_boot();
        let taken = self.engine.wait(lease::put(&self.wire, name, &text, instead_of))?;
        Ok(taken.map(|version| lease::hold(&self.engine, &self.wire, name, (text, version, sure), kernel)))
    }

    pub(super) fn lock(&self, name: &str) -> Result<Option<Hold>> {
        let name = format!("{LOCKS}{name}");
        let Some(kernel) = self.kernel("lock", &name)? else { return Ok(None) };
        let looked = self.home.looked(self.wire.location(), &name);
        if looked.is_some_and(|looked| since_boot().saturating_sub(looked) < self.wire.limits.lease.poll) {
            return Ok(None);
        }
        match self.engine.wait(self.wire.small("lock", &name))? {
            None => self.take(&name, kernel, None),
            Some(seen) => match self.judge(&name, &seen) {
                Found::Alive => Ok(None),
                Found::Free | Found::Dead => self.take(&name, kernel, Some(seen.version)),
            },
        }
    }

    pub(super) fn register(&self, writer: &str) -> Result<Hold> {
        let name = format!("{WRITERS}{writer}");
        let taken = match self.kernel("register the writer", &name)? {
            Some(kernel) => self.take(&name, kernel, None)?,
            None => None,
        };
        taken.ok_or_else(|| {
            let source = io::Error::new(io::ErrorKind::AlreadyExists, "another writer has the same id");
            self.error("register the writer", &name, source)
        })
    }

    pub(super) fn writers(&self) -> Result<Writers> {
        let mut writers = Writers::default();
        for listed in self.engine.wait(self.wire.list(WRITERS))? {
            let Some(writer) = listed.name.strip_prefix(WRITERS).map(str::to_owned) else { continue };
            // Its own program is at work.
            let Some(_kernel) = self.kernel("look at the writer", &listed.name)? else {
                writers.alive.push(writer);
                continue;
            };
            // It ended between the listing and the look.
            let Some(seen) = self.engine.wait(self.wire.small("look at the writer", &listed.name))? else {
                self.home.forget(self.wire.location(), &listed.name);
                continue;
            };
            let dead = match self.judge(&listed.name, &seen) {
                Found::Free => true,
                Found::Dead => self.fence(&listed.name, &seen)?,
                Found::Alive => false,
            };
            if dead { writers.dead.push(writer) } else { writers.alive.push(writer) }
        }
        Ok(writers)
    }

    /// Marks a writer that seems dead, so that it cannot take itself for alive. `false`: it has just stirred.
    fn fence(&self, name: &str, seen: &Seen) -> Result<bool> {
        let text = match LeaseText::parse(&seen.bytes) {
            Some(text) => LeaseText { state: State::Fenced, ..text },
            None => LeaseText { state: State::Fenced, ..self.new_text(name)? },
        };
        Ok(self.engine.wait(lease::put(&self.wire, name, &text, Some(seen.version.clone())))?.is_some())
    }

    pub(super) fn forget_writer(&self, writer: &str) -> Result<()> {
        let name = format!("{WRITERS}{writer}");
        let Some(_kernel) = self.kernel("forget the writer", &name)? else { return Ok(()) };
        let Some(seen) = self.engine.wait(self.wire.small("forget the writer", &name))? else {
            self.home.forget(self.wire.location(), &name);
            return Ok(());
        };
        let gone = match self.judge(&name, &seen) {
            Found::Free => true,
            Found::Dead => self.fence(&name, &seen)?,
            Found::Alive => false,
        };
        if gone {
            self.engine.wait(self.wire.delete(&name))?;
            self.home.forget(self.wire.location(), &name);
        }
        Ok(())
    }
}
