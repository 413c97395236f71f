//! The power goes: an ext4 is shut down without flushing its log, and mounted again. What was reported done is there.

use std::{path::PathBuf, time::Duration};

use resurgam_tests::{
    Outcome, Part, Random, Scene, args, assert_same,
    disk::{Disk, LAZY},
    is_present,
    parts::count_from,
    plain_tree,
};

const PARTS: &[Part] = &[Part::LoopDevice, Part::Tool("python3")];

/// A server whose home and volume lie on the disk that loses its power, and its source elsewhere.
struct Server {
    disk: Disk,
    scene: Scene,
    random: Random,
    /// What was reported done, and what it must give back.
    reported: Vec<(String, PathBuf)>,
    copies: u64,
}

impl Server {
    fn new(test: &str, seed: u64) -> Self {
        let disk = Disk::new(400, LAZY);
        let mut scene = Scene::new();
        scene.home = disk.path().join("home");
        scene.pool = disk.path().join("pool");
        let mut random = Random::for_test(test, seed);
        plain_tree::build(&scene.source, plain_tree::Size::SMALL, &mut random);
        Self { disk, scene, random, reported: Vec::new(), copies: 0 }
    }

    fn report(&mut self, outcome: &Outcome) {
        self.copies += 1;
        let copy = self.scene.path(&format!("copy-{}", self.copies));
        plain_tree::copy(&self.scene.source, &copy);
        self.reported.push((outcome.point().id, copy));
    }

    fn backup(&mut self) -> Duration {
        plain_tree::change(&self.scene.source, 0.1, &mut self.random);
        let outcome = self.scene.protect();
        outcome.done();
        self.report(&outcome);
        outcome.took()
    }

    /// The machine comes up again.
    fn restart(&self) {
        self.disk.unmount();
        self.disk.mount();
    }

    fn check(&mut self) {
        let listed: Vec<String> = self.scene.points().into_iter().map(|point| point.id).collect();
        for (id, _) in &self.reported {
            assert!(listed.contains(id), "{id} was reported done and is gone: {listed:?}");
        }
        let older = self.random.index(self.reported.len());
        for (id, copy) in [&self.reported[older], self.reported.last().unwrap()] {
            let to = self.scene.recovered(id);
            assert_same(copy, &to);
            std::fs::remove_dir_all(to).unwrap();
        }
        self.scene.assert_sound_or_mended();
    }
}

#[test]
fn a_cut_right_after_done_loses_nothing() {
    if !is_present("a_cut_right_after_done_loses_nothing", PARTS) {
        return;
    }
    let mut server = Server::new("cut_after_done", 61);
    for _ in 0..count_from("RESURGAM_CUTS", 3) {
        server.backup();
        server.disk.cut_power();
        server.restart();
        server.check();
    }
}

#[test]
fn a_cut_during_a_backup_costs_only_that_backup() {
    if !is_present("a_cut_during_a_backup_costs_only_that_backup", PARTS) {
        return;
    }
    let mut server = Server::new("cut_during_backup", 62);
    let mut length = server.backup();
    for _ in 0..count_from("RESURGAM_CUTS", 5) {
        plain_tree::change(&server.scene.source, 0.2, &mut server.random);
        let after = length.mul_f64(server.random.fraction());
        println!("cut after {after:?} of {length:?}");
        let program = server.scene.program();
        let running = program.start(args!["protect", server.scene.source, "--pool", server.scene.pool]);
        running.has_ended_within(after);
        server.disk.cut_power();
        let outcome = running.finish(Duration::from_secs(60));
        match outcome.code() {
            Some(0) => server.report(&outcome),
            _ => drop(outcome.failed()),
        }
        server.restart();
        server.check();
        length = server.backup();
    }
}

#[test]
fn a_cut_during_deletion_keeps_what_stays() {
    if !is_present("a_cut_during_deletion_keeps_what_stays", PARTS) {
        return;
    }
    let mut server = Server::new("cut_during_deletion", 63);
    server.backup();
    let program = server.scene.program();
    program.run(args!["source", "set", server.scene.source, "--keep-last", "2"]).done();
    for command in ["expire", "prune", "prune", "expire", "prune"] {
        for _ in 0..3 {
            server.backup();
        }
        let kept = server.reported.len() - 2;
        if command == "prune" {
            program.run(args!["expire"]).done();
        }
        let fraction = server.random.fraction();
        let running = program.start(args![command]);
        running.has_ended_within(Duration::from_millis(300).mul_f64(fraction));
        server.disk.cut_power();
        running.finish(Duration::from_secs(60));
        server.restart();
        server.reported.drain(..kept);
        server.check();
    }
}
