//! The first copy travels on a disk: written without the network, loaded by somebody without keys, and gone on from.

use std::fs;

use resurgam_tests::{Store, args, assert_same, plain_tree};

use super::{Owner, Protected, last_cost, online};

on_each_store!(a_first_copy_on_a_carried_disk_is_loaded_and_gone_on_from);

fn a_first_copy_on_a_carried_disk_is_loaded_and_gone_on_from(store: &Store) {
    let owner = Owner::new(store);
    let mut server = Protected::new(&owner, "carried", 471);
    fs::write(server.scene.source.join("heavy"), server.random.bytes(3_000_000)).unwrap();
    server.run(args!["backup"]);
    let carried_copy = server.scene.path("carried-copy");
    plain_tree::copy(&server.scene.source, &carried_copy);

    // Written with the store out of reach, since nothing is asked of it: no name resolves where there is no network.
    let disk = server.scene.path("disk");
    let mut apart = std::process::Command::new("unshare");
    apart.args(["--net", "--"]);
    let mut written = server.scene.program().command_under(apart, args!["vault", "carry", disk]);
    let written = resurgam_tests::Running::start(&mut written).finish(std::time::Duration::from_secs(120));
    let carried = written.done();
    assert_eq!(carried["points"].as_array().map(Vec::len), Some(2), "the source and the catalog: {written}");
    assert!(carried["bytes"].as_u64().unwrap() > 3_000_000, "{written}");
    assert_eq!(server.points().len(), 0, "nothing is in the vault yet");
    // Begun again, nothing is written twice.
    let again = server.run(args!["vault", "carry", disk]);
    assert_eq!((&again["points"], &again["bytes"]), (&carried["points"], &carried["bytes"]));

    // Whoever loads it has access to the store, and nothing else: no home, no key, no passphrase.
    let courier = resurgam_tests::Scene::new();
    let program = store.opened_by(&courier.program());
    let spoiled = plain_tree::files_below(&disk.join("packs")).remove(0);
    let sound = fs::read(&spoiled).unwrap();
    let mut bytes = sound.clone();
    bytes[sound.len() / 2] ^= 1;
    fs::write(&spoiled, bytes).unwrap();
    let refused = program.run(args!["vault", "load", disk]).failed();
    assert!(refused.speaks_of(&[spoiled.file_name().unwrap().to_str().unwrap()]), "{refused:?}");
    assert_eq!(server.points().len(), 0);
    fs::write(&spoiled, sound).unwrap();
    let loaded = program.run(args!["vault", "load", disk, store.url()]).done();
    let (sent, there) = (loaded["objects"].as_u64().unwrap(), loaded["there"].as_u64().unwrap());
    assert_eq!(Some(sent + there), carried["objects"].as_u64(), "{loaded}");
    assert!(!courier.home.exists(), "no home was made");
    let twice = program.run(args!["vault", "load", disk]).done();
    assert_eq!(twice["objects"], 0, "{twice}");

    // The server finds it there, and sends what has changed since and nothing more.
    fs::write(server.scene.source.join("new"), b"since then").unwrap();
    let outcome = server.scene.program().run(args!["backup", "--online"]);
    outcome.done();
    let cost = last_cost(&server.scene.program(), &server.scene.source);
    assert!(cost.bytes_up < 1_500_000, "{cost:?} is a full upload");
    let newest = online(&outcome).remove(0);
    let points = server.points();
    assert_eq!(points.len(), 2, "the one that was carried, and the new one: {points:?}");
    assert_eq!(points[1].id, newest.id);
    assert!(carried["points"].as_array().unwrap().iter().any(|point| point["id"] == points[0].id.as_str()));
    for (point, copy) in [(&points[0], &carried_copy), (&points[1], &server.scene.source)] {
        let to = server.scene.path(&format!("to-{}", point.id));
        server.run(args!["recover", point.id, "--online", "--to", to]);
        assert_same(copy, &to);
    }
    server.run(args!["prune"]);
    server.run(args!["verify", "--online", "--read-data"]);
    server.scene.assert_sound();

    // A disk of one vault is none for another.
    let other = store.beside("other");
    let stranger = Owner::new(&other);
    let refused = other.opened_by(&stranger.scene.program()).run(args!["vault", "load", disk, other.url()]).failed();
    assert!(refused.speaks_of(&["no Resurgam volume", "not registered", "VOLUME.toml"]), "{refused:?}");
    // What a disk was for is written over by nobody.
    let used = server.scene.path("used");
    fs::create_dir(&used).unwrap();
    fs::write(used.join("photograph"), b"dear").unwrap();
    let refused = server.scene.program().run(args!["vault", "carry", used]).failed();
    assert_eq!(refused.code, "place", "{refused:?}");
}
