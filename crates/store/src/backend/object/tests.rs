//! The backend on a store in memory, on one that is in trouble, and on real ones.

mod bad_days;
mod leases;
mod real;
mod volumes;

use std::{sync::Arc, time::Duration};

use super::{LeaseHome, LeaseTimes, Limits, ObjectBackend, Remote, troubled::memory};
use crate::backend::{Backend, conformance};

/// Times in which a test can wait for a lease to end.
pub(super) fn quick() -> Limits {
    let ms = Duration::from_millis;
    Limits {
        change: ms(400),
        request: ms(400),
        connect: ms(400),
        give_up: Duration::from_secs(20),
        pause: ms(2),
        pause_max: ms(20),
        lease: LeaseTimes { lease: ms(1200), renew: ms(100), hold: ms(700), poll: ms(50) },
        ..Limits::default()
    }
}

/// A home, and the directory that it lies in.
pub(super) fn home() -> (tempfile::TempDir, LeaseHome) {
    let directory = tempfile::tempdir().unwrap();
    let home = LeaseHome::open(directory.path()).unwrap();
    (directory, home)
}

pub(super) fn on(store: &Arc<dyn Remote>, home: &LeaseHome) -> ObjectBackend {
    ObjectBackend::on(Arc::clone(store), "v/1", home, &quick()).unwrap()
}

pub(super) fn put(backend: &dyn Backend, name: &str, bytes: &[u8]) -> crate::backend::Result<()> {
    let mut upload = backend.create(name)?;
    // In pieces that fit no part.
    for piece in bytes.chunks(3_000_001) {
        upload.append(piece)?;
    }
    upload.commit()
}

/// Bytes in which every place is told from every other.
pub(super) fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}

#[test]
fn a_store_in_memory_keeps_the_promises() {
    let (_directory, home) = home();
    assert_eq!(conformance::run(&on(&memory(), &home)), Ok(()));
    let whole = ObjectBackend::on(memory(), "", &home, &quick()).unwrap();
    assert_eq!(conformance::run(&whole), Ok(()));
}

#[test]
fn long_objects_go_up_in_parts_and_come_down_in_pieces() {
    let (_directory, home) = home();
    let backend = on(&memory(), &home);
    for length in [0, 1, 8 << 20, (8 << 20) + 1, (40 << 20) + 7] {
        let (name, bytes) = (format!("packs/{length}"), bytes(length));
        put(&backend, &name, &bytes).unwrap();
        assert_eq!(backend.length(&name).unwrap(), length as u64);
        let mut read = vec![0; length];
        backend.read_at(&name, 0, &mut read).unwrap();
        assert!(read == bytes, "{length}");
        if length > 17 << 20 {
            let mut range = vec![0; 17 << 20];
            backend.read_at(&name, 12_345, &mut range).unwrap();
            assert!(range == bytes[12_345..12_345 + (17 << 20)]);
        }
    }
    assert!(put(&backend, "packs/1", b"x").is_err_and(|error| error.kind == crate::error::Fault::Exists));
    assert!(put(&backend, "packs/1", &bytes(9 << 20)).is_err_and(|error| error.kind == crate::error::Fault::Exists));
    let traffic = backend.traffic();
    assert!(traffic.bytes_up > 56 << 20 && traffic.bytes_down > 73 << 20 && traffic.requests > 10, "{traffic:?}");
}

#[test]
fn a_listing_names_an_object_of_exactly_that_name() {
    let (_directory, home) = home();
    let backend = on(&memory(), &home);
    assert!(backend.list("VOLUME.toml").unwrap().is_empty());
    put(&backend, "VOLUME.toml", b"x").unwrap();
    put(&backend, "VOLUME.tomlette", b"x").unwrap();
    assert_eq!(backend.list("VOLUME.toml").unwrap().len(), 1);
    assert_eq!(backend.list("").unwrap().len(), 2);
    let next = ObjectBackend::on(memory(), "v/10", &home, &quick()).unwrap();
    assert!(next.list("").unwrap().is_empty());
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let (_directory, home) = home();
    let backend = on(&memory(), &home);
    for name in ["../x", "a//b", "a/./b", "/a"] {
        assert!(put(&backend, name, b"x").is_err(), "{name}");
        assert!(backend.length(name).is_err(), "{name}");
    }
}

#[test]
fn bandwidth_is_held_back() {
    let (_directory, home) = home();
    let limits = Limits { up_bytes_per_second: Some(2 << 20), ..quick() };
    let backend = ObjectBackend::on(memory(), "", &home, &limits).unwrap();
    let began = super::clock::since_boot();
    for number in 0..3 {
        put(&backend, &number.to_string(), &bytes(1 << 20)).unwrap();
    }
    assert!(super::clock::since_boot() - began > Duration::from_millis(900));
}

#[test]
fn the_store_tells_the_time() {
    let (_directory, home) = home();
    let now = on(&memory(), &home).now().unwrap().unwrap();
    assert!(now.as_second() > 1_700_000_000);
}

#[test]
fn limits_that_do_not_fit_each_other_are_refused() {
    let (_directory, home) = home();
    let limits = Limits { change: Duration::from_secs(60), ..quick() };
    assert!(ObjectBackend::on(memory(), "", &home, &limits).is_err());
}
