//! Writing a pack: frames go to the backend as they come; checksums and parity grow beside them.
//!
//! Memory: one parity group (4 MiB) and the parity so far (1.6 % of the pack).

use resurgam_model::VolumeId;

use super::{Layout, PackId, PackKind, PackedFrame, Trailer, encode_index, header, mend::Parity, page_sum};
use crate::{
    backend::{Backend, Upload},
    entry::BlobId,
    error::StoreError,
    frame::{FrameKind, Sealer},
    keys,
    limits::{PAGE, PARITY_GROUP},
};

/// A pack being written.
pub(crate) struct PackBuilder {
    id: PackId,
    volume: VolumeId,
    kind: PackKind,
    /// The pack and, for metadata, its second copy before it.
    uploads: Vec<Box<dyn Upload>>,
    /// Bytes so far.
    length: u64,
    /// The bytes of the parity group that is not complete yet.
    group: Vec<u8>,
    sums: Vec<[u8; 8]>,
    parity: Vec<u8>,
    frames: Vec<PackedFrame>,
}

/// A pack of which all is written, but not durable yet.
pub(crate) struct WrittenPack {
    uploads: Vec<Box<dyn Upload>>,
    pack: FinishedPack,
}

impl WrittenPack {
    /// Makes the pack durable and visible.
    pub(crate) fn commit(self) -> Result<FinishedPack, StoreError> {
        for upload in self.uploads {
            upload.commit()?;
        }
        Ok(self.pack)
    }
}

/// A pack that is durable, and what is in it.
#[derive(Debug, Clone)]
pub(crate) struct FinishedPack {
    pub(crate) id: PackId,
    pub(crate) kind: PackKind,
    /// Length of the object.
    pub(crate) length: u64,
    pub(crate) frames: Vec<PackedFrame>,
}

impl PackBuilder {
    pub(crate) fn new(backend: &dyn Backend, volume: VolumeId, kind: PackKind) -> Result<Self, StoreError> {
        let id = PackId(keys::random()?);
        let mut uploads = Vec::with_capacity(2);
        if kind == PackKind::Meta {
            uploads.push(backend.create(&id.mirror())?);
        }
        uploads.push(backend.create(&id.object())?);
        let mut pack = Self {
            id,
            volume,
            kind,
            uploads,
            length: 0,
            group: Vec::with_capacity(PARITY_GROUP * PAGE),
            sums: Vec::new(),
            parity: Vec::new(),
            frames: Vec::new(),
        };
        pack.upload(&header(volume, id, kind))?;
        pack.group.extend_from_slice(&header(volume, id, kind));
        Ok(pack)
    }

    /// Bytes so far.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Appends a sealed frame.
    pub(crate) fn push(
        &mut self,
        maker: &mut Parity,
        frame: &[u8],
        plain_length: u32,
        blobs: Vec<(BlobId, u32)>,
    ) -> Result<(), StoreError> {
        let too_long = |_| StoreError::Internal("a pack longer than its limit".to_owned());
        let offset = u32::try_from(self.length).map_err(too_long)?;
        let length = u32::try_from(frame.len()).map_err(too_long)?;
        self.write(maker, frame)?;
        self.frames.push(PackedFrame { offset, length, plain_length, blobs });
        Ok(())
    }

    /// Appends index, parity and trailers.
    pub(crate) fn finish(mut self, maker: &mut Parity, sealer: &mut Sealer<'_>) -> Result<WrittenPack, StoreError> {
        let index = sealer.seal_list(FrameKind::PackIndex, encode_index(&self.frames))?;
        let too_long = |_| StoreError::Internal("a pack longer than its limit".to_owned());
        let index_offset = u32::try_from(self.length).map_err(too_long)?;
        let index_length = u32::try_from(index.len()).map_err(too_long)?;
        self.write(maker, &index)?;
        let used = self.group.len() % PAGE;
        if used > 0 {
            self.write(maker, &[0; PAGE][used..])?;
        }
        self.close_group(maker)?;
        let layout = Layout::new(self.sums.len());
        let parity = std::mem::take(&mut self.parity);
        self.sums.extend(parity.chunks_exact(PAGE).map(page_sum));
        let trailer = Trailer {
            kind: self.kind,
            volume: self.volume,
            pack: self.id,
            index_offset,
            index_length,
            sums: std::mem::take(&mut self.sums),
        };
        let trailer = trailer.encode(&layout);
        for part in [&parity, &trailer, &trailer] {
            self.upload(part)?;
        }
        let pack = FinishedPack { id: self.id, kind: self.kind, length: self.length, frames: self.frames };
        Ok(WrittenPack { uploads: self.uploads, pack })
    }

    fn upload(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        for upload in &mut self.uploads {
            upload.append(bytes)?;
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Writes bytes of the data pages.
    fn write(&mut self, maker: &mut Parity, mut bytes: &[u8]) -> Result<(), StoreError> {
        self.upload(bytes)?;
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(PARITY_GROUP * PAGE - self.group.len()));
            self.group.extend_from_slice(now);
            bytes = later;
            if self.group.len() == PARITY_GROUP * PAGE {
                self.close_group(maker)?;
            }
        }
        Ok(())
    }

    fn close_group(&mut self, maker: &mut Parity) -> Result<(), StoreError> {
        if !self.group.is_empty() {
            self.sums.extend(self.group.chunks_exact(PAGE).map(page_sum));
            self.parity.extend(maker.of(&self.group)?);
            self.group.clear();
        }
        Ok(())
    }
}
