//! Things that change while they are read. A test steps in at a moment of its choice; nothing depends on speed.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::Write,
    path::PathBuf,
    sync::Mutex,
};

use resurgam_model::BytePath;
use resurgam_store::{FileTime, Kind};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

type Step = Box<dyn Fn(usize) + Send + Sync>;

/// The machine's clock, with something done when a path is opened or read. The step gets how often it was done before.
#[derive(Default)]
struct Meddler {
    opening: HashMap<String, Step>,
    reading: HashMap<String, Step>,
    done: Mutex<HashMap<String, usize>>,
}

impl Meddler {
    fn run(&self, steps: &HashMap<String, Step>, path: &BytePath) {
        let path = path.to_string();
        if let Some(step) = steps.get(&path) {
            let mut done = self.done.lock().unwrap();
            let times = done.entry(path).or_default();
            step(*times);
            *times += 1;
        }
    }
}

impl Moment for Meddler {
    fn now(&self) -> FileTime {
        System.now()
    }
    fn pass(&self, nanos: u32) {
        System.pass(nanos);
    }
    fn opening(&self, path: &BytePath) {
        self.run(&self.opening, path);
    }
    fn reading(&self, path: &BytePath) {
        self.run(&self.reading, path);
    }
}

fn scene(name: &str) -> (OddDir, PathBuf) {
    let source = OddDir::new(name);
    let file = source.path().join("file");
    fs::write(&file, vec![1; 100_000]).unwrap();
    fs::write(source.path().join("other"), "other").unwrap();
    (source, file)
}

fn meddle(reading: impl Fn(usize) + Send + Sync + 'static) -> Meddler {
    Meddler { reading: HashMap::from([("file".to_owned(), Box::new(reading) as Step)]), ..Meddler::default() }
}

fn meddle_before(opening: impl Fn(usize) + Send + Sync + 'static) -> Meddler {
    Meddler { opening: HashMap::from([("file".to_owned(), Box::new(opening) as Step)]), ..Meddler::default() }
}

fn take(pool: &Pool, source: &OddDir, meddler: &Meddler) -> Taken {
    pool.try_take(&of(source.path()), None, meddler).unwrap()
}

fn content(pool: &Pool, taken: &Taken) -> Vec<u8> {
    let target = OddDir::new("changing-back");
    pool.restore(taken, &to(target.path()));
    fs::read(target.path().join("file")).unwrap()
}

#[test]
fn a_file_rewritten_once_is_read_again() {
    for (size, name) in [(100_000, "rewritten"), (3 << 20, "rewritten-large")] {
        let (source, file) = scene(name);
        fs::write(&file, vec![1; size]).unwrap();
        let written = file.clone();
        let meddler = meddle(move |times| {
            if times == 0 {
                fs::write(&written, vec![2; size]).unwrap();
            }
        });
        let pool = Pool::new();
        let taken = take(&pool, &source, &meddler);
        assert_nothing_said(&taken);
        assert_eq!(content(&pool, &taken), vec![2; size]);
        assert!(!pool.entries(&taken)[1].torn);
    }
}

#[test]
fn a_file_that_never_rests_is_named_and_read_again_next_time() {
    let (source, file) = scene("restless");
    let meddler = meddle(move |times| {
        let byte = u8::try_from(times).unwrap();
        File::options().write(true).open(&file).unwrap().write_all(&[byte; 50]).unwrap();
    });
    let pool = Pool::new();
    let taken = take(&pool, &source, &meddler);
    assert_eq!(taken.captured.unread.len(), 1);
    assert!(taken.captured.unread[0].path.ends_with("/file"), "{:?}", taken.captured.unread);
    assert!(pool.entries(&taken)[1].torn);
    let target = OddDir::new("restless-back");
    let restored = pool.restore(&taken, &to(target.path()));
    assert_eq!(restored.unproved.len(), 1);
    assert_eq!(restored.unproved[0].path, "file");
    let next = pool.take_again(source.path(), &taken);
    assert_nothing_said(&next);
    assert!(!pool.entries(&next)[1].torn && next.read == 100_000);
}

#[test]
fn a_file_that_shrinks_or_grows_is_read_again() {
    for (name, size) in [("shrinks", 10), ("grows", 400_000)] {
        let (source, file) = scene(name);
        let meddler = meddle(move |times| {
            if times == 0 {
                File::options().write(true).open(&file).unwrap().set_len(size).unwrap();
            }
        });
        let pool = Pool::new();
        let taken = take(&pool, &source, &meddler);
        assert_nothing_said(&taken);
        assert_eq!(content(&pool, &taken).len() as u64, size);
    }
}

#[test]
fn a_file_that_vanishes_is_not_an_error() {
    let (source, file) = scene("vanishes");
    let gone = file.clone();
    let before = meddle_before(move |_| fs::remove_file(&gone).unwrap());
    let pool = Pool::new();
    let taken = take(&pool, &source, &before);
    assert!(taken.captured.unread.is_empty());
    assert_eq!(taken.captured.left_out[0].path, file.to_str().unwrap());
    assert_eq!(pool.paths(&taken), ["", "other"]);
    fs::write(&file, vec![1; 1000]).unwrap();
    let during = meddle(move |_| fs::remove_file(&file).unwrap());
    let taken = take(&pool, &source, &during);
    assert!(taken.captured.unread.is_empty());
    assert_eq!(pool.paths(&taken), ["", "other"]);
}

#[test]
fn a_file_that_becomes_something_else_is_taken_as_that() {
    type Become = fn(&PathBuf);
    let kinds: [(&str, Become); 4] = [
        ("fifo", |p| mknodat(CWD, p, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap()),
        ("socket", |p| mknodat(CWD, p, FileType::Socket, Mode::from_raw_mode(0o600), 0).unwrap()),
        ("symlink", |p| std::os::unix::fs::symlink("/etc/passwd", p).unwrap()),
        ("file", |p| fs::write(p, "another file").unwrap()),
    ];
    for (word, become_it) in kinds {
        for before in [true, false] {
            let (source, file) = scene("becomes");
            let turn = move |times: usize| {
                if times == 0 {
                    fs::remove_file(&file).unwrap();
                    become_it(&file);
                }
            };
            let meddler = if before { meddle_before(turn) } else { meddle(turn) };
            let pool = Pool::new();
            let taken = take(&pool, &source, &meddler);
            assert_nothing_said(&taken);
            assert_eq!(pool.entries(&taken)[1].kind.word(), word);
        }
    }
}

#[test]
fn a_file_that_becomes_a_directory_is_named() {
    let (source, file) = scene("directory");
    let meddler = meddle_before(move |_| {
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
    });
    let pool = Pool::new();
    let taken = take(&pool, &source, &meddler);
    assert_eq!(taken.captured.unread.len(), 1);
    assert_eq!(pool.paths(&taken), ["", "other"]);
}

#[test]
fn further_names_of_an_inode_that_was_lost_are_read_themselves() {
    let source = OddDir::new("names-lost");
    let path = |name: &str| source.path().join(name);
    fs::write(path("file"), vec![5; 3000]).unwrap();
    fs::hard_link(path("file"), path("later")).unwrap();
    let gone = path("file");
    let meddler = meddle_before(move |_| fs::remove_file(&gone).unwrap());
    let pool = Pool::new();
    let taken = take(&pool, &source, &meddler);
    assert_eq!(pool.paths(&taken), ["", "later"]);
    assert!(matches!(pool.entries(&taken)[1].kind, Kind::File { size: 3000, .. }));
}

/// A clock that stands still at the time of the file's last change.
struct Frozen(FileTime);

impl Moment for Frozen {
    fn now(&self) -> FileTime {
        self.0
    }
    fn pass(&self, _: u32) {}
}

#[test]
fn what_changed_within_the_tick_of_its_reading_is_racy_and_read_again() {
    let (source, file) = scene("racy");
    let changed = crate::files::stat::Stat::of(File::open(&file).unwrap()).unwrap().changed;
    let pool = Pool::new();
    let taken = pool.try_take(&of(source.path()), None, &Frozen(changed)).unwrap();
    assert!(pool.entries(&taken)[1].seen.racy);
    assert_eq!(pool.take_again(source.path(), &taken).read, 100_005);
}
