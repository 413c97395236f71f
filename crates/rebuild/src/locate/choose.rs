//! Which of the copies is taken.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use resurgam_jobs::JobError;

use super::{Candidate, Copy, Found, refused};

/// So many reasons a message holds.
const REASONS: usize = 5;

/// The copy to take: of those that `told` means (a path, the id of a point or the beginning of one, the id of a server, or
/// a kind: `native`, `pool`, `capsules`), else of all, the newest that can be used.
///
/// # Errors
/// Where there is none, with the reason for each; and where copies of several servers are among them.
pub fn choose<'a>(found: &'a Found, told: Option<&str>) -> Result<&'a Candidate, JobError> {
    choose_place(found, told).map(|place| &found.candidates[place])
}

/// The same, by its place in the list.
pub(crate) fn choose_place(found: &Found, told: Option<&str>) -> Result<usize, JobError> {
    let is_meant = |candidate: &&Candidate| told.is_none_or(|told| is_meant(candidate, told));
    let meant: Vec<&Candidate> = found.candidates.iter().filter(is_meant).collect();
    if meant.is_empty() {
        return Err(match told {
            Some(told) if !found.candidates.is_empty() => refused(
                format!("of the copies in {}, none is meant by `{told}`", found.what),
                "name its path, the id of its point, `native`, `pool` or `capsules`; or leave -Use out for the newest",
            ),
            _ => refused(
                format!("{} holds no copy of a catalog", capital(&found.what)),
                "name a native backup (DPMDB-….bak), a folder of them, or a volume of the pool (the directory with VOLUME.toml)",
            ),
        });
    }
    let usable: Vec<&Candidate> = meant.iter().copied().filter(|candidate| candidate.usable.is_ok()).collect();
    let newest = found.candidates.iter().position(|candidate| candidate.usable.is_ok() && is_meant(&candidate));
    let Some(newest) = newest else { return Err(none_usable(found, &meant)) };
    let servers: BTreeSet<_> = usable.iter().filter_map(|candidate| candidate.server).collect();
    if servers.len() > 1 {
        let names: Vec<String> = servers.iter().map(ToString::to_string).collect();
        return Err(refused(
            format!("there are copies of {} servers: {}", servers.len(), names.join(", ")),
            "say which with -Use and the server's id, or the path of the copy",
        ));
    }
    Ok(newest)
}

fn is_meant(candidate: &Candidate, told: &str) -> bool {
    let is_kind = candidate.kind() == told.to_ascii_lowercase();
    let of_server = candidate.server.is_some_and(|server| server.to_string() == told.to_ascii_lowercase());
    let is_it = match &candidate.copy {
        Copy::Native { path, .. } => {
            let absolute = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
            absolute(path) == absolute(&PathBuf::from(told)) || path.file_name().is_some_and(|name| name == told)
        }
        Copy::Point { point, .. } => {
            told.len() >= 4 && point.to_string().starts_with(told.to_ascii_lowercase().as_str())
        }
        Copy::Capsule { name, .. } => name.object() == told,
    };
    is_kind || of_server || is_it
}

fn none_usable(found: &Found, meant: &[&Candidate]) -> JobError {
    let reasons: Vec<String> = meant
        .iter()
        .take(REASONS)
        .filter_map(|candidate| candidate.usable.as_ref().err().map(|why| named(&candidate.id(), why)))
        .collect();
    let more = meant.len().saturating_sub(REASONS);
    let more = if more == 0 { String::new() } else { format!("; and {more} more") };
    let message = format!("{} holds no copy that can be used: {}{more}", capital(&found.what), reasons.join("; "));
    refused(message, "name another copy; `resurgam recovery-kit show` and the printed page tell where they lie")
}

/// A reason, with what it is about if it does not say so itself.
fn named(id: &str, why: &str) -> String {
    if why.starts_with(id) { why.to_owned() } else { format!("{id}: {why}") }
}

fn capital(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
