use std::sync::Arc;

use super::{
    Backend, conformance,
    directory::Directory,
    faulty::{Faulty, Plan},
    memory::Memory,
    read_only::ReadOnly,
    simulated::SimulatedDisk,
};
use crate::error::Fault;

#[test]
fn every_backend_keeps_the_promises() {
    let directory = tempfile::tempdir().unwrap();
    let backends: [Arc<dyn Backend>; 4] = [
        Arc::new(Memory::default()),
        Arc::new(Directory::local(directory.path())),
        Arc::new(Directory::on(Arc::new(SimulatedDisk::default()))),
        Arc::new(Faulty::new(Arc::new(Memory::default()), Plan::once(u64::MAX, std::io::ErrorKind::Other))),
    ];
    for backend in backends {
        assert_eq!(conformance::run(&*backend), Ok(()), "{}", backend.location());
    }
}

#[test]
fn a_volume_that_vanished_is_an_error_and_not_empty() {
    let directory = tempfile::tempdir().unwrap();
    let backend = Directory::local(&directory.path().join("gone"));
    assert!(backend.list("packs/").is_err());
    assert!(backend.writers().is_err());
}

#[test]
fn a_place_that_may_only_be_read_answers_reads_and_refuses_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let inner: Arc<dyn Backend> = Arc::new(Directory::local(directory.path()));
    assert_eq!(conformance::run(&*inner), Ok(()));
    let _writer = inner.register("w2").unwrap();
    let names = |directory: &std::path::Path| {
        let names = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    let before = (names(directory.path()), inner.list("").unwrap());
    let place = ReadOnly(Arc::clone(&inner));
    assert_eq!((place.location(), place.list("").unwrap()), (inner.location(), inner.list("").unwrap()));
    assert_eq!(place.writers().unwrap(), inner.writers().unwrap());
    assert_eq!(place.length("range").unwrap(), 10);
    let mut bytes = [0; 4];
    place.read_at("range", 3, &mut bytes).unwrap();
    assert_eq!(&bytes, b"3456");
    assert!(place.read_at("nothing", 0, &mut bytes).is_err_and(|error| error.kind == Fault::NotFound));
    let refused = [
        place.create("new").err(),
        place.replace("range", b"x").err(),
        place.delete("range").err(),
        place.delete("nothing").err(),
        place.lock("lock").err(),
        place.register("w3").err(),
        place.forget_writer("w1").err(),
        place.keep_reserve().err(),
        place.release_reserve().err(),
    ];
    assert!(refused.iter().all(|error| error.as_ref().is_some_and(|error| error.kind == Fault::ReadOnly)));
    assert_eq!((names(directory.path()), inner.list("").unwrap()), before);
}
