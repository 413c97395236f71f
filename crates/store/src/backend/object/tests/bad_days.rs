use std::sync::Arc;

use super::*;
use crate::{
    backend::object::troubled::{Trouble, Troubled},
    error::Fault,
};

fn troubled(trouble: Trouble, seed: u64) -> (Arc<Troubled>, Arc<dyn Remote>) {
    let store = Arc::new(Troubled::new(memory(), trouble, seed));
    (Arc::clone(&store), store)
}

#[test]
fn the_promises_hold_on_a_bad_day() {
    for seed in 0..8 {
        let (trouble, store) = troubled(Trouble::bad_day(), seed);
        let (_directory, home) = home();
        assert_eq!(conformance::run(&on(&store, &home)), Ok(()), "seed {seed}");
        assert!(trouble.met() > 0);
    }
}

#[test]
fn long_objects_are_whole_on_a_bad_day() {
    for seed in 0..4 {
        // Silence ends with the limit of the client itself, which no store in memory has.
        let (_, store) = troubled(Trouble { silent: 0, ..Trouble::bad_day() }, seed);
        let (_directory, home) = home();
        let backend = on(&store, &home);
        let bytes = bytes((50 << 20) + 3);
        put(&backend, "packs/1", &bytes).unwrap();
        let mut read = vec![0; bytes.len()];
        backend.read_at("packs/1", 0, &mut read).unwrap();
        assert!(read == bytes, "seed {seed}");
    }
}

#[test]
fn a_lost_answer_is_no_conflict() {
    let (_, store) = troubled(Trouble { lost_answers: 500, ..Trouble::default() }, 7);
    let (_directory, home) = home();
    let backend = on(&store, &home);
    for number in 0..30 {
        let name = format!("points/{number}");
        put(&backend, &name, name.as_bytes()).unwrap();
        assert!(put(&backend, &name, b"another").is_err_and(|error| error.kind == Fault::Exists), "{name}");
    }
}

#[test]
fn a_broken_listing_is_an_error_and_never_short() {
    let (_, store) = troubled(Trouble { broken_listings: 1000, ..Trouble::default() }, 1);
    let (_directory, home) = home();
    let limits = Limits { give_up: Duration::from_millis(50), ..quick() };
    let backend = ObjectBackend::on(store, "", &home, &limits).unwrap();
    put(&backend, "packs/1", b"x").unwrap();
    let error = backend.list("packs/").unwrap_err();
    assert_eq!(error.kind, Fault::Io);
    assert!(error.to_string().contains("500 InternalError: The listing broke."), "{error}");
}

#[test]
fn a_store_that_does_not_answer_is_given_up() {
    let (trouble, store) = troubled(Trouble::default(), 1);
    let (_directory, home) = home();
    let limits = Limits { give_up: Duration::from_millis(500), ..quick() };
    let backend = ObjectBackend::on(store, "", &home, &limits).unwrap();
    put(&backend, "packs/1", b"x").unwrap();
    trouble.cut(true);
    let began = crate::backend::object::clock::since_boot();
    assert!(backend.length("packs/1").is_err_and(|error| error.kind == Fault::Io));
    assert!(put(&backend, "packs/2", b"x").is_err_and(|error| error.kind == Fault::Io));
    assert!(crate::backend::object::clock::since_boot() - began < Duration::from_secs(5));
    trouble.cut(false);
    assert_eq!(backend.length("packs/1").unwrap(), 1);
}

#[test]
fn a_store_that_is_too_busy_is_given_up_and_not_stormed() {
    let (_, store) = troubled(Trouble { errors: 500, throttled: 1000, ..Trouble::default() }, 1);
    let (_directory, home) = home();
    let ms = Duration::from_millis;
    let limits = Limits { request: ms(300), pause: ms(20), pause_max: ms(100), ..quick() };
    let backend = ObjectBackend::on(store, "", &home, &limits).unwrap();
    let began = crate::backend::object::clock::since_boot();
    for _ in 0..4 {
        let error = backend.length("packs/1").unwrap_err();
        assert!(error.to_string().contains("503 SlowDown") && error.to_string().contains("attempts"), "{error}");
    }
    // As long as `give_up` each, they would have taken 80 seconds.
    assert!(crate::backend::object::clock::since_boot() - began < Duration::from_secs(8));
    assert!(backend.traffic().requests <= 4 * 12, "{:?}", backend.traffic());
}

#[test]
fn a_store_that_stops_working_is_waited_for_once() {
    let (trouble, store) = troubled(Trouble::default(), 1);
    let (_directory, home) = home();
    let ms = Duration::from_millis;
    let limits = Limits { give_up: ms(1500), request: ms(100), change: ms(100), ..quick() };
    let backend = ObjectBackend::on(store, "", &home, &limits).unwrap();
    put(&backend, "packs/1", b"x").unwrap();
    trouble.cut(true);
    let took = || {
        let began = crate::backend::object::clock::since_boot();
        assert!(backend.length("packs/1").is_err_and(|error| error.kind == Fault::Io));
        crate::backend::object::clock::since_boot() - began
    };
    assert!(took() >= limits.give_up);
    assert!(took() < limits.give_up);
    trouble.cut(false);
    assert_eq!(backend.length("packs/1").unwrap(), 1);
    trouble.cut(true);
    assert!(took() >= limits.give_up, "it worked again");
}

#[test]
fn an_upload_that_is_dropped_leaves_nothing_and_ends() {
    for seed in 0..4 {
        let (_, store) = troubled(Trouble::bad_day(), seed);
        let (_directory, home) = home();
        let backend = on(&store, &home);
        let mut upload = backend.create("packs/1").unwrap();
        upload.append(&bytes(30 << 20)).unwrap();
        drop(upload);
        assert!(backend.list("").unwrap().is_empty());
    }
}

#[test]
fn messages_say_what_the_store_said_in_one_line() {
    let (_, store) = troubled(Trouble { errors: 1000, ..Trouble::default() }, 1);
    let (_directory, home) = home();
    let limits = Limits { give_up: Duration::ZERO, ..quick() };
    let backend = ObjectBackend::on(store, "v", &home, &limits).unwrap();
    let error = backend.length("packs/1").unwrap_err().to_string();
    assert_eq!(error, "cannot look at test:v/packs/1: the store says 500 InternalError: Something broke.");
}
