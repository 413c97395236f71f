//! Reading ahead: from a far place, frames are asked for before they are needed, as many at a time as it answers.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread::Scope,
};

use crossbeam_channel::{Sender, bounded};

use super::Reader;
use crate::{
    entry::{BlobId, Content, Extent},
    index::Located,
    meter::Cancel,
    pack::PackId,
};

/// Asks for frames ahead of whoever restores. Copies of it ask together; once the last one is gone, so are its threads.
/// For a near place it does nothing.
#[derive(Clone)]
pub struct Ahead<'a> {
    reader: &'a Reader,
    queue: Option<Sender<Located>>,
    /// What was asked for last: neighbours lie in one frame.
    last: Arc<Mutex<Option<(PackId, u32)>>>,
}

impl<'a> Ahead<'a> {
    /// Starts the threads, as many as the place answers at once. They fetch nothing more once `cancel` is set.
    pub fn start<'scope>(reader: &'a Reader, scope: &'scope Scope<'scope, '_>, cancel: &'a Cancel) -> Self
    where
        'a: 'scope,
    {
        let threads = reader.volume.backend().reads_at_once();
        let (queue, frames) = bounded::<Located>(threads);
        for _ in 0..threads {
            let frames = frames.clone();
            // What fails here is met again, and told, by whoever needs it.
            scope.spawn(move || {
                frames.iter().filter(|_| !cancel.is_cancelled()).for_each(|at| drop(reader.frame(&at)));
            });
        }
        Self { reader, queue: (threads > 0).then_some(queue), last: Arc::default() }
    }

    /// How many blobs of a long file to ask for ahead; 0 where it does not pay.
    pub fn depth(&self) -> usize {
        if self.queue.is_some() { self.reader.volume.backend().reads_at_once() } else { 0 }
    }

    /// Says that the content will be needed soon. Of a long one, only what its entry names.
    pub fn want_content(&self, content: &Content) {
        if self.queue.is_none() {
            return;
        }
        if let Content::Extents(extents) = content {
            for extent in extents {
                if let Extent::Data { blob, .. } = extent {
                    self.want(blob);
                }
            }
        }
    }

    /// Says that the blob will be needed soon. Waits while the place is busy.
    pub fn want(&self, blob: &BlobId) {
        let Some(queue) = &self.queue else { return };
        let Some(at) = self.reader.index().find(blob) else { return };
        let key = Some((at.pack.id, at.frame.offset));
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != key {
            *last = key;
            drop(last);
            // Nobody takes it any more: then nobody needs it.
            let _ = queue.send(at);
        }
    }
}
