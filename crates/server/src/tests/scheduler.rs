use jiff::{SignedDuration, tz::TimeZone};
use resurgam_model::{SourceId, Timestamp, policy::Calendar, schedule::Schedule};

use crate::{
    scheduler::{History, Scheduler, Step, Task},
    work::Work,
};

const MINUTE: i64 = 60;
const HOUR: i64 = 3_600;

fn at(seconds: i64) -> Timestamp {
    "2026-11-22T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

fn source(number: u8) -> Work {
    Work::Backup(SourceId::from_bytes([number; 16]))
}

fn task(work: Work, every: i64, begun: &[i64]) -> Task {
    let begun = begun.iter().map(|seconds| at(*seconds)).collect();
    Task { work, schedule: Schedule::every(every as u64), history: History { begun, ..History::default() } }
}

fn scheduler(slots: usize) -> Scheduler {
    Scheduler::new(slots, TimeZone::UTC)
}

fn started(step: &Step) -> Vec<Work> {
    step.start.iter().map(|start| start.work.clone()).collect()
}

#[test]
fn what_is_due_begins_and_what_is_not_says_when() {
    let mut scheduler = scheduler(9);
    let tasks = [task(source(1), HOUR, &[-HOUR - 5]), task(source(2), HOUR, &[-10]), task(source(3), HOUR, &[])];
    let step = scheduler.step(&tasks, at(0));
    assert_eq!(started(&step), [source(1), source(3)]);
    assert_eq!((step.start[0].since, step.start[0].missed), (at(-5), 0));
    assert_eq!(step.wake, Some(at(HOUR - 10)));
    // What runs is not begun again.
    assert_eq!(started(&scheduler.step(&tasks, at(1))), []);
    // Nor what has run, although the record does not say so yet.
    scheduler.ended(&source(1), at(60), true);
    assert_eq!(started(&scheduler.step(&tasks, at(61))), []);
    assert_eq!(started(&scheduler.step(&tasks, at(HOUR))), [source(2), source(1)]);
}

#[test]
fn no_more_run_at_once_than_may_and_the_longest_waiting_come_first() {
    let mut scheduler = scheduler(2);
    let waiting = |number: u8| task(source(number), HOUR, &[-2 * HOUR - i64::from(number)]);
    let tasks: Vec<Task> = (1..5).map(waiting).collect();
    assert_eq!(started(&scheduler.step(&tasks, at(0))), [source(4), source(3)]);
    assert_eq!(started(&scheduler.step(&tasks, at(1))), []);
    scheduler.ended(&source(3), at(2), true);
    assert_eq!(started(&scheduler.step(&tasks, at(2))), [source(2)]);
    assert_eq!(scheduler.running().len(), 2);
}

#[test]
fn upkeep_never_takes_every_place_and_short_things_need_none() {
    let mut scheduler = scheduler(2);
    let upkeep = [Work::Verify, Work::Prune, Work::Drill, Work::Expire, Work::Alerts, Work::Capsules];
    let mut tasks: Vec<Task> = upkeep.into_iter().map(|work| task(work, HOUR, &[])).collect();
    tasks.push(task(source(1), HOUR, &[]));
    tasks.push(task(source(2), HOUR, &[]));
    let begun = started(&scheduler.step(&tasks, at(0)));
    let is_upkeep = |work: &&Work| matches!(work, Work::Verify | Work::Prune | Work::Drill | Work::Expire);
    assert!(begun.contains(&Work::Alerts) && begun.contains(&Work::Capsules));
    assert!(begun.iter().filter(is_upkeep).count() <= 1 && begun.len() == 4, "{begun:?}");
}

#[test]
fn what_fails_is_tried_again_with_growing_pauses() {
    let mut scheduler = scheduler(1);
    let tasks = [task(source(1), 24 * HOUR, &[-25 * HOUR])];
    let (mut now, mut pauses) = (0, Vec::new());
    for failures in 1..=10 {
        let step = scheduler.step(&tasks, at(now));
        assert_eq!((started(&step), step.start[0].failures), (vec![source(1)], failures - 1));
        assert_eq!(scheduler.ended(&source(1), at(now), false), failures);
        let wake = scheduler.step(&tasks, at(now)).wake.unwrap();
        let pause = wake.duration_since(at(now)).as_secs();
        assert_eq!(started(&scheduler.step(&tasks, at(now + pause - 1))), []);
        pauses.push(pause / MINUTE);
        now += pause;
    }
    assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 360, 360, 360]);
    scheduler.step(&tasks, at(now));
    assert_eq!(scheduler.ended(&source(1), at(now + 9), true), 0);
    assert_eq!(scheduler.step(&tasks, at(now + 9)).wake, Some(at(now + 24 * HOUR)));
}

#[test]
fn a_pause_is_never_longer_than_the_schedule_has_it() {
    let mut hourly = scheduler(1);
    let mut tasks = [task(source(1), HOUR, &[])];
    tasks[0].history = History { begun: vec![], failures: 30, failed: Some(at(0)) };
    assert_eq!(hourly.step(&tasks, at(1)).wake, Some(at(HOUR)));
    // Nor does it go past the next time of a calendar.
    let calendar = Some(Calendar { cron: "0 2 * * *".to_owned(), zone: None });
    tasks[0].schedule = Schedule { every_seconds: None, calendar };
    assert_eq!(hourly.step(&tasks, at(1)).wake, Some(at(2 * HOUR)));
}

#[test]
fn what_was_done_by_hand_counts() {
    let mut scheduler = scheduler(1);
    let mut tasks = [task(source(1), HOUR, &[-9 * HOUR])];
    scheduler.step(&tasks, at(0));
    scheduler.ended(&source(1), at(10), false);
    tasks[0].history.begun.push(at(60));
    let step = scheduler.step(&tasks, at(120));
    assert_eq!((started(&step), step.wake), (vec![], Some(at(60 + HOUR))));
}

#[test]
fn one_that_fails_holds_up_no_other() {
    let mut scheduler = scheduler(1);
    let mut tasks: Vec<Task> = (1..=3).map(|number| task(source(number), HOUR, &[-2 * HOUR])).collect();
    tasks[0].history = History { begun: vec![at(-90 * HOUR)], failures: 4, failed: Some(at(-HOUR)) };
    // It has waited longest by far, and comes last nevertheless.
    for number in [2, 3, 1] {
        assert_eq!(started(&scheduler.step(&tasks, at(0))), [source(number)]);
        scheduler.ended(&source(number), at(0), true);
    }
}

#[test]
fn a_clock_that_leaps_and_comes_back_neither_floods_nor_starves() {
    let mut scheduler = scheduler(1);
    let tasks = [task(source(1), HOUR, &[-10])];
    let decade = 3_653 * 24 * HOUR;
    assert_eq!(started(&scheduler.step(&tasks, at(decade))), [source(1)]);
    scheduler.ended(&source(1), at(decade + 9), true);
    assert_eq!(started(&scheduler.step(&tasks, at(decade + 10))), []);
    // Back again: what is on record of the right time counts.
    let step = scheduler.step(&tasks, at(60));
    assert_eq!((started(&step), step.wake), (vec![], Some(at(HOUR - 10))));
    // A failure of the wrong time neither keeps it waiting for ten years nor makes it try all the time.
    scheduler.step(&tasks, at(decade + 2 * HOUR));
    scheduler.ended(&source(1), at(decade + 2 * HOUR), false);
    assert_eq!(started(&scheduler.step(&tasks, at(HOUR))), [source(1)]);
    scheduler.ended(&source(1), at(HOUR), false);
    let step = scheduler.step(&tasks, at(HOUR + 1));
    assert!(started(&step).is_empty() && step.wake.is_some_and(|wake| wake <= at(2 * HOUR)));
}

#[test]
fn a_schedule_that_cannot_be_followed_is_named_and_the_others_go_on() {
    let mut scheduler = scheduler(1);
    let calendar = Some(Calendar { cron: "0 2 * * *".to_owned(), zone: Some("Europe/Atlantis".to_owned()) });
    let mut tasks = [task(source(1), HOUR, &[]), task(source(2), HOUR, &[])];
    tasks[0].schedule = Schedule { every_seconds: None, calendar };
    let step = scheduler.step(&tasks, at(0));
    assert_eq!(started(&step), [source(2)]);
    assert_eq!(step.unreadable.len(), 1);
    scheduler.ended(&source(2), at(1), true);
    // Changed, it is followed at once.
    tasks[0].schedule = Schedule::every(60);
    assert_eq!(started(&scheduler.step(&tasks, at(2))), [source(1)]);
}

#[test]
fn what_was_called_off_is_no_failure() {
    let mut scheduler = scheduler(1);
    let tasks = [task(source(1), HOUR, &[])];
    scheduler.step(&tasks, at(0));
    scheduler.called_off(&source(1));
    assert!(scheduler.running().is_empty());
    assert_eq!(scheduler.step(&tasks, at(1)).start[0].failures, 0);
}
