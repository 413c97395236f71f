//! How fast a vault may be talked to is a setting, which every command keeps to and a rebuilt server has again.

use std::{fs, time::Duration};

use resurgam_tests::{Store, args, assert_same};
use serde_json::json;

use super::{Owner, Protected, last_cost};

on_each_store!(limits_are_kept_and_survive_the_server);

/// Bytes a second.
const SLOW: u64 = 1 << 20;

/// That moving so many bytes did not take less than the limit asks for, but for what is small and does not wait.
#[track_caller]
fn assert_held_back(bytes: u64, took: Duration) {
    let least = Duration::from_millis(bytes * 800 / SLOW);
    assert!(least.as_secs() >= 4, "{bytes} bytes are too few to tell");
    assert!(took >= least, "{bytes} bytes took {took:?}, and not {least:?}");
}

fn limits_are_kept_and_survive_the_server(store: &Store) {
    let owner = Owner::new(store);
    let mut server = Protected::new(&owner, "limits", 451);
    let limits = |server: &Protected<'_>| server.run(args!["vault", "list"])["vaults"][0]["limits"].clone();
    let lifted = json!({"up_bytes_per_second": null, "down_bytes_per_second": null, "requests_at_once": null});
    assert_eq!(limits(&server), lifted);
    server.back_up_online();

    server.run(args!["vault", "set", "--up", "1M", "--down", "1MiB", "--requests", "3"]);
    let set = json!({"up_bytes_per_second": SLOW, "down_bytes_per_second": SLOW, "requests_at_once": 3});
    assert_eq!(limits(&server), set);
    let shown = server.scene.program().for_people().run(args!["vault", "list", "-v"]);
    assert!(shown.stdout().contains("up 1.0 MiB/s, down 1.0 MiB/s, 3 requests at once"), "{shown}");

    fs::write(server.scene.source.join("large"), server.random.bytes(7 << 20)).unwrap();
    server.run(args!["backup"]);
    let backup = server.scene.program().run(args!["backup", "--online", "--source", server.scene.source]);
    backup.done();
    let up = last_cost(&server.scene.program(), &server.scene.source).bytes_up;
    assert!(up > 7 << 20, "{up}");
    assert_held_back(up, backup.took());

    let kit = server.kit();
    server.scene.lose_home();
    server.run(args!["dpmsync", "-RestoreDb", "-DbLoc", store.url()].into_iter().chain(kit));
    server.scene.assert_syncs_clean();
    assert_eq!(limits(&server), set);
    let to = server.scene.path("to");
    let arguments = args!["recover", "latest", "--online", "--source", server.scene.source, "--to", to];
    let recover = server.scene.program().run(arguments);
    recover.done();
    assert_held_back(7 << 20, recover.took());
    assert_same(&server.scene.source, &to);

    server.run(args!["vault", "set", "--up", "none", "--down", "none", "--requests", "none"]);
    assert_eq!(limits(&server), lifted);
    for wrong in [args!["--up", "fast"], args!["--up", "10"], args!["--down", "1K"], args!["--requests", "0"]] {
        server.scene.program().run(args!["vault", "set"].into_iter().chain(wrong)).failed();
    }
    assert_eq!(limits(&server), lifted);
}
