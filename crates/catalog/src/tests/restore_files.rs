//! One file in the place of another: journals, links, people at work, disks.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use super::{Place, copies::filled, place::now, shared::*};
use crate::{Catalog, Fault, Location, create_new, inspect, restore};

fn at(path: &Path) -> Location {
    Location::Sqlite(path.to_owned())
}

/// A folder with a catalog `DPMDB` of group 1 and a copy of another.
fn scene() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("DPMDB"), folder.path().join("copy"));
    filled(&Place::for_sqlite(&folder.path().join("other"))).snapshot(&copy).unwrap();
    Catalog::open(&at(&path), now()).unwrap().put_group(&group(9)).unwrap();
    (folder, path, copy)
}

fn groups(path: &Path) -> Vec<String> {
    Catalog::open_existing(&at(path), now()).unwrap().groups().unwrap().into_iter().map(|group| group.name).collect()
}

/// A database whose journal holds what its last, unfinished change was, as after a kill; `pages` are already written.
fn torn(path: &Path) -> (Vec<u8>, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let alive = folder.path().join("DPMDB");
    let place = Place::for_sqlite(&alive);
    place.open().put_group(&group(9)).unwrap();
    let script = format!(
        "import sqlite3, shutil\nc = sqlite3.connect({alive:?}, isolation_level=None)\nc.execute('PRAGMA journal_mode = PERSIST')\nc.execute('PRAGMA cache_size = 1')\nc.execute('PRAGMA cache_spill = 1')\nc.execute('BEGIN')\nc.execute(\"UPDATE protection_group SET name = 'half'\")\nfor n in range(2000): c.execute('INSERT INTO setting VALUES (?, ?)', (str(n), 'x' * 500))\nshutil.copy({alive:?}, {path:?})\nshutil.copy({alive:?} + '-journal', {path:?} + '-journal')\n"
    );
    assert!(std::process::Command::new("python3").args(["-c", &script]).status().unwrap().success());
    let journal = with_suffix(path, "-journal");
    (fs::read(path).unwrap(), fs::read(journal).unwrap())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

#[test]
fn a_journal_that_is_needed_goes_aside_with_its_database() {
    let (folder, path, copy) = scene();
    torn(&path);
    let aside = PathBuf::from(restore(&copy, &at(&path), "before", now()).unwrap().aside.unwrap());
    assert_eq!(aside, folder.path().join("DPMDB.before"));
    assert_eq!(groups(&path), ["Group 1", "Group 2", "Group 3"]);
    assert_eq!(groups(&aside), ["Group 9"], "played back from its own journal");
}

#[test]
fn a_damaged_catalog_and_its_journal_are_set_aside_as_they_are() {
    let (_folder, path, copy) = scene();
    for damaged in [&b"not a database"[..], b"", &[0; 8192]] {
        fs::write(&path, damaged).unwrap();
        fs::write(with_suffix(&path, "-journal"), b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7 and so on").unwrap();
        fs::write(with_suffix(&path, "-wal"), b"7").unwrap();
        let aside = PathBuf::from(restore(&copy, &at(&path), "before", now()).unwrap().aside.unwrap());
        assert_eq!(fs::read(&aside).unwrap(), damaged);
        assert!(fs::read(with_suffix(&aside, "-journal")).unwrap().ends_with(b"and so on"));
        assert_eq!(fs::read(with_suffix(&aside, "-wal")).unwrap(), b"7");
        assert_eq!(groups(&path).len(), 3);
        assert!(!with_suffix(&path, "-wal").exists());
    }
}

#[test]
fn a_journal_without_its_database_does_not_reach_the_new_one() {
    let (folder, path, copy) = scene();
    torn(&path);
    fs::remove_file(&path).unwrap();
    assert_eq!(restore(&copy, &at(&path), "before", now()).unwrap().aside, None);
    assert_eq!(groups(&path).len(), 3);
    assert!(folder.path().join("DPMDB.before-journal").exists());
}

#[test]
fn a_copy_is_judged_without_what_lies_beside_it() {
    let (_folder, path, copy) = scene();
    let sound = inspect(&copy).unwrap();
    let (_, journal) = torn(&path);
    for suffix in ["-journal", "-wal"] {
        fs::write(with_suffix(&copy, suffix), &journal).unwrap();
    }
    let bytes = fs::read(&copy).unwrap();
    assert_eq!(inspect(&copy).unwrap(), sound);
    restore(&copy, &at(&path), "before", now()).unwrap();
    assert_eq!(groups(&path).len(), 3);
    assert!(fs::read(&copy).unwrap() == bytes);
    assert!(fs::read(with_suffix(&copy, "-journal")).unwrap() == journal);
    // A catalog that was torn off in the middle of a change, journal lost: not whole.
    torn(&path);
    assert!(matches!(fault(inspect(&path)), Fault::Corrupt(_)));
}

#[test]
fn a_copy_that_cannot_be_written_is_read() {
    let (folder, path, copy) = scene();
    let mut permissions = fs::metadata(&copy).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&copy, permissions).unwrap();
    restore(&copy, &at(&path), "before", now()).unwrap();
    // Also through a link, and onto one: what it leads to is replaced.
    let (link, linked) = (folder.path().join("link"), folder.path().join("linked copy"));
    symlink(&path, &link).unwrap();
    symlink(&copy, &linked).unwrap();
    let restored = restore(&linked, &at(&link), "again", now()).unwrap();
    assert_eq!(restored.aside.unwrap(), folder.path().join("DPMDB.again").to_str().unwrap());
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert_eq!(groups(&link).len(), 3);
}

#[test]
fn who_is_at_work_is_waited_for_and_who_has_it_open_is_told() {
    let (_folder, path, copy) = scene();
    let open = Catalog::open_existing(&at(&path), now()).unwrap();
    assert_eq!(open.groups().unwrap().len(), 1);
    // Somebody in the middle of a change.
    let script = format!(
        "import sqlite3, sys\nc = sqlite3.connect({path:?}, isolation_level=None)\nc.execute('BEGIN IMMEDIATE')\nprint('begun', flush=True)\nsys.stdin.read()\n"
    );
    let mut child = std::process::Command::new("python3")
        .args(["-c", &script])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = [0; 5];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut said).unwrap();
    let busy = restore(&copy, &at(&path), "before", now()).unwrap_err();
    assert!(matches!(busy.fault, Fault::Locked(_)), "{busy}");
    drop(child.stdin.take());
    child.wait().unwrap();
    assert_eq!(open.groups().unwrap().len(), 1, "nothing has changed");

    restore(&copy, &at(&path), "before", now()).unwrap();
    for result in [open.put_group(&group(4)), open.set_setting("a", "b"), open.groups().map(drop)] {
        let error = result.unwrap_err();
        assert!(matches!(error.fault, Fault::Replaced(_)), "{error}");
    }
    drop(open);
    assert_eq!(groups(&path).len(), 3);
}

#[test]
fn a_damaged_catalog_is_not_copied() {
    let (folder, path, copy) = scene();
    fs::remove_file(&path).unwrap();
    fs::copy(&copy, &path).unwrap();
    let catalog = Catalog::open_existing(&at(&path), now()).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    // An index that no longer fits its table: reading all rows would not show it.
    let name = bytes.windows(7).rposition(|bytes| bytes == b"Group 2").unwrap();
    bytes[name] = b'X';
    fs::write(&path, &bytes).unwrap();
    let before = fs::read_dir(folder.path()).unwrap().count();
    let error = catalog.snapshot(&folder.path().join("new")).unwrap_err();
    assert!(matches!(error.fault, Fault::Corrupt(_)), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), before);
}

#[test]
fn a_catalog_that_is_open_is_not_looked_into() {
    let (_folder, path, _) = scene();
    let catalog = Catalog::open_existing(&at(&path), now()).unwrap();
    assert!(matches!(fault(inspect(&path)), Fault::Locked(_)));
    drop(catalog);
    assert!(inspect(&path).is_ok());
}

#[test]
fn what_killed_makers_left_is_removed() {
    let (folder, path, copy) = scene();
    let machine: String = fs::read_to_string("/etc/machine-id").unwrap_or("here".to_owned()).chars().take(12).collect();
    let left = |process: u32| folder.path().join(format!(".DPMDB.{machine}-{process}-0.resurgam-partial"));
    // Processes have numbers up to 4194304.
    let dead = left(4_194_999);
    let living = left(std::process::id());
    for path in [&dead, &with_suffix(&dead, "-journal"), &living] {
        fs::write(path, b"x").unwrap();
    }
    drop(create_new(&at(&path), "aside", now()).unwrap());
    assert!(!dead.exists() && !with_suffix(&dead, "-journal").exists() && living.exists());
    fs::remove_file(living).unwrap();
    let _ = copy;
}
