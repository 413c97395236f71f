//! Restoring and reconciling, killed at random moments: done again they end right, and nothing of the old catalog is
//! lost on the way.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use resurgam_tests::{
    Outcome, Part, Random, Scene, args, assert_same, is_present,
    killed::{Call, killed_at_call},
    losing::{integrity_of, rows_of},
    parts::count_from,
    plain_tree,
};
use serde_json::Value;

/// Tables of which every row must come back from any copy.
const TABLES: [&str; 7] =
    ["server", "protection_group", "data_source", "volume", "replica", "recovery_point", "catalog_copy"];

/// A server with a past: three sources in two groups and two volumes, a native backup older than half of it, and a kit.
struct Past {
    scene: Scene,
    random: Random,
    second_pool: PathBuf,
    native: PathBuf,
    kit: [OsString; 4],
    /// What the server knew when it was lost.
    known: Value,
    rows: BTreeMap<&'static str, u64>,
    /// A point of each source, with what it must give back.
    copies: Vec<(String, PathBuf)>,
    /// How long restoring and reconciling take when nobody kills them.
    lengths: BTreeMap<&'static str, Duration>,
}

/// How a command is killed.
#[derive(Debug, Clone, Copy)]
enum Kill {
    /// At this part of its usual length.
    Moment(f64),
    /// When one of its threads makes this call, of those that change the disk.
    Call(Call),
}

impl Past {
    fn new(test: &str, seed: u64) -> Self {
        let scene = Scene::new();
        let mut random = Random::for_test(test, seed);
        let [second_pool, native, kits] = ["second-pool", "native", "kit"].map(|name| scene.path(name));
        let passphrase = scene.passphrase_file("correct horse battery staple");
        let program = scene.program();
        plain_tree::build(&scene.source, plain_tree::Size::TINY, &mut random);
        let mut copies = vec![(scene.take_point().id, scene.path("copy-0"))];
        plain_tree::copy(&scene.source, &copies[0].1);
        program.run(args!["group", "create", "Web", "--every", "1h", "--keep", "7d"]).done();
        let mut protect = |name: &str, pool: &Path, random: &mut Random| {
            let source = scene.path(name);
            fs::create_dir(&source).unwrap();
            plain_tree::build(&source, plain_tree::Size::TINY, random);
            let made = program.run(args!["protect", source, "--pool", pool, "--group", "Web"]);
            made.done();
            copies.push((made.point().id, source));
        };
        protect("early", &second_pool, &mut random);
        program.run(args!["catalog", "backup", "--to", native]).done();
        // All that comes now the native backup does not know.
        protect("late", &scene.pool, &mut random);
        for _ in 0..4 {
            plain_tree::change(&scene.source, 0.1, &mut random);
            scene.take_point();
        }
        program.run(args!["group", "set", "Web", "--keep", "30d"]).done();
        program.run(args!["recovery-kit", "write", "--to", kits, "--passphrase-file", passphrase]).done();
        program.run(args!["backup"]).done();
        let is_kit = |path: &PathBuf| path.extension().is_some_and(|suffix| suffix == "age");
        let file = plain_tree::files_below(&kits).into_iter().find(is_kit).unwrap();
        let kit = args!["-Kit", file, "--passphrase-file", passphrase];
        let known = scene.all_that_is_known();
        let rows = TABLES.into_iter().map(|table| (table, rows_of(&scene.catalog(), table))).collect();
        let lengths = BTreeMap::new();
        let mut past = Self { scene, random, second_pool, native, kit, known, rows, copies, lengths };
        past.measure();
        past
    }

    /// Restores and reconciles once without a kill.
    fn measure(&mut self) {
        self.scene.lose_home();
        let restored = self.scene.restore_db_with(&self.native, self.kit.clone());
        restored.done();
        let synced = self.scene.sync();
        synced.done();
        self.lengths = BTreeMap::from([("-RestoreDb", restored.took()), ("-Sync", synced.took())]);
        self.assert_whole();
    }

    /// Everything that was known is known again.
    fn assert_whole(&self) {
        assert_eq!(self.scene.all_that_is_known(), self.known);
        for (table, rows) in &self.rows {
            assert_eq!(rows_of(&self.scene.catalog(), table), *rows, "rows of {table}");
        }
        assert_eq!(integrity_of(&self.scene.catalog()), "ok");
    }

    fn assert_sample_restores(&mut self) {
        let (id, copy) = self.random.pick(&self.copies).clone();
        let to = self.scene.recovered(&id);
        assert_same(&copy, &to);
        fs::remove_dir_all(to).unwrap();
    }

    /// A place to restore from, and what else to say.
    fn pick_copy(&mut self) -> Vec<OsString> {
        let places = [
            args![self.native].to_vec(),
            args![self.scene.pool].to_vec(),
            args![self.scene.pool, "-Use", "pool"].to_vec(),
            args![self.second_pool, "-Use", "capsules"].to_vec(),
        ];
        let mut arguments = args!["dpmsync", "-RestoreDb", "-DbLoc"].to_vec();
        arguments.extend(self.random.pick(&places).iter().cloned());
        if self.random.below(2) == 0 {
            arguments.extend(self.kit.clone());
        }
        arguments
    }

    /// Runs a command that is killed.
    fn killed(&self, what: &'static str, arguments: &[OsString], kill: Kill) -> Outcome {
        println!("kill {what} at {kill:?}");
        let outcome = match kill {
            Kill::Moment(share) => {
                self.scene.program().start(arguments.iter().cloned()).kill_after(self.lengths[what].mul_f64(share))
            }
            Kill::Call(call) => killed_at_call(&self.scene.program(), arguments.iter().cloned(), call),
        };
        assert!(outcome.was_killed() || outcome.code() == Some(0), "{outcome}");
        outcome
    }

    /// One round: the home is there or gone; restoring is killed, done again, reconciling is killed, done again.
    fn round(&mut self, is_home_there: bool, restoring: Kill, reconciling: Kill) -> u64 {
        if !is_home_there {
            fs::remove_dir_all(&self.scene.home).unwrap();
        }
        let old = fs::read(self.scene.catalog()).ok();
        let restore = self.pick_copy();
        let first = self.killed("-RestoreDb", &restore, restoring);
        assert_kept(&self.scene.home, old.as_deref());
        let again = self.scene.program().run(restore);
        again.done();
        self.lengths.insert("-RestoreDb", again.took());
        assert_kept(&self.scene.home, old.as_deref());
        let frozen = self.scene.program().run(args!["expire"]).failed();
        assert_eq!(frozen.code, "frozen", "{frozen:?}");
        let second = self.killed("-Sync", &args!["dpmsync", "-Sync"], reconciling);
        let again = self.scene.sync();
        assert_eq!(again.done()["clean"], true, "{again}");
        self.lengths.insert("-Sync", again.took());
        self.scene.assert_syncs_clean();
        self.assert_whole();
        self.assert_sample_restores();
        self.scene.program().run(args!["expire"]).done();
        assert_no_debris(&self.scene.home);
        u64::from(first.was_killed()) + u64::from(second.was_killed())
    }
}

/// The old catalog is in its place or aside, byte for byte; and each that is aside opens.
fn assert_kept(home: &Path, old: Option<&[u8]>) {
    let Some(old) = old else { return };
    let catalogs = catalogs_in(home);
    let found = catalogs.iter().find(|path| fs::read(path).unwrap() == old);
    let found = found.unwrap_or_else(|| panic!("the old catalog is none of {catalogs:?}"));
    assert_eq!(integrity_of(found), "ok", "{}", found.display());
}

/// The catalog, and those that were set aside.
fn catalogs_in(home: &Path) -> Vec<PathBuf> {
    let mut files = plain_tree::files_below(home);
    files.retain(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("DPMDB.sqlite") && !name.ends_with("-journal")
    });
    files
}

/// What a killed restore left half made goes with the next.
fn assert_no_debris(home: &Path) {
    let names: Vec<_> = plain_tree::files_below(home)
        .into_iter()
        .filter(|path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")))
        .collect();
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn kills_at_random_moments_of_restore_and_sync() {
    let mut past = Past::new("sync_kills", 61);
    let rounds = count_from("RESURGAM_KILLS", 12).div_ceil(2);
    let mut killed = 0;
    for round in 0..rounds {
        let [restoring, reconciling] = [(); 2].map(|()| Kill::Moment(past.random.fraction() * 1.1));
        killed += past.round(round % 2 == 0, restoring, reconciling);
    }
    println!("killed before their end: {killed} of {}", 2 * rounds);
    assert!(killed > rounds / 2, "{killed} of {} is too few", 2 * rounds);
}

#[test]
fn kills_at_numbered_calls_of_restore_and_sync() {
    if !is_present("kills_at_numbered_calls_of_restore_and_sync", &[Part::Tool("strace")]) {
        return;
    }
    let mut past = Past::new("sync_kills_at_calls", 62);
    let rounds = count_from("RESURGAM_KILLS", 12).div_ceil(2);
    let mut killed = 0;
    for round in 0..rounds {
        let [restoring, reconciling] = [(); 2].map(|()| Kill::Call(Call::draw(&mut past.random)));
        killed += past.round(round % 2 == 0, restoring, reconciling);
    }
    println!("killed before their end: {killed} of {}", 2 * rounds);
    assert!(killed > rounds * 2 / 3, "{killed} of {} is too few", 2 * rounds);
}
