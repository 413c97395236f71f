//! A full disk is an error, not an event: the job fails clearly, and what is there can be listed, restored and deleted.

use std::{fs, path::PathBuf};

use resurgam_tests::{Part, Random, Scene, args, assert_same, disk::Disk, is_present, plain_tree};

struct Full {
    disk: Disk,
    scene: Scene,
    random: Random,
    /// Id and copy of each point that was done.
    points: Vec<(String, PathBuf)>,
}

impl Full {
    /// A volume on a small disk, with a few points of which the oldest can be given up; the home where `home` says.
    fn prepare(test: &str, seed: u64, home_on_disk: bool) -> Self {
        let disk = Disk::new(64, "defaults");
        let mut scene = Scene::new();
        scene.pool = disk.path().join("pool");
        if home_on_disk {
            scene.home = disk.path().join("home");
        }
        let mut full = Self { disk, scene, random: Random::for_test(test, seed), points: Vec::new() };
        plain_tree::build(&full.scene.source, plain_tree::Size::TINY, &mut full.random);
        for round in 0..3 {
            // A file of this point alone, so that giving it up frees something.
            let only = full.random.bytes(4 << 20);
            fs::write(full.scene.source.join("only-now"), only).unwrap();
            let copy = full.scene.path(&format!("copy-{round}"));
            plain_tree::copy(&full.scene.source, &copy);
            full.points.push((full.scene.take_point().id, copy));
        }
        let program = full.scene.program();
        program.run(args!["source", "set", full.scene.source, "--keep-last", "1"]).done();
        full
    }

    /// Fills the disk by a backup that cannot fit.
    fn overfill(&mut self) {
        let huge = self.random.bytes(120 << 20);
        fs::write(self.scene.source.join("huge"), huge).unwrap();
        let outcome = self.scene.protect();
        assert_eq!(outcome.code(), Some(1), "{outcome}");
        let failure = outcome.failed();
        assert!(failure.speaks_of(&["space", "full"]), "{failure:?}");
        assert!(failure.speaks_of(&[self.disk.path().to_str().unwrap()]), "which disk? {failure:?}");
        assert!(failure.message.len() < 500, "{failure:?}");
        fs::remove_file(self.scene.source.join("huge")).unwrap();
    }

    fn everything_but_storing_works(&mut self) {
        let listed: Vec<String> = self.scene.points().into_iter().map(|point| point.id).collect();
        assert_eq!(listed, self.points.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>());
        for (id, copy) in &self.points {
            assert_same(copy, &self.scene.recovered(id));
        }
        self.scene.assert_sound();
        let failure = self.scene.protect().failed();
        assert!(failure.speaks_of(&["space", "full"]), "{failure:?}");

        let expired = self.scene.program().run(args!["expire"]).done();
        assert_eq!(expired["expired"].as_array().map(Vec::len), Some(2), "{expired}");
        let before = self.scene.stored_bytes();
        // Deleting takes two phases, and so may take two runs.
        for _ in 0..2 {
            self.scene.program().run(args!["prune"]).done();
        }
        let freed = before - self.scene.stored_bytes();
        assert!(freed > 7 << 20, "freed only {freed}");
        let kept = self.points.pop().unwrap();
        self.points = vec![kept];
        assert_same(&self.points[0].1, &self.scene.recovered(&self.points[0].0));
    }
}

fn with_home(test: &str, seed: u64, home_on_disk: bool) {
    if !is_present(test, &[Part::LoopDevice]) {
        return;
    }
    let mut full = Full::prepare(test, seed, home_on_disk);
    full.overfill();
    full.disk.fill();
    full.everything_but_storing_works();
    full.disk.release();
    let point = full.scene.take_point();
    assert_same(&full.scene.source, &full.scene.recovered(&point.id));
    full.scene.assert_sound();
}

#[test]
fn a_full_volume_can_be_used_and_emptied() {
    with_home("a_full_volume_can_be_used_and_emptied", 81, false);
}

#[test]
fn a_full_disk_with_volume_and_home_can_be_used_and_emptied() {
    with_home("a_full_disk_with_volume_and_home_can_be_used_and_emptied", 82, true);
}

#[test]
fn a_restore_onto_a_full_disk_fails_with_cause_and_place() {
    if !is_present("a_restore_onto_a_full_disk", &[Part::LoopDevice]) {
        return;
    }
    let scene = Scene::new();
    fs::write(scene.source.join("large"), Random::for_test("restore_full", 83).bytes(40 << 20)).unwrap();
    let point = scene.take_point();
    let disk = Disk::new(16, "defaults");
    let to = disk.path().join("to");
    let outcome = scene.recover(&point.id, &to);
    assert!(matches!(outcome.code(), Some(1 | 3)), "{outcome}");
    let said = outcome.stdout().to_owned() + outcome.stderr();
    assert!(said.to_lowercase().contains("space") && said.contains("large"), "{outcome}");
    // Half a file must not stand there under its own name as if it were whole.
    let restored = to.join("large");
    assert!(!restored.exists(), "{} bytes of it are there", fs::metadata(&restored).unwrap().len());
    scene.assert_sound();
}
