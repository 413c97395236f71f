use proptest::prelude::*;

use super::*;
use crate::policy::Calendar;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn ago(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

fn source(root: &str, every: u64, newest: Option<Timestamp>) -> SourceFacts {
    SourceFacts {
        id: SourceId::from_bytes([1; 16]),
        root: root.to_owned(),
        schedule: Schedule::every(every),
        newest,
        stopped: false,
        failures: 0,
        last_failure: None,
    }
}

fn copy(newest: Option<Timestamp>, allowed_age_seconds: Option<u64>) -> CopyFacts {
    CopyFacts {
        kind: CopyKind::Native,
        place: "/mnt/usb".to_owned(),
        newest,
        problem: None,
        allowed_age_seconds,
        lacks_changes: 0,
        lacks_points: 0,
        drill: Some(Drilled { time: ago(DAY), passed: true, message: String::new() }),
    }
}

fn volume(unreachable: Option<&str>, space: Option<(u64, u64)>) -> VolumeFacts {
    VolumeFacts {
        id: VolumeId::from_bytes([2; 16]),
        location: "/pool".to_owned(),
        unreachable: unreachable.map(str::to_owned),
        space: space.map(|(free, total)| Space { free, total }),
    }
}

#[test]
fn a_vault_that_is_away_or_was_emptied_is_told() {
    let of = |trouble: Option<(i64, bool)>| {
        let trouble =
            trouble.map(|(age, gone)| VaultTrouble { since: ago(age), what: "no route to host".to_owned(), gone });
        let vault = VaultFacts { name: "cellar".to_owned(), location: "s3://bucket/cellar".to_owned(), trouble };
        conditions(&Facts { vaults: vec![vault], ..Facts::default() }, now())
    };
    let kinds = |trouble| of(trouble).into_iter().map(|found| (found.kind, found.severity)).collect::<Vec<_>>();
    assert_eq!(kinds(None), []);
    assert_eq!(kinds(Some((14 * 60, false))), [], "a moment");
    assert_eq!(kinds(Some((15 * 60, false))), one(kind::VAULT_UNREACHABLE, Severity::Warning));
    assert_eq!(kinds(Some((DAY, false))), one(kind::VAULT_UNREACHABLE, Severity::Critical));
    assert_eq!(kinds(Some((-DAY, false))), one(kind::VAULT_UNREACHABLE, Severity::Critical), "the clock was ahead");
    assert_eq!(kinds(Some((0, true))), one(kind::VAULT_LOST, Severity::Critical), "at once");
    let told = &of(Some((0, true)))[0];
    assert_eq!(told.subject, "s3://bucket/cellar");
    assert!(told.message.contains("cellar no longer holds this server's part: no route"), "{}", told.message);
}

/// Kind and severity of each.
fn found(facts: &Facts) -> Vec<(String, Severity)> {
    conditions(facts, now()).into_iter().map(|condition| (condition.kind, condition.severity)).collect()
}

fn of_source(source: SourceFacts) -> Vec<(String, Severity)> {
    found(&Facts { sources: vec![source], ..Facts::default() })
}

fn one(kind: &str, severity: Severity) -> Vec<(String, Severity)> {
    vec![(kind.to_owned(), severity)]
}

#[test]
fn a_source_is_overdue_when_no_new_point_came_whatever_the_cause() {
    let hourly = |newest| source("/etc", 3_600, newest);
    assert_eq!(of_source(hourly(Some(ago(HOUR)))), []);
    // Half an hour of grace.
    assert_eq!(of_source(hourly(Some(ago(HOUR + HOUR / 2)))), []);
    assert_eq!(of_source(hourly(Some(ago(HOUR + HOUR / 2 + 1)))), one(kind::SOURCE_OVERDUE, Severity::Warning));
    assert_eq!(of_source(hourly(Some(ago(5 * HOUR)))), one(kind::SOURCE_OVERDUE, Severity::Critical));
    assert_eq!(of_source(hourly(None)), one(kind::SOURCE_OVERDUE, Severity::Warning));
    assert_eq!(of_source(SourceFacts { stopped: true, ..hourly(None) }), []);
    assert_eq!(of_source(SourceFacts { schedule: Schedule::default(), ..hourly(Some(ago(900 * DAY))) }), []);
}

#[test]
fn a_calendar_that_was_missed_or_cannot_be_followed_is_not_silent() {
    let nightly = |zone: Option<&str>, newest| SourceFacts {
        schedule: Schedule {
            every_seconds: None,
            calendar: Some(Calendar { cron: "0 2 * * *".to_owned(), zone: zone.map(str::to_owned) }),
        },
        ..source("/etc", 1, newest)
    };
    assert_eq!(of_source(nightly(None, Some(ago(9 * HOUR)))), []);
    assert_eq!(of_source(nightly(None, Some(ago(11 * HOUR)))), one(kind::SOURCE_OVERDUE, Severity::Warning));
    let unknown = nightly(Some("Europe/Atlantis"), Some(ago(HOUR)));
    assert_eq!(of_source(unknown), one(kind::SOURCE_OVERDUE, Severity::Critical));
}

#[test]
fn a_point_of_the_future_does_not_pass_for_fresh() {
    let facts = Facts { sources: vec![source("/etc", 3_600, Some(ago(-3_650 * DAY)))], ..Facts::default() };
    let conditions = conditions(&facts, now());
    assert_eq!(conditions.len(), 1);
    assert!(conditions[0].message.contains("check the clock"), "{}", conditions[0].message);
}

#[test]
fn failures_are_counted() {
    let failing = |failures| SourceFacts {
        failures,
        last_failure: Some("the disk is gone".to_owned()),
        ..source("/etc", 3_600, Some(now()))
    };
    assert_eq!(of_source(failing(0)), []);
    assert_eq!(of_source(failing(2)), one(kind::SOURCE_FAILING, Severity::Warning));
    assert_eq!(of_source(failing(3)), one(kind::SOURCE_FAILING, Severity::Critical));
    let facts = Facts { sources: vec![failing(3)], ..Facts::default() };
    assert_eq!(conditions(&facts, now())[0].message, "its backup failed 3 times in a row: the disk is gone");
}

#[test]
fn a_volume_that_is_away_or_full() {
    let of = |volume| found(&Facts { volumes: vec![volume], ..Facts::default() });
    assert_eq!(of(volume(Some("it is not mounted"), Some((0, 100)))), one(kind::VOLUME_MISSING, Severity::Critical));
    assert_eq!(of(volume(None, None)), []);
    assert_eq!(of(volume(None, Some((0, 0)))), []);
    assert_eq!(of(volume(None, Some((10, 100)))), []);
    assert_eq!(of(volume(None, Some((9, 100)))), one(kind::VOLUME_FILLING, Severity::Warning));
    assert_eq!(of(volume(None, Some((u64::MAX / 50, u64::MAX)))), one(kind::VOLUME_FILLING, Severity::Critical));
}

#[test]
fn a_copy_of_the_catalog_that_is_old_behind_or_not_there() {
    let of = |copy| found(&Facts { copies: vec![copy], ..Facts::default() });
    let day = Some(DAY as u64);
    assert_eq!(of(copy(Some(ago(DAY)), day)), []);
    assert_eq!(of(copy(Some(ago(DAY + 1)), day)), one(kind::CATALOG_COPY_OLD, Severity::Warning));
    assert_eq!(of(copy(Some(ago(4 * DAY)), day)), one(kind::CATALOG_COPY_OLD, Severity::Critical));
    assert_eq!(of(copy(Some(ago(-2 * DAY)), day)), one(kind::CATALOG_COPY_OLD, Severity::Warning));
    assert_eq!(of(copy(None, day)), one(kind::CATALOG_COPY_OLD, Severity::Critical));
    // An hourly copy may lack the points of an hour; a capsule may lack no change, however old it is.
    assert_eq!(of(CopyFacts { lacks_points: 9, lacks_changes: 1, ..copy(Some(ago(HOUR)), day) }), []);
    assert_eq!(of(copy(Some(ago(900 * DAY)), None)), []);
    let behind = CopyFacts { lacks_changes: 1, ..copy(Some(ago(1)), None) };
    assert_eq!(of(behind), one(kind::CATALOG_COPY_OLD, Severity::Warning));
}

#[test]
fn drills_that_failed_or_were_not_held() {
    let of = |drill: Option<(i64, bool)>| {
        let drill = drill.map(|(age, passed)| Drilled { time: ago(age), passed, message: "3 rows differ".to_owned() });
        found(&Facts { copies: vec![CopyFacts { drill, ..copy(Some(now()), None) }], ..Facts::default() })
    };
    assert_eq!(of(Some((14 * DAY, true))), []);
    assert_eq!(of(Some((14 * DAY + 1, true))), one(kind::DRILL_OVERDUE, Severity::Warning));
    assert_eq!(of(Some((1, false))), one(kind::DRILL_FAILED, Severity::Critical));
    assert_eq!(of(None), one(kind::DRILL_OVERDUE, Severity::Information));
}

#[test]
fn the_rest_of_the_kinds() {
    let replica =
        |state| ReplicaFacts { id: ReplicaId::from_bytes([3; 16]), root: "/etc".to_owned(), state, cause: None };
    let damage = |objects, affected_points| DamageFacts {
        volume: VolumeId::from_bytes([2; 16]),
        location: "/pool".to_owned(),
        objects,
        affected_points,
    };
    for (state, _) in ReplicaState::ALL {
        let wanted = match state {
            ReplicaState::Inconsistent => one(kind::REPLICA_INCONSISTENT, Severity::Critical),
            ReplicaState::Missing => one(kind::REPLICA_MISSING, Severity::Critical),
            _ => vec![],
        };
        assert_eq!(found(&Facts { replicas: vec![replica(state)], ..Facts::default() }), wanted);
    }
    let of = |damage| found(&Facts { damage: vec![damage], ..Facts::default() });
    assert_eq!(of(damage(0, 0)), []);
    assert_eq!(of(damage(1, 0)), one(kind::DAMAGE_FOUND, Severity::Warning));
    assert_eq!(of(damage(1, 4)), one(kind::DAMAGE_FOUND, Severity::Critical));
    let of = |kit| found(&Facts { kit: Some(kit), ..Facts::default() });
    assert_eq!(of(Kit::Current), []);
    for kit in [Kit::NeverMade, Kit::NeverProved, Kit::OutOfDate] {
        assert_eq!(of(kit), one(kind::KIT_MISSING, Severity::Warning));
    }
    let frozen = Facts { frozen: Some("restored".to_owned()), ..Facts::default() };
    assert_eq!(found(&frozen), one(kind::FROZEN, Severity::Warning));
    let superseded = Facts { superseded: Some("generation 3".to_owned()), ..Facts::default() };
    assert_eq!(found(&superseded), one(kind::SUPERSEDED, Severity::Critical));
    assert_eq!(found(&Facts::default()), []);
}

#[test]
fn severities_are_read_and_said() {
    let all =
        [(Severity::Critical, "critical"), (Severity::Warning, "warning"), (Severity::Information, "information")];
    for (severity, word) in all {
        assert_eq!((severity.to_string().as_str(), word.parse()), (word, Ok(severity)));
    }
    assert!("grave".parse::<Severity>().is_err());
    assert!(Severity::Critical < Severity::Warning);
}

fn facts() -> impl Strategy<Value = Facts> {
    let time = || proptest::option::of((-20 * DAY..20 * DAY).prop_map(ago));
    let root = || prop_oneof![Just("/a".to_owned()), Just("/b".to_owned())];
    let sources =
        (root(), 0u64..200_000, time(), any::<bool>(), 0u64..5).prop_map(|(root, every, newest, stopped, failures)| {
            SourceFacts { stopped, failures, ..source(&root, every, newest) }
        });
    let volumes = (any::<bool>(), 0u64..100).prop_map(|(away, free)| volume(away.then_some("away"), Some((free, 100))));
    let copies = (time(), proptest::option::of(0u64..500_000), 0u64..2, 0u64..2).prop_map(
        |(newest, allowed, lacks_changes, lacks_points)| CopyFacts {
            lacks_changes,
            lacks_points,
            ..copy(newest, allowed)
        },
    );
    let list = |most| 0usize..most;
    (
        proptest::collection::vec(sources, list(6)),
        proptest::collection::vec(volumes, list(4)),
        proptest::collection::vec(copies, list(4)),
    )
        .prop_map(|(sources, volumes, copies)| Facts { sources, volumes, copies, ..Facts::default() })
}

proptest! {
    #[test]
    fn conditions_are_named_once_in_order_and_with_known_kinds(facts in facts()) {
        let conditions = conditions(&facts, now());
        let mut names: Vec<_> = conditions.iter().map(|c| (&c.kind, &c.subject)).collect();
        names.sort();
        names.dedup();
        prop_assert_eq!(names.len(), conditions.len());
        prop_assert!(conditions.is_sorted_by_key(|c| c.severity));
        prop_assert!(conditions.iter().all(|c| kind::ALL.contains(&c.kind.as_str()) && !c.message.is_empty()));
    }

    #[test]
    fn a_source_that_gets_no_point_is_overdue_sooner_or_later_and_never_becomes_less_so(
        every in 1u64..2_000_000, age in 0i64..40 * DAY, more in 0i64..40 * DAY,
    ) {
        let severity = |age| of_source(source("/etc", every, Some(ago(age)))).pop().map(|(_, severity)| severity);
        // `None` sorts before any severity, so the comparison is turned round.
        let (first, later) = (severity(age), severity(age + more));
        prop_assert!(first.is_none() || later.is_some_and(|later| later <= first.unwrap()));
        prop_assert!(severity(every as i64 * 2 + 8 * HOUR).is_some());
        prop_assert!(severity(every as i64).is_none());
    }

    #[test]
    fn what_is_mended_clears_itself(facts in facts()) {
        let mut facts = facts;
        for source in &mut facts.sources {
            source.newest = Some(now());
            source.failures = 0;
        }
        for volume in &mut facts.volumes {
            volume.unreachable = None;
            volume.space = Some(Space { free: 90, total: 100 });
        }
        for copy in &mut facts.copies {
            copy.newest = Some(now());
            copy.lacks_changes = 0;
        }
        prop_assert_eq!(conditions(&facts, now()), vec![]);
    }
}
