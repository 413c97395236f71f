use resurgam_model::{GroupId, JobId, SourceId, VolumeId};

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn source(group: &str, state: &str, newest: Option<i64>) -> SourceSummary {
    SourceSummary {
        id: SourceId::from_bytes([5; 16]),
        kind: "files".to_owned(),
        root: "/etc".to_owned(),
        group: group.to_owned(),
        state: state.to_owned(),
        cause: (state == "inconsistent").then(|| "damage".to_owned()),
        volume: Some(VolumeId::from_bytes([6; 16])),
        points: 2,
        newest: newest.map(at),
        retention: None,
    }
}

fn groups_() -> Vec<GroupSummary> {
    let group = |name: &str, every_seconds| GroupSummary {
        id: GroupId::from_bytes([1; 16]),
        name: name.to_owned(),
        retention: "everything".to_owned(),
        every_seconds,
        calendar: None,
        online: None,
        sources: 1,
    };
    vec![group("hourly", Some(3_600)), group("free", None)]
}

#[test]
fn an_objective_is_missed_when_the_newest_point_is_too_old_or_never_came() {
    for (source, missed) in [
        (source("hourly", "valid", Some(1_000_000 - 3_600)), false),
        (source("hourly", "valid", Some(1_000_000 - 3_601)), true),
        (source("hourly", "creation-pending", None), true),
        (source("hourly", "stopped", Some(0)), false),
        (source("hourly", "valid", Some(1_000_500)), false),
        (source("free", "valid", Some(0)), false),
        (source("gone", "valid", None), false),
    ] {
        let status = statuses(vec![source], &groups_(), at(1_000_000)).remove(0);
        assert_eq!(status.objective_missed, missed, "{status:?}");
    }
}

#[test]
fn status_has_the_keys_of_a_source_and_its_own() {
    let sources = statuses(vec![source("hourly", "inconsistent", Some(0))], &groups_(), at(10_000));
    let document = Status { sources, ..Status::default() };
    let value = serde_json::to_value(&document).unwrap();
    assert_eq!(
        (&value["sources"][0]["root"], &value["sources"][0]["objective_missed"]),
        (&"/etc".into(), &true.into())
    );
    assert_eq!(
        (&value["sources"][0]["age_seconds"], &value["volumes"], &value["jobs"]),
        (&10_000.into(), &serde_json::json!([]), &serde_json::json!([]))
    );
    let text = status(&document, &TimeZone::UTC);
    assert!(text.contains("every 1 hour: MISSED") && text.contains("inconsistent (damage)"), "{text}");
}

#[test]
fn an_empty_server_says_how_to_begin() {
    let empty = Status::default();
    assert!(status(&empty, &TimeZone::UTC).contains("resurgam protect"));
}

#[test]
fn lists_have_a_line_for_each() {
    assert_eq!(groups(&groups_()).lines().nth(1).unwrap(), "hourly        1  1 hour      everything");
    let text = sources(&[source("free", "valid", None)], &TimeZone::UTC, false);
    assert!(text.contains("05050505  /etc") && text.contains("never"), "{text}");
    let job = JobSummary {
        id: JobId::from_bytes([9; 16]),
        kind: "backup".to_owned(),
        subject: "/etc".to_owned(),
        state: "failed".to_owned(),
        started: at(0),
        ended: Some(at(90)),
        message: Some("no\nspace".to_owned()),
    };
    let text = jobs(&[job], &TimeZone::UTC);
    assert!(text.contains("90 s  no space") && text.lines().count() == 2, "{text}");
    let volume = VolumeSummary {
        id: VolumeId::from_bytes([6; 16]),
        location: "/pool".to_owned(),
        protection: "clear".to_owned(),
        replicas: 1,
        state: "present".to_owned(),
    };
    assert!(volumes(&[volume]).contains("06060606-0606-0606-0606-060606060606  /pool"));
}
