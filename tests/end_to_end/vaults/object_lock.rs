//! Where the store itself keeps versions for a time: a vault works there, and comes back after whoever had the store's keys has
//! deleted everything.

use resurgam_tests::{Service, Store, args, assert_same};

use super::{Owner, Protected, on};

/// What `vault check` says of versions.
fn keeps_versions(store: &Store) -> bool {
    let outcome = store.opened_by(&resurgam_tests::Scene::new().program()).run(args!["vault", "check", store.url()]);
    let document = outcome.done();
    let checks = document["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["promise"].as_str().unwrap().contains("versions"));
    check.unwrap_or_else(|| panic!("{outcome}"))["holds"].as_bool().unwrap()
}

fn reported(store: &Store) {
    assert!(!keeps_versions(store));
}

#[test]
fn that_there_are_no_versions_is_reported_azurite() {
    on(Service::Azurite, "no_versions", reported);
}

#[test]
fn that_there_are_no_versions_is_reported_seaweedfs() {
    on(Service::SeaweedFs, "no_versions", reported);
}

#[test]
fn a_vault_under_object_lock_works_and_outlives_whoever_deletes_everything() {
    on(Service::SeaweedFs, "object_lock", |plain| {
        let store = plain.locked();
        assert!(keeps_versions(&store));
        let owner = Owner::new(&store);
        let mut server = Protected::new(&owner, "object_lock", 481);
        let mut made = vec![server.back_up_online()];
        server.run(args!["expire", "--point", made[0].0.id, "--pin-file", owner.pin_file()]);
        server.run(args!["vault", "undelete", made[0].0.id]);
        made.push(server.back_up_online());
        server.run(args!["prune"]);
        server.run(args!["verify", "--online", "--read-data"]);
        store.delete("");
        assert_eq!(store.names(""), Vec::<String>::new());
        let lost =
            server.scene.program().run(args!["recover", made[0].0.id, "--online", "--to", server.scene.path("lost")]);
        assert_eq!(lost.code(), Some(1), "{lost}");
        store.revive();
        for (point, copy) in &made {
            let to = server.scene.path(&format!("to-{}", point.id));
            server.run(args!["recover", point.id, "--online", "--to", to]);
            assert_same(copy, &to);
        }
        server.run(args!["verify", "--online", "--read-data"]);
        made.push(server.back_up_online());
        assert_eq!(server.points().len(), made.len());
    });
}
