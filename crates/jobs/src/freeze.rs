//! While a restored catalog has not been reconciled with the volumes, nothing is deleted.

use crate::{error::JobError, server::Server};

impl Server {
    /// Refuses to delete while the catalog is frozen.
    pub(crate) fn must_not_be_frozen(&self, attempt: &str) -> Result<(), JobError> {
        match self.catalog.lineage()?.and_then(|lineage| lineage.frozen) {
            None => Ok(()),
            Some(reason) => Err(JobError::request(
                "frozen",
                format!("cannot {attempt}: nothing is deleted while this catalog is frozen ({reason})"),
                "run `dpmsync -Sync`; where its report is not clean, look at it and accept it with `dpmsync -Accept`",
            )),
        }
    }

    /// Ends the freeze: a sync ended clean, or a person has accepted its report.
    pub fn thaw(&self) -> Result<(), JobError> {
        if let Some(mut lineage) = self.catalog.lineage()?.filter(|lineage| lineage.frozen.is_some()) {
            lineage.frozen = None;
            self.catalog.set_lineage(&lineage)?;
        }
        Ok(())
    }
}
