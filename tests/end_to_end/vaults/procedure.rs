//! What a vault is for: home and pool are gone, and the server comes back from the vault with the recovery kit.

use std::fs;

use resurgam_tests::{Store, args, assert_same};

use super::{Owner, Protected, cost_of, last_cost, online};

on_each_store!(home_and_pool_are_lost_and_the_server_comes_back_from_the_vault);

fn home_and_pool_are_lost_and_the_server_comes_back_from_the_vault(store: &Store) {
    let owner = Owner::new(store);
    let mut server = Protected::new(&owner, "procedure", 401);
    // Most of it does not change: a full upload would show.
    fs::write(server.scene.source.join("heavy"), server.random.bytes(2_000_000)).unwrap();
    let made: Vec<_> = (0..3).map(|_| server.back_up_online()).collect();
    let full = made[0].0.added_bytes;
    assert!(full > 2_000_000, "{full}");
    let kit = server.kit();
    let known = server.points();
    assert_eq!(known.len(), 3);

    // Nothing is left but the vault, the kit, and its passphrase; nothing in the environment opens the store.
    for lost in [&server.scene.home, &server.scene.pool] {
        fs::remove_dir_all(lost).unwrap();
    }
    let arguments = args!["dpmsync", "-RestoreDb", "-DbLoc", store.url()];
    let restored = server.run(arguments.into_iter().chain(kit));
    assert_eq!(restored["restored"]["keys"], "kit", "{restored}");
    let sync = server.scene.sync();
    let report = sync.json_with_code(1);
    assert_eq!(report["unreachable"].as_array().map(Vec::len), Some(1), "the pool is gone: {sync}");
    assert_eq!(
        (&report["missing"], &report["quarantined"]),
        (&serde_json::json!([]), &serde_json::json!([])),
        "{sync}"
    );
    server.run(args!["dpmsync", "-Accept"]);
    assert_eq!(server.points(), known, "every online point is there again");
    for (point, copy) in &made {
        let to = server.scene.path(&format!("to-{}", point.id));
        server.run(args!["recover", point.id, "--online", "--to", to]);
        assert_same(copy, &to);
    }
    // What it takes is said before it is fetched.
    let nowhere = server.scene.path("nowhere");
    let estimate = server.run(args![
        "recover",
        "latest",
        "--online",
        "--source",
        server.scene.source,
        "--to",
        nowhere,
        "--dry-run"
    ]);
    assert!(!nowhere.exists());
    assert!(estimate["bytes"].as_u64().unwrap() > 2_000_000, "{estimate}");
    assert!(estimate["fetch"]["bytes"].as_u64().unwrap() > 2_000_000, "{estimate}");
    assert!((2..100).contains(&estimate["fetch"]["requests"].as_u64().unwrap()), "{estimate}");
    let to = server.scene.path("latest");
    server.run(args!["recover", "latest", "--online", "--source", server.scene.source, "--to", to]);
    assert_same(&server.scene.source, &to);
    // And it takes about that much: opening the part and its index is not counted before.
    let cost = cost_of(&server.scene.program(), |job| job["kind"] == "recover");
    let foreseen = (estimate["fetch"]["requests"].as_u64().unwrap(), estimate["fetch"]["bytes"].as_u64().unwrap());
    assert!((foreseen.0..foreseen.0 + 24).contains(&cost.requests), "{cost:?}: {estimate}");
    assert!((foreseen.1..foreseen.1 + 500_000).contains(&cost.bytes_down), "{cost:?}: {estimate}");

    // A new disk for the pool.
    server.run(args!["pool", "lost", server.scene.pool]);
    server.run(args!["pool", "add", server.scene.path("new-pool")]);
    let reallocated = server.run(args!["dpmsync", "-ReallocateReplica"]);
    assert_eq!(reallocated["reallocated"].as_array().map(Vec::len), Some(2), "{reallocated}");
    server.run(args!["pool", "remove", server.scene.pool]);
    let (next, copy) = server.back_up_online();
    let cost = last_cost(&server.scene.program(), &server.scene.source);
    assert!(cost.bytes_up < full / 2, "{cost:?} is a full upload, which took {full}");
    assert!(next.added_bytes < full / 2, "{next:?}");
    let to = server.scene.path("next");
    server.run(args!["recover", next.id, "--online", "--to", to]);
    assert_same(&copy, &to);
    assert_eq!(server.points().len(), 4);
    // Nothing is frozen, and whatever deletes works.
    server.run(args!["expire"]);
    server.run(args!["prune"]);
    server.run(args!["verify"]);
    let again = server.scene.program().run(args!["backup", "--online"]);
    again.done();
    assert_eq!(online(&again).len(), 1, "{again}");
}
