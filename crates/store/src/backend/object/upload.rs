//! Writing an object: what fits into one part is one put, which the store refuses where the name is taken; what is longer
//! goes up in parts while more is appended.
//!
//! At most [`PARTS_IN_FLIGHT`] parts are on their way and one is gathered, so memory is bounded. An upload that is not
//! committed is aborted; where even that fails, the store drops its parts by its own rules, and no listing ever shows them.
//! Objects of many parts have random names, so their names are only looked at before the end, not put on condition.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use object_store::{MultipartId, PutMode, multipart::PartId};
use tokio::{sync::Semaphore, task::JoinHandle};

use super::{
    engine::Engine,
    limits::{PART_BYTES, PARTS_IN_FLIGHT},
    wire::{Put, Wire},
};
use crate::{
    backend::{Result, Upload},
    error::{BackendError, Fault},
};

pub(super) struct ObjectUpload {
    engine: Arc<Engine>,
    wire: Arc<Wire>,
    name: String,
    gathered: Vec<u8>,
    length: u64,
    parts: Option<Parts>,
}

struct Parts {
    id: MultipartId,
    sent: Vec<JoinHandle<Result<PartId>>>,
    turns: Arc<Semaphore>,
    failed: Arc<AtomicBool>,
}

impl ObjectUpload {
    pub(super) fn new(engine: Arc<Engine>, wire: Arc<Wire>, name: &str) -> Self {
        Self { engine, wire, name: name.to_owned(), gathered: Vec::new(), length: 0, parts: None }
    }

    /// Sends what was gathered as the next part, waiting for its turn.
    fn send(&mut self) -> Result<()> {
        let bytes = Bytes::from(std::mem::take(&mut self.gathered));
        let parts = match &mut self.parts {
            Some(parts) => parts,
            none => none.insert(Parts {
                id: self.engine.wait(self.wire.begin_parts(&self.name))?,
                sent: Vec::new(),
                turns: Arc::new(Semaphore::new(PARTS_IN_FLIGHT)),
                failed: Arc::default(),
            }),
        };
        let turn = self.engine.wait(Arc::clone(&parts.turns).acquire_owned());
        if parts.failed.load(Ordering::Relaxed) {
            return Err(self.part_failed());
        }
        let (wire, name, id, failed) =
            (Arc::clone(&self.wire), self.name.clone(), parts.id.clone(), Arc::clone(&parts.failed));
        let number = parts.sent.len();
        parts.sent.push(self.engine.spawn(async move {
            let _turn = turn;
            let sent = wire.part(&name, &id, number, bytes).await;
            failed.fetch_or(sent.is_err(), Ordering::Relaxed);
            sent
        }));
        Ok(())
    }

    /// Waits for all parts.
    fn join(&mut self) -> Result<Vec<PartId>> {
        let sent = self.parts.as_mut().map(|parts| std::mem::take(&mut parts.sent)).unwrap_or_default();
        let ids = self.engine.wait(futures_util::future::join_all(sent));
        ids.into_iter()
            .map(|id| id.map_err(|error| self.error(Fault::Io, std::io::Error::other(error.to_string())))?)
            .collect()
    }

    /// Why a part could not be sent. From then on, nothing can be made of the parts.
    fn part_failed(&mut self) -> BackendError {
        let gone = |upload: &Self| upload.error(Fault::Io, std::io::Error::other("a part of it could not be sent"));
        self.join().err().unwrap_or_else(|| gone(self))
    }

    fn error(&self, kind: Fault, source: std::io::Error) -> BackendError {
        self.wire.error("store", &self.name, kind, source)
    }

    fn commit_whole(&mut self) -> Result<()> {
        let bytes = Bytes::from(std::mem::take(&mut self.gathered));
        let (wire, name) = (&self.wire, &self.name);
        let put = async {
            match wire.put("store", name, bytes.clone(), PutMode::Create).await? {
                Put::Done(_) => Ok(true),
                Put::Refused { again: false } => Ok(false),
                Put::Refused { again: true } => {
                    if wire.head("store", name).await?.size != bytes.len() as u64 {
                        return Ok(false);
                    }
                    let mut there = vec![0; bytes.len()];
                    wire.range(name, 0, &mut there).await.map(|()| there == bytes)
                }
            }
        };
        if self.engine.wait(put)? {
            Ok(())
        } else {
            Err(self.error(Fault::Exists, std::io::ErrorKind::AlreadyExists.into()))
        }
    }

    fn commit_parts(&mut self) -> Result<()> {
        if !self.gathered.is_empty() {
            self.send()?;
        }
        if self.parts.as_ref().is_some_and(|parts| parts.failed.load(Ordering::Relaxed)) {
            return Err(self.part_failed());
        }
        let ids = self.join()?;
        match self.engine.wait(self.wire.head("store", &self.name)) {
            Err(error) if error.kind == Fault::NotFound => {}
            Err(error) => return Err(error),
            Ok(_) => return Err(self.error(Fault::Exists, std::io::ErrorKind::AlreadyExists.into())),
        }
        if let Some(parts) = &self.parts {
            self.engine.wait(self.wire.end_parts(&self.name, &parts.id, &ids, self.length))?;
        }
        self.parts = None;
        Ok(())
    }
}

impl Upload for ObjectUpload {
    fn append(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            // A full part goes only when more comes: what fits into one part is one put.
            if self.gathered.len() == PART_BYTES {
                self.send()?;
            }
            let taken = bytes.len().min(PART_BYTES - self.gathered.len());
            self.gathered.extend_from_slice(&bytes[..taken]);
            self.length += taken as u64;
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    fn commit(mut self: Box<Self>) -> Result<()> {
        if self.parts.is_some() {
            self.commit_parts()?
        } else {
            self.commit_whole()?
        }
        let meta = self.engine.wait(self.wire.head("store", &self.name))?;
        if meta.size == self.length {
            return Ok(());
        }
        let what = format!("{} bytes were sent, and the store has {}", self.length, meta.size);
        Err(self.error(Fault::Io, std::io::Error::other(what)))
    }
}

impl Drop for ObjectUpload {
    fn drop(&mut self) {
        let Some(parts) = self.parts.take() else { return };
        for part in &parts.sent {
            part.abort();
        }
        let _ = self.engine.wait(futures_util::future::join_all(parts.sent));
        self.engine.wait(self.wire.drop_parts(&self.name, &parts.id));
    }
}
