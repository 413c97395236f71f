//! A volume of the pool in an object store: backed up to, recovered from, verified, pruned, and the server rebuilt from it.

use std::fs;

use resurgam_tests::{Random, Scene, Store, args, assert_same, plain_tree};

use super::secret;

on_each_store!(a_volume_of_the_pool_lies_in_an_object_store);

fn a_volume_of_the_pool_lies_in_an_object_store(store: &Store) {
    let scene = Scene::new();
    let mut random = Random::for_test("far_pool", 491);
    plain_tree::build(&scene.source, plain_tree::Size::TINY, &mut random);
    let (program, plain) = (store.opened_by(&scene.program()), scene.program());
    let passphrase = secret(&scene, "passphrase", "a passphrase of many letters");
    let pool = |program: &resurgam_tests::Program| {
        program.run(args!["pool", "add", store.url(), "--passphrase-file", passphrase])
    };

    let clear = program.run(args!["pool", "add", store.url()]).failed();
    assert_eq!(clear.code, "passphrase", "{clear:?}");
    assert_eq!(store.names(""), Vec::<String>::new(), "nothing was begun");
    let unknown = plain.run(args!["protect", scene.source, "--pool", store.url()]).failed();
    assert_eq!(unknown.code, "no-volume", "{unknown:?}");
    let added = pool(&program).done();
    assert_eq!(added["volumes"][0]["protection"], "passphrase", "{added}");
    // What opens the store is kept.
    assert_eq!(pool(&plain).done()["volumes"], added["volumes"], "twice is once");
    let first = plain.run(args!["protect", scene.source, "--pool", store.url(), "--keep-last", "2"]);
    first.done();
    let mut made = Vec::new();
    for _ in 0..3 {
        plain_tree::change(&scene.source, 0.1, &mut random);
        let outcome = plain.run(args!["backup", "--source", scene.source]);
        outcome.done();
        let copy = scene.path(&format!("copy-{}", made.len()));
        plain_tree::copy(&scene.source, &copy);
        made.push((outcome.point().id, copy));
    }
    plain.run(args!["expire"]).done();
    plain.run(args!["prune"]).done();
    plain.run(args!["verify", "--read-data"]).done();
    let to = scene.path("to");
    plain.run(args!["recover", made[1].0, "--to", to]).done();
    assert_same(&made[1].1, &to);
    plain.run(args!["backup"]).done();

    // The home is gone. The volume alone, its passphrase and access to the store bring the server back.
    fs::remove_dir_all(&scene.home).unwrap();
    let restore = args!["dpmsync", "-RestoreDb", "-DbLoc", store.url(), "--passphrase-file", passphrase];
    program.run(restore).done();
    program.run(args!["dpmsync", "-Sync", "--passphrase-file", passphrase]).done();
    program.run(args!["dpmsync", "-Accept"]).done();
    let again = scene.path("again");
    program.run(args!["recover", made[2].0, "--to", again, "--passphrase-file", passphrase]).done();
    assert_same(&made[2].1, &again);
    program.run(args!["backup", "--passphrase-file", passphrase]).done();

    // A place with something else in it is left alone.
    let other = store.beside("other");
    other
        .opened_by(&scene.program())
        .run(args!["vault", "create", other.url(), "--owner-key", scene.path("key")])
        .done();
    let taken = program.run(args!["pool", "add", other.url(), "--passphrase-file", passphrase]).failed();
    assert!(taken.speaks_of(&["VOLUME.toml", "vault"]), "{taken:?}");
    assert_eq!(other.names("").len(), 1, "{:?}", other.names(""));
}
