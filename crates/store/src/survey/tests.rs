use std::{
    io::{self, ErrorKind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use resurgam_model::PointId;

use crate::{
    Cancel, StoreError, Volume,
    backend::{
        Backend, Listed, Result,
        faulty::{Faulty, Plan},
        meddled::{Meddled, Meddler},
        memory::Memory,
        read_only::ReadOnly,
        read_whole,
    },
    error::{BackendError, Fault},
    keys::Unlock,
    point::{ReplicaPlace, ReplicaText, root_texts},
    tests::{files, look_over, new_volume, open_volume, place, point, restore, signing},
};

mod measured;

/// A place where, after some calls, objects are gone whose names hold a word: one that is deleted meanwhile; and with the
/// empty word, a disk that is unmounted and leaves an empty directory.
struct Vanishing {
    word: String,
    after: u64,
    calls: AtomicU64,
}

impl Vanishing {
    fn step(&self) -> bool {
        self.calls.fetch_add(1, Ordering::SeqCst) >= self.after
    }
}

impl Meddler for Vanishing {
    fn before_read(&self, name: &str, _bytes: u64) -> Result<()> {
        if !(self.step() && name.contains(&self.word)) {
            return Ok(());
        }
        let source = io::Error::from(ErrorKind::NotFound);
        Err(BackendError { attempt: "read", object: name.to_owned(), kind: Fault::NotFound, source })
    }

    fn shown(&self, mut listed: Vec<Listed>) -> Vec<Listed> {
        let gone = self.step();
        listed.retain(|listed| !(gone && listed.name.contains(&self.word)));
        listed
    }
}

fn id(number: u8) -> PointId {
    PointId::from_random([number; 16])
}

/// A volume of one described replica with three points.
fn volume() -> (Memory, Arc<Volume>) {
    let backend = Memory::default();
    let volume = new_volume(Arc::new(backend.clone()));
    let (root, root_bytes) = root_texts(b"/data");
    let text = ReplicaText {
        document: ReplicaText::DOCUMENT.to_owned(),
        volume: volume.id(),
        server: volume.about().server,
        replica: place().replica,
        source: resurgam_model::SourceId::from_random([6; 16]),
        root,
        root_bytes,
        policy: toml::Table::new(),
    };
    volume.describe_replica(&place(), &text, &signing()).unwrap();
    (1..=3).for_each(|number| drop(point(&volume, number, &files(number.into(), 30))));
    (backend, volume)
}

fn survey(volume: &Volume) -> super::Survey {
    volume.survey(2, &Cancel::default()).unwrap()
}

#[test]
fn everything_is_found_and_says_what_it_is() {
    let (_, volume) = volume();
    let found = survey(&volume);
    assert_eq!(found.replicas.len(), 1);
    assert_eq!(found.replicas[&place()].description.as_ref(), volume.replica(&place()).ok().as_ref());
    assert!(found.unproved.is_empty());
    assert_eq!(found.points().count(), 3);
    for number in 1..=3 {
        let point = found.point(&place(), id(number)).unwrap();
        assert_eq!((point.text.clone(), point.document.clone()), volume.point_document(&place(), id(number)).unwrap());
    }
    assert!(found.point(&place(), id(4)).is_none());
    let cancel = Cancel::default();
    cancel.cancel();
    assert!(matches!(volume.survey(2, &cancel), Err(StoreError::Cancelled)));
}

#[test]
fn what_cannot_be_proved_is_named_and_hides_nothing_else() {
    let (backend, volume) = volume();
    let name = place().point(id(1));
    let second = format!("mirror/{name}");
    let other = read_whole(&backend, &place().point(id(2)), u64::MAX).unwrap();
    for bytes in [b"rot".as_slice(), &other] {
        let sound = read_whole(&backend, &name, u64::MAX).unwrap();
        backend.replace(&name, bytes).unwrap();
        assert_eq!(survey(&volume).points().count(), 3, "the second copy serves");
        backend.replace(&second, bytes).unwrap();
        let found = survey(&volume);
        assert_eq!((found.points().count(), found.unproved.len()), (2, 1));
        assert_eq!(found.unproved[0].object, name);
        backend.delete(&name).unwrap();
        assert_eq!(survey(&volume).unproved[0].object, name, "of one copy alone, too");
        backend.replace(&name, &sound).unwrap();
        backend.replace(&second, &sound).unwrap();
    }
    for copy in [place().description(), format!("mirror/{}", place().description())] {
        backend.replace(&copy, b"rot").unwrap();
    }
    backend.replace("replicas/server.example/what", b"is this").unwrap();
    let alone = ReplicaPlace { server: "other".to_owned(), replica: place().replica };
    backend.replace(&alone.point(id(9)), b"rot").unwrap();
    let found = survey(&volume);
    assert_eq!(found.points().count(), 3);
    assert_eq!(found.unproved.len(), 3);
    assert!(found.replicas[&place()].description.is_none());
    assert!(found.replicas[&alone].points.is_empty());
}

#[test]
fn nothing_is_concluded_from_what_could_not_be_reached() {
    let (backend, _) = volume();
    for fail_at in 0.. {
        let faulty = Arc::new(Faulty::new(Arc::new(backend.clone()), Plan::once(fail_at, ErrorKind::Other)));
        let found = Volume::open(faulty, &Unlock::default()).and_then(|volume| volume.survey(1, &Cancel::default()));
        if let Ok(found) = found {
            assert_eq!((found.points().count(), found.unproved.len()), (3, 0));
            assert!(fail_at > 8);
            break;
        }
    }
}

/// Surveys a volume whose objects with `word` in their names vanish after 0, 1, 2 … calls.
fn vanishing(word: &str, check: impl Fn(std::result::Result<super::Survey, StoreError>)) {
    let (backend, _) = volume();
    for after in 0.. {
        let calls = AtomicU64::new(0);
        let place = Arc::new(Meddled {
            inner: Arc::new(backend.clone()),
            meddler: Vanishing { word: word.to_owned(), after, calls },
        });
        let Ok(volume) = Volume::open(place.clone(), &Unlock::default()) else { continue };
        check(volume.survey(1, &Cancel::default()));
        if place.meddler.calls.load(Ordering::SeqCst) < after {
            return;
        }
    }
}

#[test]
fn a_volume_that_is_unmounted_meanwhile_is_not_empty() {
    vanishing("", |found| {
        if let Ok(found) = found {
            assert_eq!((found.points().count(), found.unproved.len()), (3, 0));
        }
    });
}

#[test]
fn a_point_that_is_given_up_meanwhile_is_no_fault() {
    vanishing(&id(2).to_string(), |found| {
        let found = found.unwrap();
        assert!(found.unproved.is_empty(), "{:?}", found.unproved);
        assert!(found.points().count() >= 2 && found.point(&place(), id(1)).is_some());
    });
}

#[test]
fn a_volume_that_may_only_be_read_is_surveyed_verified_and_restored() {
    let (backend, _) = volume();
    // What a killed writer leaves: half a point, and packs without a segment.
    backend.delete(&place().point(id(3))).unwrap();
    let segment = backend.list("index/").unwrap()[0].name.clone();
    backend.delete(&segment).unwrap();
    let objects = || {
        let all = backend.list("").unwrap().into_iter().map(|one| one.name);
        all.map(|name| (read_whole(&backend, &name, u64::MAX).unwrap(), name)).collect::<Vec<_>>()
    };
    let before = objects();
    let volume = open_volume(Arc::new(ReadOnly(Arc::new(backend.clone()))));
    assert_eq!(survey(&volume).points().count(), 3);
    let found = look_over(&volume, Some(100), false);
    assert!(found.affected.is_empty() && found.findings.iter().all(|finding| !finding.mended), "{found:?}");
    for number in 1..=3 {
        assert_eq!(restore(&volume, number).unwrap(), files(number.into(), 30));
    }
    assert!(point_refused(&volume));
    assert!(before == objects());
}

fn point_refused(volume: &Arc<Volume>) -> bool {
    let made = crate::tests::try_point(volume, 4, &files(4, 3));
    let capsule = crate::capsule::CapsuleName { lineage: resurgam_model::LineageId::from_bytes([1; 16]), sequence: 1 };
    let put = volume.put_capsule(&capsule, toml::Table::new(), &signing());
    let given_up = volume.delete_point(&place(), id(1));
    let read_only = |error: StoreError| matches!(error, StoreError::Backend(error) if error.kind == Fault::ReadOnly);
    [made.map(|_| ()), put, given_up].into_iter().all(|done| done.is_err_and(read_only))
}
