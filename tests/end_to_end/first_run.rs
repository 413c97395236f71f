//! The first minutes with the program: nothing but a directory to protect, and the documents that programs rely on.

use std::fs;

use resurgam_tests::{Program, Random, Scene, args, assert_same, plain_tree};

fn scene(seed: u64) -> (Scene, Random) {
    let scene = Scene::new();
    let mut random = Random::for_test("first_run", seed);
    plain_tree::build(&scene.source, plain_tree::Size::TINY, &mut random);
    (scene, random)
}

#[test]
fn one_command_protects_and_another_brings_back() {
    let (scene, mut random) = scene(1);
    // No pool named, no home made: what the program takes by itself.
    let first = scene.program().run(args!["protect", scene.source]);
    first.done();
    let point = first.point();
    assert_eq!((point.state.as_str(), point.source.as_str()), ("complete", scene.source.to_str().unwrap()));
    assert_eq!(first.json()["unread"], serde_json::json!([]));
    assert_same(&scene.source, &scene.recovered(&point.id));

    // Protecting it again takes the next point, in the same place.
    let before = scene.path("before");
    plain_tree::copy(&scene.source, &before);
    plain_tree::change(&scene.source, 0.1, &mut random);
    let second = scene.program().run(args!["protect", scene.source]);
    second.done();
    let next = second.point();
    assert_eq!((&next.source_id, &next.volume), (&point.source_id, &point.volume));
    assert_ne!(next.id, point.id);
    assert!(next.time >= point.time);

    let points = scene.points();
    assert_eq!(points.iter().map(|p| &p.id).collect::<Vec<_>>(), [&point.id, &next.id], "the newest is last");
    assert_eq!(points[0], point);
    assert_same(&before, &scene.recovered(&point.id));
    assert_same(&scene.source, &scene.recovered("latest"));
    // A shortened id is looked for among all points, those of the server's own catalog included.
    let all = scene.program().run(args!["points"]).all_points();
    let others: Vec<&str> = all.iter().map(|one| one.id.as_str()).filter(|id| *id != next.id).collect();
    assert!(others.len() > 1, "the catalog has a point too");
    assert_same(&scene.source, &scene.recovered(shortest_prefix(&next.id, &others)));
    scene.assert_sound();
}

/// As much of `id` as tells it from all `others`.
fn shortest_prefix<'a>(id: &'a str, others: &[&str]) -> &'a str {
    let common = |other: &&str| id.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    &id[..=others.iter().map(common).max().unwrap_or(0)]
}

#[test]
fn home_comes_from_the_environment() {
    let (scene, _) = scene(2);
    let program = Program::without_home().with("RESURGAM_HOME", &scene.home).with("HOME", scene.path("nobody"));
    program.run(args!["protect", scene.source]).done();
    assert!(scene.home.is_dir());
    assert_eq!(program.run(args!["points"]).points(), scene.points());
    // Nothing was left anywhere else.
    let mut names: Vec<_> = fs::read_dir(scene.dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["home", "source"]);
}

#[test]
fn people_are_told_the_point_and_how_to_go_on() {
    let (scene, _) = scene(3);
    let outcome = scene.program().for_people().run(args!["protect", scene.source, "--pool", scene.pool]);
    assert_eq!(outcome.code(), Some(0), "{outcome}");
    let point = scene.points().remove(0);
    assert!(outcome.stdout().contains(&point.id[..8]), "the recovery point is printed: {outcome}");
    let listed = scene.program().for_people().run(args!["points"]);
    assert!(listed.stdout().contains(&point.id[..8]), "{listed}");
    // Without a terminal there are no colours and no bars.
    for outcome in [&outcome, &listed] {
        assert!(!outcome.stdout().contains('\u{1b}') && !outcome.stderr().contains('\u{1b}'), "{outcome}");
    }
}

#[test]
fn documents_have_the_keys_of_the_contract() {
    let (scene, mut random) = scene(4);
    let first = scene.take_point();
    plain_tree::change(&scene.source, 0.2, &mut random);
    let program = scene.program();
    let backup = program.run(args!["backup", "--source", scene.source]);
    backup.done();
    let second = backup.point();

    let sources = program.run(args!["sources"]).done();
    let source = &sources["sources"][0];
    assert_eq!(
        (source["id"].as_str(), source["root"].as_str()),
        (Some(first.source_id.as_str()), scene.source.to_str())
    );
    let groups = program.run(args!["group", "list"]).done();
    assert!(groups["groups"][0]["id"].is_string() && groups["groups"][0]["name"].is_string(), "{groups}");
    let pool = program.run(args!["pool", "list"]).done();
    assert!(pool.to_string().contains(&first.volume), "{pool}");

    let to = scene.path("to");
    let recover = program.run(args!["recover", second.id, "--to", to]).done();
    assert_eq!(
        (recover["files"].as_u64(), recover["bytes"].as_u64()),
        (Some(second.files), Some(second.bytes)),
        "{recover}"
    );
    assert_eq!(recover["unproved"], serde_json::json!([]));
    let verify = program.run(args!["verify", "--read-data"]).done();
    assert!(verify["checked_bytes"].as_u64().unwrap() > 100_000, "{verify}");
    assert_eq!((&verify["damage"], &verify["affected_points"]), (&serde_json::json!([]), &serde_json::json!([])));
    for command in ["status", "jobs"] {
        program.run(args![command]).done();
    }
    let only = program.run(args!["points", "--source", first.source_id]);
    assert_eq!(only.points().len(), 2);
}

#[test]
fn points_can_be_looked_into() {
    let (scene, _) = scene(5);
    let first = scene.take_point();
    fs::write(scene.source.join("added.txt"), "new").unwrap();
    fs::remove_file(scene.source.join("dangling")).unwrap();
    let second = scene.take_point();
    let program = scene.program();

    let top = program.run(args!["ls", second.id]);
    top.done();
    assert!(top.stdout().contains("added.txt") && !top.stdout().contains("dangling"), "{top}");
    assert!(!program.run(args!["ls", first.id]).stdout().contains("added.txt"));
    let below = program.run(args!["ls", second.id, "dir-0000"]);
    below.done();
    let all = program.run(args!["ls", second.id, "--recursive"]);
    all.done();
    for path in plain_tree::files_below(&scene.source) {
        assert!(all.stdout().contains(path.file_name().unwrap().to_str().unwrap()), "{}", path.display());
    }
    let found = program.run(args!["find", "added.*"]);
    found.done();
    assert!(found.stdout().contains("added.txt"), "{found}");
    let diff = program.run(args!["diff", first.id, second.id]).done().to_string();
    assert!(diff.contains("added.txt") && diff.contains("dangling") && !diff.contains("second-name"), "{diff}");
}

#[test]
fn help_completions_and_version_are_there() {
    let scene = Scene::new();
    let program = Program::without_home().with("RESURGAM_HOME", &scene.home).for_people();
    for arguments in [vec!["--help"], vec!["--version"], vec!["recover", "--help"], vec!["protect", "--help"]] {
        let outcome = program.run(arguments.iter().map(Into::into));
        assert_eq!(outcome.code(), Some(0), "{outcome}");
        assert!(!outcome.stdout().is_empty());
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(program.run(args!["completions", shell]).stdout().contains("recover"), "{shell}");
    }
    assert!(program.run(args!["man"]).stdout().contains(".TH"));
    let pages = scene.path("man");
    assert_eq!(program.run(args!["man", "--out", pages]).code(), Some(0));
    assert!(fs::read_dir(pages).unwrap().count() > 10);
    assert!(!scene.home.exists(), "asking for help makes nothing");
}
