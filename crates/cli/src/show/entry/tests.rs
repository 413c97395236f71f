use resurgam_model::PointId;

use super::*;

fn entry(kind: &'static str, mode: &str) -> Listed {
    Listed {
        point: PointId::from_bytes([0xab; 16]),
        path: "a/b".to_owned(),
        kind,
        size: 1234,
        mode: mode.to_owned(),
        owner: "root".to_owned(),
        group: "wheel".to_owned(),
        modified: "2026-11-22T17:01:29Z".to_owned(),
        target: (kind == "symlink").then(|| "../c".to_owned()),
    }
}

#[test]
fn entries_look_as_people_know_them() {
    let line = listed(&entry("file", "644"), &TimeZone::UTC);
    assert_eq!(line, "-rw-r--r-- root     wheel              1234 2026-11-22 17:01:29  a/b");
    assert!(listed(&entry("symlink", "777"), &TimeZone::UTC).ends_with("a/b -> ../c"));
    let line = found(&entry("file", "644"), 8, &TimeZone::UTC);
    assert!(line.starts_with("abababab  ") && line.ends_with("  a/b"), "{line}");
}

#[test]
fn modes_show_every_bit() {
    for (kind, octal, text) in [
        ("directory", "755", "drwxr-xr-x"),
        ("directory", "1777", "drwxrwxrwt"),
        ("file", "4755", "-rwsr-xr-x"),
        ("file", "6644", "-rwSr-Sr--"),
        ("fifo", "0", "p---------"),
        ("socket", "700", "srwx------"),
        ("character-device", "0666", "crw-rw-rw-"),
        ("block-device", "660", "brw-rw----"),
        ("file", "?", "-?        "),
    ] {
        assert_eq!(mode(kind, octal), text, "{kind} {octal}");
    }
}

#[test]
fn times_beyond_the_calendar_are_shown_as_they_are() {
    assert_eq!(modified("99999999999999", &TimeZone::UTC), "99999999999999");
}

#[test]
fn differences_begin_with_what_happened() {
    for (change, word) in [
        (Change::Added, "added"),
        (Change::Removed, "removed"),
        (Change::Modified, "modified"),
        (Change::Attributes, "attributes"),
    ] {
        let line = difference(&Difference { change, path: "a/b".to_owned() });
        assert!(line.starts_with(word) && line.ends_with("  a/b"), "{line}");
    }
}
