//! A server in a temporary home, through what it promises.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicI64, Ordering},
};

use jiff::tz::TimeZone;
use resurgam_model::{Timestamp, point::PointState, policy::Selection, report::BackupReport, retention::Retention};
use tempfile::TempDir;

use crate::{
    Cancel, Conflict, JobError, Meter, Protect, Recover, Scope, Server, Verify, VolumeReader, server::Environment,
};

/// A clock that goes on by a second each time that it is read.
fn tick() -> Timestamp {
    static SECONDS: AtomicI64 = AtomicI64::new(1_800_000_000);
    Timestamp::from_second(SECONDS.fetch_add(1, Ordering::Relaxed)).unwrap()
}

fn environment() -> Environment {
    Environment {
        now: tick,
        time_zone: TimeZone::UTC,
        passphrase: None,
        host_name: "test.example".to_owned(),
        volumes: crate::Access::ReadWrite,
        variable: |_| None,
    }
}

struct Scene {
    folder: TempDir,
    server: Server,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("data/sub")).unwrap();
        for number in 0..30 {
            let text = format!("file {number} ").repeat(number * 40 + 100);
            fs::write(folder.path().join(format!("data/sub/f{number}")), text).unwrap();
        }
        let server = Server::open_or_create(&folder.path().join("home"), environment()).unwrap();
        Self { folder, server }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn protect(&self) -> Result<BackupReport, JobError> {
        let what = Protect {
            paths: vec![self.path("data")],
            group: None,
            pool: Some(self.path("pool")),
            retention: None,
            every_seconds: None,
            selection: Selection::default(),
            manual: false,
        };
        self.server.protect(&what, &Meter::default(), &Cancel::default())
    }

    fn recovered(&self, to: &str) -> Vec<(String, Vec<u8>)> {
        let what = recover(&self.path(to));
        let report = self.server.recover(&what, &|_| {}, &Meter::default(), &Cancel::default()).unwrap();
        assert_eq!(report.unproved, []);
        contents(&self.path(to))
    }

    fn verify(&self, repair: bool) -> resurgam_model::report::VerifyReport {
        let what = Verify { read_data_percent: Some(100), repair, online: false };
        self.server.verify(&what, &Meter::default(), &Cancel::default()).unwrap()
    }
}

/// Every point but those of the catalog.
fn points(scene: &Scene) -> Vec<resurgam_model::point::Point> {
    let mut points = scene.server.points(None).unwrap();
    points.retain(|point| point.source != resurgam_model::policy::DPMDB);
    points
}

fn recover(to: &Path) -> Recover {
    Recover {
        point: "latest".to_owned(),
        source: None,
        paths: Vec::new(),
        to: Some(to.to_owned()),
        conflict: Conflict::Overwrite,
        owner: true,
        online: false,
    }
}

fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<_> = fs::read_dir(folder.join("sub"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    found.sort();
    found
}

#[test]
fn what_is_protected_comes_back_with_the_server_and_without_it() {
    let scene = Scene::new();
    let made = scene.protect().unwrap();
    assert_eq!((made.points.len(), made.unread.len()), (1, 0));
    assert_eq!(made.points[0].state, PointState::Complete);
    assert_eq!(scene.recovered("back"), contents(&scene.path("data")));
    fs::remove_dir_all(scene.path("home")).unwrap();
    let reader = VolumeReader::open(&scene.path("pool"), None).unwrap();
    assert_eq!(reader.points(None).unwrap().0.len(), 2, "one is that of the catalog");
    reader.recover(&recover(&scene.path("again")), &|_| {}, &Meter::default(), &Cancel::default()).unwrap();
    assert_eq!(contents(&scene.path("again")), contents(&scene.path("data")));
}

#[test]
fn a_point_that_the_catalog_lost_is_adopted_by_the_next_backup() {
    let scene = Scene::new();
    let first = scene.protect().unwrap().points[0].id;
    scene.server.catalog.remove_points(&[first]).unwrap();
    assert!(points(&scene).is_empty());
    scene.protect().unwrap();
    let points = points(&scene);
    assert_eq!(points.len(), 2);
    assert_eq!(points[0].id, first);
    assert!(scene.server.take_notices().iter().any(|notice| notice.contains("adopted")));
}

#[test]
fn a_point_that_is_being_given_up_is_not_adopted() {
    let scene = Scene::new();
    let (first, last) = (scene.protect().unwrap().points[0].clone(), scene.protect().unwrap().points[0].clone());
    let server = &scene.server;
    let record = server.volume_record(first.volume).unwrap();
    let volume = server.open_volume(&record).unwrap();
    let place = server.place_of(server.replica_of(first.source_id).unwrap().unwrap().id);
    // As whoever gives it up: out of the catalog first, and then out of the volume.
    let lock = volume.lock_points(&place, &Cancel::default()).unwrap();
    server.catalog.remove_points(&[first.id]).unwrap();
    std::thread::scope(|scope| {
        let source = server.catalog.source(first.source_id).unwrap().unwrap();
        let (volume, place) = (&volume, &place);
        let adopting = scope.spawn(move || server.adopt_points(volume, place, &source, &Cancel::default()));
        volume.delete_point(place, first.id).unwrap();
        drop(lock);
        adopting.join().unwrap().unwrap();
    });
    let left: Vec<_> = points(&scene).into_iter().map(|point| point.id).collect();
    assert_eq!(left, [last.id]);
    assert_eq!(volume.points_of(&place).unwrap(), [last.id]);
}

#[test]
fn what_damage_took_is_stored_again_by_the_next_backup_although_nothing_changed() {
    let scene = Scene::new();
    scene.protect().unwrap();
    let packs = scene.path("pool/packs");
    for directory in fs::read_dir(&packs).unwrap() {
        for pack in fs::read_dir(directory.unwrap().path()).unwrap() {
            fs::remove_file(pack.unwrap().path()).unwrap();
        }
    }
    let found = scene.verify(true);
    assert!(found.damage.iter().any(|damage| !damage.mended), "{found:?}");
    assert!(found.affected_points.contains(&points(&scene)[0].id));
    assert_eq!(points(&scene)[0].state, PointState::Damaged);
    scene.protect().unwrap();
    let found = scene.verify(false);
    // The catalog as it was then is nowhere any more, and that is told as damage; what the source still has, is there.
    assert_eq!((found.damage.len(), found.affected_points.len()), (1, 1), "{found:?}");
    assert!(found.damage[0].object.ends_with(&found.affected_points[0].to_string()), "{found:?}");
    assert!(points(&scene).iter().all(|point| point.state == PointState::Complete));
    assert_eq!(scene.recovered("back"), contents(&scene.path("data")));
}

#[test]
fn a_point_deleted_behind_our_back_is_put_back_from_the_catalog() {
    let scene = Scene::new();
    scene.protect().unwrap();
    for copy in ["pool/replicas", "pool/mirror/replicas"] {
        fs::remove_dir_all(scene.path(copy)).unwrap();
    }
    let found = scene.verify(false);
    assert!(found.damage.iter().any(|damage| damage.what.contains("the catalog has this recovery point")), "{found:?}");
    assert_eq!(points(&scene)[0].state, PointState::Missing);
    scene.verify(true);
    assert_eq!(points(&scene)[0].state, PointState::Complete);
    assert_eq!(scene.recovered("back"), contents(&scene.path("data")));
}

#[test]
fn expiry_follows_the_rules_and_never_takes_the_last_good_point() {
    let scene = Scene::new();
    for _ in 0..4 {
        scene.protect().unwrap();
    }
    let retention = Some(Some(Retention { last: Some(2), ..Retention::default() }));
    let change = crate::SourceChange { retention, selection: None };
    scene.server.change_source(&scene.path("data").display().to_string(), change).unwrap();
    assert_eq!(scene.server.expire(&[], None, true, &Cancel::default()).unwrap().expired.len(), 2);
    assert_eq!(points(&scene).len(), 4);
    assert_eq!(scene.server.expire(&[], None, false, &Cancel::default()).unwrap().expired.len(), 2);
    assert_eq!(points(&scene).len(), 2);
    scene.server.prune(false, &Cancel::default()).unwrap();
    assert_eq!(scene.recovered("back"), contents(&scene.path("data")));
    let nothing = Retention { last: Some(0), ..Retention::default() };
    let change = crate::SourceChange { retention: Some(Some(nothing)), selection: None };
    assert!(scene.server.change_source(&scene.path("data").display().to_string(), change).is_err());
}

#[test]
fn a_volume_of_another_server_is_refused_and_left_alone() {
    let (scene, mut other) = (Scene::new(), Scene::new());
    scene.protect().unwrap();
    let error = other.server.add_volume(&scene.path("pool"), false).err().unwrap();
    assert_eq!(error.code(), "volume-of-another-server");
    assert!(scene.verify(false).damage.is_empty());
}

#[test]
fn paths_that_cannot_be_protected_change_nothing() {
    let scene = Scene::new();
    let protect = |path: &Path| {
        let what = Protect {
            paths: vec![path.to_owned()],
            group: None,
            pool: None,
            retention: None,
            every_seconds: None,
            selection: Selection::default(),
            manual: false,
        };
        scene.server.protect(&what, &Meter::default(), &Cancel::default()).err().unwrap()
    };
    assert_eq!(protect(&scene.path("nothing")).code(), "no-such-path");
    assert_eq!(protect(&scene.path("home")).code(), "own-path");
    assert!(scene.server.sources().unwrap().is_empty());
}

#[test]
fn a_job_of_a_dead_process_is_closed_when_the_server_is_opened_again() {
    let scene = Scene::new();
    let mut new = resurgam_catalog::NewJob {
        id: Server::new_job_id().unwrap(),
        kind: "backup".to_owned(),
        subject: "/data".to_owned(),
        source: None,
        holder: crate::job::this_process(),
        now: tick(),
        lease_seconds: 1000,
    };
    scene.server.catalog.start_job(&new).unwrap();
    // The same process, as it was before this machine was started the last time.
    new.id = Server::new_job_id().unwrap();
    new.holder.boot = "another boot".to_owned();
    scene.server.catalog.start_job(&new).unwrap();
    let again = Server::open(&scene.path("home"), environment()).unwrap();
    let states: Vec<_> = again.jobs(10).unwrap().into_iter().map(|job| (job.id == new.id, job.state)).collect();
    assert!(states.contains(&(true, "interrupted".to_owned())), "{states:?}");
    assert!(states.contains(&(false, "running".to_owned())), "{states:?}");
}

#[test]
fn latest_needs_a_source_when_there_are_several() {
    let scene = Scene::new();
    scene.protect().unwrap();
    fs::create_dir(scene.path("other")).unwrap();
    let what = Protect {
        paths: vec![scene.path("other")],
        group: None,
        pool: None,
        retention: None,
        every_seconds: None,
        selection: Selection::default(),
        manual: false,
    };
    scene.server.protect(&what, &Meter::default(), &Cancel::default()).unwrap();
    let listed = |source: Option<&str>| scene.server.list("latest", source, b"", true, &mut |_| {});
    assert_eq!(listed(None).err().unwrap().code(), "which-source");
    assert!(listed(Some(&scene.path("data").display().to_string())).is_ok());
    let all = scene.server.backup(&Scope::default(), false, &Meter::default(), &Cancel::default()).unwrap();
    assert_eq!(all.points.len(), 3);
    assert_eq!(all.points[2].source, "DPMDB", "the catalog goes last");
}
