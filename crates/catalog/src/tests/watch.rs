//! Lineage, copies, drills, alerts: what is known of how safe the catalog is. On either database.

use jiff::SignedDuration;
use resurgam_model::{
    LineageId, SourceId, Timestamp,
    alert::{Condition, Severity},
    charter::{CatalogCopy, CopyKind, DrillRecord},
    lineage::Lineage,
};

use super::{Place, place::now, shared::*};
use crate::{Fault, JobState};

pub(crate) fn lineage(n: u8) -> Lineage {
    Lineage {
        id: LineageId::from_random([n; 16]),
        parent: (n > 1).then(|| LineageId::from_random([n - 1; 16])),
        generation: u64::from(n),
        sequence: u64::MAX,
        digest: "abc".to_owned(),
        started: now(),
        origin: "made new".to_owned(),
        frozen: (n > 1).then(|| "restored".to_owned()),
    }
}

pub(crate) fn copy(place: &str) -> CatalogCopy {
    CatalogCopy {
        kind: CopyKind::Native,
        place: place.to_owned(),
        keep: Some(7),
        max_age_seconds: Some(u64::MAX),
        every_seconds: None,
    }
}

pub(crate) fn drill(place: &str) -> DrillRecord {
    DrillRecord {
        kind: CopyKind::Pool,
        place: place.to_owned(),
        time: now(),
        passed: true,
        recovery_point_seconds: 60,
        recovery_time_milliseconds: 1500,
        message: "all came back".to_owned(),
    }
}

fn condition(kind: &str, subject: &str, message: &str) -> Condition {
    Condition {
        kind: kind.to_owned(),
        subject: subject.to_owned(),
        severity: Severity::Warning,
        message: message.to_owned(),
    }
}

fn days(count: i64) -> Timestamp {
    now() + SignedDuration::from_hours(24 * count)
}

pub(crate) fn the_lineage_is_one(place: &Place) {
    let catalog = place.open();
    assert_eq!(catalog.lineage().unwrap(), None);
    for n in [1, 2] {
        catalog.set_lineage(&lineage(n)).unwrap();
        assert_eq!(catalog.lineage().unwrap(), Some(lineage(n)));
    }
}

pub(crate) fn places_of_copies_are_kept(place: &Place) {
    let catalog = place.open();
    let mut first = copy("/mnt/a");
    catalog.put_copy(&copy("/mnt/b")).unwrap();
    catalog.put_copy(&first).unwrap();
    first.keep = None;
    first.every_seconds = Some(3600);
    catalog.put_copy(&first).unwrap();
    assert_eq!(catalog.copies().unwrap(), [first, copy("/mnt/b")]);
    catalog.remove_copy(CopyKind::Native, "/mnt/a").unwrap();
    assert!(matches!(fault(catalog.remove_copy(CopyKind::Share, "/mnt/b")), Fault::NotFound(_)));
    assert_eq!(catalog.copies().unwrap(), [copy("/mnt/b")]);
}

pub(crate) fn the_last_drill_of_each_copy_is_kept(place: &Place) {
    let catalog = place.open();
    let mut failed = drill("b");
    catalog.put_drill(&drill("a")).unwrap();
    catalog.put_drill(&failed).unwrap();
    failed.passed = false;
    failed.time = after(9);
    catalog.put_drill(&failed).unwrap();
    assert_eq!(catalog.drills().unwrap(), [drill("a"), failed]);
}

pub(crate) fn alerts_rise_count_clear_and_are_forgotten(place: &Place) {
    let catalog = place.open();
    let (late, full) = (condition("overdue", "/srv", "one day"), condition("filling", "/pool", "3 %"));
    let changes = catalog.set_alerts(&[late.clone(), full.clone()], now()).unwrap();
    assert_eq!((changes.raised.len(), changes.cleared.len()), (2, 0));
    // What stands is counted, and its words and weight may change.
    let worse = Condition { severity: Severity::Critical, message: "two days".to_owned(), ..late.clone() };
    assert_eq!(catalog.set_alerts(&[worse.clone(), full], days(1)).unwrap(), crate::Changes::default());
    let alerts = catalog.alerts(false).unwrap();
    let first = &alerts[0];
    assert_eq!((first.kind.as_str(), first.message.as_str(), first.count), ("overdue", "two days", 2));
    assert_eq!((first.raised, first.last_seen, first.cleared), (now(), days(1), None));
    // What is not named any more has cleared, once.
    let changes = catalog.set_alerts(std::slice::from_ref(&worse), days(2)).unwrap();
    assert_eq!(changes.cleared.iter().map(|a| a.subject.as_str()).collect::<Vec<_>>(), ["/pool"]);
    assert!(catalog.set_alerts(std::slice::from_ref(&worse), days(3)).unwrap().cleared.is_empty());
    assert_eq!(catalog.alerts(false).unwrap().len(), 1);
    assert_eq!(catalog.alerts(true).unwrap()[1].cleared, Some(days(2)));
    // It may come again, and is then a new one.
    let again = catalog.set_alerts(&[condition("filling", "/pool", "2 %")], days(4)).unwrap();
    assert_eq!((again.raised[0].raised, again.raised[0].count), (days(4), 1));
    assert_eq!(again.cleared[0].kind, "overdue");
    catalog.set_alerts(&[], days(93)).unwrap();
    let remembered = |catalog: &crate::Catalog| catalog.alerts(true).unwrap().len();
    assert_eq!(remembered(&catalog), 2);
    catalog.set_alerts(&[], days(95)).unwrap();
    assert_eq!(remembered(&catalog), 1, "the one that cleared on day 4 is forgotten");
    // A clock that steps back ten years forgets nothing and breaks nothing.
    catalog.set_alerts(&[late], days(-3650)).unwrap();
    assert_eq!(catalog.alerts(false).unwrap().len(), 1);
}

pub(crate) fn the_newest_ended_job_on_each_subject_is_found(place: &Place) {
    let catalog = place.open();
    let run = |n: u8, kind: &str, subject: &str, ended: Option<i64>| {
        let mut new = job(n, holder("here", 1));
        new.kind = kind.to_owned();
        new.subject = subject.to_owned();
        new.source = Some(SourceId::from_random([n; 16]));
        catalog.start_job(&new).unwrap();
        if let Some(end) = ended {
            catalog.end_job(new.id, JobState::Done, None, after(end)).unwrap();
        }
        new.id
    };
    run(1, "backup", "/a", Some(100));
    let newest = run(2, "backup", "/a", Some(50));
    let other = run(3, "backup", "/b", Some(60));
    run(4, "backup", "/a", None);
    run(5, "verify", "/a", Some(70));
    let last: Vec<_> = catalog.last_jobs("backup").unwrap().iter().map(|job| job.id).collect();
    assert_eq!(last, [newest, other]);
    assert!(catalog.last_jobs("expire").unwrap().is_empty());
}

pub(crate) fn the_running_program_is_noted(place: &Place) {
    drop(place.open());
    let ask = "SELECT MajorVersionNumber, MinorVersionNumber, BuildNumber, FileName FROM tbl_AM_AgentPatch";
    let version: Vec<String> = env!("CARGO_PKG_VERSION").split('.').map(str::to_owned).collect();
    let noted = |catalog: crate::Catalog| {
        let rows = catalog.query(ask).unwrap().rows;
        assert_eq!(rows.len(), 1);
        let cells: Vec<String> = rows[0].iter().flatten().cloned().collect();
        assert_eq!(cells[..3], version);
        assert_eq!(cells[3], "resurgam");
    };
    noted(place.open());
    place.sql("DELETE FROM agent_patch");
    noted(place.open());
}
