//! Everything at once on one volume: all succeed or wait, and every point verifies.

use std::{fs, path::PathBuf, time::Duration};

use resurgam_tests::{Outcome, Random, Scene, args, assert_same, parts::count_from, plain_tree};

const LIMIT: Duration = Duration::from_secs(240);

#[test]
fn all_commands_at_once_succeed_and_every_point_verifies() {
    let scene = Scene::new();
    let mut random = Random::for_test("together", 91);
    let sources = [scene.source.clone(), scene.path("second")];
    fs::create_dir(&sources[1]).unwrap();
    let mut points: Vec<(String, PathBuf)> = Vec::new();
    for (number, source) in sources.iter().enumerate() {
        plain_tree::build(source, plain_tree::Size::SMALL, &mut random);
        let outcome = scene.program().run(args!["protect", source, "--pool", scene.pool]);
        outcome.done();
        let copy = scene.path(&format!("first-copy-{number}"));
        plain_tree::copy(source, &copy);
        points.push((outcome.point().id, copy));
        scene.program().run(args!["source", "set", source, "--keep-last", "3"]).done();
    }
    for round in 0..count_from("RESURGAM_ROUNDS", 4) {
        let copies: Vec<PathBuf> = (0..2).map(|number| scene.path(&format!("copy-{round}-{number}"))).collect();
        for (source, copy) in sources.iter().zip(&copies) {
            plain_tree::change(source, 0.1, &mut random);
            plain_tree::copy(source, copy);
        }
        let newest = points.last().unwrap().clone();
        let to = scene.path(&format!("to-{round}"));
        let program = scene.program();
        let running = [
            program.start(args!["protect", sources[0], "--pool", scene.pool]),
            program.start(args!["backup", "--source", sources[1]]),
            program.start(args!["recover", newest.0, "--to", to]),
            program.start(args!["verify", "--read-data"]),
            program.start(args!["expire"]),
            program.start(args!["prune"]),
        ];
        let outcomes: Vec<Outcome> = running.into_iter().map(|running| running.finish(LIMIT)).collect();
        for outcome in &outcomes {
            outcome.done();
        }
        assert_same(&newest.1, &to);
        for (outcome, copy) in outcomes[..2].iter().zip(copies) {
            points.push((outcome.point().id, copy));
        }
        assert_eq!(outcomes[3].json()["damage"], serde_json::json!([]), "{}", outcomes[3]);
        scene.assert_sound();
    }
    let listed: Vec<String> = scene.points().into_iter().map(|point| point.id).collect();
    let kept: Vec<_> = points.iter().filter(|(id, _)| listed.contains(id)).collect();
    assert_eq!(kept.len(), listed.len(), "points that nobody made: {listed:?}");
    assert!(kept.len() >= 6, "{listed:?}");
    for (id, copy) in kept {
        assert_same(copy, &scene.recovered(id));
    }
}

#[test]
fn two_backups_of_one_source_wait_or_say_so() {
    let scene = Scene::new();
    plain_tree::build(&scene.source, plain_tree::Size::MEDIUM, &mut Random::for_test("two_backups", 92));
    scene.take_point();
    let program = scene.program();
    for _ in 0..3 {
        let running: Vec<_> = (0..3).map(|_| program.start(args!["backup", "--source", scene.source])).collect();
        let outcomes: Vec<Outcome> = running.into_iter().map(|running| running.finish(LIMIT)).collect();
        assert!(outcomes.iter().any(|outcome| outcome.code() == Some(0)), "none succeeded: {}", outcomes[0]);
        for outcome in outcomes.iter().filter(|outcome| outcome.code() != Some(0)) {
            let failure = outcome.failed();
            assert!(failure.speaks_of(&[scene.source.to_str().unwrap()]), "{failure:?}");
            assert!(failure.speaks_of(&["already", "running", "under way", "another"]), "{failure:?}");
        }
    }
    for point in scene.points() {
        assert_same(&scene.source, &scene.recovered(&point.id));
    }
    scene.assert_sound();
}

#[test]
fn many_first_commands_at_once_make_one_server() {
    let scene = Scene::new();
    let mut random = Random::for_test("many_first", 93);
    let sources: Vec<PathBuf> = (0..4).map(|number| scene.path(&format!("source-{number}"))).collect();
    for source in &sources {
        fs::create_dir(source).unwrap();
        plain_tree::build(source, plain_tree::Size::TINY, &mut random);
    }
    let program = scene.program();
    let running: Vec<_> =
        sources.iter().map(|source| program.start(args!["protect", source, "--pool", scene.pool])).collect();
    for (running, source) in running.into_iter().zip(&sources) {
        let outcome = running.finish(LIMIT);
        outcome.done();
        assert_same(source, &scene.recovered(&outcome.point().id));
    }
    let points = scene.points();
    assert_eq!(points.len(), 4);
    assert!(points.iter().all(|point| point.volume == points[0].volume), "{points:?}");
    scene.assert_sound();
}
