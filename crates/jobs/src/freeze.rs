//! Who may not delete: a restored catalog that has not been reconciled with the volumes yet, and one whose place another
//! has taken.

use std::path::Path;

use resurgam_model::lineage::Lineage;

use crate::{capsule::SUPERSEDED, error::JobError, server::Server};

impl Server {
    /// Refuses to delete while the catalog is frozen, or where it is not the current one any more.
    pub(crate) fn must_not_be_frozen(&self, attempt: &str) -> Result<(), JobError> {
        self.must_not_be_superseded(attempt)?;
        match self.catalog.lineage()?.and_then(|lineage| lineage.frozen) {
            None => Ok(()),
            Some(reason) => Err(JobError::request(
                "frozen",
                format!("cannot {attempt}: nothing is deleted while this catalog is frozen ({reason})"),
                "run `dpmsync -Sync`; where its report is not clean, look at it and accept it with `dpmsync -Accept`",
            )),
        }
    }

    /// Refuses where another catalog has taken this one's place.
    ///
    /// # Errors
    /// `superseded`; and where the catalog cannot be read.
    pub fn must_not_be_superseded(&self, attempt: &str) -> Result<(), JobError> {
        match self.superseded()? {
            None => Ok(()),
            Some(reason) => Err(JobError::request(
                "superseded",
                format!("cannot {attempt}: this catalog is not the current one any more ({reason})"),
                "use the server that was restored. To make this one the current one again: `resurgam catalog backup --to \
                 DIR`, then `dpmsync -RestoreDb -DbLoc DIR`",
            )),
        }
    }

    /// Which catalog has taken this one's place, in words. The volumes are asked, and what they say is written down.
    pub(crate) fn superseded(&self) -> Result<Option<String>, JobError> {
        let Some(own) = self.catalog.lineage()? else { return Ok(None) };
        match own.frozen {
            Some(reason) if reason.starts_with(SUPERSEDED) => return Ok(Some(reason)),
            // Restored just now: a person wants it to be the current one.
            Some(_) => return Ok(None),
            None => {}
        }
        // Parts of vaults are asked when something is sent there.
        for record in self.catalog.pool()? {
            // What cannot be opened cannot be deleted from either.
            let Ok((volume, _)) = self.open_to_read(Path::new(&record.location)) else { continue };
            if volume.about().server != self.record.id {
                continue;
            }
            if let Some(reason) = Self::successor_in(&volume, &own)? {
                self.give_way(own, &reason)?;
                return Ok(Some(reason));
            }
        }
        Ok(None)
    }

    /// Writes down that another catalog has taken this one's place.
    pub(crate) fn give_way(&self, mut own: Lineage, reason: &str) -> Result<(), JobError> {
        self.notice("this catalog has been replaced by a restored one; it deletes nothing any more".to_owned());
        own.frozen = Some(reason.to_owned());
        Ok(self.catalog.set_lineage(&own)?)
    }

    /// Ends the freeze: a sync ended clean, or a person has accepted its report.
    ///
    /// # Errors
    /// Where another catalog has taken this one's place: nothing ends that but a restore.
    pub fn thaw(&self) -> Result<(), JobError> {
        self.must_not_be_superseded("allow deleting again")?;
        if let Some(mut lineage) = self.catalog.lineage()?.filter(|lineage| lineage.frozen.is_some()) {
            lineage.frozen = None;
            self.catalog.set_lineage(&lineage)?;
        }
        Ok(())
    }
}
