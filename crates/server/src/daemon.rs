//! Keeping the time and the threads.

use std::{
    any::Any,
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, Scope},
    time::Duration,
};

use jiff::{SignedDuration, tz::TimeZone};
use resurgam_model::{Timestamp, schedule::InvalidCalendar};
use resurgam_store::Cancel;

use crate::{
    scheduler::{Scheduler, Start, Step, Task},
    work::Work,
};

/// How often it is looked whether somebody asked for the end.
const TURN: Duration = Duration::from_millis(250);
/// How long no look is taken at tasks and clock at most: policies change, and a clock may be set, or a machine sleep.
const LOOK: SignedDuration = SignedDuration::from_secs(30);

/// What the daemon acts upon.
pub trait World: Sync {
    /// Reads the clock.
    fn now(&self) -> Timestamp;

    /// What is to be done of itself, with what is on record of it.
    ///
    /// # Errors
    /// Where that cannot be known now, in words; it is asked again soon.
    fn tasks(&self) -> Result<Vec<Task>, String>;

    /// Does a piece of work, to its end, and says what it achieved; in a thread of its own. When `cancel` is set, it is
    /// to end soon.
    ///
    /// # Errors
    /// Where it does not end well: why.
    fn run(&self, work: &Work, cancel: &Cancel) -> Result<String, String>;

    /// Is told what happens.
    fn tell(&self, event: Event<'_>);

    /// Is called several times a second as long as the daemon is well.
    fn alive(&self) {}
}

/// What happens.
#[derive(Debug)]
pub enum Event<'a> {
    /// The daemon has begun.
    Ready {
        /// How many things it has to do.
        tasks: usize,
    },
    /// A run begins.
    Started(&'a Start),
    /// A run ended well.
    Done {
        /// What.
        work: &'a Work,
        /// What it achieved.
        message: &'a str,
    },
    /// A run failed.
    Failed {
        /// What.
        work: &'a Work,
        /// Why.
        message: &'a str,
        /// How many have failed in a row.
        failures: u64,
    },
    /// A run was called off because the daemon stops.
    CalledOff {
        /// What.
        work: &'a Work,
    },
    /// A schedule cannot be followed. Told once for each that is found.
    Unreadable {
        /// What.
        work: &'a Work,
        /// Why.
        error: &'a InvalidCalendar,
    },
    /// What is to be done cannot be known now. Told once, until it can.
    Blind {
        /// Why.
        error: &'a str,
    },
    /// The daemon was asked to stop.
    Stopping {
        /// How many runs it waits for.
        running: usize,
    },
}

/// How the daemon works.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many jobs run at once.
    pub slots: usize,
    /// The zone for calendars that name none.
    pub zone: TimeZone,
    /// Whether to end of itself when nothing more is due.
    pub once: bool,
}

/// How many runs there were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Those that ended well.
    pub done: u64,
    /// Those that failed, and looks that failed to find out what there is to do.
    pub failed: u64,
}

/// The end of a run, as its thread tells it.
struct Ended {
    work: Work,
    result: Result<String, String>,
}

/// Does what is to be done, until `stop` is set. Then nothing more is begun, what runs is called off, and when all of it
/// has ended, so does this.
pub fn serve(world: &dyn World, options: &Options, stop: &Cancel) -> Tally {
    thread::scope(|scope| {
        let (tell, ends) = mpsc::channel();
        let mut daemon = Daemon::new(world, options);
        daemon.look();
        world.tell(Event::Ready { tasks: daemon.tasks.len() });
        while !stop.is_cancelled() {
            world.alive();
            if daemon.is_time() {
                for start in daemon.step().start {
                    world.tell(Event::Started(&start));
                    let cancel = Arc::new(Cancel::default());
                    daemon.cancels.insert(start.work.clone(), Arc::clone(&cancel));
                    spawn(scope, world, start.work, cancel, tell.clone());
                }
                if options.once && daemon.cancels.is_empty() {
                    break;
                }
            }
            match ends.recv_timeout(TURN) {
                Ok(end) => daemon.ended(&end, false),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
        world.tell(Event::Stopping { running: daemon.cancels.len() });
        daemon.cancels.values().for_each(|cancel| cancel.cancel());
        while !daemon.cancels.is_empty() {
            world.alive();
            if let Ok(end) = ends.recv_timeout(TURN) {
                daemon.ended(&end, true);
            }
        }
        daemon.tally
    })
}

/// Runs a piece of work in a thread of its own. A defect of it is its failure and nobody else's.
fn spawn<'scope>(
    scope: &'scope Scope<'scope, '_>,
    world: &'scope dyn World,
    work: Work,
    cancel: Arc<Cancel>,
    tell: mpsc::Sender<Ended>,
) {
    let name = work.to_string();
    let (thread_work, thread_tell) = (work.clone(), tell.clone());
    let run = move || {
        let result = catch_unwind(AssertUnwindSafe(|| world.run(&thread_work, &cancel)))
            .unwrap_or_else(|panic| Err(format!("a defect of the program: {}", words(&*panic))));
        // Whoever no longer listens has gone.
        let _ = thread_tell.send(Ended { work: thread_work, result });
    };
    if let Err(error) = thread::Builder::new().name(name).spawn_scoped(scope, run) {
        let _ = tell.send(Ended { work, result: Err(format!("no thread can be started: {error}")) });
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it did not say what")
}

struct Daemon<'a> {
    world: &'a dyn World,
    scheduler: Scheduler,
    /// What runs, and how to call it off.
    cancels: HashMap<Work, Arc<Cancel>>,
    tally: Tally,
    tasks: Vec<Task>,
    /// When the tasks were looked at last; `None`: look now.
    looked: Option<Timestamp>,
    wake: Option<Timestamp>,
    /// Whether the tasks could not be looked at the last time.
    blind: bool,
    /// Schedules that were told of.
    unreadable: Vec<(Work, InvalidCalendar)>,
}

impl<'a> Daemon<'a> {
    fn new(world: &'a dyn World, options: &Options) -> Self {
        Self {
            world,
            scheduler: Scheduler::new(options.slots, options.zone.clone()),
            cancels: HashMap::new(),
            tally: Tally::default(),
            tasks: Vec::new(),
            looked: None,
            wake: None,
            blind: false,
            unreadable: Vec::new(),
        }
    }

    /// Whether something may have become due: its time has come, a run has ended, or much time has gone by.
    fn is_time(&self) -> bool {
        let now = self.world.now();
        let Some(looked) = self.looked else { return true };
        // A clock that was set back counts as much time.
        self.wake.is_some_and(|wake| wake <= now) || now < looked || now.duration_since(looked) >= LOOK
    }

    fn look(&mut self) {
        match self.world.tasks() {
            Ok(tasks) => {
                self.tasks = tasks;
                self.blind = false;
            }
            Err(error) => {
                if !self.blind {
                    self.tally.failed += 1;
                    self.world.tell(Event::Blind { error: &error });
                }
                self.blind = true;
            }
        }
    }

    fn step(&mut self) -> Step {
        self.look();
        let now = self.world.now();
        self.looked = Some(now);
        if self.blind {
            self.wake = None;
            return Step::default();
        }
        let step = self.scheduler.step(&self.tasks, now);
        self.wake = step.wake;
        for found in &step.unreadable {
            if !self.unreadable.contains(found) {
                self.world.tell(Event::Unreadable { work: &found.0, error: &found.1 });
            }
        }
        self.unreadable.clone_from(&step.unreadable);
        step
    }

    /// `stopping`: runs that do not end well now were called off.
    fn ended(&mut self, end: &Ended, stopping: bool) {
        let work = &end.work;
        self.looked = None;
        self.cancels.remove(work);
        match &end.result {
            Ok(message) => {
                self.tally.done += 1;
                self.scheduler.ended(work, self.world.now(), true);
                self.world.tell(Event::Done { work, message });
            }
            Err(_) if stopping => {
                self.scheduler.called_off(work);
                self.world.tell(Event::CalledOff { work });
            }
            Err(message) => {
                self.tally.failed += 1;
                let failures = self.scheduler.ended(work, self.world.now(), false);
                self.world.tell(Event::Failed { work, message, failures });
            }
        }
    }
}
