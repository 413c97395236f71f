//! Volumes that are read-only, gone, of a newer format, or not what they say: a clear refusal, and harm to nothing.

use std::{fs, path::Path};

use resurgam_tests::{AsItWas, Part, Program, Random, Scene, args, assert_same, disk::Disk, is_present, plain_tree};

fn on_disk(test: &str) -> Option<(Disk, Scene, String)> {
    if !is_present(test, &[Part::LoopDevice]) {
        return None;
    }
    let disk = Disk::new(64, "defaults");
    let mut scene = Scene::new();
    scene.pool = disk.path().join("pool");
    plain_tree::build(&scene.source, plain_tree::Size::TINY, &mut Random::for_test(test, 141));
    let point = scene.take_point().id;
    Some((disk, scene, point))
}

#[test]
fn a_disk_that_is_not_mounted_is_missed_and_not_begun_anew() {
    let Some((disk, scene, point)) = on_disk("a_disk_that_is_not_mounted") else { return };
    disk.unmount();
    for arguments in [
        args!["protect", scene.source].to_vec(),
        args!["protect", scene.source, "--pool", scene.pool].to_vec(),
        args!["backup"].to_vec(),
        args!["verify"].to_vec(),
        args!["prune"].to_vec(),
        args!["recover", point, "--to", scene.path("to")].to_vec(),
    ] {
        let outcome = scene.program().run(arguments);
        let failure = outcome.failed();
        assert!(failure.speaks_of(&[scene.pool.to_str().unwrap()]), "{outcome}");
        assert!(failure.speaks_of(&["mount", "not there", "missing", "no resurgam volume"]), "{outcome}");
    }
    // What the catalog knows can be listed still, and is not given up.
    assert_eq!(scene.points().len(), 1);
    scene.program().run(args!["expire"]);
    assert_eq!(scene.points().len(), 1);
    assert!(fs::read_dir(disk.path()).unwrap().next().is_none(), "something was written below the empty mount point");
    disk.mount();
    assert_same(&scene.source, &scene.recovered(&point));
    scene.take_point();
    scene.assert_sound();
}

#[test]
fn a_read_only_disk_can_be_restored_from_and_not_written() {
    let Some((disk, scene, point)) = on_disk("a_read_only_disk") else { return };
    disk.remount("ro");
    assert_same(&scene.source, &scene.recovered(&point));
    assert_eq!(scene.points().len(), 1);
    for command in ["backup", "prune"] {
        let outcome = scene.program().run(args![command]);
        if command == "backup" || outcome.code() != Some(0) {
            let failure = outcome.failed();
            assert!(
                failure.speaks_of(&["read-only"]) && failure.speaks_of(&[scene.pool.to_str().unwrap()]),
                "{failure:?}"
            );
        }
    }
    scene.assert_sound();
    disk.remount("rw");
    scene.take_point();
    scene.assert_sound();
}

#[test]
fn a_new_pool_on_a_read_only_disk_is_refused_with_nothing_left_behind() {
    if !is_present("a_new_pool_on_a_read_only_disk", &[Part::LoopDevice]) {
        return;
    }
    let disk = Disk::new(16, "defaults");
    let mut scene = Scene::new();
    fs::write(scene.source.join("file"), "x").unwrap();
    scene.pool = disk.path().join("pool");
    disk.remount("ro");
    let failure = scene.protect().failed();
    assert!(failure.speaks_of(&["read-only"]) && failure.speaks_of(&[disk.path().to_str().unwrap()]), "{failure:?}");
    // The same command works once the cause is gone.
    disk.remount("rw");
    let point = scene.take_point();
    assert_same(&scene.source, &scene.recovered(&point.id));
}

#[test]
fn another_volume_in_the_place_of_ours_is_not_taken_for_it() {
    let Some((_disk, scene, point)) = on_disk("another_volume") else { return };
    // A second server's volume comes to lie where ours was.
    let other = Scene::new();
    fs::write(other.source.join("file"), "other").unwrap();
    let others_point = other.take_point();
    let ours = scene.pool.with_file_name("ours");
    fs::rename(&scene.pool, &ours).unwrap();
    plain_tree::copy(&other.pool, &scene.pool);
    let before = AsItWas::now(&scene.pool);
    for command in ["backup", "verify", "prune"] {
        let failure = scene.program().run(args![command]).failed();
        assert!(failure.speaks_of(&[scene.pool.to_str().unwrap()]), "{failure:?}");
    }
    before.assert_still();
    assert_ne!(others_point.id, point);
    fs::remove_dir_all(&scene.pool).unwrap();
    fs::rename(&ours, &scene.pool).unwrap();
    assert_same(&scene.source, &scene.recovered(&point));
    scene.take_point();
}

/// Every copy of the volume's head.
fn heads(pool: &Path) -> Vec<std::path::PathBuf> {
    plain_tree::files_below(pool).into_iter().filter(|path| path.ends_with("VOLUME.toml")).collect()
}

#[test]
fn a_volume_of_a_newer_format_is_refused_by_name_and_left_alone() {
    let Some((_disk, scene, point)) = on_disk("a_newer_format") else { return };
    let whole = scene.path("whole");
    plain_tree::copy(&scene.pool, &whole);
    for head in heads(&scene.pool) {
        let text = fs::read_to_string(&head).unwrap();
        assert!(text.contains("format = 1\n"), "{text}");
        fs::write(head, text.replace("format = 1\n", "format = 7\n")).unwrap();
    }
    let before = AsItWas::now(&scene.pool);
    let reader = Program::new(scene.path("no-home"));
    for outcome in [
        scene.program().run(args!["backup"]),
        scene.program().run(args!["prune"]),
        scene.program().run(args!["verify"]),
        scene.recover(&point, &scene.path("to")),
        reader.run(args!["reader", "points", scene.pool]),
    ] {
        let failure = outcome.failed();
        assert!(failure.speaks_of(&["format 7"]) && failure.speaks_of(&["newer"]), "{outcome}");
        assert!(failure.speaks_of(&[scene.pool.to_str().unwrap()]), "{outcome}");
    }
    before.assert_still();
    fs::remove_dir_all(&scene.pool).unwrap();
    plain_tree::copy(&whole, &scene.pool);
    scene.take_point();
    scene.assert_sound();
}

#[test]
fn a_head_that_is_lost_or_garbage_is_named_and_never_made_anew() {
    let Some((_disk, scene, point)) = on_disk("a_lost_head") else { return };
    let whole = scene.path("whole");
    plain_tree::copy(&scene.pool, &whole);
    type Harm = fn(&Path);
    let damages: [(&str, Harm); 4] = [
        ("empty", |head| fs::write(head, "").unwrap()),
        ("gone", |head| fs::remove_file(head).unwrap()),
        ("garbage", |head| fs::write(head, Random::new(3).bytes(1000)).unwrap()),
        ("changed", |head| {
            let text = fs::read_to_string(head).unwrap();
            fs::write(head, text.replace("server_name = \"", "server_name = \"not-")).unwrap();
        }),
    ];
    for (what, damage) in damages {
        heads(&scene.pool).iter().for_each(|head| damage(head));
        let before = AsItWas::now(&scene.pool);
        let reader = Program::new(scene.path("no-home"));
        for outcome in [
            scene.program().run(args!["backup"]),
            scene.program().run(args!["protect", scene.source, "--pool", scene.pool]),
            scene.program().run(args!["prune"]),
            reader.run(args!["reader", "points", scene.pool]),
        ] {
            let failure = outcome.failed();
            assert!(failure.speaks_of(&[scene.pool.to_str().unwrap()]), "{what}: {outcome}");
        }
        before.assert_still();
        fs::remove_dir_all(&scene.pool).unwrap();
        plain_tree::copy(&whole, &scene.pool);
    }
    // One copy of the head is enough, and verify says that the other is damaged.
    let copies = heads(&scene.pool);
    if copies.len() > 1 {
        fs::write(scene.pool.join("VOLUME.toml"), "").unwrap();
        assert_same(&scene.source, &scene.recovered(&point));
        assert!(scene.verify().stdout().contains("VOLUME.toml"));
    }
}
