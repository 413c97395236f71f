//! One thread's way into the volume: hash, look up, gather, compress, seal, check.

use std::sync::Arc;

use crossbeam_channel::Sender;

use super::{Shared, packer::Framed};
use crate::{
    entry::BlobId,
    error::StoreError,
    frame::Sealer,
    limits::{BLOB_MAX, FRAME_BLOBS_MAX, FRAME_TARGET, META_FRAME_TARGET},
    pack::{PackKind, frame_payload, open::open_payload, parse_frame_payload},
};

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
        let id = self.name(bytes);
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
        let bytes = self.sealer.seal(self.kind.frame(), &payload)?;
        self.check(&bytes, &blobs)?;
        self.open.clear();
        let plain_length =
            u32::try_from(payload.len()).map_err(|_| StoreError::Internal("a frame too long".to_owned()))?;
        self.queue.send(Framed { kind: self.kind, bytes, plain_length, blobs }).map_err(|_| self.shared.failure())
    }

    fn name(&self, bytes: &[u8]) -> BlobId {
        match self.kind {
            PackKind::Data => self.shared.volume.keys().data_id(bytes),
            PackKind::Meta => self.shared.volume.keys().meta_id(bytes),
        }
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
        let payload = open_payload(&mut self.sealer, frame, self.kind);
        let ranges = payload.as_ref().and_then(|payload| parse_frame_payload(payload));
        let sound = match (&payload, ranges) {
            (Some(payload), Some(ranges)) => {
                ranges.len() == blobs.len()
                    && ranges.iter().zip(blobs).all(|(&(start, end), (id, _))| self.name(&payload[start..end]) == *id)
            }
            _ => false,
        };
        if sound {
            return Ok(());
        }
        let what = "a frame did not come back from compression and encryption as it went in: this machine's memory or \
                    processor cannot be trusted (test the memory); nothing of it was stored";
        Err(StoreError::Internal(what.to_owned()))
    }
}
