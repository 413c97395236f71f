//! Two threads: one packs the frames of all lanes, the other makes full packs durable.

use std::{
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use crossbeam_channel::{Receiver, SendError, Sender, bounded};

use super::{Shared, held};
use crate::{
    entry::BlobId,
    error::StoreError,
    limits::{PACK_TARGET, SEGMENT_BLOBS},
    pack::{
        PackKind,
        build::{FinishedPack, PackBuilder, WrittenPack},
        mend::Parity,
    },
};

/// A frame, sealed and checked.
pub(super) struct Framed {
    pub(super) kind: PackKind,
    pub(super) bytes: Vec<u8>,
    pub(super) plain_length: u32,
    pub(super) blobs: Vec<(BlobId, u32)>,
}

/// Frames that may wait for the packer; one that does not compress is about 4 MiB.
const FRAMES_WAITING: usize = 2;

/// The way to the packer, and back: the memory of frames that are packed is used again.
pub(super) struct Queue {
    frames: Sender<Framed>,
    rooms: Receiver<Vec<u8>>,
}

impl Queue {
    /// Hands a frame over. An error: the packer has stopped.
    pub(super) fn send(&self, frame: Framed) -> Result<(), SendError<Framed>> {
        self.frames.send(frame)
    }

    /// Whether whoever sends would have to wait.
    pub(super) fn is_full(&self) -> bool {
        self.frames.is_full()
    }

    /// Memory for a frame.
    pub(super) fn room(&self) -> Vec<u8> {
        self.rooms.try_recv().unwrap_or_default()
    }
}

/// The threads, and the way to them.
pub(super) struct Packer {
    queue: Queue,
    packing: JoinHandle<()>,
    closing: JoinHandle<()>,
    finished: Arc<Mutex<Vec<FinishedPack>>>,
}

impl Packer {
    pub(super) fn start(shared: &Arc<Shared>) -> Self {
        let (queue, frames) = bounded(FRAMES_WAITING);
        let (used, rooms) = bounded(FRAMES_WAITING);
        let (full, to_close) = bounded(1);
        let finished = Arc::new(Mutex::new(Vec::new()));
        let packing = thread::spawn({
            let shared = Arc::clone(shared);
            move || {
                // On failure `frames` is dropped, and every lane learns of it at its next frame.
                if let Err(error) = pack(&shared, &frames, &used, &full) {
                    shared.fail(error);
                }
            }
        });
        let closing = thread::spawn({
            let (shared, finished) = (Arc::clone(shared), Arc::clone(&finished));
            move || {
                if let Err(error) = close(&shared, &to_close, &finished) {
                    shared.fail(error);
                }
            }
        });
        Self { queue: Queue { frames: queue, rooms }, packing, closing, finished }
    }

    pub(super) fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Waits until everything sent is in durable packs; those that no segment covers yet.
    pub(super) fn finish(self) -> Result<Vec<FinishedPack>, StoreError> {
        let Self { queue, packing, closing, finished } = self;
        drop(queue);
        if [packing.join(), closing.join()].iter().any(Result::is_err) {
            return Err(StoreError::Internal("a thread that writes packs has died".to_owned()));
        }
        Ok(std::mem::take(&mut *held(&finished)))
    }
}

fn pack(
    shared: &Shared,
    frames: &Receiver<Framed>,
    used: &Sender<Vec<u8>>,
    full: &Sender<WrittenPack>,
) -> Result<(), StoreError> {
    let stopped = |_| StoreError::Cancelled;
    let (mut sealer, mut parity) = (shared.volume.sealer()?, Parity::default());
    let mut open: [Option<PackBuilder>; 2] = [None, None];
    for frame in frames {
        let place = &mut open[frame.kind as usize];
        let pack = match place {
            Some(pack) => pack,
            None => place.insert(PackBuilder::new(shared.volume.backend(), shared.volume.id(), frame.kind)?),
        };
        pack.push(&mut parity, &frame.bytes, frame.plain_length, frame.blobs)?;
        // There is enough of it already where this does not fit.
        let _ = used.try_send(frame.bytes);
        if pack.length() >= PACK_TARGET
            && let Some(pack) = place.take()
        {
            full.send(pack.finish(&mut parity, &mut sealer)?).map_err(stopped)?;
        }
    }
    // Data before metadata: what refers to something becomes durable after it.
    for pack in open.into_iter().flatten() {
        full.send(pack.finish(&mut parity, &mut sealer)?).map_err(stopped)?;
    }
    Ok(())
}

fn close(
    shared: &Shared,
    packs: &Receiver<WrittenPack>,
    finished: &Mutex<Vec<FinishedPack>>,
) -> Result<(), StoreError> {
    let mut blobs = 0;
    for pack in packs {
        let pack = pack.commit()?;
        let copies = if pack.kind == PackKind::Meta { 2 } else { 1 };
        shared.added.add(pack.length * copies);
        blobs += pack.frames.iter().map(|frame| frame.blobs.len()).sum::<usize>();
        held(finished).push(pack);
        if blobs >= SEGMENT_BLOBS {
            blobs = 0;
            let packs = std::mem::take(&mut *held(finished));
            shared.index_packs(&packs)?;
        }
    }
    Ok(())
}
