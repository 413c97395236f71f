//! What holds on either database.

use std::{
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use resurgam_model::{PointId, point::PointState, replica::ReplicaState, retention::Retention};

use super::{Place, place::now, shared::*};
use crate::{Catalog, Fault, JobState, Location, PointRecord, SCHEMA_VERSION};

pub(crate) fn opening_makes_it_once_and_finds_it_again(place: &Place) {
    let first = place.open();
    assert_eq!(first.version().unwrap(), SCHEMA_VERSION);
    first.put_group(&group(1)).unwrap();
    drop(first);
    assert_eq!(place.open().groups().unwrap(), [group(1)]);
    assert_eq!(Catalog::open_existing(&place.location, now()).unwrap().groups().unwrap(), [group(1)]);
}

pub(crate) fn opening_what_must_exist_makes_nothing(place: &Place) {
    for _ in 0..2 {
        assert!(matches!(fault(Catalog::open_existing(&place.location, now())), Fault::NotFound(_)));
    }
    if let Location::Sqlite(path) = &place.location {
        assert!(!path.exists());
    }
}

pub(crate) fn a_newer_schema_is_refused_by_name_and_left_alone(place: &Place) {
    place.open().put_group(&group(1)).unwrap();
    place.sql("INSERT INTO schema_change (version, program, applied) VALUES (7, '9.9.9', '')");
    let error = Catalog::open(&place.location, now()).unwrap_err();
    assert_eq!(error.fault, Fault::Newer { found: 7, supported: SCHEMA_VERSION, program: "9.9.9".to_owned() });
    let text = error.to_string();
    assert!(text.contains("version 7") && text.contains("9.9.9"), "{text}");
    place.sql("DELETE FROM schema_change WHERE version = 7");
    assert_eq!(place.open().groups().unwrap(), [group(1)]);
}

pub(crate) fn many_may_open_an_empty_place_at_once(place: &Place) {
    let start = Barrier::new(6);
    thread::scope(|threads| {
        for n in 0..6 {
            let start = &start;
            threads.spawn(move || {
                start.wait();
                place.open().put_group(&group(n)).unwrap();
            });
        }
    });
    assert_eq!(place.open().groups().unwrap().len(), 6);
}

pub(crate) fn the_server_is_one(place: &Place) {
    let catalog = place.open();
    assert_eq!(catalog.server().unwrap(), None);
    for n in [1, 2] {
        catalog.set_server(&server(n)).unwrap();
        assert_eq!(catalog.server().unwrap(), Some(server(n)));
    }
}

pub(crate) fn settings_are_set_and_removed(place: &Place) {
    let catalog = place.open();
    assert_eq!(catalog.setting("a").unwrap(), None);
    for value in ["", "one", "two"] {
        catalog.set_setting("a", value).unwrap();
        assert_eq!(catalog.setting("a").unwrap().as_deref(), Some(value));
    }
    catalog.set_setting("B", "x").unwrap();
    let all = [("B".to_owned(), "x".to_owned()), ("a".to_owned(), "two".to_owned())];
    assert_eq!(catalog.settings().unwrap(), all);
    catalog.remove_setting("a").unwrap();
    catalog.remove_setting("a").unwrap();
    assert_eq!(catalog.setting("a").unwrap(), None);
}

pub(crate) fn groups_have_one_name_each(place: &Place) {
    let catalog = place.open();
    catalog.put_group(&group(2)).unwrap();
    catalog.put_group(&group(1)).unwrap();
    let mut changed = group(2);
    changed.retention = Retention { yearly: Some(7), ..Retention::default() };
    changed.every_seconds = None;
    catalog.put_group(&changed).unwrap();
    assert_eq!(catalog.groups().unwrap(), [group(1), changed.clone()]);
    assert_eq!(catalog.group_by_name("Group 2").unwrap(), Some(changed.clone()));
    assert_eq!(catalog.group(changed.id).unwrap(), Some(changed.clone()));
    assert_eq!(catalog.group_by_name("group 2").unwrap(), None);

    changed.name = "Group 1".to_owned();
    let taken = fault(catalog.put_group(&changed));
    assert_eq!(taken, Fault::Conflict("there is a group named `Group 1` already".to_owned()));
    assert_eq!(catalog.group_by_name("Group 2").unwrap().map(|g| g.id), Some(changed.id));
}

pub(crate) fn a_group_with_sources_stays(place: &Place) {
    let catalog = place.open();
    let (group, other) = (group(1), group(2));
    let mut source = source(1, &group);
    assert!(matches!(fault(catalog.put_source(&source)), Fault::NotFound(_)));
    catalog.put_group(&group).unwrap();
    catalog.put_group(&other).unwrap();
    catalog.put_source(&source).unwrap();
    assert!(matches!(fault(catalog.remove_group(group.id)), Fault::InUse(_)));
    source.group = other.id;
    catalog.put_source(&source).unwrap();
    catalog.remove_group(group.id).unwrap();
    assert!(matches!(fault(catalog.remove_group(group.id)), Fault::NotFound(_)));
    catalog.remove_source(source.id).unwrap();
    assert!(matches!(fault(catalog.remove_source(source.id)), Fault::NotFound(_)));
    catalog.remove_group(other.id).unwrap();
    assert!(catalog.groups().unwrap().is_empty());
}

pub(crate) fn sources_keep_every_byte_of_their_root(place: &Place) {
    let catalog = place.open();
    catalog.put_group(&group(1)).unwrap();
    let mut odd = source(2, &group(1));
    odd.root = (1..=255).collect();
    odd.retention = Some(Retention { last: Some(9), ..Retention::default() });
    let plain = source(1, &group(1));
    catalog.put_source(&odd).unwrap();
    catalog.put_source(&plain).unwrap();
    assert_eq!(catalog.sources().unwrap(), [odd.clone(), plain.clone()]);
    assert_eq!(catalog.source(odd.id).unwrap(), Some(odd));
    assert_eq!(catalog.source(source(9, &group(1)).id).unwrap(), None);
}

pub(crate) fn of_two_that_protect_one_root_one_finds_the_other(place: &Place) {
    place.open().put_group(&group(1)).unwrap();
    let start = Barrier::new(4);
    let added: usize = thread::scope(|threads| {
        let work = (0..4).map(|n| {
            let start = &start;
            threads.spawn(move || {
                let catalog = place.open();
                let mut source = source(n, &group(1));
                source.root = b"/same".to_vec();
                start.wait();
                match catalog.add_source(&source) {
                    Ok(()) => 1,
                    Err(e) => {
                        assert!(matches!(e.fault, Fault::Conflict(_)), "{e}");
                        0
                    }
                }
            })
        });
        work.collect::<Vec<_>>().into_iter().map(|t| t.join().unwrap()).sum()
    });
    assert_eq!(added, 1);
    assert_eq!(place.open().sources().unwrap().len(), 1);
}

pub(crate) fn volumes_and_replicas_hold_each_other(place: &Place) {
    let catalog = place.open();
    let one = replica_in(&catalog, 1);
    let mut two = replica_in(&catalog, 2);
    assert_eq!(catalog.volumes().unwrap(), [volume(1), volume(2)]);
    assert_eq!(catalog.volume(volume(1).id).unwrap(), Some(volume(1)));
    let mut moved = volume(1);
    moved.location = "s3://bucket".to_owned();
    catalog.put_volume(&moved).unwrap();
    assert_eq!(catalog.volume(moved.id).unwrap(), Some(moved.clone()));

    catalog.set_replica_state(two.id, ReplicaState::Inconsistent, Some("interrupted")).unwrap();
    two.state = ReplicaState::Inconsistent;
    two.cause = Some("interrupted".to_owned());
    assert_eq!(catalog.replicas().unwrap(), [one.clone(), two.clone()]);
    catalog.set_replica_state(two.id, ReplicaState::Valid, None).unwrap();
    two = crate::ReplicaRecord { state: ReplicaState::Valid, cause: None, ..two };
    assert_eq!(catalog.replicas().unwrap(), [one.clone(), two.clone()]);

    let elsewhere = crate::ReplicaRecord { volume: one.volume, ..two.clone() };
    assert!(matches!(fault(catalog.put_replica(&elsewhere)), Fault::Conflict(_)));
    let nowhere =
        crate::ReplicaRecord { id: replica(9, &source(9, &group(1)), &moved).id, volume: volume(9).id, ..two.clone() };
    assert!(matches!(fault(catalog.put_replica(&nowhere)), Fault::NotFound(_)));
    assert!(matches!(fault(catalog.set_replica_state(nowhere.id, ReplicaState::Valid, None)), Fault::NotFound(_)));

    assert!(matches!(fault(catalog.remove_volume(two.volume)), Fault::InUse(_)));
    assert!(matches!(fault(catalog.remove_source(two.source)), Fault::InUse(_)));
    catalog.add_point(&point(1, &two)).unwrap();
    assert!(matches!(fault(catalog.remove_replica(two.id)), Fault::InUse(_)));
    catalog.remove_points(&[point(1, &two).entry.id]).unwrap();
    catalog.remove_replica(two.id).unwrap();
    assert!(matches!(fault(catalog.remove_replica(two.id)), Fault::NotFound(_)));
    catalog.remove_volume(two.volume).unwrap();
    catalog.remove_source(two.source).unwrap();
    assert!(matches!(fault(catalog.remove_volume(two.volume)), Fault::NotFound(_)));
}

pub(crate) fn points_come_oldest_first_and_whole(place: &Place) {
    let catalog = place.open();
    let (one, two) = (replica_in(&catalog, 1), replica_in(&catalog, 2));
    let mut points: Vec<PointRecord> = (0..20).map(|n| point(n, if n % 3 == 0 { &two } else { &one })).collect();
    // Less than a microsecond apart: the order, and the time itself, must not depend on what a database can count.
    points[6].entry.time = after(5) + jiff::SignedDuration::from_nanos(1);
    for point in points.iter().rev() {
        catalog.add_point(point).unwrap();
    }
    assert_eq!(catalog.points(None).unwrap(), points);
    let of_two: Vec<_> = points.iter().filter(|p| p.entry.source == two.source).cloned().collect();
    assert_eq!(catalog.points(Some(two.source)).unwrap(), of_two);
    let entries: Vec<_> = of_two.iter().map(|p| p.entry.clone()).collect();
    assert_eq!(catalog.point_entries(Some(two.source)).unwrap(), entries);
    assert_eq!(catalog.latest_point(two.source).unwrap(), of_two.last().cloned());
    assert_eq!(catalog.latest_point(source(9, &group(9)).id).unwrap(), None);
    assert_eq!(catalog.point(points[3].entry.id).unwrap(), Some(points[3].clone()));

    catalog.set_point_state(points[3].entry.id, PointState::Damaged).unwrap();
    assert_eq!(catalog.point(points[3].entry.id).unwrap().map(|p| p.entry.state), Some(PointState::Damaged));
    let unknown = PointId::from_random([77; 16]);
    assert!(matches!(fault(catalog.set_point_state(unknown, PointState::Damaged)), Fault::NotFound(_)));
}

pub(crate) fn points_must_fit_their_replica(place: &Place) {
    let catalog = place.open();
    let (one, two) = (replica_in(&catalog, 1), replica_in(&catalog, 2));
    let good = point(1, &one);
    catalog.add_point(&good).unwrap();
    catalog.add_point(&good).unwrap();
    let mut other = good.clone();
    other.document.push(1);
    assert!(matches!(fault(catalog.add_point(&other)), Fault::Conflict(_)));
    let mut strange = point(2, &one);
    strange.entry.volume = two.volume;
    assert!(matches!(fault(catalog.add_point(&strange)), Fault::Conflict(_)));
    strange = point(2, &replica(9, &source(1, &group(1)), &volume(1)));
    assert!(matches!(fault(catalog.add_points(&[point(3, &one), strange])), Fault::NotFound(_)));
    assert_eq!(catalog.points(None).unwrap(), [good]);
}

pub(crate) fn removing_points_is_all_or_nothing(place: &Place) {
    let catalog = place.open();
    let replica = replica_in(&catalog, 1);
    let points: Vec<_> = (0..1200).map(|n| point(n, &replica)).collect();
    catalog.add_points(&points).unwrap();
    let mut gone: Vec<PointId> = points[..1100].iter().map(|p| p.entry.id).collect();
    gone.push(PointId::from_random([99; 16]));
    assert_eq!(catalog.remove_points(&gone).unwrap(), 1100);
    assert_eq!(catalog.remove_points(&gone).unwrap(), 0);
    assert_eq!(catalog.remove_points(&[]).unwrap(), 0);
    assert_eq!(catalog.points(None).unwrap(), points[1100..]);
}

pub(crate) fn ten_thousand_points_are_listed_at_once(place: &Place) {
    let catalog = place.open();
    let replica = replica_in(&catalog, 1);
    let points: Vec<_> = (0..10_000).map(|n| point(n, &replica)).collect();
    let began = Instant::now();
    catalog.add_points(&points).unwrap();
    let added = began.elapsed();
    let began = Instant::now();
    let entries = catalog.point_entries(Some(replica.source)).unwrap();
    let listed = began.elapsed();
    let began = Instant::now();
    assert_eq!(catalog.points(None).unwrap(), points);
    eprintln!("10,000 points: added {added:?}, listed {listed:?}, with documents {:?}", began.elapsed());
    assert!(entries.iter().eq(points.iter().map(|p| &p.entry)));
    assert!(listed < Duration::from_secs(1), "{listed:?}");
    drop(catalog);
    let began = Instant::now();
    let catalog = place.open();
    catalog.latest_point(replica.source).unwrap();
    eprintln!("opened and newest found in {:?}", began.elapsed());
    let ids: Vec<_> = points.iter().map(|p| p.entry.id).collect();
    let began = Instant::now();
    assert_eq!(catalog.remove_points(&ids).unwrap(), 10_000);
    eprintln!("removed in {:?}", began.elapsed());
}

pub(crate) fn a_job_runs_and_ends(place: &Place) {
    let catalog = place.open();
    let mut first = job(1, holder("here", 10));
    first.source = Some(source(1, &group(1)).id);
    catalog.start_job(&first).unwrap();
    catalog.start_job(&job(2, holder("here", 11))).unwrap();
    let running = catalog.running_jobs().unwrap();
    assert_eq!(running.iter().map(|j| j.id).collect::<Vec<_>>(), [first.id, job(2, holder("", 0)).id]);
    assert_eq!((running[0].source, &running[0].holder), (first.source, &first.holder));
    assert_eq!((running[0].state, running[0].lease_until), (JobState::Running, after(61)));

    catalog.renew_job(first.id, after(30), 90).unwrap();
    assert_eq!(catalog.running_jobs().unwrap()[0].lease_until, after(120));
    assert!(catalog.end_job(first.id, JobState::Running, None, after(31)).is_err());
    catalog.end_job(first.id, JobState::Partial, Some("1 file"), after(40)).unwrap();
    let jobs = catalog.jobs(10).unwrap();
    assert_eq!(jobs.iter().map(|j| j.state).collect::<Vec<_>>(), [JobState::Running, JobState::Partial]);
    assert_eq!((jobs[1].ended, jobs[1].message.as_deref()), (Some(after(40)), Some("1 file")));
    assert_eq!(catalog.jobs(1).unwrap().len(), 1);
    assert_eq!(catalog.jobs(usize::MAX).unwrap().len(), 2);

    assert_eq!(catalog.remove_jobs_ended_before(after(40)).unwrap(), 0);
    assert_eq!(catalog.remove_jobs_ended_before(after(1_000_000)).unwrap(), 1);
    assert_eq!(catalog.jobs(10).unwrap().len(), 1, "the running one stays");
    let mut long = job(3, holder("here", 1));
    long.lease_seconds = u64::MAX;
    catalog.start_job(&long).unwrap();
}

pub(crate) fn dead_jobs_are_closed_once(place: &Place) {
    let catalog = place.open();
    for (n, host, pid) in [(1, "here", 10), (2, "here", 11), (3, "there", 12), (4, "there", 13)] {
        catalog.start_job(&job(n, holder(host, pid))).unwrap();
    }
    catalog.renew_job(job(4, holder("there", 13)).id, after(0), 10_000).unwrap();
    // 10 lives, though its lease has run out: it was suspended. Of `there` only the lease is known.
    let is_alive = |h: &crate::Holder| (h.host == "here").then_some(h.pid == 10);
    let closed = catalog.close_dead_jobs(after(500), &is_alive).unwrap();
    assert_eq!(closed.iter().map(|j| j.holder.pid).collect::<Vec<_>>(), [11, 12]);
    assert!(closed.iter().all(|j| j.state == JobState::Interrupted && j.ended == Some(after(500))));
    assert_eq!(catalog.close_dead_jobs(after(500), &is_alive).unwrap(), []);
    let left: Vec<_> = catalog.running_jobs().unwrap().iter().map(|j| j.holder.pid).collect();
    assert_eq!(left, [10, 13]);
    let all = catalog.jobs(9).unwrap();
    assert!(closed.iter().all(|c| all.contains(c)));

    // Of two that close at once each closes another, or one closes all; none is closed twice.
    let start = Barrier::new(3);
    let closed: usize = thread::scope(|threads| {
        let work = (0..3).map(|_| {
            threads.spawn(|| {
                let catalog = place.open();
                start.wait();
                catalog.close_dead_jobs(after(600), &|_| Some(false)).unwrap().len()
            })
        });
        work.collect::<Vec<_>>().into_iter().map(|t| t.join().unwrap()).sum()
    });
    assert_eq!(closed, 2);
}

pub(crate) fn a_job_closed_by_another_is_lost(place: &Place) {
    let (mine, other) = (place.open(), place.open());
    let job = job(1, holder("here", 10));
    mine.start_job(&job).unwrap();
    assert_eq!(other.close_dead_jobs(after(1), &|_| Some(false)).unwrap().len(), 1);
    let lost = fault(mine.renew_job(job.id, after(2), 60));
    assert!(matches!(&lost, Fault::JobLost(text) if text.contains("interrupted")), "{lost}");
    assert!(matches!(fault(mine.end_job(job.id, JobState::Done, None, after(3))), Fault::JobLost(_)));
    assert_eq!(mine.jobs(1).unwrap()[0].state, JobState::Interrupted);

    // A renewal between judging and closing wins.
    let second = self::job(2, holder("there", 11));
    mine.start_job(&second).unwrap();
    let renew_meanwhile = |_: &crate::Holder| {
        mine.renew_job(second.id, after(1000), 60).unwrap();
        None
    };
    assert_eq!(other.close_dead_jobs(after(1000), &renew_meanwhile).unwrap(), []);
    mine.end_job(second.id, JobState::Done, None, after(1001)).unwrap();
}

pub(crate) fn writers_wait_for_each_other(place: &Place) {
    let replica = replica_in(&place.open(), 1);
    let start = Barrier::new(4);
    thread::scope(|threads| {
        for n in 0..4 {
            let (start, replica) = (&start, &replica);
            threads.spawn(move || {
                let catalog = place.open();
                start.wait();
                for i in 0..25 {
                    catalog.add_point(&point(n * 1000 + i, replica)).unwrap();
                    catalog.point_entries(None).unwrap();
                    catalog.set_setting("shared", &format!("{n} {i}")).unwrap();
                }
            });
        }
    });
    let catalog = place.open();
    assert_eq!(catalog.point_entries(None).unwrap().len(), 100);
    assert_eq!(catalog.check().unwrap(), Vec::<String>::new());
    // One catalog, many threads.
    thread::scope(|threads| {
        for n in 0..4 {
            let catalog = &catalog;
            threads.spawn(move || catalog.set_setting(&format!("thread {n}"), "x").unwrap());
        }
    });
    assert_eq!(catalog.settings().unwrap().len(), 5);
}

pub(crate) fn odd_text_and_numbers_survive(place: &Place) {
    let catalog = place.open();
    let replica = replica_in(&catalog, 1);
    let mut odd = point(1, &replica);
    odd.entry.bytes = u64::MAX;
    odd.entry.files = 1 << 63;
    odd.document = (0..=255).collect();
    odd.entry.time = "0001-01-01T00:00:00Z".parse().unwrap();
    let mut late = point(2, &replica);
    late.entry.time = resurgam_model::Timestamp::MAX;
    late.document.clear();
    catalog.add_points(&[late.clone(), odd.clone()]).unwrap();
    assert_eq!(catalog.points(None).unwrap(), [odd, late]);

    let injection = "'; DROP TABLE \"job\"; -- \u{1f980} $1 ? \n";
    catalog.set_setting(injection, injection).unwrap();
    assert_eq!(catalog.setting(injection).unwrap().as_deref(), Some(injection));
    // PostgreSQL cannot hold a zero byte in text; it must not stop a job from ending.
    catalog.start_job(&job(1, holder("here", 1))).unwrap();
    catalog.end_job(job(1, holder("here", 1)).id, JobState::Failed, Some("a\0b"), now()).unwrap();
    assert_eq!(catalog.jobs(1).unwrap()[0].message.as_deref(), Some("a\u{fffd}b"));
}

pub(crate) fn every_error_says_what_where_and_what_next(place: &Place) {
    let catalog = place.open();
    let error = catalog.remove_group(group(1).id).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("cannot remove a protection group (catalog "), "{text}");
    assert!(text.contains(&place.location.to_string()) && text.ends_with(error.remedy()), "{text}");
    assert!(text.starts_with(&error.message()), "{text}");
    assert_eq!(error.code(), "catalog-not-found");

    catalog.put_group(&group(1)).unwrap();
    place.sql("UPDATE protection_group SET retention = '{'");
    let error = catalog.groups().unwrap_err();
    assert!(matches!(error.fault, Fault::Corrupt(_)), "{error}");
    assert!(error.to_string().contains("table protection_group, row 0"), "{error}");
}

pub(crate) fn a_sound_database_has_no_findings(place: &Place) {
    let catalog = place.open();
    let replica = replica_in(&catalog, 1);
    catalog.add_point(&point(1, &replica)).unwrap();
    assert_eq!(catalog.check().unwrap(), Vec::<String>::new());
}

pub(crate) fn calling_from_an_asynchronous_task_is_an_error(place: &Place) {
    let catalog = place.open();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let error = runtime.block_on(async { catalog.groups() }).unwrap_err();
    assert!(error.to_string().contains("asynchronous task"), "{error}");
    assert!(runtime.block_on(async { Catalog::open(&place.location, now()) }).is_err());
    runtime.block_on(async { drop(catalog) });
    assert!(place.open().groups().unwrap().is_empty());
}
