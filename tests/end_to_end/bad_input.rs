//! Bad input: one clear message that names the thing and the remedy, a non-zero exit, and harm to nothing.

use std::{fs, process::Command, time::Duration};

use resurgam_tests::{AsItWas, Failure, Program, Random, Scene, args, assert_same, parts::run_tool, plain_tree};
use rustix::process::Signal;

fn protected() -> (Scene, String) {
    let scene = Scene::new();
    plain_tree::build(&scene.source, plain_tree::Size::TINY, &mut Random::for_test("bad_input", 131));
    let point = scene.take_point();
    (scene, point.id)
}

/// Nothing that was there before is harmed: the volume's points restore, and the next backup works.
fn assert_unharmed(scene: &Scene, point: &str) {
    assert_same(&scene.source, &scene.recovered(point));
    scene.take_point();
    scene.assert_sound();
}

#[test]
fn a_path_that_does_not_exist() {
    let (scene, point) = protected();
    let gone = scene.path("gone");
    let failure = scene.program().run(args!["protect", gone, "--pool", scene.pool]).failed();
    assert!(failure.speaks_of(&[gone.to_str().unwrap()]), "{failure:?}");
    // The other paths of the same command are not made sources by half either.
    let failure = scene.program().run(args!["protect", scene.source, gone, "--pool", scene.pool]).failed();
    assert!(failure.speaks_of(&[gone.to_str().unwrap()]), "{failure:?}");
    // One and the catalog.
    assert_eq!(scene.program().run(args!["sources"]).done()["sources"].as_array().map(Vec::len), Some(2));
    assert_unharmed(&scene, &point);
}

#[test]
fn a_source_that_has_gone_is_an_error_and_no_empty_point() {
    let (scene, point) = protected();
    let moved = scene.path("moved");
    fs::rename(&scene.source, &moved).unwrap();
    let failure = scene.program().run(args!["backup"]).failed();
    assert!(failure.speaks_of(&[scene.source.to_str().unwrap()]), "{failure:?}");
    assert_eq!(scene.points().len(), 1);
    fs::rename(&moved, &scene.source).unwrap();
    assert_unharmed(&scene, &point);
}

#[test]
fn a_pool_inside_what_is_protected_is_never_backed_up_into_itself() {
    let scene = Scene::new();
    plain_tree::build(&scene.source, plain_tree::Size::TINY, &mut Random::for_test("pool_inside", 132));
    let pool = scene.source.join("pool");
    let outcome = scene.program().run(args!["protect", scene.source, "--pool", pool]);
    if outcome.code() != Some(0) {
        let failure = outcome.failed();
        assert!(failure.speaks_of(&[pool.to_str().unwrap()]), "{failure:?}");
        return;
    }
    let said = outcome.json().to_string() + outcome.stderr();
    assert!(said.contains(pool.to_str().unwrap()), "what is left out is said: {outcome}");
    let to = scene.recovered(&outcome.point().id);
    assert!(to.join("second-name").exists() && !to.join("pool/VOLUME.toml").exists());
    let again = scene.program().run(args!["protect", scene.source]);
    assert!(again.point().added_bytes < 200_000, "{again}");
}

#[test]
fn a_home_inside_what_is_protected_is_left_out() {
    let mut scene = Scene::new();
    scene.home = scene.source.join("home");
    plain_tree::build(&scene.source, plain_tree::Size::TINY, &mut Random::for_test("home_inside", 133));
    let outcome = scene.protect();
    outcome.done();
    let to = scene.recovered(&outcome.point().id);
    assert!(to.join("second-name").exists());
    let home = plain_tree::files_below(&to).into_iter().filter(|path| path.starts_with(to.join("home"))).count();
    assert_eq!(home, 0, "the home's keys are in the backup");
}

#[test]
fn a_restore_into_the_pool_or_the_home() {
    let (scene, point) = protected();
    for place in [&scene.pool, &scene.home] {
        let failure = scene.recover(&point, place).failed();
        assert!(failure.speaks_of(&[place.to_str().unwrap()]), "{failure:?}");
    }
    assert_unharmed(&scene, &point);
}

#[test]
fn a_wrong_or_missing_passphrase() {
    let scene = Scene::new();
    plain_tree::build(&scene.source, plain_tree::Size::TINY, &mut Random::for_test("passphrase", 134));
    let (right, wrong) = (scene.path("right"), scene.path("wrong"));
    fs::write(&right, "correct horse battery staple\n").unwrap();
    fs::write(&wrong, "correct horse battery stapler\n").unwrap();
    scene.program().run(args!["pool", "add", scene.pool, "--passphrase", "--passphrase-file", right]).done();
    let outcome = scene.protect();
    outcome.done();
    let point = outcome.point().id;
    // The server holds the key in its keyring; only a stranger needs the passphrase.
    assert_same(&scene.source, &scene.recovered(&point));
    scene.take_point();
    let stranger = Program::new(scene.path("no-home"));
    for file in [None, Some(&wrong), Some(&scene.path("gone"))] {
        for command in ["points", "recover"] {
            let mut arguments = args!["reader", command, scene.pool].to_vec();
            if command == "recover" {
                arguments.extend(args![point, "--to", scene.path("to")]);
            }
            arguments.extend(file.into_iter().flat_map(|file| args!["--passphrase-file", file]));
            let failure = stranger.run(arguments).failed();
            assert!(failure.speaks_of(&["passphrase", "gone"]), "{failure:?}");
        }
    }
    let to = scene.path("to");
    stranger.run(args!["reader", "recover", scene.pool, point, "--to", to, "--passphrase-file", right]).done();
    assert_same(&scene.source, &to);
    // Without the passphrase nothing of the source can be seen in the volume.
    let names = Command::new("grep").args(["-rlF", "second-name"]).arg(&scene.pool).output().unwrap();
    assert!(names.stdout.is_empty(), "{}", String::from_utf8_lossy(&names.stdout));
}

#[test]
fn a_passphrase_that_is_given_is_used_or_refused_but_never_ignored() {
    let scene = Scene::new();
    let file = scene.path("passphrase");
    fs::write(&file, "correct horse battery staple\n").unwrap();
    plain_tree::build(&scene.source, plain_tree::Size::TINY, &mut Random::for_test("passphrase_used", 136));
    // Whoever names a passphrase must not get a volume that everybody can read.
    for arguments in [
        args!["pool", "add", scene.path("first"), "--passphrase-file", file].to_vec(),
        args!["protect", scene.source, "--pool", scene.path("second"), "--passphrase-file", file].to_vec(),
    ] {
        let outcome = scene.program().run(arguments);
        if outcome.code() == Some(0) {
            let heads = ["first", "second"].map(|pool| fs::read_to_string(scene.path(pool).join("VOLUME.toml")));
            let open = heads.iter().flatten().any(|text| text.contains("NO passphrase"));
            assert!(!open, "the passphrase was ignored: {outcome}");
        } else {
            outcome.failed();
        }
    }
}

#[test]
fn ids_names_and_arguments_that_mean_nothing() {
    let (scene, point) = protected();
    let program = scene.program();
    let to = scene.path("to");
    let refused: Vec<(Vec<std::ffi::OsString>, &str)> = vec![
        (args!["recover", "ffffffff", "--to", to].to_vec(), "ffffffff"),
        (args!["recover", "not-an-id", "--to", to].to_vec(), "not-an-id"),
        (args!["ls", "0000000000000000"].to_vec(), "0000000000000000"),
        (args!["ls", point, "no/such/path"].to_vec(), "no/such/path"),
        (args!["backup", "--source", "/no/such/source"].to_vec(), "/no/such/source"),
        (args!["backup", "--group", "NoSuchGroup"].to_vec(), "NoSuchGroup"),
        (args!["protect", scene.source, "--keep", "banana"].to_vec(), "banana"),
        (args!["protect", scene.source, "--every", "-3h"].to_vec(), "-3h"),
        (args!["protect", scene.source, "--group", "a/b"].to_vec(), "a/b"),
        (args!["protect", scene.source, "--exclude", "a[b"].to_vec(), "a[b"),
        (args!["recover", point].to_vec(), "--to"),
        (args!["recover", point, "--to", to, "--conflict", "maybe"].to_vec(), "maybe"),
        (args!["frobnicate"].to_vec(), "frobnicate"),
        (args!["verify", "--read-data", "250"].to_vec(), "250"),
        (args!["reader", "points", scene.source].to_vec(), scene.source.to_str().unwrap()),
        (args!["reader", "points", scene.path("gone")].to_vec(), "gone"),
    ];
    for (arguments, thing) in refused {
        let outcome = program.run(arguments);
        let failure = outcome.failed();
        assert!(failure.speaks_of(&[thing]), "`{thing}` is not named: {outcome}");
    }
    assert!(!to.exists());
    assert_unharmed(&scene, &point);
}

#[test]
fn usage_errors_have_code_2_and_failures_code_1() {
    let (scene, _) = protected();
    assert_eq!(scene.program().run(args!["recover"]).code(), Some(2));
    assert_eq!(scene.program().run(args!["protect"]).code(), Some(2));
    assert_eq!(scene.program().run(args!["protect", scene.path("gone")]).code(), Some(1));
    let person = scene.program().for_people().run(args!["protect", scene.path("gone")]);
    assert_eq!((person.code(), person.stdout()), (Some(1), ""), "{person}");
    assert!(person.stderr().contains("gone") && person.stderr().lines().count() <= 4, "one clear message: {person}");
}

#[test]
fn a_home_that_cannot_be_used() {
    let scene = Scene::new();
    fs::write(scene.source.join("file"), "x").unwrap();
    fs::write(&scene.home, "a file, not a directory").unwrap();
    let failure = scene.protect().failed();
    assert!(failure.speaks_of(&[scene.home.to_str().unwrap()]), "{failure:?}");
    assert_eq!(fs::read_to_string(&scene.home).unwrap(), "a file, not a directory");
    // Asking about a server that is not there is an error too, and makes none.
    let nobody = Program::new(scene.path("nobody"));
    for command in ["points", "sources", "verify", "expire", "prune", "backup"] {
        let outcome = nobody.run(args![command]);
        assert!(outcome.code() == Some(0) || matches!(outcome.failed(), Failure { .. }), "{outcome}");
    }
}

/// Runs a statement on the catalog of a home, by Python's own SQLite.
fn on_catalog(scene: &Scene, statement: &str) {
    let script = "import sqlite3,sys\nc=sqlite3.connect(sys.argv[1]);c.execute(sys.argv[2]);c.commit()";
    run_tool(Command::new("python3").args(["-c", script]).arg(catalog_of(scene)).arg(statement));
}

/// The file in the home that is an SQLite database.
fn catalog_of(scene: &Scene) -> std::path::PathBuf {
    let files = plain_tree::files_below(&scene.home);
    let is_database = |path: &std::path::PathBuf| fs::read(path).unwrap().starts_with(b"SQLite format 3\0");
    files.into_iter().find(is_database).expect("no SQLite database in the home")
}

#[test]
fn a_catalog_of_a_newer_version() {
    let (scene, point) = protected();
    on_catalog(&scene, "UPDATE schema_change SET version = version + 1000");
    for command in ["points", "backup", "prune", "recover"] {
        let mut arguments = args![command].to_vec();
        if command == "recover" {
            arguments.extend(args![point, "--to", scene.path("to")]);
        }
        let failure = scene.program().run(arguments).failed();
        assert!(failure.speaks_of(&["newer"]) && failure.speaks_of(&["version"]), "{failure:?}");
    }
    on_catalog(&scene, "UPDATE schema_change SET version = version - 1000");
    assert_unharmed(&scene, &point);
}

#[test]
fn a_catalog_that_is_garbage() {
    let (scene, point) = protected();
    let catalog = catalog_of(&scene);
    let whole = fs::read(&catalog).unwrap();
    // Not the list of writers, from which those that have ended may be taken.
    let before = ["packs", "mirror", "index", "replicas"].map(|part| AsItWas::now(&scene.pool.join(part)));
    let garbage = Random::new(9).bytes(whole.len());
    let cases: [(&str, Vec<u8>); 4] = [
        ("garbage", garbage.clone()),
        ("cut off", whole[..whole.len() / 2].to_vec()),
        ("a page gone", [&whole[..4096], &vec![0; 4096][..], &whole[8192..]].concat()),
        ("head gone", [&garbage[..200], &whole[200..]].concat()),
    ];
    for (what, bytes) in cases {
        for extra in ["-wal", "-shm"] {
            fs::remove_file(format!("{}{extra}", catalog.display())).ok();
        }
        fs::write(&catalog, &bytes).unwrap();
        for command in ["points", "prune", "expire"] {
            let outcome = scene.program().run(args![command]);
            if outcome.code() != Some(0) {
                let failure = outcome.failed();
                assert!(failure.speaks_of(&[catalog.to_str().unwrap()]), "{what}: {failure:?}");
            }
        }
        before.iter().for_each(AsItWas::assert_still);
        // Whatever became of the catalog, the volume is enough.
        let to = scene.path("to");
        Program::new(scene.path("no-home")).run(args!["reader", "recover", scene.pool, point, "--to", to]).done();
        assert_same(&scene.source, &to);
        fs::remove_dir_all(to).unwrap();
    }
}

#[test]
fn a_catalog_that_somebody_has_locked() {
    let (scene, point) = protected();
    // Holds the database for itself until its input ends.
    let script = "import sqlite3,sys\nc=sqlite3.connect(sys.argv[1],isolation_level=None)\n\
                  c.execute('BEGIN EXCLUSIVE');print('locked',flush=True);sys.stdin.read();c.execute('ROLLBACK')";
    let mut holder = Command::new("python3")
        .args(["-c", script])
        .arg(catalog_of(&scene))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(holder.stdout.as_mut().unwrap()), &mut line).unwrap();
    assert_eq!(line, "locked\n");
    let backup = scene.protect();
    assert!(backup.took() < Duration::from_secs(90), "{backup}");
    let failure = backup.failed();
    assert!(
        failure.speaks_of(&["lock", "busy"]) && failure.speaks_of(&[catalog_of(&scene).to_str().unwrap()]),
        "{failure:?}"
    );
    drop(holder.stdin.take());
    holder.wait().unwrap();
    assert_unharmed(&scene, &point);
}

#[test]
fn interrupted_by_the_keyboard_at_any_time() {
    let mut random = Random::for_test("interrupted", 135);
    let scene = Scene::new();
    plain_tree::build(&scene.source, plain_tree::Size::MEDIUM, &mut random);
    let first = scene.protect();
    first.done();
    let point = first.point().id;
    let mut stopped = 0;
    for command in ["protect", "protect", "recover", "verify", "prune", "protect"] {
        plain_tree::change(&scene.source, 0.5, &mut random);
        let mut arguments = args![command].to_vec();
        match command {
            "protect" => arguments.extend(args![scene.source]),
            "recover" => arguments.extend(args![point, "--to", scene.path("to")]),
            "verify" => arguments.extend(args!["--read-data"]),
            _ => {}
        }
        let running = scene.program().start(arguments);
        running.has_ended_within(first.took().mul_f64(random.fraction() * 0.8));
        running.signal(Signal::INT);
        let outcome = running.finish(Duration::from_secs(20));
        // Before it listens to signals it may simply be gone.
        if outcome.code().is_some_and(|code| code != 0) {
            stopped += 1;
            assert!(outcome.json()["error"]["message"].is_string(), "{outcome}");
        }
    }
    println!("{stopped} commands were stopped on the way");
    let next = scene.take_point();
    assert_same(&scene.source, &scene.recovered(&next.id));
    scene.recovered(&point);
    scene.assert_sound_or_mended();
}
