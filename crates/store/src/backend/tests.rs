use std::sync::Arc;

use super::{
    Backend, conformance,
    directory::Directory,
    faulty::{Faulty, Plan},
    memory::Memory,
    simulated::SimulatedDisk,
};

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
