//! What recovery points hold, a line for each entry: these lists can be longer than memory.

use jiff::{Timestamp, tz::TimeZone};
use resurgam_model::report::{Change, Difference, Listed};

/// A line of `ls`, in the manner of `ls -l`.
pub(crate) fn listed(entry: &Listed, zone: &TimeZone) -> String {
    let Listed { owner, group, size, path, .. } = entry;
    let mode = mode(entry.kind, &entry.mode);
    let modified = modified(&entry.modified, zone);
    let target = entry.target.as_ref().map_or_else(String::new, |target| format!(" -> {target}"));
    format!("{mode} {owner:<8} {group:<8} {size:>14} {modified}  {path}{target}")
}

/// A line of `find`.
pub(crate) fn found(entry: &Listed, id_length: usize, zone: &TimeZone) -> String {
    let id = super::point::short(&entry.point, id_length);
    format!("{id}  {:>14}  {}  {}", entry.size, modified(&entry.modified, zone), entry.path)
}

/// A line of `diff`.
pub(crate) fn difference(difference: &Difference) -> String {
    let word = match difference.change {
        Change::Added => "added",
        Change::Removed => "removed",
        Change::Modified => "modified",
        Change::Attributes => "attributes",
    };
    format!("{word:<10}  {}", difference.path)
}

/// Kind and permission bits as `ls` writes them: `drwxr-xr-t`. Bits that are no octal number are shown as they are.
fn mode(kind: &str, octal: &str) -> String {
    let kind = match kind {
        "directory" => 'd',
        "symlink" => 'l',
        "fifo" => 'p',
        "socket" => 's',
        "character-device" => 'c',
        "block-device" => 'b',
        _ => '-',
    };
    let Ok(bits) = u32::from_str_radix(octal, 8) else { return format!("{kind}{octal:<9}") };
    let mut text = String::from(kind);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bit = |mask: u32| (bits >> shift) & mask != 0;
        text.push(if bit(4) { 'r' } else { '-' });
        text.push(if bit(2) { 'w' } else { '-' });
        text.push(match (bits & special != 0, bit(1)) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// RFC 3339 as a local time; what is beyond that stays as it is.
fn modified(text: &str, zone: &TimeZone) -> String {
    text.parse::<Timestamp>()
        .map_or_else(|_| text.to_owned(), |time| time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string())
}

#[cfg(test)]
mod tests;
