//! Large files, by many hands: one thread reads and cuts, the blobs are stored by whichever thread is free.
//!
//! One long file at a time: who comes to another helps with the first until that is done. So the blobs of a file lie beside
//! each other in the volume, and are read back in long runs.
//!
//! No deadlock: a chunk is offered, never pressed; whom nobody helps stores it himself. At the end the reader takes what
//! is still in the queue, so that what it waits for then is in the hands of a thread that is storing it.

use crossbeam_channel::{Receiver, Sender, TrySendError, select_biased};
use resurgam_model::BytePath;
use resurgam_store::{BlobId, Extent, StoreError, limits};
use rustix::{
    fd::OwnedFd,
    fs::{Advice, fadvise},
};

use super::{
    content::read_fully,
    item::{Failure, Hand},
};
use crate::error::SourceError;

/// Bytes of a large file in one hand: enough that at least half of it can be cut each time it is filled.
const WINDOW: usize = 2 * limits::BLOB_MAX;

/// Files of more bytes are long: there is enough in one for several hands.
pub(crate) const LONG: u64 = WINDOW as u64;

/// A piece of a large file that any hand may store.
pub(crate) struct Chunk {
    index: usize,
    bytes: Vec<u8>,
    answer: Sender<(usize, Result<BlobId, StoreError>)>,
}

/// The queue through which hands help one another.
#[derive(Clone)]
pub(crate) struct Helpers {
    offer: Sender<Chunk>,
    pub(crate) offered: Receiver<Chunk>,
    /// The leave to read a long file: there is one.
    give_back: Sender<()>,
    leave: Receiver<()>,
}

impl Helpers {
    /// For so many threads; a single one has nobody to help it.
    pub(crate) fn new(threads: usize) -> Self {
        let (offer, offered) = crossbeam_channel::bounded(if threads > 1 { threads } else { 0 });
        let (give_back, leave) = crossbeam_channel::bounded(1);
        let helpers = Self { offer, offered, give_back, leave };
        drop(Leave(&helpers.give_back));
        helpers
    }
}

/// The leave to read a long file, given back when it goes.
pub(crate) struct Leave<'a>(&'a Sender<()>);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        // There is always room for the only one.
        let _ = self.0.try_send(());
    }
}

/// The chunks of one run that are in other hands.
pub(crate) struct Outstanding {
    answer: Sender<(usize, Result<BlobId, StoreError>)>,
    answers: Receiver<(usize, Result<BlobId, StoreError>)>,
    count: usize,
}

impl Outstanding {
    pub(crate) fn new() -> Self {
        let (answer, answers) = crossbeam_channel::unbounded();
        Self { answer, answers, count: 0 }
    }
}

impl Hand<'_> {
    /// Stores a chunk that another hand has offered.
    pub(crate) fn help(&mut self, chunk: Chunk) {
        let result = self.lane.put(&chunk.bytes);
        // Nobody waits for it any more if the file's own hand has met an error.
        let _ = chunk.answer.send((chunk.index, result));
    }

    /// Stores `length` bytes of the file from `start` on and adds their extents. Returns how many bytes there were:
    /// fewer if the file became shorter meanwhile.
    pub(crate) fn read_run(
        &mut self,
        file: &OwnedFd,
        start: u64,
        length: u64,
        extents: &mut Vec<Extent>,
        path: &BytePath,
    ) -> Result<u64, Failure> {
        let mut window = std::mem::take(&mut self.window);
        let small = length <= limits::WHOLE_FILE_MAX as u64;
        let needed = if small { limits::WHOLE_FILE_MAX } else { WINDOW };
        if window.len() < needed {
            window.resize(needed, 0);
        }
        let result = if small {
            self.read_short_run(file, start, length, extents, &mut window)
        } else {
            let helpers = self.helpers.clone();
            let _leave = (length > LONG).then(|| self.wait_for_leave(&helpers));
            self.read_long_run(file, start, length, extents, &mut window)
        };
        self.window = window;
        self.shared.moment.reading(path);
        result
    }

    /// Helps whoever reads a long file, until that is done.
    pub(crate) fn wait_for_leave<'h>(&mut self, helpers: &'h Helpers) -> Leave<'h> {
        loop {
            select_biased! {
                recv(helpers.leave) -> _ => return Leave(&helpers.give_back),
                recv(helpers.offered) -> chunk => {
                    if let Ok(chunk) = chunk {
                        self.help(chunk);
                    }
                }
            }
        }
    }

    fn read_short_run(
        &mut self,
        file: &OwnedFd,
        start: u64,
        length: u64,
        extents: &mut Vec<Extent>,
        window: &mut [u8],
    ) -> Result<u64, Failure> {
        let wanted = usize::try_from(length).unwrap_or(window.len()).min(window.len());
        let read = read_fully(file, &mut window[..wanted], start)?;
        self.shared.meter.read.add(read as u64);
        if read > 0 {
            let blob = self.lane.put(&window[..read])?;
            extents.push(Extent::Data { blob, offset: 0, length: u32::try_from(read).unwrap_or(u32::MAX) });
        }
        Ok(read as u64)
    }

    fn read_long_run(
        &mut self,
        file: &OwnedFd,
        start: u64,
        length: u64,
        extents: &mut Vec<Extent>,
        window: &mut [u8],
    ) -> Result<u64, Failure> {
        // Only advice: whether it is taken changes nothing but the speed.
        let _ = fadvise(file, start, std::num::NonZeroU64::new(length), Advice::Sequential);
        let (mut position, mut end_of_run) = (start, start.saturating_add(length));
        let (mut begin, mut end) = (0, 0);
        let mut outstanding = Outstanding::new();
        loop {
            if self.shared.cancel.is_cancelled() {
                return Err(Failure::Job(SourceError::Cancelled));
            }
            if end - begin < limits::BLOB_MAX && position < end_of_run {
                window.copy_within(begin..end, 0);
                (begin, end) = (0, end - begin);
                let room = (window.len() - end) as u64;
                let wanted = usize::try_from(room.min(end_of_run - position)).unwrap_or(0);
                let read = read_fully(file, &mut window[end..end + wanted], position)?;
                self.shared.meter.read.add(read as u64);
                position += read as u64;
                end += read;
                if read < wanted {
                    end_of_run = position;
                }
            }
            if begin == end {
                break;
            }
            let cut = self.shared.session.chunker().cut(&window[begin..end]).clamp(1, end - begin);
            self.store(&window[begin..begin + cut], extents, &mut outstanding)?;
            begin += cut;
        }
        self.collect(extents, outstanding)?;
        Ok(position - start)
    }

    /// Offers a chunk to the others, or stores it.
    pub(crate) fn store(
        &mut self,
        bytes: &[u8],
        extents: &mut Vec<Extent>,
        outstanding: &mut Outstanding,
    ) -> Result<(), Failure> {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let index = extents.len();
        extents.push(Extent::Data { blob: BlobId([0; 32]), offset: 0, length });
        if !self.helpers.offer.is_full() {
            let chunk = Chunk { index, bytes: bytes.to_vec(), answer: outstanding.answer.clone() };
            match self.helpers.offer.try_send(chunk) {
                Ok(()) => outstanding.count += 1,
                Err(TrySendError::Full(chunk) | TrySendError::Disconnected(chunk)) => {
                    set_blob(extents, index, self.lane.put(&chunk.bytes)?);
                }
            }
        } else {
            set_blob(extents, index, self.lane.put(bytes)?);
        }
        while let Ok((index, result)) = outstanding.answers.try_recv() {
            outstanding.count -= 1;
            set_blob(extents, index, result?);
        }
        Ok(())
    }

    /// Waits until every chunk is stored, storing those that nobody has taken.
    pub(crate) fn collect(&mut self, extents: &mut [Extent], outstanding: Outstanding) -> Result<(), Failure> {
        let Outstanding { answer, answers, mut count } = outstanding;
        // From here on the channel ends when no other hand holds a chunk of this run.
        drop(answer);
        while count > 0 {
            let answered = match answers.try_recv() {
                Ok(answered) => answered,
                Err(_) => match self.helpers.offered.try_recv() {
                    Ok(chunk) => {
                        self.help(chunk);
                        continue;
                    }
                    Err(_) => answers.recv().map_err(|_| {
                        let what = "a thread that stored a part of a file ended without an answer";
                        Failure::Job(StoreError::Internal(what.to_owned()).into())
                    })?,
                },
            };
            count -= 1;
            set_blob(extents, answered.0, answered.1?);
        }
        Ok(())
    }
}

fn set_blob(extents: &mut [Extent], index: usize, stored: BlobId) {
    if let Some(Extent::Data { blob, .. }) = extents.get_mut(index) {
        *blob = stored;
    }
}
