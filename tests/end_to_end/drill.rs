//! Drills: on a living server, beside its work, without touching it; and each copy that is spoiled is found and named.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use resurgam_tests::{
    AsItWas, Outcome, Part, Random, Running, Scene, args, is_present, plain_tree,
    spoil::{capsules, documents_of, spoil},
};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(240);
const KINDS: [&str; 4] = ["pool", "capsules", "native", "share"];

/// A server with each kind of copy of its catalog.
struct Living {
    scene: Scene,
    random: Random,
}

impl Living {
    fn new(test: &str, seed: u64) -> Self {
        let living = Self { scene: Scene::new(), random: Random::for_test(test, seed) };
        let mut random = living.random.clone();
        plain_tree::build(&living.scene.source, plain_tree::Size::TINY, &mut random);
        living.scene.take_point();
        fs::create_dir(living.share()).unwrap();
        living.run(args!["protect", living.share(), "--pool", living.scene.pool]);
        living.back_up_all();
        fs::create_dir(living.scratch()).unwrap();
        living
    }

    fn share(&self) -> PathBuf {
        self.scene.path("share")
    }

    fn native(&self) -> PathBuf {
        self.scene.path("native")
    }

    fn scratch(&self) -> PathBuf {
        self.scene.path("scratch")
    }

    #[track_caller]
    fn run<const N: usize>(&self, arguments: [std::ffi::OsString; N]) -> Outcome {
        let outcome = self.scene.program().run(arguments);
        outcome.done();
        outcome
    }

    /// Makes a copy of each kind anew.
    fn back_up_all(&self) {
        self.run(args!["catalog", "backup", "--to", self.native(), "--keep", "2"]);
        self.run(args!["catalog", "backup", "--to", self.share(), "--keep", "1"]);
        self.run(args!["backup"]);
    }

    fn drill(&self, from: &str) -> Outcome {
        self.scene.program().run(args!["drill", "--from", from, "--scratch", self.scratch()])
    }

    /// The drill of all copies, which must pass.
    #[track_caller]
    fn assert_passes(&self) -> Value {
        let outcome = self.drill("all");
        let report = outcome.done();
        assert_eq!(report["passed"], true, "{outcome}");
        let kinds: BTreeSet<&str> = copies(&report).iter().map(|copy| copy["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, BTreeSet::from(KINDS), "{outcome}");
        for copy in copies(&report) {
            assert_eq!(copy["missing"], serde_json::json!([]), "{outcome}");
            assert!(copy["rows"].as_u64() > Some(10) && copy["files_proved"].as_u64() > Some(20), "{outcome}");
            assert!(copy["recovery_time_milliseconds"].is_u64(), "{outcome}");
            assert!(copy["recovery_point_seconds"].is_u64(), "{outcome}");
        }
        assert_eq!(fs::read_dir(self.scratch()).unwrap().count(), 0, "nothing is left in the scratch place");
        assert_eq!(self.failed_alerts(), Vec::<String>::new());
        report
    }

    /// The drill of all copies fails, and names that of this kind and no other; the alert stands, `status` shows it.
    #[track_caller]
    fn assert_fails(&self, kind: &str, place: &Path) {
        let outcome = self.drill("all");
        let report = outcome.json_with_code(1);
        assert_eq!(report["passed"], false, "{outcome}");
        for copy in copies(&report) {
            assert_eq!(copy["passed"], copy["kind"] != kind, "{outcome}");
            assert_eq!(copy["missing"].as_array().unwrap().is_empty(), copy["kind"] != kind, "{outcome}");
        }
        let place = place.to_str().unwrap();
        assert_eq!(self.failed_alerts(), [format!("drill-failed: {kind} {place}")]);
        let status = self.scene.program().run(args!["status"]).done();
        let drilled = status["copies"].as_array().unwrap().iter().find(|copy| copy["kind"] == kind).unwrap();
        assert_eq!(drilled["drill"]["passed"], false, "{status}");
        let for_people = self.scene.program().for_people().run(args!["status"]);
        let line = for_people.stdout().lines().find(|line| line.starts_with(kind) && line.contains(place));
        assert!(line.is_some_and(|line| line.contains("FAILED")), "{for_people}");
        assert!(for_people.stdout().contains("critical: drill-failed"), "{for_people}");
    }

    /// The newest point of the catalog is spoiled. It comes back from no copy; but only that in the pool is itself of no
    /// use.
    #[track_caller]
    fn assert_fails_by_point(&self, point: &str) {
        let outcome = self.drill("all");
        let report = outcome.json_with_code(1);
        for copy in copies(&report) {
            let missing: Vec<&str> =
                copy["missing"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
            let unusable = missing.iter().find(|line| line.contains("cannot be used"));
            assert_eq!(unusable.is_some_and(|line| line.contains(point)), copy["kind"] == "pool", "{outcome}");
            assert_eq!(missing.len(), if copy["kind"] == "pool" { 2 } else { 1 }, "{outcome}");
            assert!(missing.iter().all(|line| line.len() < 300), "a person is to read that: {outcome}");
        }
        assert!(self.failed_alerts().contains(&format!("drill-failed: pool {}", self.scene.pool.display())));
    }

    fn failed_alerts(&self) -> Vec<String> {
        let mut alerts = self.scene.alerts();
        alerts.retain(|alert| alert.starts_with("drill-failed"));
        alerts
    }

    /// Takes a point of the catalog; answers its id and the packs with its data, which are not in the mirror.
    fn point_of_catalog(&self) -> (String, Vec<PathBuf>) {
        let below = |name: &str| plain_tree::files_below(&self.scene.pool.join(name));
        let packs = || -> BTreeSet<PathBuf> {
            let mirrored: BTreeSet<_> =
                below("mirror/packs").iter().map(|pack| pack.file_name().map(Into::into)).collect();
            let all = below("packs").into_iter();
            all.filter(|pack| !mirrored.contains(&pack.file_name().map(std::ffi::OsString::from))).collect()
        };
        let before = packs();
        let outcome = self.run(args!["backup", "--source", "DPMDB"]);
        let point = outcome.all_points().remove(0).id;
        (point, packs().difference(&before).cloned().collect())
    }
}

fn copies(report: &Value) -> Vec<&Value> {
    report["copies"].as_array().unwrap().iter().collect()
}

fn newest(directory: &Path) -> PathBuf {
    plain_tree::files_below(directory).pop().unwrap()
}

#[test]
fn a_living_server_is_drilled_from_every_copy_beside_its_work() {
    let mut living = Living::new("drilled_beside_its_work", 321);
    let others: Vec<PathBuf> = (0..2).map(|number| living.scene.path(&format!("other-{number}"))).collect();
    for other in &others {
        fs::create_dir(other).unwrap();
        plain_tree::build(other, plain_tree::Size::SMALL, &mut living.random);
        living.run(args!["protect", other, "--pool", living.scene.pool]);
    }
    living.back_up_all();
    for round in 0..3 {
        let program = living.scene.program();
        let drill = program.start(args!["drill", "--from", "all", "--scratch", living.scratch()]);
        let mut backups = 0;
        while !drill.has_ended_within(Duration::ZERO) {
            for other in &others {
                plain_tree::change(other, 0.05, &mut living.random);
            }
            let running: Vec<Running> =
                others.iter().map(|other| program.start(args!["backup", "--source", other])).collect();
            // What people decide meanwhile changes rows, too.
            let keep = (5 + backups).to_string();
            program.run(args!["source", "set", living.scene.source, "--keep-last", keep]).done();
            for outcome in running.into_iter().map(|running| running.finish(LIMIT)) {
                outcome.done();
                backups += 1;
            }
        }
        let outcome = drill.finish(LIMIT);
        assert_eq!(outcome.done()["passed"], true, "round {round}, {backups} backups beside it: {outcome}");
        assert_eq!(copies(&outcome.json()).len(), KINDS.len(), "{outcome}");
        assert!(backups > 0);
    }
    living.assert_passes();
    living.scene.assert_sound();
}

#[test]
fn a_drill_writes_neither_into_the_living_home_nor_into_a_volume() {
    if !is_present("a_drill_writes_neither_into_the_living_home_nor_into_a_volume", &[Part::Tool("strace")]) {
        return;
    }
    let living = Living::new("a_drill_writes_neither", 322);
    let (home, pool) = (&living.scene.home, &living.scene.pool);
    let still: Vec<AsItWas> = ["packs", "index", "replicas", "mirror/packs", "mirror/replicas"]
        .map(|name| AsItWas::now(&pool.join(name)))
        .into_iter()
        .chain([AsItWas::now(&living.native()), AsItWas::now(&living.share())])
        .collect();
    let log = living.scene.path("calls");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-y", "-e", "trace=open,openat,openat2,creat,rename,renameat,renameat2"]);
    strace.args(["-e", "trace=link,linkat,unlink,unlinkat,mkdir,mkdirat,truncate,ftruncate,pwrite64", "-o"]);
    strace.arg(&log);
    let drill = args!["drill", "--from", "all", "--scratch", living.scratch()];
    let mut command = living.scene.program().command_under(strace, drill);
    let outcome = Running::start(&mut command).finish(LIMIT);
    assert_eq!(outcome.done()["passed"], true, "{outcome}");
    let mut written = BTreeSet::new();
    for line in fs::read_to_string(&log).unwrap().lines() {
        let only_reads = line.contains("open") && !["O_WRONLY", "O_RDWR", "O_CREAT"].iter().any(|f| line.contains(f));
        for place in [home, pool].map(|place| place.to_str().unwrap()) {
            if let Some(at) = line.find(place).filter(|_| !only_reads) {
                let path: String = line[at..].chars().take_while(|c| !"\">".contains(*c)).collect();
                written.insert(path.replace(place, place.rsplit('/').next().unwrap()));
            }
        }
    }
    // The living server notes the job and how the drill went. That is a change of its own configuration, which goes into
    // its volume as any other does.
    let allowed = |path: &&String| {
        path.starts_with("home/DPMDB.sqlite")
            || ["home", "home/publishing", "home/lock", "pool", "pool/mirror"].contains(&path.as_str())
            || path.starts_with("pool/catalog")
            || path.starts_with("pool/mirror/catalog")
    };
    let other: Vec<&String> = written.iter().filter(|path| !allowed(path)).collect();
    assert!(other.is_empty(), "{other:#?}");
    assert!(written.iter().any(|path| path.starts_with("home/DPMDB.sqlite")), "strace saw nothing: {written:?}");
    for place in &still {
        place.assert_still();
    }
}

#[test]
fn a_spoiled_native_backup_fails_its_drill() {
    let living = Living::new("a_spoiled_native_backup", 323);
    living.assert_passes();
    let file = newest(&living.native());
    spoil(&file);
    living.assert_fails("native", &living.native());
    let alone = living.drill("native");
    alone.json_with_code(1);
    let said = alone.json()["copies"][0]["missing"].to_string();
    assert!(said.contains(file.file_name().unwrap().to_str().unwrap()), "{alone}");
    // An older one takes its place; but that it had to is a fault as long as none that is newer is good.
    living.run(args!["catalog", "backup", "--to", living.native()]);
    living.assert_passes();
    // All of them gone.
    fs::remove_dir_all(living.native()).unwrap();
    living.assert_fails("native", &living.native());
    living.run(args!["catalog", "backup", "--to", living.native()]);
    living.assert_passes();
}

#[test]
fn a_spoiled_point_of_the_catalog_fails_its_drill() {
    let living = Living::new("a_spoiled_point", 324);
    let (point, _) = living.point_of_catalog();
    living.assert_passes();
    // The document in both copies; it is mended from the catalog.
    for document in documents_of(&living.scene.pool, &point) {
        spoil(&document);
    }
    living.assert_fails_by_point(&point);
    living.run(args!["verify", "--repair"]);
    living.assert_passes();
    // Its data, beyond what parity mends. Its source, which is the catalog, still has most of it.
    let (point, packs) = living.point_of_catalog();
    assert!(!packs.is_empty());
    for pack in packs {
        let length = fs::metadata(&pack).unwrap().len() as usize;
        fs::write(pack, Random::new(1).bytes(length)).unwrap();
    }
    living.assert_fails_by_point(&point);
    // What nothing brings back is told until it is given up.
    let verify = living.scene.program().run(args!["verify", "--read-data", "--repair"]);
    assert!(verify.code() == Some(1) && verify.stdout().contains(&point), "{verify}");
    living.run(args!["expire", "--point", point]);
    living.run(args!["backup", "--source", "DPMDB", "--consistency-check"]);
    living.run(args!["verify", "--read-data", "--repair"]);
    living.assert_passes();
}

#[test]
fn spoiled_capsules_fail_their_drill() {
    let living = Living::new("spoiled_capsules", 325);
    living.assert_passes();
    // So that the other copies know as much: how the drill went is a change of the configuration.
    living.back_up_all();
    for capsule in capsules(&living.scene.pool) {
        spoil(&capsule);
    }
    living.assert_fails("capsules", &living.scene.pool);
    // A change makes a new one.
    living.run(args!["source", "set", living.scene.source, "--keep-last", "9"]);
    living.assert_passes();
    // One of the two copies alone is no loss.
    for capsule in capsules(&living.scene.pool).iter().filter(|path| !path.to_str().unwrap().contains("mirror")) {
        spoil(capsule);
    }
    living.assert_passes();
}

#[test]
fn a_spoiled_copy_in_the_share_fails_its_drill() {
    let living = Living::new("a_spoiled_copy_in_the_share", 326);
    living.assert_passes();
    // The file was spoiled before it was backed up.
    spoil(&newest(&living.share()));
    fs::set_permissions(newest(&living.share()), fs::Permissions::from_mode(0o640)).unwrap();
    living.run(args!["backup", "--source", living.share(), "--consistency-check"]);
    living.assert_fails("share", &living.share());
    living.run(args!["catalog", "backup", "--to", living.share(), "--keep", "1"]);
    living.run(args!["backup", "--source", living.share()]);
    living.assert_passes();
    // The point of the folder is spoiled.
    let point = living.run(args!["backup", "--source", living.share()]).point().id;
    for document in documents_of(&living.scene.pool, &point) {
        spoil(&document);
    }
    let outcome = living.drill("share");
    outcome.json_with_code(1);
    assert_eq!(living.failed_alerts(), [format!("drill-failed: share {}", living.share().display())]);
    living.run(args!["verify", "--repair"]);
    living.assert_passes();
}

#[test]
fn a_drill_of_what_is_not_there_says_so() {
    let scene = Scene::new();
    scene.take_point();
    let failure = scene.program().run(args!["drill", "--from", "native"]).failed();
    assert_eq!(failure.code, "no-copy", "{failure:?}");
    assert!(failure.speaks_of(&["native", "catalog backup"]), "{failure:?}");
    let failure = scene.program().run(args!["drill", "--scratch", scene.path("nowhere")]).failed();
    assert!(failure.speaks_of(&["--scratch"]), "{failure:?}");
    // No copy is to blame for that.
    assert!(scene.alerts().iter().all(|alert| !alert.starts_with("drill-failed")), "{:?}", scene.alerts());
}
