//! The engine on a store: the rules of writing beside collecting, where holds can be lost.

use std::sync::Arc;

use super::*;
use crate::{
    Cancel, Session,
    backend::object::troubled::{Trouble, Troubled},
    collect::{Collect, collect},
    tests::{files, look_over, new_volume, open_volume, point, restore, try_point},
};

fn share(backend: ObjectBackend) -> Arc<dyn Backend> {
    Arc::new(backend)
}

#[test]
fn a_volume_lives_in_a_store_on_a_bad_day() {
    let store: Arc<dyn Remote> = Arc::new(Troubled::new(memory(), Trouble { silent: 0, ..Trouble::bad_day() }, 11));
    let (_directory, home) = home();
    new_volume(share(on(&store, &home)));
    let volume = open_volume(share(on(&store, &home)));
    point(&volume, 1, &files(0, 60));
    point(&volume, 2, &files(30, 60));
    volume.delete_point(&crate::tests::place(), resurgam_model::PointId::from_random([1; 16])).unwrap();
    let done = collect(&volume, &Collect::default(), &Cancel::default()).unwrap();
    assert_eq!(done.waiting, 0);
    assert_eq!(restore(&volume, 2).unwrap(), files(30, 60));
    let verified = look_over(&volume, Some(100), true);
    assert!(verified.findings.is_empty(), "{:?}", verified.findings);
}

#[test]
fn a_writer_that_was_cut_off_for_longer_than_a_lease_makes_no_point() {
    let memory = memory();
    let trouble = Arc::new(Troubled::new(Arc::clone(&memory), Trouble::default(), 1));
    let store: Arc<dyn Remote> = trouble.clone();
    let ((_one, here), (_two, there)) = (home(), home());
    new_volume(share(on(&memory, &here)));
    let (writers, collectors) = (open_volume(share(on(&store, &here))), open_volume(share(on(&memory, &there))));
    let session = Session::begin(&writers).unwrap();
    trouble.cut(true);
    assert_eq!(collectors.backend().writers().unwrap().alive.len(), 1);
    std::thread::park_timeout(quick().lease.lease + Duration::from_millis(100));
    assert_eq!(collectors.backend().writers().unwrap().dead.len(), 1);
    trouble.cut(false);
    let error = session.finish().err().unwrap().to_string();
    assert!(error.contains("run the command again"), "{error}");
    // Whoever comes next is not held up by it.
    point(&writers, 3, &files(0, 20));
    collect(&collectors, &Collect::default(), &Cancel::default()).unwrap();
    assert_eq!(restore(&collectors, 3).unwrap(), files(0, 20));
}

#[test]
fn a_collector_that_lost_its_lock_deletes_nothing() {
    let (_directory, home) = home();
    let store = memory();
    let backend = share(on(&store, &home));
    let volume = new_volume(Arc::clone(&backend));
    point(&volume, 1, &files(0, 60));
    let lock = backend.lock("collector").unwrap().unwrap();
    // Another took its place, as if it had been watched for a lease.
    let other = b"home = \"other\"\nholder = \"other\"\nbeat = 0\nstate = \"held\"\n";
    on(&store, &home).replace("locks/collector", other).unwrap();
    std::thread::park_timeout(Duration::from_millis(300));
    let packs = backend.list("packs/").unwrap();
    assert!(lock.check().is_err());
    assert!(crate::collect::forget_packs(&volume, &*lock, &std::collections::HashSet::new()).is_ok());
    assert!(packs.iter().all(|pack| backend.delete(&pack.name).is_err()));
    assert!(try_point(&volume, 2, &files(1, 60)).is_err());
    assert_eq!(backend.list("packs/").unwrap(), packs);
    drop(lock);
    assert_eq!(restore(&volume, 1).unwrap(), files(0, 60));
}
