//! The disk fills in the middle of a restore.

use std::fs;

use resurgam_tests::{
    Part, Random, Scene, args, assert_same, disk::Disk, is_present, losing::integrity_of, plain_tree,
};

use super::native_backup;

/// Bytes that are left on the disk when restoring begins: from nothing to enough.
const ROOM: [usize; 7] = [0, 8 << 10, 40 << 10, 100 << 10, 160 << 10, 240 << 10, 400 << 10];

/// Fills the disk but for so many bytes.
fn fill_but(disk: &Disk, bytes: usize) {
    let ballast = disk.path().join("ballast");
    fs::write(&ballast, vec![0xA5; bytes]).unwrap();
    fs::File::open(&ballast).unwrap().sync_all().unwrap();
    disk.fill();
    fs::remove_file(&ballast).unwrap();
}

fn debris(scene: &Scene) -> usize {
    let files = if scene.home.exists() { plain_tree::files_below(&scene.home) } else { Vec::new() };
    files.iter().filter(|path| path.file_name().unwrap().as_encoded_bytes().starts_with(b".")).count()
}

fn with_home(test: &str, seed: u64, is_home_there: bool) {
    if !is_present(test, &[Part::LoopDevice]) {
        return;
    }
    let disk = Disk::new(32, "defaults");
    let mut scene = Scene::new();
    scene.home = disk.path().join("home");
    plain_tree::build(&scene.source, plain_tree::Size::TINY, &mut Random::for_test(test, seed));
    let first = scene.take_point();
    let native = native_backup(&scene);
    let second = scene.take_point();
    let lost = scene.path("lost");
    if !is_home_there {
        plain_tree::copy(&scene.home, &lost);
        fs::remove_dir_all(&scene.home).unwrap();
    }
    let mut failed = 0;
    for room in ROOM {
        let old = fs::read(scene.catalog()).ok();
        fill_but(&disk, room);
        let outcome = scene.restore_db(&native);
        if outcome.code() == Some(0) {
            disk.release();
            break;
        }
        failed += 1;
        let failure = outcome.failed();
        assert!(failure.speaks_of(&["space", "full"]), "{room} bytes left: {failure:?}");
        assert!(failure.message.len() < 500, "{failure:?}");
        assert!(fs::read(scene.catalog()).ok() == old, "{room} bytes left: the old catalog is not in its place");
        assert_eq!(debris(&scene), 0, "{room} bytes left: something half made is there");
        if is_home_there {
            // The old server is as it was, on the disk that is still full.
            let points: Vec<String> = scene.points().into_iter().map(|point| point.id).collect();
            assert_eq!(points, [first.id.clone(), second.id.clone()]);
        }
        disk.release();
    }
    assert!(failed >= 3, "only {failed} restores ran out of room");
    scene.restore_db(&native).done();
    assert_eq!(integrity_of(&scene.catalog()), "ok");
    scene.assert_syncs_clean();
    assert_eq!(scene.points(), [first, second]);
    assert_same(&scene.source, &scene.recovered("latest"));
    scene.program().run(args!["backup"]).done();
}

#[test]
fn a_restore_beside_the_old_catalog_fails_clearly_and_works_once_there_is_room() {
    with_home("a_restore_beside_the_old_catalog", 251, true);
}

#[test]
fn a_restore_into_nothing_fails_clearly_and_works_once_there_is_room() {
    with_home("a_restore_into_nothing", 252, false);
}
