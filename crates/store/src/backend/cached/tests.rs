use std::sync::Arc;

use super::*;
use crate::backend::{conformance, memory::Memory, read_whole};

fn put(backend: &dyn Backend, name: &str, bytes: &[u8]) {
    let mut upload = backend.create(name).unwrap();
    upload.append(bytes).unwrap();
    upload.commit().unwrap();
}

fn files(directory: &Path) -> usize {
    fs::read_dir(directory).unwrap().count()
}

#[test]
fn a_kept_index_keeps_the_promises() {
    let directory = tempfile::tempdir().unwrap();
    let backend = Cached::new(Arc::new(Memory::default()), &directory.path().join("kept"));
    assert_eq!(conformance::run(&backend), Ok(()));
}

#[test]
fn what_was_read_or_written_is_served_from_here_while_it_is_listed() {
    let directory = tempfile::tempdir().unwrap();
    let inner = Memory::default();
    put(&inner, "index/read", b"from there");
    put(&inner, "packs/read", b"from there");
    let backend = Cached::new(Arc::new(inner.clone()), directory.path());
    put(&backend, "index/made", b"from here");
    backend.list("index/").unwrap();
    assert_eq!(read_whole(&backend, "index/read", 100).unwrap(), b"from there");
    assert_eq!(read_whole(&backend, "packs/read", 100).unwrap(), b"from there");
    assert_eq!(files(directory.path()), 2);
    // Changed behind its back, which nobody does: so it can be told where the bytes are from.
    inner.replace("index/read", b"elsewhere!").unwrap();
    inner.replace("index/made", b"elsewhere").unwrap();
    let again = Cached::new(Arc::new(inner.clone()), directory.path());
    again.list("index/").unwrap();
    assert_eq!(read_whole(&again, "index/read", 100).unwrap(), b"from there");
    assert_eq!(read_whole(&again, "index/made", 100).unwrap(), b"from here");
    inner.delete("index/read").unwrap();
    again.list("").unwrap();
    assert!(read_whole(&again, "index/read", 100).is_err());
    assert_eq!(files(directory.path()), 1);
}

#[test]
fn a_kept_copy_that_is_not_as_listed_or_spoilt_is_fetched_again() {
    let directory = tempfile::tempdir().unwrap();
    let inner = Memory::default();
    put(&inner, "index/a", b"sound");
    let backend = Cached::new(Arc::new(inner.clone()), directory.path());
    backend.list("index/").unwrap();
    read_whole(&backend, "index/a", 100).unwrap();
    let file = directory.path().join(file_name("index/a"));
    let mut bytes = fs::read(&file).unwrap();
    bytes[0] ^= 1;
    fs::write(&file, &bytes).unwrap();
    assert_eq!(read_whole(&backend, "index/a", 100).unwrap(), b"sound");
    fs::write(&file, b"short").unwrap();
    assert_eq!(read_whole(&backend, "index/a", 100).unwrap(), b"sound");
    inner.replace("index/a", b"longer than before").unwrap();
    backend.list("index/").unwrap();
    assert_eq!(read_whole(&backend, "index/a", 100).unwrap(), b"longer than before");
}

#[test]
fn a_directory_that_cannot_be_written_harms_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a file");
    fs::write(&file, b"").unwrap();
    let inner = Memory::default();
    let backend = Cached::new(Arc::new(inner), &file.join("below"));
    put(&backend, "index/a", b"sound");
    backend.list("index/").unwrap();
    assert_eq!(read_whole(&backend, "index/a", 100).unwrap(), b"sound");
    assert_eq!(conformance::run(&backend), Ok(()));
}
