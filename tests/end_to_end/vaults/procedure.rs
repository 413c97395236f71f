//! What a vault is for: home and pool are gone, and the server comes back from the vault with the recovery kit.

use std::{fs, path::Path, time::Instant};

use resurgam_tests::{Random, Store, args, assert_same, parts::count_from, plain_tree};

use super::{Owner, Protected, cost_of, last_cost, online};

on_each_store!(home_and_pool_are_lost_and_the_server_comes_back_from_the_vault);

/// Bytes of the tree, where `RESURGAM_TREE_BYTES` does not say more.
const TREE_BYTES: u64 = 6_000_000;

/// A fifth of the bytes in small files, the others in a few large ones; about half of them can be compressed.
fn build_tree(root: &Path, random: &mut Random) -> u64 {
    let bytes = count_from("RESURGAM_TREE_BYTES", TREE_BYTES);
    let large_bytes = (bytes * 2 / 5).min(16_000_000);
    let size = plain_tree::Size {
        // A small file has some 6 KB.
        small_files: bytes / 5 / 6000,
        large_files: bytes * 4 / 5 / large_bytes,
        large_bytes: usize::try_from(large_bytes).unwrap(),
    };
    fs::create_dir(root).unwrap();
    plain_tree::build(root, size, random);
    plain_tree::bytes_below(root)
}

/// Does a step, and prints how long it took.
fn timed<T>(step: &str, run: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let done = run();
    println!("{step}: {:.1} s", began.elapsed().as_secs_f64());
    done
}

fn home_and_pool_are_lost_and_the_server_comes_back_from_the_vault(store: &Store) {
    let owner = Owner::new(store);
    let mut server = Protected::new(&owner, "procedure", 401);
    // Most of it does not change: a full upload would show.
    let bytes = build_tree(&server.scene.source.join("tree"), &mut server.random);
    let mut made = Vec::new();
    for number in 1..=3 {
        made.push(timed(&format!("back-up {number} of {bytes} bytes"), || server.back_up_online()));
        println!("{:?}", last_cost(&server.scene.program(), &server.scene.source));
    }
    let full = made[0].0.added_bytes;
    assert!(full > bytes / 2, "{full} of {bytes}");
    let kit = server.kit();
    let known = server.points();
    assert_eq!(known.len(), 3);

    // Nothing is left but the vault, the kit, and its passphrase; nothing in the environment opens the store.
    for lost in [&server.scene.home, &server.scene.pool] {
        fs::remove_dir_all(lost).unwrap();
    }
    let arguments = args!["dpmsync", "-RestoreDb", "-DbLoc", store.url()];
    let restored = timed("-RestoreDb", || server.run(arguments.into_iter().chain(kit)));
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
        timed("recover", || server.run(args!["recover", point.id, "--online", "--to", to]));
        assert_same(copy, &to);
        fs::remove_dir_all(to).unwrap();
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
    let foreseen = (estimate["fetch"]["requests"].as_u64().unwrap(), estimate["fetch"]["bytes"].as_u64().unwrap());
    assert!((2..100 + foreseen.1 / 2_000_000).contains(&foreseen.0), "{estimate}");
    let to = server.scene.path("latest");
    server.run(args!["recover", "latest", "--online", "--source", server.scene.source, "--to", to]);
    assert_same(&server.scene.source, &to);
    // And it takes about that much: opening the part and its index is not counted before, and of a large tree nobody knows
    // what will be fetched twice, nor in which turns.
    let cost = cost_of(&server.scene.program(), |job| job["kind"] == "recover");
    println!("{cost:?}: {estimate}");
    let near =
        |foreseen: u64, part: u64, besides: u64| foreseen - foreseen / part..=foreseen + foreseen / part + besides;
    assert!(near(foreseen.0, 3, 24).contains(&cost.requests), "{cost:?}: {estimate}");
    assert!(near(foreseen.1, 8, 500_000).contains(&cost.bytes_down), "{cost:?}: {estimate}");

    // A new disk for the pool.
    server.run(args!["pool", "lost", server.scene.pool]);
    server.run(args!["pool", "add", server.scene.path("new-pool")]);
    let reallocated = server.run(args!["dpmsync", "-ReallocateReplica"]);
    assert_eq!(reallocated["reallocated"].as_array().map(Vec::len), Some(2), "{reallocated}");
    server.run(args!["pool", "remove", server.scene.pool]);
    let (next, copy) = timed("back-up after the rebuild", || server.back_up_online());
    let cost = last_cost(&server.scene.program(), &server.scene.source);
    println!("{cost:?}");
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
