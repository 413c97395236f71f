//! What only a file can show.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::{place::now, shared::*};
use crate::{Catalog, Fault, Location};

fn at(path: &Path) -> Location {
    Location::Sqlite(path.to_owned())
}

#[test]
fn what_is_no_database_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let garbage: [&[u8]; 3] = [b"x", b"hello, this is not a database at all", &[0; 5000]];
    for bytes in garbage {
        let path = folder.path().join("DPMDB");
        fs::write(&path, bytes).unwrap();
        for open in [Catalog::open, Catalog::open_existing] {
            let error = open(&at(&path), now()).unwrap_err();
            assert!(matches!(error.fault, Fault::Corrupt(_)), "{error}");
            assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        }
        assert_eq!(fs::read(&path).unwrap(), bytes);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was put beside it");
    }
}

#[test]
fn a_damaged_database_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("DPMDB");
    drop(Catalog::open(&at(&path), now()).unwrap());
    let sound = fs::read(&path).unwrap();
    let mut garbled = sound.clone();
    garbled[16..4096].fill(0xa5);
    for damaged in [&sound[..sound.len() / 2], &sound[..100], &garbled[..]] {
        fs::write(&path, damaged).unwrap();
        let found = Catalog::open(&at(&path), now()).map(|catalog| catalog.check());
        match found {
            Err(e) => assert!(matches!(e.fault, Fault::Corrupt(_)), "{e}"),
            Ok(findings) => assert!(!findings.is_ok_and(|f| f.is_empty()), "{} bytes passed", damaged.len()),
        }
        assert!(fs::read(&path).unwrap() == damaged);
    }
}

#[test]
fn a_database_of_another_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("DPMDB");
    fs::write(&path, []).unwrap();
    let place = super::Place::for_sqlite(&path);
    place.sql("CREATE TABLE photos (id)");
    let before = fs::read(&path).unwrap();
    let error = Catalog::open(&at(&path), now()).unwrap_err();
    assert!(error.to_string().contains("another program: it holds `photos`"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn the_file_is_private_and_an_empty_one_is_filled() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("with ? and % and #");
    drop(Catalog::open(&at(&path), now()).unwrap());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", entry.path());
    }
    // What a kill between making and filling leaves.
    let path = folder.path().join("empty");
    fs::write(&path, []).unwrap();
    assert!(Catalog::open_existing(&at(&path), now()).is_err());
    Catalog::open(&at(&path), now()).unwrap();
}

#[test]
fn places_that_cannot_hold_a_file_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("no/such/DPMDB");
    assert!(matches!(fault(Catalog::open(&at(&missing), now())), Fault::NotFound(_)));
    assert!(matches!(fault(Catalog::open(&at(folder.path()), now())), Fault::Corrupt(_) | Fault::Other(_)));
}

#[test]
fn reading_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("DPMDB");
    let catalog = Catalog::open(&at(&path), now()).unwrap();
    let replica = replica_in(&catalog, 1);
    catalog.add_point(&point(1, &replica)).unwrap();
    drop(catalog);
    let state = || {
        let mut files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        files
            .into_iter()
            .map(|p| (fs::read(&p).unwrap(), fs::metadata(&p).unwrap().modified().unwrap(), p))
            .collect::<Vec<_>>()
    };
    let before = state();
    let catalog = Catalog::open_existing(&at(&path), now()).unwrap();
    assert_eq!(catalog.points(None).unwrap().len(), 1);
    catalog.running_jobs().unwrap();
    assert_eq!(catalog.check().unwrap(), Vec::<String>::new());
    drop(catalog);
    assert!(state() == before);
}

#[test]
fn a_locked_database_is_busy_not_broken() {
    // The time-out is half a minute; here only the class of the driver's answer is of interest.
    let busy = crate::error::of_sqlite(5, "database is locked".to_owned());
    assert!(matches!(busy, Fault::Locked(_)));
    assert!(matches!(crate::error::of_sqlite(13, String::new()), Fault::Full(_)));
    assert!(matches!(crate::error::of_sqlite(8 | 1 << 8, String::new()), Fault::ReadOnly(_)));
    assert!(matches!(crate::error::of_sqlite(11, String::new()), Fault::Corrupt(_)));
    assert!(matches!(crate::error::of_sqlite(10 | 3 << 8, String::new()), Fault::Other(_)));
}

#[test]
fn the_connection_has_the_settings_that_were_decided() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(&at(&folder.path().join("DPMDB")), now()).unwrap();
    let wanted = [
        ("journal_mode", "persist"),
        ("synchronous", "3"),
        ("foreign_keys", "1"),
        ("journal_size_limit", "4194304"),
        ("mmap_size", "0"),
        ("temp_store", "2"),
        ("trusted_schema", "0"),
        ("cell_size_check", "1"),
        ("busy_timeout", "30000"),
    ];
    for (setting, value) in wanted {
        let ask = Statement::from_string(DbBackend::Sqlite, format!("PRAGMA {setting}"));
        let row = catalog.run("ask", async |db| Ok(db.query_one_raw(ask).await?)).unwrap().unwrap();
        let found =
            row.try_get_by_index::<String>(0).or_else(|_| row.try_get_by_index::<i64>(0).map(|n| n.to_string()));
        assert_eq!(found.unwrap(), value, "{setting}");
    }
}

#[test]
fn the_reserve_is_put_back_as_the_catalog_grows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("DPMDB");
    let catalog = Catalog::open(&at(&path), now()).unwrap();
    let free = || {
        let ask = Statement::from_string(DbBackend::Sqlite, "PRAGMA freelist_count");
        let row = catalog.run("ask", async |db| Ok(db.query_one_raw(ask).await?)).unwrap().unwrap();
        row.try_get_by_index::<i64>(0).unwrap()
    };
    assert!(free() >= 128, "{}", free());
    let replica = replica_in(&catalog, 1);
    for batch in 0..10 {
        let points: Vec<_> = (batch * 100..batch * 100 + 100).map(|n| point(n, &replica)).collect();
        catalog.add_points(&points).unwrap();
        assert!(free() >= 32, "{}", free());
    }
    let journal = fs::metadata(folder.path().join("DPMDB-journal")).unwrap().len();
    assert!((512 << 10..=4 << 20).contains(&journal), "{journal}");
}
