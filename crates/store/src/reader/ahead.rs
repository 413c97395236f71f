//! Reading ahead: from a far place, frames are asked for before they are needed, neighbours with one request, and several
//! requests at a time. For a near place nothing of this does anything.

use std::{
    collections::{HashSet, VecDeque},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::{
    Reader,
    fetched::{Fetched, Key, Room, key_of},
    runs::{Run, runs},
};
use crate::{
    entry::{BlobId, Entry, Kind},
    error::StoreError,
    index::Located,
    limits::LIST_LENGTH,
    volume::Volume,
};

/// Stored bytes that the entries which wait may need: about the bytes on their way and waiting.
pub(crate) const ENTRIES_BYTES: u64 = 32 << 20;
/// The same for the extents of one long file.
pub(crate) const EXTENTS_BYTES: u64 = 12 << 20;
/// Things that wait at most, whatever they need.
const WAITING_MAX: usize = 16 << 10;

/// The threads that fetch, and what they have fetched. They live as long as the reader, and are started when first needed.
pub(super) struct Fetching {
    pub(super) fetched: Arc<Fetched>,
    volume: Arc<Volume>,
    queue: OnceLock<Sender<(Run, Room)>>,
    over: Arc<AtomicBool>,
}

impl Fetching {
    /// `None` for a near place.
    pub(super) fn of(volume: &Arc<Volume>) -> Option<Self> {
        let far = volume.backend().reads_at_once() > 0;
        far.then(|| Self {
            fetched: Arc::default(),
            volume: Arc::clone(volume),
            queue: OnceLock::new(),
            over: Arc::default(),
        })
    }

    fn ask(&self, wanted: &[Located]) {
        for run in runs(wanted) {
            self.fetched.expect(&run);
            // Made here, since each thread has memory of its own, which would stay with it.
            let bytes = self.fetched.spare.room(run.length as usize);
            // Without a single thread, everybody reads for himself.
            if let Err(unsent) = self.queue.get_or_init(|| self.start()).send((run, bytes)) {
                self.fetched.arrive(&unsent.0.0, None);
            }
        }
    }

    fn start(&self) -> Sender<(Run, Room)> {
        let (queue, offered) = unbounded();
        for _ in 0..self.volume.backend().reads_at_once() {
            let (offered, fetched, over) = (offered.clone(), Arc::clone(&self.fetched), Arc::clone(&self.over));
            let volume = Arc::clone(&self.volume);
            let fetch = move || fetch(&volume, &offered, &fetched, &over);
            if thread::Builder::new().name("reading ahead".to_owned()).spawn(fetch).is_err() {
                break;
            }
        }
        queue
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn fetch(volume: &Volume, offered: &Receiver<(Run, Room)>, fetched: &Fetched, over: &AtomicBool) {
    /// Whatever happens, nobody waits for a run for ever.
    struct Arrival<'a>(&'a Fetched, Run, Option<Room>);
    impl Drop for Arrival<'_> {
        fn drop(&mut self) {
            self.0.arrive(&self.1, self.2.take());
        }
    }
    for (run, mut bytes) in offered.iter() {
        let mut arrival = Arrival(fetched, run, None);
        let run = &arrival.1;
        // What fails here is met again, and told, by whoever needs it.
        if !over.load(Ordering::Relaxed)
            && volume.backend().read_at(&run.pack.id.object(), run.start, &mut bytes).is_ok()
        {
            arrival.2 = Some(bytes);
        }
    }
}

/// Blobs that will be needed, before they are asked for together.
pub(crate) struct Wanted<'a> {
    reader: &'a Reader,
    frames: Vec<Located>,
    keys: HashSet<Key>,
}

impl<'a> Wanted<'a> {
    pub(crate) fn new(reader: &'a Reader) -> Self {
        Self { reader, frames: Vec::new(), keys: HashSet::new() }
    }

    /// Returns how many bytes are to be fetched for this blob that were not for others.
    pub(crate) fn add(&mut self, blob: &BlobId) -> u64 {
        let Some(fetching) = &self.reader.fetching else { return 0 };
        let Some(at) = self.reader.index().find(blob) else { return 0 };
        let key = key_of(&at);
        if self.keys.contains(&key) || fetching.fetched.has(&key) || self.reader.has_open(&at) {
            return 0;
        }
        self.keys.insert(key);
        self.frames.push(at);
        u64::from(at.frame.length)
    }

    /// Asks for them. Does not wait.
    pub(crate) fn ask(&mut self) {
        if let Some(fetching) = &self.reader.fetching {
            fetching.ask(&self.frames);
        }
        self.frames.clear();
        self.keys.clear();
    }
}

/// Things in their order, handed out when what they need has been asked for.
pub struct Window<'a, T> {
    wanted: Wanted<'a>,
    /// Each with the bytes that are fetched for it.
    waiting: VecDeque<(T, u64)>,
    bytes: u64,
    bytes_max: u64,
    length_max: usize,
}

impl<'a, T> Window<'a, T> {
    fn new(reader: &'a Reader, bytes_max: u64) -> Self {
        let (bytes_max, length_max) = if reader.fetching.is_some() { (bytes_max, WAITING_MAX) } else { (0, 1) };
        Self { wanted: Wanted::new(reader), waiting: VecDeque::new(), bytes: 0, bytes_max, length_max }
    }

    /// For the blobs of one file.
    pub fn of_blobs(reader: &'a Reader) -> Self {
        Self::new(reader, EXTENTS_BYTES)
    }

    /// Wants a blob; returns how many bytes are to be fetched for it alone.
    pub fn want(&mut self, blob: &BlobId) -> u64 {
        self.wanted.add(blob)
    }

    /// Takes something in for which so many bytes are to be fetched.
    pub fn push(&mut self, item: T, bytes: u64) {
        self.bytes += bytes;
        self.waiting.push_back((item, bytes));
    }

    /// Whether enough waits: then it is time to hand out, until [`Window::is_low`].
    pub fn is_full(&self) -> bool {
        self.bytes > self.bytes_max || self.waiting.len() >= self.length_max
    }

    /// Whether it is time to take in again. Taking in much at a time is what makes long runs.
    pub fn is_low(&self) -> bool {
        self.bytes <= self.bytes_max / 2 && self.waiting.len() <= self.length_max / 2
    }

    /// The next in order; what it needs is on its way.
    pub fn pop(&mut self) -> Option<T> {
        self.wanted.ask();
        let (item, bytes) = self.waiting.pop_front()?;
        self.bytes -= bytes;
        Some(item)
    }
}

/// Entries in their order, whose content has been asked for when they are handed out; of a long file, its beginning.
pub struct EntriesAhead<'a, I> {
    entries: I,
    window: Window<'a, Result<Entry, StoreError>>,
    ended: bool,
}

impl<'a, I: Iterator<Item = Result<Entry, StoreError>>> EntriesAhead<'a, I> {
    /// Reads ahead for these.
    pub fn new(reader: &'a Reader, entries: I) -> Self {
        Self { entries, window: Window::new(reader, ENTRIES_BYTES), ended: false }
    }

    fn push(&mut self, entry: Result<Entry, StoreError>) {
        let (reader, mut bytes) = (self.window.wanted.reader, 0);
        if reader.fetching.is_some()
            && let Ok(Entry { kind: Kind::File { content, .. }, .. }) = &entry
        {
            let mut looked_at = 0;
            // What cannot be read here is met again, and told, by whoever writes the file.
            let _ = reader.extents(content, &mut |extent| {
                looked_at += 1;
                bytes += extent.blob().map_or(0, |blob| self.window.want(blob));
                if bytes < EXTENTS_BYTES && looked_at < LIST_LENGTH { Ok(()) } else { Err(StoreError::Cancelled) }
            });
        }
        self.window.push(entry, bytes);
    }
}

impl<I: Iterator<Item = Result<Entry, StoreError>>> Iterator for EntriesAhead<'_, I> {
    type Item = Result<Entry, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.window.is_low() {
            while !self.ended && !self.window.is_full() {
                let Some(entry) = self.entries.next() else {
                    self.ended = true;
                    break;
                };
                // A place that does not answer keeps us waiting each time: whoever reads may want to stop.
                let lost = entry.is_err();
                self.push(entry);
                if lost {
                    break;
                }
            }
        }
        self.window.pop()
    }
}

#[cfg(test)]
mod tests;
