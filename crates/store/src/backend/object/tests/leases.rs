use std::sync::Arc;

use super::*;
use crate::{
    backend::{
        Hold,
        object::{
            lease::{LeaseText, State},
            troubled::{Trouble, Troubled},
        },
    },
    error::Fault,
};

fn wait(time: Duration) {
    std::thread::park_timeout(time);
}

/// Asks until the lock is given, as callers do, for `most` at most.
fn wait_for_lock(backend: &ObjectBackend, most: Duration) -> Option<Hold> {
    let began = crate::backend::object::clock::since_boot();
    while crate::backend::object::clock::since_boot() - began < most {
        if let Some(hold) = backend.lock("collector").unwrap() {
            return Some(hold);
        }
        wait(Duration::from_millis(20));
    }
    None
}

/// What `name` says in the store.
fn text(backend: &ObjectBackend, name: &str) -> LeaseText {
    LeaseText::parse(&crate::backend::read_whole(backend, name, 1 << 20).unwrap()).unwrap()
}

/// A holder that was killed: its lease stands, and nobody renews it.
fn killed(backend: &ObjectBackend, name: &str, home: &LeaseHome) {
    let text = LeaseText { home: home.id.clone(), holder: "killed".to_owned(), beat: 3, state: State::Held };
    backend.replace(name, toml::to_string(&text).unwrap().as_bytes()).unwrap();
}

#[test]
fn one_of_two_homes_holds_a_lock_and_goes_on_holding_it() {
    let store = memory();
    let ((_one, here), (_two, there)) = (home(), home());
    let (a, b) = (on(&store, &here), on(&store, &there));
    let hold = a.lock("collector").unwrap().unwrap();
    assert!(a.lock("collector").unwrap().is_none());
    assert!(wait_for_lock(&b, quick().lease.lease * 2).is_none());
    hold.check().unwrap();
    assert!(text(&a, "locks/collector").beat > 5);
    drop(hold);
    assert_eq!(text(&a, "locks/collector").state, State::Free);
    assert!(wait_for_lock(&b, Duration::from_millis(500)).is_some());
}

#[test]
fn a_lock_of_the_dead_is_taken_over_at_once_at_home_and_after_a_lease_elsewhere() {
    let store = memory();
    let ((_one, here), (_two, there)) = (home(), home());
    let (a, b) = (on(&store, &here), on(&store, &there));
    killed(&a, "locks/collector", &here);
    let began = crate::backend::object::clock::since_boot();
    assert!(wait_for_lock(&b, quick().lease.lease * 3).is_some());
    assert!(crate::backend::object::clock::since_boot() - began >= quick().lease.lease);
    killed(&a, "locks/collector", &here);
    assert!(a.lock("collector").unwrap().is_some());
}

#[test]
fn a_lock_that_is_held_is_not_asked_for_without_end() {
    let store = memory();
    let ((_one, here), (_two, there)) = (home(), home());
    let (a, b) = (on(&store, &here), on(&store, &there));
    let _hold = a.lock("collector").unwrap().unwrap();
    let before = b.traffic().requests;
    assert!(wait_for_lock(&b, Duration::from_secs(1)).is_none());
    let asked = b.traffic().requests - before;
    assert!(asked <= 21, "{asked} requests in a second, and one in 50 ms is allowed");
}

#[test]
fn a_holder_that_is_cut_off_knows_it_before_anybody_takes_over() {
    let memory = memory();
    let trouble = Arc::new(Troubled::new(Arc::clone(&memory), Trouble::default(), 1));
    let store: Arc<dyn Remote> = trouble.clone();
    let ((_one, here), (_two, there)) = (home(), home());
    let (a, b) = (on(&store, &here), on(&memory, &there));
    let hold = a.lock("collector").unwrap().unwrap();
    trouble.cut(true);
    let taken = loop {
        let stands = hold.check().is_ok();
        if let Some(taken) = b.lock("collector").unwrap() {
            assert!(!stands, "two held the lock");
            break taken;
        }
        wait(Duration::from_millis(5));
    };
    trouble.cut(false);
    let error = hold.check().unwrap_err();
    assert!(error.to_string().contains("run the command again"), "{error}");
    // Nothing is changed any more by who lost its hold.
    assert!(put(&a, "packs/1", b"x").is_err());
    assert!(a.delete("packs/2").is_err());
    drop(hold);
    taken.check().unwrap();
    put(&a, "packs/1", b"x").unwrap();
}

#[test]
fn holds_survive_a_bad_day() {
    for seed in 0..4 {
        let store: Arc<dyn Remote> =
            Arc::new(Troubled::new(memory(), Trouble { silent: 5, ..Trouble::bad_day() }, seed));
        let (_directory, home) = home();
        let backend = on(&store, &home);
        let hold = backend.lock("collector").unwrap().unwrap();
        wait(Duration::from_secs(2));
        hold.check().unwrap();
    }
}

#[test]
fn a_writer_of_another_home_is_alive_until_it_was_unchanged_for_a_lease_and_is_fenced_then() {
    let store = memory();
    let ((_one, here), (_two, there)) = (home(), home());
    let (a, b) = (on(&store, &here), on(&store, &there));
    let living = a.register("living").unwrap();
    killed(&a, "writers/dead", &here);
    let writers = b.writers().unwrap();
    assert_eq!((writers.alive.len(), writers.dead.len()), (2, 0));
    // At home it is known at once, and said to nobody else but by its being fenced.
    assert_eq!(a.writers().unwrap().dead, ["dead"]);
    assert_eq!(text(&a, "writers/dead").state, State::Fenced);
    killed(&a, "writers/dead", &here);
    wait(Duration::from_millis(60));
    assert_eq!(b.writers().unwrap().dead, Vec::<String>::new());
    wait(quick().lease.lease + Duration::from_millis(50));
    let writers = b.writers().unwrap();
    assert_eq!((writers.alive, writers.dead), (vec!["living".to_owned()], vec!["dead".to_owned()]));
    assert_eq!(text(&a, "writers/dead").state, State::Fenced);
    b.forget_writer("living").unwrap();
    b.forget_writer("dead").unwrap();
    assert_eq!(b.writers().unwrap().alive, ["living"]);
    living.check().unwrap();
}

#[test]
fn a_fenced_writer_learns_it_at_its_next_renewal() {
    let (_directory, home) = home();
    let backend = on(&memory(), &home);
    let hold = backend.register("w").unwrap();
    let fenced = LeaseText { state: State::Fenced, ..text(&backend, "writers/w") };
    backend.replace("writers/w", toml::to_string(&fenced).unwrap().as_bytes()).unwrap();
    wait(Duration::from_millis(400));
    assert!(hold.check().is_err());
    assert!(put(&backend, "replicas/point", b"x").is_err());
    drop(hold);
    assert_eq!(text(&backend, "writers/w"), fenced);
    put(&backend, "replicas/point", b"x").unwrap();
}

#[test]
fn what_one_program_saw_the_next_one_goes_on_watching() {
    let store = memory();
    let ((_one, here), (there_directory, _)) = (home(), home());
    let a = on(&store, &here);
    killed(&a, "writers/dead", &here);
    let look = || {
        let there = LeaseHome::open(there_directory.path()).unwrap();
        on(&store, &there).writers().unwrap()
    };
    assert_eq!(look().alive, ["dead"]);
    wait(quick().lease.lease + Duration::from_millis(50));
    assert_eq!(look().dead, ["dead"]);
}

#[test]
fn a_copy_of_a_home_is_another_home() {
    let (directory, first) = home();
    assert_eq!(LeaseHome::open(directory.path()).unwrap().id, first.id);
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(directory.path().join("installation"), copy.path().join("installation")).unwrap();
    assert_ne!(LeaseHome::open(copy.path()).unwrap().id, first.id);
}

#[test]
fn a_lease_that_cannot_be_read_is_somebody_elses() {
    let (_directory, home) = home();
    let backend = on(&memory(), &home);
    backend.replace("locks/collector", b"\xff nonsense").unwrap();
    assert!(backend.lock("collector").unwrap().is_none());
    assert!(wait_for_lock(&backend, quick().lease.lease * 3).is_some());
}

#[test]
fn two_writers_of_one_name_are_refused() {
    let store = memory();
    let ((_one, here), (_two, there)) = (home(), home());
    let (a, b) = (on(&store, &here), on(&store, &there));
    let _hold = a.register("w").unwrap();
    for backend in [&a, &b] {
        assert!(backend.register("w").err().is_some_and(|error| error.kind == Fault::Exists));
    }
}
