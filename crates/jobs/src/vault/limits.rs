//! How fast vaults may be talked to: settings, so that a rebuilt server has them again.

use std::collections::HashMap;

use resurgam_catalog::Catalog;
use resurgam_model::{
    VaultId,
    report::VaultSummary,
    transfer::{MOST_REQUESTS_AT_ONCE, SLOWEST_BYTES_PER_SECOND, TransferLimits},
};

use crate::{error::JobError, server::Server, stores::PlaceLimits};

const UP: &str = "up";
const DOWN: &str = "down";
const REQUESTS: &str = "requests";

/// What is to change; `None`: it stays. `Some(None)` lifts a limit.
#[derive(Debug, Clone, Copy, Default)]
pub struct LimitsChange {
    /// Bytes a second, sent.
    pub up_bytes_per_second: Option<Option<u64>>,
    /// Bytes a second, received.
    pub down_bytes_per_second: Option<Option<u64>>,
    /// Requests at once.
    pub requests_at_once: Option<Option<u64>>,
}

/// The setting that holds a limit of a vault.
fn setting(vault: VaultId, limit: &str) -> String {
    format!("vault-{limit} {vault}")
}

/// The limits of every vault, for whoever opens something there.
pub(crate) fn of_vaults(catalog: &Catalog) -> Result<Vec<PlaceLimits>, JobError> {
    let vaults = catalog.vaults()?;
    if vaults.is_empty() {
        return Ok(Vec::new());
    }
    let settings: HashMap<String, String> = catalog.settings()?.into_iter().collect();
    let of = |vault: VaultId, limit| settings.get(&setting(vault, limit)).and_then(|text| text.parse().ok());
    let limits = vaults.into_iter().map(|vault| PlaceLimits {
        limits: TransferLimits {
            up_bytes_per_second: of(vault.id, UP),
            down_bytes_per_second: of(vault.id, DOWN),
            // What a hand has written there must not keep everything waiting for ever.
            requests_at_once: of(vault.id, REQUESTS).filter(|number| *number > 0),
        },
        place: vault.location,
    });
    Ok(limits.filter(|known| known.limits != TransferLimits::default()).collect())
}

impl Server {
    /// Sets how fast a vault may be talked to. It counts for commands that begin from now on.
    ///
    /// # Errors
    /// Where a limit makes no sense, or the catalog cannot be written.
    pub fn limit_vault(&mut self, vault: Option<&str>, change: &LimitsChange) -> Result<VaultSummary, JobError> {
        let vault = self.find_vault(vault)?;
        let slowest = [change.up_bytes_per_second, change.down_bytes_per_second];
        if slowest.into_iter().flatten().flatten().any(|rate| rate < SLOWEST_BYTES_PER_SECOND) {
            let message = format!("fewer than {SLOWEST_BYTES_PER_SECOND} bytes a second are as good as none");
            return Err(JobError::request("limit", message, "give at least 16K, or `none` for no limit"));
        }
        if change.requests_at_once.flatten().is_some_and(|number| !(1..=MOST_REQUESTS_AT_ONCE).contains(&number)) {
            let message = format!("the number of requests at once must be from 1 to {MOST_REQUESTS_AT_ONCE}");
            return Err(JobError::request("limit", message, "give such a number, or `none` for the usual one"));
        }
        for (limit, wanted) in [
            (UP, change.up_bytes_per_second),
            (DOWN, change.down_bytes_per_second),
            (REQUESTS, change.requests_at_once),
        ] {
            let name = setting(vault.id, limit);
            match wanted {
                None => {}
                Some(None) => self.catalog.remove_setting(&name)?,
                Some(Some(number)) => self.catalog.set_setting(&name, &number.to_string())?,
            }
        }
        self.limits = of_vaults(&self.catalog)?;
        self.publish_capsules()?;
        self.vault_summary(&vault)
    }

    /// How fast a place may be talked to, as people set it.
    pub(crate) fn limits_of(&self, location: &str) -> TransferLimits {
        let known = self.limits.iter().find(|known| known.place == location);
        known.map(|known| known.limits).unwrap_or_default()
    }
}
