//! A volume in an object store: Azure Blob Storage, S3, and what speaks like them.
//!
//! The store makes an object visible whole or not at all, durably, and says no to a conditional put; so there is no order of
//! writing and syncing to keep here. What is kept: everything has a limit of time, a lost answer is not taken for a refusal,
//! a torn one not for a short object, a missing bucket not for an empty one, and locks are leases.
//!
//! Nothing outside of this folder knows that there is a runtime, HTTP, or an account.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use object_store::{PutMode, UpdateVersion};
use resurgam_model::Timestamp;

use super::{Backend, Hold, Listed, Result, Traffic, Upload, Writers};
use crate::error::{BackendError, Fault};

mod access;
mod client;
mod clock;
mod engine;
mod fault;
mod grant;
mod home;
mod lease;
mod limits;
mod patience;
mod place;
mod registry;
mod throttle;
mod upload;
mod wire;

#[cfg(any(test, feature = "testkit"))]
pub mod troubled;

pub use access::StoreAccess;
#[cfg(any(test, feature = "testkit"))]
pub use client::Remote;
pub use home::LeaseHome;
pub use lease::fuzz_lease;
pub use limits::{LeaseTimes, Limits};
pub use place::{ObjectPlace, PlaceError, fuzz_place};

use engine::Engine;
use limits::{PART_BYTES, PARTS_IN_FLIGHT};
use registry::Registry;
use upload::ObjectUpload;
use wire::{Put, Wire};

/// The object that is written to learn the time.
const CLOCK: &str = "clock";
const CLOCK_TEXT: &[u8] = b"what the store says of this object is asked for\n";

/// A backend in a container or bucket, below a prefix.
pub struct ObjectBackend {
    // Before the engine goes, so that what it holds is given up.
    wire: Arc<Wire>,
    registry: Registry,
    engine: Arc<Engine>,
}

impl ObjectBackend {
    /// The volume at a place. Nothing is asked of the store yet.
    ///
    /// # Errors
    /// Where the access is not for such a place, or the limits do not hang together.
    pub fn open(place: &ObjectPlace, access: &StoreAccess, home: &LeaseHome, limits: &Limits) -> Result<Self> {
        let refused = |what: String| refused(&place.to_string(), what);
        let store = client::connect(place, access, limits).map_err(|error| refused(error.to_string()))?;
        let wire = Wire::new(store, place.to_string(), &place.prefix, limits.clone(), access.secrets());
        Self::with(wire, home)
    }

    /// The volume below `prefix` of any store.
    ///
    /// # Errors
    /// Where the limits do not hang together.
    #[cfg(any(test, feature = "testkit"))]
    pub fn on(store: Arc<dyn Remote>, prefix: &str, home: &LeaseHome, limits: &Limits) -> Result<Self> {
        Self::with(Wire::new(store, format!("test:{prefix}"), prefix, limits.clone(), Vec::new()), home)
    }

    fn with(wire: Wire, home: &LeaseHome) -> Result<Self> {
        if !wire.limits.fit() {
            return Err(refused(wire.location(), "the limits of time do not fit each other".to_owned()));
        }
        let engine = Engine::start().map_err(|error| refused(wire.location(), error.to_string()))?;
        let (engine, wire) = (Arc::new(engine), Arc::new(wire));
        let registry = Registry { engine: Arc::clone(&engine), wire: Arc::clone(&wire), home: home.clone() };
        Ok(Self { wire, registry, engine })
    }
}

fn refused(location: &str, what: String) -> BackendError {
    let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, what);
    BackendError { attempt: "open", object: location.to_owned(), kind: Fault::Io, source }
}

impl Backend for ObjectBackend {
    fn location(&self) -> String {
        self.wire.location().to_owned()
    }

    fn create(&self, name: &str) -> Result<Box<dyn Upload>> {
        Ok(Box::new(ObjectUpload::new(Arc::clone(&self.engine), Arc::clone(&self.wire), name)))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let bytes = Bytes::copy_from_slice(bytes);
        self.engine.wait(self.wire.put("write", name, bytes, PutMode::Overwrite)).map(|_| ())
    }

    fn read_at(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let range = offset..offset.saturating_add(buffer.len() as u64);
        if range.is_empty() {
            return self.length(name).and_then(|length| {
                let source = std::io::ErrorKind::UnexpectedEof.into();
                if offset <= length { Ok(()) } else { Err(self.wire.error("read", name, Fault::Io, source)) }
            });
        }
        // A long range, in pieces that are asked for side by side.
        let pieces = buffer.chunks_mut(PART_BYTES).zip((offset..).step_by(PART_BYTES));
        let read = futures_util::stream::iter(pieces.map(|(piece, at)| self.wire.range(name, at, piece)))
            .buffered(PARTS_IN_FLIGHT)
            .try_collect::<()>();
        self.engine.wait(read)
    }

    fn length(&self, name: &str) -> Result<u64> {
        self.engine.wait(self.wire.head("look at", name)).map(|meta| meta.size)
    }

    fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        self.engine.wait(self.wire.list(prefix))
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.engine.wait(self.wire.delete(name))
    }

    fn lock(&self, name: &str) -> Result<Option<Hold>> {
        self.registry.lock(name)
    }

    fn register(&self, writer: &str) -> Result<Hold> {
        self.registry.register(writer)
    }

    fn writers(&self) -> Result<Writers> {
        self.registry.writers()
    }

    fn forget_writer(&self, writer: &str) -> Result<()> {
        self.registry.forget_writer(writer)
    }

    /// A store has no disk that fills up under the collector.
    fn keep_reserve(&self) -> Result<()> {
        Ok(())
    }

    fn release_reserve(&self) -> Result<()> {
        Ok(())
    }

    fn traffic(&self) -> Traffic {
        self.wire.traffic()
    }

    fn reads_at_once(&self) -> usize {
        self.wire.limits.requests_at_once
    }

    fn keeps_versions(&self) -> Result<bool> {
        let put = self.wire.put("ask for versions in", CLOCK, Bytes::from_static(CLOCK_TEXT), PutMode::Overwrite);
        Ok(match self.engine.wait(put)? {
            // Stores that could and do not say `null`.
            Put::Done(UpdateVersion { version: Some(version), .. }) => !version.is_empty() && version != "null",
            _ => false,
        })
    }

    fn now(&self) -> Result<Option<Timestamp>> {
        let attempt = "ask the time of";
        let read = async {
            self.wire.put(attempt, CLOCK, Bytes::from_static(CLOCK_TEXT), PutMode::Overwrite).await?;
            self.wire.head(attempt, CLOCK).await
        };
        let seconds = self.engine.wait(read)?.last_modified.timestamp();
        let time = Timestamp::from_second(seconds);
        time.map(Some).map_err(|error| self.wire.error(attempt, CLOCK, Fault::Io, std::io::Error::other(error)))
    }
}

#[cfg(test)]
mod tests;
