//! What deletes for good, under clocks and PINs that are not right: nothing goes before its time, nor by a PIN that does not
//! count.

use std::{ffi::OsString, path::Path};

use resurgam_tests::{
    Line, Service, Store, args, assert_same,
    parts::{Part, is_present},
};

use super::{Owner, Protected, at_another_time};

on_each_store!(a_clock_that_is_wrong_by_years_purges_nothing, a_pin_counts_for_minutes_and_in_its_own_vault);

/// The arguments that delete a point, with the PIN in a file.
fn expire(point: &str, pin: &Path) -> Vec<OsString> {
    args!["expire", "--point", point, "--pin-file", pin].to_vec()
}

fn a_clock_that_is_wrong_by_years_purges_nothing(store: &Store) {
    if !is_present("a_clock_that_is_wrong", &[Part::Tool("faketime")]) {
        return;
    }
    let owner = Owner::new(store);
    let mut server = Protected::new(&owner, "years", 481);
    let (deleted, copy) = server.back_up_online();
    server.back_up_online();
    server.run(expire(&deleted.id, &owner.pin_file()));
    for step in ["+15d", "+3650d"] {
        // The store's own clock stays. A store that minds when a request was signed refuses; one that does not is asked.
        let outcome = at_another_time(&server.scene.program(), step, args!["prune"]);
        println!("{step}: {:?}", outcome.code());
        assert!(outcome.code() == Some(0) || !outcome.failed().message.is_empty());
        let listed = server.run(args!["vault", "undelete"]);
        assert_eq!(listed["deleted"][0]["id"], deleted.id.as_str(), "{listed}");
    }
    server.run(args!["prune"]);
    server.run(args!["vault", "undelete", deleted.id]);
    let to = server.scene.path("to");
    server.run(args!["recover", deleted.id, "--online", "--to", to]);
    assert_same(&copy, &to);
    server.run(args!["verify", "--online", "--read-data"]);
}

/// On Azurite alone: a store that speaks S3 refuses what was signed by a clock that is days off its own.
#[test]
fn what_was_deleted_goes_when_its_days_are_over_by_both_clocks() {
    super::on(Service::Azurite, "what_was_deleted_goes", its_days_are_over_by_both_clocks);
}

fn its_days_are_over_by_both_clocks(store: &Store) {
    if !is_present("what_was_deleted_goes", &[Part::Tool("faketime")]) {
        return;
    }
    let line = Line::to(store);
    let owner = Owner::new(line.store());
    let mut server = Protected::new(&owner, "both_clocks", 483);
    let (deleted, _) = server.back_up_online();
    let (kept, copy) = server.back_up_online();
    server.run(expire(&deleted.id, &owner.pin_file()));
    let pruned_at = |here: u64, there: u64| -> usize {
        line.sets_the_clock_ahead(there);
        at_another_time(&server.scene.program(), &format!("+{here}d"), args!["prune"]).done();
        line.sets_the_clock_ahead(0);
        server.run(args!["vault", "undelete"])["deleted"].as_array().unwrap().len()
    };
    for (here, there) in [(15, 0), (0, 15), (15, 13), (13, 15)] {
        assert_eq!(pruned_at(here, there), 1, "{here} days passed here, {there} there");
    }
    assert_eq!(pruned_at(15, 15), 0);
    assert_eq!(store.names(&server.part()).iter().filter(|name| name.contains("/deleted/")).count(), 0);
    let gone = server.scene.program().run(args!["vault", "undelete", deleted.id]).failed();
    assert_eq!(gone.code, "no-point", "{gone:?}");
    let to = server.scene.path("to");
    server.run(args!["recover", kept.id, "--online", "--to", to]);
    assert_same(&copy, &to);
    server.run(args!["verify", "--online", "--read-data"]);
}

fn a_pin_counts_for_minutes_and_in_its_own_vault(store: &Store) {
    if !is_present("a_pin_counts_for_minutes", &[Part::Tool("faketime")]) {
        return;
    }
    let (owner, beside) = (Owner::new(store), store.beside("other"));
    let stranger = Owner::new(&beside);
    let mut server = Protected::new(&owner, "minutes", 482);
    let (point, copy) = server.back_up_online();
    let (program, pin) = (server.scene.program(), owner.pin_file());

    let foreign = program.run(expire(&point.id, &stranger.pin_file())).failed();
    assert!(foreign.code == "pin" && foreign.message.contains("the PIN is wrong"), "{foreign:?}");
    // Six minutes are within what stores put up with, and more than a PIN has.
    let late = at_another_time(&program, "+6m", expire(&point.id, &pin)).failed();
    assert!(late.code == "pin" && late.message.contains("expired"), "{late:?}");
    assert!(late.speaks_of(&["resurgam vault pin"]), "{late:?}");
    let to = server.scene.path("to");
    server.run(args!["recover", point.id, "--online", "--to", to]);
    assert_same(&copy, &to);
    server.run(expire(&point.id, &pin));
    assert!(server.points().is_empty());
}
