//! Writing a file's content. What is written has been proved by the reader.
//!
//! Of a large file, other hands read parts; its own hand writes all, since two that write one file wait for each other.

use std::{io, ops::Range};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use resurgam_store::{
    BlobId, Content, Extent, StoreError,
    reader::{BlobBytes, Window},
};
use rustix::{
    fd::{AsFd, OwnedFd},
    io::Errno,
};

use super::Context;
use crate::error::SourceError;

/// Extents from which on other hands are asked for help.
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

/// A part of a large file that any hand may read.
pub(super) struct Piece {
    at: u64,
    blob: BlobId,
    offset: u32,
    length: u32,
    answer: Sender<Result<Part, Fault>>,
}

/// Bytes of a file, and where they go.
struct Part {
    at: u64,
    blob: BlobBytes,
    range: Range<usize>,
}

/// The queue through which hands help one another.
#[derive(Clone)]
pub(super) struct Pieces {
    offer: Sender<Piece>,
    pub(super) offered: Receiver<Piece>,
}

impl Pieces {
    /// For so many threads; a single one has nobody to help it.
    pub(super) fn new(threads: usize) -> Self {
        let (offer, offered) = crossbeam_channel::bounded(if threads > 1 { 2 * threads } else { 0 });
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
    let (mut position, mut written_to, mut count, mut outstanding) = (0_u64, 0_u64, 0_u64, 0_usize);
    let mut fault = None;
    let mut next = |(at, extent): (u64, Extent)| {
        let end = at.saturating_add(extent.length());
        position = position.max(end);
        let result = match extent {
            _ if context.is_over() => Err(Fault::Over),
            _ if end > size => Err(wrong_length(end, size)),
            Extent::Hole { .. } => Ok(()),
            Extent::Data { blob, offset, length } => {
                (count, written_to) = (count + 1, written_to.max(end));
                let piece = Piece { at, blob, offset, length, answer: answer.clone() };
                match if count < HELP_FROM { Err(piece) } else { offer(pieces, piece) } {
                    Ok(()) => {
                        outstanding += 1;
                        Ok(())
                    }
                    Err(piece) => read(context, &piece).and_then(|part| write(file, &part)),
                }
            }
        };
        while let Ok(answered) = answers.try_recv() {
            outstanding -= 1;
            let written = answered.and_then(|part| write(file, &part));
            fault = fault.take().or(written.err());
        }
        fault = fault.take().or(result.err());
        // Any error will do: the reason is in `fault`.
        if fault.is_some() { Err(StoreError::Cancelled) } else { Ok(()) }
    };
    // From a far place, what comes is asked for while what came before is still on its way.
    let mut window = Window::of_extents(context.reader);
    let read = context.reader.extents_by_frame(content, &mut |at, extent| {
        let bytes = window.want(&extent);
        window.push((at, extent), bytes);
        if window.is_full() {
            while !window.is_low() {
                window.pop().map_or(Ok(()), &mut next)?;
            }
        }
        Ok(())
    });
    let read = read.and_then(|()| std::iter::from_fn(|| window.pop()).try_for_each(&mut next));
    drop(answer);
    while outstanding > 0 {
        // What nobody has taken is done here, so what is waited for is in the hands of a thread at work.
        if let Ok(piece) = pieces.offered.try_recv() {
            help(context, piece);
        } else if let Ok(answered) = answers.recv() {
            outstanding -= 1;
            let written = answered.and_then(|part| write(file, &part));
            fault = fault.take().or(written.err());
        } else {
            break;
        }
    }
    match (fault, read) {
        (Some(fault), _) => return Err(fault),
        (None, Err(error)) => return Err(of_store(context, error)),
        (None, Ok(())) if position != size => return Err(wrong_length(position, size)),
        (None, Ok(())) => {}
    }
    if written_to < size {
        rustix::fs::ftruncate(file, size).map_err(io::Error::from)?;
    }
    Ok(())
}

/// Reads a piece that another hand has offered.
pub(super) fn help(context: &Context<'_>, piece: Piece) {
    let result = read(context, &piece);
    // Nobody waits for it any more if the file's own hand has met an error.
    let _ = piece.answer.send(result);
}

/// Offers a piece to the others. Back comes what they are too busy for.
fn offer(pieces: &Pieces, piece: Piece) -> Result<(), Piece> {
    pieces.offer.try_send(piece).map_err(TrySendError::into_inner)
}

fn read(context: &Context<'_>, piece: &Piece) -> Result<Part, Fault> {
    let Piece { blob: id, offset, length, .. } = piece;
    let blob = context.reader.blob(id).map_err(|e| of_store(context, e))?;
    let start = *offset as usize;
    let range = start.checked_add(*length as usize).map(|end| start..end).filter(|range| range.end <= blob.len());
    let range = range.ok_or_else(|| {
        Fault::Unproved(format!("it refers to bytes {offset} to {offset} + {length} of blob {id}, which is shorter"))
    })?;
    Ok(Part { at: piece.at, blob, range })
}

fn write(file: &OwnedFd, part: &Part) -> Result<(), Fault> {
    Ok(write_fully(file, &part.blob[part.range.clone()], part.at)?)
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
