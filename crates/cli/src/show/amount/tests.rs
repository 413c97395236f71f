use super::*;

#[test]
fn bytes_have_the_unit_that_fits() {
    for (number, text) in [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (10 * 1024, "10 KiB"),
        (118 << 20, "118 MiB"),
        ((1 << 30) - 1, "1023 MiB"),
        (1 << 30, "1.0 GiB"),
        (u64::MAX, "15 EiB"),
    ] {
        assert_eq!(bytes(number), text);
    }
}

#[test]
fn numbers_have_their_thousands_set_apart() {
    for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
        assert_eq!(count(number), text);
    }
    assert_eq!((counted(1, "file", "files"), counted(2, "file", "files")), ("1 file".into(), "2 files".into()));
}

#[test]
fn spans_are_short_and_true() {
    for (seconds, text) in
        [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7_199, "119 min"), (7_200, "2 h"), (172_800, "2 d")]
    {
        assert_eq!(span(seconds), text);
    }
}

#[test]
fn a_clock_that_ran_backwards_makes_no_negative_age() {
    let at = |second| Timestamp::from_second(second).unwrap();
    assert_eq!((seconds_between(at(10), at(70)), seconds_between(at(70), at(10))), (60, 0));
}

#[test]
fn times_are_local_and_name_their_zone() {
    let moment: Timestamp = "2026-11-22T17:01:29Z".parse().unwrap();
    assert_eq!(time(moment, &TimeZone::UTC), "2026-11-22 17:01:29 UTC");
    let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    assert_eq!(time(moment, &zone), "2026-11-22 18:01:29 CET");
}
