//! Catalogs that must not delete: one that was restored and knows little yet, and one that was thought lost and comes back.

use std::{fs, path::Path};

use resurgam_tests::{Outcome, Program, Random, Scene, args, assert_same, plain_tree};

use super::native_backup;

/// Points that the volume itself lists.
fn points_in_volume(scene: &Scene) -> usize {
    let outcome = Program::new(scene.path("no-home")).run(args!["reader", "points", scene.pool]);
    outcome.done();
    outcome.points().len()
}

/// A server that keeps two points, has six, and has given up none yet; with a native backup after the third.
fn with_superfluous_points(test: &str, seed: u64) -> (Scene, std::path::PathBuf) {
    let scene = Scene::new();
    let mut random = Random::for_test(test, seed);
    plain_tree::build(&scene.source, plain_tree::Size::TINY, &mut random);
    let program = scene.program();
    program.run(args!["protect", scene.source, "--pool", scene.pool, "--keep-last", "2"]).done();
    let mut native = None;
    for round in 1..6 {
        plain_tree::change(&scene.source, 0.1, &mut random);
        scene.take_point();
        if round == 2 {
            native = Some(native_backup(&scene));
        }
    }
    (scene, native.unwrap())
}

#[test]
fn a_restored_catalog_deletes_nothing_before_its_report_is_clean_or_accepted() {
    let (scene, native) = with_superfluous_points("frozen", 261);
    let away = scene.path("away");
    // Restored while the volume is away: half of the points are unknown, and all of them out of reach.
    fs::rename(&scene.pool, &away).unwrap();
    scene.restore_db(&native).done();
    assert_eq!(scene.points().len(), 3);
    assert!(scene.alerts().iter().any(|alert| alert.starts_with("frozen")), "{:?}", scene.alerts());
    fs::rename(&away, &scene.pool).unwrap();
    let first = scene.points()[0].id.clone();
    let deleting = [
        args!["expire"].to_vec(),
        args!["expire", "--point", first].to_vec(),
        args!["prune"].to_vec(),
        args!["source", "remove", scene.source, "--delete-points"].to_vec(),
    ];
    let refuse_all = |why: &str| {
        for arguments in &deleting {
            let failure = scene.program().run(arguments.clone()).failed();
            assert_eq!(failure.code, "frozen", "{why}: {arguments:?}: {failure:?}");
            assert!(failure.speaks_of(&["dpmsync -Sync"]), "{failure:?}");
        }
        assert_eq!(points_in_volume(&scene), 6, "{why}");
    };
    refuse_all("restored");
    // Everything else works, also to see what would be given up.
    assert_eq!(scene.program().run(args!["expire", "--dry-run"]).done()["expired"].as_array().map(Vec::len), Some(1));
    scene.recovered(&first);
    let status = scene.program().run(args!["status"]).done();
    assert!(status["frozen"].as_str().unwrap().contains("restored"), "{status}");
    // Something of the volume has gone for good: the report is not clean, and that is for a person to accept.
    let gone = scene.points()[1].id.clone();
    for copy in ["replicas", "mirror/replicas"] {
        let files = plain_tree::files_below(&scene.pool.join(copy));
        for file in files.iter().filter(|file| file.ends_with(&gone)) {
            fs::rename(file, scene.path("point")).unwrap();
        }
    }
    let sync = scene.sync();
    assert_eq!(sync.json_with_code(1)["clean"], false, "{sync}");
    assert_eq!(sync.texts_in("missing", "id"), std::slice::from_ref(&gone), "{sync}");
    assert_eq!(sync.json()["adopted"].as_array().unwrap().iter().filter(|item| item["kind"] == "point").count(), 3);
    let failure = scene.program().run(args!["expire"]).failed();
    assert_eq!(failure.code, "frozen", "not clean: {failure:?}");
    scene.program().run(args!["dpmsync", "-Accept"]).done();
    let expired = scene.program().run(args!["expire"]).done();
    assert_eq!(expired["kept"].as_u64(), Some(2 + 1), "the newest two, and that of the catalog: {expired}");
    assert_same(&scene.source, &scene.recovered("latest"));
}

/// Whatever the old home does: what deletes is refused, and the alert stands.
fn assert_superseded(scene: &Scene, old: &Program) {
    let points = points_in_volume(scene);
    for arguments in [
        args!["expire"].to_vec(),
        args!["prune"].to_vec(),
        args!["source", "remove", scene.source, "--delete-points"].to_vec(),
        args!["dpmsync", "-Sync"].to_vec(),
        args!["dpmsync", "-Accept"].to_vec(),
        args!["expire"].to_vec(),
    ] {
        let outcome: Outcome = old.run(arguments);
        let failure = outcome.failed();
        assert_eq!(failure.code, "superseded", "{outcome}");
        assert!(failure.speaks_of(&["-RestoreDb"]), "{failure:?}");
    }
    assert_eq!(points_in_volume(scene), points, "the old home has deleted something");
    let alerts = old.run(args!["alerts"]).done();
    let kinds: Vec<_> = alerts["alerts"].as_array().unwrap().iter().map(|alert| alert["kind"].clone()).collect();
    assert!(kinds.contains(&"superseded".into()), "{alerts}");
}

/// The old home is copied, the server restored in the first place, and the copy comes back to life.
fn comes_back(test: &str, seed: u64, with_kit: bool) {
    let (scene, native) = with_superfluous_points(test, seed);
    let passphrase = scene.passphrase_file("correct horse battery staple");
    let kits = scene.path("kit");
    let written =
        scene.program().run(args!["recovery-kit", "write", "--to", kits, "--passphrase-file", passphrase]).done();
    let lost = scene.lose_home();
    let kit = args!["-Kit", written["file"].as_str().unwrap(), "--passphrase-file", passphrase];
    scene.restore_db_with(&native, kit.into_iter().filter(|_| with_kit)).done();
    scene.assert_syncs_clean();
    let known = scene.all_that_is_known();
    let head = fs::read(scene.pool.join("VOLUME.toml")).unwrap();

    let old = Program::new(&lost);
    assert_superseded(&scene, &old);
    assert!(fs::read(scene.pool.join("VOLUME.toml")).unwrap() == head, "the old home has taken the volume back");
    assert_eq!(scene.all_that_is_known(), known);
    // Native backups of the restored server are not pushed out by those of the old one.
    let newest = native_backup(&scene);
    old.run(args!["catalog", "backup", "--to", newest.parent().unwrap(), "--keep", "1"]).done();
    assert!(newest.exists());
    // A backup by the old home takes nothing from the restored one either.
    let backup = old.run(args!["backup"]);
    assert_eq!(backup.code() == Some(0), with_kit, "{backup}");
    assert_superseded(&scene, &old);
    scene.assert_syncs_clean();
    scene.program().run(args!["expire"]).done();
    scene.take_point();
    assert_same(&scene.source, &scene.recovered("latest"));
    assert_takes_over(&scene, &lost);
}

/// The way back to the old home, if that is what a person wants: it is restored from its own copy.
fn assert_takes_over(scene: &Scene, lost: &Path) {
    let old = Program::new(lost);
    let to = scene.path("of-old");
    old.run(args!["catalog", "backup", "--to", to]).done();
    old.run(args!["dpmsync", "-RestoreDb", "-DbLoc", to]).done();
    // Points that the other has given up meanwhile are missing, and that is accepted.
    let sync = old.run(args!["dpmsync", "-Sync"]);
    assert_eq!(sync.json()["unreachable"].as_array().map(Vec::len), Some(0), "{sync}");
    old.run(args!["dpmsync", "-Accept"]).done();
    old.run(args!["expire"]).done();
    let failure = scene.program().run(args!["expire"]).failed();
    assert_eq!(failure.code, "superseded", "now it is the other way round: {failure:?}");
}

#[test]
fn an_old_home_that_comes_back_deletes_nothing() {
    comes_back("comes_back", 262, true);
}

#[test]
fn an_old_home_whose_keys_were_replaced_deletes_nothing() {
    comes_back("comes_back_without_keys", 263, false);
}

/// The server is lost and restored this many times; then it is restored from the oldest copy of all, with no volume in reach
/// that would tell of it.
fn restored_from_a_former_life(test: &str, seed: u64, lives: u64) {
    let (scene, native) = with_superfluous_points(test, seed);
    let lost: Vec<_> = (0..lives)
        .map(|life| {
            let lost = scene.lose_home();
            scene.restore_db(&scene.pool).done();
            scene.assert_syncs_clean();
            scene.program().run(args!["group", "create", format!("Life {life}")]).done();
            lost
        })
        .collect();
    let last = scene.lose_home();
    let away = scene.path("away");
    fs::rename(&scene.pool, &away).unwrap();
    scene.restore_db(&native).done();
    fs::rename(&away, &scene.pool).unwrap();
    scene.assert_syncs_clean();
    let groups = scene.program().run(args!["group", "list"]).texts_in("groups", "name");
    assert!((0..lives).all(|life| groups.contains(&format!("Life {life}"))), "{groups:?}");
    // It is the one that a person has restored last, so it is the current one, and every other knows.
    scene.program().run(args!["expire"]).done();
    scene.take_point();
    for home in lost.iter().chain([&last]) {
        assert_superseded(&scene, &Program::new(home));
    }
    scene.lose_home();
    let restored = scene.restore_db(&scene.pool).done();
    assert_eq!(restored["restored"]["generation"], 1 + lives + 2, "{restored}");
    scene.assert_syncs_clean();
}

#[test]
fn the_catalog_that_was_restored_last_is_the_current_one_though_its_copy_was_of_a_former_life() {
    restored_from_a_former_life("former_life", 264, 1);
}

#[test]
fn the_same_after_more_than_one_life() {
    restored_from_a_former_life("former_lives", 265, 3);
}
