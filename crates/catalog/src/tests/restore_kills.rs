//! Kills during a restore. The test program starts itself again as the process to kill.

use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::{Place, copies::filled, place::now, shared::*};
use crate::{Catalog, Location, restore};

/// Tells a child where to work.
const CHILD: &str = "RESURGAM_TEST_CATALOG_RESTORE";

fn at(path: &Path) -> Location {
    Location::Sqlite(path.to_owned())
}

/// Not a test by itself: restores, until it is killed.
#[test]
fn a_child_that_restores() {
    let Ok(folder) = env::var(CHILD) else { return };
    let folder = Path::new(&folder);
    restore(&folder.join("copy"), &at(&folder.join("DPMDB")), "before", now()).unwrap();
}

fn child(folder: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", "tests::restore_kills::a_child_that_restores", "--nocapture"])
        .env(CHILD, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Kills at every system call that changes a name or makes one durable, one after the other.
#[test]
fn a_kill_at_any_call_leaves_the_old_catalog_or_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    filled(&Place::for_sqlite(&folder.path().join("other"))).snapshot(&copy).unwrap();
    // With how many of them are skipped between two kills: of those that only fill the new file some will do.
    let calls = [
        ("link,linkat", 1),
        ("rename,renameat,renameat2", 1),
        ("unlink,unlinkat", 1),
        ("fsync", 2),
        ("fdatasync", 3),
        ("openat", 15),
        ("pwrite64", 20),
    ];
    let mut killed = 0;
    for (call, step) in calls {
        for number in 1.. {
            let round = tempfile::tempdir_in(folder.path()).unwrap();
            fs::copy(&copy, round.path().join("copy")).unwrap();
            let path = round.path().join("DPMDB");
            Catalog::open(&at(&path), now()).unwrap().put_group(&group(9)).unwrap();
            let when = number * step;
            let plain = child(round.path());
            let mut traced = Command::new("strace");
            traced.args(["-f", "-qq", "-e", &format!("trace={call}")]);
            traced.args(["-e", &format!("inject={call}:signal=KILL:when={when}"), "-o", "/dev/null"]);
            traced.arg(plain.get_program()).args(plain.get_args()).env(CHILD, round.path());
            let Ok(status) = traced.stdout(Stdio::null()).stderr(Stdio::null()).status() else {
                eprintln!("SKIPPED: there is no `strace`, so nothing was killed");
                return;
            };
            if status.success() {
                // That call was not made so often: the restore went through.
                assert_eq!(judge(round.path()), "new");
                break;
            }
            killed += 1;
            judge(round.path());
            // Running it again ends right.
            assert!(child(round.path()).status().unwrap().success(), "{call} {when}");
            assert_eq!(judge(round.path()), "new", "{call} {when}");
        }
    }
    assert!(killed > 20, "{killed}");
    eprintln!("{killed} kills");
}

/// Which catalog is in place; the old one must be whole there or aside, and the new one whole.
fn judge(folder: &Path) -> &'static str {
    let names = |path: &Path| {
        let catalog = Catalog::open_existing(&at(path), now()).unwrap();
        assert_eq!(catalog.check().unwrap(), Vec::<String>::new());
        catalog.groups().unwrap().into_iter().map(|group| group.name).collect::<Vec<_>>()
    };
    let aside = folder.join("DPMDB.before");
    if aside.exists() {
        assert_eq!(names(&aside), ["Group 9"]);
    }
    match names(&folder.join("DPMDB")) {
        old if old == ["Group 9"] => "old",
        new if new.len() == 3 => {
            assert!(aside.exists());
            "new"
        }
        other => panic!("{other:?}"),
    }
}

/// Kills at moments spread over the whole of a restore.
#[test]
fn a_kill_at_any_moment_leaves_the_old_catalog_or_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    filled(&Place::for_sqlite(&folder.path().join("other"))).snapshot(&copy).unwrap();
    let path = folder.path().join("DPMDB");
    Catalog::open(&at(&path), now()).unwrap().put_group(&group(9)).unwrap();
    let began = Instant::now();
    let trial = tempfile::tempdir().unwrap();
    fs::copy(&copy, trial.path().join("copy")).unwrap();
    assert!(child(trial.path()).status().unwrap().success());
    let whole = began.elapsed();
    for round in 0..20 {
        let mut running = child(folder.path()).spawn().unwrap();
        let until = Instant::now() + whole.mul_f64(f64::from(round) / 16.0).min(Duration::from_secs(10));
        while Instant::now() < until && running.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        let _ = running.kill();
        running.wait().unwrap();
        judge(folder.path());
    }
    assert!(child(folder.path()).status().unwrap().success());
    assert_eq!(judge(folder.path()), "new");
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with("partial")), "{left:?}");
}
