use resurgam_model::PointId;

use super::*;

fn entry(kind: &'static str, mode: u32) -> Listed {
    Listed {
        point: PointId::from_bytes([0xab; 16]),
        path: "a/b".to_owned(),
        kind,
        size: 1234,
        mode,
        owner: "root".to_owned(),
        group: "wheel".to_owned(),
        modified: Modified::At("2026-11-22T17:01:29.999999999Z".parse().unwrap()),
        target: (kind == "symlink").then(|| "../c".to_owned()),
    }
}

/// What is appended to a line.
fn line(write: impl FnOnce(&mut String)) -> String {
    let mut line = String::new();
    write(&mut line);
    line
}

#[test]
fn entries_look_as_people_know_them() {
    let file = line(|line| listed(line, &entry("file", 0o644), &TimeZone::UTC));
    assert_eq!(file, "-rw-r--r-- root     wheel              1234 2026-11-22 17:01:29  a/b");
    assert!(line(|line| listed(line, &entry("symlink", 0o777), &TimeZone::UTC)).ends_with("a/b -> ../c"));
    let found = line(|line| found(line, &entry("file", 0o644), 8, &TimeZone::UTC));
    assert_eq!(found, "abababab            1234  2026-11-22 17:01:29  a/b");
}

#[test]
fn times_are_those_of_the_zone() {
    let zone = TimeZone::fixed(jiff::tz::offset(-5));
    assert!(line(|line| listed(line, &entry("file", 0), &zone)).contains(" 2026-11-22 12:01:29 "));
}

#[test]
fn modes_show_every_bit() {
    for (kind, bits, text) in [
        ("directory", 0o755, "drwxr-xr-x"),
        ("directory", 0o1777, "drwxrwxrwt"),
        ("file", 0o4755, "-rwsr-xr-x"),
        ("file", 0o6644, "-rwSr-Sr--"),
        ("fifo", 0o0, "p---------"),
        ("socket", 0o700, "srwx------"),
        ("character-device", 0o666, "crw-rw-rw-"),
        ("block-device", 0o660, "brw-rw----"),
    ] {
        assert_eq!(line(|line| mode(line, kind, bits)), text, "{kind} {bits:o}");
    }
}

#[test]
fn times_beyond_the_calendar_are_shown_as_they_are() {
    assert_eq!(line(|line| modified(line, Modified::Beyond(99_999_999_999_999), &TimeZone::UTC)), "@99999999999999");
}

#[test]
fn differences_begin_with_what_happened() {
    for (change, word) in [
        (Change::Added, "added"),
        (Change::Removed, "removed"),
        (Change::Modified, "modified"),
        (Change::Attributes, "attributes"),
    ] {
        let line = line(|line| difference(line, &Difference { change, path: "a/b".to_owned() }));
        assert!(line.starts_with(word) && line.ends_with("  a/b"), "{line}");
    }
}
