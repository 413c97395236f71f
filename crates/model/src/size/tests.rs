use proptest::prelude::*;

use super::*;

#[test]
fn amounts_are_read() {
    for (text, bytes) in [("1K", 1 << 10), ("10M", 10 << 20), ("10MiB", 10 << 20), (" 3G ", 3 << 30), ("2TiB", 2 << 40)]
    {
        assert_eq!(parse_size_bytes(text), Ok(bytes), "{text}");
    }
}

#[test]
fn what_is_none_is_refused_with_its_reason() {
    for (text, reason) in [
        ("", "unit"),
        ("10", "unit"),
        ("M", "number"),
        ("-1M", "number"),
        ("10MB", "units"),
        ("10m", "units"),
        ("1.5M", "units"),
        ("1M5K", "units"),
        ("0K", "nothing"),
        ("99999999999T", "counted"),
    ] {
        let error = parse_size_bytes(text).unwrap_err().to_string();
        assert!(error.contains(reason) && error.contains("10M"), "{text}: {error}");
    }
}

proptest! {
    #[test]
    fn any_number_with_any_unit_is_itself(number in 1u64..1 << 23, power in 0usize..4) {
        let whole = number << (10 * (power + 1));
        prop_assert_eq!(parse_size_bytes(&format!("{number}{}", UNITS[power])), Ok(whole));
        prop_assert_eq!(parse_size_bytes(&format!("{number}{}iB", UNITS[power])), Ok(whole));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC*") {
        let _ = parse_size_bytes(&text);
    }
}
