//! Copies of the catalog that are of no use, or of another use than was thought: one clear error, and the home as it was.

use std::{
    fs,
    path::{Path, PathBuf},
};

use resurgam_tests::{
    Random, Scene, args, assert_same,
    losing::{integrity_of, on_database},
    plain_tree,
};

use super::{assert_untouched, contents, native_backup, server};

/// A catalog of schema 1, as a program of that time made it.
fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/catalog/golden/v1/DPMDB.sqlite")
}

/// Places that hold nothing to restore from, each with a word that the error must hold.
fn useless_places(scene: &Scene, native: &Path) -> Vec<(PathBuf, &'static str)> {
    let good = fs::read(native).unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = scene.path(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let middle = good.len() / 2 / 4096 * 4096;
    let mut a_page_gone = good.clone();
    a_page_gone[middle..middle + 4096].fill(0xA5);
    let mut a_letter_changed = good.clone();
    let letter =
        good.windows(6).rposition(|bytes| bytes == b"files\"").or(good.windows(5).rposition(|b| b == b"files"));
    a_letter_changed[letter.unwrap()] ^= 1;
    let foreign = scene.path("foreign.sqlite");
    fs::write(&foreign, "").unwrap();
    on_database(&foreign, "CREATE TABLE cookies (name TEXT)");
    let empty = scene.path("empty");
    fs::create_dir(&empty).unwrap();
    let headless = scene.path("headless");
    plain_tree::copy(&scene.pool, &headless);
    for head in ["VOLUME.toml", "mirror/VOLUME.toml"] {
        fs::write(headless.join(head), "garbage").unwrap();
    }
    let bare = scene.path("bare");
    plain_tree::copy(&scene.pool, &bare);
    for part in ["catalog", "mirror/catalog", "replicas", "mirror/replicas"] {
        fs::remove_dir_all(bare.join(part)).unwrap();
    }
    vec![
        (scene.path("no/such/place"), "no/such/place"),
        (file("text.bak", b"a letter home\n"), "text.bak"),
        (file("empty.bak", b""), "empty"),
        (file("half.bak", &good[..good.len() / 2]), "half.bak"),
        (file("page.bak", &a_page_gone), "page.bak"),
        (file("letter.bak", &a_letter_changed), "checksum"),
        (file("noise.bak", &Random::new(4).bytes(50_000)), "noise.bak"),
        (foreign, "cookies"),
        (empty, "no copy"),
        (scene.source.clone(), "no copy"),
        (headless, "VOLUME.toml"),
        (bare, "no copy"),
        (scene.pool.join("packs"), "no copy"),
    ]
}

#[test]
fn what_cannot_be_restored_from_is_refused_and_the_home_stays_as_it_was() {
    let (scene, native) = server("bad_copies", 221);
    let places = useless_places(&scene, &native);
    let before = contents(&scene.home);
    for (place, word) in &places {
        let outcome = scene.restore_db(place);
        let failure = outcome.failed();
        assert_eq!(outcome.code(), Some(1), "{outcome}");
        assert!(failure.speaks_of(&[word]), "{}: `{word}` is not named: {failure:?}", place.display());
        assert_untouched(&scene.home, &before, &place.display().to_string());
    }
    // Where there is no server, none is made.
    let lost = scene.lose_home();
    for (place, _) in &places {
        scene.restore_db(place).failed();
        assert!(!scene.home.exists(), "{}: a home was begun", place.display());
    }
    fs::rename(lost, &scene.home).unwrap();
    scene.take_point();
    scene.assert_sound();
}

#[test]
fn a_restore_that_names_no_copy_is_a_matter_of_usage() {
    let (scene, native) = server("no_db_loc", 222);
    let before = contents(&scene.home);
    for arguments in [
        args!["dpmsync", "-RestoreDb"].to_vec(),
        args!["dpmsync", "-RestoreDb", "-DbLoc"].to_vec(),
        args!["dpmsync"].to_vec(),
        args!["dpmsync", "-DbLoc", native].to_vec(),
        args!["dpmsync", "-WhatIf"].to_vec(),
    ] {
        let outcome = scene.program().run(arguments);
        outcome.failed();
        assert_eq!(outcome.code(), Some(2), "{outcome}");
    }
    let failure = scene.restore_db_with(&native, args!["-Use", "nothing-like-it"]).failed();
    assert!(failure.speaks_of(&["nothing-like-it"]), "{failure:?}");
    let failure = scene.restore_db_with(&native, args!["-InstanceName", "mysql://nobody"]).failed();
    assert!(failure.speaks_of(&["mysql://nobody"]), "{failure:?}");
    let failure = scene.restore_db_with(&native, args!["-Kit", scene.path("no-kit")]).failed();
    assert!(failure.speaks_of(&["passphrase", "no-kit"]), "{failure:?}");
    assert_untouched(&scene.home, &before, "usage");
}

#[test]
fn a_catalog_of_an_older_version_is_migrated_on_a_copy() {
    let scene = Scene::new();
    let old = fs::read(golden()).unwrap();
    let outcome = scene.restore_db(&golden());
    outcome.done();
    assert!(fs::read(golden()).unwrap() == old, "the copy itself was written to");
    assert_eq!(integrity_of(&scene.catalog()), "ok");
    let version = scene.program().run(args!["catalog", "version"]).done();
    assert_eq!(version["schema"], version["supported"]);
    assert!(version["schema"].as_i64() > Some(1), "{version}");
    // Its volume is on no machine any more: nothing is concluded from that.
    on_database(&scene.catalog(), &format!("UPDATE volume SET location = '{}'", scene.pool.display()));
    let points = scene.program().run(args!["points"]).json();
    let sync = scene.sync();
    let report = sync.json_with_code(1);
    assert_ne!(report["unreachable"].as_array().map(Vec::len), Some(0), "{sync}");
    assert_eq!(report["missing"].as_array().map(Vec::len), Some(0), "{sync}");
    assert_eq!(scene.program().run(args!["points"]).json(), points);
}

#[test]
fn the_catalog_of_another_server_does_not_take_a_home_over() {
    let (scene, _) = server("other_servers_copy", 223);
    let (other, native) = server("other_servers_copy", 224);
    let before = contents(&scene.home);
    for place in [&golden(), &native, &other.pool] {
        let failure = scene.restore_db(place).failed();
        assert_eq!(failure.code, "home-of-another-server", "{failure:?}");
        assert_untouched(&scene.home, &before, &place.display().to_string());
    }
    // A kit of another server opens nothing here.
    let passphrase = other.passphrase_file("correct horse battery staple");
    let kit = other.path("kit");
    let written =
        other.program().run(args!["recovery-kit", "write", "--to", kit, "--passphrase-file", passphrase]).done();
    let kit = written["file"].as_str().unwrap();
    scene.lose_home();
    let failure = scene.restore_db_with(&scene.pool, args!["-Kit", kit, "--passphrase-file", passphrase]).failed();
    assert_eq!(failure.code, "kit-of-another-server", "{failure:?}");
    scene.restore_db(&scene.pool).done();
    scene.assert_syncs_clean();
}

#[test]
fn a_folder_with_copies_of_two_servers_asks_which_is_meant() {
    let (scene, native) = server("two_servers", 225);
    let (other, others) = server("two_servers", 226);
    let folder = scene.path("folder");
    fs::create_dir(&folder).unwrap();
    fs::copy(native, folder.join("one.bak")).unwrap();
    fs::copy(others, folder.join("two.bak")).unwrap();
    scene.lose_home();
    let failure = scene.restore_db(&folder).failed();
    assert!(failure.speaks_of(&["2 servers"]) && failure.speaks_of(&["-Use"]), "{failure:?}");
    scene.restore_db_with(&folder, args!["-Use", "one.bak"]).done();
    scene.assert_syncs_clean();
    drop(other);
}

#[test]
fn a_catalog_from_the_future_is_refused_with_the_version_that_it_takes() {
    let (scene, native) = server("future", 227);
    let newer = scene.path("native/DPMDB-newer.bak");
    fs::copy(&native, &newer).unwrap();
    on_database(&newer, "UPDATE schema_change SET version = version + 1000, program = '7.8.9'");
    let before = contents(&scene.home);
    let failure = scene.restore_db(&newer).failed();
    assert!(failure.speaks_of(&["1003"]) && failure.speaks_of(&["7.8.9"]), "{failure:?}");
    assert_untouched(&scene.home, &before, "a newer catalog");
    // Among others it is passed over, and that is told.
    scene.lose_home();
    let restored = scene.restore_db(&scene.path("native")).done();
    assert_eq!(restored["restored"]["taken"]["id"], native.to_str().unwrap());
    let found = restored["restored"]["found"].as_array().unwrap();
    let refused = found.iter().find(|copy| copy["id"] == newer.to_str().unwrap()).unwrap();
    assert!(refused["refused"].as_str().unwrap().contains("7.8.9"), "{refused}");
    scene.assert_syncs_clean();
    assert_eq!(scene.points().len(), 2);
}

#[test]
fn a_damaged_copy_is_passed_over_for_the_next_older_one() {
    let (scene, _) = server("damaged_copies", 228);
    let newest = native_backup(&scene);
    let mut bytes = fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4096].fill(0x5A);
    fs::write(&newest, bytes).unwrap();
    scene.lose_home();
    let restored = scene.restore_db(&scene.path("native")).done();
    let found = restored["restored"]["found"].as_array().unwrap();
    assert_eq!(found.len(), 2, "{restored}");
    assert!(found[1]["refused"].is_string() && found[1]["id"] == newest.to_str().unwrap(), "{restored}");
    let known = scene.assert_syncs_clean();
    assert_ne!(known["adopted"].as_array().map(Vec::len), Some(0), "{known}");
    assert_eq!(scene.points().len(), 2);
    assert_same(&scene.source, &scene.recovered("latest"));
}

#[test]
fn what_ran_when_a_copy_was_made_counts_for_no_failure() {
    let (scene, native) = server("running_then", 230);
    scene.program().run(args!["backup"]).done();
    for copy in [args![native].to_vec(), args![scene.pool, "-Use", "pool"].to_vec()] {
        // Each copy knows the very job that made it, and of that no more than that it ran.
        let arguments = args!["dpmsync", "-RestoreDb", "-DbLoc"].into_iter().chain(copy);
        scene.program().run(arguments).done();
        let sync = scene.sync();
        assert_eq!(sync.done()["clean"], true, "{sync}");
        assert!(!sync.stderr().contains("interrupted"), "{sync}");
        let jobs = scene.program().run(args!["jobs"]).done().to_string();
        assert!(!jobs.contains("\"running\"") && jobs.contains("when the copy was made"), "{jobs}");
        assert!(!scene.alerts().iter().any(|alert| alert.starts_with("source-failing")), "{:?}", scene.alerts());
    }
}

/// The retention of the group `Default`, in words.
fn retention(scene: &Scene) -> String {
    let groups = scene.program().run(args!["group", "list"]).done();
    let groups = groups["groups"].as_array().unwrap();
    let group = groups.iter().find(|group| group["name"] == "Default").unwrap();
    group["retention"].as_str().unwrap().to_owned()
}

/// The names of the volume's capsules, the newest last.
fn capsules(scene: &Scene) -> Vec<String> {
    let files = plain_tree::files_below(&scene.pool.join("catalog"));
    files.iter().map(|path| path.strip_prefix(&scene.pool).unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn a_capsule_whose_signature_fails_is_named_and_nothing_of_it_is_believed() {
    let (scene, _) = server("forged_capsule", 229);
    let set = |keep: &str| scene.program().run(args!["group", "set", "Default", "--keep", keep]).done();
    set("111d");
    let honest = retention(&scene);
    set("222d");
    let forged = capsules(&scene).pop().unwrap();
    for copy in [scene.pool.join(&forged), scene.pool.join("mirror").join(&forged)] {
        let text = fs::read_to_string(&copy).unwrap();
        let (days, others) = ((222 * 86_400).to_string(), (333 * 86_400).to_string());
        assert!(text.contains(&days), "{text}");
        fs::write(copy, text.replace(&days, &others)).unwrap();
    }
    scene.lose_home();
    let restored = scene.restore_db_with(&scene.pool, args!["-Use", "capsules"]).done();
    let copies = restored["restored"]["found"].as_array().unwrap();
    let copy = copies.iter().find(|copy| copy["id"] == forged.as_str()).unwrap();
    assert!(copy["refused"].as_str().unwrap().contains("signature"), "{copy}");
    assert_eq!(retention(&scene), honest, "the next older one is taken");
    // Whatever lies there is told, and believed in nothing; and what is not clean ends no freeze.
    let sync = scene.sync();
    assert_eq!(sync.json_with_code(1)["clean"], false, "{sync}");
    assert!(sync.texts_in("quarantined", "id").contains(&forged), "{sync}");
    assert_eq!(retention(&scene), honest);
    assert_eq!(scene.points().len(), 2);
    assert_eq!(scene.program().run(args!["expire"]).failed().code, "frozen");
    assert!(scene.pool.join(&forged).exists(), "it is left where it is");
    scene.program().run(args!["dpmsync", "-Accept"]).done();
    scene.program().run(args!["expire"]).done();
}
