//! What one copy lost comes from the other, all of it that the other has, and nothing that is wrong.

use std::{collections::BTreeSet, sync::Arc};

use resurgam_model::PointId;

use super::{Donor, Healed, heal};
use crate::{
    Cancel, Meter, Volume,
    backend::{Backend, memory::Memory, read_whole},
    collect::{Collect, collect},
    copy::tests::{copy, new_part},
    keys::Unlock,
    tests::{files, look_over, new_volume, noise, open_volume, place, point, restore},
    verify::Verified,
};

type Files = Vec<(String, Vec<u8>)>;

/// A pool with three points, and a part with the same ones: point `n` of the pool is point `10 + n` of the part.
struct Copies {
    pool: Arc<dyn Backend>,
    part: Arc<dyn Backend>,
    files: Vec<Files>,
}

const POINTS: u8 = 3;

impl Copies {
    fn new() -> Self {
        let (pool, part): (Arc<dyn Backend>, Arc<dyn Backend>) =
            (Arc::new(Memory::default()), Arc::new(Memory::default()));
        let (volume, other) = (new_volume(Arc::clone(&pool)), new_part(Arc::clone(&part)));
        let contents: Vec<Files> = (1..=POINTS).map(content).collect();
        for (number, files) in (1..).zip(&contents) {
            let made = point(&volume, number, files);
            copy(&volume, &other, &made, 10 + number).unwrap();
        }
        Self { pool, part, files: contents }
    }

    fn again(&self) -> Self {
        Self { pool: twin(&*self.pool), part: twin(&*self.part), files: self.files.clone() }
    }

    fn pool(&self) -> Arc<Volume> {
        open_volume(Arc::clone(&self.pool))
    }

    fn part(&self) -> Arc<Volume> {
        open_part(Arc::clone(&self.part))
    }
}

fn content(number: u8) -> Files {
    let seed = u64::from(number);
    let mut files = files(seed * 40, 200);
    files.push(("large".to_owned(), noise(9000 + seed, 1 << 19)));
    files
}

fn open_part(backend: Arc<dyn Backend>) -> Arc<Volume> {
    let wrapping = Some(crate::keys::Secret::new([11; 32]));
    Arc::new(Volume::open(backend, &Unlock { wrapping, ..Unlock::default() }).unwrap())
}

fn twin(from: &dyn Backend) -> Arc<dyn Backend> {
    let to: Arc<dyn Backend> = Arc::new(Memory::default());
    for listed in from.list("").unwrap() {
        to.replace(&listed.name, &read_whole(from, &listed.name, u64::MAX).unwrap()).unwrap();
    }
    to
}

fn mend(volume: &Arc<Volume>, donors: &[(&str, &Arc<Volume>)]) -> (Verified, Healed) {
    mend_after(volume, donors, Some(100))
}

fn mend_after(volume: &Arc<Volume>, donors: &[(&str, &Arc<Volume>)], read_data: Option<u8>) -> (Verified, Healed) {
    let mut verified = look_over(volume, read_data, true);
    let donor = |(name, volume): &(&str, &Arc<Volume>)| Donor { name: (*name).to_owned(), volume: Arc::clone(volume) };
    let donors: Vec<Donor> = donors.iter().map(donor).collect();
    let healed = heal(volume, &donors, &mut verified, 2, &Meter::default(), &Cancel::default()).unwrap();
    (verified, healed)
}

/// Everything of a volume that is damage when it is gone, without documents, which have ways of their own.
fn spoilable(backend: &dyn Backend) -> Vec<String> {
    let is_data = |name: &String| ["packs/", "index/", "mirror/packs/"].iter().any(|prefix| name.starts_with(prefix));
    backend.list("").unwrap().into_iter().map(|listed| listed.name).filter(is_data).collect()
}

/// A way to spoil an object beyond what parity makes good.
fn spoil(backend: &dyn Backend, name: &str, way: u64) {
    let mut bytes = read_whole(backend, name, u64::MAX).unwrap();
    let half = bytes.len() / 2;
    match way % 5 {
        0 => return backend.delete(name).unwrap(),
        1 => bytes.fill(0),
        2 => bytes[..half].fill(0),
        3 => bytes.truncate(half),
        _ => bytes[half..].fill(7),
    }
    backend.replace(name, &bytes).unwrap();
}

/// Spoils several objects, chosen by a seed; of a mirrored pack mostly both copies.
fn ravage(backend: &dyn Backend, seed: u64) -> Vec<String> {
    let names = spoilable(backend);
    let choice = noise(seed, names.len());
    let mut spoiled = Vec::new();
    for (name, choice) in names.iter().zip(choice) {
        let mirror = format!("mirror/{name}");
        if choice % 3 == 0 || (choice % 2 == 0 && seed.is_multiple_of(10)) {
            spoil(backend, name, u64::from(choice) / 3 + seed);
            spoiled.push(name.clone());
            if choice % 4 != 0 && backend.length(&mirror).is_ok() {
                spoil(backend, &mirror, seed + 1);
                spoiled.push(mirror);
            }
        }
    }
    spoiled
}

fn assert_well(volume: &Arc<Volume>, files: &[Files], offset: u8, story: &str) {
    for (number, files) in (1..).zip(files) {
        assert_eq!(&restore(volume, offset + number).unwrap(), files, "{story}");
    }
    let found = look_over(volume, Some(100), false);
    assert!(found.findings.is_empty() && found.affected.is_empty(), "{story}: {found:?}");
}

fn check_mended(verified: &Verified, from: &str, story: &str) {
    assert!(verified.affected.is_empty(), "{story}: {verified:?}");
    assert!(verified.findings.iter().all(|finding| finding.mended), "{story}: {verified:?}");
    if !from.is_empty() {
        let told = format!("; mended from {from}");
        assert!(verified.findings.iter().any(|finding| finding.what.ends_with(&told)), "{story}: {verified:?}");
    }
}

#[test]
fn whatever_the_pool_lost_comes_from_the_part() {
    let copies = Copies::new();
    let mut healed_places = 0;
    for seed in 0..50 {
        let scene = copies.again();
        let story = format!("{seed}: {:?}", ravage(&*scene.pool, seed));
        let (verified, healed) = mend(&scene.pool(), &[("the vault V", &scene.part())]);
        check_mended(&verified, if healed.blobs > 0 { "the vault V" } else { "" }, &story);
        assert!(healed.passed_over.is_empty(), "{story}");
        assert_well(&scene.pool(), &scene.files, 0, &story);
        assert_well(&scene.part(), &scene.files, 10, &story);
        healed_places += usize::from(healed.blobs > 0);
    }
    assert!(healed_places > 40, "{healed_places}: the others are mended without");
}

#[test]
fn whatever_the_part_lost_comes_from_the_pool() {
    let copies = Copies::new();
    for seed in 100..125 {
        let scene = copies.again();
        let story = format!("{seed}: {:?}", ravage(&*scene.part, seed));
        let (verified, healed) = mend(&scene.part(), &[("the volume P", &scene.pool())]);
        check_mended(&verified, if healed.blobs > 0 { "the volume P" } else { "" }, &story);
        assert_well(&scene.part(), &scene.files, 10, &story);
    }
}

#[test]
fn a_volume_that_lost_all_its_packs_gets_them_back() {
    let scene = Copies::new();
    for name in spoilable(&*scene.pool) {
        scene.pool.delete(&name).unwrap();
    }
    let (verified, _) = mend(&scene.pool(), &[("the vault V", &scene.part())]);
    check_mended(&verified, "the vault V", "all packs are gone, and the index");
    assert_well(&scene.pool(), &scene.files, 0, "all packs are gone, and the index");
}

#[test]
fn points_that_need_what_no_donor_has_stay_affected_and_only_those() {
    let (pool, part): (Arc<dyn Backend>, Arc<dyn Backend>) = (Arc::new(Memory::default()), Arc::new(Memory::default()));
    let (volume, other) = (new_volume(Arc::clone(&pool)), new_part(part));
    for number in 1..=POINTS {
        let made = point(&volume, number, &content(number));
        // The second was never copied; the others have what they share with it.
        if number != 2 {
            copy(&volume, &other, &made, 10 + number).unwrap();
        }
    }
    for (number, name) in (0..).zip(spoilable(&*pool)) {
        if pool.length(&name).is_ok() {
            spoil(&*pool, &name, number);
        }
    }
    let (verified, healed) = mend(&open_volume(Arc::clone(&pool)), &[("the vault V", &other)]);
    assert_eq!(verified.affected, [(place(), PointId::from_random([2; 16]))]);
    assert!(healed.blobs > 0);
    assert!(verified.findings.iter().any(|finding| !finding.mended), "{verified:?}");
    let volume = open_volume(pool);
    for number in [1, 3] {
        assert_eq!(restore(&volume, number).unwrap(), content(number));
    }
    assert!(restore(&volume, 2).is_err());
    // A second donor that has the rest completes it, and is asked only then.
    let second = new_part(Arc::new(Memory::default()));
    let whole = new_volume(Arc::new(Memory::default()));
    copy(&whole, &second, &point(&whole, 2, &content(2)), 12).unwrap();
    let (verified, _) = mend(&volume, &[("the vault V", &other), ("the vault W", &second)]);
    check_mended(&verified, "the vault W", "the second donor");
    assert_well(&volume, &(1..=POINTS).map(content).collect::<Vec<_>>(), 0, "the second donor");
}

#[test]
fn a_damaged_donor_heals_nothing_wrong() {
    let copies = Copies::new();
    let mut partly = 0;
    for seed in 200..225 {
        let scene = copies.again();
        let story = format!("{seed}: {:?} and {:?}", ravage(&*scene.pool, seed), ravage(&*scene.part, seed + 300));
        let before: BTreeSet<String> = spoilable(&*scene.part).into_iter().collect();
        let pool = scene.pool();
        let (verified, _) = mend(&pool, &[("the vault V", &scene.part())]);
        let affected: BTreeSet<_> = verified.affected.iter().map(|(_, point)| *point).collect();
        for (number, files) in (1..).zip(&scene.files) {
            match restore(&pool, number) {
                Ok(found) => assert_eq!(&found, files, "{story}"),
                Err(_) => assert!(affected.contains(&PointId::from_random([number; 16])), "{story}: {verified:?}"),
            }
        }
        let left = verified.findings.iter().any(|finding| !finding.mended);
        assert_eq!(left, !affected.is_empty(), "{story}: {verified:?}");
        assert_eq!(spoilable(&*scene.part).into_iter().collect::<BTreeSet<_>>(), before, "a donor is only read");
        // What is there after it is sound; what is not is named as before.
        let again = look_over(&pool, Some(100), false);
        assert_eq!(again.affected, verified.affected, "{story}");
        partly += usize::from(!affected.is_empty());
    }
    assert!(partly > 3, "{partly}");
}

#[test]
fn a_donor_of_another_server_gives_nothing_and_one_that_is_away_is_named() {
    let scene = Copies::new();
    for name in spoilable(&*scene.pool) {
        scene.pool.delete(&name).unwrap();
    }
    let (away, stranger) = (Copies::new(), new_volume(Arc::new(Memory::default())));
    let unreachable = away.part();
    for listed in away.part.list("").unwrap() {
        away.part.delete(&listed.name).unwrap();
    }
    let (verified, healed) = mend(&scene.pool(), &[("empty", &stranger), ("away", &unreachable)]);
    assert_eq!(healed.blobs, 0);
    assert_eq!(verified.affected.len(), usize::from(POINTS));
    assert!(verified.findings.iter().any(|finding| !finding.mended), "{verified:?}");
}

#[test]
fn pages_that_nobody_had_read_are_healed_for_good() {
    let scene = Copies::new();
    for name in spoilable(&*scene.pool).iter().filter(|name| scene.pool.length(&format!("mirror/{name}")).is_ok()) {
        spoil(&*scene.pool, name, 1);
        spoil(&*scene.pool, &format!("mirror/{name}"), 2);
    }
    // Their lengths are right, and no data is read.
    let (verified, healed) = mend_after(&scene.pool(), &[("the vault V", &scene.part())], None);
    assert!(healed.blobs > 0);
    check_mended(&verified, "the vault V", "pages");
    collect(&scene.pool(), &Collect::default(), &Cancel::default()).unwrap();
    assert_well(&scene.pool(), &scene.files, 0, "pages");
}

#[test]
fn a_point_that_was_given_up_is_healed_too_so_that_it_can_come_back() {
    let scene = Copies::new();
    let id = PointId::from_random([12; 16]);
    scene.part().set_deleted(&place(), id, resurgam_model::Timestamp::UNIX_EPOCH, &crate::tests::signing()).unwrap();
    for name in spoilable(&*scene.part) {
        scene.part.delete(&name).unwrap();
    }
    let part = scene.part();
    let (verified, _) = mend(&part, &[("the volume P", &scene.pool())]);
    check_mended(&verified, "the volume P", "given up");
    collect(&part, &Collect::default(), &Cancel::default()).unwrap();
    part.undelete(&place(), id).unwrap();
    assert_well(&part, &scene.files, 10, "given up");
}
