//! Files so long that several hands work at one, or at several of them at once.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::FileExt,
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
};

use resurgam_store::{
    FileTime,
    backend::faulty::{Faulty, Plan},
    estimate,
    keys::Unlock,
    limits,
};

use super::*;
use crate::files::large::LONG;

/// Just long, and no whole number of pages: it is cut, not taken by the page.
const LENGTH: usize = LONG as usize + 77;

fn with_threads(root: &Path, threads: usize) -> Capture {
    Capture { threads, ..of(root) }
}

fn restored_as_it_is(pool: &Pool, taken: &Taken, source: &OddDir) {
    let target = OddDir::new("long-files-back");
    assert_all_proved(&pool.restore(taken, &to(target.path())));
    assert_same(source.path(), target.path());
}

/// Files named by their numbers.
fn long_files(count: u64) -> OddDir {
    let source = OddDir::new("long-files");
    for number in 0..count {
        fs::write(source.path().join(number.to_string()), noise(number, LENGTH)).unwrap();
    }
    source
}

fn open(source: &OddDir, number: u64) -> File {
    File::options().write(true).open(source.path().join(number.to_string())).unwrap()
}

/// Read by several hands at once, new files of the same length would be woven into each other, and come back blob by blob.
#[test]
fn the_blobs_of_a_long_file_lie_side_by_side() {
    let source = OddDir::new("side-by-side");
    let names = ["one", "three", "two"];
    for (seed, name) in names.iter().enumerate() {
        fs::write(source.path().join(name), noise(seed as u64, 12 << 20)).unwrap();
    }
    let pool = Pool::new();
    let taken = pool.take(source.path());
    let reader = Reader::new(&pool.volume).unwrap();
    for name in names {
        let path = [BytePath::from_typed(name.as_bytes()).unwrap()];
        let found = estimate(&reader, &taken.captured.root, &path, &Cancel::default()).unwrap();
        assert_eq!(found.bytes, 12 << 20);
        // Two for its length, one where a pack ends, and what others had open when it began or ended.
        assert!(found.requests <= 5, "{name}: {found:?}");
    }
}

#[test]
fn long_files_that_changed_a_little_cost_little_whoever_reads_them() {
    for threads in [1, 2, 3, 8] {
        let source = long_files(6);
        let pool = Pool::new();
        let first = pool.try_take(&with_threads(source.path(), threads), None, &System).unwrap();
        for number in 0..5 {
            open(&source, number).write_all_at(&noise(99, 100), number * 2_000_000).unwrap();
        }
        fs::write(source.path().join("new"), noise(7, LENGTH)).unwrap();
        let what = with_threads(source.path(), threads);
        let second = pool.try_take(&what, Some(&first.captured.root), &System).unwrap();
        assert_nothing_said(&second);
        assert_eq!(second.read, 6 * LENGTH as u64, "{threads} threads");
        // All of the new one, and of each that changed the blob or two in which it did.
        let all_new = LENGTH as u64;
        let changed = 5 * 2 * limits::CHUNK_MAX as u64;
        assert!((all_new..all_new + changed).contains(&second.added), "{threads} threads: {}", second.added);
        restored_as_it_is(&pool, &second, &source);
    }
}

/// How many databases are read at once.
const READERS: usize = 3;

/// Stops whoever has read a database until all were read, and changes each when it was read first.
struct Together {
    readers: Barrier,
    read: AtomicUsize,
    change: Box<dyn Fn(&str) + Sync>,
}

impl Together {
    fn new(change: impl Fn(&str) + Sync + 'static) -> Self {
        Self { readers: Barrier::new(READERS), read: AtomicUsize::new(0), change: Box::new(change) }
    }
}

impl Moment for Together {
    fn now(&self) -> FileTime {
        System.now()
    }
    fn pass(&self, nanos: u32) {
        System.pass(nanos);
    }
    fn reading(&self, path: &BytePath) {
        // The first times only: then all are in the midst of it, and none has given back its leave.
        if self.read.fetch_add(1, Ordering::SeqCst) < READERS {
            self.readers.wait();
            (self.change)(&path.to_string());
            self.readers.wait();
        }
    }
}

/// Were fewer read at once, this would not end.
#[test]
fn databases_that_are_known_are_read_at_once_and_each_again_that_changes() {
    let source = OddDir::new("databases");
    let path = |name: &str| source.path().join(name);
    for (seed, name) in ["a", "b", "c"].iter().enumerate() {
        let mut bytes = noise(seed as u64, LONG as usize + 4096);
        bytes[..16].copy_from_slice(b"SQLite format 3\0");
        fs::write(path(name), bytes).unwrap();
    }
    let pool = Pool::new();
    let first = pool.take(source.path());
    for (seed, name) in ["a", "b", "c"].iter().enumerate() {
        File::options().write(true).open(path(name)).unwrap().write_all_at(&noise(seed as u64, 4096), 1 << 20).unwrap();
    }
    let root = source.path().to_owned();
    let change = move |name: &str| match name {
        "a" => File::options().write(true).open(root.join("a")).unwrap().set_len(6 << 20).unwrap(),
        "b" => File::options().append(true).open(root.join("b")).unwrap().write_all(&[7; 5000]).unwrap(),
        // Its third is as it was.
        _ => {}
    };
    let second = pool.try_take(&of(source.path()), Some(&first.captured.root), &Together::new(change)).unwrap();
    assert_nothing_said(&second);
    restored_as_it_is(&pool, &second, &source);
}

/// Whoever meets an error, or hears of another's, leaves the others neither waiting nor with less than there was.
#[test]
fn a_volume_that_fails_while_long_files_are_read_ends_them_all() {
    let source = long_files(3);
    let backend = Memory::default();
    let pool = Pool::on(Arc::new(backend.clone()));
    let first = pool.take(source.path());
    for number in 0..3 {
        fs::write(source.path().join(number.to_string()), noise(10 + number, LENGTH)).unwrap();
    }
    let again = |plan: &Arc<Plan>| {
        let faulty = Faulty::new(Arc::new(backend.clone()), Arc::clone(plan));
        let volume = Volume::open(Arc::new(faulty), &Unlock::default())?;
        let pool = Pool { volume: Arc::new(volume), points: AtomicU8::new(50) };
        pool.try_take(&of(source.path()), Some(&first.captured.root), &System)
    };
    for fail_at in 0.. {
        let plan = Plan::from(fail_at, io::ErrorKind::StorageFull);
        match again(&plan) {
            Ok(taken) => {
                assert!(plan.calls() <= fail_at, "call {fail_at} does not matter");
                restored_as_it_is(&pool, &taken, &source);
                return;
            }
            Err(error) => assert!(plan.calls() > fail_at, "{error}"),
        }
        // What was there is still whole.
        assert_all_proved(&pool.restore(&first, &to(OddDir::new("long-files-first").path())));
    }
}
