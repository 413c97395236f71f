//! Online points that are deleted come back for a while; and nothing that cannot be taken back happens without a PIN.

use std::{fs, path::Path};

use resurgam_tests::{
    Outcome, Program, Service, Store, args, assert_same,
    parts::{Part, is_present},
    plain_tree,
};

use super::{Owner, Protected, at_another_time, secret};

on_each_store!(a_deleted_point_comes_back, what_deletes_takes_a_pin, the_passphrase_is_changed_with_a_pin_alone);

#[track_caller]
fn assert_refused(outcome: &Outcome, code: &str) {
    let failure = outcome.failed();
    assert_eq!(failure.code, code, "{outcome}");
    assert!(failure.speaks_of(&["resurgam vault pin"]), "{failure:?}");
}

/// A PIN that is not this one.
fn another(pin: &str) -> String {
    let last = pin.chars().last().unwrap();
    format!("{}{}", &pin[..pin.len() - 1], if last == '1' { '2' } else { '1' })
}

fn a_deleted_point_comes_back(store: &Store) {
    let owner = Owner::new(store);
    let mut server = Protected::new(&owner, "undelete", 421);
    let (deleted, copy) = server.back_up_online();
    let (kept, kept_copy) = server.back_up_online();
    let before = server.points();
    server.run(args!["expire", "--point", deleted.id, "--pin-file", owner.pin_file()]);
    assert_eq!(server.points().iter().map(|point| &point.id).collect::<Vec<_>>(), [&kept.id]);
    // Its data is needed, whatever collects.
    for _ in 0..2 {
        server.run(args!["prune"]);
    }
    let listed = server.run(args!["vault", "undelete"]);
    assert_eq!(listed["deleted"].as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(listed["deleted"][0]["id"], deleted.id.as_str(), "{listed}");
    let back = server.run(args!["vault", "undelete", &deleted.id[..13]]);
    assert_eq!((&back["undeleted"]["id"], &back["deleted"]), (&deleted.id.as_str().into(), &serde_json::json!([])));
    assert_eq!(server.points(), before);
    for (point, copy) in [(&deleted, &copy), (&kept, &kept_copy)] {
        let to = server.scene.path(&format!("to-{}", point.id));
        server.run(args!["recover", point.id, "--online", "--to", to]);
        assert_same(copy, &to);
    }
    let twice = server.scene.program().run(args!["vault", "undelete", deleted.id]).failed();
    assert_eq!(twice.code, "no-point", "{twice:?}");
    server.scene.assert_sound();
}

fn what_deletes_takes_a_pin(store: &Store) {
    let owner = Owner::new(store);
    let mut server = Protected::new(&owner, "pin", 422);
    let (point, copy) = server.back_up_online();
    let expire = args!["expire", "--point", point.id].to_vec();
    let remove = args!["source", "remove", server.scene.source, "--delete-points"].to_vec();
    let program = server.scene.program();
    for arguments in [&expire, &remove] {
        assert_refused(&program.run(arguments.clone()), "pin-needed");
        // No PIN was ever made.
        let any = arguments.iter().cloned().chain(args!["--pin-file", secret(&server.scene, "pin", "123456")]);
        assert_refused(&program.run(any), "pin");
    }
    let pin = owner.pin();
    for arguments in [&expire, &remove] {
        for wrong in [another(&pin), String::new(), format!("{pin}0")] {
            let file = secret(&server.scene, "pin", &wrong);
            let outcome = program.run(arguments.iter().cloned().chain(args!["--pin-file", file]));
            assert_eq!(outcome.failed().code, "pin", "{outcome}");
        }
    }
    assert_eq!(server.points().len(), 1, "nothing was deleted");
    let to = server.scene.path("to");
    server.run(args!["recover", point.id, "--online", "--to", to]);
    assert_same(&copy, &to);
    // A newer PIN ends the older one.
    let newer = owner.pin();
    let older = secret(&server.scene, "pin", &pin);
    let outcome = program.run(expire.iter().cloned().chain(args!["--pin-file", older]));
    assert_eq!(outcome.failed().code, "pin", "{outcome}");
    // The last in from standard input.
    let mut command = program.command(remove.iter().cloned().chain(args!["--pin-file", "-"]));
    command.stdin(fs::File::open(secret(&server.scene, "newer", &newer)).unwrap());
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    assert!(server.points().is_empty());
    assert!(server.scene.points().is_empty());
}

fn the_passphrase_is_changed_with_a_pin_alone(store: &Store) {
    let owner = Owner::new(store);
    let mut server = Protected::new(&owner, "passphrase", 423);
    let (point, copy) = server.back_up_online();
    let new = secret(&server.scene, "new-passphrase", "quite another passphrase");
    let change = args!["vault", "passphrase", "--new-passphrase-file", new].to_vec();
    let program = server.scene.program();
    assert_refused(&program.run(change.clone()), "pin-needed");
    let pin = owner.pin();
    let (right, wrong) = (secret(&server.scene, "pin", &pin), secret(&server.scene, "wrong", &another(&pin)));
    assert_refused(&program.run(change.iter().cloned().chain(args!["--pin-file", wrong])), "pin");
    let part = format!("{}/{}", store.url(), server.part());
    let reader = store.opened_by(&Program::new(server.scene.path("no-home")));
    let read =
        |passphrase: &std::path::Path| reader.run(args!["reader", "points", part, "--passphrase-file", passphrase]);
    assert_eq!(read(&server.passphrase).points().len(), 1, "the old one counts still");
    read(&new).failed();

    let short = secret(&server.scene, "short", "fifteen letters");
    let weak = args!["vault", "passphrase", "--new-passphrase-file", short, "--pin-file", right];
    let failure = program.run(weak).failed();
    assert_eq!(failure.code, "passphrase-weak", "{failure:?}");

    server.run(change.iter().cloned().chain(args!["--pin-file", right]));
    assert_eq!(read(&new).points().len(), 1);
    let refused = read(&server.passphrase).failed();
    assert_eq!(refused.code, "passphrase-wrong", "{refused:?}");
    // The server itself needs neither.
    let (next, _) = server.back_up_online();
    assert_ne!(next.id, point.id);
    let to = server.scene.path("to");
    let what = args!["reader", "recover", part, point.id, "--to", to, "--passphrase-file", new];
    reader.run(what).done();
    assert_same(&copy, &to);
}

#[test]
fn the_days_of_a_deleted_point_end_by_the_clock_and_not_before() {
    if !is_present("the_days_of_a_deleted_point", &[Part::Tool("faketime")]) {
        return;
    }
    let store = Store::of(Service::Directory, "the_days_of_a_deleted_point").unwrap();
    let owner = Owner::new(&store);
    let mut server = Protected::new(&owner, "days", 424);
    let (deleted, _) = server.back_up_online();
    let (kept, copy) = server.back_up_online();
    server.run(args!["expire", "--point", deleted.id, "--pin-file", owner.pin_file()]);
    let can_come_back = || server.run(args!["vault", "undelete"])["deleted"].as_array().unwrap().len();
    at_another_time(&server.scene.program(), "+13d", args!["prune"]).done();
    assert_eq!(can_come_back(), 1);
    // What a killed command left in both places is no deleted point, however old.
    server.run(args!["expire", "--point", kept.id, "--pin-file", owner.pin_file()]);
    let below = Path::new(store.url()).join(server.part()).join("deleted");
    let both = plain_tree::files_below(&below);
    let of_kept = both.iter().find(|file| file.ends_with(&kept.id)).unwrap();
    let aside = server.scene.path("aside");
    fs::copy(of_kept, &aside).unwrap();
    server.run(args!["vault", "undelete", kept.id]);
    fs::copy(&aside, of_kept).unwrap();
    assert_eq!(can_come_back(), 1);
    at_another_time(&server.scene.program(), "+15d", args!["prune"]).done();
    assert_eq!(can_come_back(), 0);
    assert_eq!(plain_tree::files_below(&below), std::slice::from_ref(of_kept));
    server.run(args!["prune"]);
    let to = server.scene.path("to");
    server.run(args!["recover", kept.id, "--online", "--to", to]);
    assert_same(&copy, &to);
}
