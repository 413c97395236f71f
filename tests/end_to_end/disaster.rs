//! The disaster: the home is gone, and the server comes back from each kind of copy alone, row by row and byte by byte.

mod world;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use resurgam_tests::{Part, Program, Rows, Scene, args, assert_same, is_present};
use world::World;

/// What the server comes back from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// A volume of the pool, whatever is the newest in it.
    Pool,
    /// A native backup in a folder.
    Native,
    /// One in a protected folder, fetched out of the volume.
    Share,
    /// The capsules of a volume that holds points of the catalog, too.
    Capsules,
    /// The capsules of a volume out of which the points of the catalog were deleted.
    CapsulesAlone,
    /// The capsules of a volume that never held points of the catalog, and has a passphrase.
    CapsulesOfSealed,
}

/// How the server's keys come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keys {
    /// By the recovery kit and its passphrase.
    FromKit,
    /// By the passphrase alone: the capsules hold them, sealed to it.
    FromCapsule,
    /// Not at all.
    Lost,
}

const ALL: [From; 6] =
    [From::Pool, From::Native, From::Share, From::Capsules, From::CapsulesAlone, From::CapsulesOfSealed];

/// Something of the catalog that a copy cannot know.
type Exception = fn(&World, Rows) -> Rows;

/// Without the kit the server has a new key: its own row shows it, and so do the descriptions of the volumes, which were
/// enrolled again. A kit of keys that are lost is none, and the catalog no longer says that there is one.
fn without_what_the_kit_brings(_: &World, rows: Rows) -> Rows {
    rows.without_column("server", "public_key")
        .without_column("volume", "document")
        .without_rows("setting", |name, _| name.starts_with("kit-"))
}

/// Nothing in the volume tells of points that were deleted out of it; their replica is one that has none yet.
fn without_points_of_catalog(world: &World, rows: Rows) -> Rows {
    rows.without_rows("recovery_point", |_, row| world.is_of_catalog(row))
        .without_rows("replica", |_, row| world.is_of_catalog(row))
}

#[test]
fn with_the_kit_the_server_comes_back_from_each_copy_alone() {
    let cases = ALL.map(|from| (from, Keys::FromKit)).into_iter().chain([(From::Pool, Keys::FromCapsule)]);
    comes_back_each_time("with_the_kit_the_server_comes_back_from_each_copy_alone", cases);
}

#[test]
fn without_the_kit_it_comes_back_with_a_new_key_and_all_else_as_it_was() {
    let cases = ALL.map(|from| (from, Keys::Lost));
    comes_back_each_time("without_the_kit_it_comes_back_with_a_new_key_and_all_else_as_it_was", cases);
}

fn comes_back_each_time(test: &str, cases: impl IntoIterator<Item = (From, Keys)>) {
    if !is_present(test, &[Part::Tool("rsync")]) {
        return;
    }
    let world = World::new();
    assert!(world.points >= 200, "only {} recovery points", world.points);
    eprintln!("{} rows, {} recovery points besides the catalog's own", world.lost.count(), world.points);
    for (from, keys) in cases {
        comes_back(&world, from, keys);
    }
}

fn comes_back(world: &World, from: From, keys: Keys) {
    let what = format!("from {from:?}, keys {keys:?}");
    world.lose_everything_but_the_copies();
    if from == From::CapsulesAlone {
        world.delete_points_of_catalog();
    }
    let (db_loc, fetching) = fetched(world, from);
    let restoring = restore(world, from, keys, &db_loc);
    nothing_is_deleted_yet(world);
    let syncing = sync(world, keys, &what);
    let ms = [fetching, restoring, syncing].map(|took| took.as_millis());
    eprintln!("{what}: fetching {} ms, -RestoreDb {} ms, -Sync {} ms", ms[0], ms[1], ms[2]);
    let mut exceptions: Vec<Exception> = Vec::new();
    if keys == Keys::Lost {
        exceptions.push(without_what_the_kit_brings);
    }
    if from == From::CapsulesAlone {
        exceptions.push(without_points_of_catalog);
    }
    let apart = |rows: Rows| exceptions.iter().fold(rows, |rows, exception| exception(world, rows));
    apart(world.lost.clone()).assert_same(&apart(Rows::of(&world.program())), &what);
    points_come_back(world);
    life_goes_on(world);
}

/// Where the copy lies, and how long it took to get it there. That in the share is first fetched out of the volume, by a
/// program that has no home.
fn fetched(world: &World, from: From) -> (PathBuf, Duration) {
    match from {
        From::Pool | From::Capsules | From::CapsulesAlone => (world.scene.pool.clone(), Duration::ZERO),
        From::CapsulesOfSealed => (world.sealed.clone(), Duration::ZERO),
        From::Native => (world.native.clone(), Duration::ZERO),
        From::Share => {
            let to = world.scene.path("fetched");
            if to.exists() {
                fs::remove_dir_all(&to).unwrap();
            }
            let reader = Program::new(world.scene.path("no-home"));
            let arguments = args!["reader", "recover", world.scene.pool, "latest", "--source", world.share];
            let outcome = reader.run(arguments.into_iter().chain(args!["--to", to]));
            outcome.done();
            (to, outcome.took())
        }
    }
}

fn restore(world: &World, from: From, keys: Keys, db_loc: &Path) -> Duration {
    let mut more = Vec::new();
    let kind = match from {
        From::Pool => "pool",
        From::Native | From::Share => "native",
        From::Capsules | From::CapsulesAlone | From::CapsulesOfSealed => "capsules",
    };
    if kind != "native" {
        more.extend(args!["-Use", kind]);
    }
    match keys {
        Keys::FromKit => more.extend(args!["-Kit", world.kit(), "--passphrase-file", world.kit_passphrase]),
        Keys::FromCapsule => more.extend(args!["--passphrase-file", world.kit_passphrase]),
        Keys::Lost if from == From::CapsulesOfSealed => {
            more.extend(args!["--passphrase-file", world.volume_passphrase]);
        }
        Keys::Lost => {}
    }
    let outcome = world.scene.restore_db_with(db_loc, more);
    let restored = &outcome.done()["restored"];
    let came_from = match keys {
        Keys::FromKit => "kit",
        Keys::FromCapsule => "capsule",
        Keys::Lost => "new",
    };
    assert_eq!(restored["keys"], came_from, "{outcome}");
    assert_eq!((&restored["generation"], &restored["taken"]["kind"]), (&2.into(), &kind.into()), "{outcome}");
    let says_so =
        restored["notes"].as_array().unwrap().iter().any(|note| note.as_str().unwrap().contains("keys are lost"));
    assert_eq!(says_so, keys == Keys::Lost, "{outcome}");
    outcome.took()
}

/// Between the restore and the sync whatever deletes is refused, and says why.
fn nothing_is_deleted_yet(world: &World) {
    for arguments in [args!["expire"].to_vec(), args!["prune"].to_vec()] {
        let failure = world.program().run(arguments).failed();
        assert_eq!(failure.code, "frozen", "{failure:?}");
        assert!(failure.speaks_of(&["-Sync"]), "{failure:?}");
    }
}

fn sync(world: &World, keys: Keys, what: &str) -> Duration {
    // Without the server's keys, the second volume opens with its passphrase alone.
    let passphrase = match keys {
        Keys::Lost => args!["--passphrase-file", world.volume_passphrase].to_vec(),
        _ => Vec::new(),
    };
    let outcome = world.program().run(args!["dpmsync", "-Sync"].into_iter().chain(passphrase));
    let report = outcome.done();
    assert_eq!((&report["clean"], &report["thawed"]), (&true.into(), &true.into()), "{what}: {outcome}");
    let enrolled = report["enrolled"].as_array().map(Vec::len);
    assert_eq!(enrolled, Some(if keys == Keys::Lost { 2 } else { 0 }), "{what}: {outcome}");
    let before = Rows::of(&world.program());
    // By now the server's own key opens everything.
    let second = world.scene.sync();
    let report = second.done();
    for list in ["adopted", "missing", "found_again", "quarantined", "unreachable", "replicas", "enrolled"] {
        assert_eq!(report[list], serde_json::json!([]), "{what}: a second sync: {second}");
    }
    before.assert_same(&Rows::of(&world.program()), &format!("{what}: a second sync changed something"));
    outcome.took()
}

fn points_come_back(world: &World) {
    let to = world.scene.path("back");
    for (point, expected) in &world.newest {
        world.scene.recover(point, &to).done();
        assert_same(expected, &to);
        fs::remove_dir_all(&to).unwrap();
    }
}

/// The rebuilt server does all that the lost one did.
fn life_goes_on(world: &World) {
    let before = world.scene.points().len();
    // The scripts lay in the home and are gone with it; the kit's page says so.
    let outcome = world.program().run(args!["backup"]);
    outcome.done();
    let made = outcome.points();
    assert!(made.len() >= 9, "{outcome}");
    assert_eq!(world.scene.points().len(), before + made.len());
    let source = &made[0];
    world.scene.recover(&source.id, &world.scene.path("back")).done();
    assert_same(Path::new(&source.source), &world.scene.path("back"));
    fs::remove_dir_all(world.scene.path("back")).unwrap();
    world.program().run(args!["expire"]).done();
    world.program().run(args!["prune"]).done();
}

#[test]
fn what_was_removed_after_the_copy_was_made_is_kept_and_named() {
    let scene = Scene::new();
    scene.take_point();
    for group in ["Short", "Long"] {
        scene.program().run(args!["group", "create", group]).done();
    }
    scene.program().run(args!["catalog", "backup", "--to", scene.path("native")]).done();
    scene.program().run(args!["group", "remove", "Short"]).done();
    scene.program().run(args!["source", "remove", scene.source]).done();
    let lost = Rows::of(&scene.program());
    scene.lose_home();
    scene.restore_db(&scene.path("native")).done();
    let outcome = scene.sync();
    let report = outcome.done();
    assert_eq!(report["clean"], true, "{outcome}");
    let kept: Vec<&str> = report["kept"].as_array().unwrap().iter().map(|one| one["what"].as_str().unwrap()).collect();
    assert_eq!(kept, ["Short"], "{outcome}");
    // That a source was stopped is a decision, too, and it came after the copy.
    let apart = |rows: Rows| {
        let short = |row: &resurgam_tests::rows::Row| row["name"].as_deref() == Some("Short");
        rows.without_rows("protection_group", |_, row| short(row))
            .without_column("server", "public_key")
            .without_column("volume", "document")
    };
    apart(lost).assert_same(&apart(Rows::of(&scene.program())), "but for the group that was removed");
}

#[test]
fn a_kit_with_another_passphrase_reaches_the_capsules() {
    let scene = Scene::new();
    fs::write(scene.source.join("file"), b"something").unwrap();
    scene.take_point();
    let kit = scene.path("kit");
    let passphrases = ["the first, forgotten", "the second, known"].map(|text| {
        let file = scene.passphrase_file(text);
        scene.program().run(args!["--passphrase-file", file, "recovery-kit", "write", "--to", kit]).done();
        file
    });
    scene.lose_home();
    let restored = scene.restore_db_with(&scene.pool, args!["-Use", "capsules", "--passphrase-file", passphrases[1]]);
    assert_eq!(restored.done()["restored"]["keys"], "capsule", "{restored}");
    scene.assert_syncs_clean();
}
