//! A daemon on a real server in a temporary home, by a clock that a test sets.

use std::{
    fs,
    path::PathBuf,
    sync::{
        MutexGuard,
        atomic::{AtomicI64, Ordering},
    },
};

use jiff::{SignedDuration, tz::TimeZone};
use resurgam_jobs::{Access, Protect};
use resurgam_model::{alert::kind, policy::Selection};
use tempfile::TempDir;

use super::*;
use crate::daemon::{Options, Tally, serve};

/// Seconds since the start; every reading takes one.
static CLOCK: AtomicI64 = AtomicI64::new(0);
/// There is one clock, so only one test at a time.
static TURN: Mutex<()> = Mutex::new(());

fn clock() -> Timestamp {
    let start: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
    start + SignedDuration::from_secs(CLOCK.fetch_add(1, Ordering::SeqCst))
}

fn hours(count: i64) {
    CLOCK.fetch_add(count * 3_600, Ordering::SeqCst);
}

fn environment() -> Environment {
    Environment {
        now: clock,
        time_zone: TimeZone::UTC,
        passphrase: None,
        host_name: "test.example".to_owned(),
        volumes: Access::ReadWrite,
        variable: |_| None,
    }
}

struct Scene {
    folder: TempDir,
    log: Mutex<Vec<String>>,
    _turn: MutexGuard<'static, ()>,
}

impl Scene {
    /// A server that protects the folder `data`, hourly.
    fn new() -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().unwrap();
        let scene = Self { folder, log: Mutex::default(), _turn: turn };
        scene.protect("data");
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn server(&self) -> Server {
        Server::open_or_create(&self.path("home"), environment()).unwrap()
    }

    fn protect(&self, name: &str) {
        fs::create_dir_all(self.path(name)).unwrap();
        fs::write(self.path(name).join("file"), name).unwrap();
        let what = Protect {
            paths: vec![self.path(name)],
            group: None,
            pool: Some(self.path("pool")),
            retention: None,
            every_seconds: Some(3_600),
            selection: Selection::default(),
            manual: false,
        };
        self.server().protect(&what, &Meter::default(), &Cancel::default()).unwrap();
    }

    /// Does once what is due.
    fn serve(&self) -> Tally {
        let log = |_: Level, line: &str| self.log.lock().unwrap().push(line.to_owned());
        let notifier = Notifier::new(None, None, None, 0).unwrap();
        let outside = Outside { environment: &environment, log: &log, notifier, scratch: self.path("scratch") };
        fs::create_dir_all(self.path("scratch")).unwrap();
        let home = Home::open(&self.path("home"), outside).unwrap();
        serve(&home, &Options { slots: 1, zone: TimeZone::UTC, once: true }, &Cancel::default())
    }

    /// What was told since the last time.
    fn told(&self) -> String {
        std::mem::take(&mut *self.log.lock().unwrap()).join("\n")
    }

    fn points(&self, name: &str) -> usize {
        let server = self.server();
        let root = escape(self.path(name).canonicalize().unwrap().into_os_string().as_encoded_bytes());
        let sources = server.catalog().sources().unwrap();
        let source = sources.iter().find(|source| escape(&source.root) == root).unwrap();
        server.catalog().point_entries(Some(source.id)).unwrap().len()
    }

    fn stands(&self, kind: &str) -> bool {
        let server = self.server();
        server.catalog().alerts(false).unwrap().iter().any(|alert| alert.kind == kind)
    }
}

#[test]
fn it_backs_up_what_is_due_and_keeps_the_house() {
    let scene = Scene::new();
    let tally = scene.serve();
    let told = scene.told();
    assert_eq!(tally.failed, 0, "{told}");
    // Just protected: nothing to back up, but upkeep has never been done.
    assert_eq!(scene.points("data"), 1, "{told}");
    for upkeep in ["expire", "prune", "verify", "drill"] {
        assert!(told.contains(&format!("{upkeep} is done")), "{upkeep}: {told}");
    }
    scene.serve();
    assert!(!scene.told().contains("is done"));

    hours(5);
    scene.serve();
    let told = scene.told();
    assert_eq!(scene.points("data"), 2);
    assert!(told.contains("/data begins, and makes good 3 missed run(s)") || told.contains("makes good 4"), "{told}");
    assert!(told.contains("backup of DPMDB is done"), "{told}");
    // The night comes.
    hours(14);
    scene.serve();
    let told = scene.told();
    assert!(told.contains("expire is done") && told.contains("verify is done"), "{told}");
    assert!(!told.contains("prune") && !told.contains("drill"), "{told}");
}

#[test]
fn native_backups_go_where_they_are_wanted_and_as_often() {
    let scene = Scene::new();
    let to = scene.path("native");
    let what = CatalogBackup { to: to.clone(), keep: Some(2), max_age_seconds: None, every_seconds: Some(7_200) };
    scene.server().catalog_backup(&what, &Cancel::default()).unwrap();
    let files = || fs::read_dir(&to).unwrap().count();
    scene.serve();
    assert_eq!(files(), 1, "{}", scene.told());
    for _ in 0..3 {
        hours(3);
        scene.serve();
        assert!(scene.told().contains("catalog backup to"));
    }
    assert_eq!(files(), 2);
}

#[test]
fn what_fails_is_told_holds_up_nothing_else_and_is_made_good() {
    let scene = Scene::new();
    scene.protect("other");
    scene.serve();
    scene.told();
    fs::rename(scene.path("data"), scene.path("away")).unwrap();
    hours(2);
    assert!(scene.serve().failed > 0);
    let told = scene.told();
    assert!(told.contains("/data failed (1 in a row)"), "{told}");
    assert_eq!(scene.points("other"), 2, "{told}");
    // Not yet due again; then it is, and counts.
    scene.serve();
    assert!(!scene.told().contains("/data begins"), "the pause of five minutes");
    hours(1);
    scene.serve();
    assert!(scene.told().contains("/data failed"));
    assert!(scene.stands(kind::SOURCE_FAILING) && scene.stands(kind::SOURCE_OVERDUE));

    fs::rename(scene.path("away"), scene.path("data")).unwrap();
    hours(1);
    scene.serve();
    assert_eq!(scene.points("data"), 2, "{}", scene.told());
    hours(1);
    scene.serve();
    assert!(scene.told().contains("no more: source-failing"));
    assert!(!scene.stands(kind::SOURCE_FAILING) && !scene.stands(kind::SOURCE_OVERDUE));
}

#[test]
fn what_was_stopped_or_may_not_be_deleted_is_left_alone() {
    let scene = Scene::new();
    let server = scene.server();
    server.remove_source(&scene.path("data").to_string_lossy(), false, None).unwrap();
    let mut lineage = server.catalog().lineage().unwrap().unwrap();
    lineage.frozen = Some("restored, and not yet reconciled".to_owned());
    server.catalog().set_lineage(&lineage).unwrap();
    drop(server);
    hours(30);
    let tally = scene.serve();
    let told = scene.told();
    assert_eq!(tally.failed, 0, "{told}");
    assert_eq!(scene.points("data"), 1, "{told}");
    // (Where the machine's disk is nearly full, an alert speaks of both.)
    assert!(!told.contains("expire begins") && !told.contains("prune begins"), "{told}");
    assert!(told.contains("verify is done"), "{told}");
    assert!(scene.stands(kind::FROZEN));
}

#[test]
fn two_daemons_do_not_serve_one_home() {
    let scene = Scene::new();
    let log = |_: Level, _: &str| {};
    let open = || {
        let notifier = Notifier::new(None, None, None, 0).unwrap();
        let outside = Outside { environment: &environment, log: &log, notifier, scratch: scene.path("scratch") };
        Home::open(&scene.path("home"), outside)
    };
    let first = open().unwrap();
    let error = open().err().unwrap().to_string();
    assert!(error.contains("is being served already"), "{error}");
    drop(first);
    assert!(open().is_ok());
}
