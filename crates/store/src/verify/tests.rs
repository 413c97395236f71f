use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use resurgam_model::{PointId, Timestamp};

use super::{KnownPoint, Proved, Verified, Verify, verify};
use crate::{
    Cancel, Meter, Volume,
    backend::{
        Backend, Hold,
        faulty::{Faulty, Plan},
        meddled::{Meddled, Meddler},
        memory::Memory,
        read_whole,
    },
    collect::{Collect, collect},
    keys::Unlock,
    pack::{PACKS, PackId},
    tests::{files, new_volume, open_volume, place, point, restore},
};

fn run(volume: &Arc<Volume>, repair: bool) -> Verified {
    let (place, id) = (place(), PointId::from_random([1; 16]));
    let known: Vec<KnownPoint> = volume
        .point_document(&place, id)
        .map(|(_, document)| KnownPoint { place, point: id, document })
        .into_iter()
        .collect();
    check(volume, repair, &known)
}

fn check(volume: &Arc<Volume>, repair: bool, known: &[KnownPoint]) -> Verified {
    let how =
        Verify { read_data: Some(100), proved: &Proved::default(), repair, known, is_known: &|_| true, threads: 2 };
    verify(volume, &how, &Meter::default(), &Cancel::default()).unwrap()
}

fn whole_volume() -> (Arc<dyn Backend>, Arc<Volume>) {
    let backend: Arc<dyn Backend> = Arc::new(Memory::default());
    let volume = new_volume(Arc::clone(&backend));
    point(&volume, 1, &files(0, 1500));
    (backend, volume)
}

#[test]
fn a_sound_volume_has_no_damage() {
    let (_, volume) = whole_volume();
    let found = run(&volume, false);
    assert!(found.findings.is_empty(), "{:?}", found.findings);
    assert!(found.checked_bytes > 1_000_000);
}

/// The objects whose damage matters: locks and the reserve hold nothing.
fn objects(backend: &dyn Backend) -> Vec<(String, u64)> {
    let all = backend.list("").unwrap().into_iter().map(|listed| (listed.name, listed.length));
    all.filter(|(_, length)| *length > 0).collect()
}

#[test]
fn every_damaged_page_of_every_object_is_found_and_mended() {
    let (backend, _) = whole_volume();
    let all = files(0, 1500);
    let originals: Vec<_> = objects(&*backend);
    for (name, length) in originals {
        let original = read_whole(&*backend, &name, length).unwrap();
        for at in (0..original.len()).step_by(original.len() / 5 + 1).chain([original.len() - 1]) {
            let mut damaged = original.clone();
            let page = at / 4096 * 4096;
            let end = (page + 4096).min(damaged.len());
            if damaged[page..end].iter().all(|byte| *byte == 0) {
                damaged[at] ^= 4
            } else {
                damaged[page..end].fill(0)
            }
            backend.replace(&name, &damaged).unwrap();
            let volume = open_volume(Arc::clone(&backend));
            assert_eq!(restore(&volume, 1).unwrap(), all, "{name} at {at}: a restore mends on the way");
            let found = run(&volume, false);
            assert!(!found.findings.is_empty(), "{name} at {at} was not found");
            assert!(found.affected.is_empty(), "{name} at {at}: {found:?}");
            // A segment of the index is a cache, and is mended as soon as it is looked at.
            let found = if name.starts_with("index/") { found } else { run(&volume, true) };
            assert!(found.findings.iter().all(|finding| finding.mended), "{name} at {at}: {:?}", found.findings);
            let found = run(&volume, false);
            assert!(found.findings.is_empty(), "{name} at {at}, after mending: {:?}", found.findings);
            if !name.starts_with("index/") {
                let now = read_whole(&*backend, &name, length).unwrap();
                assert_eq!(now, original, "{name} at {at}");
            }
        }
        if backend.length(&name).is_err() {
            continue;
        }
        backend.replace(&name, &original).unwrap();
    }
}

#[test]
fn a_deleted_object_is_found_and_what_it_takes_along_is_named_and_stored_again_by_the_next_backup() {
    let all = files(0, 1500);
    let (backend, _) = whole_volume();
    let names: HashSet<String> = objects(&*backend).into_iter().map(|(name, _)| name).collect();
    for name in names {
        let (backend, _) = copy(&*backend);
        let volume = open_volume(Arc::clone(&backend));
        let (_, document) = volume.point_document(&place(), PointId::from_random([1; 16])).unwrap();
        let known = [KnownPoint { place: place(), point: PointId::from_random([1; 16]), document }];
        backend.delete(&name).unwrap();
        let volume = open_volume(Arc::clone(&backend));
        let lost = name.starts_with("packs/") && backend.length(&format!("mirror/{name}")).is_err();
        let found = check(&volume, false, &known);
        assert!(!found.findings.is_empty(), "{name} was not missed");
        assert_eq!(found.affected.len(), usize::from(lost), "{name}: {found:?}");
        let found = check(&volume, true, &known);
        assert_eq!(found.findings.iter().any(|finding| !finding.mended), lost, "{name}: {:?}", found.findings);
        // The source still has it.
        point(&volume, 2, &all);
        assert_eq!(restore(&volume, 2).unwrap(), all, "{name}");
        assert_eq!(restore(&volume, 1).unwrap(), all, "{name}");
    }
}

fn copy(from: &dyn Backend) -> (Arc<dyn Backend>, usize) {
    let to: Arc<dyn Backend> = Arc::new(Memory::default());
    let all = from.list("").unwrap();
    for listed in &all {
        to.replace(&listed.name, &read_whole(from, &listed.name, u64::MAX).unwrap()).unwrap();
    }
    (to, all.len())
}

#[test]
fn a_point_that_is_being_given_up_is_not_missed() {
    let (backend, volume) = whole_volume();
    let id = PointId::from_random([1; 16]);
    let (_, document) = volume.point_document(&place(), id).unwrap();
    // Its second copy goes first; the catalog has forgotten it before.
    backend.delete(&format!("mirror/{}", place().point(id))).unwrap();
    for (repair, is_known) in [(false, false), (true, false), (false, true)] {
        let known = [KnownPoint { place: place(), point: id, document: document.clone() }];
        let how = Verify {
            read_data: None,
            proved: &Proved::default(),
            repair,
            known: &known,
            is_known: &|_| is_known,
            threads: 2,
        };
        let found = verify(&volume, &how, &Meter::default(), &Cancel::default()).unwrap();
        assert_eq!(found.findings.len(), usize::from(is_known), "{:?}", found.findings);
        assert!(backend.length(&format!("mirror/{}", place().point(id))).is_err(), "nothing was put back");
    }
}

/// Makes a point, whole, when the packs are about to be listed for the first time.
struct Backup {
    volume: Arc<Volume>,
    made: AtomicBool,
}

impl Meddler for Backup {
    fn before_list(&self, prefix: &str) {
        if prefix == "packs/" && !self.made.swap(true, Ordering::SeqCst) {
            point(&self.volume, 2, &files(3000, 30));
        }
    }
}

#[test]
fn a_backup_that_comes_and_goes_while_the_index_is_looked_at_is_no_damage() {
    let (inner, volume) = whole_volume();
    let meddler = Backup { volume, made: AtomicBool::new(false) };
    let volume = open_volume(Arc::new(Meddled { inner, meddler }));
    let found = run(&volume, false);
    assert!(found.findings.is_empty(), "{:?}", found.findings);
    assert_eq!(restore(&volume, 2).unwrap(), files(3000, 30));
}

/// A backup that stores the second copy of a pack before the copies are listed for the `from`-th time, and the rest once
/// the first copy was missed.
struct SlowBackup {
    inner: Arc<dyn Backend>,
    from: usize,
    second: (String, Vec<u8>),
    rest: Vec<(String, Vec<u8>)>,
    listings: AtomicUsize,
    registration: Mutex<Option<Hold>>,
}

impl Meddler for SlowBackup {
    fn before_list(&self, prefix: &str) {
        if prefix == "mirror/packs/" && self.listings.fetch_add(1, Ordering::SeqCst) + 1 == self.from {
            self.inner.replace(&self.second.0, &self.second.1).unwrap();
        }
    }

    fn before_read(&self, name: &str, _bytes: u64) -> crate::backend::Result<()> {
        // The index is loaded, what it lacks is listed, and of what is looked through, the second copy is asked for last.
        if name == self.second.0 && self.listings.load(Ordering::SeqCst) > 2 {
            for (name, bytes) in &self.rest {
                self.inner.replace(name, bytes)?;
            }
            self.registration.lock().unwrap().take();
        }
        Ok(())
    }
}

#[test]
fn a_pack_that_is_being_stored_while_it_is_looked_for_is_no_damage() {
    for from in [1, 2] {
        let (inner, volume) = whole_volume();
        let before: HashSet<String> = objects(&*inner).into_iter().map(|(name, _)| name).collect();
        point(&volume, 2, &files(3000, 30));
        let take = |name: String| {
            let bytes = read_whole(&*inner, &name, u64::MAX).unwrap();
            inner.delete(&name).unwrap();
            (name, bytes)
        };
        let made = objects(&*inner).into_iter().map(|(name, _)| name).filter(|name| !before.contains(name));
        let (mut second, rest): (Vec<_>, Vec<_>) =
            made.map(take).partition(|(name, _)| name.starts_with("mirror/packs/"));
        let second = second.pop().unwrap();
        assert!(rest.iter().any(|(name, _)| second.0.ends_with(name)), "{}", second.0);
        let registration = Mutex::new(Some(inner.register("00112233445566778899aabbccddeeff").unwrap()));
        let meddler =
            SlowBackup { inner: Arc::clone(&inner), from, second, rest, listings: AtomicUsize::new(0), registration };
        let volume = open_volume(Arc::new(Meddled { inner, meddler }));
        let found = run(&volume, false);
        assert!(found.findings.is_empty(), "{from}: {:?}", found.findings);
        assert_eq!(restore(&volume, 2).unwrap(), files(3000, 30), "{from}");
    }
}

#[test]
fn a_collection_that_was_stopped_at_any_call_has_left_no_damage() {
    for call in 0.. {
        let backend: Arc<dyn Backend> = Arc::new(Memory::default());
        let volume = new_volume(Arc::clone(&backend));
        point(&volume, 1, &files(0, 20));
        point(&volume, 2, &files(10, 20));
        volume.delete_point(&place(), PointId::from_random([1; 16])).unwrap();
        let plan = Plan::from(call, std::io::ErrorKind::Other);
        let faulty = Arc::new(Faulty::new(Arc::clone(&backend), Arc::clone(&plan)));
        let stopped = Volume::open(faulty, &Unlock::default())
            .and_then(|volume| collect(&Arc::new(volume), &Collect::default(), &Cancel::default()));
        let found = check(&volume, false, &[]);
        assert!(found.findings.is_empty(), "stopped at call {call}: {:?}", found.findings);
        if stopped.is_ok() && plan.calls() <= call {
            break;
        }
    }
}

/// Collects when an object of a pack is about to be read for the so many-th time.
struct Collecting {
    volume: Arc<Volume>,
    reads_before: AtomicUsize,
}

impl Meddler for Collecting {
    fn before_read(&self, name: &str, _bytes: u64) -> crate::backend::Result<()> {
        if name.contains("packs/") && self.reads_before.fetch_sub(1, Ordering::SeqCst) == 0 {
            collect(&self.volume, &Collect::default(), &Cancel::default()).unwrap();
        }
        Ok(())
    }
}

#[test]
fn a_pack_that_is_deleted_between_two_reads_of_it_is_no_damage() {
    for reads in 0..60 {
        let inner: Arc<dyn Backend> = Arc::new(Memory::default());
        let volume = new_volume(Arc::clone(&inner));
        point(&volume, 1, &files(0, 20));
        point(&volume, 2, &files(10, 20));
        volume.delete_point(&place(), PointId::from_random([1; 16])).unwrap();
        let meddler = Collecting { volume, reads_before: AtomicUsize::new(reads) };
        let found = check(&open_volume(Arc::new(Meddled { inner, meddler })), false, &[]);
        assert!(found.findings.is_empty(), "collected before read {reads}: {:?}", found.findings);
    }
}

#[test]
fn a_share_goes_on_where_the_last_one_was_stopped() {
    let (backend, volume) = whole_volume();
    (2..=6).for_each(|id| drop(point(&volume, id, &files(u64::from(id) * 2000, 200))));
    let folder = tempfile::tempdir().unwrap();
    let proved_at = |second| Proved::kept_in(folder.path().join("proved"), Timestamp::from_second(second).unwrap());
    // Of each pack, when it was proved.
    let times = |proved: &Proved| -> Vec<u64> {
        let names = backend.list(PACKS).unwrap();
        names.iter().map(|listed| proved.when(PackId::of_object(&listed.name).unwrap())).collect()
    };
    let share = |second, percent, cancel: &Cancel| {
        let proved = &proved_at(second);
        let how =
            Verify { read_data: Some(percent), proved, repair: false, known: &[], is_known: &|_| true, threads: 1 };
        verify(&volume, &how, &Meter::default(), cancel)
    };
    let stopped = Cancel::default();
    stopped.cancel();
    assert!(share(1, 100, &stopped).is_err());
    let all = times(&proved_at(0)).len();
    let mut read = 0;
    for second in 2..=9_u64 {
        assert!(share(second as i64, 20, &Cancel::default()).unwrap().findings.is_empty());
        let times = times(&proved_at(0));
        let now = times.iter().filter(|when| **when == second).count();
        assert!((1..all).contains(&now), "a share is something, and not all of it");
        read += now;
        let never = times.iter().filter(|when| **when == 0).count();
        assert_eq!(never, all.saturating_sub(read), "nothing is read again while something was never read");
    }
    assert!(read >= all);
}

/// A backup that is killed when its packs are there, just after verifying has listed packs.
struct KilledBackup {
    inner: Arc<dyn Backend>,
    packs: Vec<(String, Vec<u8>)>,
    killed: AtomicBool,
}

fn die(backend: &dyn Backend, writer: &str, packs: &[(String, Vec<u8>)]) {
    let registered = backend.register(writer).unwrap();
    for (name, bytes) in packs {
        backend.replace(name, bytes).unwrap();
    }
    drop(registered);
}

impl Meddler for KilledBackup {
    fn before_read(&self, name: &str, _bytes: u64) -> crate::backend::Result<()> {
        if name == "condemned" && !self.killed.swap(true, Ordering::SeqCst) {
            die(&*self.inner, &"b".repeat(32), &self.packs);
        }
        Ok(())
    }
}

#[test]
fn a_writer_that_dies_while_packs_are_taken_in_is_remembered() {
    let (inner, volume) = whole_volume();
    // Two backups, of which only the packs will be there.
    let packs_of = |number: u8| -> Vec<(String, Vec<u8>)> {
        let before: HashSet<String> = objects(&*inner).into_iter().map(|(name, _)| name).collect();
        point(&volume, number, &files(3000 * u64::from(number), 30));
        let made = objects(&*inner).into_iter().map(|(name, _)| name).filter(|name| !before.contains(name));
        let taken: Vec<_> = made.map(|name| (name.clone(), read_whole(&*inner, &name, u64::MAX).unwrap())).collect();
        taken.iter().for_each(|(name, _)| inner.delete(name).unwrap());
        taken.into_iter().filter(|(name, _)| name.contains("packs/")).collect()
    };
    let (first, second) = (packs_of(2), packs_of(3));
    die(&*inner, &"a".repeat(32), &first);
    let meddler = KilledBackup { inner: Arc::clone(&inner), packs: second, killed: AtomicBool::new(false) };
    let meddled = open_volume(Arc::new(Meddled { inner: Arc::clone(&inner), meddler }));
    for volume in [meddled, open_volume(Arc::clone(&inner)), open_volume(Arc::clone(&inner))] {
        let found = run(&volume, false);
        assert!(found.findings.is_empty(), "{:?}", found.findings);
    }
    let writers = inner.writers().unwrap();
    assert!(writers.alive.is_empty() && writers.dead.is_empty(), "{:?}", writers.dead);
}
