//! What a large file may cost: memory does not grow with its length.

use std::{
    fs::File,
    os::unix::fs::{FileExt, MetadataExt},
    process::Command,
    time::Duration,
};

use resurgam_tests::{Running, Scene, args};

/// Bytes of a virtual disk that is nearly empty.
const LENGTH: u64 = 256 << 30;
/// Address space that the program gets. Lists of the pages of such a disk alone would be 3 GB.
const SPACE: u64 = 2 << 30;

#[test]
fn a_long_sparse_image_needs_little_memory() {
    let scene = Scene::new();
    let written: [(u64, &[u8]); 4] = [
        (0, b"QFI\xfb a disk image"),
        (5 << 30, b"a file system"),
        ((200 << 30) + 12_345, b"something far behind"),
        (LENGTH - 4, b"end."),
    ];
    let image = File::create_new(scene.source.join("disk.img")).unwrap();
    for (place, bytes) in written {
        image.write_all_at(bytes, place).unwrap();
    }
    let limited = |arguments| {
        let mut prlimit = Command::new("prlimit");
        prlimit.arg(format!("--as={SPACE}"));
        Running::start(&mut scene.program().command_under(prlimit, arguments)).finish(Duration::from_secs(180))
    };
    limited(args!["protect", scene.source, "--pool", scene.pool]).done();
    let to = scene.path("to");
    limited(args!["recover", "latest", "--to", to]).done();
    let back = File::open(to.join("disk.img")).unwrap();
    assert_eq!(back.metadata().unwrap().len(), LENGTH);
    assert!(back.metadata().unwrap().blocks() < 1000);
    for (place, bytes) in written {
        let mut found = vec![0; bytes.len()];
        back.read_exact_at(&mut found, place).unwrap();
        assert_eq!(found, bytes, "at {place}");
    }
    scene.assert_sound();
}
