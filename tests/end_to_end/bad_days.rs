//! Bad days: the server is to be brought back, and what there is to bring it back from is wrong, old, damaged, foreign,
//! away, or there twice; the clock is wrong; the disk is full.

mod away;
mod clocks;
mod copies;
mod full;
mod old_home;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use resurgam_tests::{Random, Scene, args, plain_tree};

/// A server with two points of a source and a native backup between them: the scene, and the backup.
fn server(test: &str, seed: u64) -> (Scene, PathBuf) {
    let scene = Scene::new();
    let mut random = Random::for_test(test, seed);
    plain_tree::build(&scene.source, plain_tree::Size::TINY, &mut random);
    scene.take_point();
    let native = native_backup(&scene);
    plain_tree::change(&scene.source, 0.2, &mut random);
    scene.take_point();
    (scene, native)
}

/// Makes a native backup in the scene's folder `native`.
fn native_backup(scene: &Scene) -> PathBuf {
    let made = scene.program().run(args!["catalog", "backup", "--to", scene.path("native")]).done();
    PathBuf::from(made["file"].as_str().unwrap())
}

/// Every file below a directory with its bytes: what must not change. The lock and the journal say nothing.
fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = plain_tree::files_below(directory).into_iter();
    let files = files.filter(|path| !path.ends_with("lock") && !path.to_string_lossy().ends_with("-journal"));
    files.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Fails where any file below the directory has another content than `before`, is gone or is new.
#[track_caller]
fn assert_untouched(directory: &Path, before: &BTreeMap<PathBuf, Vec<u8>>, why: &str) {
    let after = contents(directory);
    let changed: Vec<_> =
        before.keys().chain(after.keys()).filter(|path| before.get(*path) != after.get(*path)).collect();
    assert!(changed.is_empty(), "{why}: {changed:?}");
}
