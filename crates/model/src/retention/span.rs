//! Lengths of time as people type them: `14d`, `36h`, `2w`, `6mo`, `1y`, `1d12h`.

/// Units, longest first; a month is 30 days and a year 365, since a span has no calendar.
const UNITS: [(&str, u64, &str); 7] = [
    ("y", 365 * 86_400, "year"),
    ("mo", 30 * 86_400, "month"),
    ("w", 7 * 86_400, "week"),
    ("d", 86_400, "day"),
    ("h", 3_600, "hour"),
    ("min", 60, "minute"),
    ("s", 1, "second"),
];

/// Text that is no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a length of time: {reason}; write for example 36h, 14d, 2w, 6mo or 1y")]
pub struct InvalidSpan {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Reads a length of time: whole numbers, each with its unit (`s`, `min`, `h`, `d`, `w`, `mo`, `y`), nothing between.
///
/// A bare `m` is refused: taken for minutes where months were meant, it would delete half a year of points.
///
/// # Errors
/// Where the text is empty, has a number without unit, an unknown unit, or comes to nothing or to more than can be
/// counted.
pub fn parse_span_seconds(text: &str) -> Result<u64, InvalidSpan> {
    let invalid = |reason| InvalidSpan { text: text.to_owned(), reason };
    let mut rest = text.trim();
    let mut total = 0u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(|| invalid("a number lacks its unit"))?;
        let (number, after) = rest.split_at(digits);
        if number.is_empty() {
            return Err(invalid("a number was expected"));
        }
        let unit_end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        if unit == "m" {
            return Err(invalid("`m` could mean minutes or months: write `min` or `mo`"));
        }
        let seconds = UNITS.iter().find(|(word, ..)| *word == unit).map(|(_, seconds, _)| *seconds);
        let seconds = seconds.ok_or_else(|| invalid("the units are s, min, h, d, w, mo and y"))?;
        total = number
            .parse::<u64>()
            .ok()
            .and_then(|n| n.checked_mul(seconds))
            .and_then(|n| n.checked_add(total))
            .ok_or_else(|| invalid("it is too long to be counted"))?;
        rest = next;
    }
    if total == 0 { Err(invalid("it comes to nothing")) } else { Ok(total) }
}

/// A length of time in words, in the longest unit that says it exactly: `14 days`, `36 hours`.
pub fn span_in_words(seconds: u64) -> String {
    // Weeks, months and years are passed over: 14 days is what people say, and a month of 30 days is nobody's month.
    let unit = UNITS.iter().skip(3).find(|(_, unit, _)| seconds != 0 && seconds.is_multiple_of(*unit));
    let (count, name) = unit.map_or((seconds, "second"), |(_, unit, name)| (seconds / unit, *name));
    if count == 1 { format!("1 {name}") } else { format!("{count} {name}s") }
}
