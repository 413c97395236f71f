//! Bringing back parts of a point, over what is there, and never outside of the target.

use std::{fs, os::unix::fs::symlink, path::Path};

use resurgam_tests::{Point, Random, Scene, args, assert_same, plain_tree};

fn protected() -> (Scene, Point) {
    let scene = Scene::new();
    plain_tree::build(&scene.source, plain_tree::Size::TINY, &mut Random::for_test("recover", 11));
    fs::create_dir_all(scene.source.join("a/b")).unwrap();
    fs::write(scene.source.join("a/b/wanted"), "wanted").unwrap();
    fs::write(scene.source.join("a/other"), "other").unwrap();
    let point = scene.take_point();
    (scene, point)
}

#[test]
fn single_paths_come_back_below_their_own_names() {
    let (scene, point) = protected();
    let to = scene.path("to");
    let outcome = scene.program().run(args!["recover", point.id, "a/b", "second-name", "--to", to]);
    outcome.done();
    assert_eq!(fs::read_to_string(to.join("a/b/wanted")).unwrap(), "wanted");
    assert!(to.join("second-name").is_file() && !to.join("a/other").exists());
    assert_same(&scene.source.join("a/b"), &to.join("a/b"));
    let names: Vec<_> = fs::read_dir(&to).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn what_the_point_does_not_hold_is_an_error_with_its_name() {
    let (scene, point) = protected();
    let to = scene.path("to");
    let failure = scene.program().run(args!["recover", point.id, "a/never", "--to", to]).failed();
    assert!(failure.speaks_of(&["a/never"]), "{failure:?}");
    let failure = scene.program().run(args!["recover", point.id, "../outside", "--to", to]).failed();
    assert!(failure.speaks_of(&[".."]), "{failure:?}");
    assert!(!scene.path("outside").exists());
}

#[test]
fn files_that_are_there_are_not_harmed_unasked() {
    let (scene, point) = protected();
    let to = scene.path("to");
    fs::create_dir_all(to.join("a/b")).unwrap();
    fs::write(to.join("a/b/wanted"), "mine").unwrap();
    let failure = scene.recover(&point.id, &to).failed();
    assert!(failure.speaks_of(&["--conflict"]), "{failure:?}");
    assert_eq!(fs::read_to_string(to.join("a/b/wanted")).unwrap(), "mine");
}

#[test]
fn conflicts_are_settled_as_asked() {
    let (scene, point) = protected();
    let recover = |to: &Path, how: &str| {
        scene.program().run(args!["recover", point.id, "--to", to, "--conflict", how]).done();
    };
    let prepare = |name: &str| {
        let to = scene.path(name);
        fs::create_dir_all(to.join("a/b")).unwrap();
        fs::write(to.join("a/b/wanted"), "mine").unwrap();
        fs::write(to.join("a/unrelated"), "unrelated").unwrap();
        to
    };
    let read = |path: &Path| fs::read_to_string(path).unwrap();

    let to = prepare("skip");
    recover(&to, "skip");
    assert_eq!((read(&to.join("a/b/wanted")).as_str(), read(&to.join("a/other")).as_str()), ("mine", "other"));

    let to = prepare("overwrite");
    recover(&to, "overwrite");
    assert_eq!(
        (read(&to.join("a/b/wanted")).as_str(), read(&to.join("a/unrelated")).as_str()),
        ("wanted", "unrelated")
    );

    let to = prepare("copy");
    recover(&to, "copy");
    assert_eq!((read(&to.join("a/b/wanted")).as_str(), read(&to.join("a/unrelated")).as_str()), ("mine", "unrelated"));
    let copies: Vec<String> = fs::read_dir(to.join("a/b"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with("wanted"))
        .map(|path| read(&path))
        .collect();
    assert_eq!(copies, ["wanted"], "the restored file stands beside");
}

#[test]
fn the_original_place_is_restored() {
    let (scene, point) = protected();
    let copy = scene.path("copy");
    plain_tree::copy(&scene.source, &copy);
    fs::remove_dir_all(&scene.source).unwrap();
    scene.program().run(args!["recover", point.id, "--original"]).done();
    assert_same(&copy, &scene.source);

    // One path of it, lost by accident, while the rest goes on.
    fs::write(scene.source.join("a/other"), "newer").unwrap();
    fs::remove_dir_all(scene.source.join("a/b")).unwrap();
    scene.program().run(args!["recover", point.id, "a/b", "--original"]).done();
    assert_eq!(fs::read_to_string(scene.source.join("a/b/wanted")).unwrap(), "wanted");
    assert_eq!(fs::read_to_string(scene.source.join("a/other")).unwrap(), "newer");
}

#[test]
fn no_symlink_leads_out_of_the_target() {
    let (scene, point) = protected();
    let elsewhere = scene.path("elsewhere");
    for how in ["overwrite", "skip", "copy"] {
        let to = scene.path(&format!("to-{how}"));
        fs::create_dir_all(&to).unwrap();
        fs::create_dir_all(elsewhere.join("b")).unwrap();
        fs::write(elsewhere.join("victim"), "victim").unwrap();
        // A directory of the point is a link here, and a file of the point is a link to somebody's file.
        symlink(&elsewhere, to.join("a")).unwrap();
        symlink(elsewhere.join("victim"), to.join("second-name")).unwrap();
        let outcome = scene.program().run(args!["recover", point.id, "--to", to, "--conflict", how]);
        assert!(matches!(outcome.code(), Some(0 | 1 | 3)), "{outcome}");
        assert_eq!(fs::read_to_string(elsewhere.join("victim")).unwrap(), "victim", "{how}: {outcome}");
        assert!(fs::read_dir(elsewhere.join("b")).unwrap().next().is_none(), "{how}: {outcome}");
        assert!(!elsewhere.join("other").exists(), "{how}: {outcome}");
    }
}

#[test]
fn the_target_itself_may_be_reached_by_a_symlink() {
    let (scene, point) = protected();
    fs::create_dir(scene.path("real")).unwrap();
    symlink(scene.path("real"), scene.path("by-link")).unwrap();
    scene.recover(&point.id, &scene.path("by-link")).done();
    assert_eq!(fs::read_to_string(scene.path("real/a/b/wanted")).unwrap(), "wanted");
}

#[test]
fn what_was_left_out_was_left_out() {
    let (scene, _) = protected();
    let other = scene.path("other-source");
    for dir in ["keep", "cache", "deep/node_modules"] {
        fs::create_dir_all(other.join(dir)).unwrap();
        fs::write(other.join(dir).join("file.txt"), dir).unwrap();
        fs::write(other.join(dir).join("file.tmp"), dir).unwrap();
    }
    fs::write(other.join("cache/CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc55\n").unwrap();
    let outcome = scene.program().run(args![
        "protect",
        other,
        "--pool",
        scene.pool,
        "--exclude",
        "*.tmp",
        "--exclude",
        "deep/node_modules"
    ]);
    outcome.done();
    let to = scene.recovered(&outcome.point().id);
    assert!(to.join("keep/file.txt").is_file());
    assert!(!to.join("keep/file.tmp").exists() && !to.join("deep/node_modules").exists());
    assert!(to.join("cache/CACHEDIR.TAG").is_file() && to.join("cache/file.txt").is_file());
    scene.program().run(args!["source", "set", other, "--exclude-caches"]).done();
    let next = scene.program().run(args!["backup", "--source", other]);
    let to = scene.recovered(&next.point().id);
    assert!(to.join("cache/CACHEDIR.TAG").is_file() && !to.join("cache/file.txt").exists());
}

#[test]
fn two_paths_make_two_sources() {
    let (scene, first) = protected();
    let other = scene.path("other-source");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("file"), "other").unwrap();
    let outcome = scene.program().run(args!["protect", scene.source, other, "--pool", scene.pool]);
    outcome.done();
    let points = outcome.points();
    assert_eq!(points.len(), 2, "{outcome}");
    assert_eq!(points.iter().filter(|point| point.source_id == first.source_id).count(), 1);
    // `latest` alone could now mean either.
    let failure = scene.recover("latest", &scene.path("to")).failed();
    assert!(failure.speaks_of(&["--source"]), "{failure:?}");
    let named = scene.program().run(args!["recover", "latest", "--source", other, "--to", scene.path("to")]);
    named.done();
    assert_same(&other, &scene.path("to"));
}
