//! Where the data of a file lies between its holes.
//!
//! Asking can be dear: to tell where data ends, a file system in memory walks over every page of it. So the end of a run
//! of data is asked for once, however many steps the run is read in. Nothing is remembered of a hole, since it may be
//! written into before it is passed: what is taken for data and is none reads as zeros, but what is taken for a hole and
//! is none would be lost.

use std::ops::Range;

use rustix::{fd::OwnedFd, fs::SeekFrom, io::Errno};

/// The runs of data of one file.
pub(crate) struct Runs<'a> {
    seek: Box<dyn FnMut(SeekFrom) -> Result<u64, Errno> + 'a>,
    /// Data, and what was asked for last.
    known: Range<u64>,
}

impl<'a> Runs<'a> {
    /// Those of an open file.
    pub(crate) fn of(file: &'a OwnedFd) -> Self {
        Self::new(move |to| rustix::fs::seek(file, to))
    }

    /// Those of a file that has no holes.
    pub(crate) fn without_holes() -> Self {
        Self { known: 0..u64::MAX, ..Self::new(|_| Err(Errno::OPNOTSUPP)) }
    }

    fn new(seek: impl FnMut(SeekFrom) -> Result<u64, Errno> + 'a) -> Self {
        Self { seek: Box::new(seek), known: 0..0 }
    }

    /// The first data of `within`, up to the end of its run; empty, at the end of `within`: nothing but a hole.
    pub(crate) fn next(&mut self, within: Range<u64>) -> Result<Range<u64>, Errno> {
        if !self.known.contains(&within.start) {
            let Some(start) = self.data(within.start)?.filter(|start| *start < within.end) else {
                return Ok(within.end..within.end);
            };
            self.known = start..self.end_of(start, within.end)?;
        }
        Ok(self.known.start.max(within.start)..self.known.end.min(within.end))
    }

    /// Where data begins, from here on; `None`: nowhere.
    fn data(&mut self, from: u64) -> Result<Option<u64>, Errno> {
        match (self.seek)(SeekFrom::Data(from)) {
            Ok(start) => Ok(Some(start.max(from))),
            Err(Errno::NXIO) => Ok(None),
            Err(error) if knows_no_holes(error) => Ok(Some(from)),
            Err(error) => Err(error),
        }
    }

    /// Where the run ends that begins at `start`. Whoever cuts the file off meanwhile is found out by its last look.
    fn end_of(&mut self, start: u64, end: u64) -> Result<u64, Errno> {
        match (self.seek)(SeekFrom::Hole(start)) {
            Ok(hole) => Ok(hole.max(start + 1)),
            Err(Errno::NXIO) => Ok(end),
            Err(error) if knows_no_holes(error) => Ok(u64::MAX),
            Err(error) => Err(error),
        }
    }
}

/// Said by a file system for which all of a file is data.
fn knows_no_holes(error: Errno) -> bool {
    matches!(error, Errno::INVAL | Errno::OPNOTSUPP)
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, fs::File, os::unix::fs::FileExt};

    use super::*;

    /// What a kernel would answer of a file of `length` bytes with data at `data`: ranges in order that do not touch.
    fn answer(data: &[Range<u64>], length: u64, to: SeekFrom) -> Result<u64, Errno> {
        let (SeekFrom::Data(at) | SeekFrom::Hole(at)) = to else { panic!("not asked for") };
        if at >= length {
            return Err(Errno::NXIO);
        }
        let run = data.iter().find(|run| run.end > at);
        match (to, run) {
            (SeekFrom::Data(_), None) => Err(Errno::NXIO),
            (SeekFrom::Data(_), Some(run)) => Ok(run.start.max(at)),
            (_, Some(run)) if run.start <= at => Ok(run.end),
            _ => Ok(at),
        }
    }

    /// Every byte that is data, found in steps of `step` bytes.
    fn found(runs: &mut Runs<'_>, length: u64, step: u64) -> Vec<u64> {
        let mut bytes = Vec::new();
        for start in (0..length).step_by(step as usize) {
            let (mut position, end) = (start, (start + step).min(length));
            while position < end {
                let run = runs.next(position..end).unwrap();
                assert!(run.start >= position && run.end <= end && (!run.is_empty() || run.start == end), "{run:?}");
                position = run.end;
                bytes.extend(run);
            }
        }
        bytes
    }

    #[test]
    fn all_data_of_every_short_file_is_found_in_steps_of_every_length() {
        const LENGTH: u64 = 10;
        for bits in 0_u64..1 << LENGTH {
            let is_data = |at: &u64| bits >> at & 1 == 1;
            let bytes: Vec<u64> = (0..LENGTH).filter(is_data).collect();
            let data: Vec<Range<u64>> =
                bytes.chunk_by(|a, b| a + 1 == *b).map(|run| run[0]..run[0] + run.len() as u64).collect();
            for step in 1..=LENGTH {
                let mut runs = Runs::new(|to| answer(&data, LENGTH, to));
                assert_eq!(found(&mut runs, LENGTH, step), bytes, "in steps of {step}");
            }
        }
    }

    #[test]
    fn the_end_of_a_run_is_asked_for_once() {
        let asked = Cell::new(0);
        let data = [0..1000, 1010..2000];
        let mut runs = Runs::new(|to| {
            asked.set(asked.get() + 1);
            answer(&data, 2000, to)
        });
        assert_eq!(found(&mut runs, 2000, 4).len(), 1990);
        // Where each run begins and ends, and where data goes on behind each step that ends in the hole.
        assert!(asked.get() <= 8, "{}", asked.get());
    }

    #[test]
    fn a_file_system_that_knows_no_holes_is_not_asked_again() {
        let asked = Cell::new(0);
        let mut runs = Runs::new(|_| {
            asked.set(asked.get() + 1);
            Err(Errno::INVAL)
        });
        assert_eq!(found(&mut runs, 1000, 10).len(), 1000);
        assert_eq!(asked.get(), 2);
    }

    #[test]
    fn what_is_written_into_a_hole_before_it_is_passed_is_found() {
        let written = Cell::new(false);
        let data = [0..10, 500..510];
        let mut runs = Runs::new(|to| answer(&data[..if written.get() { 2 } else { 1 }], 1000, to));
        assert_eq!(runs.next(0..100).unwrap(), 0..10);
        assert_eq!(runs.next(10..100).unwrap(), 100..100);
        written.set(true);
        assert_eq!(runs.next(100..1000).unwrap(), 500..510);
    }

    #[test]
    fn a_file_that_becomes_shorter_or_fails_meanwhile_ends_the_search() {
        let shorter = |to| if matches!(to, SeekFrom::Data(_)) { Ok(5) } else { Err(Errno::NXIO) };
        assert_eq!(Runs::new(shorter).next(0..100).unwrap(), 5..100);
        // A hole was made where data had just begun.
        assert_eq!(Runs::new(|_| Ok(5)).next(0..100).unwrap(), 5..6);
        assert_eq!(Runs::new(|_| Err(Errno::IO)).next(0..100), Err(Errno::IO));
    }

    #[test]
    fn the_data_of_a_real_file_is_found_in_steps() {
        let folder = tempfile::tempdir().unwrap();
        let file = File::options().read(true).write(true).create_new(true).open(folder.path().join("file")).unwrap();
        let data = [1 << 20, 5 << 20, (9 << 20) - 4096];
        for position in data {
            file.write_all_at(&[7; 8192], position).unwrap();
        }
        file.set_len(12 << 20).unwrap();
        let file = OwnedFd::from(file);
        let found = found(&mut Runs::of(&file), 12 << 20, 1 << 20);
        for position in data {
            assert!(
                found.binary_search(&position).is_ok_and(|at| found[at + 8191] == position + 8191),
                "at {position}"
            );
        }
    }
}
