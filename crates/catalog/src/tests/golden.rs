//! Catalogs that older programs made; see `golden/README.md`. They must open, and restore, for ever.

use std::{fs, path::PathBuf};

use resurgam_model::{
    policy::{Selection, SourceKind},
    replica::ReplicaState,
    retention::Retention,
    role::VolumeRole,
};

use super::{Place, place::now};
use crate::{Catalog, Location, SCHEMA_VERSION, SnapshotKind, inspect, restore};

fn golden(version: i64, name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("golden/v{version}")).join(name)
}

/// Every row that stands in both golden catalogs of schema 1, which were made by the same commands.
fn check(catalog: &Catalog) {
    assert_eq!(catalog.version().unwrap(), SCHEMA_VERSION);
    assert_eq!(catalog.check().unwrap(), Vec::<String>::new());
    let server = catalog.server().unwrap().unwrap();
    assert_eq!((server.name.as_str(), server.public_key.len()), ("backup1.example.org", 32));
    let groups = catalog.groups().unwrap();
    let [empty, files] = &groups[..] else { panic!("{groups:?}") };
    assert_eq!((empty.name.as_str(), empty.every_seconds), ("Empty", None));
    assert_eq!(empty.retention, Retention { daily: Some(7), ..Retention::default() });
    assert_eq!((files.name.as_str(), files.every_seconds), ("Golden files", Some(3600)));
    assert!(files.retention.keeps_everything() && files.calendar.is_none());
    let sources = catalog.sources().unwrap();
    let [source] = &sources[..] else { panic!("{sources:?}") };
    assert_eq!(
        (source.kind, source.group, source.root.as_slice()),
        (SourceKind::Files, files.id, &b"/srv/golden/s"[..])
    );
    assert_eq!(source.selection, Selection { exclude: vec!["*.tmp".to_owned()], ..Selection::default() });
    assert_eq!(source.retention, Some(Retention { last: Some(3), ..Retention::default() }));
    let volumes = catalog.volumes().unwrap();
    let [volume] = &volumes[..] else { panic!("{volumes:?}") };
    assert_eq!(volume.location, "/srv/golden/p");
    assert!(volume.document.contains("backup1.example.org"));
    let replicas = catalog.replicas().unwrap();
    let [replica] = &replicas[..] else { panic!("{replicas:?}") };
    assert_eq!((replica.source, replica.volume, replica.state), (source.id, volume.id, ReplicaState::Valid));
    let points = catalog.points(None).unwrap();
    let bytes: Vec<_> =
        points.iter().map(|point| (point.entry.bytes, point.entry.files, point.document.len())).collect();
    assert_eq!(bytes, [(4, 1, 628), (8, 1, 628)]);
    assert!(points.iter().all(|point| point.entry.replica == replica.id));
    assert_eq!(catalog.jobs(9).unwrap().len(), 2);
    // What version 2 added is empty, or worked out.
    assert_eq!((catalog.lineage().unwrap(), catalog.alerts(true).unwrap().len()), (None, 0));
    let paths = catalog.query("SELECT DataSourceName, MountPointPath FROM tbl_IM_DataSource d JOIN tbl_PRM_LogicalReplica l ON d.DataSourceId = l.DataSourceId JOIN tbl_SPM_Volume v ON v.VolumeSetID = l.PhysicalReplicaId").unwrap();
    let path = format!("/srv/golden/p/replicas/backup1.example.org/{}", replica.id);
    assert_eq!(paths.rows, [[Some("/srv/golden/s".to_owned()), Some(path)]]);
}

/// What stands in both golden catalogs of schema 2, besides what [`check`] looks at in those of schema 1.
fn check_2(catalog: &Catalog) {
    assert_eq!(catalog.version().unwrap(), SCHEMA_VERSION);
    assert_eq!(catalog.check().unwrap(), Vec::<String>::new());
    let groups = catalog.groups().unwrap();
    let [own, empty, files] = &groups[..] else { panic!("{groups:?}") };
    assert_eq!([&own.name, &empty.name, &files.name], ["DPMDB", "Empty", "Golden files"]);
    let calendar = empty.calendar.as_ref().unwrap();
    assert_eq!((calendar.cron.as_str(), calendar.zone.as_deref()), ("0 2 * * 1-5", Some("Europe/Berlin")));
    let kinds: Vec<_> = catalog.sources().unwrap().iter().map(|source| source.kind).collect();
    assert!(kinds.contains(&SourceKind::Dpmdb) && kinds.contains(&SourceKind::Files));
    let copies = catalog.copies().unwrap();
    assert_eq!((copies.len(), copies[0].place.as_str(), copies[0].keep), (1, "/srv/golden/n", Some(5)));
    let lineage = catalog.lineage().unwrap().unwrap();
    assert_eq!((lineage.generation, lineage.parent, lineage.frozen), (1, None, None));
    // What version 3 added is as if it had always been so.
    assert!(catalog.volumes().unwrap().iter().all(|volume| volume.role == VolumeRole::Pool));
    assert!(groups.iter().all(|group| group.online.is_none()) && catalog.vaults().unwrap().is_empty());
    assert_eq!(catalog.point_entries(None).unwrap(), catalog.every_entry(None).unwrap());
    let views = catalog.query("SELECT COUNT(*) FROM tbl_PRM_LogicalReplica").unwrap();
    assert_eq!(views.rows, [[Some("2".to_owned())]]);
}

fn restores(place: &Place, version: i64, name: &str, kind: SnapshotKind) {
    let copy = golden(version, name);
    let snapshot = inspect(&copy).unwrap();
    assert_eq!((snapshot.kind, snapshot.version, snapshot.program.as_str()), (kind, version, "0.1.0"));
    assert_eq!(snapshot.server.as_ref().unwrap().name, "backup1.example.org");
    assert_eq!(snapshot.lineage.is_some(), version > 1);
    let restored = restore(&copy, &place.location, "before", now()).unwrap();
    assert_eq!((restored.aside, restored.copy.unwrap().version), (None, version));
    if version == 1 {
        assert_eq!(snapshot.rows["recovery_point"], 2);
        check(&place.open());
    } else {
        check_2(&place.open());
    }
}

pub(crate) fn the_golden_database_of_schema_1_restores(place: &Place) {
    restores(place, 1, "DPMDB.sqlite", SnapshotKind::Sqlite);
}

pub(crate) fn the_golden_archive_of_schema_1_restores(place: &Place) {
    restores(place, 1, "DPMDB.dump", SnapshotKind::PgDump);
}

pub(crate) fn the_golden_database_of_schema_2_restores(place: &Place) {
    restores(place, 2, "DPMDB.sqlite", SnapshotKind::Sqlite);
}

pub(crate) fn the_golden_archive_of_schema_2_restores(place: &Place) {
    restores(place, 2, "DPMDB.dump", SnapshotKind::PgDump);
}

#[test]
fn a_golden_database_is_migrated_and_kept_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("DPMDB.sqlite");
    fs::copy(golden(1, "DPMDB.sqlite"), &path).unwrap();
    let before = inspect(&path).unwrap();
    check(&Catalog::open_existing(&Location::Sqlite(path.clone()), now()).unwrap());
    let kept = folder.path().join("DPMDB.sqlite.schema1");
    let found = inspect(&kept).unwrap();
    assert_eq!((found.version, &found.rows, &found.server), (1, &before.rows, &before.server));
    // It is made once, and never written over.
    let bytes = fs::read(&kept).unwrap();
    fs::copy(golden(1, "DPMDB.sqlite"), &path).unwrap();
    fs::write(&kept, b"somebody's").unwrap();
    check(&Catalog::open(&Location::Sqlite(path), now()).unwrap());
    assert_eq!(fs::read(&kept).unwrap(), b"somebody's");
    assert!(bytes.starts_with(b"SQLite format 3"));
}
