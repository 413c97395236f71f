//! A backup costs what changed.

use std::{
    fs,
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
    time::{Duration, SystemTime},
};

use resurgam_tests::{Random, Scene, assert_same, plain_tree, watch::ReadWatch};

/// What a point with nothing new may add.
const NOTHING_MAX: u64 = 200_000;

/// Waits until nothing in the tree changed within the last moments, so that its times prove that nothing changed since:
/// the kernel's clock for files ticks coarsely, and a file written in the same tick as it was read must be read again.
fn settle(root: &Path) {
    let newest = plain_tree::files_below(root)
        .iter()
        .map(|path| fs::symlink_metadata(path).unwrap())
        .map(|metadata| metadata.ctime())
        .max()
        .unwrap();
    let settled = SystemTime::UNIX_EPOCH + Duration::from_secs(newest.unsigned_abs() + 3);
    while let Ok(left) = settled.duration_since(SystemTime::now()) {
        std::thread::sleep(left);
    }
}

#[test]
fn nothing_changed_reads_nothing_and_adds_next_to_nothing() {
    let scene = Scene::new();
    plain_tree::build(&scene.source, plain_tree::Size::MEDIUM, &mut Random::for_test("nothing_changed", 31));
    settle(&scene.source);
    let first = scene.take_point();
    let before = scene.stored_bytes();
    let watch = ReadWatch::new(&scene.source);
    let second = scene.take_point();
    let read = watch.files_read();
    assert!(read.is_empty(), "{} files were read, such as {:?}", read.len(), read.iter().next());
    let grown = scene.stored_bytes() - before;
    assert!(grown < NOTHING_MAX && second.added_bytes < NOTHING_MAX, "grown by {grown}, said {}", second.added_bytes);
    assert_eq!((second.files, second.bytes), (first.files, first.bytes));
    assert_same(&scene.source, &scene.recovered(&second.id));
}

#[test]
fn one_percent_changed_adds_about_that() {
    let scene = Scene::new();
    let mut random = Random::for_test("one_percent", 32);
    plain_tree::build(&scene.source, plain_tree::Size::MEDIUM, &mut random);
    scene.take_point();
    let before = scene.stored_bytes();
    let changes = plain_tree::change(&scene.source, 0.01, &mut random);
    let second = scene.take_point();
    let grown = scene.stored_bytes() - before;
    let allowed = changes.bytes + changes.bytes / 4 + NOTHING_MAX;
    assert!(grown <= allowed, "grown by {grown} after {changes:?}");
    assert!(second.added_bytes.abs_diff(grown) <= grown / 10 + 50_000, "grown by {grown}, said {}", second.added_bytes);
    assert_same(&scene.source, &scene.recovered(&second.id));
}

#[test]
fn an_insertion_into_a_large_file_adds_a_few_chunks() {
    let scene = Scene::new();
    let mut random = Random::for_test("insertion", 33);
    let path = scene.source.join("large");
    let bytes = random.bytes(40 << 20);
    fs::write(&path, &bytes).unwrap();
    scene.take_point();
    let before = scene.stored_bytes();
    let middle = bytes.len() / 2;
    fs::write(&path, [&bytes[..middle], b"eleven more", &bytes[middle..]].concat()).unwrap();
    let second = scene.take_point();
    let grown = scene.stored_bytes() - before;
    assert!(grown < 10 << 20, "grown by {grown}");
    assert_same(&scene.source, &scene.recovered(&second.id));
}

#[test]
fn the_same_content_is_stored_once() {
    let scene = Scene::new();
    let mut random = Random::for_test("same_content", 34);
    let bytes = random.bytes(6 << 20);
    for number in 0..5 {
        fs::write(scene.source.join(format!("copy-{number}")), &bytes).unwrap();
    }
    let point = scene.take_point();
    assert!(scene.stored_bytes() < 8 << 20, "{point:?}");
    // Renaming everything is no new content.
    let before = scene.stored_bytes();
    fs::rename(scene.source.join("copy-0"), scene.source.join("other-name")).unwrap();
    scene.take_point();
    assert!(scene.stored_bytes() - before < NOTHING_MAX);
}

#[test]
fn a_change_that_hides_its_time_is_found() {
    let scene = Scene::new();
    let path = scene.source.join("file");
    let content = Random::for_test("hidden_change", 35).bytes(100_000);
    fs::write(&path, &content).unwrap();
    let first = scene.take_point();
    // Written, and its modification time put back: only the inode's own time of change tells.
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.write_all_at(b"changed", 50_000).unwrap();
    file.set_modified(time).unwrap();
    drop(file);
    let second = scene.take_point();
    assert_same(&scene.source, &scene.recovered(&second.id));
    assert_eq!(fs::read(scene.recovered(&first.id).join("file")).unwrap(), content);
}

#[test]
fn changes_in_the_same_moment_are_found() {
    // Each file is written right before and right after a backup begins: within one tick of the kernel's clock, where
    // times alone cannot tell. Nothing may rely on them there.
    let scene = Scene::new();
    let mut random = Random::for_test("same_moment", 36);
    let path = scene.source.join("file");
    for round in 0..8 {
        fs::write(&path, random.bytes(5000)).unwrap();
        let point = scene.take_point();
        let copy = scene.path(&format!("copy-{round}"));
        plain_tree::copy(&scene.source, &copy);
        // The same length, at once.
        fs::write(&path, random.bytes(5000)).unwrap();
        let next = scene.take_point();
        assert_same(&copy, &scene.recovered(&point.id));
        assert_same(&scene.source, &scene.recovered(&next.id));
    }
}
