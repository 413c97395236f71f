//! Copies of the catalog as files: `catalog backup`, and the recovered point of DPMDB, opened by stock tools.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use resurgam_tests::{
    Database, Outcome, Part, Program, Random, Rows, Scene, args, assert_same, is_present,
    losing::{integrity_of, on_database, rows_of},
    parts::run_tool,
    plain_tree,
    rows::query,
    slow::start_slowly,
};

use super::serve::verify_units;

/// A server with two points of one source.
fn scene(test: &str, seed: u64) -> Scene {
    let scene = Scene::new();
    let mut random = Random::for_test(test, seed);
    plain_tree::build(&scene.source, plain_tree::Size::TINY, &mut random);
    scene.take_point();
    plain_tree::change(&scene.source, 0.2, &mut random);
    scene.take_point();
    scene
}

fn backup(scene: &Scene, more: &[&str]) -> Outcome {
    let arguments = args!["catalog", "backup", "--to", scene.path("native")].into_iter();
    scene.program().run(arguments.chain(more.iter().map(Into::into)))
}

fn file_of(outcome: &Outcome) -> PathBuf {
    PathBuf::from(outcome.done()["file"].as_str().unwrap())
}

fn names(directory: &Path) -> BTreeSet<String> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// The files in the directory of native backups, with their bytes.
fn contents(scene: &Scene) -> Vec<(PathBuf, Vec<u8>)> {
    let files = plain_tree::files_below(&scene.path("native")).into_iter();
    files.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[track_caller]
fn assert_holds(file: &Path, scene: &Scene) {
    assert_eq!(integrity_of(file), "ok");
    let points = scene.program().run(args!["points"]).all_points();
    let ids: BTreeSet<String> = on_database(file, "SELECT id FROM recovery_point").into_iter().collect();
    assert_eq!(ids, points.into_iter().map(|point| point.id).collect(), "{}", file.display());
    assert_eq!(rows_of(file, "data_source"), 2, "{}", file.display());
}

#[test]
fn a_native_backup_holds_every_row_and_only_old_ones_go() {
    let scene = scene("native", 311);
    let native = scene.path("native");
    let first = file_of(&backup(&scene, &[]));
    let name = first.file_name().unwrap().to_str().unwrap().to_owned();
    let time = name.strip_prefix("DPMDB-").and_then(|rest| rest.strip_suffix("Z.bak")).unwrap();
    assert!(time.len() == 18 && time.as_bytes()[8] == b'T', "{name}");
    assert_eq!(fs::metadata(&first).unwrap().mode() & 0o7777, 0o600);
    assert_holds(&first, &scene);
    // What is not ours stays, however many are kept.
    let others = ["notes.txt", "DPMDB.bak", "DPMDB-new.bak", "DPMDB-20200101T000000000Z.bak.part"];
    for other in others {
        fs::write(native.join(other), "somebody's").unwrap();
    }
    let (second, third) = (file_of(&backup(&scene, &["--keep", "2"])), file_of(&backup(&scene, &["--keep", "2"])));
    assert!(!first.exists() && second.exists() && third.exists(), "{:?}", names(&native));
    // The age stands in the name, which a copied file keeps.
    let old = native.join("DPMDB-20200101T000000000Z.bak");
    fs::copy(&third, &old).unwrap();
    let fourth = file_of(&backup(&scene, &["--keep", "99", "--max-age", "1d"]));
    assert!(!old.exists() && second.exists(), "{:?}", names(&native));
    // A file of the future pushes nothing out, and is not pushed out.
    let future = native.join("DPMDB-29990101T000000000Z.bak");
    fs::copy(&third, &future).unwrap();
    let last = file_of(&backup(&scene, &["--keep", "1", "--max-age", "1s"]));
    let left = BTreeSet::from_iter([&last, &future].map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()));
    assert!(!fourth.exists());
    assert_eq!(&names(&native) - &others.map(str::to_owned).into(), left);
    assert_holds(&last, &scene);
}

#[test]
fn a_corrupt_catalog_never_touches_the_backups() {
    let scene = scene("native_corrupt", 312);
    backup(&scene, &[]).done();
    backup(&scene, &[]).done();
    let good = fs::read(scene.catalog()).unwrap();
    let mut random = Random::new(313);
    // The first page says that it is a database at all; those kept in reserve for a full disk belong to nothing.
    let pages = on_database(&scene.catalog(), "SELECT pageno, pgsize FROM dbstat WHERE pageno > 1 ORDER BY pageno");
    let before = contents(&scene);
    for page in pages.iter().step_by(3) {
        let (number, size) = page.split_once('|').unwrap();
        let (number, size) = (number.parse::<u64>().unwrap(), size.parse::<usize>().unwrap());
        fs::write(scene.catalog(), &good).unwrap();
        let file = fs::File::options().write(true).open(scene.catalog()).unwrap();
        file.write_all_at(&random.bytes(size), (number - 1) * size as u64).unwrap();
        let outcome = backup(&scene, &["--keep", "1"]);
        let failure = outcome.failed();
        assert!(failure.code.starts_with("catalog"), "page {number}: {outcome}");
        assert!(failure.speaks_of(&["-RestoreDb"]), "page {number}: {outcome}");
        assert!(contents(&scene) == before, "the backups were touched: {:?}", names(&scene.path("native")));
    }
    // Nothing at all left of it is refused as well, and no new server is made in its place.
    for rest in [&b""[..], b"no database", &good[..good.len() / 2]] {
        fs::write(scene.catalog(), rest).unwrap();
        backup(&scene, &["--keep", "1"]).failed();
        assert!(contents(&scene) == before, "the backups were touched: {:?}", names(&scene.path("native")));
    }
    fs::write(scene.catalog(), &good).unwrap();
    assert_holds(&file_of(&backup(&scene, &["--keep", "1"])), &scene);
}

#[test]
fn it_needs_no_volume_and_waits_for_no_backup() {
    if !is_present("it_needs_no_volume_and_waits_for_no_backup", &[Part::Tool("strace")]) {
        return;
    }
    let scene = scene("native_alone", 314);
    let away = scene.path("away");
    fs::rename(&scene.pool, &away).unwrap();
    assert_holds(&file_of(&backup(&scene, &[])), &scene);
    assert!(!scene.pool.exists(), "what is not mounted is not made");
    fs::rename(&away, &scene.pool).unwrap();
    fs::create_dir(scene.source.join("more")).unwrap();
    plain_tree::build(&scene.source.join("more"), plain_tree::Size::TINY, &mut Random::new(1));
    let running = start_slowly(&scene.program(), args!["protect", scene.source]);
    let is_running = || scene.program().run(args!["jobs"]).done().to_string().contains("\"running\"");
    assert!((0..100).any(|_| is_running()), "the backup never began");
    let made = backup(&scene, &[]);
    assert!(!running.has_ended_within(Duration::ZERO), "too late: {made}");
    assert_eq!(integrity_of(&file_of(&made)), "ok");
    running.finish(Duration::from_secs(60)).done();
    assert_same(&scene.source, &scene.recovered("latest"));
}

#[test]
fn it_goes_neither_into_the_home_nor_into_the_pool() {
    let scene = scene("native_own", 319);
    for place in [&scene.home, &scene.pool, &scene.pool.join("below")] {
        let outcome = scene.program().run(args!["catalog", "backup", "--to", place]);
        assert_eq!(outcome.failed().code, "own-path", "it would be lost with what it is a copy of: {outcome}");
        assert!(!scene.pool.join("below").exists());
    }
    let copies = query(&scene.program(), "SELECT place FROM catalog_copy");
    assert!(copies.is_empty(), "such a place is looked after by nobody: {copies:?}");
}

#[test]
fn on_postgresql_it_is_an_archive_for_pg_restore() {
    let parts = [Part::Postgres, Part::Tool("psql"), Part::Tool("pg_restore")];
    if !is_present("on_postgresql_it_is_an_archive_for_pg_restore", &parts) {
        return;
    }
    let (database, other) = (Database::new(), Database::new());
    let scene = Scene::new();
    fs::create_dir(&scene.home).unwrap();
    fs::write(scene.home.join("config.toml"), format!("catalog = \"{}\"\n", database.url())).unwrap();
    plain_tree::build(&scene.source, plain_tree::Size::TINY, &mut Random::for_test("native_postgres", 315));
    scene.take_point();
    let file = file_of(&backup(&scene, &[]));
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o600);
    let listed = run_tool(Command::new("pg_restore").arg("--list").arg(&file));
    for table in ["recovery_point", "data_source", "lineage"] {
        assert!(listed.lines().any(|line| line.contains("TABLE DATA") && line.contains(table)), "{listed}");
    }
    let (points, rows) = (scene.points(), Rows::of(&scene.program()));
    let to = args!["-InstanceName", other.instance(), "-DpmDbName", other.name()];
    scene.restore_db_with(&file, to).done();
    drop(database);
    assert_eq!(scene.points(), points);
    rows.assert_same(&Rows::of(&scene.program()), "the other database");
    scene.assert_syncs_clean();
    assert_same(&scene.source, &scene.recovered("latest"));
    // The same by hand, without this program.
    let third = Database::new();
    run_tool(Command::new("pg_restore").args(["--no-owner", "-d"]).arg(third.url()).arg(&file));
    assert!(third.ask("SELECT count(*) FROM recovery_point").trim().parse::<usize>().unwrap() >= points.len());
}

#[test]
fn timer_and_cron_line_do_what_they_say() {
    let mut scene = Scene::new();
    scene.home = scene.path("a home: 100% 'of' $HOME");
    plain_tree::build(&scene.source, plain_tree::Size::TINY, &mut Random::for_test("native_timer", 316));
    scene.take_point();
    let native = scene.path("na tive %h");
    let printed = |what: &str| {
        let arguments =
            args!["catalog", "backup", "--to", native, "--keep", "2", "--max-age", "30d", "--every", "15min"];
        let outcome = scene.program().for_people().run(arguments.into_iter().chain(args![what]));
        assert_eq!(outcome.code(), Some(0), "{outcome}");
        outcome.stdout().to_owned()
    };
    let (timer, cron) = (printed("--print-timer"), printed("--print-cron"));
    assert!(!native.exists(), "printing makes no backup");
    // As cron reads it: five fields and a user; then a command, where a bare % would end the line.
    let command = cron.trim_end().strip_prefix("*/15 * * * * root ").unwrap_or_else(|| panic!("{cron}"));
    assert_eq!(command.matches('%').count(), command.matches("\\%").count(), "{cron}");
    run_tool(Command::new("sh").args(["-c", &command.replace("\\%", "%")]));
    assert_holds(&native.join(names(&native).pop_last().unwrap()), &scene);
    let (service, timer) = timer.split_once("# /etc/systemd/system/resurgam-catalog.timer").unwrap();
    assert!(service.contains("Type=oneshot") && timer.contains("OnUnitActiveSec=900s"), "{service}{timer}");
    verify_units(&scene, &[("resurgam-catalog.service", service), ("resurgam-catalog.timer", timer)]);
}

#[test]
fn a_recovered_point_of_the_catalog_is_a_database_for_stock_tools() {
    let scene = scene("native_dpmdb", 317);
    let known = scene.points();
    scene.program().run(args!["backup", "--source", "DPMDB"]).done();
    let to = scene.path("to");
    scene.program().run(args!["recover", "latest", "--source", "DPMDB", "--to", to]).done();
    let copy = to.join("DPMDB.bak");
    assert_eq!(integrity_of(&copy), "ok");
    let ids = on_database(&copy, "SELECT id FROM recovery_point");
    assert!(known.iter().all(|point| ids.contains(&point.id)), "{ids:?}");
    assert_eq!(fs::metadata(&copy).unwrap().mode() & 0o077, 0, "it is nobody else's");
    let about = fs::read_to_string(to.join("DPMDB.toml")).unwrap();
    assert!(about.contains("schema") && about.contains("lineage"), "{about}");
    // Where it was made nothing is left.
    assert!(!plain_tree::files_below(&scene.home).iter().any(|path| path.ends_with("DPMDB.bak")));
}

#[test]
fn the_catalog_is_not_protected_against_a_persons_will() {
    let scene = scene("native_removed", 318);
    let sources = |program: &Program| program.run(args!["sources"]).texts_in("sources", "root");
    assert!(sources(&scene.program()).contains(&"DPMDB".to_owned()));
    scene.program().run(args!["source", "remove", "DPMDB", "--delete-points"]).done();
    let is_gone = || {
        scene.take_point();
        scene.program().run(args!["serve", "--once"]).done();
        let points = scene.program().run(args!["points"]).all_points();
        assert!(!sources(&scene.program()).contains(&"DPMDB".to_owned()), "it came back");
        assert!(points.iter().all(|point| point.source != "DPMDB"), "{points:?}");
    };
    is_gone();
    // It is part of what people decided, so the volume alone knows it.
    scene.lose_home();
    scene.restore_db(&scene.pool).done();
    scene.assert_syncs_clean();
    is_gone();
}
