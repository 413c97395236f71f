//! Taking over what people decided after the copy was made that the catalog was restored from.

use resurgam_catalog::{Apply, CharterChange};
use resurgam_jobs::{JobError, Server, capsule::CapsuleText};
use resurgam_model::lineage::Lineage;

use super::{Item, SyncReport, observe::Observation};

/// The newest capsule that says more than the catalog knows: of the lineage that this one was restored from, or of its own,
/// and with a higher sequence.
fn newer<'a>(own: &Lineage, found: &'a Observation) -> Option<(&'a CapsuleText, u64)> {
    let candidates = found
        .capsules
        .iter()
        .filter(|(_, capsule, sequence)| capsule.generation <= own.generation && *sequence > own.sequence);
    let newest = candidates.max_by_key(|(_, capsule, sequence)| (capsule.generation, *sequence));
    newest.map(|(_, capsule, sequence)| (capsule, *sequence))
}

/// A volume that was out of reach when the catalog was restored may know one that was restored as often, or more often. This
/// one is the last that a person has restored, so it goes before that.
fn outrank(server: &Server, own: &mut Lineage, found: &Observation, what_if: bool) -> Result<(), JobError> {
    let others = found.capsules.iter().filter(|(lineage, ..)| *lineage != own.id);
    let highest = others.map(|(_, capsule, _)| capsule.generation).max().unwrap_or(0);
    if own.frozen.is_some() && highest >= own.generation {
        own.generation = highest + 1;
        // So that the volumes hear of it.
        own.digest.clear();
        if !what_if {
            server.catalog().set_lineage(own)?;
        }
    }
    Ok(())
}

/// Adopts the newest capsule's charter where it is newer than the catalog. Nothing that the catalog has goes.
pub(super) fn adopt(
    server: &Server,
    found: &Observation,
    what_if: bool,
    report: &mut SyncReport,
) -> Result<(), JobError> {
    let Some(mut own) = server.catalog().lineage()? else { return Ok(()) };
    outrank(server, &mut own, found, what_if)?;
    let Some((capsule, sequence)) = newer(&own, found) else { return Ok(()) };
    if what_if {
        report.adopted.push(Item::new("configuration", sequence.to_string(), "the newest capsule's configuration"));
        return Ok(());
    }
    // The keys may be new since; whose the catalog is, it knows itself.
    let mut charter = capsule.charter.clone();
    let whose = server.catalog().charter()?.server;
    if charter.server.public_key != whose.public_key {
        // A kit of keys that are lost is none.
        charter.settings.retain(|name, _| !name.starts_with("kit-"));
    }
    charter.server = whose;
    let applied = server.catalog().apply_charter(&charter, Apply::Adopt)?;
    for (row, change) in applied.done {
        let how = match change {
            CharterChange::Added => "added",
            CharterChange::Changed => "changed",
        };
        report.adopted.push(Item::new(row.kind.to_string(), row.id, format!("{} ({how})", row.name)));
    }
    report.kept.extend(applied.only_here.into_iter().map(|row| Item::new(row.kind.to_string(), row.id, row.name)));
    own.sequence = sequence;
    server.catalog().set_lineage(&own)?;
    Ok(())
}
