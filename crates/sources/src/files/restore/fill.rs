//! Writing a file's content. What is written has been proved by the reader.
//!
//! Of a large file, other hands read parts; its own hand writes all, since two that write one file wait for each other.

use std::io;

use crossbeam_channel::{Receiver, Sender, TrySendError};
use resurgam_store::{
    Content, StoreError,
    reader::{BlobBytes, BlobPlaces, Place, Window},
};
use rustix::{
    fd::{AsFd, OwnedFd},
    io::Errno,
};

use super::Context;
use crate::error::SourceError;

/// Pieces from which on other hands are asked for help.
const HELP_FROM: u64 = 2;

/// Why a file is not whole.
pub(super) enum Fault {
    /// Its content cannot be read from the volume or proved.
    Unproved(String),
    /// It cannot be written.
    Target(io::Error),
    /// The job is over.
    Over,
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Target(error)
    }
}

/// A part of a large file that any hand may read: blobs of one frame, which is opened once.
pub(super) struct Piece {
    blobs: Vec<BlobPlaces>,
    answer: Sender<Result<Vec<Part>, Fault>>,
}

/// Bytes of a file, and where they go.
struct Part {
    bytes: BlobBytes,
    places: Vec<Place>,
}

/// The queue through which hands help one another.
#[derive(Clone)]
pub(super) struct Pieces {
    pub(super) offer: Sender<Piece>,
    pub(super) offered: Receiver<Piece>,
}

impl Pieces {
    /// For so many threads; a single one has nobody to help it. So many pieces wait that nobody who helps is idle while the
    /// file's own hand reads one and writes what has come.
    pub(super) fn new(threads: usize) -> Self {
        let (offer, offered) = crossbeam_channel::bounded(if threads > 1 { threads } else { 0 });
        Self { offer, offered }
    }
}

/// Writes `content` into a new, empty file, which is to be `size` bytes long.
pub(super) fn fill(
    context: &Context<'_>,
    pieces: &Pieces,
    file: &OwnedFd,
    content: &Content,
    size: u64,
) -> Result<(), Fault> {
    if let Content::Inline(bytes) = content {
        if bytes.len() as u64 != size {
            return Err(wrong_length(bytes.len() as u64, size));
        }
        write_fully(file, bytes, 0)?;
        return Ok(());
    }
    let (answer, answers) = crossbeam_channel::unbounded();
    let (mut written_to, mut count, mut outstanding) = (0_u64, 0_u64, 0_usize);
    let mut fault = None;
    let mut next = |blobs: Vec<BlobPlaces>| {
        let end = blobs.iter().map(end_of).max().unwrap_or(0);
        let result = if context.is_over() {
            Err(Fault::Over)
        } else if end > size {
            Err(wrong_length(end, size))
        } else {
            (count, written_to) = (count + 1, written_to.max(end));
            let piece = Piece { blobs, answer: answer.clone() };
            match if count < HELP_FROM { Err(piece) } else { offer(pieces, piece) } {
                Ok(()) => {
                    outstanding += 1;
                    Ok(())
                }
                Err(piece) => piece.blobs.into_iter().try_for_each(|blob| write(file, &[read(context, blob)?])),
            }
        };
        while let Ok(answered) = answers.try_recv() {
            outstanding -= 1;
            let written = answered.and_then(|parts| write(file, &parts));
            fault = fault.take().or(written.err());
        }
        fault = fault.take().or(result.err());
        // Any error will do: the reason is in `fault`.
        if fault.is_some() { Err(StoreError::Cancelled) } else { Ok(()) }
    };
    // From a far place, what comes is asked for while what came before is still on its way.
    let mut window = Window::of_blobs(context.reader);
    let read = context.reader.places(content, &mut |blobs| {
        let bytes = blobs.iter().map(|blob| window.want(&blob.blob)).sum();
        window.push(blobs, bytes);
        if window.is_full() {
            while !window.is_low() {
                window.pop().map_or(Ok(()), &mut next)?;
            }
        }
        Ok(())
    });
    let read = read.and_then(|length| {
        std::iter::from_fn(|| window.pop()).try_for_each(&mut next)?;
        Ok(length)
    });
    drop(answer);
    while outstanding > 0 {
        // What nobody has taken is done here, so what is waited for is in the hands of a thread at work.
        if let Ok(piece) = pieces.offered.try_recv() {
            help(context, piece);
        } else if let Ok(answered) = answers.recv() {
            outstanding -= 1;
            let written = answered.and_then(|parts| write(file, &parts));
            fault = fault.take().or(written.err());
        } else {
            break;
        }
    }
    match (fault, read) {
        (Some(fault), _) => return Err(fault),
        (None, Err(error)) => return Err(of_store(context, error)),
        (None, Ok(length)) if length != size => return Err(wrong_length(length, size)),
        (None, Ok(_)) => {}
    }
    if written_to < size {
        rustix::fs::ftruncate(file, size).map_err(io::Error::from)?;
    }
    Ok(())
}

/// Reads a piece that another hand has offered.
pub(super) fn help(context: &Context<'_>, piece: Piece) {
    let result = piece.blobs.into_iter().map(|blob| read(context, blob)).collect();
    // Nobody waits for it any more if the file's own hand has met an error.
    let _ = piece.answer.send(result);
}

/// How long a file must be to have all of a blob's places.
fn end_of(blob: &BlobPlaces) -> u64 {
    blob.places.iter().map(|place| place.at.saturating_add(u64::from(place.length))).max().unwrap_or(0)
}

/// Offers a piece to the others. Back comes what they are too busy for.
fn offer(pieces: &Pieces, piece: Piece) -> Result<(), Piece> {
    pieces.offer.try_send(piece).map_err(TrySendError::into_inner)
}

fn read(context: &Context<'_>, blob: BlobPlaces) -> Result<Part, Fault> {
    let BlobPlaces { blob: id, places } = blob;
    let bytes = context.reader.blob(&id).map_err(|e| of_store(context, e))?;
    let is_beyond = |place: &&Place| u64::from(place.offset) + u64::from(place.length) > bytes.len() as u64;
    if let Some(Place { offset, length, .. }) = places.iter().find(is_beyond) {
        let what = format!("it refers to bytes {offset} to {offset} + {length} of blob {id}, which is shorter");
        return Err(Fault::Unproved(what));
    }
    Ok(Part { bytes, places })
}

fn write(file: &OwnedFd, parts: &[Part]) -> Result<(), Fault> {
    for Part { bytes, places } in parts {
        for Place { at, offset, length } in places {
            let start = *offset as usize;
            write_fully(file, &bytes[start..start + *length as usize], *at)?;
        }
    }
    Ok(())
}

fn of_store(context: &Context<'_>, error: StoreError) -> Fault {
    if let StoreError::Cancelled = error {
        context.report.abort(SourceError::Cancelled);
        return Fault::Over;
    }
    Fault::Unproved(format!("its content could not be read from the volume: {error}"))
}

fn wrong_length(found: u64, size: u64) -> Fault {
    Fault::Unproved(format!("its content is {found} bytes or more, its length was {size}"))
}

/// Writes all of `bytes` at `offset`.
pub(super) fn write_fully(file: impl AsFd, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(&file, bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
