//! A vault that was emptied under a server is told until it is whole again; and telling asks nothing of the network.

use std::{fs, path::Path};

use resurgam_tests::{Service, Store, args};
use serde_json::Value;

use super::{Owner, Protected};

on_each_store!(a_part_that_is_gone_is_told_until_there_is_one_again);

/// The alerts about vaults that stand.
fn alerts(server: &Protected<'_>) -> Vec<Value> {
    let document = server.run(args!["alerts"]);
    let mut alerts = document["alerts"].as_array().unwrap().clone();
    alerts.retain(|alert| alert["kind"].as_str().unwrap().starts_with("vault-"));
    alerts
}

#[track_caller]
fn assert_lost(server: &Protected<'_>) {
    let alerts = alerts(server);
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    let alert = &alerts[0];
    assert_eq!((&alert["kind"], &alert["severity"]), (&"vault-lost".into(), &"critical".into()), "{alert}");
    assert_eq!(alert["subject"], server.store.url());
    assert!(alert["message"].as_str().unwrap().contains("no longer holds this server's part"), "{alert}");
}

fn a_part_that_is_gone_is_told_until_there_is_one_again(store: &Store) {
    let owner = Owner::new(store);
    let mut server = Protected::new(&owner, "gone", 461);
    server.back_up_online();
    assert_eq!(alerts(&server), Vec::<Value>::new());
    store.delete(&server.part());
    // Nobody has looked yet.
    assert_eq!(alerts(&server), Vec::<Value>::new());
    server.scene.program().run(args!["backup", "--online", "--source", server.scene.source]).failed();
    assert_lost(&server);
    let status = server.run(args!["status"]);
    let copies = status["copies"].as_array().unwrap();
    let of_vault: Vec<&Value> =
        copies.iter().filter(|copy| copy["location"] != server.scene.pool.to_str().unwrap()).collect();
    assert!(!of_vault.is_empty() && of_vault.iter().all(|copy| copy["fault"].is_string()), "{status}");
    // A part of a server that registers anew is another one.
    server.register(&owner.credentials("anew")).done();
    assert_eq!(alerts(&server), Vec::<Value>::new());
}

#[test]
fn a_part_that_is_back_is_an_alert_no_more() {
    let store = Store::of(Service::Directory, "a_part_that_is_back").unwrap();
    let owner = Owner::new(&store);
    let mut server = Protected::new(&owner, "back", 462);
    server.back_up_online();
    let (part, away) = (Path::new(store.url()).join(server.part()), server.scene.path("away"));
    fs::rename(&part, &away).unwrap();
    // Whoever lists the vaults has looked.
    server.run(args!["vault", "list"]);
    assert_lost(&server);
    fs::rename(&away, &part).unwrap();
    assert_lost(&server);
    server.run(args!["vault", "list"]);
    assert_eq!(alerts(&server), Vec::<Value>::new());
    let all = server.run(args!["alerts", "--all"]);
    let cleared = all["alerts"].as_array().unwrap().iter().find(|alert| alert["kind"] == "vault-lost").unwrap();
    assert!(cleared["cleared"].is_string(), "{cleared}");
    server.back_up_online();
}

#[test]
fn online_backups_that_fail_are_told() {
    let store = Store::of(Service::Directory, "online_backups_that_fail").unwrap();
    let owner = Owner::new(&store);
    let mut server = Protected::new(&owner, "fail", 463);
    server.back_up_online();
    let failing = || {
        let document = server.run(args!["alerts"]);
        let subject = format!("{}, online", server.scene.source.display());
        let meant = |alert: &&Value| alert["kind"] == "source-failing" && alert["subject"] == subject.as_str();
        document["alerts"].as_array().unwrap().iter().find(meant).cloned()
    };
    assert_eq!(failing(), None);
    let (part, away) = (Path::new(store.url()).join(server.part()), server.scene.path("away"));
    fs::rename(&part, &away).unwrap();
    let backup = || server.scene.program().run(args!["backup", "--online", "--source", server.scene.source]);
    for severity in ["warning", "warning", "critical"] {
        backup().failed();
        assert_eq!(failing().map(|alert| alert["severity"].clone()), Some(severity.into()));
    }
    fs::rename(&away, &part).unwrap();
    backup().done();
    assert_eq!(failing(), None);
}
