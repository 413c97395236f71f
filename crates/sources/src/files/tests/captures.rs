//! What a capture holds, and what it leaves out.

use std::{
    fs::{self, File},
    os::unix::fs::{MetadataExt, symlink},
};

use resurgam_store::{Content, Extent, Kind};

use super::*;
use crate::files::capture::NeverEntered;

#[test]
fn a_tree_with_every_oddity_comes_back_as_it_was() {
    let (source, target) = (OddDir::new("oddities"), OddDir::new("oddities-back"));
    odd_tree(source.path(), Sizes::default());
    let pool = Pool::new();
    let taken = pool.take(source.path());
    assert_nothing_said(&taken);
    let restored = pool.restore(&taken, &to(target.path()));
    assert_all_proved(&restored);
    assert_same(source.path(), target.path());
    let root = taken.captured.root;
    assert_eq!((restored.files, restored.bytes), (root.files, root.bytes));
}

#[test]
fn an_unchanged_tree_is_taken_over_unread_and_still_whole() {
    let (source, target) = (OddDir::new("unchanged"), OddDir::new("unchanged-back"));
    odd_tree(source.path(), Sizes { crowd: 300, levels: 150, large: 2 << 20 });
    let pool = Pool::new();
    let first = pool.take(source.path());
    // Directories and specials that were made within a tick of being read may be read again once.
    let second = pool.take_again(source.path(), &first);
    assert_eq!(second.read, 0);
    let third = pool.take_again(source.path(), &second);
    assert_eq!(third.captured.unchanged, third.captured.root.entries);
    assert_eq!(third.captured.root, pool.take_again(source.path(), &third).captured.root);
    assert_nothing_said(&third);
    pool.restore(&third, &to(target.path()));
    assert_same(source.path(), target.path());
}

#[test]
fn only_what_changed_is_read() {
    let source = OddDir::new("changed");
    let path = |name: &str| source.path().join(name);
    fs::create_dir(path("dir")).unwrap();
    for name in ["a", "b", "dir/c", "dir/d"] {
        fs::write(path(name), format!("{name} with some content")).unwrap();
    }
    let pool = Pool::new();
    let first = pool.take(source.path());
    let read_for = |before: &Taken| {
        let taken = pool.take_again(source.path(), before);
        assert_nothing_said(&taken);
        taken.read
    };
    assert_eq!(read_for(&first), 0);
    // Same length, time put back: the change of the inode still shows.
    let times = File::open(path("a")).unwrap().metadata().unwrap();
    fs::write(path("a"), "A with some content").unwrap();
    File::options().write(true).open(path("a")).unwrap().set_modified(times.modified().unwrap()).unwrap();
    assert_eq!(read_for(&first), 19);
    // A new inode under an old name.
    fs::write(path("new"), "b with some content").unwrap();
    fs::rename(path("new"), path("b")).unwrap();
    assert_eq!(read_for(&first), 19 + 19);
    fs::remove_file(path("dir/c")).unwrap();
    fs::write(path("dir/e"), "12").unwrap();
    let last = pool.take_again(source.path(), &first);
    assert_eq!(last.read, 19 + 19 + 2);
    assert_eq!(pool.paths(&last), ["", "a", "b", "dir", "dir/d", "dir/e"]);
}

#[test]
fn metadata_that_changed_is_taken_anew() {
    let source = OddDir::new("metadata");
    let file = source.path().join("file");
    fs::write(&file, "x").unwrap();
    let pool = Pool::new();
    let first = pool.take(source.path());
    rustix::fs::setxattr(&file, "user.new", b"v", rustix::fs::XattrFlags::empty()).unwrap();
    let second = pool.take_again(source.path(), &first);
    assert_eq!(pool.entries(&second)[1].xattrs.len(), 1);
}

#[test]
fn more_attributes_than_most_files_have_are_all_taken() {
    let source = OddDir::new("attributes");
    let file = source.path().join("file");
    fs::write(&file, "x").unwrap();
    // One value, and the list of all names, are longer than is asked for at first.
    let lengths: Vec<usize> = (0..30).map(|number| if number == 20 { 900 } else { number }).collect();
    for (number, length) in lengths.iter().enumerate() {
        let name = format!("user.{number:02}-{}", "n".repeat(20));
        rustix::fs::setxattr(&file, name, &vec![7; *length], rustix::fs::XattrFlags::empty()).unwrap();
    }
    let pool = Pool::new();
    let taken = pool.take(source.path());
    let found: Vec<usize> = pool.entries(&taken)[1].xattrs.iter().map(|xattr| xattr.value.len()).collect();
    assert_eq!(found, lengths);
}

#[test]
fn holes_are_recorded_and_small_files_lie_in_their_entries() {
    let source = OddDir::new("holes");
    File::create(source.path().join("hole")).unwrap().set_len(1 << 40).unwrap();
    fs::write(source.path().join("inline"), vec![7; 512]).unwrap();
    fs::write(source.path().join("whole"), vec![7; 513]).unwrap();
    fs::write(source.path().join("large"), vec![7; 20 << 20]).unwrap();
    let pool = Pool::new();
    let taken = pool.take(source.path());
    assert_eq!(taken.read, 512 + 513 + (20 << 20));
    let content = |index: usize| match &pool.entries(&taken)[index].kind {
        Kind::File { content, .. } => content.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(content(1), Content::Extents(vec![Extent::Hole { length: 1 << 40 }]));
    assert_eq!(content(2), Content::Inline(vec![7; 512]));
    assert!(matches!(content(4), Content::Extents(list) if list.len() == 1 && list[0].length() == 513));
    assert!(matches!(content(3), Content::Extents(list) if list.len() > 1));
}

#[test]
fn names_of_one_inode_share_a_number_that_stays() {
    let source = OddDir::new("numbers");
    let path = |name: &str| source.path().join(name);
    fs::write(path("a"), "x").unwrap();
    fs::hard_link(path("a"), path("b")).unwrap();
    fs::write(path("c"), "x").unwrap();
    let pool = Pool::new();
    let first = pool.take(source.path());
    let links = |taken: &Taken| -> Vec<Option<u64>> { pool.entries(taken).iter().map(|e| e.link).collect() };
    let inode = fs::metadata(path("a")).unwrap().ino();
    assert_eq!(links(&first), [None, Some(inode), Some(inode), None]);
    assert_eq!(first.read, 2);
    assert_eq!(links(&pool.take_again(source.path(), &first)), links(&first));
    fs::remove_file(path("b")).unwrap();
    assert_eq!(links(&pool.take_again(source.path(), &first)), [None, None, None]);
}

#[test]
fn what_is_never_entered_is_kept_empty_and_named() {
    let source = OddDir::new("never");
    let pool_dir = source.path().join("pool");
    fs::create_dir(&pool_dir).unwrap();
    fs::write(pool_dir.join("pack"), "x").unwrap();
    let about = fs::metadata(&pool_dir).unwrap();
    let never = NeverEntered { device: about.dev(), inode: about.ino(), reason: "a volume of the pool".to_owned() };
    let pool = Pool::new();
    let taken =
        pool.try_take(&Capture { never_entered: vec![never.clone()], ..of(source.path()) }, None, &System).unwrap();
    assert_eq!(pool.paths(&taken), ["", "pool"]);
    assert_eq!(taken.captured.left_out.len(), 1);
    let said = &taken.captured.left_out[0];
    assert_eq!(said.path, pool_dir.to_str().unwrap());
    assert!(said.reason.contains("a volume of the pool"), "{}", said.reason);
    let inside = Capture { never_entered: vec![never], ..of(&pool_dir) };
    let error = pool.try_take(&inside, None, &System).err().unwrap().to_string();
    assert!(error.contains("a volume of the pool"), "{error}");
}

#[test]
fn globs_and_caches_are_left_out() {
    let source = OddDir::new("globs");
    let path = |name: &str| source.path().join(name);
    for dir in ["build", "build/keep", "build/other", "src", "tagged", "tagged/deep", "false tag"] {
        fs::create_dir(path(dir)).unwrap();
        fs::write(path(dir).join("f.o"), "x").unwrap();
        fs::write(path(dir).join("f.c"), "x").unwrap();
    }
    fs::write(path("tagged/CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc55\nmore").unwrap();
    fs::write(path("false tag/CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc5x").unwrap();
    let words = |list: &[&str]| list.iter().map(|&w| w.to_owned()).collect();
    let selection = Selection {
        exclude: words(&["*.o", "/build"]),
        include: words(&["build/keep"]),
        exclude_caches: true,
        cross_file_systems: false,
    };
    let pool = Pool::new();
    let taken = pool.try_take(&Capture { selection, ..of(source.path()) }, None, &System).unwrap();
    let wanted = [
        "",
        "build",
        "build/keep",
        "build/keep/f.c",
        "false tag",
        "false tag/CACHEDIR.TAG",
        "false tag/f.c",
        "src",
        "src/f.c",
        "tagged",
        "tagged/CACHEDIR.TAG",
    ];
    assert_eq!(pool.paths(&taken), wanted);
    let said: Vec<_> = taken.captured.left_out.iter().map(|l| l.path.clone()).collect();
    assert_eq!(said, [path("tagged").to_str().unwrap()]);
}

#[test]
fn a_root_may_be_anything() {
    let source = OddDir::new("roots");
    let path = |name: &str| source.path().join(name);
    fs::create_dir(path("dir")).unwrap();
    fs::write(path("dir/file"), "content").unwrap();
    symlink("dir", path("to dir")).unwrap();
    symlink("dir/file", path("to file")).unwrap();
    symlink("nowhere", path("to nothing")).unwrap();
    let pool = Pool::new();
    for (root, entries, word) in [
        ("dir", 2, "directory"),
        ("dir/file", 1, "file"),
        ("to dir", 2, "directory"),
        ("to file", 1, "symlink"),
        ("to nothing", 1, "symlink"),
    ] {
        let taken = pool.take(&path(root));
        let found = pool.entries(&taken);
        assert_eq!((found.len(), found[0].kind.word()), (entries, word), "{root}");
        assert!(found[0].path.is_root());
        let target = OddDir::new("roots-back");
        pool.restore(&taken, &Restore { root_name: b"put back".to_vec(), ..to(target.path()) });
        if word == "file" {
            assert_eq!(fs::read(target.path().join("put back")).unwrap(), b"content");
        }
        assert_eq!(pool.take_again(&path(root), &taken).read, 0);
    }
    let error = pool.try_take(&of(&path("missing")), None, &System).err().unwrap().to_string();
    assert!(error.contains("missing") && error.contains("not there"), "{error}");
}

#[test]
fn other_file_systems_are_left_out_unless_asked_for() {
    let memory = std::path::Path::new("/dev/shm");
    let Ok(about) = fs::metadata(memory) else { return };
    if about.dev() == fs::metadata("/dev").unwrap().dev() {
        return;
    }
    let pool = Pool::new();
    let only = Selection { exclude: vec!["**".to_owned()], include: vec!["shm".to_owned()], ..Selection::default() };
    let taken = pool.try_take(&Capture { selection: only, ..of(std::path::Path::new("/dev")) }, None, &System).unwrap();
    assert_eq!(pool.paths(&taken), ["", "shm"]);
    assert!(taken.captured.left_out.iter().any(|l| l.path == "/dev/shm"), "{:?}", taken.captured.left_out);
}

#[test]
fn a_bad_glob_and_a_wish_to_stop_end_it() {
    let source = OddDir::new("ends");
    let pool = Pool::new();
    let selection = Selection { exclude: vec!["a[".to_owned()], ..Selection::default() };
    let error = pool.try_take(&Capture { selection, ..of(source.path()) }, None, &System).err().unwrap();
    assert!(matches!(error, SourceError::Glob { .. }));
    let session = Session::begin(&pool.volume).unwrap();
    let cancel = Cancel::default();
    cancel.cancel();
    let error = capture_at(&session, None, &of(source.path()), &Meter::default(), &cancel, &System).err().unwrap();
    assert!(matches!(error, SourceError::Cancelled), "{error}");
}
