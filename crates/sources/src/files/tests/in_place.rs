//! Databases and disk images: what changed of them is taken by the page.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt,
    path::PathBuf,
};

use super::*;

const PAGE: usize = 4096;

/// A database of so many pages of noise, in a folder of its own.
fn database(name: &str, pages: usize) -> (OddDir, PathBuf) {
    let source = OddDir::new(name);
    let path = source.path().join("database");
    let mut bytes = noise(1, pages * PAGE);
    bytes[..16].copy_from_slice(b"SQLite format 3\0");
    fs::write(&path, bytes).unwrap();
    (source, path)
}

fn open(path: &Path) -> File {
    OpenOptions::new().write(true).open(path).unwrap()
}

/// Restores a point and compares it with what was there.
fn assert_restores(pool: &Pool, taken: &Taken, source: &Path, name: &str) {
    let target = OddDir::new(name);
    assert_all_proved(&pool.restore(taken, &to(target.path())));
    assert_same(source, target.path());
}

#[test]
fn of_a_database_only_the_pages_that_changed_are_stored() {
    let (source, path) = database("in-place", 9 * 256);
    let pool = Pool::new();
    let first = pool.take(source.path());
    for page in (5..9 * 256).step_by(100) {
        open(&path).write_all_at(&noise(page as u64, PAGE), (page * PAGE) as u64).unwrap();
    }
    let second = pool.take_again(source.path(), &first);
    // 23 pages, of each of three regions the hashes, 12 KiB, and a list; and the ends of packs.
    assert!((94_000..200_000).contains(&second.added), "{}", second.added);
    assert_restores(&pool, &second, source.path(), "in-place-back");
    // Only its times are new: a page of entries, and what every point costs.
    open(&path).set_modified(std::time::UNIX_EPOCH).unwrap();
    let third = pool.take_again(source.path(), &second);
    assert!(third.read >= 9 << 20 && third.added < 50_000, "{} {}", third.read, third.added);
    assert_restores(&pool, &third, source.path(), "in-place-again");
}

#[test]
fn a_file_that_keeps_its_length_is_taken_by_the_page_from_the_second_change_on() {
    let source = OddDir::new("same-length");
    let path = source.path().join("table");
    fs::write(&path, noise(3, 5 << 20)).unwrap();
    let pool = Pool::new();
    let mut taken = pool.take(source.path());
    for (turn, added) in [(1, 5 << 20..7 << 20), (2, 4096..80_000), (3, 4096..80_000)] {
        open(&path).write_all_at(&noise(turn, PAGE), turn * (1 << 20)).unwrap();
        taken = pool.take_again(source.path(), &taken);
        assert!(added.contains(&taken.added), "{turn}: {}", taken.added);
    }
    assert_restores(&pool, &taken, source.path(), "same-length-back");
}

#[test]
fn whatever_becomes_of_a_database_every_point_comes_back() {
    let (source, path) = database("shapes", 1200);
    let pool = Pool::new();
    let mut points = vec![pool.take(source.path())];
    let copies = OddDir::new("shapes-copies");
    let keep = |number: usize| {
        let copy = copies.path().join(number.to_string());
        fs::create_dir(&copy).unwrap();
        fs::copy(&path, copy.join("database")).unwrap();
    };
    keep(0);
    let write = |at: u64, seed: u64, length: usize| open(&path).write_all_at(&noise(seed, length), at).unwrap();
    let changes: [&dyn Fn(); 10] = [
        &|| write(77_777, 2, 10_000),
        // Shorter, within a page and a region.
        &|| open(&path).set_len(4_300_001).unwrap(),
        &|| write(4_299_000, 3, 1000),
        // Longer by a hole, of which a part is filled.
        &|| open(&path).set_len(20_000_001).unwrap(),
        &|| write(12_000_000, 4, 9000),
        // Below what is taken by the page, and longer again.
        &|| open(&path).set_len(600_000).unwrap(),
        &|| write(600_000, 5, 6 << 20),
        // Something else, and a database again.
        &|| fs::write(&path, noise(6, 3_333_333)).unwrap(),
        &|| fs::write(&path, [b"SQLite format 3\0".to_vec(), noise(7, 9 << 20)].concat()).unwrap(),
        &|| fs::write(&path, b"").unwrap(),
    ];
    for change in changes {
        change();
        let taken = pool.take_again(source.path(), points.last().unwrap());
        assert_nothing_said(&taken);
        assert_restores(&pool, &taken, source.path(), &format!("shapes-back-{}", points.len()));
        keep(points.len());
        points.push(taken);
    }
    for (number, taken) in points.iter().enumerate() {
        let target = OddDir::new(&format!("shapes-late-{number}"));
        assert_all_proved(&pool.restore(taken, &to(target.path())));
        let kept = fs::read(copies.path().join(number.to_string()).join("database")).unwrap();
        assert!(fs::read(target.path().join("database")).unwrap() == kept, "point {number}");
    }
}

/// What a point needs of the blobs that hold what it refers to is bounded; so is what opening them costs a restore.
#[test]
fn after_many_points_a_database_is_still_read_from_about_as_much_as_it_holds() {
    let (source, path) = database("fragments", 4 * 256);
    let pool = Pool::new();
    let mut taken = pool.take(source.path());
    let mut seed = 5_u64;
    for _ in 0..120 {
        for _ in 0..40 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let page = (seed >> 33) % 1023 + 1;
            open(&path).write_all_at(&noise(seed, PAGE), page * PAGE as u64).unwrap();
        }
        taken = pool.take_again(source.path(), &taken);
    }
    assert_restores(&pool, &taken, source.path(), "fragments-back");
    let reader = Reader::new(&pool.volume).unwrap();
    let needed = resurgam_store::estimate(&reader, &taken.captured.root, &[], &Cancel::default()).unwrap();
    // Twice the file, and the rest of the frames at the edges.
    assert!(needed.stored_bytes < 9 << 20, "{needed:?}");
}
