//! Reading a file right: either its content is that of one moment, or the attempt says that it is not.
//!
//! Before: the file's last change lies safely in the past ([`super::moment`]). Then its content is read with `pread`
//! (which takes nothing out of a fifo, should the name have become one), then its attributes, then it is looked at again:
//! inode, kind, length and times must be those of before, and as many bytes must have come as the length says.
//! What escapes: changes through a shared memory mapping whose pages were dirty already, since the kernel then stamps no
//! time; no tool that reads a mounted file system can see them.

use std::io;

use resurgam_store::{Content, Extent, Kind, limits};
use rustix::{
    fd::{AsFd, OwnedFd},
    fs::FileType,
    io::Errno,
};

use super::{
    attributes::{flags_of, read::Place},
    handle::open_file,
    item::{Attempt, Failure, Hand, Reading, Work, whole},
    moment::settle,
    runs::Runs,
    stat::Stat,
};

impl Hand<'_> {
    /// One attempt at a regular file that was last seen as `before`.
    pub(crate) fn read_file(&mut self, work: &Work, before: &Stat) -> Result<Attempt, Failure> {
        let racy = !settle(self.shared.moment, before.changed);
        let file = open_file(&work.dir.fd, &work.name)?;
        let small = before.size <= limits::WHOLE_FILE_MAX as u64;
        if !small || before.may_have_holes() {
            // What is to be read in many steps is looked at before the first.
            let opened = Stat::of(&file)?;
            if opened.identity() != before.identity() || opened.kind != FileType::RegularFile {
                return Ok(Attempt::Replaced);
            }
        }
        let content = if let Some(previous) = self.regions_of(work, &file, before)? {
            self.read_in_place(work, &file, before, &previous)?
        } else if before.may_have_holes() {
            self.read_sparse(work, &file, before.size)?
        } else if small {
            return self.read_small(work, &file, before, racy);
        } else {
            let mut extents = Vec::new();
            self.read_run(&file, 0, before.size, &mut extents, work)?;
            Content::Extents(extents)
        };
        let length = content_length(&content);
        self.finish(&file, before, racy, content, length)
    }

    /// A file that fits into one blob: nothing is stored before it is known to be whole.
    fn read_small(&mut self, work: &Work, file: &OwnedFd, before: &Stat, racy: bool) -> Result<Attempt, Failure> {
        let wanted = usize::try_from(before.size).unwrap_or(limits::WHOLE_FILE_MAX);
        let mut buffer = std::mem::take(&mut self.buffer);
        if buffer.len() <= limits::WHOLE_FILE_MAX {
            buffer.resize(limits::WHOLE_FILE_MAX + 1, 0);
        }
        // Room for one byte more than there should be: it shows that it grew, and all that is there comes with one call.
        let read = read_at_least(file, wanted.max(1), &mut buffer[..=wanted], 0);
        self.shared.moment.reading(&work.path);
        let result = match read {
            Ok(length) => self.keep_small(file, before, racy, &buffer[..length]),
            Err(error) => Err(error.into()),
        };
        self.buffer = buffer;
        result
    }

    fn keep_small(&mut self, file: &OwnedFd, before: &Stat, racy: bool, bytes: &[u8]) -> Result<Attempt, Failure> {
        self.shared.meter.read.add(bytes.len() as u64);
        let placeholder = Content::Inline(Vec::new());
        let mut attempt = self.finish(file, before, racy, placeholder, bytes.len() as u64)?;
        if let Attempt::Whole(reading) | Attempt::Changed(reading) = &mut attempt {
            let content = if bytes.len() <= limits::INLINE_MAX {
                Content::Inline(bytes.to_vec())
            } else if bytes.len() <= limits::BLOB_MAX {
                whole(self.lane.put(bytes)?, bytes.len())
            } else {
                return Ok(Attempt::Replaced);
            };
            reading.kind = Kind::File { size: bytes.len() as u64, content };
        }
        Ok(attempt)
    }

    /// Attributes, the last look, and the judgement.
    fn finish(
        &mut self,
        file: &OwnedFd,
        before: &Stat,
        racy: bool,
        content: Content,
        length: u64,
    ) -> Result<Attempt, Failure> {
        let mut faults = Vec::new();
        let xattrs = self.xattrs.read(&Place::Open(file.as_fd()), &mut faults);
        let flags = flags_of(file);
        let after = Stat::of(file)?;
        if after.identity() != before.identity() || after.kind != FileType::RegularFile {
            return Ok(Attempt::Replaced);
        }
        let unchanged = after.is_same_state(before) && length == before.size;
        let kind = Kind::File { size: length, content };
        let reading = Reading { stat: after, kind, xattrs, flags, faults, racy };
        Ok(if unchanged { Attempt::Whole(reading) } else { Attempt::Changed(reading) })
    }

    /// A file with holes: only what is between them is read.
    fn read_sparse(&mut self, work: &Work, file: &OwnedFd, size: u64) -> Result<Content, Failure> {
        let mut extents = Vec::new();
        let mut runs = Runs::of(file);
        let mut position = 0;
        while position < size {
            let data = runs.next(position..size)?;
            if data.start > position {
                extents.push(Extent::Hole { length: data.start - position });
            }
            let length = data.end - data.start;
            position = data.start;
            if length == 0 {
                break;
            }
            let read = self.read_run(file, position, length, &mut extents, work)?;
            position += read;
            if read == 0 {
                break;
            }
        }
        self.inline_if_small(file, size, extents)
    }

    /// A short file that takes no blocks but has no holes either lies in its entry like any other.
    fn inline_if_small(&mut self, file: &OwnedFd, size: u64, extents: Vec<Extent>) -> Result<Content, Failure> {
        let holes = extents.iter().any(|e| matches!(e, Extent::Hole { .. }));
        let small = usize::try_from(size).ok().filter(|&n| n <= limits::INLINE_MAX && !holes);
        let Some(length) = small else { return Ok(Content::Extents(extents)) };
        let mut bytes = vec![0; length];
        let read = read_fully(file, &mut bytes, 0)?;
        bytes.truncate(read);
        Ok(Content::Inline(bytes))
    }
}

fn content_length(content: &Content) -> u64 {
    match content {
        Content::Inline(bytes) => bytes.len() as u64,
        Content::Extents(extents) => extents.iter().map(Extent::length).sum(),
        Content::Listed { lists, .. } => lists.iter().map(|l| l.length).sum(),
    }
}

/// Fills `buffer` from `offset` on; less only at the end of the file.
pub(crate) fn read_fully(file: impl AsFd, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    read_at_least(file, buffer.len(), buffer, offset)
}

/// Reads at least `enough` bytes from `offset` on, and what comes with them; less only at the end of the file.
fn read_at_least(file: impl AsFd, enough: usize, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < enough {
        match rustix::io::pread(&file, &mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(filled)
}
