use jiff::SignedDuration;
use resurgam_catalog::Holder;
use resurgam_model::JobId;

use super::*;

fn at(minutes: i64) -> Timestamp {
    "2026-11-22T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minutes)
}

fn job(started: i64, state: JobState) -> JobRecord {
    JobRecord {
        id: JobId::from_bytes([1; 16]),
        kind: "backup".to_owned(),
        subject: "/etc".to_owned(),
        source: None,
        holder: Holder { host: String::new(), boot: String::new(), pid: 1, pid_started: 1 },
        state,
        lease_until: at(started + 2),
        started: at(started),
        ended: (state != JobState::Running).then(|| at(started + 1)),
        message: None,
    }
}

fn of(jobs: &[(i64, JobState)]) -> History {
    let jobs: Vec<JobRecord> = jobs.iter().map(|(started, state)| job(*started, *state)).collect();
    history(jobs.iter(), at(0))
}

#[test]
fn failures_count_back_to_the_last_run_that_ended_well() {
    use JobState::{Done, Failed, Interrupted, Partial, Running};
    assert_eq!(of(&[]), History::default());
    let found = of(&[(-1, Running), (-10, Failed), (-20, Interrupted), (-30, Partial), (-40, Failed), (-50, Done)]);
    assert_eq!(found, History { begun: vec![at(-30)], failures: 2, failed: Some(at(-9)) });
    assert_eq!(of(&[(-10, Done), (-20, Failed)]), History { begun: vec![at(-10)], ..History::default() });
}

#[test]
fn jobs_of_the_future_never_hide_those_of_today() {
    use JobState::{Done, Failed};
    let found = of(&[(5_000, Failed), (4_000, Done), (-10, Failed), (-20, Done)]);
    assert_eq!(found, History { begun: vec![at(4_000), at(-20)], failures: 1, failed: Some(at(-9)) });
}

#[test]
fn a_run_of_several_parts_has_ended_well_when_each_has() {
    use JobState::{Done, Failed};
    let (early, late) = (of(&[(-60, Done)]), of(&[(-20, Done)]));
    assert_eq!(of_parts([late.clone(), early.clone()]).begun, [at(-60)]);
    assert_eq!(of_parts([early, of(&[])]).begun, []);
    let failing = of(&[(-10, Failed), (-70, Done)]);
    assert_eq!(of_parts([late, failing]), History { begun: vec![at(-70)], failures: 1, failed: Some(at(-9)) });
    assert_eq!(of_parts([]), History::default());
}
