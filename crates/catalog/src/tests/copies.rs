//! Copies, and what is made of them: on either database. A copy's kind is that of the catalog it was made from.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Instant};

use super::{
    Place,
    charter::fill,
    on_postgres,
    place::{now, with_postgres},
    shared::*,
    watch::lineage,
};
use crate::{
    Building, Catalog, Fault, Location, RowChange, SCHEMA_VERSION, Snapshot, SnapshotKind, create_new, inspect, restore,
};

/// A catalog with everything in it.
pub(crate) fn filled(place: &Place) -> Catalog {
    let catalog = place.open();
    fill(&catalog);
    catalog.set_lineage(&lineage(2)).unwrap();
    let mut odd = point(77, &replica(1, &source(1, &group(1)), &volume(1)));
    odd.document = (0..=255).collect();
    odd.entry.bytes = u64::MAX;
    catalog.add_point(&odd).unwrap();
    let odd_text = "tab\t newline\n return\r backslash\\ \\N \\. quote' \u{1f980}";
    catalog.set_setting(odd_text, odd_text).unwrap();
    catalog.start_job(&job(1, holder("here", 1))).unwrap();
    catalog
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

pub(crate) fn a_copy_is_whole_and_private(place: &Place) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("with space & ü.bak");
    let catalog = filled(place);
    let written = catalog.snapshot(&path).unwrap();
    assert_eq!(names(folder.path()), ["with space & ü.bak"]);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let bytes = fs::read(&path).unwrap();
    assert_eq!(inspect(&path).unwrap(), written);
    assert!(fs::read(&path).unwrap() == bytes);
    assert_eq!(names(folder.path()).len(), 1);

    let kind = if matches!(place.location, Location::Sqlite(_)) { SnapshotKind::Sqlite } else { SnapshotKind::PgDump };
    let Snapshot { server: found, lineage: of, rows, newest_point, .. } = &written;
    assert_eq!((written.kind, written.version, written.bytes), (kind, SCHEMA_VERSION, bytes.len() as u64));
    assert_eq!(written.program, env!("CARGO_PKG_VERSION"));
    assert_eq!((found, of), (&Some(server(1)), &Some(lineage(2))));
    assert_eq!(*newest_point, Some(after(77)));
    assert_eq!((rows["recovery_point"], rows["server"], rows["alert"], rows["job"]), (4, 1, 0, 1));

    let again = catalog.snapshot(&path).unwrap_err();
    assert!(matches!(again.fault, Fault::Conflict(_)), "{again}");
    assert!(fs::read(&path).unwrap() == bytes);
    assert!(matches!(fault(catalog.snapshot(&folder.path().join("no/such/folder"))), Fault::NotFound(_)));
    assert_eq!(names(folder.path()).len(), 1);
}

/// Restores into a file, and into a database where there is one.
pub(crate) fn a_copy_restores_into_either_database(place: &Place) {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    let catalog = filled(place);
    let written = catalog.snapshot(&copy).unwrap();
    let rows = catalog.rows().unwrap();
    let check = |to: &Location| {
        let restored = restore(&copy, to, "before", now()).unwrap();
        assert_eq!((restored.copy.as_ref(), restored.aside), (Some(&written), None));
        let found = Catalog::open_existing(to, now()).unwrap();
        assert_eq!(found.rows().unwrap().compare(&rows), []);
        assert_eq!(found.rows().unwrap(), rows);
        assert_eq!(found.lineage().unwrap(), Some(lineage(2)));
        assert_eq!(found.jobs(9).unwrap(), catalog.jobs(9).unwrap());
        assert_eq!(found.check().unwrap(), Vec::<String>::new());
        assert_eq!(found.version().unwrap(), SCHEMA_VERSION);
        found.set_setting("it can", "be written").unwrap();
        assert_eq!(found.query("SELECT * FROM tbl_PRM_LogicalReplica").unwrap().rows.len(), 4);
    };
    check(&Location::Sqlite(folder.path().join("DPMDB")));
    with_postgres(&|other| check(&other.location));
}

pub(crate) fn restoring_sets_the_old_catalog_aside(place: &Place) {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    let catalog = filled(place);
    catalog.snapshot(&copy).unwrap();
    catalog.put_group(&group(9)).unwrap();
    drop(catalog);
    let restored = restore(&copy, &place.location, "before-1", now()).unwrap();
    let first = restored.aside.unwrap();
    let second = restore(&copy, &place.location, "before-1", now()).unwrap().aside.unwrap();
    assert_ne!(first, second);
    assert!(first.ends_with("before-1") && second.ends_with("before-1.2"), "{first} {second}");
    let groups = |at: &Location| Catalog::open_existing(at, now()).unwrap().groups().unwrap();
    assert!(!groups(&place.location).contains(&group(9)));
    // What lies aside is a catalog still.
    let aside = match &place.location {
        Location::Sqlite(_) => Location::Sqlite(first.into()),
        Location::Postgres { url } => {
            Location::Postgres { url: format!("{url}?options=-c%20search_path%3D%22{first}%22") }
        }
    };
    assert!(groups(&aside).contains(&group(9)));
}

pub(crate) fn a_new_catalog_is_put_in_place_when_it_is_filled(place: &Place) {
    place.open().put_group(&group(9)).unwrap();
    let building = create_new(&place.location, "lost", now()).unwrap();
    building.catalog().put_group(&group(1)).unwrap();
    building.catalog().set_lineage(&lineage(1)).unwrap();
    assert_eq!(place.open().groups().unwrap(), [group(9)], "nothing has changed yet");
    let restored = building.put_in_place().unwrap();
    assert_eq!(restored.copy, None);
    assert!(restored.aside.is_some());
    let catalog = place.open();
    assert_eq!(catalog.groups().unwrap(), [group(1)]);
    assert_eq!(catalog.lineage().unwrap(), Some(lineage(1)));
    assert_eq!(catalog.check().unwrap(), Vec::<String>::new());
}

pub(crate) fn what_was_not_put_in_place_changes_nothing(place: &Place) {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    let catalog = filled(place);
    let rows = catalog.rows().unwrap();
    catalog.snapshot(&copy).unwrap();
    let building = Building::from_copy(&copy, &place.location, "aside", now()).unwrap();
    assert_eq!(building.copy().unwrap(), &inspect(&copy).unwrap());
    building.catalog().set_lineage(&lineage(3)).unwrap();
    drop(building);
    // In PostgreSQL one builds at a time.
    if matches!(place.location, Location::Postgres { .. }) {
        let first = create_new(&place.location, "aside", now()).unwrap();
        assert!(matches!(fault(create_new(&place.location, "aside", now())), Fault::Locked(_)));
        drop(first);
    }
    assert_eq!(catalog.rows().unwrap(), rows);
    assert_eq!(catalog.lineage().unwrap(), Some(lineage(2)));
    if let Location::Sqlite(path) = &place.location {
        assert_eq!(names(path.parent().unwrap()), ["DPMDB", "DPMDB-journal"]);
    }
}

pub(crate) fn what_is_no_copy_is_refused(place: &Place) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copy");
    let good = folder.path().join("good");
    filled(place).snapshot(&good).unwrap();
    let sound = fs::read(&good).unwrap();
    let mut garbled = sound.clone();
    let middle = garbled.len() / 2;
    garbled[middle - 2000..middle].fill(0xa5);
    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let before = names(folder.path());
        let error = inspect(&path).unwrap_err();
        assert!(error.to_string().contains("copy"), "{error}");
        let target = Location::Sqlite(folder.path().join("target"));
        assert_eq!(fault(restore(&path, &target, "aside", now())), error.fault);
        assert_eq!(names(folder.path()), before);
        assert!(fs::read(&path).unwrap() == bytes);
        error.fault
    };
    assert!(matches!(refused(b""), Fault::Empty(_)));
    assert!(matches!(refused(b"hello"), Fault::Unrecognised(_)));
    assert!(matches!(refused(&[0; 9000]), Fault::Unrecognised(_)));
    for part in [sound.len() / 2, sound.len() - 700, 40] {
        assert!(matches!(refused(&sound[..part]), Fault::Corrupt(_)), "{part}");
    }
    assert!(matches!(refused(&garbled), Fault::Corrupt(_)));
    if matches!(place.location, Location::Sqlite(_)) {
        // One letter of one name, which SQLite itself would not miss.
        let at = sound.windows(7).position(|bytes| bytes == b"/pool/1").unwrap();
        let mut letter = sound.clone();
        letter[at + 6] = b'7';
        assert!(matches!(refused(&letter), Fault::Corrupt(text) if text.contains("checksum")));
    }
    assert!(matches!(fault(inspect(folder.path())), Fault::Unrecognised(_)));
    assert!(matches!(fault(inspect(&folder.path().join("nothing"))), Fault::NotFound(_)));
    assert!(inspect(&good).is_ok());
}

pub(crate) fn a_copy_of_a_newer_schema_is_refused(place: &Place) {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    place.open().snapshot(&copy).unwrap();
    let aside = Location::Sqlite(folder.path().join("DPMDB"));
    if matches!(place.location, Location::Sqlite(_)) {
        Place::for_sqlite(&copy).sql("INSERT INTO schema_change (version, program, applied) VALUES (7, '9.9.9', '')");
    } else {
        // Such an archive this program cannot write; `pg_dump` can.
        place.sql("INSERT INTO schema_change (version, program, applied) VALUES (7, '9.9.9', '')");
        fs::remove_file(&copy).unwrap();
        pg_dump(place, &copy, &[]);
    }
    let newer = Fault::Newer { found: 7, supported: SCHEMA_VERSION, program: "9.9.9".to_owned() };
    assert_eq!(fault(inspect(&copy)), newer);
    assert_eq!(fault(restore(&copy, &aside, "aside", now())), newer);
}

/// Dumps the place's database by hand.
pub(crate) fn pg_dump(place: &Place, to: &Path, arguments: &[&str]) {
    let Location::Postgres { url } = &place.location else { panic!("not on PostgreSQL") };
    let mut command = std::process::Command::new("pg_dump");
    command.args(["--format=custom", "--file"]).arg(to).args(arguments).arg(url);
    assert!(command.status().unwrap().success());
}

pub(crate) fn rows_tell_two_catalogs_apart(place: &Place) {
    let catalog = filled(place);
    let before = catalog.rows().unwrap();
    assert_eq!(before.tables.len(), 10);
    assert!(before.tables.values().all(|rows| !rows.is_empty()));
    // What is not compared.
    catalog.set_lineage(&lineage(3)).unwrap();
    catalog.start_job(&job(8, holder("here", 1))).unwrap();
    catalog.set_alerts(&[], now()).unwrap();
    assert_eq!(catalog.rows().unwrap(), before);
    catalog.remove_setting("colour").unwrap();
    catalog.set_setting("new", "x").unwrap();
    catalog.set_point_state(point(1, &replica_in(&catalog, 1)).entry.id, "damaged".parse().unwrap()).unwrap();
    let differences = before.compare(&catalog.rows().unwrap());
    let tables: Vec<_> = differences.iter().map(|d| (d.table.as_str(), &d.what)).collect();
    assert!(
        matches!(
            tables[..],
            [
                ("recovery_point", RowChange::Differs { left, right }),
                ("replica", RowChange::Differs { .. }),
                ("setting", RowChange::OnlyLeft),
                ("setting", RowChange::OnlyRight),
            ] if left.contains("state='complete'") && right.contains("state='damaged'")
        ),
        "{differences:#?}"
    );
}

pub(crate) fn a_copy_is_made_while_others_write(place: &Place) {
    let folder = tempfile::tempdir().unwrap();
    let catalog = filled(place);
    let replica = replica_in(&catalog, 1);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let other = place.open();
            for n in 0..150 {
                other.add_points(&[point(1000 + 2 * n, &replica), point(1001 + 2 * n, &replica)]).unwrap();
            }
        });
        for n in 0..6 {
            let copy = folder.path().join(format!("copy {n}"));
            let written = catalog.snapshot(&copy).unwrap();
            // Of what is written in one change a copy has both or neither.
            assert_eq!(written.rows["recovery_point"] % 2, 0);
            assert_eq!(inspect(&copy).unwrap(), written);
        }
    });
}

pub(crate) fn ten_thousand_points_are_copied_and_restored(place: &Place) {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    let catalog = place.open();
    let replica = replica_in(&catalog, 1);
    catalog.add_points(&(0..10_000).map(|n| point(n, &replica)).collect::<Vec<_>>()).unwrap();
    let mut times = Vec::new();
    let mut time = |what: &str, began: Instant| times.push(format!("{what} in {:?}", began.elapsed()));
    let began = Instant::now();
    let written = catalog.snapshot(&copy).unwrap();
    time("copied", began);
    let rows = catalog.rows().unwrap();
    drop(catalog);
    let began = Instant::now();
    assert_eq!(inspect(&copy).unwrap(), written);
    time("proved", began);
    let began = Instant::now();
    restore(&copy, &place.location, "before", now()).unwrap();
    time("restored", began);
    let began = Instant::now();
    assert_eq!(place.open().rows().unwrap().compare(&rows), []);
    time("compared", began);
    eprintln!("10,000 points: {}; {} bytes", times.join(", "), written.bytes);
}

#[test]
fn a_dump_of_another_database_is_foreign() {
    on_postgres(|place| {
        let folder = tempfile::tempdir().unwrap();
        pg_dump(place, &folder.path().join("empty"), &[]);
        assert!(matches!(fault(inspect(&folder.path().join("empty"))), Fault::Empty(_)));
        place.sql("CREATE TABLE photos (id int)");
        pg_dump(place, &folder.path().join("foreign"), &[]);
        assert!(matches!(fault(inspect(&folder.path().join("foreign"))), Fault::Foreign(_)));
        // Other programs' tables in our database are none of our business, in the copy and out of it.
        filled(place).snapshot(&folder.path().join("copy")).unwrap();
        restore(&folder.path().join("copy"), &place.location, "aside", now()).unwrap();
        place.sql("INSERT INTO photos VALUES (1)");
        fs::remove_file(folder.path().join("foreign")).unwrap();
        pg_dump(place, &folder.path().join("foreign"), &["--table=recovery_point", "--table=schema_change"]);
        assert!(matches!(fault(inspect(&folder.path().join("foreign"))), Fault::Corrupt(_)), "half a catalog");
    });
}

#[test]
fn a_copy_of_postgres_opens_with_stock_tools() {
    on_postgres(|place| {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("copy");
        let catalog = filled(place);
        catalog.snapshot(&copy).unwrap();
        with_postgres(&|other| {
            let Location::Postgres { url } = &other.location else { panic!("not on PostgreSQL") };
            let mut command = std::process::Command::new("pg_restore");
            command.args(["--single-transaction", "--no-owner", "--exit-on-error", "--dbname", url]).arg(&copy);
            assert!(command.status().unwrap().success());
            assert_eq!(other.open().rows().unwrap(), catalog.rows().unwrap());
            assert_eq!(other.open().query("SELECT * FROM tbl_STM_Volume").unwrap().rows.len(), 2);
        });
    });
}

#[test]
fn a_password_stays_out_of_arguments() {
    let url = "postgres://me:s%40cret@localhost/DPMDB?host=/run&sslmode=disable&options=-c%20search_path%3Dx";
    let mut command = std::process::Command::new("pg_dump");
    crate::postgres::environment(url).unwrap().apply(&mut command);
    let variables: std::collections::BTreeMap<_, _> =
        command.get_envs().map(|(k, v)| (k.to_str().unwrap(), v.unwrap().to_str().unwrap())).collect();
    assert_eq!(variables["PGPASSWORD"], "s@cret");
    assert_eq!((variables["PGHOST"], variables["PGUSER"], variables["PGDATABASE"]), ("/run", "me", "DPMDB"));
    assert_eq!((variables["PGSSLMODE"], variables["PGOPTIONS"]), ("disable", "-c search_path=x"));
    assert_eq!(command.get_args().count(), 0);
}
