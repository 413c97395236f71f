//! Putting back: parts, conflicts, damage, and never outside of the target.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::PathBuf,
};

use resurgam_model::BytePath;

use super::*;

fn path(text: &str) -> BytePath {
    BytePath::from_typed(text.as_bytes()).unwrap()
}

struct Scene {
    source: OddDir,
    target: OddDir,
    pool: Pool,
    taken: Taken,
}

impl Scene {
    fn new(name: &str) -> Self {
        let source = OddDir::new(name);
        let at = |p: &str| source.path().join(p);
        fs::create_dir_all(at("a/b")).unwrap();
        fs::write(at("a/b/wanted"), "wanted").unwrap();
        fs::write(at("a/other"), "other").unwrap();
        fs::write(at("plain"), vec![3; 100_000]).unwrap();
        fs::hard_link(at("plain"), at("z second name")).unwrap();
        fs::set_permissions(at("a"), fs::Permissions::from_mode(0o750)).unwrap();
        let pool = Pool::new();
        let taken = pool.take(source.path());
        Self { target: OddDir::new(&format!("{name}-back")), source, pool, taken }
    }

    fn at(&self, p: &str) -> PathBuf {
        self.target.path().join(p)
    }

    fn with(&self, conflict: Conflict) -> Restored {
        self.pool.restore(&self.taken, &Restore { conflict, ..to(self.target.path()) })
    }
}

fn read(path: PathBuf) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn single_paths_come_with_the_directories_above_them() {
    let scene = Scene::new("parts");
    let target = scene.at("new/target");
    let selection = vec![path("a/b/wanted"), path("a/b"), path("z second name")];
    let restored = scene.pool.restore(&scene.taken, &Restore { selection, ..to(&target) });
    assert_all_proved(&restored);
    assert_eq!(restored.files, 2);
    assert_eq!(read(target.join("a/b/wanted")), "wanted");
    assert!(!target.join("a/other").exists() && !target.join("plain").exists());
    let (made, original) =
        (fs::metadata(target.join("a")).unwrap(), fs::metadata(scene.source.path().join("a")).unwrap());
    assert_eq!((made.mode(), made.mtime_nsec()), (original.mode(), original.mtime_nsec()));
    let missing = Restore { selection: vec![path("a/never")], ..to(&scene.at("untouched")) };
    let error = scene.pool.try_restore(&scene.taken, &missing).err().unwrap().to_string();
    assert!(error.contains("a/never"), "{error}");
    assert!(!scene.at("untouched").exists());
}

#[test]
fn unless_told_otherwise_nothing_that_is_there_is_touched() {
    let scene = Scene::new("refuse");
    let what = to(scene.target.path());
    fs::create_dir_all(scene.at("a/b")).unwrap();
    fs::write(scene.at("a/unrelated"), "unrelated").unwrap();
    fs::write(scene.at("a/other"), "mine").unwrap();
    let error = scene.pool.try_restore(&scene.taken, &what).err().unwrap().to_string();
    assert!(error.contains("a/other") && error.contains("--conflict"), "{error}");
    assert_eq!(fs::read_dir(scene.target.path()).unwrap().count(), 1);
    // Only a part that is not there yet.
    let part = Restore { selection: vec![path("a/b")], ..what.clone() };
    assert_all_proved(&scene.pool.restore(&scene.taken, &part));
    assert_eq!(read(scene.at("a/b/wanted")), "wanted");
    // A link where a directory should be stands in the way as well.
    fs::remove_dir_all(scene.at("a")).unwrap();
    symlink("/etc", scene.at("a")).unwrap();
    for selection in [vec![], vec![path("a/b")]] {
        let error = scene.pool.try_restore(&scene.taken, &Restore { selection, ..what.clone() }).err().unwrap();
        assert!(matches!(error, SourceError::TargetHas { .. }), "{error}");
    }
}

#[test]
fn conflicts_are_settled_as_asked() {
    for conflict in [Conflict::Skip, Conflict::Overwrite, Conflict::Copy] {
        let scene = Scene::new("conflicts");
        fs::create_dir_all(scene.at("a/b")).unwrap();
        fs::write(scene.at("a/b/wanted"), "mine").unwrap();
        fs::hard_link(scene.at("a/b/wanted"), scene.at("my other name")).unwrap();
        fs::write(scene.at("a/unrelated"), "unrelated").unwrap();
        fs::write(scene.at("z second name"), "mine").unwrap();
        let restored = scene.with(conflict);
        assert_all_proved(&restored);
        assert_eq!(read(scene.at("my other name")), "mine");
        assert_eq!(read(scene.at("a/unrelated")), "unrelated");
        let skips = if conflict == Conflict::Skip { 2 } else { 0 };
        assert_eq!((restored.skipped, restored.files), (skips, 4 - skips), "{conflict:?}");
        let inode = |p: &str| fs::metadata(scene.at(p)).unwrap().ino();
        match conflict {
            Conflict::Overwrite => {
                assert_eq!(read(scene.at("a/b/wanted")), "wanted");
                assert_eq!(inode("plain"), inode("z second name"));
            }
            Conflict::Copy => {
                assert_eq!(read(scene.at("a/b/wanted (recovered 2)")), "wanted");
                assert_eq!(inode("plain"), inode("z second name (recovered 2)"));
            }
            Conflict::Skip | Conflict::Refuse => {
                assert_eq!(read(scene.at("a/b/wanted")), "mine");
                assert_eq!(read(scene.at("z second name")), "mine");
            }
        }
        let left: Vec<_> = fs::read_dir(scene.target.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(!left.iter().any(|n| n.as_encoded_bytes().starts_with(b".resurgam")), "{left:?}");
    }
}

#[test]
fn what_a_killed_restore_left_goes_with_the_next() {
    let scene = Scene::new("leftovers");
    scene.with(Conflict::Refuse);
    // The largest number that a process may have is 2^22: nobody has this one.
    let leftovers = [".resurgam-2147483647-0", "a/.resurgam-2147483647-1", "a/b/.resurgam-2147483647-2"];
    leftovers.iter().for_each(|name| fs::write(scene.at(name), "half").unwrap());
    scene.with(Conflict::Skip);
    assert!(leftovers.iter().all(|name| scene.at(name).exists()), "whoever does not say `overwrite` keeps all");
    assert_all_proved(&scene.with(Conflict::Overwrite));
    assert_same(scene.source.path(), scene.target.path());
}

#[test]
fn no_link_leads_out_of_the_target() {
    for conflict in [Conflict::Skip, Conflict::Overwrite, Conflict::Copy] {
        let scene = Scene::new("links-out");
        let outside = OddDir::new("outside");
        fs::write(outside.path().join("victim"), "victim").unwrap();
        symlink(outside.path(), scene.at("a")).unwrap();
        symlink(outside.path().join("victim"), scene.at("plain")).unwrap();
        scene.with(conflict);
        assert_eq!(read(outside.path().join("victim")), "victim");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
        match conflict {
            Conflict::Overwrite => assert_eq!(read(scene.at("a/b/wanted")), "wanted"),
            Conflict::Copy => assert_eq!(read(scene.at("a (recovered 2)/b/wanted")), "wanted"),
            Conflict::Skip | Conflict::Refuse => assert!(fs::symlink_metadata(scene.at("a")).unwrap().is_symlink()),
        }
    }
}

#[test]
fn a_directory_with_content_is_never_removed_for_a_file() {
    let scene = Scene::new("in-the-way");
    fs::create_dir_all(scene.at("plain/mine")).unwrap();
    fs::create_dir(scene.at("z second name")).unwrap();
    let restored = scene.with(Conflict::Overwrite);
    assert_eq!(restored.unproved.len(), 1, "{:?}", restored.unproved);
    assert_eq!(restored.unproved[0].path, "plain");
    assert!(scene.at("plain/mine").is_dir());
    assert_eq!(fs::read(scene.at("z second name")).unwrap().len(), 100_000);
}

#[test]
fn odd_trees_go_over_odd_trees() {
    let (source, target) = (OddDir::new("over"), OddDir::new("over-back"));
    let sizes = Sizes { crowd: 100, levels: 100, large: 1 << 20 };
    odd_tree(source.path(), sizes);
    let pool = Pool::new();
    let taken = pool.take(source.path());
    pool.restore(&taken, &to(target.path()));
    // What was sealed stays, and is named; all else is replaced by the same.
    let again = pool.restore(&taken, &Restore { conflict: Conflict::Overwrite, ..to(target.path()) });
    assert!(
        again.unproved.iter().all(|u| ["immutable", "append", "several"].iter().any(|w| u.path.contains(w))),
        "{:#?}",
        again.unproved
    );
    let differences: Vec<String> = compare(source.path(), target.path());
    assert!(
        differences.iter().all(|d| ["immutable", "append", "several"].iter().any(|w| d.contains(w))),
        "{differences:#?}"
    );
}

#[test]
fn inherited_acls_and_groups_do_not_stay() {
    let scene = Scene::new("inherits");
    let acl: Vec<u8> = [
        2_u32.to_le_bytes().to_vec(),
        [1, 0, 7, 0, 255, 255, 255, 255, 2, 0, 7, 0, 99, 0, 0, 0].to_vec(),
        [4, 0, 7, 0, 255, 255, 255, 255, 16, 0, 7, 0, 255, 255, 255, 255, 32, 0, 7, 0, 255, 255, 255, 255].to_vec(),
    ]
    .concat();
    rustix::fs::setxattr(scene.target.path(), "system.posix_acl_default", &acl, rustix::fs::XattrFlags::empty())
        .unwrap();
    fs::set_permissions(scene.target.path(), fs::Permissions::from_mode(0o2775)).unwrap();
    if is_root() {
        std::os::unix::fs::chown(scene.target.path(), None, Some(77)).unwrap();
    }
    fs::write(scene.at("unrelated"), "").unwrap();
    let restored = scene.with(Conflict::Skip);
    assert_all_proved(&restored);
    let differences: Vec<String> = compare(scene.source.path(), scene.target.path());
    // The target had things in it, so it keeps its own attributes.
    assert!(differences.iter().all(|d| d.starts_with(".:") || d.starts_with("/unrelated")), "{differences:#?}");
}

#[test]
fn a_target_that_is_no_directory_is_refused() {
    let scene = Scene::new("no-directory");
    fs::write(scene.at("file"), "").unwrap();
    let error = scene.pool.try_restore(&scene.taken, &to(&scene.at("file"))).err().unwrap().to_string();
    assert!(error.contains("file") && error.contains("not a directory"), "{error}");
}

#[test]
fn owners_are_left_alone_when_asked() {
    if !is_root() {
        return;
    }
    let scene = Scene::new("owners");
    let file = scene.source.path().join("a/other");
    std::os::unix::fs::chown(&file, Some(1), Some(1)).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o4755)).unwrap();
    let taken = scene.pool.take(scene.source.path());
    let restored = scene.pool.restore(&taken, &Restore { owner: false, ..to(scene.target.path()) });
    let made = fs::metadata(scene.at("a/other")).unwrap();
    assert_eq!((made.uid(), made.mode() & 0o7777), (0, 0o755), "no setuid for another owner");
    assert_eq!(restored.unproved.len(), 1);
}

#[test]
fn damage_costs_what_it_touches_and_no_more() {
    let source = OddDir::new("damage");
    let at = |p: &str| source.path().join(p);
    for number in 0..300_u32 {
        fs::write(at(&format!("tiny {number}")), number.to_le_bytes()).unwrap();
    }
    fs::write(at("large"), vec![1; 3 << 20]).unwrap();
    fs::write(at("medium"), vec![2; 5000]).unwrap();
    fs::hard_link(at("medium"), at("medium, too")).unwrap();
    let pool = Pool::new();
    let taken = pool.take(source.path());
    // Every pack without a second copy, which are those with the content of files.
    let packs: Vec<String> = pool.volume.backend().list("packs/").unwrap().into_iter().map(|l| l.name).collect();
    let mirrored: Vec<String> = pool.volume.backend().list("mirror/").unwrap().into_iter().map(|l| l.name).collect();
    let data: Vec<&String> = packs.iter().filter(|p| !mirrored.contains(&format!("mirror/{p}"))).collect();
    assert!(!data.is_empty() && data.len() < packs.len(), "{packs:?} {mirrored:?}");
    for pack in data {
        pool.volume.backend().delete(pack).unwrap();
    }
    let target = OddDir::new("damage-back");
    let restored = pool.restore(&taken, &to(target.path()));
    let named: Vec<&str> = restored.unproved.iter().map(|u| u.path.as_str()).collect();
    assert_eq!(named, ["large", "medium", "medium, too"]);
    let there: Vec<_> = fs::read_dir(target.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(there.len(), 300, "only what is whole is there: {there:?}");
    assert_eq!(fs::read(target.path().join("tiny 299")).unwrap(), 299_u32.to_le_bytes());
}
