use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicI64, Ordering},
    },
};

use jiff::{SignedDuration, tz::TimeZone};
use resurgam_model::{SourceId, Timestamp, policy::Calendar, schedule::Schedule};
use resurgam_store::Cancel;

use crate::{
    daemon::{Event, Options, Tally, World, serve},
    scheduler::{History, Task},
    work::Work,
};

/// A world whose clock a test sets, and whose work a test decides. It stops the daemon when enough has happened.
struct Stage {
    seconds: AtomicI64,
    tasks: Mutex<Result<Vec<Task>, String>>,
    seen: Mutex<Seen>,
    stop: Cancel,
    /// After how many ended runs to stop.
    enough: usize,
    /// What each piece of work does.
    work: fn(&Stage, &Work, &Cancel) -> Result<String, String>,
}

#[derive(Default)]
struct Seen {
    log: Vec<String>,
    ended: usize,
    runs: HashMap<Work, usize>,
}

fn source(number: u8) -> Work {
    Work::Backup(SourceId::from_bytes([number; 16]))
}

fn task(work: Work, every: u64) -> Task {
    Task { work, schedule: Schedule::every(every), history: History::default() }
}

impl Stage {
    fn new(tasks: Vec<Task>, enough: usize, work: fn(&Stage, &Work, &Cancel) -> Result<String, String>) -> Self {
        Self {
            seconds: AtomicI64::new(0),
            tasks: Mutex::new(Ok(tasks)),
            seen: Mutex::default(),
            stop: Cancel::default(),
            enough,
            work,
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    fn serve(&self, slots: usize) -> Vec<String> {
        serve(self, &Options { slots, zone: TimeZone::UTC, once: false }, &self.stop);
        self.seen().log.clone()
    }
}

impl World for Stage {
    fn now(&self) -> Timestamp {
        let start: Timestamp = "2026-11-22T00:00:00Z".parse().unwrap();
        start + SignedDuration::from_secs(self.seconds.load(Ordering::SeqCst))
    }

    fn tasks(&self) -> Result<Vec<Task>, String> {
        self.tasks.lock().unwrap().clone()
    }

    fn run(&self, work: &Work, cancel: &Cancel) -> Result<String, String> {
        *self.seen().runs.entry(work.clone()).or_default() += 1;
        (self.work)(self, work, cancel)
    }

    fn tell(&self, event: Event<'_>) {
        let ended = matches!(event, Event::Done { .. } | Event::Failed { .. } | Event::CalledOff { .. });
        let line = match event {
            Event::Ready { tasks } => format!("ready {tasks}"),
            Event::Started(start) => format!("started {} {}", start.work, start.failures),
            Event::Done { work, message } => format!("done {work}: {message}"),
            Event::Failed { work, message, failures } => format!("failed {work} {failures}: {message}"),
            Event::CalledOff { work } => format!("called off {work}"),
            Event::Unreadable { work, .. } => format!("unreadable {work}"),
            Event::Blind { error } => format!("blind: {error}"),
            Event::Stopping { running } => format!("stopping {running}"),
        };
        let mut seen = self.seen();
        seen.log.push(line);
        seen.ended += usize::from(ended);
        if seen.ended >= self.enough {
            self.stop.cancel();
        }
    }
}

#[test]
fn it_does_what_is_due_again_and_again() {
    let work = |stage: &Stage, _: &Work, _: &Cancel| {
        stage.seconds.fetch_add(3_600, Ordering::SeqCst);
        Ok("well".to_owned())
    };
    let log = Stage::new(vec![task(Work::Expire, 3_600)], 3, work).serve(1);
    let run = ["started expire 0", "done expire: well"];
    let wanted: Vec<&str> = ["ready 1"].into_iter().chain([run; 3].concat()).chain(["stopping 0"]).collect();
    assert_eq!(log, wanted);
}

#[test]
fn a_defect_in_one_run_is_its_failure_and_nobody_else_s() {
    let work = |_: &Stage, work: &Work, _: &Cancel| {
        assert_eq!(*work, source(2), "not this one");
        Ok("well".to_owned())
    };
    let log = Stage::new(vec![task(source(1), 3_600), task(source(2), 3_600)], 2, work).serve(2);
    assert!(log.contains(&format!("done {}: well", source(2))), "{log:?}");
    let failed = log.iter().find(|line| line.starts_with("failed")).unwrap();
    assert!(failed.contains("a defect of the program") && failed.contains("not this one"), "{failed}");
}

#[test]
fn asked_to_stop_it_calls_off_what_runs_and_waits_for_its_end() {
    let work = |stage: &Stage, _: &Work, cancel: &Cancel| {
        stage.stop.cancel();
        while !cancel.is_cancelled() {
            std::thread::yield_now();
        }
        Err("stopped on request".to_owned())
    };
    let stage = Stage::new(vec![task(source(1), 60), task(source(2), 60), task(source(3), 60)], 9, work);
    let log = stage.serve(2);
    assert_eq!(log.iter().filter(|line| line.starts_with("called off")).count(), 2, "{log:?}");
    assert_eq!(stage.seen().runs.len(), 2, "nothing is begun any more");
    assert!(log.contains(&"stopping 2".to_owned()), "{log:?}");
}

#[test]
fn a_stop_before_the_first_turn_begins_nothing() {
    let stage = Stage::new(vec![task(source(1), 60)], 9, |_, _, _| Ok(String::new()));
    stage.stop.cancel();
    assert_eq!(stage.serve(1), ["ready 1", "stopping 0"]);
}

#[test]
fn without_sight_of_its_tasks_it_says_so_once_and_goes_on_when_they_are_back() {
    let work = |stage: &Stage, _: &Work, _: &Cancel| {
        let mut tasks = stage.tasks.lock().unwrap();
        stage.seconds.fetch_add(7_200, Ordering::SeqCst);
        match stage.seen().runs.values().sum::<usize>() {
            1 => *tasks = Err("the catalog is locked".to_owned()),
            _ => *tasks = Ok(vec![task(Work::Expire, 3_600)]),
        }
        Ok(String::new())
    };
    let stage = Stage::new(vec![task(Work::Expire, 3_600)], 2, work);
    std::thread::scope(|scope| {
        let serving = scope.spawn(|| stage.serve(1));
        while !stage.seen().log.iter().any(|line| line.starts_with("blind")) {
            std::thread::yield_now();
        }
        *stage.tasks.lock().unwrap() = Ok(vec![task(Work::Expire, 3_600)]);
        stage.seconds.fetch_add(7_200, Ordering::SeqCst);
        let log = serving.join().unwrap();
        assert_eq!(log.iter().filter(|line| line.starts_with("blind")).count(), 1, "{log:?}");
        assert_eq!(log.iter().filter(|line| line.starts_with("done")).count(), 2, "{log:?}");
    });
}

#[test]
fn a_schedule_that_cannot_be_followed_is_told_once() {
    let mut tasks = vec![task(source(1), 60), task(Work::Expire, 60)];
    let calendar = Some(Calendar { cron: "nonsense".to_owned(), zone: None });
    tasks[0].schedule = Schedule { every_seconds: None, calendar };
    let work = |stage: &Stage, _: &Work, _: &Cancel| {
        stage.seconds.fetch_add(60, Ordering::SeqCst);
        Ok(String::new())
    };
    let log = Stage::new(tasks, 3, work).serve(1);
    assert_eq!(log.iter().filter(|line| line.starts_with("unreadable")).count(), 1, "{log:?}");
}

#[test]
fn once_it_does_what_is_due_and_ends() {
    let work = |_: &Stage, work: &Work, _: &Cancel| {
        if *work == source(2) { Err("the disk is gone".to_owned()) } else { Ok(String::new()) }
    };
    let mut tasks: Vec<Task> = (1..=4).map(|number| task(source(number), 3_600)).collect();
    tasks[3].history.begun.push("2026-11-21T23:59:00Z".parse().unwrap());
    let stage = Stage::new(tasks, 99, work);
    let tally = serve(&stage, &Options { slots: 1, zone: TimeZone::UTC, once: true }, &stage.stop);
    assert_eq!(tally, Tally { done: 2, failed: 1 });
    let nothing = Stage::new(Vec::new(), 99, work);
    let tally = serve(&nothing, &Options { slots: 1, zone: TimeZone::UTC, once: true }, &nothing.stop);
    assert_eq!(tally, Tally::default());
}
