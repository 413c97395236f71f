//! Clocks that step by ten years, before a restore and after it. Which copy is the newest is decided by how often the
//! catalog was restored and changed, never by a time; and nothing grows old by a clock that is wrong.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use resurgam_tests::{Outcome, Part, Random, Running, Scene, args, assert_same, is_present, plain_tree};

const PARTS: &[Part] = &[Part::Tool("faketime")];
const STEPS: [&str; 2] = ["+10y", "-10y"];

/// Runs a command under a clock that is wrong by so much.
fn run_at(step: &str, scene: &Scene, arguments: impl IntoIterator<Item = OsString>) -> Outcome {
    let mut faketime = Command::new("faketime");
    faketime.args(["-f", step]);
    let mut command = scene.program().command_under(faketime, arguments);
    Running::start(&mut command).finish(Duration::from_secs(180))
}

fn scene(test: &str, seed: u64) -> Scene {
    let scene = Scene::new();
    plain_tree::build(&scene.source, plain_tree::Size::TINY, &mut Random::for_test(test, seed));
    scene
}

/// A native backup by a clock that is wrong by so much.
fn native_at(step: &str, scene: &Scene, to: &Path) -> PathBuf {
    let made = run_at(step, scene, args!["catalog", "backup", "--to", to]).done();
    PathBuf::from(made["file"].as_str().unwrap())
}

fn group(scene: &Scene, name: &str) {
    scene.program().run(args!["group", "create", name]).done();
}

fn groups(scene: &Scene) -> Vec<String> {
    scene.program().run(args!["group", "list"]).texts_in("groups", "name")
}

#[test]
fn the_newest_copy_is_the_one_that_has_seen_most_whatever_its_clock_said() {
    if !is_present("the_newest_copy_is_the_one_that_has_seen_most", PARTS) {
        return;
    }
    for (first, second) in [("+10y", "+0y"), ("+0y", "-10y"), ("+10y", "-10y")] {
        let scene = scene("clock_before", 241);
        let native = scene.path("native");
        run_at(first, &scene, args!["protect", scene.source, "--pool", scene.pool]).done();
        native_at(first, &scene, &native);
        // The clock is put right, or wrong the other way; then somebody decides something.
        run_at(second, &scene, args!["group", "create", "Later"]).done();
        let newest = native_at(second, &scene, &native);
        let names: Vec<_> = plain_tree::files_below(&native);
        assert_eq!(names.len(), 2, "no clock makes a backup superfluous: {names:?}");

        scene.lose_home();
        let restored = scene.restore_db(&native).done();
        assert_eq!(restored["restored"]["taken"]["id"], newest.to_str().unwrap(), "{first} {second}: {restored}");
        assert!(groups(&scene).contains(&"Later".to_owned()));
        scene.lose_home();
        scene.restore_db(&scene.pool).done();
        assert!(groups(&scene).contains(&"Later".to_owned()), "{first} {second}: the volume");
        scene.assert_syncs_clean();
        assert_same(&scene.source, &scene.recovered("latest"));
    }
}

#[test]
fn a_restored_catalog_goes_before_the_lost_one_whatever_the_clock_said_at_the_restore() {
    if !is_present("a_restored_catalog_goes_before_the_lost_one", PARTS) {
        return;
    }
    for step in STEPS {
        let scene = scene("clock_at_restore", 242);
        let native = scene.path("native");
        scene.take_point();
        native_at("+0y", &scene, &native);
        // The old server lives on for a while: more changes than the restored one will ever see.
        for number in 0..5 {
            group(&scene, &format!("Lost {number}"));
        }
        let of_lost = native_at("+0y", &scene, &native);
        let away = scene.path("away");
        fs::rename(&scene.pool, &away).unwrap();
        fs::rename(&of_lost, scene.path("of-lost")).unwrap();
        scene.lose_home();
        run_at(step, &scene, args!["dpmsync", "-RestoreDb", "-DbLoc", native]).done();
        fs::rename(&away, &scene.pool).unwrap();
        // The volume knows more of what people decided; and is taken on by the restored server.
        run_at(step, &scene, args!["dpmsync", "-Sync"]).done();
        assert!(groups(&scene).contains(&"Lost 4".to_owned()), "{step}");
        let newest = native_at(step, &scene, &native);
        fs::rename(scene.path("of-lost"), &of_lost).unwrap();

        scene.lose_home();
        let restored = scene.restore_db(&native).done();
        assert_eq!(restored["restored"]["taken"]["id"], newest.to_str().unwrap(), "{step}: {restored}");
        assert_eq!(restored["restored"]["generation"], 3, "{step}: {restored}");
        scene.assert_syncs_clean();
        scene.take_point();
        assert_same(&scene.source, &scene.recovered("latest"));
    }
}

/// `expire`, by a wrong clock, which must give up nothing.
#[track_caller]
fn assert_expires_nothing(step: &str, scene: &Scene) {
    let outcome = run_at(step, scene, args!["expire"]);
    let report = outcome.done();
    assert_eq!(report["expired"].as_array().map(Vec::len), Some(0), "{step}: {outcome}");
}

#[test]
fn retention_gives_up_nothing_because_of_a_clock_that_is_wrong_after_a_restore() {
    if !is_present("retention_gives_up_nothing", PARTS) {
        return;
    }
    for step in STEPS {
        let scene = scene("clock_after", 243);
        scene.program().run(args!["protect", scene.source, "--pool", scene.pool, "--keep", "14d"]).done();
        let native = scene.path("native");
        native_at("+0y", &scene, &native);
        for _ in 0..3 {
            scene.take_point();
        }
        let points = scene.points();
        assert_eq!(points.len(), 4);
        scene.lose_home();
        run_at(step, &scene, args!["dpmsync", "-RestoreDb", "-DbLoc", native]).done();
        let frozen = run_at(step, &scene, args!["expire"]).failed();
        assert_eq!(frozen.code, "frozen", "{frozen:?}");
        let sync = run_at(step, &scene, args!["dpmsync", "-Sync"]);
        assert_eq!(sync.done()["clean"], true, "{step}: {sync}");
        assert_eq!(scene.points(), points, "{step}");
        assert_expires_nothing(step, &scene);
        // A point by the wrong clock, and the clock is put right: still nothing is old.
        run_at(step, &scene, args!["backup"]).done();
        assert_expires_nothing(step, &scene);
        scene.take_point();
        assert_expires_nothing("+0y", &scene);
        assert_eq!(scene.points().len(), 6, "{step}");
        assert_same(&scene.source, &scene.recovered(&points[0].id));
        scene.assert_sound();
    }
}

#[test]
fn native_backups_by_a_wrong_clock_push_no_good_one_out() {
    if !is_present("native_backups_by_a_wrong_clock", PARTS) {
        return;
    }
    for step in STEPS {
        let scene = scene("clock_native", 244);
        let to = scene.path("native");
        scene.take_point();
        let backup = |step: &str| {
            run_at(step, &scene, args!["catalog", "backup", "--to", to, "--keep", "2", "--max-age", "7d"]).done()
        };
        backup("+0y");
        backup("+0y");
        let wrong = backup(step);
        assert!(Path::new(wrong["file"].as_str().unwrap()).exists(), "{step}");
        let last = backup("+0y");
        let last = Path::new(last["file"].as_str().unwrap());
        assert!(last.exists(), "{step}: the newest was removed at once");
        scene.lose_home();
        let restored = scene.restore_db(&to).done();
        assert_ne!(restored["restored"]["generation"], 0);
        scene.assert_syncs_clean();
    }
}
