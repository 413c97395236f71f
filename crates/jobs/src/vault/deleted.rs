//! Online points that were given up: listing them, putting them back, and purging them when their days are over.

use std::collections::HashSet;

use resurgam_catalog::VolumeRecord;
use resurgam_model::{PointId, Timestamp, id::by_prefix, report::DeletedSummary};
use resurgam_store::{Cancel, Volume, deleted::DeletedPoint, point::ReplicaPlace, vault::VaultText};

use crate::{error::JobError, server::Server};

impl Server {
    /// The online points that were given up and can come back.
    pub fn deleted_points(&self, vault: Option<&str>) -> Result<Vec<DeletedSummary>, JobError> {
        let vault = self.find_vault(vault)?;
        let part = self.part_of(&vault)?;
        let (_, text) = self.rules_of(&vault)?;
        let mut found = Vec::new();
        for (place, point) in Self::deleted_in(&part)? {
            let deleted = match part.deleted_point(&place, point) {
                Err(error) if error.is_not_found() => continue,
                read => read?,
            };
            found.push(DeletedSummary {
                id: point,
                source: deleted.text.root.clone(),
                source_id: deleted.text.source,
                time: deleted.text.time,
                deleted: deleted.deleted,
                until: returns_until(&deleted, &text).unwrap_or(Timestamp::MAX),
            });
        }
        found.sort_by_key(|point| (point.deleted, point.id));
        Ok(found)
    }

    /// The names of points that are given up, without those that a kill left in both places. What is there is listed first.
    fn deleted_in(part: &Volume) -> Result<Vec<(ReplicaPlace, PointId)>, JobError> {
        let there: HashSet<_> = part.point_names()?.into_iter().collect();
        Ok(part.deleted_names()?.into_iter().filter(|name| !there.contains(name)).collect())
    }

    /// Puts an online point back that was given up.
    pub fn undelete(&self, point: &str, vault: Option<&str>) -> Result<DeletedSummary, JobError> {
        let deleted = self.deleted_points(vault)?;
        let wanted = by_prefix(point, deleted, |deleted| deleted.id.to_string()).map_err(|error| {
            JobError::request(
                "no-point",
                format!("deleted point `{point}`: {error}"),
                "`resurgam vault undelete` without a point shows those that can come back",
            )
        })?;
        let part = self.part_of(&self.find_vault(vault)?)?;
        let name = Self::deleted_in(&part)?.into_iter().find(|(_, id)| *id == wanted.id);
        if let Some((place, id)) = name {
            let _lock = part.lock_points(&place, &Cancel::default())?;
            let found = part.undelete(&place, id)?;
            self.adopt_online(&part, &place, &found.text, found.document)?;
        }
        Ok(wanted)
    }

    /// Gives points up for good whose days are over, by every clock that there is. Returns how many.
    ///
    /// Points are listed before any deleted one is read. So one that is being given up now is either listed still, and left
    /// alone, or was deleted before, and is read with the time of that.
    pub(crate) fn purge_deleted(&self, record: &VolumeRecord, part: &Volume) -> Result<u64, JobError> {
        let Some(vault) = self.catalog.vaults()?.into_iter().find(|vault| vault.part == record.id) else {
            return Ok(0);
        };
        let (place, text) = self.rules_of(&vault)?;
        let now = self.clocks(&*place).earliest();
        let mut purged = 0;
        for (place, point) in Self::deleted_in(part)? {
            // Whoever puts it back holds this while it lies in both places.
            let _lock = part.lock_points(&place, &Cancel::default())?;
            let deleted = match part.deleted_point(&place, point) {
                Err(error) if error.is_not_found() => continue,
                read => read?,
            };
            if returns_until(&deleted, &text).is_some_and(|until| until <= now) {
                part.purge(&place, point)?;
                purged += 1;
            }
        }
        Ok(purged)
    }
}

/// Until when a deleted point can come back; `None`: for ever.
fn returns_until(deleted: &DeletedPoint, vault: &VaultText) -> Option<Timestamp> {
    let kept = jiff::SignedDuration::from_hours(24 * i64::from(vault.rules.deleted_days));
    deleted.deleted.checked_add(kept).ok()
}
