//! The scout: goes ahead of the walk into the directories that it will come to, lists them and looks at what is in them, so
//! that two processors share the calls that a backup without changes mostly consists of. They are shared by directory, not
//! listing here and looking there: what a listing brings into one processor's cache is what looking needs.
//!
//! The walk says where it will go ([`Ahead::offer`]) and asks when it is there ([`Ahead::arrive`]). What the scout has not
//! begun by then the walk does by itself; while the scout is at just that, the walk does what it will need next. The scout
//! only goes where nothing is to be said: of anything unusual it leaves no result, and the walk meets it by itself.

use std::{
    ffi::{CStr, CString},
    mem::MaybeUninit,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use rustix::fs::FileType;

use super::{
    handle::{Dir, open_directory},
    listing::{LISTING_BUFFER, Listing, Told},
    stat::Stat,
    walk::Rules,
};

/// Directories that are offered or were scouted, in all.
pub(crate) const OFFERS_MAX: usize = 32;
/// Of one directory's.
pub(crate) const OFFERS_OF_ONE: usize = 4;
/// Names of one directory that are looked at ahead; a longer one's others are looked at by the walk.
const LOOKS_MAX: usize = 1024;

/// A directory as the scout found it.
pub(crate) struct Scouted {
    pub(crate) stat: Stat,
    pub(crate) dir: Arc<Dir>,
    pub(crate) names: Listing,
    /// What is known of the first names, but for directories.
    pub(crate) looked: Vec<Option<Stat>>,
}

/// Where a directory lies: in an open one that is that deep, the so-many-eth of its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) depth: usize,
    pub(crate) index: usize,
}

/// A directory that the walk will come to.
struct Offer {
    place: Place,
    /// Tells offers of one place apart: the walk may have left a directory and entered another one.
    number: u64,
    state: State,
}

enum State {
    Open { parent: Arc<Dir>, name: CString },
    Begun,
    Done(Option<Box<Scouted>>),
}

#[derive(Default)]
struct Offers {
    list: Vec<Offer>,
    numbers: u64,
    over: bool,
}

/// What the walk and the scout share.
#[derive(Default)]
pub(crate) struct Ahead {
    offers: Mutex<Offers>,
    /// Something was offered, or it is over.
    offered: Condvar,
    /// The scout has done something.
    done: Condvar,
}

/// Ends the scout's life, however the walk ends.
pub(crate) struct Dismissal<'a>(pub(crate) &'a Ahead);

impl Drop for Dismissal<'_> {
    fn drop(&mut self) {
        self.0.lock().over = true;
        self.0.offered.notify_all();
    }
}

/// An offer that somebody has taken upon himself. Dropped without a result, by a panic too, it counts as done.
struct Task<'a> {
    ahead: &'a Ahead,
    number: u64,
    parent: Arc<Dir>,
    name: CString,
    found: Option<Box<Scouted>>,
}

impl Drop for Task<'_> {
    fn drop(&mut self) {
        let mut offers = self.ahead.lock();
        if let Some(offer) = offers.list.iter_mut().find(|offer| offer.number == self.number) {
            offer.state = State::Done(self.found.take());
        }
        self.ahead.done.notify_all();
    }
}

impl Ahead {
    fn lock(&self) -> MutexGuard<'_, Offers> {
        self.offers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many more directories may be offered of the one that is `depth` deep.
    pub(crate) fn room(&self, depth: usize) -> usize {
        let offers = self.lock();
        let of_it = offers.list.iter().filter(|offer| offer.place.depth == depth).count();
        OFFERS_OF_ONE.saturating_sub(of_it).min(OFFERS_MAX.saturating_sub(offers.list.len()))
    }

    /// Says that the walk will come to `name` in `parent`.
    pub(crate) fn offer(&self, place: Place, parent: &Arc<Dir>, name: &CStr) {
        let mut offers = self.lock();
        offers.numbers += 1;
        let state = State::Open { parent: Arc::clone(parent), name: name.to_owned() };
        let offer = Offer { place, number: offers.numbers, state };
        offers.list.push(offer);
        drop(offers);
        self.offered.notify_one();
    }

    /// Gives what the scout found where the walk has come to, if it was there.
    pub(crate) fn arrive(
        &self,
        place: Place,
        rules: &Rules<'_>,
        buffer: &mut [MaybeUninit<u8>],
    ) -> Option<Box<Scouted>> {
        let mut offers = self.lock();
        loop {
            let index = offers.list.iter().position(|offer| offer.place == place)?;
            if !matches!(offers.list[index].state, State::Begun) {
                return match offers.list.swap_remove(index).state {
                    State::Done(found) => found,
                    State::Open { .. } | State::Begun => None,
                };
            }
            offers = match self.take(&mut offers) {
                Some(task) => {
                    drop(offers);
                    task.scout(rules, buffer);
                    self.lock()
                }
                None => self.done.wait(offers).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// The walk has left the directory that is `depth` deep.
    pub(crate) fn left(&self, depth: usize) {
        self.lock().list.retain(|offer| offer.place.depth < depth);
    }

    /// Takes the open offer that the walk will come to first.
    fn take(&self, offers: &mut Offers) -> Option<Task<'_>> {
        let is_open = |offer: &&mut Offer| matches!(offer.state, State::Open { .. });
        let deepest = offers
            .list
            .iter_mut()
            .filter(is_open)
            .max_by_key(|offer| (offer.place.depth, std::cmp::Reverse(offer.place.index)))?;
        let State::Open { parent, name } = std::mem::replace(&mut deepest.state, State::Begun) else { return None };
        Some(Task { ahead: self, number: deepest.number, parent, name, found: None })
    }

    /// The scout's life.
    pub(crate) fn scout(&self, rules: &Rules<'_>) {
        let mut buffer = vec![MaybeUninit::uninit(); LISTING_BUFFER];
        let mut offers = self.lock();
        while !offers.over {
            offers = match self.take(&mut offers) {
                Some(task) => {
                    drop(offers);
                    task.scout(rules, &mut buffer);
                    self.lock()
                }
                None => self.offered.wait(offers).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

impl Task<'_> {
    fn scout(mut self, rules: &Rules<'_>, buffer: &mut [MaybeUninit<u8>]) {
        self.found = scouted(&self.parent, &self.name, rules, buffer).map(Box::new);
    }
}

/// Opens, lists and looks. `None` where the walk would have something to say, or would not enter.
fn scouted(parent: &Dir, name: &CStr, rules: &Rules<'_>, buffer: &mut [MaybeUninit<u8>]) -> Option<Scouted> {
    let named = Stat::at(&parent.fd, name).ok()?;
    if named.kind != FileType::Directory || named.device != rules.root_device || rules.not_entered(&named).is_some() {
        return None;
    }
    let fd = open_directory(&parent.fd, name).ok()?;
    let stat = Stat::of(&fd).ok().filter(|stat| stat.identity() == named.identity())?;
    let (names, fault) = Listing::read(&fd, buffer);
    if fault.is_some() {
        return None;
    }
    let look = |index| match names.get_told(index)? {
        (_, Told::Directory) => None,
        (name, _) => Stat::at(&fd, name).ok(),
    };
    let looked = (0..names.len().min(LOOKS_MAX)).map(look).collect();
    Some(Scouted { stat, dir: Arc::new(Dir { fd }), names, looked })
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, thread};

    use resurgam_model::policy::Selection;
    use rustix::fs::{Mode, OFlags};

    use super::*;
    use crate::files::filter::Filter;

    fn opened(path: &Path) -> Arc<Dir> {
        let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        Arc::new(Dir { fd })
    }

    fn rules(root: &Dir) -> Rules<'static> {
        Rules {
            filter: Filter::new(&Selection::default()).unwrap(),
            exclude_caches: false,
            cross_file_systems: true,
            root_device: Stat::of(&root.fd).unwrap().device,
            never_entered: &[],
            batch_handles: 1,
        }
    }

    const HERE: Place = Place { depth: 1, index: 0 };

    /// What is found of `name` in `root` when it was offered, and somebody else had begun it or not.
    fn found(root: &Path, name: &CStr, begun: bool) -> Option<Box<Scouted>> {
        let (ahead, root) = (Ahead::default(), opened(root));
        let (rules, mut buffer) = (rules(&root), vec![MaybeUninit::uninit(); LISTING_BUFFER]);
        ahead.offer(HERE, &root, name);
        if begun {
            let task = ahead.take(&mut ahead.lock()).unwrap();
            task.scout(&rules, &mut buffer);
        }
        ahead.arrive(HERE, &rules, &mut buffer)
    }

    #[test]
    fn what_was_scouted_is_listed_and_looked_at_but_for_directories() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("d/inner")).unwrap();
        fs::write(root.path().join("d/file"), b"12345").unwrap();
        let scouted = found(root.path(), c"d", true).unwrap();
        assert_eq!((scouted.names.get(0), scouted.names.get(1)), (Some(c"file"), Some(c"inner")));
        assert_eq!(scouted.looked.iter().map(|stat| stat.map(|stat| stat.size)).collect::<Vec<_>>(), [Some(5), None]);
        assert_eq!(Stat::of(&scouted.dir.fd).unwrap().identity(), scouted.stat.identity());
    }

    #[test]
    fn of_what_was_not_begun_or_is_no_directory_there_is_no_result() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("d")).unwrap();
        fs::write(root.path().join("file"), b"").unwrap();
        std::os::unix::fs::symlink("d", root.path().join("link")).unwrap();
        assert!(found(root.path(), c"d", false).is_none());
        for name in [c"file", c"link", c"gone"] {
            assert!(found(root.path(), name, true).is_none(), "{name:?}");
        }
    }

    #[test]
    fn offers_of_a_directory_that_was_left_are_forgotten_and_make_room() {
        let root = tempfile::tempdir().unwrap();
        let (ahead, dir) = (Ahead::default(), opened(root.path()));
        for index in 0..OFFERS_OF_ONE {
            assert_eq!(ahead.room(2), OFFERS_OF_ONE - index);
            ahead.offer(Place { depth: 2, index }, &dir, c"d");
        }
        let task = ahead.take(&mut ahead.lock()).unwrap();
        ahead.left(2);
        assert_eq!(ahead.room(2), OFFERS_OF_ONE);
        // Its result comes too late for anybody, also for the next directory of that depth.
        ahead.offer(Place { depth: 2, index: 0 }, &dir, c"d");
        drop(task);
        let next = ahead.take(&mut ahead.lock());
        assert!(next.is_some());
    }

    #[test]
    fn whoever_waits_for_what_has_begun_does_what_comes_next_and_none_is_done_twice() {
        let root = tempfile::tempdir().unwrap();
        let names: Vec<CString> = (0..200).map(|n| CString::new(format!("d{n:03}")).unwrap()).collect();
        for name in &names {
            fs::create_dir(root.path().join(name.to_str().unwrap())).unwrap();
        }
        let (ahead, dir) = (Ahead::default(), opened(root.path()));
        let rules = rules(&dir);
        thread::scope(|scope| {
            let _dismissal = Dismissal(&ahead);
            scope.spawn(|| ahead.scout(&rules));
            let mut buffer = vec![MaybeUninit::uninit(); LISTING_BUFFER];
            for (index, name) in names.iter().enumerate() {
                for (next, name) in names.iter().enumerate().skip(index).take(ahead.room(1)) {
                    if !ahead.lock().list.iter().any(|offer| offer.place.index == next) {
                        ahead.offer(Place { depth: 1, index: next }, &dir, name);
                    }
                }
                let wanted = Stat::at(&dir.fd, name).unwrap().identity();
                if let Some(scouted) = ahead.arrive(Place { depth: 1, index }, &rules, &mut buffer) {
                    assert_eq!(scouted.stat.identity(), wanted);
                }
            }
            assert!(ahead.lock().list.is_empty());
        });
    }
}
