//! What a policy gives up, and what it never does.

use std::{fs, path::PathBuf};

use resurgam_tests::{Point, Program, Random, Scene, args, assert_same, plain_tree};

/// So many points, each with two megabytes that only it has.
fn with_points(seed: u64, count: usize) -> (Scene, Vec<(Point, PathBuf)>) {
    let scene = Scene::new();
    let mut random = Random::for_test("retention", seed);
    plain_tree::build(&scene.source, plain_tree::Size::TINY, &mut random);
    let points = (0..count)
        .map(|round| {
            let only = random.bytes(2 << 20);
            fs::write(scene.source.join("only-now"), only).unwrap();
            let copy = scene.path(&format!("copy-{round}"));
            plain_tree::copy(&scene.source, &copy);
            (scene.take_point(), copy)
        })
        .collect();
    (scene, points)
}

fn ids(points: &[Point]) -> Vec<&str> {
    points.iter().map(|point| point.id.as_str()).collect()
}

#[test]
fn expired_points_go_their_space_is_freed_and_the_rest_restores() {
    let (scene, points) = with_points(101, 6);
    let program = scene.program();
    program.run(args!["source", "set", scene.source, "--keep-last", "2"]).done();
    let dry = program.run(args!["expire", "--dry-run"]).done();
    assert_eq!(dry["expired"].as_array().map(Vec::len), Some(4), "{dry}");
    assert_eq!(scene.points().len(), 6, "a dry run changes nothing");

    let real = program.run(args!["expire"]).done();
    let expired: Vec<&str> = real["expired"].as_array().unwrap().iter().map(|p| p["id"].as_str().unwrap()).collect();
    let mut expected: Vec<&str> = points[..4].iter().map(|(point, _)| point.id.as_str()).collect();
    expected.sort_unstable();
    let mut sorted = expired.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, expected);
    assert_eq!(ids(&scene.points()), [&points[4].0.id, &points[5].0.id]);
    let failure = scene.recover(&points[0].0.id, &scene.path("gone")).failed();
    assert!(failure.speaks_of(&[&points[0].0.id]), "{failure:?}");

    let before = scene.stored_bytes();
    program.run(args!["prune", "--dry-run"]).done();
    assert_eq!(scene.stored_bytes(), before, "a dry run deletes nothing");
    // Two phases: what the first condemns, a later one deletes.
    for _ in 0..2 {
        program.run(args!["prune"]).done();
    }
    let freed = before.saturating_sub(scene.stored_bytes());
    assert!(freed > 7_500_000, "freed only {freed} of {before}");
    for (point, copy) in &points[4..] {
        assert_same(copy, &scene.recovered(&point.id));
    }
    scene.assert_sound();
    // Nothing more to do, and the volume still takes points.
    program.run(args!["expire"]).done();
    program.run(args!["prune"]).done();
    let next = scene.take_point();
    assert_same(&scene.source, &scene.recovered(&next.id));
    // A reader without the server sees the same.
    let listed = Program::new(scene.path("no-home")).run(args!["reader", "points", scene.pool]).points();
    assert_eq!(ids(&listed), ids(&scene.points()));
}

#[test]
fn without_a_rule_nothing_expires() {
    let (scene, points) = with_points(102, 3);
    let outcome = scene.program().run(args!["expire"]).done();
    assert_eq!(outcome["expired"], serde_json::json!([]), "{outcome}");
    scene.program().run(args!["prune"]).done();
    for (point, copy) in &points {
        assert_same(copy, &scene.recovered(&point.id));
    }
}

#[test]
fn a_policy_that_keeps_nothing_is_refused() {
    let (scene, _) = with_points(103, 1);
    for rule in [["--keep", "0d"], ["--keep-last", "0"]] {
        let set = scene.program().run(args!["source", "set", scene.source, rule[0], rule[1]]);
        let failure = set.failed();
        assert!(failure.speaks_of(&["keep"]), "{failure:?}");
        let protect = scene.program().run(args!["protect", scene.path("home"), "--pool", scene.pool, rule[0], rule[1]]);
        protect.failed();
    }
    assert_eq!(scene.points().len(), 1);
}

#[test]
fn the_last_good_point_stays_whatever_the_rule() {
    let (scene, points) = with_points(104, 3);
    let program = scene.program();
    // All points are older than a second by the time that the clock says so.
    program.run(args!["source", "set", scene.source, "--keep", "1s"]).done();
    let newest = fs::metadata(&scene.home).unwrap().modified().unwrap();
    while newest.elapsed().is_ok_and(|elapsed| elapsed.as_secs() < 2) {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    for _ in 0..2 {
        program.run(args!["expire"]).done();
        program.run(args!["prune"]).done();
    }
    let left = scene.points();
    assert!(!left.is_empty(), "the last good point is gone");
    let (point, copy) = points.last().unwrap();
    assert_eq!(left.last().unwrap().id, point.id);
    assert_same(copy, &scene.recovered(&point.id));
}

#[test]
fn a_removed_source_keeps_its_points() {
    let (scene, points) = with_points(105, 2);
    scene.program().run(args!["source", "remove", scene.source]).done();
    scene.program().run(args!["expire"]).done();
    scene.program().run(args!["prune"]).done();
    let reader = Program::new(scene.path("no-home"));
    for (point, copy) in &points {
        let to = scene.path(&format!("to-{}", point.id));
        reader.run(args!["reader", "recover", scene.pool, point.id, "--to", to]).done();
        assert_same(copy, &to);
    }
}
