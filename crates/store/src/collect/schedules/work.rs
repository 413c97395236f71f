//! What processes do, and what each may expect while others are at work.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use resurgam_model::{PointId, Timestamp};

use super::world::{World, expected, place, restored};
use crate::{
    StoreError, Volume,
    backend::{
        Backend, Hold,
        staged::{Process, Random, Staged},
    },
    collect::{Collect, collect, rewrite_segments, take_collector},
    keys::Unlock,
    load::Loaded,
    meter::Meter,
    point::ReplicaPlace,
    tests::signing,
    verify::{KnownPoint, Proved, Verify, verify},
};

/// How many processes were started.
pub(super) static STARTED: AtomicU64 = AtomicU64::new(0);

#[derive(Debug, Clone, Copy)]
pub(super) enum Task {
    Backup,
    /// Packs of which less than this is needed are rewritten, in percent.
    Collect(u64),
    /// Gives a point up at once, as in the pool.
    GiveUp,
    /// Gives a point up so that it can come back, as in a vault.
    Delete,
    Undelete,
    Purge,
    Restore,
    Verify {
        repair: bool,
    },
    Merge,
}

impl Task {
    pub(super) fn drawn(random: &mut Random) -> Self {
        match random.below(24) {
            0..=6 => Self::Backup,
            7..=12 => Self::Collect([0, 50, 75, 100][random.below(4) as usize]),
            13..=15 => Self::GiveUp,
            16 | 17 => Self::Delete,
            18 => Self::Undelete,
            19 => Self::Purge,
            20 | 21 => Self::Restore,
            22 => Self::Verify { repair: random.one_in(2) },
            _ => Self::Merge,
        }
    }
}

/// A process at work.
pub(super) struct Worker<'a> {
    world: &'a World,
    volume: Arc<Volume>,
    process: Arc<Process>,
    random: Random,
}

impl Worker<'_> {
    /// Does it, and says what should not have come of it. Who was stopped may fail, and nobody else.
    pub(super) fn run(world: &World, process: Arc<Process>, random: Random, task: Task) -> Result<(), String> {
        STARTED.fetch_add(1, Ordering::Relaxed);
        let inner = Arc::new(world.memory.clone()) as Arc<dyn Backend>;
        let staged = Arc::new(Staged { inner, process: Arc::clone(&process) });
        match Volume::open(staged, &Unlock::default()) {
            Ok(volume) => Worker { world, volume: Arc::new(volume), process, random }.work(task),
            Err(_) if process.is_stopped() => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn work(mut self, task: Task) -> Result<(), String> {
        let done = match task {
            Task::Backup => self.backup(),
            Task::Collect(rewrite_below_percent) => self.collect(rewrite_below_percent),
            Task::GiveUp => self.give_up(),
            Task::Delete => self.delete(),
            Task::Undelete => self.undelete(),
            Task::Purge => self.purge(),
            Task::Restore => return self.restore(),
            Task::Verify { repair } => return self.verify(repair),
            Task::Merge => self.merge(),
        };
        self.excuse(done)
    }

    fn excuse(&self, done: Result<(), StoreError>) -> Result<(), String> {
        match done {
            Err(_) if self.process.is_stopped() => Ok(()),
            done => done.map_err(|error| error.to_string()),
        }
    }

    fn backup(&mut self) -> Result<(), StoreError> {
        let id = self.world.begin_point(&mut self.random);
        let Some(_lock) = self.volume.lock_replica(&place(self.world.known(id).replica))? else { return Ok(()) };
        self.world.take(&self.volume, id)
    }

    fn collect(&self, rewrite_below_percent: u64) -> Result<(), StoreError> {
        let how = Collect { rewrite_below_percent, ..Collect::default() };
        collect(&self.volume, &how, &self.process.cancel).map(drop)
    }

    fn merge(&self) -> Result<(), StoreError> {
        let lock = take_collector(&self.volume, &self.process.cancel)?;
        let loaded = Loaded::segments(&self.volume)?;
        let all = loaded.objects.into_iter().zip(loaded.index.into_parts()).collect();
        rewrite_segments(&self.volume, &*lock, all, &|_| true)
    }

    /// Takes the lock of a point's replica, and withdraws what was promised of it before it is touched.
    fn moving(&self, id: PointId, withdrawn: bool) -> Result<(Hold, ReplicaPlace), StoreError> {
        let place = place(self.world.known(id).replica);
        let lock = self.volume.lock_points(&place, &self.process.cancel)?;
        self.world.moved(id, withdrawn);
        Ok((lock, place))
    }

    fn give_up(&mut self) -> Result<(), StoreError> {
        let Some(id) = self.world.promised(&mut self.random) else { return Ok(()) };
        let (_lock, place) = self.moving(id, true)?;
        self.volume.delete_point(&place, id)
    }

    fn delete(&mut self) -> Result<(), StoreError> {
        let Some(id) = self.world.promised(&mut self.random) else { return Ok(()) };
        let (_lock, place) = self.moving(id, false)?;
        self.volume.set_deleted(&place, id, Timestamp::UNIX_EPOCH, &signing())
    }

    /// One of the points that were given up and may come back. Those that a kill left in both places are none.
    fn deleted(&mut self) -> Result<Option<PointId>, StoreError> {
        let listed = self.volume.point_names()?;
        let mut deleted = self.volume.deleted_names()?;
        deleted.retain(|name| !listed.contains(name));
        Ok(self.random.pick(&deleted).map(|(_, id)| *id))
    }

    fn undelete(&mut self) -> Result<(), StoreError> {
        let Some(id) = self.deleted()? else { return Ok(()) };
        let (_lock, place) = self.moving(id, false)?;
        match self.volume.undelete(&place, id) {
            // Another has put it back, or it was purged.
            Err(error) if error.is_not_found() => Ok(()),
            done => done.map(drop),
        }
    }

    fn purge(&mut self) -> Result<(), StoreError> {
        let Some(id) = self.deleted()? else { return Ok(()) };
        self.world.moved(id, true);
        self.volume.purge(&place(self.world.known(id).replica), id)
    }

    fn restore(mut self) -> Result<(), String> {
        let Some(id) = self.world.promised(&mut self.random) else { return Ok(()) };
        let text = match self.volume.point(&place(self.world.known(id).replica), id) {
            Err(error) if error.is_not_found() && self.world.known(id).moves > 0 => return Ok(()),
            Err(error) => return self.excuse(Err(error)),
            Ok(text) => text,
        };
        match restored(&self.volume, &text) {
            Ok(found) if found == expected(&self.world.known(id).files) => Ok(()),
            Ok(_) => Err(format!("{id} gave back something else")),
            // Given up, and collected.
            Err(_) if self.world.known(id).promised.is_none() => Ok(()),
            Err(error) => self.excuse(Err(error)),
        }
    }

    fn verify(self, repair: bool) -> Result<(), String> {
        let known: Vec<KnownPoint> = self.world.in_place();
        let world = self.world;
        let is_known = |id| world.known(id).is_in_place();
        let how = Verify {
            read_data: Some(100),
            proved: &Proved::default(),
            repair,
            known: &known,
            is_known: &is_known,
            threads: 1,
        };
        match verify(&self.volume, &how, &Meter::default(), &self.process.cancel) {
            _ if self.process.is_stopped() => Ok(()),
            Ok(found) if found.findings.is_empty() && found.affected.is_empty() => Ok(()),
            Ok(found) => Err(format!("{found:?}")),
            Err(error) => Err(error.to_string()),
        }
    }
}
