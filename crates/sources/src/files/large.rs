//! Large files, by many hands: one thread reads and cuts, the blobs are stored by whichever thread is free.
//!
//! What goes from hand to hand is a piece of the file, as long as a frame: so what lies side by side in the file is
//! compressed together, and lies side by side in the volume.
//!
//! Whoever reads a long file has a leave to do so. There is one for any file: of a new one storing is most of the work,
//! and the others have it. Of a file that the previous point has little is stored, and cutting is most of the work, which
//! nobody can help with: so there are a few more leaves for those. Who has none helps those who have until one is given
//! back.
//!
//! No deadlock, however many read: who has a leave never waits for another, and who waits for one goes on helping. A piece
//! is offered, never pressed; what nobody takes its own hand stores. At the end a reader takes what is still in the queue,
//! its own or another's, so that what it waits for then is in the hands of a thread that is storing it; and who stores a
//! piece waits for nobody.

use crossbeam_channel::{Receiver, Sender, TrySendError, never, select_biased};
use resurgam_store::{
    BlobId, Extent, StoreError,
    limits::{CHUNK_MAX, FRAME_FULL, WHOLE_FILE_MAX},
};
use rustix::{
    fd::OwnedFd,
    fs::{Advice, fadvise},
};

use super::{
    content::read_fully,
    item::{Failure, Hand, Work},
};
use crate::error::SourceError;

/// Files of more bytes are long: there is enough in one for several hands.
pub(crate) const LONG: u64 = 2 * FRAME_FULL as u64;

/// Long files read at once, if all but one of them are known. Each takes memory for two pieces or three.
const READ_AT_ONCE: usize = 4;

/// Room beside a piece, so that it becomes a frame where it lies.
const DIRECTORY: usize = 4096;

/// A piece of a large file that any hand may store.
pub(crate) struct Piece {
    /// The number of its first extent.
    first: usize,
    /// Its blobs, one behind the other.
    bytes: Vec<u8>,
    lengths: Vec<u32>,
    answer: Sender<Answer>,
}

/// What became of a piece.
struct Answer {
    first: usize,
    blobs: Result<Vec<BlobId>, StoreError>,
}

/// Memory for pieces, to be used again: as much as was in use at once.
#[derive(Clone)]
pub(crate) struct Rooms {
    free: Sender<Vec<u8>>,
    kept: Receiver<Vec<u8>>,
}

impl Rooms {
    fn new() -> Self {
        let (free, kept) = crossbeam_channel::unbounded();
        Self { free, kept }
    }

    /// Memory for so many bytes; empty.
    pub(crate) fn take(&self, length: usize) -> Vec<u8> {
        let mut room = self.kept.try_recv().unwrap_or_default();
        room.clear();
        room.reserve_exact(length + DIRECTORY);
        room
    }

    pub(crate) fn give_back(&self, room: Vec<u8>) {
        // Nobody can have gone: both ends are here.
        let _ = self.free.send(room);
    }
}

/// The queue through which hands help one another, and the leaves to read a long file.
#[derive(Clone)]
pub(crate) struct Helpers {
    offer: Sender<Piece>,
    pub(crate) offered: Receiver<Piece>,
    for_any: Leaves,
    for_known: Leaves,
    pub(crate) rooms: Rooms,
}

impl Helpers {
    /// For so many threads; a single one has nobody to help it.
    pub(crate) fn new(threads: usize) -> Self {
        let (offer, offered) = crossbeam_channel::bounded(threads / 2);
        let more = threads.min(READ_AT_ONCE).saturating_sub(1);
        Self { offer, offered, for_any: Leaves::new(1), for_known: Leaves::new(more), rooms: Rooms::new() }
    }
}

/// Leaves to read a long file that nobody has.
#[derive(Clone)]
struct Leaves {
    give_back: Sender<()>,
    free: Receiver<()>,
}

impl Leaves {
    fn new(count: usize) -> Self {
        let (give_back, free) = crossbeam_channel::bounded(count);
        let leaves = Self { give_back, free };
        (0..count).for_each(|_| drop(leaves.taken()));
        leaves
    }

    /// One that was free.
    fn taken(&self) -> Leave<'_> {
        Leave(&self.give_back)
    }
}

/// The leave to read a long file, given back when it goes.
pub(crate) struct Leave<'a>(&'a Sender<()>);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        // There is room for as many as there are.
        let _ = self.0.try_send(());
    }
}

/// The pieces of one run that are in other hands.
pub(crate) struct Outstanding {
    answer: Sender<Answer>,
    answers: Receiver<Answer>,
    count: usize,
}

impl Outstanding {
    pub(crate) fn new() -> Self {
        let (answer, answers) = crossbeam_channel::unbounded();
        Self { answer, answers, count: 0 }
    }

    fn accept(&mut self, answer: Answer, extents: &mut [Extent]) -> Result<(), StoreError> {
        self.count -= 1;
        set_blobs(extents, answer.first, &answer.blobs?);
        Ok(())
    }
}

impl Hand<'_> {
    /// Stores a piece that another hand has offered.
    pub(crate) fn help(&mut self, mut piece: Piece) {
        let blobs = self.lane.put_run(&mut piece.bytes, &piece.lengths);
        self.helpers.rooms.give_back(piece.bytes);
        // Nobody waits for it any more if the file's own hand has met an error.
        let _ = piece.answer.send(Answer { first: piece.first, blobs });
    }

    /// Stores `length` bytes of the file from `start` on and adds their extents. Returns how many bytes there were:
    /// fewer if the file became shorter meanwhile.
    pub(crate) fn read_run(
        &mut self,
        file: &OwnedFd,
        start: u64,
        length: u64,
        extents: &mut Vec<Extent>,
        work: &Work,
    ) -> Result<u64, Failure> {
        let read = if length <= WHOLE_FILE_MAX as u64 {
            self.read_short_run(file, start, length as usize, extents)
        } else {
            let helpers = self.helpers.clone();
            let _leave = (length > LONG).then(|| self.wait_for_leave(&helpers, work));
            self.read_long_run(file, start, length, extents, &helpers.rooms)
        };
        self.shared.moment.reading(&work.path);
        read
    }

    /// Helps those who read long files, until there is leave to read this one.
    pub(crate) fn wait_for_leave<'h>(&mut self, helpers: &'h Helpers, work: &Work) -> Leave<'h> {
        let is_known = work.previous.is_some();
        let for_known = if is_known { helpers.for_known.free.clone() } else { never() };
        loop {
            select_biased! {
                recv(for_known) -> _ => return helpers.for_known.taken(),
                recv(helpers.for_any.free) -> _ => return helpers.for_any.taken(),
                recv(helpers.offered) -> piece => {
                    if let Ok(piece) = piece {
                        self.help(piece);
                    }
                }
            }
        }
    }

    fn read_short_run(
        &mut self,
        file: &OwnedFd,
        start: u64,
        length: usize,
        extents: &mut Vec<Extent>,
    ) -> Result<u64, Failure> {
        let mut buffer = std::mem::take(&mut self.buffer);
        if buffer.len() < length {
            buffer.resize(length, 0);
        }
        let read = read_fully(file, &mut buffer[..length], start);
        let stored = read.map_err(Failure::from).and_then(|read| {
            self.shared.meter.read.add(read as u64);
            if read > 0 {
                let blob = self.lane.put(&buffer[..read])?;
                extents.push(Extent::Data { blob, offset: 0, length: u32::try_from(read).unwrap_or(u32::MAX) });
            }
            Ok(read as u64)
        });
        self.buffer = buffer;
        stored
    }

    fn read_long_run(
        &mut self,
        file: &OwnedFd,
        start: u64,
        length: u64,
        extents: &mut Vec<Extent>,
        rooms: &Rooms,
    ) -> Result<u64, Failure> {
        // Only advice: whether it is taken changes nothing but the speed.
        let _ = fadvise(file, start, std::num::NonZeroU64::new(length), Advice::Sequential);
        let (mut position, mut end_of_run) = (start, start.saturating_add(length));
        let mut outstanding = Outstanding::new();
        let mut bytes = rooms.take(0);
        loop {
            if self.shared.cancel.is_cancelled() {
                return Err(Failure::Job(SourceError::Cancelled));
            }
            // A piece ends with the first blob that makes it long enough, and that may be as long as any.
            let enough = self.lane.target().min(FRAME_FULL - CHUNK_MAX);
            let there = bytes.len();
            let room = (enough + CHUNK_MAX).saturating_sub(there);
            let wanted = usize::try_from(end_of_run - position).unwrap_or(room).min(room);
            bytes.resize(there + wanted, 0);
            let read = read_fully(file, &mut bytes[there..], position)?;
            self.shared.meter.read.add(read as u64);
            position += read as u64;
            bytes.truncate(there + read);
            if read < wanted {
                end_of_run = position;
            }
            let at_end = position == end_of_run;
            let (mut lengths, mut cut) = (Vec::new(), 0);
            while cut < bytes.len().min(enough) && (at_end || bytes.len() - cut >= CHUNK_MAX) {
                let length = self.shared.session.chunker().cut(&bytes[cut..]);
                lengths.push(u32::try_from(length).unwrap_or(u32::MAX));
                cut += length;
            }
            if lengths.is_empty() {
                break;
            }
            let mut rest = rooms.take(enough + CHUNK_MAX);
            rest.extend_from_slice(&bytes[cut..]);
            bytes.truncate(cut);
            self.store(bytes, lengths, extents, &mut outstanding)?;
            bytes = rest;
        }
        rooms.give_back(bytes);
        self.collect(extents, outstanding)?;
        Ok(position - start)
    }

    /// Offers a piece to the others, or stores it.
    pub(crate) fn store(
        &mut self,
        bytes: Vec<u8>,
        lengths: Vec<u32>,
        extents: &mut Vec<Extent>,
        outstanding: &mut Outstanding,
    ) -> Result<(), Failure> {
        let first = extents.len();
        extents.extend(lengths.iter().map(|&length| Extent::Data { blob: BlobId([0; 32]), offset: 0, length }));
        let piece = Piece { first, bytes, lengths, answer: outstanding.answer.clone() };
        match self.helpers.offer.try_send(piece) {
            Ok(()) => outstanding.count += 1,
            Err(TrySendError::Full(mut piece) | TrySendError::Disconnected(mut piece)) => {
                let blobs = self.lane.put_run(&mut piece.bytes, &piece.lengths)?;
                set_blobs(extents, first, &blobs);
                self.helpers.rooms.give_back(piece.bytes);
            }
        }
        while let Ok(answer) = outstanding.answers.try_recv() {
            outstanding.accept(answer, extents)?;
        }
        Ok(())
    }

    /// Waits until every piece is stored, storing those that nobody has taken.
    pub(crate) fn collect(&mut self, extents: &mut [Extent], mut outstanding: Outstanding) -> Result<(), Failure> {
        // From here on the channel ends when no other hand holds a piece of this run.
        outstanding.answer = crossbeam_channel::bounded(0).0;
        while outstanding.count > 0 {
            let answered = match outstanding.answers.try_recv() {
                Ok(answered) => answered,
                Err(_) => match self.helpers.offered.try_recv() {
                    Ok(piece) => {
                        self.help(piece);
                        continue;
                    }
                    Err(_) => outstanding.answers.recv().map_err(|_| {
                        let what = "a thread that stored a part of a file ended without an answer";
                        Failure::Job(SourceError::internal(what))
                    })?,
                },
            };
            outstanding.accept(answered, extents)?;
        }
        Ok(())
    }
}

fn set_blobs(extents: &mut [Extent], first: usize, stored: &[BlobId]) {
    for (extent, name) in extents.iter_mut().skip(first).zip(stored) {
        if let Extent::Data { blob, .. } = extent {
            *blob = *name;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_new_files_one_is_read_at_once_and_of_known_ones_a_few() {
        for (threads, known) in [(1, 0), (2, 1), (3, 2), (4, 3), (32, 3)] {
            let helpers = Helpers::new(threads);
            let free = || (helpers.for_any.free.len(), helpers.for_known.free.len());
            assert_eq!(free(), (1, known));
            helpers.for_any.free.recv().unwrap();
            let leave = helpers.for_any.taken();
            assert_eq!(free(), (0, known));
            drop(leave);
            assert_eq!(free(), (1, known));
        }
    }
}
