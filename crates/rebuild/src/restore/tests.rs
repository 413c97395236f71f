use std::{collections::BTreeSet, fs, path::PathBuf};

use resurgam_catalog::Catalog;
use resurgam_model::charter::Charter;

use super::*;
use crate::{
    kit,
    scene::{PASSPHRASE, Scene, passphrase, tick},
};

fn charter(scene: &Scene) -> Charter {
    scene.open().catalog().charter().unwrap()
}

/// Makes a kit that a test can afford, and answers where it lies.
fn make_kit(scene: &Scene) -> PathBuf {
    let mut server = scene.open();
    let content = kit::KitContent::new(tick(), "test", "/home", server.keyring()).unwrap();
    let (sealed, reusable) = kit::seal_new(PASSPHRASE, 1, content.to_text().unwrap().as_bytes()).unwrap();
    let kept = reusable.with_keyring(server.keyring()).unwrap().to_text().unwrap();
    server.set_kit(&kept).unwrap();
    // The next capsule carries the keys.
    drop(server);
    scene.protect("sealed");
    let file = scene.path("kit.age");
    fs::write(&file, sealed).unwrap();
    file
}

fn public_key(scene: &Scene) -> Vec<u8> {
    scene.open().keyring().signing.public().0.to_vec()
}

#[test]
fn every_copy_brings_the_charter_back() {
    let scene = Scene::new();
    // That native backups go there is itself part of the charter.
    scene.native("copies");
    let native = scene.native("copies");
    scene.back_up_catalog();
    let before = charter(&scene);
    let key = public_key(&scene);
    for (place, chosen) in [(native.clone(), None), (scene.path("copies"), None), (scene.path("pool"), Some("pool"))]
        .into_iter()
        .chain([(scene.path("pool"), Some("capsules"))])
    {
        let home = scene.path("home");
        let report = restore_db(&RestoreDb { chosen, ..scene.request(&home, &place) }).unwrap();
        assert_eq!(report.keys, KeysFrom::Kept);
        assert_eq!(report.aside.len(), 1, "the old catalog");
        let server = scene.open();
        let lineage = server.catalog().lineage().unwrap().unwrap();
        assert_eq!((lineage.id, lineage.generation), (report.lineage, report.generation));
        assert!(lineage.frozen.is_some() && lineage.parent.is_some());
        assert_eq!(server.catalog().charter().unwrap().sources, before.sources, "{place:?} {chosen:?}");
        assert_eq!(server.catalog().charter().unwrap(), before, "{place:?} {chosen:?}");
        assert_eq!(server.keyring().signing.public().0.to_vec(), key);
    }
    let names = fs::read_dir(scene.path("home")).unwrap().map(|entry| entry.unwrap().file_name());
    let asides: BTreeSet<String> = names
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| name.starts_with("DPMDB.sqlite.aside-") && name.ends_with('Z'))
        .collect();
    assert_eq!(asides.len(), 4, "none is overwritten: {asides:?}");
    assert!(!scene.path("home/staging").exists());
}

#[test]
fn a_home_that_is_gone_comes_back_with_new_keys_or_with_those_of_the_kit() {
    let scene = Scene::new();
    let kit = make_kit(&scene);
    let key = public_key(&scene);
    let pool = scene.path("pool");
    let home = scene.path("home");
    for (from, with_kit, phrase) in [
        (KeysFrom::New, None, None),
        (KeysFrom::Kit, Some(kit.as_path()), passphrase()),
        (KeysFrom::Capsule, None, passphrase()),
    ] {
        scene.lose_home();
        let request = RestoreDb { kit: with_kit, passphrase: phrase, ..scene.request(&home, &pool) };
        let report = restore_db(&request).unwrap();
        assert_eq!(report.keys, from, "{:?}", report.notes);
        assert!(report.aside.is_empty());
        let server = scene.open();
        assert_eq!(server.keyring().signing.public().0.to_vec() == key, from != KeysFrom::New);
        assert_eq!(server.record().public_key, server.keyring().signing.public().0.to_vec());
        assert_eq!(server.keyring().kit.is_some(), from != KeysFrom::New, "kits can be made anew");
    }
    // What had no passphrase and got new keys gets the old ones once the passphrase is there.
    scene.lose_home();
    assert_eq!(scene.restore(&pool).keys, KeysFrom::New);
    let request = RestoreDb { passphrase: passphrase(), ..scene.request(&home, &pool) };
    assert_eq!(restore_db(&request).unwrap().keys, KeysFrom::Capsule);
    assert_eq!(public_key(&scene), key);
}

#[test]
fn a_kit_that_does_not_open_or_is_of_another_server_stops_it_before_anything_is_done() {
    let (scene, other) = (Scene::new(), Scene::new());
    let kit = make_kit(&scene);
    let native = other.native("copies");
    let home = scene.path("elsewhere");
    let request = || RestoreDb { kit: Some(&kit), ..scene.request(&home, &native) };
    let code = |request: RestoreDb<'_>| restore_db(&request).err().unwrap().code();
    assert_eq!(code(request()), "kit");
    assert_eq!(code(RestoreDb { passphrase: Some(b"wrong".to_vec().into()), ..request() }), "kit-passphrase");
    assert_eq!(code(RestoreDb { passphrase: passphrase(), ..request() }), "kit-of-another-server");
    let before = charter(&scene);
    let own = scene.path("home");
    assert_eq!(code(scene.request(&own, &native)), "home-of-another-server");
    assert_eq!(charter(&scene), before);
}

#[test]
fn no_restored_catalog_has_the_generation_of_another() {
    let scene = Scene::new();
    let native = scene.native("copies");
    let mut generations = BTreeSet::new();
    for _ in 0..3 {
        let report = scene.restore(&native);
        assert!(generations.insert(report.generation), "{}", report.generation);
        // Its capsule tells the volume.
        scene.open().publish_capsules().unwrap();
    }
    scene.lose_home();
    let report = scene.restore(&native);
    assert!(generations.insert(report.generation));
    assert!(report.newer.unwrap().contains("restored since"));
}

#[test]
fn a_newer_configuration_in_a_volume_is_told() {
    let scene = Scene::new();
    let native = scene.native("copies");
    scene.protect("more");
    let report = scene.restore(&native);
    assert!(report.newer.unwrap().contains("newer configuration"));
    assert_eq!(report.keys, KeysFrom::Kept);
}

#[test]
fn a_volume_that_lies_elsewhere_now_is_noted() {
    let scene = Scene::new();
    scene.lose_home();
    fs::rename(scene.path("pool"), scene.path("moved")).unwrap();
    let report = scene.restore(&scene.path("moved"));
    assert!(report.notes.iter().any(|note| note.contains("moved")));
    assert_eq!(charter(&scene).volumes[0].location, scene.path("moved").canonicalize().unwrap().display().to_string());
}

#[test]
fn a_copy_that_proves_bad_when_it_is_unpacked_gives_way_to_the_next() {
    let scene = Scene::new();
    scene.back_up_catalog();
    // The data of every point is gone; what describes them is whole.
    for entry in fs::read_dir(scene.path("pool/packs")).unwrap() {
        let _ = fs::remove_dir_all(entry.unwrap().path());
    }
    let report = scene.restore(&scene.path("pool"));
    assert_eq!(report.taken.kind, "capsules");
    assert!(report.found.iter().any(|copy| copy.kind == "pool" && copy.refused.is_some()));
}

#[test]
fn the_catalog_goes_where_the_instance_says_and_the_home_knows() {
    let scene = Scene::new();
    let native = scene.native("copies");
    scene.lose_home();
    let home = scene.path("home");
    fs::create_dir(scene.path("db")).unwrap();
    let to = target(&home, Some(&scene.text("db")), Some("DPMDB")).unwrap();
    let report = restore_db(&RestoreDb { to, ..scene.request(&home, &native) }).unwrap();
    assert_eq!(report.catalog, scene.text("db/DPMDB.sqlite"));
    assert!(scene.path("db/DPMDB.sqlite").exists() && !scene.path("home/DPMDB.sqlite").exists());
    assert_eq!(scene.open().record().id, report.server);
}

#[test]
fn where_the_catalog_cannot_be_put_in_place_the_home_is_as_it_was() {
    let scene = Scene::new();
    let kit = make_kit(&scene);
    let native = scene.native("copies");
    // Another key of the same server, as after a restore without the kit.
    scene.lose_home();
    let _ = scene.restore(&native);
    let key = public_key(&scene);
    let home = scene.path("home");
    let nowhere = Location::Sqlite(scene.path("data/file/DPMDB.sqlite"));
    let request = RestoreDb { to: nowhere, kit: Some(&kit), passphrase: passphrase(), ..scene.request(&home, &native) };
    assert!(restore_db(&request).is_err());
    assert_eq!(public_key(&scene), key);
    assert!(Catalog::open_existing(&target(&home, None, None).unwrap(), tick()).is_ok());
}
