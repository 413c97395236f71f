//! Power cuts at every operation, faults at every call.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use resurgam_model::{PointId, Timestamp};

use super::{
    CONDEMNED, Collect, Condemned, INDEX, Loaded, collect, condemned, rewrite_segments, take_collector, write_condemned,
};
use crate::{
    Cancel, Volume,
    backend::{
        self, Backend,
        directory::Directory,
        faulty::{Faulty, Plan},
        meddled::{Meddled, Meddler},
        memory::Memory,
        simulated::SimulatedDisk,
    },
    deleted::DELETED,
    pack::PackId,
    point::REPLICAS,
    tests::{files, new_volume, new_volume_with, open_volume, place, point, restore, signing, try_point},
    volume::DELETED_POINTS,
};

fn id(byte: u8) -> PointId {
    PointId::from_random([byte; 16])
}

fn on(disk: &SimulatedDisk) -> Arc<dyn Backend> {
    Arc::new(Directory::on(Arc::new(disk.clone())))
}

/// A disk with two points whose files overlap.
fn disk_with_points() -> SimulatedDisk {
    let disk = SimulatedDisk::default();
    let volume = new_volume(on(&disk));
    point(&volume, 1, &files(0, 60));
    point(&volume, 2, &files(30, 60));
    disk.after_power_cut(0)
}

#[test]
fn a_power_cut_at_any_operation_of_a_backup_loses_nothing_that_was_reported() {
    let before = disk_with_points();
    let counted = before.after_power_cut(1);
    let start = counted.operations();
    point(&open_volume(on(&counted)), 3, &files(50, 60));
    for cut in 0..=counted.operations() - start {
        let disk = before.after_power_cut(1);
        disk.power_goes_after(cut);
        let reported = try_point(&open_volume(on(&disk)), 3, &files(50, 60)).is_ok();
        for seed in [cut, cut + 1000] {
            let disk = disk.after_power_cut(seed);
            let volume = open_volume(on(&disk));
            assert_eq!(restore(&volume, 1).unwrap(), files(0, 60), "cut {cut} seed {seed}");
            assert_eq!(restore(&volume, 2).unwrap(), files(30, 60), "cut {cut} seed {seed}");
            match restore(&volume, 3) {
                Ok(found) => assert_eq!(found, files(50, 60), "cut {cut} seed {seed}"),
                Err(error) => assert!(!reported, "cut {cut} seed {seed}: {error}"),
            }
            // The next backup works with no repair by hand.
            point(&volume, 4, &files(50, 60));
            assert_eq!(restore(&volume, 4).unwrap(), files(50, 60), "cut {cut} seed {seed}");
        }
    }
}

#[test]
fn a_power_cut_at_any_operation_of_expiring_and_collecting_loses_nothing_that_is_kept() {
    let before = disk_with_points();
    let run = |disk: &SimulatedDisk| -> Result<(), crate::StoreError> {
        let volume = open_volume(on(disk));
        volume.delete_point(&place(), PointId::from_random([1; 16]))?;
        collect(&volume, &Collect::default(), &Cancel::default()).map(|_| ())
    };
    let counted = before.after_power_cut(1);
    let start = counted.operations();
    run(&counted).unwrap();
    for cut in 0..=counted.operations() - start {
        let disk = before.after_power_cut(1);
        disk.power_goes_after(cut);
        let _ = run(&disk);
        for seed in [cut, cut + 1000] {
            let disk = disk.after_power_cut(seed);
            let volume = open_volume(on(&disk));
            assert_eq!(restore(&volume, 2).unwrap(), files(30, 60), "cut {cut} seed {seed}");
            run(&disk).unwrap();
            assert_eq!(restore(&volume, 2).unwrap(), files(30, 60), "cut {cut} seed {seed}");
            point(&open_volume(on(&disk)), 4, &files(0, 60));
            assert_eq!(restore(&open_volume(on(&disk)), 4).unwrap(), files(0, 60), "cut {cut} seed {seed}");
        }
    }
}

#[test]
fn a_fault_of_any_call_fails_the_job_or_harms_nothing() {
    for kind in [std::io::ErrorKind::Other, std::io::ErrorKind::StorageFull, std::io::ErrorKind::NotFound] {
        for call in 0.. {
            let memory: Arc<dyn Backend> = Arc::new(Memory::default());
            let volume = new_volume(Arc::clone(&memory));
            point(&volume, 1, &files(0, 20));
            point(&volume, 2, &files(10, 20));
            let plan = Plan::once(call, kind);
            let faulty: Arc<dyn Backend> = Arc::new(Faulty::new(Arc::clone(&memory), Arc::clone(&plan)));
            let faulted =
                crate::Volume::open(faulty, &crate::keys::Unlock::default()).map(Arc::new).and_then(|volume| {
                    try_point(&volume, 3, &files(15, 20))?;
                    volume.delete_point(&place(), PointId::from_random([1; 16]))?;
                    collect(&volume, &Collect::default(), &Cancel::default())
                });
            let volume = open_volume(Arc::clone(&memory));
            assert_eq!(restore(&volume, 2).unwrap(), files(10, 20), "{kind:?} at call {call}");
            if faulted.is_ok() {
                assert_eq!(restore(&volume, 3).unwrap(), files(15, 20), "{kind:?} at call {call}");
            }
            collect(&volume, &Collect::default(), &Cancel::default()).unwrap();
            assert_eq!(
                restore(&volume, 2).unwrap(),
                files(10, 20),
                "{kind:?} at call {call}, after the next collection"
            );
            if plan.calls() <= call {
                break;
            }
        }
    }
}

/// Merges the index when one of its segments is about to be read for the first time.
struct Merging {
    volume: Arc<Volume>,
    merged: AtomicBool,
}

impl Meddler for Merging {
    fn before_read(&self, name: &str, _bytes: u64) -> backend::Result<()> {
        if name.starts_with(INDEX) && !self.merged.swap(true, Ordering::SeqCst) {
            let lock = take_collector(&self.volume, &Cancel::default()).unwrap();
            let loaded = Loaded::segments(&self.volume).unwrap();
            let all = loaded.objects.into_iter().zip(loaded.index.into_parts()).collect();
            rewrite_segments(&self.volume, &*lock, all, &|_| true).unwrap();
        }
        Ok(())
    }
}

#[test]
fn a_segment_that_is_merged_between_its_listing_and_its_reading_is_no_damage() {
    let inner: Arc<dyn Backend> = Arc::new(Memory::default());
    let volume = new_volume(Arc::clone(&inner));
    (1..=3).for_each(|number| drop(point(&volume, number, &files(u64::from(number) * 100, 30))));
    let meddler = Merging { volume, merged: AtomicBool::new(false) };
    let volume = open_volume(Arc::new(Meddled { inner, meddler }));
    let loaded = Loaded::segments(&volume).unwrap();
    assert_eq!(loaded.damaged, []);
    assert_eq!(loaded.objects.len(), 1);
}

/// Does the next of some things each time that the name of its turn is about to be listed.
struct Meanwhile {
    things: Mutex<VecDeque<(&'static str, Thing)>>,
}

type Thing = Box<dyn FnOnce() + Send>;

impl Meanwhile {
    fn new(things: impl IntoIterator<Item = (&'static str, Thing)>) -> Self {
        Self { things: Mutex::new(things.into_iter().collect()) }
    }
}

impl Meddler for Meanwhile {
    fn before_list(&self, prefix: &str) {
        let due = self.things.lock().unwrap().pop_front_if(|(name, _)| *name == prefix);
        if let Some((_, thing)) = due {
            thing();
        }
    }
}

#[test]
fn a_point_that_is_made_and_given_up_while_a_collection_runs_can_come_back() {
    let inner: Arc<dyn Backend> = Arc::new(Memory::default());
    let volume = new_volume_with(Arc::clone(&inner), &[DELETED_POINTS]);
    point(&volume, 1, &files(0, 30));
    volume.delete_point(&place(), id(1)).unwrap();
    let (made, given_up) = (Arc::clone(&volume), Arc::clone(&volume));
    let meanwhile = Meanwhile::new([
        // When the points were looked at: it relies on what is about to be condemned.
        (DELETED, Box::new(move || drop(point(&made, 2, &files(0, 30)))) as Thing),
        // When those that were made meanwhile are about to be looked at.
        (REPLICAS, Box::new(move || given_up.set_deleted(&place(), id(2), Timestamp::UNIX_EPOCH, &signing()).unwrap())),
    ]);
    let meddled = open_volume(Arc::new(Meddled { inner, meddler: meanwhile }));
    collect(&meddled, &Collect::default(), &Cancel::default()).unwrap();
    volume.undelete(&place(), id(2)).unwrap();
    assert_eq!(restore(&volume, 2).unwrap(), files(0, 30));
}

#[test]
fn the_half_pack_of_a_writer_that_began_meanwhile_is_left_to_it() {
    let inner: Arc<dyn Backend> = Arc::new(Memory::default());
    let volume = new_volume(Arc::clone(&inner));
    point(&volume, 1, &files(0, 30));
    // As where a writer has stored the second copy of its metadata, and is about to store the first.
    inner.list(INDEX).unwrap().iter().for_each(|segment| inner.delete(&segment.name).unwrap());
    let second = inner.list("mirror/packs/").unwrap().remove(0).name;
    let first = second.strip_prefix("mirror/").unwrap();
    inner.delete(first).unwrap();
    let (registered, writer) = (Arc::clone(&inner), Arc::new(Mutex::new(None)));
    let held = Arc::clone(&writer);
    let begins = Box::new(move || *held.lock().unwrap() = Some(registered.register("writer").unwrap())) as Thing;
    let meddled = Meddled { inner: Arc::clone(&inner), meddler: Meanwhile::new([(INDEX, begins)]) };
    collect(&open_volume(Arc::new(meddled)), &Collect::default(), &Cancel::default()).unwrap();
    assert!(writer.lock().unwrap().is_some() && inner.length(first).is_err(), "its writer can no longer store it");
}

/// Puts another list of condemned packs in the place of one when its length is known and its bytes are not.
struct Replacing {
    inner: Memory,
    by: Mutex<Option<Vec<u8>>>,
}

impl Meddler for Replacing {
    fn before_read(&self, name: &str, bytes: u64) -> backend::Result<()> {
        match self.by.lock().unwrap().take_if(|_| name == CONDEMNED && bytes > 0) {
            Some(by) => self.inner.replace(name, &by),
            None => Ok(()),
        }
    }
}

#[test]
fn a_list_of_condemned_packs_that_is_replaced_while_it_is_read_is_read_as_it_is_now() {
    let inner = Memory::default();
    let volume = new_volume(Arc::new(inner.clone()));
    let list = |packs: u8| {
        let packs = (0..packs).map(|number| PackId([number; 16])).collect();
        let list = Condemned { packs, waiting_for: None };
        write_condemned(&volume, &list).unwrap();
        (list, backend::read_whole(&inner, CONDEMNED, u64::MAX).unwrap())
    };
    for (before, after) in [(40, 3), (3, 40)] {
        let (now, by) = list(after);
        list(before);
        let meddler = Replacing { inner: inner.clone(), by: Mutex::new(Some(by)) };
        let volume = open_volume(Arc::new(Meddled { inner: Arc::new(inner.clone()), meddler }));
        assert_eq!(condemned(&volume).unwrap(), now, "{before} to {after}");
    }
    // Damaged for good, it condemns nothing.
    inner.replace(CONDEMNED, b"something else").unwrap();
    assert_eq!(condemned(&volume).unwrap(), Condemned::default());
}
