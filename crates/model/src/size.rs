//! Amounts of bytes as people type them: `500K`, `10M`, `1G`, and the same as `500KiB`, `10MiB`, `1GiB`.

/// Units, each 1024 of the one before.
const UNITS: [&str; 4] = ["K", "M", "G", "T"];

/// Text that is no amount of bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an amount of bytes: {reason}; write for example 500K, 10M or 1G")]
pub struct InvalidSize {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Reads an amount of bytes: a whole number with its unit (`K`, `M`, `G`, `T`, each 1024 of the one before).
///
/// A bare number is refused, and so is `MB`: nobody knows whether the one is bytes, and the other a million of them.
///
/// # Errors
/// Where the text is no such number, comes to nothing, or to more than can be counted.
pub fn parse_size_bytes(text: &str) -> Result<u64, InvalidSize> {
    let invalid = |reason| InvalidSize { text: text.to_owned(), reason };
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(|| invalid("it lacks its unit"))?;
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(invalid("a number was expected"));
    }
    let unit = unit.strip_suffix("iB").unwrap_or(unit);
    let power = UNITS.iter().position(|known| *known == unit).ok_or_else(|| invalid("the units are K, M, G and T"))?;
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << (10 * (power + 1))));
    match bytes.ok_or_else(|| invalid("it is more than can be counted"))? {
        0 => Err(invalid("it comes to nothing")),
        bytes => Ok(bytes),
    }
}

#[cfg(test)]
mod tests;
