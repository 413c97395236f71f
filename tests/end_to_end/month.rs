//! A month of hourly points: expired and pruned every day, verified every week. The volume follows what is kept, every kept
//! point restores, and no backup costs more than those before it.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use resurgam_tests::{
    Outcome, Part, Point, Random, Running, Scene, args, is_present,
    parts::{count_from, run_tool},
    plain_tree,
};

const FILES: usize = 500;
/// Two percent.
const CHANGED: usize = FILES / 50;
/// Points that are kept, in days.
const KEPT_DAYS: usize = 2;
const WEEK: usize = 7;
/// What the volume may take more than one that never held anything but what is kept.
const WASTE: f64 = 0.15;
/// What a backup may cost more at the end: the files that change are of different lengths each time.
const GROWTH: f64 = 0.25;

/// What is in a tree: each file's bytes, by their hash.
type Contents = BTreeMap<PathBuf, u64>;

fn hash_of(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

fn contents_below(root: &Path) -> Contents {
    let files = plain_tree::files_below(root);
    files
        .into_iter()
        .map(|path| (path.strip_prefix(root).unwrap().to_owned(), hash_of(&fs::read(&path).unwrap())))
        .collect()
}

/// What backups of one day cost.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    /// Bytes that the volume grew by, all backups together.
    added: u64,
    /// Calls that read or write, by the last backup of the day.
    calls: u64,
}

struct Month {
    scene: Scene,
    random: Random,
    contents: Contents,
    /// What each kept point must give back.
    points: HashMap<String, Contents>,
}

impl Month {
    fn new(kept: usize) -> Self {
        let (scene, random) = (Scene::new(), Random::for_test("month", 111));
        let mut month = Self { scene, random, contents: Contents::new(), points: HashMap::new() };
        (0..FILES).for_each(|number| month.write(number));
        month.take_point();
        let program = month.scene.program();
        program.run(args!["source", "set", month.scene.source, "--keep-last", kept.to_string()]).done();
        month
    }

    /// A file with new content; half of it can be compressed.
    fn write(&mut self, number: usize) {
        let name = PathBuf::from(format!("dir-{:02}/file-{number:04}", number / 25));
        let half = 500 + self.random.index(4000);
        let bytes = [self.random.bytes(half), self.random.text(half)].concat();
        let path = self.scene.source.join(&name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &bytes).unwrap();
        self.contents.insert(name, hash_of(&bytes));
    }

    fn change(&mut self) {
        for _ in 0..CHANGED {
            let number = self.random.index(FILES);
            self.write(number);
        }
    }

    fn took(&mut self, outcome: &Outcome) -> Point {
        outcome.done();
        let point = outcome.point();
        self.points.insert(point.id.clone(), self.contents.clone());
        point
    }

    fn take_point(&mut self) -> Point {
        let outcome = self.scene.protect();
        self.took(&outcome)
    }

    /// Takes a point, and counts the calls that this takes.
    fn take_counted_point(&mut self) -> (Point, u64) {
        // Not those that list directories: packs lie in up to 256 of them, which come into being in the first weeks.
        const CALLS: &str = "trace=read,pread64,preadv,write,pwrite64,pwritev,writev,fsync,fdatasync";
        let list = self.scene.path("calls");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "--seccomp-bpf", "-e", CALLS, "-o"]).arg(&list);
        let arguments = args!["protect", self.scene.source, "--pool", self.scene.pool];
        let mut command = self.scene.program().command_under(strace, arguments);
        let outcome = Running::start(&mut command).finish(Duration::from_secs(180));
        let point = self.took(&outcome);
        (point, fs::read_to_string(list).unwrap().lines().count() as u64)
    }

    /// A day's points, and what is done at its end.
    fn day(&mut self, points: usize) -> Cost {
        let mut cost = Cost::default();
        for _ in 1..points {
            self.change();
            cost.added += self.take_point().added_bytes;
        }
        self.change();
        let (point, calls) = self.take_counted_point();
        let program = self.scene.program();
        program.run(args!["expire"]).done();
        program.run(args!["prune"]).done();
        Cost { added: cost.added + point.added_bytes, calls }
    }

    /// The bytes of a volume that never held anything but the points of this one, each of which must come out whole.
    fn bytes_of_what_is_kept(&self) -> u64 {
        let fresh = Scene::new();
        for point in self.scene.points() {
            let to = self.scene.recovered(&point.id);
            assert!(contents_below(&to) == self.points[&point.id], "{} gives back something else", point.id);
            // In place, so that what did not change from one point to the next keeps its inode, as it had here.
            let (mut from, mut rsync) = (to.clone().into_os_string(), Command::new("rsync"));
            from.push("/");
            run_tool(rsync.args(["-a", "--delete"]).arg(from).arg(&fresh.source));
            fresh.take_point();
            fs::remove_dir_all(to).unwrap();
        }
        // Its small packs are put together, as those of the other were.
        (0..2).for_each(|_| drop(fresh.program().run(args!["prune"]).done()));
        fresh.stored_bytes()
    }
}

#[test]
fn a_month_of_hourly_points_costs_what_is_kept_and_what_changes() {
    if !is_present("a_month_of_hourly_points", &[Part::Tool("strace"), Part::Tool("rsync")]) {
        return;
    }
    let points = usize::try_from(count_from("RESURGAM_MONTH_POINTS", 24)).unwrap();
    // Short forms have short days, so that as many things happen.
    let days = if points >= 240 { points / 24 } else { 6 };
    let hours = points / days;
    let mut month = Month::new(KEPT_DAYS * hours);
    let mut costs = Vec::new();
    for day in 1..=days {
        costs.push(month.day(hours));
        if day % WEEK == 0 || day == days {
            month.scene.assert_sound();
        }
        println!("day {day}: {:?}, the volume takes {}", costs[day - 1], month.scene.stored_bytes());
    }
    assert_eq!(month.scene.points().len(), KEPT_DAYS * hours);

    let (taken, needed) = (month.scene.stored_bytes(), month.bytes_of_what_is_kept());
    println!("{points} points: the volume takes {taken}, and one with only what is kept {needed}");
    assert!(taken as f64 <= needed as f64 * (1.0 + WASTE), "{taken} bytes for {needed}");

    // From the day of the 100th point on, or from the middle.
    let (early, late) = (costs[(100 / hours).min(days / 2)], costs[days - 1]);
    println!("a day's backups cost {early:?} early and {late:?} at the end");
    for (early, late) in [(early.added, late.added), (early.calls, late.calls)] {
        assert!(late as f64 <= early as f64 * (1.0 + GROWTH), "{late} at the end, and {early} early");
    }
}
