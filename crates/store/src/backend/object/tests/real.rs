//! On stores that run on this machine: Azurite where `RESURGAM_TEST_AZURITE` names one, SeaweedFS where
//! `RESURGAM_TEST_S3` does. `scripts/test` starts both. A container, or bucket, named `resurgam` must be there; each test has
//! a prefix of its own in it.

use std::{
    io::Write,
    sync::atomic::{AtomicU64, Ordering},
};

use resurgam_model::Timestamp;

use super::*;
use crate::{
    backend::object::{ObjectPlace, StoreAccess},
    error::Fault,
    keys,
};

/// A store that tests may use.
struct Real {
    /// The URL, without container or bucket.
    url: String,
    access: StoreAccess,
}

/// The variables that name a store; the first is its URL.
const AZURITE: [&str; 2] = ["RESURGAM_TEST_AZURITE", "RESURGAM_TEST_AZURITE_KEY"];
const S3: [&str; 3] = ["RESURGAM_TEST_S3", "RESURGAM_TEST_S3_KEY_ID", "RESURGAM_TEST_S3_SECRET"];

/// The values of variables. Where one is missing, CI fails; elsewhere the test is skipped, and says so.
fn variables<const N: usize>(names: [&str; N]) -> Option<[String; N]> {
    let found = names.map(|name| std::env::var(name).ok());
    if found.iter().all(Option::is_some) {
        return Some(found.map(Option::unwrap));
    }
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("SKIPPED {test}: {} is not set", names[0]);
    let whole = ["CI", "RESURGAM_ALL_PARTS"];
    let must = whole.iter().any(|name| std::env::var(name).is_ok_and(|value| value == "true" || value == "1"));
    assert!(!must, "{line}: this run must have all parts");
    eprintln!("{line}");
    if let Some(list) = std::env::var_os("RESURGAM_SKIPPED") {
        writeln!(std::fs::OpenOptions::new().append(true).create(true).open(list).unwrap(), "{line}").unwrap();
    }
    None
}

/// Azurite, opened with the key of its account.
fn azurite() -> Option<Real> {
    let [url, key] = variables(AZURITE)?;
    Some(Real { url, access: StoreAccess::azure_key("devstoreaccount1", &key) })
}

fn seaweed() -> Option<Real> {
    let [url, id, secret] = variables(S3)?;
    Some(Real { url, access: StoreAccess::s3(&id, &secret, None) })
}

/// Limits as in earnest, but for shorter leases.
fn limits() -> Limits {
    let ms = Duration::from_millis;
    let lease = LeaseTimes { lease: ms(6000), renew: ms(500), hold: ms(3000), poll: ms(100) };
    Limits { change: ms(3000), give_up: Duration::from_secs(30), lease, ..Limits::default() }
}

impl Real {
    fn place(&self, bucket: &str) -> ObjectPlace {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let random = keys::hex(&keys::random::<8>().unwrap());
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        ObjectPlace::parse(&format!("{}/{bucket}/{random}-{number}", self.url)).unwrap()
    }

    fn open(&self, place: &ObjectPlace, home: &LeaseHome) -> ObjectBackend {
        ObjectBackend::open(place, &self.access, home, &limits()).unwrap()
    }
}

fn keeps_the_promises(real: &Real) {
    let (_directory, home) = home();
    let place = real.place("resurgam");
    let backend = real.open(&place, &home);
    assert_eq!(backend.location(), place.to_string());
    assert_eq!(conformance::run(&backend), Ok(()));
    let bytes = bytes((33 << 20) + 5);
    put(&backend, "packs/long", &bytes).unwrap();
    let mut read = vec![0; bytes.len()];
    backend.read_at("packs/long", 0, &mut read).unwrap();
    assert!(read == bytes);
    let mut beyond = [0; 4];
    let error = backend.read_at("packs/long", bytes.len() as u64 + 1, &mut beyond).unwrap_err();
    assert_eq!(error.source.kind(), std::io::ErrorKind::UnexpectedEof, "{error}");
    let error = backend.read_at("packs/long", bytes.len() as u64 - 1, &mut beyond).unwrap_err();
    assert_eq!(error.source.kind(), std::io::ErrorKind::UnexpectedEof, "{error}");
    put(&backend, "empty", b"").unwrap();
    backend.read_at("empty", 0, &mut []).unwrap();
    assert!(crate::backend::read_whole(&backend, "empty", 10).unwrap().is_empty());
    let mut upload = backend.create("packs/dropped").unwrap();
    upload.append(&bytes).unwrap();
    drop(upload);
    assert_eq!(backend.list("packs/").unwrap().len(), 1);
    let now = backend.now().unwrap().unwrap();
    assert!(now.as_second() > 1_700_000_000, "{now}");
}

fn lists_more_than_one_page(real: &Real) {
    let (_directory, home) = home();
    let backend = real.open(&real.place("resurgam"), &home);
    let names: Vec<String> = (0..1100).map(|number| format!("packs/{:02x}/{number:05}", number % 7)).collect();
    std::thread::scope(|scope| {
        for part in names.chunks(140) {
            let backend = &backend;
            scope.spawn(move || part.iter().for_each(|name| backend.replace(name, b"x").unwrap()));
        }
    });
    let listed: Vec<_> = backend.list("packs/").unwrap().into_iter().map(|listed| listed.name).collect();
    let mut names = names;
    names.sort();
    assert_eq!(listed, names);
}

/// A name goes to one of many who want it at once.
fn gives_a_name_once(real: &Real) {
    let (_directory, home) = home();
    let backend = real.open(&real.place("resurgam"), &home);
    for round in 0..10 {
        let name = format!("once/{round}");
        let won = std::thread::scope(|scope| {
            let tries: Vec<_> = (0..8u8)
                .map(|who| {
                    let (backend, name) = (&backend, &name);
                    scope.spawn(move || put(backend, name, &[who; 100]).map(|()| who))
                })
                .collect();
            tries
                .into_iter()
                .filter_map(|one| match one.join().unwrap() {
                    Ok(who) => Some(who),
                    Err(error) => {
                        assert_eq!(error.kind, Fault::Exists, "{error}");
                        None
                    }
                })
                .collect::<Vec<_>>()
        });
        assert_eq!(won.len(), 1, "{name} was given to {won:?}");
        assert_eq!(crate::backend::read_whole(&backend, &name, 1000).unwrap(), [won[0]; 100]);
    }
}

/// A lock goes to one of many homes that want it at once.
fn gives_a_lock_once(real: &Real) {
    let place = real.place("resurgam");
    let homes: Vec<_> = (0..6).map(|_| home()).collect();
    let backends: Vec<_> = homes.iter().map(|(_, home)| real.open(&place, home)).collect();
    for round in 0..5 {
        let holds: Vec<_> = std::thread::scope(|scope| {
            let tries: Vec<_> =
                backends.iter().map(|backend| scope.spawn(|| backend.lock("collector").unwrap())).collect();
            tries.into_iter().filter_map(|one| one.join().unwrap()).collect()
        });
        assert!(holds.len() <= 1, "round {round}: {} hold the lock", holds.len());
        assert!(round > 0 || holds.len() == 1, "nobody got a free lock");
        drop(holds);
        std::thread::park_timeout(limits().lease.poll * 2);
    }
}

fn a_missing_bucket_is_an_error(real: &Real, made_by_a_put: bool) {
    let (_directory, home) = home();
    let missing = format!("no-such-{}", keys::hex(&keys::random::<8>().unwrap()));
    let backend = real.open(&real.place(&missing), &home);
    for error in
        [backend.list("packs/").err(), backend.list("").err(), backend.writers().err(), backend.list("V.toml").err()]
    {
        let error = error.unwrap();
        assert_eq!(error.kind, Fault::NotFound, "{error}");
        assert!(error.to_string().contains("make it first"), "{error}");
    }
    assert!(backend.length("x").is_err_and(|error| error.kind == Fault::Io));
    assert!(backend.read_at("x", 0, &mut [0]).is_err_and(|error| error.kind == Fault::Io));
    if !made_by_a_put {
        assert!(put(&backend, "x", b"x").is_err());
        assert!(backend.lock("x").is_err());
    }
}

fn a_wrong_key_is_denied(real: &Real, access: &StoreAccess, secret: &str) {
    let (_directory, home) = home();
    let backend = ObjectBackend::open(&real.place("resurgam"), access, &home, &limits()).unwrap();
    for error in
        [backend.list("").err(), put(&backend, "x", b"x").err(), backend.length("x").err(), backend.delete("x").err()]
    {
        let error = error.unwrap();
        assert_eq!(error.kind, Fault::Denied, "{error}");
        let text = format!("{error} {error:?}");
        assert!(!text.contains(secret) && !text.contains('\n') && !text.contains("sig="), "{text}");
    }
}

#[test]
fn azurite_keeps_the_promises() {
    azurite().iter().for_each(keeps_the_promises);
}

#[test]
fn seaweed_keeps_the_promises() {
    seaweed().iter().for_each(keeps_the_promises);
}

#[test]
fn azurite_lists_more_than_one_page() {
    azurite().iter().for_each(lists_more_than_one_page);
}

#[test]
fn seaweed_lists_more_than_one_page() {
    seaweed().iter().for_each(lists_more_than_one_page);
}

#[test]
fn azurite_gives_a_name_once() {
    azurite().iter().for_each(gives_a_name_once);
}

#[test]
fn seaweed_gives_a_name_once() {
    seaweed().iter().for_each(gives_a_name_once);
}

#[test]
fn azurite_gives_a_lock_once() {
    azurite().iter().for_each(gives_a_lock_once);
}

#[test]
fn seaweed_gives_a_lock_once() {
    seaweed().iter().for_each(gives_a_lock_once);
}

#[test]
fn a_missing_container_of_azurite_is_an_error_and_not_empty() {
    azurite().iter().for_each(|real| a_missing_bucket_is_an_error(real, false));
}

#[test]
fn a_missing_bucket_of_seaweed_is_an_error_and_not_empty() {
    seaweed().iter().for_each(|real| a_missing_bucket_is_an_error(real, true));
}

#[test]
fn azurite_denies_a_wrong_key_and_nobody_shows_it() {
    let Some(real) = azurite() else { return };
    a_wrong_key_is_denied(&real, &StoreAccess::azure_key("devstoreaccount1", "aHVudGVyMg=="), "aHVudGVyMg");
    let sas = "sp=racwdl&se=2040-01-01T00%3A00%3A00Z&spr=https%2Chttp&sv=2020-12-06&sr=c&sig=aHVudGVyMg%3D%3D";
    a_wrong_key_is_denied(&real, &StoreAccess::azure_sas("devstoreaccount1", sas), "aHVudGVyMg");
}

#[test]
fn seaweed_denies_a_wrong_key_and_nobody_shows_it() {
    let Some(real) = seaweed() else { return };
    let [_, id, _] = variables(S3).unwrap();
    a_wrong_key_is_denied(&real, &StoreAccess::s3(&id, "hunter2-hunter2", None), "hunter2");
}

#[test]
fn a_grant_opens_azurite_until_it_ends() {
    let Some(real) = azurite() else { return };
    let place = real.place("resurgam");
    let now = real.open(&place, &home().1).now().unwrap().unwrap();
    let at = |seconds: i64| Timestamp::from_second(now.as_second() + seconds).unwrap();
    let grant = real.access.grant(&place, at(600), now).unwrap();
    let granted = Real { url: real.url.clone(), access: StoreAccess::of_grant(&place, &grant).unwrap() };
    keeps_the_promises(&granted);
    let over = real.access.grant(&place, at(-60), at(-120)).unwrap();
    let (_directory, home) = home();
    let backend =
        ObjectBackend::open(&place, &StoreAccess::of_grant(&place, &over).unwrap(), &home, &limits()).unwrap();
    let error = backend.list("").unwrap_err();
    assert_eq!(error.kind, Fault::Denied, "{error}");
}

#[test]
fn an_endpoint_that_nobody_listens_at_is_an_error_soon() {
    let (_directory, home) = home();
    let place = ObjectPlace::parse("s3+http://127.0.0.1:1/bucket").unwrap();
    let limits = Limits { connect: Duration::from_millis(300), ..limits() };
    let backend = ObjectBackend::open(&place, &StoreAccess::s3("id", "hunter2", None), &home, &limits).unwrap();
    let error = backend.list("").unwrap_err();
    assert_eq!(error.kind, Fault::Io);
    let text = error.to_string();
    assert!(
        text.contains("s3+http://127.0.0.1:1/bucket") && !text.contains('\n') && text.contains("refused"),
        "{text}"
    );
}

#[test]
fn an_endpoint_that_says_nothing_is_asked_again() {
    // The kernel takes the connections; nobody reads from them.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = ObjectPlace::parse(&format!("s3+http://{}/bucket", listener.local_addr().unwrap())).unwrap();
    let (_directory, home) = home();
    let ms = Duration::from_millis;
    let limits = Limits { connect: ms(100), request: ms(300), change: ms(300), give_up: ms(1500), ..quick() };
    let backend = ObjectBackend::open(&place, &StoreAccess::s3("id", "hunter2", None), &home, &limits).unwrap();
    let error = backend.length("name").unwrap_err();
    assert!(error.to_string().contains("attempts"), "one moment of silence is not the end: {error}");
    let before = backend.traffic().requests;
    assert!(backend.length("name").is_err());
    assert_eq!(backend.traffic().requests, before + 1, "it was waited for already");
}
