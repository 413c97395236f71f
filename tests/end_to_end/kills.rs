//! The real program, killed at random moments: only the interrupted work may be lost.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use resurgam_tests::{
    Outcome, Part, Random, Running, Scene, args, assert_same, differences, is_present, parts::count_from, plain_tree,
};

/// Points that the policy keeps.
const KEPT: usize = 4;

/// A source with a history: what each point must give back.
struct History {
    scene: Scene,
    random: Random,
    /// Every point that there ever was, with what the source was then. An expired one may come to be listed again, if
    /// its deletion was killed half way.
    known: HashMap<String, PathBuf>,
    /// What the source was when a backup of it was killed. Some of them had finished and not yet said so: their points
    /// are as good as any other, and come to be listed at once or after the next backup.
    unsaid: Vec<PathBuf>,
    copies: u64,
    /// How long each command takes when nobody kills it.
    lengths: HashMap<&'static str, Duration>,
}

impl History {
    fn new(test: &str, seed: u64) -> Self {
        let scene = Scene::new();
        let mut random = Random::for_test(test, seed);
        plain_tree::build(&scene.source, plain_tree::Size::SMALL, &mut random);
        let (known, lengths) = (HashMap::new(), HashMap::new());
        let mut history = Self { scene, random, known, unsaid: Vec::new(), copies: 0, lengths };
        history.backup();
        let program = history.scene.program();
        program.run(args!["source", "set", history.scene.source, "--keep-last", KEPT.to_string()]).done();
        for _ in 0..KEPT {
            history.change();
            history.backup();
        }
        for command in ["prune", "expire"] {
            let outcome = program.run(args![command]);
            outcome.done();
            history.lengths.insert(command, outcome.took());
        }
        history
    }

    fn change(&mut self) {
        plain_tree::change(&self.scene.source, 0.05, &mut self.random);
    }

    /// A backup that nobody disturbs must succeed, whatever happened before.
    fn backup(&mut self) {
        let outcome = self.scene.protect();
        outcome.done();
        self.lengths.insert("protect", outcome.took());
        let copy = self.copy();
        self.known.insert(outcome.point().id, copy);
        self.listed();
    }

    fn copy(&mut self) -> PathBuf {
        self.copies += 1;
        let copy = self.scene.path(&format!("copy-{}", self.copies));
        plain_tree::copy(&self.scene.source, &copy);
        copy
    }

    fn arguments(&self, command: &'static str) -> Vec<OsString> {
        match command {
            "protect" => args!["protect", self.scene.source, "--pool", self.scene.pool].to_vec(),
            other => args![other].to_vec(),
        }
    }

    /// Kills the command at a part of its usual length; sometimes only after its end.
    fn kill_at_random_moment(&mut self, command: &'static str) -> Outcome {
        let length = self.lengths[command];
        let after = length.mul_f64(self.random.fraction() * 1.1);
        println!("kill {command} after {after:?} of {length:?}");
        self.scene.program().start(self.arguments(command)).kill_after(after)
    }

    /// Kills the command when one of its threads makes its n-th call that changes the disk.
    fn kill_at_numbered_call(&mut self, command: &'static str, number: u64) -> Outcome {
        const CALLS: &str = "write,pwrite64,writev,pwritev,fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,ftruncate,fallocate";
        println!("kill {command} at call {number}");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o", "/dev/null", "--seccomp-bpf", "-e", &format!("trace={CALLS}")]);
        strace.args(["-e", &format!("inject={CALLS}:signal=KILL:when={number}")]);
        let mut command = self.scene.program().command_under(strace, self.arguments(command));
        Running::start(&mut command).finish(Duration::from_secs(180))
    }

    /// The points that the program lists, the newest last. One that was never reported must be what a killed backup had
    /// before it.
    fn listed(&mut self) -> Vec<String> {
        let listed: Vec<String> = self.scene.points().into_iter().map(|point| point.id).collect();
        for id in &listed {
            if !self.known.contains_key(id) {
                let to = self.scene.recovered(id);
                let found = self.unsaid.iter().position(|copy| differences(copy, &to).is_empty());
                let copy =
                    self.unsaid.remove(found.unwrap_or_else(|| panic!("{id} is nothing that was ever backed up")));
                fs::remove_dir_all(to).unwrap();
                println!("{id} had finished when it was killed");
                self.known.insert(id.clone(), copy);
            }
        }
        listed
    }

    /// What was there must be there; and nothing needs unlocking.
    fn check(&mut self, killed: &str, before: &[String], outcome: &Outcome) {
        assert!(outcome.was_killed() || outcome.code() == Some(0), "{killed}: {outcome}");
        if killed == "protect" {
            let copy = self.copy();
            match outcome.code() {
                Some(0) => drop(self.known.insert(outcome.point().id, copy)),
                _ => self.unsaid.push(copy),
            }
        }
        let listed = self.listed();
        let lost: Vec<&String> = before.iter().filter(|id| !listed.contains(id)).collect();
        if killed == "expire" {
            assert!(
                listed.len() >= KEPT && before.iter().zip(&lost).all(|(a, b)| a == *b),
                "{lost:?} of {before:?} are lost"
            );
        } else {
            assert!(lost.is_empty(), "{killed} lost {lost:?} of {before:?}");
        }
        let jobs = self.scene.program().run(args!["jobs"]).done().to_string();
        assert!(!jobs.contains("\"running\""), "the killed job is closed at the next start: {jobs}");
    }

    fn assert_restores(&self, id: &str) {
        let to = self.scene.recovered(id);
        assert_same(&self.known[id], &to);
        fs::remove_dir_all(to).unwrap();
    }

    fn assert_sample_restores(&mut self) {
        let listed = self.listed();
        let older = self.random.index(listed.len());
        self.assert_restores(&listed[older]);
        self.assert_restores(listed.last().unwrap());
    }

    fn assert_all_restores(&mut self) {
        for id in self.listed() {
            self.assert_restores(&id);
        }
        self.scene.assert_sound_or_mended();
    }
}

#[test]
fn kills_at_random_moments_cost_only_the_interrupted_work() {
    let mut history = History::new("kills", 51);
    let mut killed: BTreeMap<&str, u64> = BTreeMap::new();
    for round in 0..count_from("RESURGAM_KILLS", 12) {
        history.change();
        let command = ["protect", "expire", "protect", "prune"][round as usize % 4];
        if command == "prune" {
            history.scene.program().run(args!["expire"]).done();
        }
        let before = history.listed();
        let outcome = history.kill_at_random_moment(command);
        *killed.entry(command).or_default() += u64::from(outcome.was_killed());
        history.check(command, &before, &outcome);
        history.assert_sample_restores();
        history.backup();
        if round % 8 == 7 {
            history.assert_all_restores();
        }
    }
    println!("killed before their end: {killed:?}");
    assert!(!killed.is_empty());
    history.assert_all_restores();
}

#[test]
fn kills_at_numbered_calls_cost_only_the_interrupted_work() {
    if !is_present("kills_at_numbered_calls_cost_only_the_interrupted_work", &[Part::Tool("strace")]) {
        return;
    }
    let mut history = History::new("kills_at_calls", 52);
    let rounds = count_from("RESURGAM_KILLS", 12);
    for round in 0..rounds {
        history.change();
        let command = ["protect", "prune", "expire"][round as usize % 3];
        if command == "prune" {
            history.scene.program().run(args!["expire"]).done();
        }
        let before = history.listed();
        // Every number up to where such a small run ends, first the early ones.
        let outcome = history.kill_at_numbered_call(command, 1 + (round / 3) * 37 / rounds.div_ceil(3).max(1));
        history.check(command, &before, &outcome);
        history.assert_sample_restores();
        history.backup();
    }
    history.assert_all_restores();
}

#[test]
fn a_killed_restore_can_be_done_again() {
    let mut history = History::new("killed_restore", 53);
    let id = history.listed().pop().unwrap();
    let copy = history.known[&id].clone();
    let to = history.scene.path("to");
    let full = history.scene.recover(&id, &history.scene.path("measured"));
    full.done();
    for _ in 0..3 {
        let after = full.took().mul_f64(history.random.fraction());
        history.scene.program().start(args!["recover", id, "--to", to, "--conflict", "overwrite"]).kill_after(after);
    }
    history.scene.program().run(args!["recover", id, "--to", to, "--conflict", "overwrite"]).done();
    assert_same(&copy, &to);
    assert_no_debris(&to);
}

/// Files with the marks of something unfinished.
fn assert_no_debris(root: &Path) {
    let names: Vec<_> = plain_tree::files_below(root)
        .into_iter()
        .filter(|path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")))
        .collect();
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn first_runs_that_are_killed_leave_nothing_in_the_way() {
    let mut random = Random::for_test("killed_first_run", 54);
    let measured = Scene::new();
    plain_tree::build(&measured.source, plain_tree::Size::TINY, &mut random);
    let outcome = measured.protect();
    outcome.done();
    for _ in 0..count_from("RESURGAM_KILLS", 12).min(40) / 2 {
        let scene = Scene::new();
        plain_tree::build(&scene.source, plain_tree::Size::TINY, &mut random);
        for _ in 0..2 {
            // Home, keyring, catalog and volume are being made: half-made ones must not stop the next command.
            let after = outcome.took().mul_f64(random.fraction());
            scene.program().start(args!["protect", scene.source, "--pool", scene.pool]).kill_after(after);
        }
        let point = scene.take_point();
        assert_same(&scene.source, &scene.recovered(&point.id));
        scene.assert_sound_or_mended();
    }
}
