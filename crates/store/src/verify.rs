//! Verifying and mending a volume.
//!
//! What is looked at, in this order: `VOLUME.toml`, the documents of replicas, points and capsules (both copies of each),
//! the index, the packs, and then which points the damage that is left touches. Without reading data, packs are only looked
//! for; pages of entries are always read and proved.
//!
//! What mends: the second copy of whatever is stored twice; parity; and a document that the caller has kept. A pack
//! that nothing mends is taken apart: what is sound in it moves to a new pack, the damaged one goes to `quarantine/`,
//! so that the blobs that are lost are in no pack, and the next backup of their source stores them again. Before that,
//! [`heal`] fetches them from other volumes of the server, where those have them.
//! Damage is told from distance: what cannot be reached is an error, and ends the run.

mod documents;
mod heal;
mod packs;
mod points;
mod proved;

use std::{collections::HashSet, sync::Arc};

pub use heal::{Donor, Healed, heal};
pub use proved::{Proved, fuzz_proved};
use resurgam_model::PointId;

use crate::{
    backend::{Held, Hold},
    entry::BlobId,
    error::{Fault, StoreError},
    index::INDEX,
    load::Loaded,
    meter::{Cancel, Meter},
    pack::PackId,
    point::ReplicaPlace,
    volume::{COLLECTOR, Volume},
};

/// How a volume is to be verified.
#[derive(Clone, Copy)]
pub struct Verify<'a> {
    /// Read packs and prove every byte; of this share of their bytes, in percent, those first that were proved longest ago.
    pub read_data: Option<u8>,
    /// What was proved when; this run adds to it.
    pub proved: &'a Proved,
    /// Mend what can be mended.
    pub repair: bool,
    /// Points that should be there, with their documents where the caller has them.
    pub known: &'a [KnownPoint],
    /// Whether a point is still meant to be there; asked again before its absence is told.
    pub is_known: &'a dyn Fn(PointId) -> bool,
    /// How many packs are read at once.
    pub threads: usize,
}

/// A point that the caller knows of.
#[derive(Debug, Clone)]
pub struct KnownPoint {
    /// Where it should be.
    pub place: ReplicaPlace,
    /// Its id.
    pub point: PointId,
    /// Its signed document.
    pub document: String,
}

/// Something wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The object, by its name in the volume.
    pub object: String,
    /// What is wrong.
    pub what: String,
    /// Whether it has been put right.
    pub mended: bool,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Verified {
    /// Bytes read and checked.
    pub checked_bytes: u64,
    /// Everything that was wrong.
    pub findings: Vec<Finding>,
    /// Points that cannot be restored whole.
    pub affected: Vec<(ReplicaPlace, PointId)>,
    /// Blobs that packs have lost, as far as the index said what was in them.
    lost: HashSet<(PackId, BlobId)>,
}

impl Verified {
    /// Whether anything is left that other volumes may help with.
    pub fn has_losses(&self) -> bool {
        let is_lost = |finding: &Finding| !finding.mended && heal::pack_of(finding).is_some();
        !self.affected.is_empty() || self.findings.iter().any(is_lost)
    }

    fn found(&mut self, object: impl Into<String>, what: impl Into<String>, mended: bool) {
        self.findings.push(Finding { object: object.into(), what: what.into(), mended });
    }
}

/// Verifies a volume. With `repair`, no collection may run at the same time.
pub fn verify(volume: &Arc<Volume>, how: &Verify<'_>, meter: &Meter, cancel: &Cancel) -> Result<Verified, StoreError> {
    let lock = if how.repair { Some(crate::collect::take_collector(volume, cancel)?) } else { None };
    let lock = lock.as_deref();
    let mut verified = Verified::default();
    let proved = documents::verify(volume, how, cancel, &mut verified)?;
    let mut lost = packs::verify(volume, how, &HashSet::new(), lock, meter, cancel, &mut verified)?;
    let before = verified.findings.len();
    let suspects = points::verify(volume, how, &proved, &lost, cancel, &mut verified)?;
    if how.repair && !suspects.is_empty() {
        // Pages lie in packs that are damaged, and that nobody looked through. Now somebody does.
        verified.findings.truncate(before);
        verified.affected.clear();
        let unread = Verify { read_data: None, ..*how };
        let more = packs::verify(volume, &unread, &suspects, lock, meter, cancel, &mut verified)?;
        lost.index = more.index;
        lost.damaged.extend(more.damaged);
        points::verify(volume, how, &proved, &lost, cancel, &mut verified)?;
    }
    lost.index.check()?;
    verified.checked_bytes = meter.read.get();
    verified.lost = lost.damaged;
    if how.repair {
        volume
            .backend()
            .keep_reserve()
            .or_else(|error| if error.kind == crate::error::Fault::Full { Ok(()) } else { Err(error) })?;
    }
    Ok(verified)
}

/// Loads the index, compares it with the packs that are there, and tells what is wrong with it.
///
/// The index is a cache, so what it lacks is made anew here, also without `repair`: packs that a killed writer left without
/// a segment are no damage, and a segment that is damaged or gone harms nobody once the packs have said what it said.
fn load_index(
    volume: &Arc<Volume>,
    how: &Verify<'_>,
    lock: Option<&dyn Held>,
    verified: &mut Verified,
) -> Result<Loaded, StoreError> {
    let (own, alone) = if how.repair { (None, true) } else { try_collector(volume)? };
    let lock = lock.or(own.as_deref());
    // Asked before the packs are listed: those who die later may have stored some that are not seen here.
    let dead = volume.backend().writers()?.dead;
    let mut loaded = Loaded::segments_proved(volume)?;
    let damaged = loaded.damaged.len();
    loaded.match_packs(volume)?;
    // What a killed collector had taken out of the index and not yet away is on its list.
    let condemned = crate::collect::condemned(volume)?.packs;
    let uncovered: Vec<PackId> =
        loaded.unindexed().map(|pack| pack.id).filter(|pack| !condemned.contains(pack)).collect();
    if damaged == 0 && uncovered.is_empty() {
        return Ok(loaded);
    }
    // Asked only now: whoever stored what was seen is registered still, or has ended, and then its segment is there.
    let writers = volume.backend().writers()?;
    let idle = alone && writers.alive.is_empty();
    let without_segment = idle && {
        let now = Loaded::segments(volume)?.index;
        uncovered.iter().any(|pack| !now.knows(*pack))
    };
    if damaged == 0 && !without_segment {
        return Ok(loaded);
    }
    let mended = match lock.filter(|_| idle).map(|lock| loaded.adopt(volume, lock, &dead)) {
        None => false,
        Some(Ok(())) => true,
        // No room for a cache is no reason to fail.
        Some(Err(StoreError::Backend(error))) if matches!(error.kind, Fault::Full | Fault::ReadOnly) => false,
        Some(Err(error)) => return Err(error),
    };
    for (object, what) in &loaded.damaged[..damaged] {
        verified.found(object, format!("{what}; its packs say what it said"), mended);
    }
    if damaged == 0 && writers.dead.is_empty() {
        verified.found(INDEX, "a segment is gone: there are packs that none covers", mended);
    }
    Ok(loaded)
}

/// The collector's lock, if it is to be had, and whether nobody else holds it.
fn try_collector(volume: &Volume) -> Result<(Option<Hold>, bool), StoreError> {
    match volume.backend().lock(COLLECTOR) {
        // Where nothing can be written, there is nothing to lock for.
        Err(error) if error.kind == Fault::ReadOnly => Ok((None, true)),
        taken => {
            let hold = taken?;
            let alone = hold.is_some();
            Ok((hold, alone))
        }
    }
}

#[cfg(test)]
mod tests;
