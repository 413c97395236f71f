//! A segment in the form in which it is at hand: in memory, or as a table on disk. Whoever loads the index again in one
//! process shares it.

use std::{
    ops::Range,
    sync::{Arc, Weak},
};

use super::{IndexedPack, Located, Segment, fanout::Fanout, table::Table};
use crate::{entry::BlobId, error::StoreError};

/// Names that share their first bits in memory, on average.
const TOGETHER: usize = 2;

#[derive(Debug)]
pub(crate) enum Part {
    InMemory(Arc<Sorted>),
    OnDisk(Arc<Table>),
}

/// A segment in memory, and where in it names begin that share their first bits.
#[derive(Debug)]
pub(crate) struct Sorted {
    segment: Segment,
    fanout: Fanout,
}

/// A part that is there for as long as somebody else holds it.
#[derive(Debug)]
pub(super) enum Elsewhere {
    InMemory(Weak<Sorted>),
    OnDisk(Weak<Table>),
}

impl Elsewhere {
    /// The part, if it is held and could be read so far.
    pub(super) fn part(&self) -> Option<Part> {
        let part = match self {
            Self::InMemory(sorted) => Part::InMemory(sorted.upgrade()?),
            Self::OnDisk(table) => Part::OnDisk(table.upgrade()?),
        };
        part.check().is_ok().then_some(part)
    }

    pub(super) fn is_held(&self) -> bool {
        match self {
            Self::InMemory(sorted) => sorted.strong_count() > 0,
            Self::OnDisk(table) => table.strong_count() > 0,
        }
    }
}

impl From<&Part> for Elsewhere {
    fn from(part: &Part) -> Self {
        match part {
            Part::InMemory(sorted) => Self::InMemory(Arc::downgrade(sorted)),
            Part::OnDisk(table) => Self::OnDisk(Arc::downgrade(table)),
        }
    }
}

impl From<Segment> for Part {
    fn from(segment: Segment) -> Self {
        let fanout = Fanout::of(segment.blobs.iter().map(|blob| blob.id), TOGETHER);
        Self::InMemory(Arc::new(Sorted { segment, fanout }))
    }
}

impl Part {
    pub(crate) fn packs(&self) -> &[IndexedPack] {
        match self {
            Self::InMemory(sorted) => &sorted.segment.packs,
            Self::OnDisk(table) => table.packs(),
        }
    }

    /// Frames that its blobs lie in.
    pub(crate) fn frames(&self) -> usize {
        match self {
            Self::InMemory(sorted) => sorted.segment.frames.len(),
            Self::OnDisk(table) => table.frames(),
        }
    }

    /// Blobs.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::InMemory(sorted) => sorted.segment.blobs.len(),
            Self::OnDisk(table) => table.len(),
        }
    }

    /// Positions of the names that begin as this one does.
    pub(super) fn near(&self, id: &BlobId) -> Range<usize> {
        match self {
            Self::InMemory(sorted) => sorted.fanout.near(id),
            Self::OnDisk(table) => table.near(id),
        }
    }

    /// Something of what [`Part::positions`] looks at from this position on.
    pub(super) fn touch(&self, position: usize) -> u16 {
        match self {
            Self::InMemory(sorted) => sorted.segment.blobs.get(position).map_or(0, |blob| u16::from(blob.id.0[0])),
            Self::OnDisk(table) => table.print(position),
        }
    }

    /// Where copies of a blob may be, near which it is; rarely, another blob is in such a place.
    pub(super) fn positions(&self, near: Range<usize>, id: &BlobId) -> Range<usize> {
        match self {
            Self::InMemory(sorted) => {
                let blobs = &sorted.segment.blobs;
                let from = near.start + blobs[near.clone()].partition_point(|blob| blob.id < *id);
                let count = blobs[from..near.end].iter().take_while(|blob| blob.id == *id).count();
                from..from + count
            }
            Self::OnDisk(table) => table.positions(near, id),
        }
    }

    /// The blob at a position. `None`: the table cannot be read there, as [`Part::check`] will say.
    pub(super) fn read(&self, ordinal: usize, position: usize) -> Option<Located> {
        match self {
            Self::InMemory(sorted) => {
                let segment = &sorted.segment;
                let blob = segment.blobs[position];
                let frame = segment.frames[blob.frame as usize];
                Some(Located { pack: segment.packs[frame.pack as usize], frame, blob, position: (ordinal, position) })
            }
            Self::OnDisk(table) => {
                let (blob, frame) = table.read(position)?;
                Some(Located { pack: table.packs()[frame.pack as usize], frame, blob, position: (ordinal, position) })
            }
        }
    }

    /// All blobs, sorted by name; `ordinal` is what [`Located`] is to say of this segment.
    pub(crate) fn scan(&self, ordinal: usize) -> impl Iterator<Item = Result<Located, StoreError>> + '_ {
        let mut records = match self {
            Self::InMemory(..) => None,
            Self::OnDisk(table) => Some(table.records()),
        };
        (0..self.len()).map(move |position| match &mut records {
            None => self.read(ordinal, position).ok_or_else(|| StoreError::Internal("a blob left memory".to_owned())),
            Some(records) => {
                let (blob, frame) = records.next()?;
                Ok(Located { pack: self.packs()[frame.pack as usize], frame, blob, position: (ordinal, position) })
            }
        })
    }

    /// Whether it could be read wherever it was.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match self {
            Self::InMemory(..) => Ok(()),
            Self::OnDisk(table) => table.check(),
        }
    }
}
