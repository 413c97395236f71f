//! Bad days of a vault: it cannot be reached, is not there, is emptied, has another passphrase, is written by a server that
//! was thought lost; and two servers share it.

use std::fs;

use resurgam_tests::{Program, Rows, Scene, Store, args, assert_same, plain_tree};

use super::{Owner, Protected, secret};

on_each_store!(
    a_passphrase_that_is_weak_or_wrong_registers_nothing,
    a_vault_out_of_reach_harms_nothing,
    a_vault_that_was_emptied_is_told_and_harms_nothing_else,
    a_part_without_its_head_is_not_begun_anew,
    an_old_home_that_comes_back_writes_nothing,
    two_servers_of_a_vault_do_not_mix,
);

fn a_passphrase_that_is_weak_or_wrong_registers_nothing(store: &Store) {
    let owner = Owner::new(store);
    let other = Scene::new();
    fs::write(other.source.join("file"), b"something").unwrap();
    other.take_point();
    let credentials = owner.credentials("credentials");
    let register = |passphrase: &str| {
        let file = secret(&other, "passphrase", passphrase);
        let arguments = args!["vault", "register", "--credentials", credentials, "--passphrase-file", file];
        store.opened_by(&other.program()).run(arguments)
    };
    for weak in ["fifteen letters", "ein Kennwort mit Umläuten"] {
        let failure = register(weak).failed();
        assert_eq!(failure.code, "passphrase-weak", "{failure:?}");
    }
    assert_eq!(store.names("servers"), Vec::<String>::new(), "nothing was made");
    assert_eq!(other.program().run(args!["vault", "list"]).done()["vaults"], serde_json::json!([]));
    register(super::PASSPHRASE).done();
    let wrong = register("not the passphrase of the part").failed();
    assert_eq!(wrong.code, "passphrase-wrong", "{wrong:?}");
    register(super::PASSPHRASE).done();
    other.program().run(args!["group", "set", "Default", "--online"]).done();
    other.program().run(args!["backup", "--online"]).done();
}

fn a_vault_out_of_reach_harms_nothing(store: &Store) {
    // Nobody listens there; and nobody has made that bucket or container.
    let (scheme, rest) = store.url().split_once("://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let deaf = format!("{scheme}://127.0.0.1:9/{path}");
    let missing = format!("{scheme}://{host}/{}", path.replacen("resurgam/", "nobody-made-this/", 1));
    let scene = Scene::new();
    fs::write(scene.source.join("file"), b"something").unwrap();
    scene.take_point();
    let program = store.opened_by(&scene.program());
    for (url, words) in [(deaf, ["127.0.0.1:9", "reached"]), (missing, ["nobody-made-this", "bucket"])] {
        for arguments in [
            args!["vault", "create", url, "--owner-key", scene.path("owner.pem")].to_vec(),
            args!["reader", "points", url].to_vec(),
        ] {
            let outcome = program.run(arguments);
            let failure = outcome.failed();
            assert!(failure.speaks_of(&words[..1]) && failure.speaks_of(&words[1..]), "{outcome}");
            assert!(outcome.took().as_secs() < 60, "{outcome}");
        }
    }
    scene.take_point();
    scene.assert_sound();
}

fn a_vault_that_was_emptied_is_told_and_harms_nothing_else(store: &Store) {
    let owner = Owner::new(store);
    let mut server = Protected::new(&owner, "emptied", 442);
    server.back_up_online();
    let (_, copy) = server.back_up_online();
    let part = server.part();
    let rows = Rows::of(&server.scene.program());
    store.delete(&part);
    assert_eq!(store.names("servers"), Vec::<String>::new());

    let program = server.scene.program();
    let backup = program.run(args!["backup", "--online", "--source", server.scene.source]);
    let failure = if backup.code() == Some(0) { panic!("{backup}") } else { backup.failed() };
    assert!(failure.speaks_of(&[part.as_str(), store.url()]), "{backup}");
    let recover = program.run(args![
        "recover",
        "latest",
        "--online",
        "--source",
        server.scene.source,
        "--to",
        server.scene.path("none")
    ]);
    recover.failed();
    assert!(!server.scene.path("none").exists() || plain_tree::files_below(&server.scene.path("none")).is_empty());
    for deleting in ["prune", "expire"] {
        // What can still be done in the pool may be done; what the vault held stays known.
        program.run(args![deleting]);
    }
    let after = Rows::of(&program);
    for (id, row) in rows.table("recovery_point") {
        assert!(after.table("recovery_point").contains_key(id), "{id} is forgotten: {row:?}");
    }
    assert_eq!(store.names("servers"), Vec::<String>::new(), "nothing is begun anew where something was lost");
    // The pool goes on.
    let next = server.scene.program().run(args!["backup"]);
    next.done();
    assert_same(&server.scene.source, &server.scene.recovered(&next.point().id));
    assert_same(&copy, &server.scene.source);
}

fn a_part_without_its_head_is_not_begun_anew(store: &Store) {
    let owner = Owner::new(store);
    let mut server = Protected::new(&owner, "headless", 437);
    let (point, copy) = server.back_up_online();
    let part = server.part();
    for head in ["VOLUME.toml", "mirror/VOLUME.toml"] {
        store.remove(&format!("{part}/{head}"));
    }
    assert!(store.names(&part).iter().all(|name| !name.ends_with("VOLUME.toml")), "the head is gone");
    let refused = server.register(&owner.credentials("again")).failed();
    assert_eq!(refused.code, "part-without-head", "{refused:?}");
    assert!(store.names(&part).iter().all(|name| !name.ends_with("VOLUME.toml")), "nothing was begun");
    server.run(args!["verify", "--online", "--repair"]);
    server.register(&owner.credentials("once-more")).done();
    let to = server.scene.path("to");
    server.run(args!["recover", point.id, "--to", to]);
    assert_same(&copy, &to);
    server.back_up_online();
}

fn an_old_home_that_comes_back_writes_nothing(store: &Store) {
    let owner = Owner::new(store);
    let mut server = Protected::new(&owner, "old_home", 443);
    server.back_up_online();
    // What it could give up by its policy, which takes no PIN.
    server.run(args!["group", "set", "Default", "--online", "--online-keep-last", "1", "--online-keep-daily", "7"]);
    let kit = server.kit();
    server.back_up_online();
    let (lost, away) = (server.scene.lose_home(), server.scene.path("away"));
    // The new machine has the vault and the kit alone; the old one is thought lost with its pool, which so knows nothing of it.
    fs::rename(&server.scene.pool, &away).unwrap();
    server.run(args!["dpmsync", "-RestoreDb", "-DbLoc", store.url()].into_iter().chain(kit));
    server.scene.sync().json_with_code(1);
    server.run(args!["dpmsync", "-Accept"]);
    server.run(args!["pool", "lost", server.scene.pool]);
    server.run(args!["pool", "add", server.scene.path("new-pool")]);
    server.run(args!["dpmsync", "-ReallocateReplica"]);
    server.run(args!["expire", "--missing"]);
    server.run(args!["pool", "remove", server.scene.pool]);
    fs::rename(&away, &server.scene.pool).unwrap();
    let known = server.points();
    assert_eq!(known.len(), 2);
    let objects = || {
        let names = store.names("servers").into_iter();
        names.filter(|name| name.contains("/replicas/") || name.contains("/packs/")).collect::<Vec<_>>()
    };
    let before = objects();
    // Whatever it does first, and whatever it does then.
    let commands = [
        args!["backup", "--online", "--source", server.scene.source].to_vec(),
        args!["expire"].to_vec(),
        args!["prune"].to_vec(),
        args!["expire", "--point", known[0].id, "--pin-file", owner.pin_file()].to_vec(),
    ];
    for (number, arguments) in commands.iter().enumerate() {
        let copy = server.scene.path(&format!("old-{number}"));
        plain_tree::copy(&lost, &copy);
        let old = Program::new(copy);
        for what in [arguments, arguments, &commands[0]] {
            let outcome = old.run(what.clone());
            let failure = outcome.failed();
            assert_eq!(failure.code, "superseded", "{outcome}");
            assert!(failure.speaks_of(&["-RestoreDb"]), "{failure:?}");
            assert_eq!(server.points(), known, "{outcome}");
            assert_eq!(objects(), before, "{outcome}");
        }
    }
    let (_, copy) = server.back_up_online();
    let to = server.scene.path("to");
    server.run(args!["recover", "latest", "--online", "--source", server.scene.source, "--to", to]);
    assert_same(&copy, &to);
}

fn two_servers_of_a_vault_do_not_mix(store: &Store) {
    let owner = Owner::new(store);
    let mut servers = [Protected::new(&owner, "two_first", 444), Protected::new(&owner, "two_second", 445)];
    let made: Vec<_> = servers.iter_mut().map(|server| server.back_up_online()).collect();
    for (server, (point, copy)) in servers.iter().zip(&made) {
        let points = server.points();
        assert_eq!(points.len(), 1);
        assert_eq!(points[0].id, point.id);
        server.run(args!["expire"]);
        server.run(args!["prune"]);
        let to = server.scene.path("to");
        server.run(args!["recover", "latest", "--online", "--source", server.scene.source, "--to", to]);
        assert_same(copy, &to);
        server.scene.assert_sound();
    }
    // What is deleted in one part is in that part alone; a kit of one brings back one.
    servers[0].run(args!["expire", "--point", made[0].0.id, "--pin-file", owner.pin_file()]);
    assert_eq!(servers[1].run(args!["vault", "undelete"])["deleted"], serde_json::json!([]));
    let kit = servers[1].kit();
    servers[1].scene.lose_home();
    let arguments = args!["dpmsync", "-RestoreDb", "-DbLoc", store.url()];
    let restored = servers[1].run(arguments.into_iter().chain(kit));
    assert_eq!(restored["restored"]["keys"], "kit", "{restored}");
    servers[1].scene.assert_syncs_clean();
    assert_eq!(servers[1].points().iter().map(|point| &point.id).collect::<Vec<_>>(), [&made[1].0.id]);
    assert!(servers[0].points().is_empty());
}
