//! A segment laid out on this machine's disk, so that a blob is found by reading 64 bytes, and one that is not there by
//! reading nothing. A cache in plain, for its owner alone; the truth is the sealed segment in the volume, and the packs.
//!
//! In memory is the head: for each blob two bytes of its name (the *print*) in the order of the names, and where the names
//! begin that share their first bits. So a name leads to the few prints beside which its own would stand; one in about ten
//! thousand names that are not there meets its own print by chance, and costs a read.
//!
//! All numbers little-endian:
//! ```text
//! "RESURGAM TABLE 1"                                        16
//! whose it is: H(volume, name of the segment)               32
//! counts of packs, frames, records; first bits that count   4 × 4
//! per pack: as in the segment                               32
//! where the names begin with each number of so many bits, and their count: 4 each
//! prints: the 16 bits of each name that follow those        2 each
//! H of all above                                            32
//! zeros to a multiple of 64
//! records, sorted by name                                   64 each
//! ```
//! A record: name of the blob (32), ordinal of its pack, offset, length and plain length of its frame, ordinal of the frame
//! in the segment, start in the frame's payload, length (4 each); then the first 4 bytes of H of these 60 and the record's
//! position. So nothing is believed that was not written there, whatever a power cut or a bad disk has left of the file.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    ops::Range,
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
};

use super::{
    IndexedBlob, IndexedFrame, IndexedPack, PACK_BYTES, Payload,
    fanout::{BITS_MAX, Fanout, head_of},
    payload::{encode_packs, parse_packs, words},
};
use crate::{
    entry::BlobId,
    error::{BackendError, Fault, StoreError},
};

const MAGIC: &[u8; 16] = b"RESURGAM TABLE 1";
const FIXED: usize = 64;
const SUM: usize = 32;
const RECORD: usize = 64;
/// What is summed of a record.
const SUMMED: usize = RECORD - 4;
/// Names that share their first bits, on average.
const TOGETHER: usize = 8;
/// Records read at once where all are read.
const RECORDS_AT_ONCE: usize = 4096;

/// What is in memory of a table.
#[derive(Debug)]
struct Head {
    packs: Vec<IndexedPack>,
    frames: u32,
    fanout: Fanout,
    prints: Vec<u16>,
}

/// Counts that say how long everything is.
#[derive(Clone, Copy)]
struct Counts {
    packs: u32,
    frames: u32,
    records: u32,
    bits: u32,
}

impl Counts {
    /// What the fixed beginning of a head says. `None`: it is not the beginning of the table `whose`.
    fn parse(fixed: &[u8; FIXED], whose: &[u8; 32]) -> Option<Self> {
        let [packs, frames, records, bits] = words(&fixed[48..]);
        let sound = fixed[..16] == MAGIC[..] && fixed[16..48] == whose[..] && bits <= BITS_MAX;
        sound.then_some(Self { packs, frames, records, bits })
    }

    fn starts_at(&self) -> u64 {
        FIXED as u64 + u64::from(self.packs) * PACK_BYTES as u64
    }

    fn prints_at(&self) -> u64 {
        self.starts_at() + ((1 << self.bits) + 1) * 4
    }

    fn sum_at(&self) -> u64 {
        self.prints_at() + u64::from(self.records) * 2
    }

    fn records_at(&self) -> u64 {
        (self.sum_at() + SUM as u64).next_multiple_of(RECORD as u64)
    }

    fn file_length(&self) -> u64 {
        self.records_at() + u64::from(self.records) * RECORD as u64
    }
}

/// The print of a name where so many first bits say near which others it is.
fn print_of(id: &BlobId, bits: u32) -> u16 {
    (head_of(id) << bits >> 48) as u16
}

impl Head {
    fn of(payload: &Payload<'_>) -> Self {
        let fanout = Fanout::of(payload.blobs().map(|blob| blob.id), TOGETHER);
        let prints = payload.blobs().map(|blob| print_of(&blob.id, fanout.bits())).collect();
        Self { packs: payload.packs.clone(), frames: payload.frames() as u32, fanout, prints }
    }

    fn counts(&self) -> Counts {
        let (packs, records) = (self.packs.len() as u32, self.prints.len() as u32);
        Counts { packs, frames: self.frames, records, bits: self.fanout.bits() }
    }

    /// The bytes before the records.
    fn encode(&self, whose: &[u8; 32]) -> Vec<u8> {
        let counts = self.counts();
        let mut out = Vec::with_capacity(counts.records_at() as usize);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(whose);
        for number in [counts.packs, counts.frames, counts.records, counts.bits] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        encode_packs(&self.packs, &mut out);
        self.fanout.starts().iter().for_each(|start| out.extend_from_slice(&start.to_le_bytes()));
        self.prints.iter().for_each(|print| out.extend_from_slice(&print.to_le_bytes()));
        let sum = blake3::hash(&out);
        out.extend_from_slice(sum.as_bytes());
        out.resize(counts.records_at() as usize, 0);
        out
    }

    /// Reads the bytes before the sum, which has been compared. `None`: they make no sense.
    fn parse(bytes: &[u8], counts: Counts) -> Option<Self> {
        let (starts_at, prints_at) = (counts.starts_at() as usize, counts.prints_at() as usize);
        let packs = parse_packs(bytes.get(FIXED..starts_at)?)?;
        let starts = bytes.get(starts_at..prints_at)?.as_chunks().0;
        let starts = starts.iter().map(|start| u32::from_le_bytes(*start)).collect();
        let prints = bytes.get(prints_at..counts.sum_at() as usize)?.as_chunks().0;
        let prints = prints.iter().map(|print| u16::from_le_bytes(*print)).collect();
        let fanout = Fanout::from_starts(counts.bits, starts, counts.records)?;
        Some(Self { packs, frames: counts.frames, fanout, prints })
    }

    /// Reads a record. `None`: it is not what was written at this position.
    fn parse_record(&self, record: &[u8; RECORD], position: usize) -> Option<(IndexedBlob, IndexedFrame)> {
        let (summed, sum) = record.split_at(SUMMED);
        let mut id = [0; 32];
        id.copy_from_slice(&record[..32]);
        let [pack, offset, frame_length, plain_length, frame, start, length] = words(&summed[32..]);
        let sound = sum_of(record, position) == sum
            && (pack as usize) < self.packs.len()
            && frame < self.frames
            && u64::from(plain_length) >= u64::from(start) + u64::from(length);
        let blob = IndexedBlob { id: BlobId(id), frame, start, length };
        sound.then_some((blob, IndexedFrame { pack, offset, length: frame_length, plain_length }))
    }
}

/// The sum of a record; its own last bytes do not count.
fn sum_of(record: &[u8; RECORD], position: usize) -> [u8; RECORD - SUMMED] {
    let mut summed = *record;
    summed[SUMMED..].copy_from_slice(&(position as u32).to_le_bytes());
    let [a, b, c, d, ..] = *blake3::hash(&summed).as_bytes();
    [a, b, c, d]
}

fn encode_record(blob: &IndexedBlob, frame: &IndexedFrame, position: usize) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    record[..32].copy_from_slice(&blob.id.0);
    let numbers = [frame.pack, frame.offset, frame.length, frame.plain_length, blob.frame, blob.start, blob.length];
    for (place, number) in record[32..SUMMED].as_chunks_mut().0.iter_mut().zip(numbers) {
        *place = number.to_le_bytes();
    }
    let sum = sum_of(&record, position);
    record[SUMMED..].copy_from_slice(&sum);
    record
}

/// A segment on disk.
#[derive(Debug)]
pub(crate) struct Table {
    head: Head,
    file: File,
    /// Its name, where it has one: it goes when it is found damaged.
    path: Option<PathBuf>,
    records_at: u64,
    /// Whether a record could not be read.
    failed: AtomicBool,
}

impl Table {
    /// Opens a table: reads and proves its head. `None`: it is not the table `whose`, or damaged.
    pub(super) fn open(file: File, path: PathBuf, whose: &[u8; 32]) -> Option<Self> {
        let mut fixed = [0; FIXED];
        file.read_exact_at(&mut fixed, 0).ok()?;
        let counts = Counts::parse(&fixed, whose)?;
        if file.metadata().ok()?.len() != counts.file_length() {
            return None;
        }
        let mut bytes = vec![0; counts.sum_at() as usize + SUM];
        file.read_exact_at(&mut bytes, 0).ok()?;
        let (summed, sum) = bytes.split_at(counts.sum_at() as usize);
        if blake3::hash(summed).as_bytes()[..] != *sum {
            return None;
        }
        let head = Head::parse(summed, counts)?;
        Some(Self { head, file, path: Some(path), records_at: counts.records_at(), failed: AtomicBool::new(false) })
    }

    /// Lays a segment out in an empty file. Not synced: what a power cut spoils is found by the sums.
    pub(super) fn lay_out(file: File, whose: &[u8; 32], payload: &Payload<'_>) -> io::Result<Self> {
        let head = Head::of(payload);
        let mut out = BufWriter::with_capacity(RECORD * RECORDS_AT_ONCE, &file);
        out.write_all(&head.encode(whose))?;
        for (position, blob) in payload.blobs().enumerate() {
            out.write_all(&encode_record(&blob, &payload.frame(blob.frame as usize), position))?;
        }
        out.into_inner().map_err(io::IntoInnerError::into_error)?;
        let records_at = head.counts().records_at();
        Ok(Self { head, file, path: None, records_at, failed: AtomicBool::new(false) })
    }

    /// The same table, now that its file has a name.
    pub(super) fn named(self, path: PathBuf) -> Self {
        Self { path: Some(path), ..self }
    }

    pub(super) fn packs(&self) -> &[IndexedPack] {
        &self.head.packs
    }

    pub(super) fn frames(&self) -> usize {
        self.head.frames as usize
    }

    pub(super) fn len(&self) -> usize {
        self.head.prints.len()
    }

    pub(super) fn near(&self, id: &BlobId) -> Range<usize> {
        self.head.fanout.near(id)
    }

    /// The print at a position; 0 behind the last.
    pub(super) fn print(&self, position: usize) -> u16 {
        self.head.prints.get(position).copied().unwrap_or(0)
    }

    /// The positions near a name whose print is that of it.
    pub(super) fn positions(&self, near: Range<usize>, id: &BlobId) -> Range<usize> {
        let print = print_of(id, self.head.fanout.bits());
        let prints = &self.head.prints[near.clone()];
        let from = prints.partition_point(|other| *other < print);
        let count = prints[from..].iter().take_while(|other| **other == print).count();
        near.start + from..near.start + from + count
    }

    /// The record at a position. `None`: it cannot be read; [`Table::check`] will say so from now on.
    pub(super) fn read(&self, position: usize) -> Option<(IndexedBlob, IndexedFrame)> {
        let mut record = [0; RECORD];
        let read = self.file.read_exact_at(&mut record, self.records_at + (position * RECORD) as u64);
        let found = read.ok().and_then(|()| self.head.parse_record(&record, position));
        if found.is_none() {
            self.throw_away();
        }
        found
    }

    /// All records, in their order.
    pub(super) fn records(&self) -> Records<'_> {
        Records { table: self, next: 0, read: Vec::new() }
    }

    fn throw_away(&self) {
        self.failed.store(true, Ordering::Relaxed);
        if let Some(path) = &self.path {
            // Where it stays, the next reader finds it damaged as well.
            let _ = std::fs::remove_file(path);
        }
    }

    /// Whether every record that was wanted could be read.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if !self.failed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let object = self.path.as_ref().map_or_else(|| "a table".to_owned(), |path| path.display().to_string());
        let what = "this table of the index on this machine is damaged; run the command again, which makes it anew";
        let source = io::Error::new(io::ErrorKind::InvalidData, what);
        Err(BackendError { attempt: "read", object, kind: Fault::Io, source }.into())
    }
}

/// Reads a table from its beginning to its end.
pub(super) struct Records<'a> {
    table: &'a Table,
    next: usize,
    /// Those read last; the one after the last of them is `next` when all have been given.
    read: Vec<u8>,
}

impl Records<'_> {
    /// The next record, of which there must be one.
    pub(super) fn next(&mut self) -> Result<(IndexedBlob, IndexedFrame), StoreError> {
        let within = self.next % RECORDS_AT_ONCE;
        let table = self.table;
        if within == 0 {
            self.read.resize(RECORD * RECORDS_AT_ONCE.min(table.len() - self.next), 0);
            let at = table.records_at + (self.next * RECORD) as u64;
            if table.file.read_exact_at(&mut self.read, at).is_err() {
                self.read.fill(0);
            }
        }
        let record = self.read.as_chunks().0.get(within);
        let found = record.and_then(|record| table.head.parse_record(record, self.next));
        self.next += 1;
        found.ok_or_else(|| {
            table.throw_away();
            table.check().err().unwrap_or_else(|| StoreError::Internal("a sound table has failed".to_owned()))
        })
    }
}

/// For fuzzing: a table, on any bytes.
pub fn fuzz_table(bytes: &[u8]) {
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED>() else { return };
    let mut whose = [0; 32];
    whose.copy_from_slice(&fixed[16..48]);
    let Some(counts) = Counts::parse(fixed, &whose) else { return };
    if counts.file_length() != bytes.len() as u64 {
        return;
    }
    let Some(head) = Head::parse(&bytes[..counts.sum_at() as usize], counts) else { return };
    assert!(head.encode(&whose)[..counts.sum_at() as usize] == bytes[..counts.sum_at() as usize]);
    let records = &rest[counts.records_at() as usize - FIXED..];
    for (position, record) in records.as_chunks().0.iter().enumerate() {
        if let Some((blob, frame)) = head.parse_record(record, position) {
            assert!(encode_record(&blob, &frame, position) == *record);
            let _ = head.fanout.near(&blob.id);
        }
    }
}
