//! What the catalog and a volume do not agree on: points that the catalog has never seen, replicas that the volume no
//! longer holds; and data that is carried here by hand.

use std::{fs, path::PathBuf};

use resurgam_tests::{Outcome, Point, Random, Rows, Scene, args, assert_same, plain_tree, rows, spoil};

/// Bytes of each of the files that no compressor makes shorter.
const LARGE: usize = 1_500_000;
const LARGE_FILES: usize = 3;

/// A scene whose source holds megabytes that no compressor makes shorter.
fn heavy_scene(test: &str, seed: u64) -> (Scene, Random) {
    let (scene, mut random) = (Scene::new(), Random::for_test(test, seed));
    plain_tree::build(&scene.source, plain_tree::Size::TINY, &mut random);
    for number in 0..LARGE_FILES {
        fs::write(scene.source.join(format!("heavy-{number}")), random.bytes(LARGE)).unwrap();
    }
    (scene, random)
}

/// What was carried here: the source as it was, but for some files that have come, gone and changed since.
fn carried(scene: &Scene, random: &mut Random) -> PathBuf {
    let carried = scene.path("carried");
    plain_tree::copy(&scene.source, &carried);
    plain_tree::change(&scene.source, 0.02, random);
    fs::write(scene.source.join("newer"), random.bytes(20_000)).unwrap();
    carried
}

/// Less than a twentieth of the data was stored.
#[track_caller]
fn assert_adds_little(point: &Point) {
    assert!(point.added_bytes * 20 < point.bytes, "{} of {} bytes were added", point.added_bytes, point.bytes);
}

/// The state of the source's replica that its points go to.
fn state(scene: &Scene) -> String {
    let document = scene.program().run(args!["sources"]).done();
    let sources = document["sources"].as_array().unwrap();
    let own = sources.iter().find(|source| source["root"] == scene.source.to_str().unwrap()).unwrap();
    own["state"].as_str().unwrap().to_owned()
}

fn ids(points: &[Point]) -> Vec<&str> {
    points.iter().map(|point| point.id.as_str()).collect()
}

fn in_list(outcome: &Outcome, list: &str, kind: &str) -> Vec<String> {
    let document = outcome.json();
    let items = document[list].as_array().unwrap_or_else(|| panic!("no `{list}`: {outcome}"));
    let of_kind = items.iter().filter(|item| item["kind"] == kind);
    of_kind.map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

/// Takes the source's replica out of the volume, both copies of everything that describes it; answers its id.
fn delete_replica(scene: &Scene) -> String {
    let statement = "SELECT r.id, s.kind FROM replica r JOIN data_source s ON s.id = r.source_id";
    let replicas = rows::query(&scene.program(), statement);
    let own = replicas.iter().find(|row| row["kind"].as_deref() == Some("files")).unwrap();
    let id = own["id"].clone().unwrap();
    let directories = spoil::directories_of(&scene.pool, &id);
    assert_eq!(directories.len(), 2, "{directories:?}");
    for directory in directories {
        fs::remove_dir_all(directory).unwrap();
    }
    id
}

/// Takes the data of the source out of the volume. It lies in packs of its own, and is most of what there is.
fn delete_data(scene: &Scene) {
    let mut packs = plain_tree::files_below(&scene.pool.join("packs"));
    packs.retain(|pack| fs::metadata(pack).unwrap().len() > LARGE as u64);
    assert!(!packs.is_empty());
    for pack in packs {
        fs::remove_file(pack).unwrap();
    }
}

#[test]
fn points_made_after_the_backup_of_the_catalog_are_adopted() {
    let (scene, mut random) = heavy_scene("points_made_after", 311);
    let first = scene.take_point();
    let native = scene.path("native");
    scene.program().run(args!["catalog", "backup", "--to", native]).done();
    let mut copies = Vec::new();
    for round in 0..3 {
        plain_tree::change(&scene.source, 0.1, &mut random);
        let copy = scene.path(&format!("copy-{round}"));
        plain_tree::copy(&scene.source, &copy);
        copies.push((scene.take_point(), copy));
    }
    let points = scene.points();
    scene.lose_home();
    scene.restore_db(&native).done();
    assert_eq!(ids(&scene.points()), [first.id.as_str()], "the copy knows no more");

    let what_if = scene.program().run(args!["dpmsync", "-Sync", "-WhatIf"]);
    what_if.done();
    let newer: Vec<String> = copies.iter().map(|(point, _)| point.id.clone()).collect();
    let adopted = |outcome: &Outcome| {
        let mut adopted = in_list(outcome, "adopted", "point");
        adopted.retain(|id| newer.contains(id));
        adopted.sort();
        adopted
    };
    let mut expected = newer.clone();
    expected.sort();
    assert_eq!(adopted(&what_if), expected, "{what_if}");
    assert_eq!(scene.points().len(), 1, "-WhatIf changes nothing");

    let synced = scene.sync();
    assert_eq!(synced.done()["clean"], true, "{synced}");
    assert_eq!(adopted(&synced), expected, "{synced}");
    assert_eq!(scene.points(), points);
    for (point, copy) in &copies {
        assert_same(copy, &scene.recovered(&point.id));
    }
    let next = scene.take_point();
    assert_adds_little(&next);
    scene.assert_syncs_clean();
}

#[test]
fn a_deleted_replica_is_reallocated_and_loaded_by_hand() {
    let (scene, mut random) = heavy_scene("a_deleted_replica", 312);
    scene.take_point();
    plain_tree::change(&scene.source, 0.02, &mut random);
    scene.take_point();
    let history = scene.points();
    let lost = delete_replica(&scene);
    delete_data(&scene);

    // Nothing goes into a replica that is not there, and nothing takes it for granted that it is gone for good.
    for _ in 0..2 {
        let synced = scene.sync();
        assert_eq!(synced.json_with_code(1)["clean"], false, "{synced}");
        assert_eq!(in_list(&synced, "missing", "replica"), std::slice::from_ref(&lost), "{synced}");
        let mut points = in_list(&synced, "missing", "point");
        points.sort();
        let mut expected = ids(&history);
        expected.sort_unstable();
        assert_eq!(points, expected, "{synced}");
    }
    assert_eq!(state(&scene), "missing");
    let before = Rows::of(&scene.program());
    scene.sync().json_with_code(1);
    before.assert_same(&Rows::of(&scene.program()), "a sync that finds what is known");
    let failure = scene.protect().failed();
    assert!(failure.speaks_of(&["-ReallocateReplica"]), "{failure:?}");
    assert!(scene.alerts().iter().any(|alert| alert.starts_with("replica-missing")), "{:?}", scene.alerts());

    let reallocated = scene.program().run(args!["dpmsync", "-ReallocateReplica"]);
    let document = reallocated.done();
    assert_eq!(document["reallocated"][0]["old_replica"], lost.as_str(), "{reallocated}");
    assert_ne!(document["reallocated"][0]["replica"], lost.as_str(), "{reallocated}");
    assert_eq!(state(&scene), "inconsistent");
    let again = scene.program().run(args!["dpmsync", "-ReallocateReplica"]);
    assert_eq!(again.done()["reallocated"], serde_json::json!([]), "once is enough: {again}");
    let listed = scene.points();
    assert_eq!(ids(&listed), ids(&history), "the history is kept");
    assert!(listed.iter().all(|point| point.state == "missing"), "{listed:?}");

    let carried = carried(&scene, &mut random);
    let loaded = scene.program().run(args!["source", "load", scene.source, carried]);
    loaded.done();
    assert!(loaded.point().added_bytes > (LARGE * LARGE_FILES / 2) as u64, "the volume had the data still: {loaded}");
    assert_eq!(state(&scene), "inconsistent", "loaded is not yet proved");
    // Only its source can prove it, not the hashes of what was loaded.
    scene.sync().json_with_code(1);
    assert_eq!(state(&scene), "inconsistent");
    let copied = scene.program().run(args!["dpmsync", "-DataCopied"]);
    let checked = copied.done();
    assert_eq!(checked["checked"]["points"].as_array().map(Vec::len), Some(1), "{copied}");
    assert_eq!(state(&scene), "valid");
    let newest = scene.points().pop().unwrap();
    assert_adds_little(&newest);
    assert_same(&scene.source, &scene.recovered(&newest.id));
    plain_tree::change(&scene.source, 0.02, &mut random);
    let next = scene.take_point();
    assert_adds_little(&next);
    assert_same(&scene.source, &scene.recovered(&next.id));

    // A person gives up what nothing brings back. Then catalog and volume are one.
    let gone = scene.program().run(args!["expire", "--missing"]).done();
    assert_eq!(gone["expired"].as_array().map(Vec::len), Some(history.len()));
    // That a pack is gone is told once more; from then on nothing asks for it.
    scene.program().run(args!["verify", "--repair"]).json_with_code(1);
    scene.assert_syncs_clean();
    let none = scene.program().run(args!["expire", "--missing"]).done();
    assert_eq!(none["expired"], serde_json::json!([]), "and none else is given up");
    assert!(scene.alerts().iter().all(|alert| !alert.starts_with("replica-missing")), "{:?}", scene.alerts());
    scene.assert_sound();
}

#[test]
fn a_deleted_replica_whose_data_is_left_is_put_back_from_the_catalog() {
    let (scene, mut random) = heavy_scene("whose_data_is_left", 313);
    let copy = scene.path("copy");
    plain_tree::copy(&scene.source, &copy);
    let first = scene.take_point();
    plain_tree::change(&scene.source, 0.1, &mut random);
    scene.take_point();
    let history = scene.points();
    let lost = delete_replica(&scene);
    // What no point of the volume needs may still be needed: nobody gave these points up.
    let refused = scene.program().run(args!["prune"]).failed();
    assert_eq!(refused.code, "points-missing", "{refused:?}");
    scene.sync().json_with_code(1);
    scene.program().run(args!["prune"]).failed();
    let mended = scene.program().run(args!["verify", "--repair"]);
    mended.done();
    let synced = scene.sync();
    assert_eq!(synced.done()["clean"], true, "{synced}");
    assert_eq!(in_list(&synced, "found_again", "replica"), [lost], "{synced}");
    scene.assert_syncs_clean();
    assert_eq!(scene.points(), history);
    assert_same(&copy, &scene.recovered(&first.id));
    let next = scene.take_point();
    assert_adds_little(&next);
    scene.assert_sound();
}

#[test]
fn a_first_copy_is_carried_here_by_hand() {
    let (scene, mut random) = heavy_scene("a_first_copy", 314);
    let add = args!["source", "add", "--manual", scene.source, "--pool", scene.pool, "--keep-last", "5"];
    let added = scene.program().run(add);
    assert_eq!(added.done()["sources"][0]["state"], "manual-creation-pending", "{added}");
    let failure = scene.program().run(args!["backup", "--source", scene.source]).failed();
    assert!(failure.speaks_of(&["source load"]), "{failure:?}");
    assert_eq!(scene.points(), [], "nothing was sent");

    let carried = carried(&scene, &mut random);
    scene.program().run(args!["source", "load", scene.source, scene.path("nowhere")]).failed();
    let loaded = scene.program().run(args!["source", "load", scene.source, carried]);
    loaded.done();
    assert_eq!(loaded.point().source, scene.source.to_str().unwrap(), "{loaded}");
    assert_eq!(state(&scene), "inconsistent");
    let backup = scene.program().run(args!["backup", "--source", scene.source]);
    backup.done();
    let point = backup.point();
    assert_eq!((state(&scene).as_str(), point.state.as_str()), ("valid", "complete"));
    assert_adds_little(&point);
    assert_same(&scene.source, &scene.recovered(&point.id));
    let failure = scene.program().run(args!["source", "load", scene.source, carried]).failed();
    assert!(failure.speaks_of(&["nothing to load"]), "{failure:?}");
    scene.assert_syncs_clean();
}

#[test]
fn a_file_that_was_carried_with_the_same_size_and_time_and_other_content_is_found() {
    let (scene, mut random) = heavy_scene("same_size_and_time", 315);
    let add = args!["source", "add", "--manual", scene.source, "--pool", scene.pool];
    scene.program().run(add).done();
    let carried = scene.path("carried");
    plain_tree::copy(&scene.source, &carried);
    let file = carried.join("heavy-1");
    let modified = fs::metadata(&file).unwrap().modified().unwrap();
    fs::write(&file, random.bytes(LARGE)).unwrap();
    fs::File::options().write(true).open(&file).unwrap().set_modified(modified).unwrap();
    scene.program().run(args!["source", "load", scene.source, carried]).done();
    let copied = scene.program().run(args!["dpmsync", "-DataCopied"]);
    copied.done();
    assert_eq!(state(&scene), "valid");
    assert_same(&scene.source, &scene.recovered("latest"));
}

#[test]
fn what_was_missing_and_is_back_is_not_given_up_with_what_is_missing() {
    let (scene, _) = heavy_scene("missing_and_back", 205);
    let point = scene.take_point();
    let away = scene.path("away");
    let names = ["replicas", "mirror/replicas"];
    for (number, name) in names.iter().enumerate() {
        fs::create_dir_all(&away).unwrap();
        fs::rename(scene.pool.join(name), away.join(number.to_string())).unwrap();
    }
    scene.sync().json_with_code(1);
    assert!(scene.points().iter().all(|point| point.state == "missing"));
    for (number, name) in names.iter().enumerate() {
        fs::rename(away.join(number.to_string()), scene.pool.join(name)).unwrap();
    }
    let expired = scene.program().run(args!["expire", "--missing"]);
    assert_eq!(expired.done()["expired"], serde_json::json!([]), "{expired}");
    assert!(expired.stderr().contains("dpmsync -Sync"), "{expired}");
    scene.assert_syncs_clean();
    assert_same(&scene.source, &scene.recovered(&point.id));
}
