//! A line to the store on which one request in ten fails: what was reported done is done, and the store is not stormed; and a
//! store that is too busy for anything.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use resurgam_tests::{Line, Passed, Point, Store, Trouble, args, assert_same, parts::count_from, plain_tree};
use serde_json::Value;

use super::{Owner, Protected, online};

on_each_store!(
    what_is_reported_done_over_a_bad_line_restores_and_the_store_is_not_stormed,
    a_store_that_is_too_busy_for_anything_is_given_up,
);

/// Of 1,000 requests.
const SHARE: u32 = 100;
/// Online points that the policy of these tests keeps.
const KEPT: usize = 2;
/// A store that has done nothing yet is tried for half a minute.
const BUSY_FOR: Duration = Duration::from_secs(70);

/// A server behind a line, and what it did there.
struct Work<'a> {
    server: Protected<'a>,
    /// Points that were reported done, and what each must give back.
    made: Vec<(Point, PathBuf)>,
    failed: usize,
}

impl<'a> Work<'a> {
    fn begin(line: &'a Line) -> Self {
        let owner = Owner::new(line.store());
        Self { server: Protected::new(&owner, "bad_line", 471), made: Vec::new(), failed: 0 }
    }

    /// The document of a command that is done; one that is not must say why, and have done nothing wrong.
    fn attempt(&mut self, arguments: impl IntoIterator<Item = OsString>) -> Option<(Value, Vec<Point>)> {
        let outcome = self.server.scene.program().run(arguments);
        if outcome.code() == Some(0) {
            let document = outcome.done();
            let points = if document["points"].is_array() { online(&outcome) } else { Vec::new() };
            return Some((document, points));
        }
        println!("failed: {:?}", outcome.failed());
        self.failed += 1;
        None
    }

    fn back_up(&mut self) {
        plain_tree::change(&self.server.scene.source, 0.1, &mut self.server.random);
        let copy = self.server.scene.path(&format!("copy-{}-{}", self.made.len(), self.failed));
        plain_tree::copy(&self.server.scene.source, &copy);
        if let Some((_, mut points)) = self.attempt(args!["backup", "--online"]) {
            self.made.push((points.pop().unwrap(), copy));
        }
    }

    /// Everything that a server asks of its vault.
    fn go_on(&mut self) {
        for _ in 0..count_from("RESURGAM_ROUNDS", 3) {
            self.back_up();
        }
        self.attempt(args!["prune"]);
        self.attempt(args!["verify", "--online", "--read-data"]);
        let keep = args!["--online-keep-last", KEPT.to_string(), "--online-keep-daily", "7"];
        self.attempt(args!["group", "set", "Default", "--online"].into_iter().chain(keep));
        self.attempt(args!["expire"]);
        self.attempt(args!["prune"]);
        self.back_up();
        let to = self.server.scene.path("recovered");
        let source = self.server.scene.source.clone();
        self.attempt(args!["recover", "latest", "--online", "--source", source, "--to", to]);
    }

    /// What was made and is kept still restores, and nothing is damaged.
    fn assert_well(&self) {
        let verified = self.server.run(args!["verify", "--online", "--read-data"]);
        assert_eq!(verified["damage"], serde_json::json!([]), "{verified}");
        let listed = self.server.points();
        let kept: Vec<_> =
            self.made.iter().filter(|(made, _)| listed.iter().any(|point| point.id == made.id)).collect();
        assert!(kept.len() >= KEPT.min(self.made.len()), "{listed:?} is left of {:?}", self.made);
        assert_eq!(kept.last().map(|(point, _)| &point.id), self.made.last().map(|(point, _)| &point.id));
        for (point, copy) in kept {
            let to = self.server.scene.path(&format!("to-{}", point.id));
            self.server.run(args!["recover", point.id, "--online", "--to", to]);
            assert_same(copy, &to);
        }
    }
}

fn what_is_reported_done_over_a_bad_line_restores_and_the_store_is_not_stormed(store: &Store) {
    let work = |trouble: Trouble| -> Passed {
        let place = store.beside(&format!("{}", matches!(trouble, Trouble::None)));
        let line = Line::to(&place);
        let mut work = Work::begin(&line);
        line.becomes(trouble);
        work.go_on();
        let passed = line.becomes(Trouble::None);
        assert_eq!(work.failed, 0, "what is tried again succeeds");
        work.assert_well();
        passed
    };
    let usual = work(Trouble::None);
    let bad = work(Trouble::Some { share: SHARE, seed: 472 });
    println!("on a good line {usual:?}, on a bad one {bad:?}");
    assert!(bad.wrong * 15 >= bad.requests, "a tenth was to go wrong: {bad:?}");
    assert!(bad.requests * 2 <= usual.requests * 3, "{bad:?} is a storm, where {usual:?} would do");
}

fn a_store_that_is_too_busy_for_anything_is_given_up(store: &Store) {
    let line = Line::to(store);
    let mut work = Work::begin(&line);
    let source = work.server.scene.source.clone();
    line.becomes(Trouble::Busy);
    let outcome = work.server.scene.program().run(args!["backup", "--online", "--source", source]);
    let passed = line.becomes(Trouble::None);
    let failure = outcome.failed();
    assert!(failure.speaks_of(&["the store says 5", "the store says 429"]), "{failure:?}");
    assert!(failure.message.contains("attempts"), "{failure:?}");
    assert!(outcome.took() < BUSY_FOR, "{outcome}");
    println!("{passed:?} in {:?}", outcome.took());
    assert!((2..=20).contains(&passed.requests), "{passed:?}");
    // The point in the pool was made all the same; and nothing stands in the way of the next.
    assert_eq!(outcome.points().len(), 1, "{outcome}");
    work.back_up();
    assert_eq!(work.failed, 0);
    work.assert_well();
}
