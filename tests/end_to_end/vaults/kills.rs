//! Online backups and collections in a vault, killed at random moments: what was reported done restores, nothing needs to be
//! put right by hand, nobody waits for the lease of a dead one, and little is sent again.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    fs,
    path::PathBuf,
    time::Duration,
};

use resurgam_tests::{Random, Scene, Store, args, assert_same, differences, parts::count_from, plain_tree};

use super::{Owner, Protected, last_cost, secret};

on_each_store!(
    kills_cost_only_the_interrupted_work,
    kills_while_registering_and_changing_the_passphrase_shut_nobody_out,
);

/// A lease of a dead writer stands for 30 seconds: whoever waits for one takes longer than this.
const WAITS: Duration = Duration::from_secs(20);
/// What does not change and is not to be sent twice; and what a round changes.
const HEAVY: usize = 6_000_000;
const ROUND: usize = 1_500_000;

struct History<'a> {
    server: Protected<'a>,
    /// What each point that was reported done, or found, must give back.
    known: HashMap<String, PathBuf>,
    /// What the source was when an online backup of it was killed.
    unsaid: Vec<PathBuf>,
    copies: u64,
    lengths: BTreeMap<&'static str, Duration>,
}

impl History<'_> {
    fn arguments(&self, command: &str) -> Vec<OsString> {
        match command {
            "backup" => args!["backup", "--online", "--source", self.server.scene.source].to_vec(),
            other => args![other].to_vec(),
        }
    }

    fn change(&mut self) {
        let bytes = self.server.random.bytes(ROUND);
        fs::write(self.server.scene.source.join("changing"), bytes).unwrap();
        plain_tree::change(&self.server.scene.source.join("tree"), 0.05, &mut self.server.random);
    }

    fn copy(&mut self) -> PathBuf {
        self.copies += 1;
        let copy = self.server.scene.path(&format!("copy-{}", self.copies));
        plain_tree::copy(&self.server.scene.source, &copy);
        copy
    }

    /// An online backup that nobody disturbs: bytes up.
    fn back_up(&mut self) -> u64 {
        let outcome = self.server.scene.program().run(self.arguments("backup"));
        outcome.done();
        assert!(outcome.took() < WAITS, "{outcome}");
        self.lengths.insert("backup", outcome.took());
        let point = super::online(&outcome).remove(0);
        let copy = self.copy();
        self.known.insert(point.id, copy);
        last_cost(&self.server.scene.program(), &self.server.scene.source).bytes_up
    }

    /// The points that are listed, each of which must be what the source once was.
    fn listed(&mut self) -> Vec<String> {
        let listed: Vec<String> = self.server.points().into_iter().map(|point| point.id).collect();
        for id in &listed {
            if !self.known.contains_key(id) {
                let to = self.recovered(id);
                let found = self.unsaid.iter().position(|copy| differences(copy, &to).is_empty());
                let copy = self.unsaid.remove(found.unwrap_or_else(|| panic!("{id} was never backed up")));
                println!("{id} had finished when it was killed");
                fs::remove_dir_all(to).unwrap();
                self.known.insert(id.clone(), copy);
            }
        }
        listed
    }

    fn recovered(&self, id: &str) -> PathBuf {
        let to = self.server.scene.path(&format!("to-{id}"));
        self.server.run(args!["recover", id, "--online", "--to", to]);
        to
    }

    fn assert_restores(&self, id: &str) {
        let to = self.recovered(id);
        assert_same(&self.known[id], &to);
        fs::remove_dir_all(to).unwrap();
    }
}

fn kills_cost_only_the_interrupted_work(store: &Store) {
    let owner = Owner::new(store);
    let mut server = Protected::new(&owner, "vault_kills", 461);
    fs::create_dir(server.scene.source.join("tree")).unwrap();
    plain_tree::build(&server.scene.source.join("tree"), plain_tree::Size::TINY, &mut server.random);
    fs::write(server.scene.source.join("heavy"), server.random.bytes(HEAVY)).unwrap();
    let (known, lengths) = (HashMap::new(), BTreeMap::new());
    let mut history = History { server, known, unsaid: Vec::new(), copies: 0, lengths };
    history.back_up();
    history.change();
    // With what a changed tree takes in filled frames, and no kill: the measure of what may be sent.
    let usual = history.back_up();
    let pruned = history.server.scene.program().run(args!["prune"]);
    pruned.done();
    history.lengths.insert("prune", pruned.took());
    let mut killed: BTreeMap<&str, u64> = BTreeMap::new();
    let rounds = count_from("RESURGAM_KILLS", 8);
    for round in 0..rounds {
        history.change();
        let command = ["backup", "backup", "prune"][round as usize % 3];
        let before = history.listed();
        let after = history.lengths[command].mul_f64(history.server.random.fraction() * 1.1);
        println!("kill {command} after {after:?}");
        let outcome = history.server.scene.program().start(history.arguments(command)).kill_after(after);
        assert!(outcome.was_killed() || outcome.code() == Some(0), "{outcome}");
        *killed.entry(command).or_default() += u64::from(outcome.was_killed());
        if command == "backup" {
            let copy = history.copy();
            match outcome.code() {
                Some(0) => drop(history.known.insert(super::online(&outcome).remove(0).id, copy)),
                _ => history.unsaid.push(copy),
            }
        }
        let listed = history.listed();
        assert!(before.iter().all(|id| listed.contains(id)), "{command} lost some of {before:?}: {listed:?}");
        // Nothing was changed since: what is sent is what the killed one had left, and at most all of its work.
        let sent = history.back_up();
        println!("{sent} bytes sent again, of {usual}");
        assert!(sent < usual + usual / 2, "{sent} bytes were sent again; a round takes {usual}");
        let listed = history.listed();
        let older = history.server.random.index(listed.len());
        history.assert_restores(&listed[older]);
        history.assert_restores(listed.last().unwrap());
    }
    println!("killed before their end: {killed:?} of {rounds}");
    assert!(killed.values().sum::<u64>() > rounds / 4, "{killed:?} of {rounds} is too few");
    for command in ["prune", "expire"] {
        let outcome = history.server.scene.program().run(args![command]);
        outcome.done();
        assert!(outcome.took() < WAITS, "{outcome}");
    }
    for id in history.listed() {
        history.assert_restores(&id);
    }
    history.server.scene.assert_sound_or_mended();
}

/// Registers a server that was never registered, killed at first; then it is registered all the same.
fn a_first_registration_survives_a_kill(owner: &Owner<'_>, store: &Store, length: Duration, seed: u64) {
    let scene = Scene::new();
    let mut random = Random::for_test("first_registration", seed);
    plain_tree::build(&scene.source, plain_tree::Size::TINY, &mut random);
    scene.take_point();
    let passphrase = secret(&scene, "vault-passphrase", super::PASSPHRASE);
    let server = Protected { store, scene, random, passphrase };
    let credentials = owner.credentials(&format!("credentials-{seed}"));
    let after = length.mul_f64((seed % 8) as f64 / 8.0);
    let arguments = args!["vault", "register", "--credentials", credentials, "--passphrase-file", server.passphrase];
    let outcome = store.opened_by(&server.scene.program()).start(arguments).kill_after(after);
    assert!(outcome.was_killed() || outcome.code() == Some(0), "{outcome}");
    server.register(&credentials).done();
    server.run(args!["group", "set", "Default", "--online"]);
    let outcome = server.scene.program().run(args!["backup", "--online"]);
    outcome.done();
    let to = server.scene.path("to");
    server.run(args!["recover", super::online(&outcome).remove(0).id, "--online", "--to", to]);
    assert_same(&server.scene.source, &to);
    server.run(args!["verify", "--online"]);
}

fn kills_while_registering_and_changing_the_passphrase_shut_nobody_out(store: &Store) {
    let owner = Owner::new(store);
    let mut server = Protected::new(&owner, "passphrase_kills", 462);
    let (point, copy) = server.back_up_online();
    let credentials = owner.credentials("again");
    let began = std::time::Instant::now();
    server.register(&credentials).done();
    let length = began.elapsed();
    let rounds = count_from("RESURGAM_KILLS", 8);
    let mut killed = 0;
    for round in 0..rounds {
        let old = server.passphrase.clone();
        let new = secret(&server.scene, &format!("passphrase-{round}"), &format!("the passphrase of round {round}"));
        let change = |pin| args!["vault", "passphrase", "--new-passphrase-file", new, "--pin-file", pin];
        let after = length.mul_f64(server.random.fraction() * 1.2);
        let outcome = server.scene.program().start(change(owner.pin_file())).kill_after(after);
        assert!(outcome.was_killed() || outcome.code() == Some(0), "{outcome}");
        killed += u64::from(outcome.was_killed());
        // One of the two opens the part: the new one at least where its command has ended.
        let opens = |passphrase: &PathBuf| {
            let arguments = args!["vault", "register", "--credentials", credentials, "--passphrase-file", passphrase];
            store.opened_by(&server.scene.program()).run(arguments)
        };
        let (with_old, with_new) = (opens(&old), opens(&new));
        let codes = (with_old.code(), with_new.code());
        assert!(codes == (Some(0), Some(1)) || codes == (Some(1), Some(0)), "round {round}: {with_old} {with_new}");
        assert!(outcome.was_killed() || codes.1 == Some(0), "round {round}: {outcome}");
        // The server itself is never shut out, and the change can be made again.
        server.run(change(owner.pin_file()));
        assert_eq!((opens(&old).code(), opens(&new).code()), (Some(1), Some(0)), "round {round}");
        server.passphrase = new;
        let again = server.register(&credentials);
        again.done();
        server.run(args!["verify", "--online"]);
    }
    println!("{killed} of {rounds} were killed before their end");
    assert!(killed > rounds / 4, "{killed} of {rounds} is too few");
    let to = server.scene.path("to");
    server.run(args!["recover", point.id, "--online", "--to", to]);
    assert_same(&copy, &to);
    for seed in 0..rounds / 2 {
        a_first_registration_survives_a_kill(&owner, store, length, 500 + 3 * seed);
    }
}
