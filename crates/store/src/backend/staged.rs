//! For tests: a place that several processes work on, of which one has the turn, and may lose it before each call.
//!
//! Who goes on is drawn from a seed, so that threads of the system decide nothing: between two calls of one process,
//! any calls of the others may come. A process can be stopped at a call, in each way in which real ones are. Listings show
//! a part as it was and a part as it is after others have gone on, as those of a directory may.

use std::{
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
        mpsc,
    },
};

use super::{Backend, Held, Hold, Listed, Result, Upload, Writers};
use crate::{
    error::{BackendError, Fault},
    meter::Cancel,
};

/// Numbers from a seed (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    pub(crate) fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() { None } else { Some(&from[self.below(from.len() as u64) as usize]) }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who has the turn.
pub(crate) struct Stage {
    turn: Mutex<Turn>,
    /// One for each actor, to be woken by.
    woken: Vec<Condvar>,
}

struct Turn {
    random: Random,
    /// The turn goes to another at one call in so many.
    one_in: u64,
    on: usize,
    /// Who has not left yet.
    present: Vec<usize>,
    /// Somebody panicked: nobody waits any more, so that the test can end and say so.
    broken: bool,
    said: Vec<String>,
}

impl Stage {
    /// For so many actors, each of which [`Stage::enter`]s from a thread of its own.
    pub(crate) fn new(actors: usize, one_in: u64, mut random: Random) -> Self {
        let on = random.below(actors as u64) as usize;
        let present = (0..actors).collect();
        let turn = Turn { random, one_in, on, present, broken: false, said: Vec::new() };
        Self { turn: Mutex::new(turn), woken: (0..actors).map(|_| Condvar::new()).collect() }
    }

    /// Waits for the first turn of an actor, which leaves when what this returns is dropped.
    pub(crate) fn enter(&self, actor: usize) -> Entered<'_> {
        drop(self.wait(locked(&self.turn), actor));
        Entered { stage: self, actor }
    }

    /// What happened, in order.
    pub(crate) fn said(&self) -> Vec<String> {
        std::mem::take(&mut locked(&self.turn).said)
    }

    pub(crate) fn say(&self, what: String) {
        locked(&self.turn).said.push(what);
    }

    fn wait<'a>(&'a self, mut turn: MutexGuard<'a, Turn>, actor: usize) -> MutexGuard<'a, Turn> {
        while turn.on != actor && !turn.broken {
            turn = self.woken[actor].wait(turn).unwrap_or_else(PoisonError::into_inner);
        }
        turn
    }

    /// Lets others go on before a call, if it is so drawn; `always`: in any case.
    fn step(&self, actor: usize, always: bool, attempt: &str, name: &str) {
        let turn = locked(&self.turn);
        let mut turn = self.wait(turn, actor);
        let one_in = turn.one_in;
        if always || turn.random.one_in(one_in) {
            self.hand_over(&mut turn, actor);
            turn = self.wait(turn, actor);
        }
        turn.said.push(format!("{actor} {attempt} {name}"));
    }

    /// Gives the turn to another, if there is one.
    fn hand_over(&self, turn: &mut Turn, actor: usize) {
        let others: Vec<usize> = turn.present.iter().copied().filter(|other| *other != actor).collect();
        if let Some(next) = turn.random.pick(&others) {
            turn.on = *next;
            self.woken[*next].notify_all();
        }
    }
}

/// An actor on its stage.
pub(crate) struct Entered<'a> {
    stage: &'a Stage,
    actor: usize,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut turn = locked(&self.stage.turn);
        turn.present.retain(|present| *present != self.actor);
        self.stage.hand_over(&mut turn, self.actor);
        if std::thread::panicking() {
            turn.broken = true;
            self.stage.woken.iter().for_each(Condvar::notify_all);
        }
    }
}

/// How a process is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Nothing of it happens any more; the kernel gives up what it held.
    Kill,
    /// One call fails, and the process has to cope.
    Fault,
    /// Somebody asks it to end.
    Cancel,
}

/// One process: what opens a volume and works on it.
pub(crate) struct Process {
    stage: Arc<Stage>,
    actor: usize,
    /// How it is stopped, and at which call.
    stop: Option<(Stop, u64)>,
    calls: AtomicU64,
    stopped: AtomicBool,
    /// For what the process runs.
    pub(crate) cancel: Cancel,
    /// Hung up when the last thread of the process has ended.
    _ended: mpsc::Sender<()>,
}

impl Process {
    /// Starts a process of an actor that has the turn. The receiver hears that all of its threads have ended.
    pub(crate) fn start(
        stage: &Arc<Stage>,
        actor: usize,
        stop: Option<(Stop, u64)>,
    ) -> (Arc<Self>, mpsc::Receiver<()>) {
        let (_ended, heard) = mpsc::channel();
        let (calls, stopped, cancel) = (AtomicU64::new(0), AtomicBool::new(false), Cancel::default());
        (Arc::new(Self { stage: Arc::clone(stage), actor, stop, calls, stopped, cancel, _ended }), heard)
    }

    /// Whether its stop has come.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(SeqCst)
    }

    fn is_dead(&self) -> bool {
        self.is_stopped() && matches!(self.stop, Some((Stop::Kill, _)))
    }

    fn failed(attempt: &'static str, name: &str) -> BackendError {
        let source = io::Error::other("stopped by the schedule");
        BackendError { attempt, object: format!("staged:{name}"), kind: Fault::of(&source), source }
    }

    /// Before a call: others may go on, and the process may end here.
    fn call(&self, attempt: &'static str, name: &str) -> Result<()> {
        if self.is_dead() {
            return Err(Self::failed(attempt, name));
        }
        self.stage.step(self.actor, false, attempt, name);
        let call = self.calls.fetch_add(1, SeqCst);
        let Some((stop, _)) = self.stop.filter(|(_, at)| call == *at) else { return Ok(()) };
        self.stopped.store(true, SeqCst);
        self.stage.say(format!("{} {stop:?}", self.actor));
        match stop {
            Stop::Kill | Stop::Fault => Err(Self::failed(attempt, name)),
            Stop::Cancel => {
                self.cancel.cancel();
                Ok(())
            }
        }
    }

    /// Between two parts of a call, where others may go on.
    fn pause(&self, attempt: &str, name: &str) {
        if !self.is_dead() {
            self.stage.step(self.actor, false, attempt, name);
        }
    }
}

/// A place as a process sees it.
pub(crate) struct Staged {
    pub(crate) inner: Arc<dyn Backend>,
    pub(crate) process: Arc<Process>,
}

struct StagedUpload {
    inner: Box<dyn Upload>,
    process: Arc<Process>,
    name: String,
}

impl Upload for StagedUpload {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        // Nobody sees it, so it is no step; it may come from another thread than that which has the turn.
        self.inner.append(bytes)
    }

    fn commit(self: Box<Self>) -> Result<()> {
        self.process.call("store", &self.name)?;
        self.inner.commit()
    }
}

struct StagedHold {
    /// `None`: given up.
    inner: Option<Hold>,
    process: Arc<Process>,
    name: String,
}

impl Held for StagedHold {
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

impl Drop for StagedHold {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.process.pause("give up", &self.name);
        }
        drop(self.inner.take());
    }
}

impl Staged {
    fn held(&self, inner: Hold, name: &str) -> Hold {
        Box::new(StagedHold { inner: Some(inner), process: Arc::clone(&self.process), name: name.to_owned() })
    }
}

impl Backend for Staged {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn create(&self, name: &str) -> Result<Box<dyn Upload>> {
        let (inner, process) = (self.inner.create(name)?, Arc::clone(&self.process));
        Ok(Box::new(StagedUpload { inner, process, name: name.to_owned() }))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.process.call("write", name)?;
        self.inner.replace(name, bytes)
    }

    fn read_at(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.process.call("read", name)?;
        self.inner.read_at(name, offset, buffer)
    }

    fn length(&self, name: &str) -> Result<u64> {
        self.process.call("look at", name)?;
        self.inner.length(name)
    }

    fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        self.process.call("list", prefix)?;
        let mut listed = self.inner.list(prefix)?;
        let middle = listed.get(listed.len() / 2).map(|middle| middle.name.clone());
        self.process.pause("go on listing", prefix);
        if let Some(middle) = middle {
            listed.retain(|before| before.name < middle);
            listed.extend(self.inner.list(prefix)?.into_iter().filter(|after| after.name >= middle));
        }
        Ok(listed)
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.process.call("delete", name)?;
        self.inner.delete(name)
    }

    fn lock(&self, name: &str) -> Result<Option<Hold>> {
        self.process.call("lock", name)?;
        if let Some(hold) = self.inner.lock(name)? {
            return Ok(Some(self.held(hold, name)));
        }
        // Whoever has it goes on; and the pause that a waiting caller makes now is none.
        self.process.stage.step(self.process.actor, true, "wait for", name);
        std::thread::current().unpark();
        Ok(None)
    }

    fn register(&self, writer: &str) -> Result<Hold> {
        self.process.call("register", writer)?;
        Ok(self.held(self.inner.register(writer)?, writer))
    }

    fn writers(&self) -> Result<Writers> {
        self.process.call("list", "writers")?;
        self.inner.writers()
    }

    fn forget_writer(&self, writer: &str) -> Result<()> {
        self.process.call("forget", writer)?;
        self.inner.forget_writer(writer)
    }

    fn keep_reserve(&self) -> Result<()> {
        Ok(())
    }

    fn release_reserve(&self) -> Result<()> {
        Ok(())
    }
}
