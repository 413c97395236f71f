//! The server can be lost: one volume is enough, read by `reader` with no home and no catalog.

use std::fs;

use resurgam_tests::{
    AsItWas, Part, Point, Program, Random, Scene, args, assert_same, disk::Disk, is_present, plain_tree,
};

/// Two points of one source and one of another, and what each must give back.
fn two_sources() -> (Scene, Vec<(Point, std::path::PathBuf)>) {
    let scene = Scene::new();
    let mut random = Random::for_test("without_home", 41);
    plain_tree::build(&scene.source, plain_tree::Size::SMALL, &mut random);
    let mut kept = Vec::new();
    for round in 0..2 {
        plain_tree::change(&scene.source, 0.1, &mut random);
        let copy = scene.path(&format!("copy-{round}"));
        plain_tree::copy(&scene.source, &copy);
        kept.push((scene.take_point(), copy));
    }
    let other = scene.path("other");
    fs::create_dir(&other).unwrap();
    plain_tree::build(&other, plain_tree::Size::TINY, &mut random);
    let outcome = scene.program().run(args!["protect", other, "--pool", scene.pool]);
    outcome.done();
    kept.push((outcome.point(), other));
    (scene, kept)
}

/// The program with a home that never was, and must not come to be.
fn stranger(scene: &Scene) -> Program {
    Program::new(scene.path("no-home"))
}

#[test]
fn a_volume_alone_gives_everything_back() {
    let (scene, kept) = two_sources();
    fs::remove_dir_all(&scene.home).unwrap();
    let reader = stranger(&scene);
    let listed = reader.run(args!["reader", "points", scene.pool]);
    listed.done();
    let points = listed.points();
    assert_eq!(points.len(), 3, "{listed}");
    for (point, copy) in &kept {
        let found =
            points.iter().find(|p| p.id == point.id).unwrap_or_else(|| panic!("{} is missing: {listed}", point.id));
        assert_eq!(
            (&found.source, &found.time, found.files, found.bytes),
            (&point.source, &point.time, point.files, point.bytes)
        );
        let to = scene.path(&format!("to-{}", point.id));
        let outcome = reader.run(args!["reader", "recover", scene.pool, point.id, "--to", to]);
        outcome.done();
        assert_same(copy, &to);
    }
    let ls = reader.run(args!["reader", "ls", scene.pool, kept[0].0.id, "--recursive"]);
    ls.done();
    assert!(ls.stdout().contains("second-name"), "{ls}");
    let part = scene.path("part");
    reader.run(args!["reader", "recover", scene.pool, kept[0].0.id, "dir-0000", "--to", part]).done();
    assert_same(&kept[0].1.join("dir-0000"), &part.join("dir-0000"));
    assert!(!scene.path("no-home").exists(), "the reader needs no home and makes none");
}

#[test]
fn a_volume_moved_elsewhere_on_a_read_only_disk_is_read() {
    if !is_present("a_volume_moved_elsewhere_on_a_read_only_disk_is_read", &[Part::LoopDevice]) {
        return;
    }
    let (scene, kept) = two_sources();
    let disk = Disk::new(128, "defaults");
    let moved = disk.path().join("moved");
    plain_tree::copy(&scene.pool, &moved);
    disk.remount("ro");
    fs::remove_dir_all(&scene.home).unwrap();
    fs::remove_dir_all(&scene.pool).unwrap();
    let reader = stranger(&scene);
    assert_eq!(reader.run(args!["reader", "points", moved]).points().len(), 3);
    for (point, copy) in &kept {
        let to = scene.path(&format!("to-{}", point.id));
        reader.run(args!["reader", "recover", moved, point.id, "--to", to]).done();
        assert_same(copy, &to);
    }
}

#[test]
fn reading_changes_nothing_in_the_volume() {
    let (scene, kept) = two_sources();
    let before = AsItWas::now(&scene.pool);
    let reader = stranger(&scene);
    reader.run(args!["reader", "points", scene.pool]).done();
    reader.run(args!["reader", "recover", scene.pool, kept[2].0.id, "--to", scene.path("to")]).done();
    before.assert_still();
}

#[test]
fn a_new_home_does_not_take_over_another_servers_volume() {
    let (scene, kept) = two_sources();
    let before = AsItWas::now(&scene.pool);
    let failure = stranger(&scene).run(args!["protect", scene.source, "--pool", scene.pool]).failed();
    assert!(failure.speaks_of(&["another server", "other server"]), "{failure:?}");
    assert!(failure.speaks_of(&[scene.pool.to_str().unwrap()]), "{failure:?}");
    before.assert_still();
    assert_same(&kept[0].1, &scene.recovered(&kept[0].0.id));
}

#[test]
fn the_volume_says_in_plain_text_what_it_is() {
    let (scene, kept) = two_sources();
    let text = fs::read_to_string(scene.pool.join("VOLUME.toml")).unwrap();
    assert!(text.contains(&kept[0].0.volume), "{text}");
    for word in ["reader", "passphrase"] {
        assert!(text.contains(word), "VOLUME.toml does not speak of `{word}`:\n{text}");
    }
    // Each replica is named by its source, and each of its points is there by its own id.
    for (point, _) in &kept {
        let files = plain_tree::files_below(&scene.pool.join("replicas"));
        let file = files.iter().find(|path| path.file_name().is_some_and(|name| name == point.id.as_str()));
        let file = file.unwrap_or_else(|| panic!("no file for {}: {files:?}", point.id));
        let replica = fs::read_to_string(file.with_file_name("REPLICA.toml")).unwrap();
        assert!(replica.contains(&point.source), "{replica}");
    }
}
