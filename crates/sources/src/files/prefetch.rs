//! Asking for the content of files before it is read, where it is not in memory: a disk that is asked for many things at once
//! is several times as quick as one that is asked for each in turn.
//!
//! Only what a job holds is asked for, so there is room for it. Where the first file that could be asked for is in memory
//! already, no other is looked at: a tree that is in memory costs an opening and a look for each job.

use std::{io::IoSliceMut, num::NonZeroU64};

use resurgam_store::limits;
use rustix::{
    fd::OwnedFd,
    fs::{Advice, FileType, fadvise},
    io::{Errno, ReadWriteFlags, preadv2},
};

use super::{handle::open_file, item::Work};

/// Of a long file only so much is asked for: it is read from end to end, which the kernel sees by itself.
const AT_ONCE: u64 = limits::FRAME_TARGET as u64;

/// Asks for what these items are to be read from. What goes wrong here goes wrong again when they are read, and is told
/// there.
pub(crate) fn prefetch<'a>(works: impl Iterator<Item = &'a Work>) {
    for work in works.filter(|work| work.stat.kind == FileType::RegularFile && work.stat.size > 0) {
        let Ok(file) = open_file(&work.dir.fd, &work.name) else { continue };
        if !must_be_fetched(&file) {
            break;
        }
        // Only advice: whether it is taken changes nothing but the speed.
        let _ = fadvise(&file, 0, NonZeroU64::new(work.stat.size.min(AT_ONCE)), Advice::WillNeed);
    }
}

/// Whether the beginning of a file is not in memory. A file system that does not tell is left alone.
fn must_be_fetched(file: &OwnedFd) -> bool {
    let mut byte = [0];
    let read = preadv2(file, &mut [IoSliceMut::new(&mut byte)], 0, ReadWriteFlags::NOWAIT);
    matches!(read, Err(Errno::AGAIN))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    /// What `statfs` calls a file system in memory, from linux/magic.h.
    const TMPFS: i64 = 0x0102_1994;

    #[test]
    fn what_is_not_in_memory_must_be_fetched() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, [7; 9000]).unwrap();
        let file: OwnedFd = File::open(&path).unwrap().into();
        assert!(!must_be_fetched(&file), "it was just written");
        rustix::fs::fsync(&file).unwrap();
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        // Asked first of all: whoever looks so, makes the kernel begin to read.
        let is_fetched = must_be_fetched(&file);
        // What lies in memory for good is never fetched, and some file systems do not tell.
        let lies_in_memory = rustix::fs::fstatfs(&file).unwrap().f_type == TMPFS;
        let told = preadv2(&file, &mut [IoSliceMut::new(&mut [0])], 0, ReadWriteFlags::NOWAIT);
        assert!(is_fetched || lies_in_memory || told == Err(Errno::OPNOTSUPP), "{told:?}");
        assert_eq!(fs::read(&path).unwrap(), [7; 9000]);
        assert!(!must_be_fetched(&file), "it was just read");
    }
}
