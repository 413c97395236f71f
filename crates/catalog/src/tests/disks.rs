//! A disk without a byte left, and one that cannot be written. The test program starts itself again in a mount namespace
//! of its own, where it may mount what it likes and nobody else sees it.

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use resurgam_model::point::PointState;

use super::{place::now, shared::*};
use crate::{Catalog, Fault, JobState, Location, create_new, restore};

/// Tells a child where the mounted folder is.
const DISK: &str = "RESURGAM_TEST_CATALOG_DISK";

fn at(path: &Path) -> Location {
    Location::Sqlite(path.to_owned())
}

/// Runs one test of this file where `mount` was run before, with `$1` for the folder.
fn with_mounted(folder: &Path, mount: &str, test: &str) {
    let script = format!("{mount} || exit 77; exec \"$2\" --exact tests::disks::{test} --nocapture");
    let run = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script, "sh"])
        .arg(folder)
        .arg(env::current_exe().unwrap())
        .env(DISK, folder)
        .output();
    let Ok(run) = run else {
        eprintln!("SKIPPED: there is no `unshare`, so {test} did not run");
        return;
    };
    let said = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
    match run.status.code() {
        Some(0) => assert!(said.contains("test result: ok. 1 passed"), "{said}"),
        Some(101) => panic!("{said}"),
        _ => eprintln!("SKIPPED: mounting needs root, so {test} did not run: {said}"),
    }
}

#[test]
fn on_a_full_disk_reading_works_and_so_does_what_deleting_needs() {
    let folder = tempfile::tempdir().unwrap();
    with_mounted(folder.path(), "mount -t tmpfs -o size=3m tmpfs \"$1\"", "a_child_on_a_small_disk");
}

#[test]
fn on_a_read_only_disk_reading_works() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(&at(&folder.path().join("DPMDB")), now()).unwrap();
    catalog.add_point(&point(1, &replica_in(&catalog, 1))).unwrap();
    drop(catalog);
    let mount = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\"";
    with_mounted(folder.path(), mount, "a_child_on_a_read_only_disk");
}

/// Not a test by itself.
#[test]
fn a_child_on_a_read_only_disk() {
    let Ok(disk) = env::var(DISK) else { return };
    let path = PathBuf::from(disk).join("DPMDB");
    let catalog = Catalog::open(&at(&path), now()).unwrap();
    assert_eq!(catalog.points(None).unwrap().len(), 1);
    assert_eq!(catalog.check().unwrap(), Vec::<String>::new());
    assert_eq!(catalog.query("SELECT * FROM tbl_STM_Volume").unwrap().rows.len(), 1);
    let elsewhere = tempfile::tempdir().unwrap();
    let copy = elsewhere.path().join("copy");
    catalog.snapshot(&copy).unwrap();
    assert!(matches!(fault(catalog.snapshot(&path.with_file_name("copy"))), Fault::ReadOnly(_)));
    assert!(matches!(fault(restore(&copy, &at(&path), "before", now())), Fault::ReadOnly(_)));
    let error = catalog.set_setting("a", "b").unwrap_err();
    assert!(matches!(error.fault, Fault::ReadOnly(_)), "{error}");
    assert!(matches!(fault(Catalog::open(&at(&path.with_file_name("new")), now())), Fault::ReadOnly(_)));
}

/// Not a test by itself: fills the disk to its last byte.
#[test]
fn a_child_on_a_small_disk() {
    let Ok(disk) = env::var(DISK) else { return };
    let folder = PathBuf::from(disk);
    let path = folder.join("DPMDB");
    let catalog = Catalog::open(&at(&path), now()).unwrap();
    let replica = replica_in(&catalog, 1);
    let points: Vec<_> = (0..300).map(|n| point(n, &replica)).collect();
    catalog.add_points(&points).unwrap();
    drop(catalog);
    let mut ballast = fs::File::create(folder.join("ballast")).unwrap();
    for size in [65_536, 4096, 1] {
        while ballast.write_all(&vec![1; size]).is_ok() {}
    }

    let catalog = Catalog::open_existing(&at(&path), now()).unwrap();
    assert_eq!(catalog.points(None).unwrap(), points);
    // Jobs are noted, states change, points go.
    for n in 0..50 {
        catalog.start_job(&job(n, holder("here", 1))).unwrap();
        catalog.end_job(job(n, holder("here", 1)).id, JobState::Done, Some("well"), after(100)).unwrap();
    }
    let ids: Vec<_> = points.iter().map(|p| p.entry.id).collect();
    catalog.set_point_state(ids[0], PointState::Damaged).unwrap();
    catalog.remove_points(&ids[..200]).unwrap();
    assert_eq!(catalog.point_entries(None).unwrap().len(), 100);
    // And what cannot be done is said to be so, and changes nothing.
    let many: Vec<_> = (1000..3000).map(|n| point(n, &replica)).collect();
    assert!(matches!(fault(catalog.add_points(&many)), Fault::Full(_)));
    assert_eq!(catalog.point_entries(None).unwrap().len(), 100);
    assert_eq!(catalog.check().unwrap(), Vec::<String>::new());
    assert!(matches!(fault(Catalog::open(&at(&folder.join("second")), now())), Fault::Full(_)));
    // A copy can be made elsewhere, and not here; and putting one in place harms nothing.
    let elsewhere = tempfile::tempdir().unwrap();
    let copy = elsewhere.path().join("copy");
    catalog.snapshot(&copy).unwrap();
    assert!(matches!(fault(catalog.snapshot(&folder.join("copy"))), Fault::Full(_)));
    assert!(matches!(fault(restore(&copy, &at(&path), "before", now())), Fault::Full(_)));
    assert!(matches!(fault(create_new(&at(&path), "before", now())), Fault::Full(_)));
    assert_eq!(catalog.point_entries(None).unwrap().len(), 100);
    drop(catalog);
    let mut left: Vec<_> = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.retain(|name| !["DPMDB", "DPMDB-journal", "ballast"].iter().any(|known| name == known));
    assert!(left.iter().all(|name| name.to_string_lossy().starts_with("second")), "{left:?}");
}
