//! One thread's way into the volume: hash, look up, gather, compress, seal, check.

use std::sync::Arc;

use crossbeam_channel::Sender;

use super::{Shared, packer::Framed};
use crate::{
    codec::number_length,
    entry::BlobId,
    error::StoreError,
    frame::{Compressed, Sealer},
    keys::{self, Secret},
    limits::{BLOB_MAX, FILLED_FRAME, FRAME_BLOBS_MAX, FRAME_MAX, FRAME_TARGET, META_FRAME_TARGET},
    pack::{PackKind, frame_payload, open::open_payload, parse_frame_payload},
};

/// A frame is filled up only where there is room for the names' lengths and something besides.
const FILLING_SLACK: usize = 4096;

/// One thread's way into the volume.
pub struct Lane<'a> {
    shared: &'a Arc<Shared>,
    queue: &'a Sender<Framed>,
    kind: PackKind,
    sealer: Sealer<'a>,
    /// The blobs of the open frame, one behind the other, and their names and lengths.
    open: Vec<u8>,
    blobs: Vec<(BlobId, u32)>,
}

impl<'a> Lane<'a> {
    pub(super) fn new(shared: &'a Arc<Shared>, queue: &'a Sender<Framed>, kind: PackKind) -> Result<Self, StoreError> {
        Ok(Self { shared, queue, kind, sealer: shared.volume.sealer()?, open: Vec::new(), blobs: Vec::new() })
    }

    /// Stores `bytes` (at most [`BLOB_MAX`]) as a blob unless the volume has it.
    pub fn put(&mut self, bytes: &[u8]) -> Result<BlobId, StoreError> {
        let id = self.shared.volume.keys().name(self.kind, bytes);
        if self.shared.claim(id) {
            self.push(id, bytes)?;
        }
        Ok(id)
    }

    /// Sends the open frame on its way. Call it before the lane is dropped.
    pub fn flush(&mut self) -> Result<(), StoreError> {
        if self.blobs.is_empty() {
            return Ok(());
        }
        let filled = self.shared.volume.is_filled() && self.fill()?;
        let blobs = std::mem::take(&mut self.blobs);
        let mut start = 0;
        let parts: Vec<&[u8]> = blobs
            .iter()
            .map(|(_, length)| {
                let part = &self.open[start..start + *length as usize];
                start += *length as usize;
                part
            })
            .collect();
        let payload = frame_payload(parts.into_iter());
        // Compressed filling would tell how much of the frame it is.
        let bytes = if filled {
            self.sealer.seal_stored(self.kind.frame(), &payload)?
        } else {
            self.sealer.seal(self.kind.frame(), &payload)?
        };
        self.check(&bytes, &blobs)?;
        self.open.clear();
        self.send(bytes, payload.len(), blobs)
    }

    /// Stores a frame of another volume as it was compressed there. `blobs`: its blobs, in order, each proved and claimed by
    /// the caller.
    pub(crate) fn forward(&self, payload: &Compressed, blobs: Vec<(BlobId, u32)>) -> Result<(), StoreError> {
        let bytes = self.sealer.seal_again(self.kind.frame(), payload)?;
        if self.sealer.unseal(&bytes, self.kind.frame(), FRAME_MAX).as_ref() != Some(payload) {
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
        let target = match self.kind {
            PackKind::Data => FRAME_TARGET,
            PackKind::Meta => META_FRAME_TARGET,
        };
        if self.open.len() + bytes.len() > target + target / 4 || self.blobs.len() == FRAME_BLOBS_MAX {
            self.flush()?;
        }
        self.open.extend_from_slice(bytes);
        self.blobs.push((id, bytes.len() as u32));
        if self.open.len() >= target { self.flush() } else { Ok(()) }
    }

    /// Opens what was sealed and hashes every blob again: a library or a memory chip that changes bytes is found here,
    /// before anything is written.
    fn check(&mut self, frame: &[u8], blobs: &[(BlobId, u32)]) -> Result<(), StoreError> {
        let keys = self.shared.volume.keys();
        let payload = open_payload(&mut self.sealer, frame, self.kind);
        let ranges = payload.as_ref().and_then(|payload| parse_frame_payload(payload));
        let sound = match (&payload, ranges) {
            (Some(payload), Some(ranges)) => {
                ranges.len() == blobs.len()
                    && ranges
                        .iter()
                        .zip(blobs)
                        .all(|(&(start, end), (id, _))| keys.proves(self.kind, id, &payload[start..end]))
            }
            _ => false,
        };
        if sound { Ok(()) } else { Err(untrustworthy()) }
    }
}

fn untrustworthy() -> StoreError {
    let what = "a frame did not come back from compression and encryption as it went in: this machine's memory or \
                processor cannot be trusted (test the memory); nothing of it was stored";
    StoreError::Internal(what.to_owned())
}
