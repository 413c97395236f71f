//! Trees that nobody built for a test.

use std::path::Path;

use resurgam_tests::{Part, Scene, args, is_present, plain_tree, rsync_differences};

/// Protects, recovers, and has rsync find no difference.
fn comes_back(root: &Path) {
    let scene = Scene::new();
    let outcome = scene.program().run(args!["protect", root, "--pool", scene.pool]);
    outcome.done();
    let point = outcome.point();
    println!("{}: {} files, {} bytes", root.display(), point.files, point.bytes);
    let recovered = scene.recovered(&point.id);
    assert_eq!(rsync_differences(root, &recovered, &[]), "");
    let again = scene.program().run(args!["protect", root]);
    again.done();
    assert!(again.point().added_bytes < 200_000, "{again}");
}

#[test]
fn a_part_of_this_machine_comes_back() {
    if !is_present("a_part_of_this_machine_comes_back", &[Part::Root, Part::Tool("rsync")]) {
        return;
    }
    for root in ["/usr/sbin", "/usr/share/zoneinfo", "/usr/share/perl5"].map(Path::new) {
        // Not every machine has all of them; one is enough to be real.
        if root.is_dir() && !plain_tree::files_below(root).is_empty() {
            comes_back(root);
        }
    }
}

#[test]
fn all_of_usr_comes_back() {
    // A few gigabytes: for scripts/deep.
    if std::env::var_os("RESURGAM_DEEP").is_none() {
        println!("all_of_usr_comes_back runs in scripts/deep only");
        return;
    }
    if is_present("all_of_usr_comes_back", &[Part::Root, Part::Tool("rsync")]) {
        comes_back(Path::new("/usr"));
    }
}
