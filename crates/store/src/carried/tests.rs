use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use resurgam_model::Timestamp;

use super::{CARRIED_TOML, Loaded, begin, finish, load, rank, read};
use crate::{
    Cancel, Meter, StoreError, Volume,
    backend::{
        self, Backend,
        faulty::{Faulty, Plan},
        meddled::{Meddled, Meddler},
        memory::Memory,
        read_whole,
    },
    collect::{Collect, collect},
    copy::tests::{all_is_well, copy, new_part},
    keys::{Secret, Unlock},
    pack::PACKS,
    tests::{files, new_volume, place, point, restore, signing},
    volume::COLLECTOR,
};

fn unlock() -> Unlock {
    Unlock { wrapping: Some(Secret::new([11; 32])), passphrase: None }
}

/// The part of a vault, and a finished disk for it with one point.
struct Travel {
    part: Memory,
    disk: Memory,
}

fn travel() -> Travel {
    let (part, disk) = (Memory::default(), Memory::default());
    let pool = new_volume(Arc::new(Memory::default()));
    let text = point(&pool, 1, &files(0, 300));
    let (_, head) = Volume::header_document(new_part(Arc::new(part.clone())).backend()).unwrap();
    let on_disk = Arc::new(begin(Arc::new(disk.clone()), &head, &unlock()).unwrap());
    copy(&pool, &on_disk, &text, 11).unwrap();
    let (meter, cancel) = (Meter::default(), Cancel::default());
    finish(&on_disk, "az://vault", Timestamp::UNIX_EPOCH, &signing(), &meter, &cancel).unwrap();
    Travel { part, disk }
}

impl Travel {
    fn load(&self) -> Result<Loaded, StoreError> {
        load(&self.disk, &self.part, &Meter::default(), &Cancel::default())
    }

    fn part(&self) -> Arc<Volume> {
        Arc::new(Volume::open(Arc::new(self.part.clone()), &unlock()).unwrap())
    }
}

#[test]
fn what_a_disk_carries_is_in_the_vault_once_it_is_loaded() {
    let travel = travel();
    let said = read(&travel.disk).unwrap();
    assert_eq!((said.vault.as_str(), said.objects.is_empty()), ("az://vault", false));
    let loaded = travel.load().unwrap();
    assert_eq!((loaded.objects, loaded.bytes, loaded.there), (said.objects.len() as u64, said.bytes(), 0));
    assert_eq!(restore(&travel.part(), 11).unwrap(), files(0, 300));
    assert!(all_is_well(&travel.part()));
    assert!(travel.part.writers().unwrap().dead.is_empty());
    let again = travel.load().unwrap();
    assert_eq!((again.objects, again.there), (0, loaded.objects));
    // The disk is a copy in its own right.
    let disk = Arc::new(Volume::open(Arc::new(travel.disk.clone()), &unlock()).unwrap());
    assert_eq!(restore(&disk, 11).unwrap(), files(0, 300));
}

#[test]
fn a_loading_that_fails_anywhere_shows_no_point_and_goes_on_where_it_stopped() {
    let whole = travel();
    let counted = Plan::from(u64::MAX, std::io::ErrorKind::Other);
    load(
        &whole.disk,
        &Faulty::new(Arc::new(whole.part.clone()), Arc::clone(&counted)),
        &Meter::default(),
        &Cancel::default(),
    )
    .unwrap();
    for fail_at in 0..counted.calls() {
        let travel = travel();
        let part = Faulty::new(Arc::new(travel.part.clone()), Plan::from(fail_at, std::io::ErrorKind::Other));
        let broken = load(&travel.disk, &part, &Meter::default(), &Cancel::default());
        assert!(broken.is_err(), "call {fail_at} does not matter");
        // What is shown is whole, and whoever collects now takes nothing that a point needs.
        assert!(travel.part().point_names().unwrap().is_empty() || all_is_well(&travel.part()), "call {fail_at}");
        collect(&travel.part(), &Collect::default(), &Cancel::default()).unwrap();
        travel.load().unwrap();
        assert_eq!(restore(&travel.part(), 11).unwrap(), files(0, 300), "call {fail_at}");
        assert!(all_is_well(&travel.part()), "call {fail_at}");
    }
}

/// Collects whenever something is looked at, unless the collector's lock is held.
struct Collecting {
    part: Arc<Volume>,
    collected: AtomicU64,
}

impl Meddler for Collecting {
    fn before_read(&self, _name: &str, _bytes: u64) -> backend::Result<()> {
        if self.part.backend().lock(COLLECTOR)?.is_some() {
            collect(&self.part, &Collect::default(), &Cancel::default()).unwrap();
            self.collected.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

#[test]
fn a_collection_beside_a_loading_takes_nothing_of_it() {
    let travel = travel();
    let meddler = Collecting { part: travel.part(), collected: AtomicU64::new(0) };
    let part = Meddled { inner: Arc::new(travel.part.clone()), meddler };
    load(&travel.disk, &part, &Meter::default(), &Cancel::default()).unwrap();
    assert!(part.meddler.collected.load(Ordering::SeqCst) > 2);
    assert_eq!(restore(&travel.part(), 11).unwrap(), files(0, 300));
}

/// A collector takes what it had condemned before, just before its lock is taken from it.
struct Condemned {
    part: Memory,
    taken: AtomicBool,
}

impl Meddler for Condemned {
    fn before_list(&self, prefix: &str) {
        if prefix == PACKS && !self.taken.swap(true, Ordering::SeqCst) {
            for listed in self.part.list(PACKS).unwrap() {
                self.part.delete(&listed.name).unwrap();
                self.part.delete(&format!("mirror/{}", listed.name)).unwrap();
            }
        }
    }
}

#[test]
fn what_a_collector_took_since_it_was_found_there_is_sent_again_before_a_point_shows() {
    let travel = travel();
    travel.load().unwrap();
    let part = travel.part();
    let (place, id) = part.point_names().unwrap().remove(0);
    part.delete_point(&place, id).unwrap();
    let meddler = Condemned { part: travel.part.clone(), taken: AtomicBool::new(false) };
    let meddled = Meddled { inner: Arc::new(travel.part.clone()), meddler };
    load(&travel.disk, &meddled, &Meter::default(), &Cancel::default()).unwrap();
    assert_eq!(restore(&travel.part(), 11).unwrap(), files(0, 300));
    assert!(all_is_well(&travel.part()));
}

#[test]
fn a_disk_that_was_changed_or_belongs_elsewhere_is_refused() {
    let travel = travel();
    for object in read(&travel.disk).unwrap().objects {
        let bytes = read_whole(&travel.disk, &object.name, 1 << 30).unwrap();
        let mut changed = bytes.clone();
        changed[bytes.len() / 2] ^= 1;
        for spoiled in [&changed[..], &bytes[..bytes.len() - 1]] {
            travel.disk.replace(&object.name, spoiled).unwrap();
            let part = Memory::default();
            new_part(Arc::new(part.clone()));
            let error = load(&travel.disk, &part, &Meter::default(), &Cancel::default()).unwrap_err();
            assert!(error.to_string().contains(&object.name), "{error}");
            assert!(part.length(&object.name).is_err(), "{} is in the part", object.name);
        }
        travel.disk.replace(&object.name, &bytes).unwrap();
    }
    let list = read_whole(&travel.disk, CARRIED_TOML, 1 << 30).unwrap();
    let text = String::from_utf8(list.clone()).unwrap().replace("az://vault", "az://other");
    travel.disk.replace(CARRIED_TOML, text.as_bytes()).unwrap();
    assert!(travel.load().unwrap_err().to_string().contains("signature"));
    travel.disk.replace(CARRIED_TOML, &list).unwrap();

    let other = Memory::default();
    new_volume(Arc::new(other.clone()));
    let elsewhere = load(&travel.disk, &other, &Meter::default(), &Cancel::default()).unwrap_err();
    assert!(matches!(elsewhere, StoreError::Refused { .. }), "{elsewhere}");
    let (_, head) = Volume::header_document(&other).unwrap();
    assert!(matches!(begin(Arc::new(travel.disk.clone()), &head, &unlock()), Err(StoreError::Refused { .. })));
    let unfinished = Memory::default();
    assert!(matches!(read(&unfinished), Err(StoreError::Refused { .. })));
}

#[test]
fn a_disk_that_is_written_to_again_counts_only_when_it_is_finished_again() {
    let travel = travel();
    let (_, head) = Volume::header_document(&travel.part).unwrap();
    let disk = begin(Arc::new(travel.disk.clone()), &head, &unlock()).unwrap();
    assert!(matches!(travel.load(), Err(StoreError::Refused { .. })));
    let (meter, cancel) = (Meter::default(), Cancel::default());
    finish(&disk, "az://vault", Timestamp::UNIX_EPOCH, &signing(), &meter, &cancel).unwrap();
    travel.load().unwrap();
    assert_eq!(restore(&travel.part(), 11).unwrap(), files(0, 300));
}

#[test]
fn a_point_that_was_given_up_since_does_not_come_back() {
    let travel = travel();
    travel.load().unwrap();
    let (part, now) = (travel.part(), Timestamp::UNIX_EPOCH);
    let name = part.point_names().unwrap().remove(0);
    part.set_deleted(&name.0, name.1, now, &signing()).unwrap();
    travel.load().unwrap();
    assert!(part.point_names().unwrap().is_empty());
}

#[test]
fn nothing_is_loaded_before_what_it_needs_and_nothing_strange_at_all() {
    let id = "00112233445566778899aabbccddeeff";
    let point = place().point(resurgam_model::PointId::from_random([1; 16]));
    let order = [
        format!("mirror/{PACKS}00/{id}"),
        format!("index/{id}"),
        place().description(),
        format!("mirror/{point}"),
        point.clone(),
    ];
    let ranks: Vec<Option<u8>> = order.iter().map(|name| rank(name)).collect();
    assert_eq!(ranks, [Some(0), Some(1), Some(2), Some(3), Some(4)]);
    let (up, within) = (point.replace("server.example", ".."), point.replace("server.example", "a/b"));
    for strange in
        ["VOLUME.toml", "locks/collector", "packs/../x", "index/../packs", "mirror/mirror/packs/x", &up, &within]
    {
        assert_eq!(rank(strange), None, "{strange}");
    }
}
