//! Sees which files are read, by the kernel's own word (inotify).

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    mem::MaybeUninit,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::{
    fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags},
    io::Errno,
};

/// Watches every directory that was below a root when it was made.
#[derive(Debug)]
pub struct ReadWatch {
    handle: OwnedFd,
    directories: HashMap<i32, PathBuf>,
}

impl ReadWatch {
    /// Starts to watch.
    pub fn new(root: &Path) -> Self {
        let handle = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
        let mut directories = HashMap::new();
        let mut open = vec![root.to_owned()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(&directory).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_dir() {
                    open.push(entry.path());
                }
            }
            let watch = inotify::add_watch(&handle, &directory, WatchFlags::ACCESS).unwrap();
            directories.insert(watch, directory);
        }
        // Listing the directories just now was reading too.
        let watch = Self { handle, directories };
        watch.files_read();
        watch
    }

    /// The files of which bytes were read since the last call.
    pub fn files_read(&self) -> BTreeSet<PathBuf> {
        let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
        let mut reader = inotify::Reader::new(&self.handle, &mut buffer);
        let mut read = BTreeSet::new();
        loop {
            match reader.next() {
                Ok(event) => {
                    assert!(!event.events().contains(ReadFlags::QUEUE_OVERFLOW), "more events than the kernel keeps");
                    if let Some(name) = event.file_name().filter(|_| !event.events().contains(ReadFlags::ISDIR)) {
                        let directory = &self.directories[&event.wd()];
                        read.insert(directory.join(String::from_utf8_lossy(name.to_bytes()).as_ref()));
                    }
                }
                Err(Errno::AGAIN) => return read,
                Err(error) => panic!("cannot read what was watched: {error}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_is_seen_and_looking_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("below/file");
        fs::create_dir(dir.path().join("below")).unwrap();
        fs::write(&file, "text").unwrap();
        let watch = ReadWatch::new(dir.path());
        fs::metadata(&file).unwrap();
        drop(fs::File::open(&file).unwrap());
        assert!(watch.files_read().is_empty());
        fs::read(&file).unwrap();
        assert_eq!(watch.files_read(), BTreeSet::from([file]));
    }
}
