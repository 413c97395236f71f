//! Volumes that are away, go away meanwhile, are another server's, or are there twice.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use resurgam_tests::{
    AsItWas, Outcome, Part, Random, Scene, args, assert_same, disk::Disk, is_present, parts::count_from, plain_tree,
};
use serde_json::Value;

use super::{assert_untouched, contents, server};

/// A sync of a server whose volume `place` is not there: it is named, and nothing is concluded.
#[track_caller]
fn assert_concludes_nothing(scene: &Scene, place: &Path, known: &Value) {
    let sync = scene.sync();
    assert_nothing_concluded(&sync, place);
    assert_eq!(scene.program().run(args!["points"]).done()["points"], known["points"], "{sync}");
    assert!(!place.join("catalog").exists() && !place.join("mirror").exists(), "a stub of a volume was made");
}

#[track_caller]
fn assert_nothing_concluded(sync: &Outcome, place: &Path) {
    let report = sync.json_with_code(1);
    for list in ["adopted", "missing", "found_again", "quarantined", "replicas"] {
        assert_eq!(report[list].as_array().map(Vec::len), Some(0), "{list}: {sync}");
    }
    assert_eq!(report["clean"], false);
    let unreachable = sync.texts_in("unreachable", "what");
    assert_eq!(unreachable.len(), 1, "{sync}");
    assert!(unreachable[0].contains(place.to_str().unwrap()), "{sync}");
}

#[test]
fn a_volume_that_is_away_is_named_and_nothing_is_concluded_from_it() {
    let (scene, native) = server("away", 231);
    let known = scene.all_that_is_known();
    let away = scene.path("away");
    fs::rename(&scene.pool, &away).unwrap();
    assert_concludes_nothing(&scene, &scene.pool, &known);
    // An empty mount point is no volume that lost everything.
    fs::create_dir(&scene.pool).unwrap();
    assert_concludes_nothing(&scene, &scene.pool, &known);
    fs::remove_dir(&scene.pool).unwrap();
    fs::rename(&away, &scene.pool).unwrap();
    scene.assert_syncs_clean();
    assert_eq!(scene.all_that_is_known(), known);

    // The same after a restore: it stays frozen until the volume has been seen.
    fs::rename(&scene.pool, &away).unwrap();
    scene.lose_home();
    scene.restore_db(&native).done();
    let restored = scene.all_that_is_known();
    assert_concludes_nothing(&scene, &scene.pool, &restored);
    assert_eq!(scene.program().run(args!["expire"]).failed().code, "frozen");
    fs::rename(&away, &scene.pool).unwrap();
    let report = scene.assert_syncs_clean();
    assert_eq!(report["thawed"], true, "{report}");
    assert_eq!(scene.all_that_is_known()["points"], known["points"]);
    scene.program().run(args!["expire"]).done();
    assert_same(&scene.source, &scene.recovered("latest"));
}

#[test]
fn an_unmounted_disk_is_mounted_again_and_the_sync_is_clean() {
    if !is_present("an_unmounted_disk", &[Part::LoopDevice]) {
        return;
    }
    let disk = Disk::new(64, "defaults");
    let mut scene = Scene::new();
    scene.pool = disk.path().join("pool");
    plain_tree::build(&scene.source, plain_tree::Size::TINY, &mut Random::for_test("unmounted", 232));
    scene.take_point();
    let other = scene.path("other-pool");
    scene.program().run(args!["pool", "add", other]).done();
    let known = scene.all_that_is_known();
    disk.unmount();
    let sync = scene.sync();
    assert_nothing_concluded(&sync, &scene.pool);
    assert_eq!(fs::read_dir(disk.path()).unwrap().count(), 0, "something was written below the mount point");
    // Mounted and damaged on the way: the disk as such is read-only now, and can be read all the same.
    disk.mount();
    disk.remount("ro");
    let sync = scene.sync();
    assert_eq!(sync.json()["missing"].as_array().map(Vec::len), Some(0), "{sync}");
    disk.remount("rw");
    scene.assert_syncs_clean();
    assert_eq!(scene.all_that_is_known(), known);
}

#[test]
fn a_volume_that_goes_away_in_the_middle_of_a_sync() {
    let mut random = Random::for_test("goes_away", 233);
    let scene = Scene::new();
    plain_tree::build(&scene.source, plain_tree::Size::SMALL, &mut random);
    for _ in 0..6 {
        plain_tree::change(&scene.source, 0.2, &mut random);
        scene.take_point();
    }
    let full = scene.program().run(args!["dpmsync", "-Sync", "-ReadData"]);
    full.done();
    let known = scene.all_that_is_known();
    let away = scene.path("away");
    let mut gone = 0;
    for _ in 0..count_from("RESURGAM_KILLS", 12) {
        let running = scene.program().start(args!["dpmsync", "-Sync", "-ReadData"]);
        running.has_ended_within(full.took().mul_f64(random.fraction()));
        fs::rename(&scene.pool, &away).unwrap();
        let outcome = running.finish(Duration::from_secs(60));
        assert!(!scene.pool.exists(), "a stub of a volume was made: {outcome}");
        let points = scene.program().run(args!["points"]).done();
        assert_eq!(points["points"], known["points"], "{outcome}");
        if outcome.code() == Some(1) && outcome.json().get("error").is_none() {
            assert_nothing_concluded(&outcome, &scene.pool);
            gone += 1;
        }
        fs::rename(&away, &scene.pool).unwrap();
    }
    println!("gone before the end: {gone}");
    scene.assert_syncs_clean();
    assert_eq!(scene.all_that_is_known(), known);
    scene.assert_sound();
}

#[test]
fn the_volume_of_another_server_is_named_and_left_alone() {
    let (scene, _) = server("other_servers_volume", 234);
    let (other, _) = server("other_servers_volume", 235);
    let (known, before) = (scene.all_that_is_known(), AsItWas::now(&other.pool));
    let sync = scene.program().run(args!["dpmsync", "-Sync", "-Volume", other.pool]);
    assert_eq!(sync.json_with_code(1)["clean"], false, "{sync}");
    let told = sync.texts_in("quarantined", "what").join("\n") + &sync.texts_in("quarantined", "id").join("\n");
    assert!(told.contains("another server") && told.contains(other.pool.to_str().unwrap()), "{sync}");
    // In the place of our own it is no better: ours is away.
    let away = scene.path("away");
    fs::rename(&scene.pool, &away).unwrap();
    plain_tree::copy(&other.pool, &scene.pool);
    let sync = scene.sync();
    let report = sync.json_with_code(1);
    assert_eq!(report["missing"].as_array().map(Vec::len), Some(0), "{sync}");
    assert_ne!(report["unreachable"].as_array().map(Vec::len), Some(0), "{sync}");
    before.assert_still();
    fs::remove_dir_all(&scene.pool).unwrap();
    fs::rename(&away, &scene.pool).unwrap();
    scene.assert_syncs_clean();
    assert_eq!(scene.all_that_is_known(), known);
    let failure = scene.program().run(args!["pool", "add", other.pool]).failed();
    assert_eq!(failure.code, "volume-of-another-server", "{failure:?}");
    before.assert_still();
}

/// A volume and a copy of it, which has its GUID.
fn twins(scene: &Scene) -> PathBuf {
    let twin = scene.path("twin");
    plain_tree::copy(&scene.pool, &twin);
    twin
}

#[test]
fn two_volumes_of_one_guid_are_both_left_alone_until_a_person_decides() {
    let (scene, _) = server("twins", 236);
    let known = scene.all_that_is_known();
    let twin = twins(&scene);
    let before = [contents(&scene.pool), contents(&twin)];
    let untouched = |why: &str| {
        assert_untouched(&scene.pool, &before[0], why);
        assert_untouched(&twin, &before[1], why);
    };
    let failure = scene.program().run(args!["pool", "add", twin]).failed();
    assert_eq!(failure.code, "volume-twice", "{failure:?}");
    assert!([&twin, &scene.pool].iter().all(|place| failure.speaks_of(&[place.to_str().unwrap()])), "{failure:?}");
    untouched("pool add");
    for more in [args!["-WhatIf"].to_vec(), Vec::new()] {
        let arguments = args!["dpmsync", "-Sync", "-Volume", twin].into_iter().chain(more);
        let sync = scene.program().run(arguments);
        assert_nothing_concluded(&sync, &twin);
        assert_nothing_concluded(&sync, &scene.pool);
        untouched("-Sync");
    }
    assert_eq!(scene.all_that_is_known(), known);
    // With one of them away, the other is the one.
    let away = scene.path("away");
    fs::rename(&scene.pool, &away).unwrap();
    let moved = scene.program().run(args!["dpmsync", "-Sync", "-Volume", twin]);
    assert_eq!(moved.done()["clean"], true, "{moved}");
    let pools = scene.program().run(args!["pool", "list"]).done();
    assert_eq!(pools["volumes"][0]["location"], twin.to_str().unwrap());
    assert_eq!(scene.program().run(args!["points"]).done()["points"], known["points"]);
    scene.assert_syncs_clean();
    assert_same(&scene.source, &scene.recovered("latest"));
}

#[test]
fn after_a_restore_two_volumes_of_one_guid_are_left_alone_as_well() {
    let (scene, native) = server("twins_restored", 237);
    let twin = twins(&scene);
    // With the keys gone, each of them would have to be enrolled again: neither is.
    scene.lose_home();
    scene.restore_db(&native).done();
    let before = [contents(&scene.pool), contents(&twin)];
    let sync = scene.program().run(args!["dpmsync", "-Sync", "-Volume", twin]);
    assert_nothing_concluded(&sync, &twin);
    assert_untouched(&scene.pool, &before[0], "the volume");
    assert_untouched(&twin, &before[1], "its twin");
    fs::remove_dir_all(&twin).unwrap();
    scene.assert_syncs_clean();
    assert_eq!(scene.points().len(), 2);
}
