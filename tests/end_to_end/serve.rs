//! The server that keeps time: `serve`, by the real clock, stopped, killed and started again.

use std::{
    fs,
    os::unix::{fs::symlink, net::UnixDatagram},
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use resurgam_tests::{
    Outcome, Part, Random, Running, Scene, args, assert_same, is_present, parts::tool, plain_tree, slow::start_slowly,
};
use rustix::process::Signal;

/// It is asked to end: it has to within this time, whatever it is doing.
const STOPPED_WITHIN: Duration = Duration::from_secs(10);

/// A server with one source, protected each second.
fn scene(test: &str, seed: u64) -> Scene {
    let scene = Scene::new();
    plain_tree::build(&scene.source, plain_tree::Size::TINY, &mut Random::for_test(test, seed));
    scene.program().run(args!["source", "add", scene.source, "--pool", scene.pool, "--every", "1s"]).done();
    scene
}

/// Asks again and again, for half a minute at most.
#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..300 {
        if is_so() {
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("{what}: not within half a minute");
}

#[track_caller]
fn until_points(scene: &Scene, count: usize) {
    until(&format!("{count} points"), || scene.points().len() >= count);
}

/// The newest backup of the scene's source, as `jobs` shows it: its state.
fn state_of_backup(scene: &Scene) -> String {
    let jobs = scene.program().run(args!["jobs"]).done();
    let mut jobs = jobs["jobs"].as_array().cloned().unwrap_or_default().into_iter();
    let newest = jobs.find(|job| job["kind"] == "backup" && job["subject"] == scene.source.to_str().unwrap());
    newest.map_or_else(String::new, |job| job["state"].as_str().unwrap().to_owned())
}

#[track_caller]
fn stopped(serving: Running) -> Outcome {
    serving.signal(Signal::TERM);
    let outcome = serving.finish(STOPPED_WITHIN);
    outcome.done();
    outcome
}

#[test]
fn points_come_of_themselves_and_one_daemon_serves_a_home() {
    let scene = scene("serve", 301);
    let socket = scene.path("notify");
    let systemd = UnixDatagram::bind(&socket).unwrap();
    systemd.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let hears = |word: &str| {
        let mut bytes = [0; 4096];
        until(word, || {
            let length = systemd.recv(&mut bytes).unwrap_or_else(|error| panic!("never heard {word}: {error}"));
            std::str::from_utf8(&bytes[..length]).unwrap().lines().any(|line| line == word)
        });
    };
    let serving = scene.program().with("NOTIFY_SOCKET", &socket).start(args!["serve"]);
    hears("READY=1");
    // That nobody reads what it says of itself meanwhile does not hold it up.
    until_points(&scene, 8);
    // By another name it is the same home.
    symlink(&scene.home, scene.path("alias")).unwrap();
    for home in ["home", "alias"] {
        let second = resurgam_tests::Program::new(scene.path(home)).run(args!["serve"]);
        assert!(second.failed().speaks_of(&["served already"]), "{second}");
    }
    // A command beside it is no second daemon.
    scene.take_point();
    systemd.set_nonblocking(true).unwrap();
    while systemd.recv(&mut [0; 4096]).is_ok() {}
    systemd.set_nonblocking(false).unwrap();
    serving.signal(Signal::TERM);
    hears("STOPPING=1");
    let outcome = serving.finish(STOPPED_WITHIN);
    let document = outcome.done();
    assert_eq!(document["failed"], 0, "{outcome}");
    assert!(document["done"].as_u64() >= Some(3), "{outcome}");
    assert!(outcome.stderr().contains("backup of"), "{outcome}");
    assert_same(&scene.source, &scene.recovered("latest"));
}

#[test]
fn what_is_called_off_or_killed_is_made_good_by_the_next_start() {
    if !is_present("what_is_called_off_or_killed_is_made_good_by_the_next_start", &[Part::Tool("strace")]) {
        return;
    }
    let scene = scene("serve_stopped", 302);
    let in_the_midst = || {
        let serving = start_slowly(&scene.program(), args!["serve"]);
        until("a backup runs", || state_of_backup(&scene) == "running");
        serving
    };
    let outcome = stopped(in_the_midst());
    assert!(outcome.stderr().contains("was called off"), "{outcome}");
    assert!(scene.points().is_empty() && state_of_backup(&scene) != "running", "{outcome}");
    let serving = in_the_midst();
    serving.signal(Signal::KILL);
    assert!(serving.finish(STOPPED_WITHIN).was_killed());
    assert!(scene.points().is_empty());
    let serving = scene.program().start(args!["serve"]);
    until_points(&scene, 2);
    assert_eq!(stopped(serving).json()["failed"], 0);
    assert_same(&scene.source, &scene.recovered("latest"));
    scene.assert_sound_or_mended();
}

#[test]
fn an_alert_stands_while_a_source_is_away_and_nothing_else_waits() {
    let scene = scene("serve_alert", 303);
    let other = scene.path("other");
    fs::create_dir(&other).unwrap();
    plain_tree::build(&other, plain_tree::Size::TINY, &mut Random::new(304));
    scene.program().run(args!["source", "add", other]).done();
    let points_of = |root: &Path| scene.points().iter().filter(|point| Path::new(&point.source) == root).count();
    let serving = scene.program().start(args!["serve"]);
    until("a point of each", || points_of(&scene.source) > 0 && points_of(&other) > 0);
    let (away, alert) = (scene.path("away"), format!("source-failing: {}", scene.source.display()));
    fs::rename(&scene.source, &away).unwrap();
    until("the alert", || scene.alerts().contains(&alert));
    let before = points_of(&other);
    until("more points of the other", || points_of(&other) > before + 1);
    assert!(scene.alerts().contains(&alert), "it stands as long as the source is away");
    fs::rename(&away, &scene.source).unwrap();
    until("the alert clears itself", || !scene.alerts().contains(&alert));
    let all = scene.program().run(args!["alerts", "--all"]);
    assert!(all.done().to_string().contains("source-failing"), "{all}");
    let outcome = stopped(serving);
    assert!(outcome.json()["failed"].as_u64() > Some(0), "{outcome}");
}

#[test]
fn once_does_what_is_due_and_ends() {
    let scene = scene("serve_once", 305);
    scene.program().run(args!["group", "set", "Default", "--every", "1h"]).done();
    // Named as a person does; it is the same directory.
    let native = scene.path("native");
    fs::create_dir(&native).unwrap();
    symlink(&native, scene.path("by-hand")).unwrap();
    scene.program().run(args!["catalog", "backup", "--to", scene.path("by-hand"), "--every", "1h"]).done();
    let outcome = scene.program().run(args!["serve", "--once"]);
    assert_eq!(outcome.done()["failed"], 0, "{outcome}");
    assert_eq!(fs::read_dir(&native).unwrap().count(), 1, "what was done by hand counts: {outcome}");
    let points = scene.program().run(args!["points"]).all_points();
    let sources: Vec<&str> = points.iter().map(|point| point.source.as_str()).collect();
    assert!(sources.contains(&"DPMDB") && sources.contains(&scene.source.to_str().unwrap()), "{sources:?}");
    // Now nothing of that is due, and what is gone is not missed before its time.
    fs::rename(&scene.source, scene.path("away")).unwrap();
    scene.program().run(args!["serve", "--once"]).done();
    assert_eq!(scene.program().run(args!["points"]).all_points().len(), points.len());
    scene.program().run(args!["catalog", "backup", "--to", native, "--every", "1s"]).done();
    until("a native backup is due", || {
        scene.program().run(args!["serve", "--once"]).done();
        fs::read_dir(&native).unwrap().count() > 2
    });
    // What is due and fails is said by the exit code, for whoever wrote the timer.
    scene.program().run(args!["group", "set", "Default", "--every", "1s"]).done();
    until("the second has passed", || scene.program().run(args!["serve", "--once"]).code() == Some(1));
}

#[test]
fn the_unit_is_one_that_systemd_understands() {
    let mut scene = Scene::new();
    scene.home = scene.path("a home 100% $HOME \"quoted\"");
    let unit = scene.program().for_people().run(args!["serve", "--print-unit"]);
    assert_eq!(unit.code(), Some(0), "{unit}");
    assert!(!scene.home.exists(), "printing makes nothing");
    for part in ["[Unit]", "Type=notify", "ExecStart=", "WatchdogSec=", "[Install]"] {
        assert!(unit.stdout().contains(part), "no {part}: {unit}");
    }
    verify_units(&scene, &[("resurgam.service", unit.stdout())]);
}

/// `systemd-analyze verify`, where it is there: it complains of what it does not understand, and still ends with 0.
pub(crate) fn verify_units(scene: &Scene, units: &[(&str, &str)]) {
    let Some(analyze) = tool("systemd-analyze") else { return };
    let mut command = Command::new(analyze);
    command.args(["verify", "--man=no"]);
    for (name, text) in units {
        fs::write(scene.path(name), text).unwrap();
        command.arg(scene.path(name));
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let ours: Vec<&str> = said.lines().filter(|line| units.iter().any(|(name, _)| line.contains(name))).collect();
    assert!(output.status.success() && ours.is_empty(), "{said}");
}
