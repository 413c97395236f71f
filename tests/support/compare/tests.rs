//! The comparer must see each attribute, or it proves nothing: every change below has to show.

use std::{
    fs::{self, File, FileTimes},
    os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink},
    path::Path,
    time::{Duration, SystemTime},
};

use rustix::fs::{CWD, FileType, IFlags, Mode, XattrFlags, ioctl_setflags, lsetxattr, makedev, mknodat};

use super::*;
use crate::{parts::Part, parts::is_present, plain_tree};

/// A tree with one of each, changed by `change`, compared with itself as it was.
fn seen(change: impl Fn(&Path)) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    fs::create_dir_all(a.join("dir/below")).unwrap();
    fs::write(a.join("file"), "content").unwrap();
    fs::write(a.join("dir/below/twin"), "twins").unwrap();
    fs::hard_link(a.join("dir/below/twin"), a.join("dir/twin")).unwrap();
    symlink("target", a.join("link")).unwrap();
    mknodat(CWD, a.join("fifo"), FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
    let sparse = File::create(a.join("sparse")).unwrap();
    sparse.set_len(4 << 20).unwrap();
    drop(sparse);
    lsetxattr(a.join("file"), "user.one", b"1", XattrFlags::empty()).unwrap();
    plain_tree::copy(&a, &b);
    assert_eq!(differences(&a, &b), Vec::<String>::new());
    change(&b);
    differences(&a, &b)
}

#[track_caller]
fn must_see(words: &str, change: impl Fn(&Path)) {
    let lines = seen(change);
    assert!(lines.iter().any(|line| line.contains(words)), "`{words}` is not in {lines:?}");
}

fn set_time(path: &Path, time: SystemTime) {
    File::open(path).unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
}

#[test]
fn content_names_and_kinds_are_seen() {
    must_see("content is 7 bytes", |b| fs::write(b.join("file"), "Content").unwrap());
    must_see("`new` is extra", |b| fs::write(b.join("new"), "").unwrap());
    must_see("`file` is missing", |b| fs::remove_file(b.join("file")).unwrap());
    must_see("content is other", |b| {
        fs::remove_file(b.join("link")).unwrap();
        symlink("other", b.join("link")).unwrap();
    });
    must_see("kind is", |b| {
        fs::remove_file(b.join("fifo")).unwrap();
        fs::write(b.join("fifo"), "").unwrap();
    });
    must_see("holes were filled", |b| fs::write(b.join("sparse"), vec![0; 4 << 20]).unwrap());
}

#[test]
fn times_modes_and_links_are_seen() {
    must_see("time is", |b| {
        let time = fs::metadata(b.join("file")).unwrap().modified().unwrap();
        set_time(&b.join("file"), time + Duration::from_nanos(1));
    });
    must_see("``: time is", |b| set_time(b, SystemTime::UNIX_EPOCH));
    must_see("mode is 4644", |b| fs::set_permissions(b.join("file"), fs::Permissions::from_mode(0o4644)).unwrap());
    must_see("first name is its own", |b| {
        let twin = b.join("dir/twin");
        let content = fs::read(&twin).unwrap();
        fs::remove_file(&twin).unwrap();
        fs::write(&twin, content).unwrap();
        assert_eq!(fs::metadata(&twin).unwrap().nlink(), 1);
    });
}

#[test]
fn xattrs_are_seen() {
    must_see("xattr user.one is 2, not 1", |b| {
        lsetxattr(b.join("file"), "user.one", b"2", XattrFlags::empty()).unwrap();
    });
    must_see("xattr user.empty is , not absent", |b| {
        lsetxattr(b.join("dir"), "user.empty", b"", XattrFlags::empty()).unwrap();
    });
}

#[test]
fn what_only_root_can_change_is_seen() {
    if !is_present("what_only_root_can_change_is_seen", &[Part::Root]) {
        return;
    }
    must_see("owner is (1, 0)", |b| chown(b.join("file"), Some(1), None).unwrap());
    must_see("owner is (0, 2)", |b| lchown(b.join("link"), None, Some(2)).unwrap());
    must_see("xattr trusted.link is", |b| {
        lsetxattr(b.join("link"), "trusted.link", b"x", XattrFlags::empty()).unwrap();
    });
    // An ACL as the kernel keeps it: version 2; owner rw, user 1 r, group r, mask r, others none.
    let entries: [(u16, u16, u32); 5] = [(1, 6, !0), (2, 4, 1), (4, 4, !0), (16, 4, !0), (32, 0, !0)];
    let mut acl = 2_u32.to_le_bytes().to_vec();
    for (tag, rights, id) in entries {
        acl.extend(tag.to_le_bytes());
        acl.extend(rights.to_le_bytes());
        acl.extend(id.to_le_bytes());
    }
    must_see("xattr system.posix_acl_access", |b| {
        lsetxattr(b.join("file"), "system.posix_acl_access", &acl, XattrFlags::empty()).unwrap();
    });
    must_see("kind is CharacterDevice 1:3", |b| {
        fs::remove_file(b.join("fifo")).unwrap();
        let mode = Mode::from_raw_mode(0o644);
        mknodat(CWD, b.join("fifo"), FileType::CharacterDevice, mode, makedev(1, 3)).unwrap();
    });
    must_see("inode flags is 0x40", |b| {
        ioctl_setflags(File::open(b.join("file")).unwrap(), IFlags::NODUMP).unwrap();
    });
}

#[test]
fn rsync_sees_a_change_and_only_that() {
    if !is_present("rsync_sees_a_change_and_only_that", &[Part::Tool("rsync")]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    fs::create_dir(&a).unwrap();
    fs::write(a.join("file"), "content").unwrap();
    plain_tree::copy(&a, &b);
    assert_eq!(rsync_differences(&a, &b, &[]), "");
    fs::write(b.join("file"), "Content").unwrap();
    assert!(rsync_differences(&a, &b, &[]).contains("file"));
}
