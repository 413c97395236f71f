//! The names in one directory, sorted by their bytes, and what kinds the directory says that they are.

use std::{ffi::CStr, io, mem::MaybeUninit};

use rustix::{
    fd::AsFd,
    fs::{FileType, RawDir, SeekFrom, seek},
};

/// Bytes that one `getdents64` may fill; a few thousand names.
pub(crate) const LISTING_BUFFER: usize = 128 * 1024;

/// The names of one directory in order, each followed by NUL in one buffer: about 16 bytes more a name than its length.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    names: Vec<u8>,
    order: Vec<Name>,
}

/// Where a name stands, with its first bytes as a number, so that sorting seldom has to look at the name itself.
#[derive(Debug, Clone, Copy)]
struct Name {
    first: u64,
    start: u32,
    length: u16,
    told: Told,
}

/// What a directory tells of a name without a look at its inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Directory,
    Other,
    /// The file system does not tell.
    Nothing,
}

impl From<FileType> for Told {
    fn from(kind: FileType) -> Self {
        match kind {
            FileType::Directory => Self::Directory,
            FileType::Unknown => Self::Nothing,
            _ => Self::Other,
        }
    }
}

impl Listing {
    /// Reads all names of the directory but `.` and `..`, however far the handle was read before. With an error come those
    /// that could be read before it.
    pub(crate) fn read(directory: impl AsFd, buffer: &mut [MaybeUninit<u8>]) -> (Self, Option<io::Error>) {
        let mut listing = Self::default();
        let mut fault = seek(&directory, SeekFrom::Start(0)).err().map(io::Error::from);
        let mut raw = RawDir::new(directory, buffer);
        while let Some(entry) = raw.next() {
            let result = entry.map_err(io::Error::from).and_then(|e| listing.add(e.file_name(), e.file_type().into()));
            if let Err(error) = result {
                fault = Some(error);
                break;
            }
        }
        listing.sort();
        (listing, fault)
    }

    fn add(&mut self, name: &CStr, told: Told) -> io::Result<()> {
        let bytes = name.to_bytes();
        if bytes == b"." || bytes == b".." {
            return Ok(());
        }
        let too_many = || io::Error::other("the directory has more names than memory may be spent on");
        let start = u32::try_from(self.names.len()).map_err(|_| too_many())?;
        let length = u16::try_from(bytes.len()).map_err(|_| too_many())?;
        let mut first = [0; 8];
        let known = bytes.len().min(8);
        first[..known].copy_from_slice(&bytes[..known]);
        self.names.extend_from_slice(name.to_bytes_with_nul());
        self.order.push(Name { first: u64::from_be_bytes(first), start, length, told });
        Ok(())
    }

    fn sort(&mut self) {
        let names = &self.names;
        let bytes = |n: &Name| &names[n.start as usize..n.start as usize + usize::from(n.length)];
        self.order.sort_unstable_by(|a, b| a.first.cmp(&b.first).then_with(|| bytes(a).cmp(bytes(b))));
        // A file system that is written to while it is listed may show a name twice.
        self.order.dedup_by(|a, b| bytes(a) == bytes(b));
    }

    /// The `index`th name.
    pub(crate) fn get(&self, index: usize) -> Option<&CStr> {
        self.get_told(index).map(|(name, _)| name)
    }

    /// The `index`th name, and what the directory told of it.
    pub(crate) fn get_told(&self, index: usize) -> Option<(&CStr, Told)> {
        let name = self.order.get(index)?;
        let start = name.start as usize;
        let bytes = &self.names[start..=start + usize::from(name.length)];
        Some((CStr::from_bytes_with_nul(bytes).ok()?, name.told))
    }

    /// How many names there are.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether `name` is among them.
    pub(crate) fn contains(&self, name: &CStr) -> bool {
        (0..self.len()).any(|i| self.get(i) == Some(name))
    }

    /// Keeps only `name`.
    pub(crate) fn keep_only(&mut self, name: &CStr) {
        let all = std::mem::take(self);
        if all.contains(name) {
            // Cannot fail: the name was in a listing before.
            let _ = self.add(name, Told::Nothing);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::unix::ffi::OsStrExt};

    use super::*;

    #[test]
    fn names_come_sorted_by_bytes_whatever_the_buffer_holds() {
        let folder = tempfile::tempdir().unwrap();
        let mut wanted: Vec<Vec<u8>> = (0..500_u32).map(|i| format!("name-{}", i * 7919 % 1000).into_bytes()).collect();
        wanted.extend([b"\xff\xfe".to_vec(), b"a".to_vec(), b"a\x01".to_vec(), b"\x01".to_vec(), vec![b'z'; 255]]);
        for name in &wanted {
            File::create(folder.path().join(std::ffi::OsStr::from_bytes(name))).unwrap();
        }
        wanted.sort();
        wanted.dedup();
        for size in [1024, LISTING_BUFFER] {
            let mut buffer = vec![MaybeUninit::uninit(); size];
            let (listing, fault) = Listing::read(File::open(folder.path()).unwrap(), &mut buffer);
            assert!(fault.is_none());
            let found: Vec<Vec<u8>> = (0..listing.len()).map(|i| listing.get(i).unwrap().to_bytes().to_vec()).collect();
            assert_eq!(found, wanted);
        }
    }

    #[test]
    fn a_handle_can_be_listed_again() {
        let folder = tempfile::tempdir().unwrap();
        File::create(folder.path().join("name")).unwrap();
        let handle = File::open(folder.path()).unwrap();
        let mut buffer = vec![MaybeUninit::uninit(); 1024];
        for _ in 0..2 {
            let (listing, fault) = Listing::read(&handle, &mut buffer);
            assert!(fault.is_none());
            assert_eq!(listing.len(), 1);
        }
    }

    #[test]
    fn a_directory_that_cannot_be_listed_says_so() {
        let file = tempfile::tempfile().unwrap();
        let mut buffer = vec![MaybeUninit::uninit(); 1024];
        assert!(Listing::read(file, &mut buffer).1.is_some());
    }
}
