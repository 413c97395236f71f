use std::{fs, io::Write, path::Path};

use resurgam_store::keys::Unlock;

use super::*;
use crate::scene::Scene;

fn stores() -> Stores {
    Stores { variable: |_| None, directory: std::env::temp_dir(), known: Vec::new(), limits: Vec::new() }
}

fn look(place: &Path) -> Found {
    locate(place, &Unlock::default(), &stores(), None).unwrap()
}

fn chosen(found: &Found, told: Option<&str>) -> String {
    choose(found, told).unwrap().id()
}

fn refusal(found: &Found, told: Option<&str>) -> String {
    choose(found, told).err().unwrap().to_string()
}

/// Flips one byte in the middle of a file.
fn spoil(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    fs::write(path, bytes).unwrap();
}

/// Both copies of every object below a directory of the volume.
fn spoil_all(scene: &Scene, below: &str) {
    for root in ["pool", "pool/mirror"] {
        let mut folders = vec![scene.path(root).join(below)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { spoil(&path) }
            }
        }
    }
}

#[test]
fn a_volume_holds_points_of_the_catalog_and_capsules() {
    let scene = Scene::new();
    scene.back_up_catalog();
    let found = look(&scene.path("pool"));
    let count = |kind| found.candidates.iter().filter(|candidate| candidate.kind() == kind).count();
    assert!(count("pool") >= 1 && count("capsules") >= 1);
    assert!(found.candidates.iter().all(|candidate| candidate.usable.is_ok() && candidate.server.is_some()));
    let newest = choose(&found, None).unwrap();
    assert_eq!(newest.kind(), "pool", "a copy with all rows goes before a capsule of the same state");
    assert_eq!(choose(&found, Some("capsules")).unwrap().kind(), "capsules");
    assert_eq!(chosen(&found, Some(&newest.id()[..8])), newest.id());
    assert!(refusal(&found, Some("nothing")).contains("nothing"));

    // What people decided since lies in a capsule only.
    scene.protect("more");
    let found = look(&scene.path("pool"));
    let newest = choose(&found, None).unwrap();
    assert_eq!(newest.kind(), "capsules");
    assert_eq!(found.newest_capsule().unwrap().0.object(), newest.id());
}

#[test]
fn of_native_backups_the_newest_is_that_of_the_highest_sequence_and_not_of_the_latest_clock() {
    let scene = Scene::new();
    let old = scene.native("copies");
    scene.protect("more");
    let new = scene.native("copies");
    // A clock that had run ahead when the old one was made.
    fs::File::options().write(true).open(&old).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let future = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(4_000_000_000);
    fs::File::options().write(true).open(&old).unwrap().set_modified(future).unwrap();
    fs::write(scene.path("copies/DPMDB-empty.bak"), "").unwrap();
    fs::write(scene.path("copies/other.bak"), "not a catalog").unwrap();
    fs::write(scene.path("copies/DPMDB-cut.bak"), &fs::read(&new).unwrap()[..20_000]).unwrap();
    fs::write(scene.path("copies/notes.txt"), "of no interest").unwrap();
    let found = look(&scene.path("copies"));
    assert_eq!(chosen(&found, None), new.display().to_string());
    assert_eq!(chosen(&found, Some(old.to_str().unwrap())), old.display().to_string());
    let refused: Vec<_> = found.candidates.iter().filter_map(|copy| copy.shown().refused).collect();
    assert_eq!((found.candidates.len(), refused.len()), (5, 3), "{refused:?}");
    assert!(refusal(&found, Some("DPMDB-empty.bak")).contains("empty"));
    // By its path, a file may have any name.
    fs::copy(&new, scene.path("catalog")).unwrap();
    assert!(choose(&look(&scene.path("catalog")), None).is_ok());
}

#[test]
fn a_wrong_place_says_what_is_wrong_with_it() {
    let scene = Scene::new();
    assert!(locate(&scene.path("nothing"), &Unlock::default(), &stores(), None).is_err());
    fs::create_dir(scene.path("empty")).unwrap();
    assert!(refusal(&look(&scene.path("empty")), None).contains("holds no copy"));
    assert!(refusal(&look(&scene.path("data/file")), None).contains("no copy of a catalog"));
    // Another program's database.
    let mut other = fs::File::create(scene.path("other.bak")).unwrap();
    other.write_all(b"SQLite format 3\0").unwrap();
    assert!(!refusal(&look(&scene.path("other.bak")), None).is_empty());
}

#[test]
fn copies_of_two_servers_are_told_apart() {
    let (one, two) = (Scene::new(), Scene::new());
    let mine = one.native("copies");
    let theirs = two.native("copies");
    fs::copy(&theirs, one.path("copies/DPMDB-theirs.bak")).unwrap();
    let found = look(&one.path("copies"));
    assert!(refusal(&found, None).contains("2 servers"));
    let server = one.open().record().id.to_string();
    assert_eq!(chosen(&found, Some(&server)), mine.display().to_string());
}

#[test]
fn what_cannot_be_proved_is_listed_and_not_taken() {
    let scene = Scene::new();
    scene.back_up_catalog();
    spoil_all(&scene, "catalog");
    let found = look(&scene.path("pool"));
    assert!(found.candidates.iter().any(|candidate| candidate.kind() == "capsules" && candidate.usable.is_err()));
    assert_eq!(choose(&found, None).unwrap().kind(), "pool");
    spoil_all(&scene, "replicas");
    let found = look(&scene.path("pool"));
    assert!(refusal(&found, None).contains("signature"));
}
