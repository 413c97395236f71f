//! What jobs achieved, in sentences.

use jiff::tz::TimeZone;
use resurgam_model::report::{ExpireReport, Fetch, PruneReport, RecoverEstimate, RecoverReport, VerifyReport};

use super::{amount, point};

/// `recover`: what came back, and where.
pub(crate) fn recovered(report: &RecoverReport, place: &str) -> String {
    let mut text = format!(
        "Recovered {}, {}, to {place}.\n",
        amount::counted(report.files, "file", "files"),
        amount::bytes(report.bytes)
    );
    if report.skipped > 0 {
        let there = amount::counted(report.skipped, "entry was", "entries were");
        text.push_str(&format!("{there} there already and left alone.\n"));
    }
    text
}

/// `recover --dry-run`.
pub(crate) fn estimated(estimate: &RecoverEstimate) -> String {
    let files = amount::counted(estimate.files, "file", "files");
    let fetch = estimate.fetch.as_ref().map_or_else(String::new, |fetch| format!("{}.\n", fetching(fetch)));
    format!("{files}, {}; nothing was recovered.\n{fetch}", amount::bytes(estimate.bytes))
}

/// What fetching takes.
pub(crate) fn fetching(fetch: &Fetch) -> String {
    let requests = amount::counted(fetch.requests, "request", "requests");
    format!("Fetching it takes {requests} and {}", amount::bytes(fetch.bytes))
}

/// `verify`: what was checked and what was found.
pub(crate) fn verified(report: &VerifyReport, was_data_read: bool, asked_to_repair: bool) -> String {
    let mut text = String::new();
    for damage in &report.damage {
        let state = if damage.mended { "mended" } else { "DAMAGED" };
        text.push_str(&format!("{state:<8} {}: {}\n", damage.object, damage.what));
    }
    let checked = if was_data_read {
        format!("Checked {}", amount::bytes(report.checked_bytes))
    } else {
        "Checked what describes the data, not the data itself (--read-data)".to_owned()
    };
    let left = report.damage.iter().filter(|damage| !damage.mended).count();
    let mended = report.damage.len() - left;
    match (mended, left) {
        (0, 0) => text.push_str(&format!("{checked}: all of it is sound.\n")),
        (_, 0) => text.push_str(&format!("{checked}: {mended} damaged and mended, nothing left to mend.\n")),
        _ => text.push_str(&format!("{checked}: {left} damaged and not mended, {mended} mended.\n")),
    }
    if !report.affected_points.is_empty() {
        text.push_str("These recovery points cannot be restored whole:\n");
        for id in &report.affected_points {
            text.push_str(&format!("  {id}\n"));
        }
    }
    if left > 0 {
        let next = if asked_to_repair {
            "Parity was not enough, and no other copy that could be read has it. The next backup of a source stores anew what the source still has: \
             `resurgam backup --consistency-check`, then `resurgam verify --read-data` again.\n"
        } else {
            "`resurgam verify --read-data --repair` mends what parity or another copy can mend.\n"
        };
        text.push_str(next);
    }
    text
}

/// `expire`: what was, or would be, given up.
pub(crate) fn expired(report: &ExpireReport, is_dry: bool, zone: &TimeZone, whole_ids: bool) -> String {
    let mut text = String::new();
    if !report.expired.is_empty() {
        text.push_str(&point::table(&report.expired, zone, whole_ids));
    }
    for paused in &report.paused {
        text.push_str(&format!("Held back for {}: {}\n", paused.source, paused.reason));
    }
    let count = amount::length(&report.expired);
    let (points, stay) = (amount::counted(count, "point", "points"), amount::count(report.kept));
    let done = if is_dry { "would be given up" } else { "given up" };
    text.push_str(&format!("{points} {done}, {stay} kept.\n"));
    if count > 0 && !is_dry {
        text.push_str("`resurgam prune` gives their space back.\n");
    }
    text
}

/// `prune`: what was, or would be, deleted.
pub(crate) fn pruned(report: &PruneReport, is_dry: bool) -> String {
    let packs = |number| amount::counted(number, "pack", "packs");
    let mut text = if is_dry {
        format!("{} would be deleted, {} rewritten", packs(report.packs_deleted), packs(report.packs_rewritten))
    } else {
        format!("{} deleted, {} rewritten", packs(report.packs_deleted), packs(report.packs_rewritten))
    };
    text.push_str(&format!(
        "; {} {}freed, {} moved.\n",
        amount::bytes(report.freed_bytes),
        if is_dry { "would be " } else { "" },
        amount::bytes(report.moved_bytes)
    ));
    if report.packs_waiting > 0 {
        let wait = amount::counted(report.packs_waiting, "pack waits", "packs wait");
        text.push_str(&format!("{wait} until the backups that run now have ended; a later prune deletes them.\n"));
    }
    text
}

#[cfg(test)]
mod tests;
