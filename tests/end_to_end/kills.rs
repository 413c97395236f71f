//! The real program, killed at random moments: only the interrupted work may be lost.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    fs,
    path::PathBuf,
    time::Duration,
};

use resurgam_tests::{
    Outcome, Part, Random, Scene, args, assert_same, differences, is_present,
    killed::{Call, killed_at_call},
    parts::count_from,
    plain_tree,
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

    /// Kills the command when one of its threads makes its n-th call of those that change the disk.
    fn kill_at_numbered_call(&mut self, command: &'static str) -> Outcome {
        println!("kill {command}");
        killed_at_call(&self.scene.program(), self.arguments(command), Call::draw(&mut self.random))
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
    let rounds = count_from("RESURGAM_KILLS", 12);
    for round in 0..rounds {
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
    println!("killed before their end: {killed:?} of {rounds}");
    assert!(killed.values().sum::<u64>() > rounds / 4, "{killed:?} of {rounds} is too few");
    history.assert_all_restores();
}

#[test]
fn kills_at_numbered_calls_cost_only_the_interrupted_work() {
    if !is_present("kills_at_numbered_calls_cost_only_the_interrupted_work", &[Part::Tool("strace")]) {
        return;
    }
    let mut history = History::new("kills_at_calls", 52);
    let rounds = count_from("RESURGAM_KILLS", 12);
    let mut killed = 0;
    for round in 0..rounds {
        history.change();
        let command = ["protect", "prune", "expire"][round as usize % 3];
        if command == "prune" {
            history.scene.program().run(args!["expire"]).done();
        }
        let before = history.listed();
        let outcome = history.kill_at_numbered_call(command);
        killed += u64::from(outcome.was_killed());
        history.check(command, &before, &outcome);
        history.assert_sample_restores();
        history.backup();
    }
    println!("killed before their end: {killed} of {rounds}");
    assert!(killed > rounds / 3, "{killed} of {rounds} is too few");
    history.assert_all_restores();
}

/// A point, and where it is recovered to over whatever is there.
struct Target {
    history: History,
    copy: PathBuf,
    to: PathBuf,
    recover: Vec<OsString>,
}

impl Target {
    fn new(test: &str, seed: u64) -> Self {
        let mut history = History::new(test, seed);
        let id = history.listed().pop().unwrap();
        let (copy, to) = (history.known[&id].clone(), history.scene.path("to"));
        let recover = args!["recover", id, "--to", to, "--conflict", "overwrite"].to_vec();
        Self { history, copy, to, recover }
    }

    /// A restore that nobody kills puts everything right, and nothing of the killed ones is left.
    fn assert_can_be_done_again(&self) -> Outcome {
        let outcome = self.history.scene.program().run(self.recover.clone());
        outcome.done();
        assert_same(&self.copy, &self.to);
        outcome
    }
}

#[test]
fn a_restore_killed_at_random_moments_can_be_done_again() {
    let mut target = Target::new("killed_restore", 53);
    let length = target.assert_can_be_done_again().took();
    let rounds = count_from("RESURGAM_KILLS", 12);
    let mut killed = 0;
    for round in 0..rounds {
        // Into nothing now and then; else over what is there.
        if round % 4 == 0 {
            fs::remove_dir_all(&target.to).unwrap();
        }
        for _ in 0..2 {
            let after = length.mul_f64(target.history.random.fraction());
            let outcome = target.history.scene.program().start(target.recover.clone()).kill_after(after);
            killed += u64::from(outcome.was_killed());
        }
        target.assert_can_be_done_again();
    }
    println!("killed before their end: {killed} of {}", 2 * rounds);
    assert!(killed > rounds / 2, "{killed} of {} is too few", 2 * rounds);
}

#[test]
fn a_restore_killed_at_numbered_calls_can_be_done_again() {
    if !is_present("a_restore_killed_at_numbered_calls_can_be_done_again", &[Part::Tool("strace")]) {
        return;
    }
    let mut target = Target::new("killed_restore_at_calls", 55);
    let rounds = count_from("RESURGAM_KILLS", 12);
    let mut killed = 0;
    for _ in 0..rounds {
        let call = Call::draw(&mut target.history.random);
        let outcome = killed_at_call(&target.history.scene.program(), target.recover.clone(), call);
        killed += u64::from(outcome.was_killed());
        target.assert_can_be_done_again();
    }
    println!("killed before their end: {killed} of {rounds}");
    assert!(killed > rounds / 3, "{killed} of {rounds} is too few");
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
