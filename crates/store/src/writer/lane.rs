//! One thread's way into the volume: hash, look up, gather, compress, seal, check.

use std::sync::{Arc, PoisonError};

use super::{
    Shared,
    packer::{Framed, Queue},
};
use crate::{
    codec::number_length,
    entry::BlobId,
    error::StoreError,
    frame::{Compressed, Effort, Sealer, Value},
    keys::{self, Secret},
    limits::{
        BLOB_MAX, CHUNK_MIN, FILLED_FRAME, FRAME_BLOBS_MAX, FRAME_FULL, FRAME_MAX, FRAME_TARGET, META_FRAME_TARGET,
    },
    pack::{PackKind, frame_directory, parse_frame_payload},
};

/// A frame is filled up only where there is room for the names' lengths and something besides.
const FILLING_SLACK: usize = 4096;

/// One thread's way into the volume.
pub struct Lane<'a> {
    shared: &'a Arc<Shared>,
    queue: &'a Queue,
    kind: PackKind,
    sealer: Sealer<'a>,
    /// The blobs of the open frame, one behind the other, and their names and lengths.
    open: Vec<u8>,
    blobs: Vec<(BlobId, u32)>,
    /// How well the last frame compressed.
    last: Option<Compressibility>,
}

/// How well bytes compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compressibility {
    NotAtAll,
    Somewhat,
    /// To less than a quarter, as text does.
    Much,
}

impl Compressibility {
    fn of(plain: usize, sealed: usize) -> Self {
        match sealed {
            _ if sealed < plain / 4 => Self::Much,
            _ if sealed < plain => Self::Somewhat,
            _ => Self::NotAtAll,
        }
    }
}

impl<'a> Lane<'a> {
    pub(super) fn new(shared: &'a Arc<Shared>, queue: &'a Queue, kind: PackKind) -> Result<Self, StoreError> {
        Ok(Self {
            shared,
            queue,
            kind,
            sealer: shared.volume.sealer()?,
            open: Vec::new(),
            blobs: Vec::new(),
            last: None,
        })
    }

    /// What `bytes` are called as a blob.
    pub(crate) fn name(&self, bytes: &[u8]) -> BlobId {
        self.shared.volume.keys().name(self.kind, bytes)
    }

    /// Whether the volume has the blob.
    pub(crate) fn has(&self, id: &BlobId) -> bool {
        self.shared.index.read().unwrap_or_else(PoisonError::into_inner).find(id).is_some()
    }

    /// Stores `bytes` (at most [`BLOB_MAX`]) as a blob unless the volume has it.
    pub fn put(&mut self, bytes: &[u8]) -> Result<BlobId, StoreError> {
        let id = self.name(bytes);
        if self.shared.claim(id) {
            self.push(id, bytes)?;
        }
        Ok(id)
    }

    /// Stores blobs that lie one behind the other in `bytes` and are so long. What comes back in `bytes` is memory that may
    /// be used again.
    ///
    /// A run that is wholly new becomes a frame where it lies, without another copy: so what was read together is
    /// compressed together.
    pub fn put_run(&mut self, bytes: &mut Vec<u8>, lengths: &[u32]) -> Result<Vec<BlobId>, StoreError> {
        let mut start = 0;
        let mut blobs = Vec::with_capacity(lengths.len());
        for length in lengths {
            let end = start + *length as usize;
            let blob = bytes.get(start..end).filter(|blob| blob.len() <= BLOB_MAX);
            let blob = blob.ok_or_else(|| StoreError::Internal("a run of blobs shorter than they are".to_owned()))?;
            blobs.push((self.name(blob), start..end));
            start = end;
        }
        let new: Vec<bool> = blobs.iter().map(|(id, _)| self.shared.claim(*id)).collect();
        if new.iter().all(|new| *new) && start == bytes.len() && (CHUNK_MIN..=FRAME_FULL).contains(&start) {
            if self.open.len() + bytes.len() > FRAME_FULL {
                self.flush()?;
            }
            if self.open.is_empty() {
                std::mem::swap(&mut self.open, bytes);
                self.blobs.extend(blobs.iter().map(|(id, range)| (*id, range.len() as u32)));
                self.flush_full()?;
                if self.open.is_empty() {
                    std::mem::swap(&mut self.open, bytes);
                }
                return Ok(blobs.into_iter().map(|(id, _)| id).collect());
            }
        }
        for ((id, range), _) in blobs.iter().zip(new).filter(|(_, new)| *new) {
            self.push(*id, &bytes[range.clone()])?;
        }
        Ok(blobs.into_iter().map(|(id, _)| id).collect())
    }

    /// Sends the open frame on its way. Call it before the lane is dropped.
    pub fn flush(&mut self) -> Result<(), StoreError> {
        if self.blobs.is_empty() {
            return Ok(());
        }
        let filled = self.shared.volume.is_filled() && self.fill()?;
        let blobs = std::mem::take(&mut self.blobs);
        let directory = frame_directory(blobs.iter().map(|(_, length)| *length as usize));
        let plain_length = directory.len() + self.open.len();
        // Compressed filling would tell how much of the frame it is.
        let bytes = if filled || !self.may_compress()? {
            let names: Vec<u8> = directory.iter().copied().chain(blobs.iter().flat_map(|(id, _)| id.0)).collect();
            // Where frames are filled up there are blobs whose names do not tell their bytes.
            let value = if self.shared.volume.is_filled() { Value::Payload } else { Value::Names(&names) };
            self.sealer.seal_stored(self.queue.room(), self.kind.frame(), &[&directory, &self.open], value)?
        } else {
            self.open.reserve_exact(directory.len());
            self.open.splice(..0, directory);
            self.sealer.seal_to(self.queue.room(), self.kind.frame(), &self.open, self.effort())?
        };
        self.check(&bytes, &blobs)?;
        self.last = Some(Compressibility::of(plain_length, bytes.len()));
        self.open.clear();
        self.send(bytes, plain_length, blobs)
    }

    /// Stores a frame of another volume as it was compressed there. `blobs`: its blobs, in order, each proved and claimed by
    /// the caller.
    pub(crate) fn forward(&mut self, payload: &Compressed, blobs: Vec<(BlobId, u32)>) -> Result<(), StoreError> {
        let bytes = self.sealer.seal_again(self.queue.room(), self.kind.frame(), payload)?;
        if !self.sealer.holds(&bytes, self.kind.frame(), payload) {
            return Err(untrustworthy());
        }
        self.send(bytes, payload.plain_length, blobs)
    }

    fn send(&self, bytes: Vec<u8>, plain_length: usize, blobs: Vec<(BlobId, u32)>) -> Result<(), StoreError> {
        let plain_length =
            u32::try_from(plain_length).map_err(|_| StoreError::Internal("a frame too long".to_owned()))?;
        self.queue.send(Framed { kind: self.kind, bytes, plain_length, blobs }).map_err(|_| self.shared.failure())
    }

    /// Fills a small frame up, so that neither its length nor the number of its blobs tells what is in it. `false`: it is
    /// long enough to be left as it is.
    fn fill(&mut self) -> Result<bool, StoreError> {
        let directory = 3 + self.blobs.len() * 3;
        if directory + self.open.len() + FILLING_SLACK > FILLED_FRAME {
            return Ok(false);
        }
        // What is left after the count and the lengths of all, the filling's own included.
        let lengths: usize = self.blobs.iter().map(|(_, length)| number_length(u64::from(*length))).sum();
        let left = FILLED_FRAME - number_length(self.blobs.len() as u64 + 1) - lengths - self.open.len();
        let length = left - number_length(left as u64);
        let mut noise = vec![0; length];
        blake3::Hasher::new_keyed(Secret::random()?.expose()).finalize_xof().fill(&mut noise);
        self.open.append(&mut noise);
        self.blobs.push((self.shared.volume.keys().filling(self.kind, keys::random()?), length as u32));
        Ok(true)
    }

    pub(crate) fn push(&mut self, id: BlobId, bytes: &[u8]) -> Result<(), StoreError> {
        if bytes.len() > BLOB_MAX {
            return Err(StoreError::Internal(format!("a blob of {} bytes is longer than its limit", bytes.len())));
        }
        if self.open.len() + bytes.len() > self.target() + self.target() / 4 || self.blobs.len() == FRAME_BLOBS_MAX {
            self.flush()?;
        }
        if self.open.is_empty() {
            self.open.reserve_exact(self.target() + self.target() / 2);
        }
        self.open.extend_from_slice(bytes);
        self.blobs.push((id, bytes.len() as u32));
        self.flush_full()
    }

    /// How many bytes had best be stored together. Long frames compress better; where nothing does, they are only long.
    pub fn target(&self) -> usize {
        match self.kind {
            PackKind::Data if matches!(self.last, None | Some(Compressibility::NotAtAll)) => FRAME_TARGET / 4,
            PackKind::Data => FRAME_TARGET,
            PackKind::Meta => META_FRAME_TARGET,
        }
    }

    /// Where the last frame did not compress, this one is only looked at here and there.
    fn may_compress(&mut self) -> Result<bool, StoreError> {
        let expected = self.kind == PackKind::Meta || self.last != Some(Compressibility::NotAtAll);
        Ok(expected || self.sealer.seems_to_compress(&self.open)?)
    }

    /// Where frames are waiting to be stored, the time to make them shorter is there. What compresses little, such as
    /// databases, gains nothing from a longer search.
    fn effort(&self) -> Effort {
        let is_waited_for = self.kind == PackKind::Data && self.queue.is_full();
        if is_waited_for && self.last == Some(Compressibility::Much) { Effort::Patient } else { Effort::Quick }
    }

    fn flush_full(&mut self) -> Result<(), StoreError> {
        if self.open.len() >= self.target() { self.flush() } else { Ok(()) }
    }

    /// Opens what was sealed and hashes every blob again: a library or a memory chip that changes bytes is found here,
    /// before anything is written.
    fn check(&mut self, frame: &[u8], blobs: &[(BlobId, u32)]) -> Result<(), StoreError> {
        let keys = self.shared.volume.keys();
        let payload = self.sealer.look_into(frame, self.kind.frame(), FRAME_MAX);
        let ranges = payload.and_then(parse_frame_payload);
        let sound = payload.zip(ranges).is_some_and(|(payload, ranges)| {
            ranges.len() == blobs.len()
                && ranges
                    .iter()
                    .zip(blobs)
                    .all(|(&(start, end), (id, _))| keys.proves(self.kind, id, &payload[start..end]))
        });
        if sound { Ok(()) } else { Err(untrustworthy()) }
    }
}

fn untrustworthy() -> StoreError {
    let what = "a frame did not come back from compression and encryption as it went in: this machine's memory or \
                processor cannot be trusted (test the memory); nothing of it was stored";
    StoreError::Internal(what.to_owned())
}
