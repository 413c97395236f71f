//! Everything that a file system can say of a tree comes back.

use std::fs;

use resurgam_tests::{
    Part, Random, Scene, args, assert_same, differences, disk::Disk, is_present, odd_tree, plain_tree,
    rsync_differences,
};

const PARTS: &[Part] = &[Part::LoopDevice, Part::Tool("python3"), Part::Tool("rsync")];
/// Entries of the fullest directory.
const CROWD: u64 = 20_000;

#[test]
fn every_oddity_comes_back() {
    if !is_present("every_oddity_comes_back", PARTS) {
        return;
    }
    let disk = Disk::new(2000, "defaults");
    let scene = Scene::below(&disk.path());
    odd_tree::build(&scene.source, CROWD);
    assert_eq!(differences(&scene.source, &scene.source), Vec::<String>::new());

    let point = scene.take_point();
    let recovered = scene.recovered(&point.id);
    assert_same(&scene.source, &recovered);
    assert_eq!(rsync_differences(&scene.source, &recovered, odd_tree::BEYOND_RSYNC), "");

    // Recognised without reading, it is the same still.
    let next = scene.take_point();
    assert!(next.added_bytes < 200_000, "{next:?}");
    let recovered = scene.recovered(&next.id);
    assert_same(&scene.source, &recovered);

    // Over itself: what cannot be changed (immutable and append-only files) is in the way, is named, and stays as it was.
    let outcome = scene.program().run(args!["recover", next.id, "--to", recovered, "--conflict", "overwrite"]);
    assert!(matches!(outcome.code(), Some(0 | 3)), "{outcome}");
    let named = outcome.texts_in("unproved", "path");
    assert!(named.iter().all(|path| path.starts_with("flags") || path.ends_with("immutable")), "{named:?}");
    assert_same(&scene.source, &recovered);
    scene.assert_sound();
}

#[test]
fn one_branch_of_an_odd_tree_comes_back_alone() {
    if !is_present("one_branch_of_an_odd_tree_comes_back_alone", PARTS) {
        return;
    }
    let disk = Disk::new(1000, "defaults");
    let scene = Scene::below(&disk.path());
    odd_tree::build(&scene.source, 100);
    let point = scene.take_point();
    for branch in ["flags", "links", "xattrs", "times", "beyond", "acls", "holes", "names"] {
        let to = scene.path(&format!("only-{branch}"));
        scene.program().run(args!["recover", point.id, branch, "--to", to]).done();
        assert_same(&scene.source.join(branch), &to.join(branch));
    }
}

#[test]
fn changed_attributes_are_in_the_next_point() {
    if !is_present("changed_attributes_are_in_the_next_point", PARTS) {
        return;
    }
    let disk = Disk::new(200, "defaults");
    let scene = Scene::below(&disk.path());
    plain_tree::build(&scene.source, plain_tree::Size::TINY, &mut Random::for_test("changed_attributes", 21));
    let first = scene.take_point();
    let before = scene.path("before");
    plain_tree::copy(&scene.source, &before);

    // Content, size and modification time stay; everything else about some file changes.
    let files = plain_tree::files_below(&scene.source);
    let shell = |command: &str, file: &std::path::Path| {
        resurgam_tests::parts::run_tool(std::process::Command::new("sh").args(["-c", command, "sh"]).arg(file));
    };
    for (command, file) in [
        "chmod 4711 \"$1\"",
        "chown 12:34 \"$1\"",
        "chattr +d \"$1\"",
        "ln \"$1\" \"$1\".link",
        "python3 -c 'import os,sys; os.setxattr(sys.argv[1], \"trusted.new\", b\"\")' \"$1\"",
        "mv \"$1\" \"$1\".renamed",
        "t=$(stat -c %y \"$1\"); printf X | dd of=\"$1\" conv=notrunc status=none; touch -d \"$t\" \"$1\"",
    ]
    .iter()
    .zip(&files[5..])
    {
        shell(command, file);
    }
    fs::set_permissions(scene.source.join("dir-0000"), std::os::unix::fs::PermissionsExt::from_mode(0o2700)).unwrap();
    let second = scene.take_point();
    assert_same(&before, &scene.recovered(&first.id));
    assert_same(&scene.source, &scene.recovered(&second.id));
}

#[test]
fn other_file_systems_are_left_out_and_said_so() {
    if !is_present("other_file_systems_are_left_out_and_said_so", PARTS) {
        return;
    }
    let scene = Scene::new();
    fs::write(scene.source.join("here"), "here").unwrap();
    fs::create_dir(scene.source.join("mounted")).unwrap();
    let disk = Disk::new(16, "defaults");
    fs::write(disk.path().join("there"), "there").unwrap();
    let bind = Bind::new(&disk.path(), &scene.source.join("mounted"));
    let outcome = scene.protect();
    outcome.done();
    drop(bind);
    let said = outcome.json().to_string() + outcome.stderr();
    assert!(said.contains("mounted"), "{outcome}");
    let to = scene.recovered(&outcome.point().id);
    assert!(to.join("here").is_file() && to.join("mounted").is_dir() && !to.join("mounted/there").exists());
}

/// A bind mount that goes with its value.
struct Bind(std::path::PathBuf);

impl Bind {
    fn new(what: &std::path::Path, to: &std::path::Path) -> Self {
        resurgam_tests::parts::run_tool(std::process::Command::new("mount").arg("--bind").arg(what).arg(to));
        Self(to.to_owned())
    }
}

impl Drop for Bind {
    fn drop(&mut self) {
        std::process::Command::new("umount").arg(&self.0).status().ok();
    }
}
