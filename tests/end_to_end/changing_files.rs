//! Files that change while they are read: the copy is of one moment, or it is named.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::FileExt,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use resurgam_tests::{Outcome, Random, Scene, plain_tree};

const BLOCK: usize = 64 * 1024;
/// Blocks of a rewritten file: large enough that reading it takes longer than a moment.
const BLOCKS: usize = 96;
const ROUNDS: u32 = 3;

/// Runs backups while `disturb` is called again and again; checks each afterwards.
fn while_disturbed(scene: &Scene, disturb: impl Fn(u64) + Sync, check: impl Fn(&Outcome, &Path)) {
    for _ in 0..ROUNDS {
        let stop = AtomicBool::new(false);
        let outcome = thread::scope(|scope| {
            scope.spawn(|| {
                let mut turn = 0;
                while !stop.load(Ordering::Relaxed) {
                    turn += 1;
                    disturb(turn);
                }
            });
            let outcome = scene.protect();
            stop.store(true, Ordering::Relaxed);
            outcome
        });
        assert!(matches!(outcome.code(), Some(0 | 3)), "{outcome}");
        let unread = outcome.texts_in("unread", "path");
        assert_eq!(outcome.code() == Some(3), !unread.is_empty(), "{outcome}");
        let to = scene.path("to");
        let recovered = scene.recover(&outcome.point().id, &to);
        assert!(matches!(recovered.code(), Some(0 | 3)), "{recovered}");
        check(&outcome, &to);
        fs::remove_dir_all(&to).unwrap();
    }
}

fn is_named(outcome: &Outcome, path: &Path) -> bool {
    outcome.texts_in("unread", "path").iter().any(|named| named == path.to_str().unwrap())
}

#[test]
fn a_file_rewritten_in_place_is_of_one_moment_or_named() {
    let scene = Scene::new();
    plain_tree::build(&scene.source, plain_tree::Size::SMALL, &mut Random::for_test("rewritten", 121));
    let paths: Vec<_> = (0..4).map(|number| scene.source.join(format!("rewritten-{number}"))).collect();
    for path in &paths {
        fs::write(path, generation(0).repeat(BLOCKS)).unwrap();
    }
    let files: Vec<File> = paths.iter().map(|path| File::options().write(true).open(path).unwrap()).collect();
    let disturb = |turn: u64| {
        for file in &files {
            for block in 0..BLOCKS {
                file.write_all_at(&generation(turn), (block * BLOCK) as u64).unwrap();
            }
        }
    };
    while_disturbed(&scene, disturb, |outcome, to| {
        for path in &paths {
            if !is_named(outcome, path) {
                let bytes = fs::read(to.join(path.file_name().unwrap())).unwrap();
                assert_one_moment(&bytes, path);
            }
        }
    });
}

fn generation(turn: u64) -> Vec<u8> {
    turn.to_le_bytes().repeat(BLOCK / 8)
}

/// The writer goes from front to back: at any moment some blocks at the front are of one turn, all others of the turn
/// before.
fn assert_one_moment(bytes: &[u8], path: &Path) {
    assert_eq!(bytes.len(), BLOCK * BLOCKS, "{}", path.display());
    let turns: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect::<Vec<_>>();
    let first = turns[0];
    let last = turns[turns.len() - 1];
    let mut steps = turns.windows(2).filter(|pair| pair[0] != pair[1]);
    let step = steps.next();
    assert!(
        (first == last && step.is_none()) || (first == last + 1 && step.is_some() && steps.next().is_none()),
        "{} is torn and was not named: turns from {first} to {last}",
        path.display()
    );
}

#[test]
fn a_growing_file_is_a_beginning_of_itself() {
    let scene = Scene::new();
    plain_tree::build(&scene.source, plain_tree::Size::SMALL, &mut Random::for_test("growing", 122));
    let path = scene.source.join("log");
    let file = File::options().append(true).create(true).open(&path).unwrap();
    let line = |number: u64| format!("line {number:09}\n");
    let next = std::sync::atomic::AtomicU64::new(0);
    let disturb = |_: u64| {
        for _ in 0..20 {
            let number = next.fetch_add(1, Ordering::Relaxed);
            (&file).write_all(line(number).as_bytes()).unwrap();
        }
        thread::yield_now();
    };
    while_disturbed(&scene, disturb, |outcome, to| {
        if is_named(outcome, &path) {
            return;
        }
        let text = fs::read_to_string(to.join("log")).unwrap();
        let mut expected = String::with_capacity(text.len() + 16);
        let mut number = 0;
        while expected.len() < text.len() {
            expected.push_str(&line(number));
            number += 1;
        }
        assert!(expected.starts_with(&text), "the log is not a beginning of itself");
    });
}

#[test]
fn files_that_vanish_shrink_or_become_something_else_never_hang_or_tear() {
    let scene = Scene::new();
    plain_tree::build(&scene.source, plain_tree::Size::SMALL, &mut Random::for_test("vanishing", 123));
    let at = |name: &str| scene.source.join(name);
    let whole = Random::new(5).bytes(300_000);
    let disturb = |turn: u64| {
        for number in 0..8 {
            let path = at(&format!("restless-{number}"));
            // Ever another kind under the same name; nobody writes into the fifo, so that opening it for reading waits.
            if path.is_dir() { fs::remove_dir(&path) } else { fs::remove_file(&path) }.ok();
            match (turn + number) % 6 {
                0 | 3 => fs::write(&path, &whole).unwrap(),
                1 => make_fifo(&path),
                2 => fs::create_dir(&path).unwrap(),
                4 => std::os::unix::fs::symlink("restless-0", &path).unwrap(),
                _ => {}
            }
            let shrinking = at(&format!("shrinking-{number}"));
            if turn.is_multiple_of(2) {
                fs::write(&shrinking, &whole).unwrap();
            } else if let Ok(file) = File::options().write(true).open(&shrinking) {
                file.set_len(1000).unwrap();
            }
        }
    };
    while_disturbed(&scene, disturb, |outcome, to| {
        for entry in fs::read_dir(to).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            let original = at(&name);
            let restless = name.starts_with("restless") || name.starts_with("shrinking");
            if restless && entry.file_type().unwrap().is_file() && !is_named(outcome, &original) {
                let bytes = fs::read(entry.path()).unwrap();
                // Written in one go, cut in one go: a beginning of the whole at any moment.
                assert!(whole.starts_with(&bytes), "{name} holds what it never held");
            }
        }
        // What nobody touched is whole.
        assert!(to.join("second-name").is_file());
    });
}

fn make_fifo(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

#[test]
fn directories_that_come_and_go_are_no_error() {
    let scene = Scene::new();
    plain_tree::build(&scene.source, plain_tree::Size::SMALL, &mut Random::for_test("come_and_go", 124));
    let base = scene.source.join("busy");
    fs::create_dir(&base).unwrap();
    let disturb = |turn: u64| {
        let dir = base.join(format!("{}", turn % 5));
        if dir.exists() {
            fs::remove_dir_all(&dir).unwrap();
        } else {
            fs::create_dir_all(dir.join("a/b/c")).unwrap();
            for number in 0..20 {
                fs::write(dir.join(format!("a/b/{number}")), "x").unwrap();
            }
        }
    };
    while_disturbed(&scene, disturb, |outcome, to| {
        // What is gone is gone; it is no item that could not be read.
        let unread = outcome.texts_in("unread", "path");
        assert!(unread.iter().all(|path| Path::new(path).starts_with(&base)), "{outcome}");
        assert!(to.join("second-name").is_file() && to.join("busy").is_dir());
    });
}
