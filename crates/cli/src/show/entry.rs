//! What recovery points hold, a line for each entry: these lists can be longer than memory.

use std::fmt::Write;

use jiff::{
    fmt::{StdFmtWrite, temporal::DateTimePrinter},
    tz::TimeZone,
};
use resurgam_model::report::{Change, Difference, Listed, Modified};

/// A local time, in the manner of `ls -l`.
const TIME: DateTimePrinter = DateTimePrinter::new().separator(b' ').precision(Some(0));

/// A line of `ls`, in the manner of `ls -l`.
pub(crate) fn listed(line: &mut String, entry: &Listed, zone: &TimeZone) {
    let Listed { owner, group, size, path, .. } = entry;
    mode(line, entry.kind, entry.mode);
    say(line, format_args!(" {owner:<8} {group:<8} {size:>14} "));
    modified(line, entry.modified, zone);
    say(line, format_args!("  {path}"));
    if let Some(target) = &entry.target {
        say(line, format_args!(" -> {target}"));
    }
}

/// A line of `find`.
pub(crate) fn found(line: &mut String, entry: &Listed, id_length: usize, zone: &TimeZone) {
    let id = super::point::short(&entry.point, id_length);
    say(line, format_args!("{id}  {:>14}  ", entry.size));
    modified(line, entry.modified, zone);
    say(line, format_args!("  {}", entry.path));
}

/// A line of `diff`.
pub(crate) fn difference(line: &mut String, difference: &Difference) {
    let word = match difference.change {
        Change::Added => "added",
        Change::Removed => "removed",
        Change::Modified => "modified",
        Change::Attributes => "attributes",
    };
    say(line, format_args!("{word:<10}  {}", difference.path));
}

/// Kind and permission bits as `ls` writes them: `drwxr-xr-t`.
fn mode(line: &mut String, kind: &str, bits: u32) {
    line.push(match kind {
        "directory" => 'd',
        "symlink" => 'l',
        "fifo" => 'p',
        "socket" => 's',
        "character-device" => 'c',
        "block-device" => 'b',
        _ => '-',
    });
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bit = |mask: u32| (bits >> shift) & mask != 0;
        line.push(if bit(4) { 'r' } else { '-' });
        line.push(if bit(2) { 'w' } else { '-' });
        line.push(match (bits & special != 0, bit(1)) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
}

fn modified(line: &mut String, modified: Modified, zone: &TimeZone) {
    match modified {
        // Nothing here can fail: it is a string that is written to.
        Modified::At(time) => drop(TIME.print_datetime(&zone.to_datetime(time), StdFmtWrite(line))),
        Modified::Beyond(_) => say(line, format_args!("{modified}")),
    }
}

/// Appends to a line, which never fails.
fn say(line: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = line.write_fmt(text);
}

#[cfg(test)]
mod tests;
