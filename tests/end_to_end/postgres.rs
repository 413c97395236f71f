//! The server with its catalog in a real PostgreSQL: the same promises, with the database as the place where processes
//! meet.

use std::fs;

use resurgam_tests::{Database, Part, Program, Random, Scene, args, assert_same, is_present, plain_tree};

const PARTS: &[Part] = &[Part::Postgres, Part::Tool("psql")];

fn scene_on(url: &str) -> Scene {
    let scene = Scene::new();
    fs::create_dir(&scene.home).unwrap();
    fs::write(scene.home.join("config.toml"), format!("catalog = \"{url}\"\n")).unwrap();
    plain_tree::build(&scene.source, plain_tree::Size::SMALL, &mut Random::for_test("postgres", 151));
    scene
}

#[test]
fn the_main_job_on_postgresql() {
    if !is_present("the_main_job_on_postgresql", PARTS) {
        return;
    }
    let database = Database::new();
    let scene = scene_on(&database.url());
    let first = scene.take_point();
    let copy = scene.path("copy");
    plain_tree::copy(&scene.source, &copy);
    plain_tree::change(&scene.source, 0.1, &mut Random::new(1));
    let second = scene.take_point();
    assert_eq!(scene.points(), [first.clone(), second.clone()]);
    assert_same(&copy, &scene.recovered(&first.id));
    assert_same(&scene.source, &scene.recovered("latest"));
    scene.assert_sound();
    scene.program().run(args!["source", "set", scene.source, "--keep-last", "1"]).done();
    scene.program().run(args!["expire"]).done();
    scene.program().run(args!["prune"]).done();
    assert_eq!(scene.points().len(), 1);
    assert!(!scene.home.join("DPMDB.sqlite").exists(), "the catalog is elsewhere");
}

#[test]
fn backups_at_once_and_a_kill_on_postgresql() {
    if !is_present("backups_at_once_and_a_kill_on_postgresql", PARTS) {
        return;
    }
    let database = Database::new();
    let scene = scene_on(&database.url());
    let mut random = Random::for_test("postgres_at_once", 152);
    let others: Vec<_> = (0..3).map(|number| scene.path(&format!("source-{number}"))).collect();
    for other in &others {
        fs::create_dir(other).unwrap();
        plain_tree::build(other, plain_tree::Size::TINY, &mut random);
    }
    let first = scene.protect();
    first.done();
    for _ in 0..3 {
        plain_tree::change(&scene.source, 0.3, &mut random);
        let program = scene.program();
        let killed = program.start(args!["protect", scene.source, "--pool", scene.pool]);
        let running: Vec<_> =
            others.iter().map(|other| program.start(args!["protect", other, "--pool", scene.pool])).collect();
        killed.kill_after(first.took().mul_f64(random.fraction()));
        for (running, other) in running.into_iter().zip(&others) {
            let outcome = running.finish(std::time::Duration::from_secs(120));
            outcome.done();
            assert_same(other, &scene.recovered(&outcome.point().id));
        }
        let next = scene.take_point();
        assert_same(&scene.source, &scene.recovered(&next.id));
    }
    scene.assert_sound_or_mended();
}

#[test]
fn a_postgresql_that_is_not_there_is_named_without_its_password() {
    let scene = scene_on("postgres://somebody:geheim@127.0.0.1:1/nowhere");
    let outcome = scene.protect();
    let failure = outcome.failed();
    assert!(failure.speaks_of(&["127.0.0.1:1"]), "{failure:?}");
    let said = outcome.stdout().to_owned() + outcome.stderr();
    assert!(!said.contains("geheim"), "{said}");
    // The volume, had there been one, needs no catalog.
    let reader = Program::new(&scene.home).run(args!["reader", "points", scene.pool]).failed();
    assert!(!reader.speaks_of(&["127.0.0.1"]), "{reader:?}");
}
