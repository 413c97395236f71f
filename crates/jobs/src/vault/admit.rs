//! Credentials: whether they count, and the vault that they open.
//!
//! What opens the store is, in this order: what the environment has; what was kept and lasts; the grant in the credentials.

use std::{path::Path, sync::Arc};

use resurgam_model::Timestamp;
use resurgam_store::{
    backend::{Backend, object::StoreAccess},
    keyring::KeptAccess,
    vault::{
        self, Clocks, VaultText,
        credentials::{self, Credentials, Unaccepted},
    },
};

use crate::{error::JobError, stores::Stores};

/// A vault that credentials lead to, opened with the access that there is.
pub(crate) struct Admitted {
    pub(crate) credentials: Credentials,
    pub(crate) place: Arc<dyn Backend>,
    pub(crate) text: VaultText,
    pub(crate) document: String,
    /// What opened the place: kept, so that the next command opens it too. Directories need none.
    pub(crate) access: Option<StoreAccess>,
    /// Whether that is the grant in the credentials, which ends with them.
    pub(crate) by_grant: bool,
}

/// Opens the vault that credentials are for, and sees that they count.
///
/// # Errors
/// Says which of the ways it is in which credentials do not count; and where the vault cannot be reached.
pub(crate) fn admit(stores: &Stores, text: &str, now: Timestamp) -> Result<Admitted, JobError> {
    let credentials = Credentials::parse(text).map_err(|error| unaccepted(&error))?;
    let location = Path::new(&credentials.url);
    let mut stores = stores.clone();
    let mut access = None;
    let mut by_grant = false;
    if Stores::is_url(location) {
        let at = stores.place(&credentials.url)?;
        let granted = credentials.grant.as_deref().and_then(|grant| StoreAccess::of_grant(&at, grant));
        let opens = match (StoreAccess::from_env(&at, &stores.variable), stores.access(&at), granted) {
            (Ok(own), _, _) => own,
            (Err(_), Ok(kept), _) if kept.is_lasting() => kept,
            // A former grant has ended, or is about to.
            (Err(_), _, Some(granted)) => {
                by_grant = true;
                granted
            }
            (Err(_), kept, None) => kept?,
        };
        stores.known.push(KeptAccess { place: at.to_string(), access: opens.clone() });
        access = Some(opens);
    }
    let place = stores.backend(location)?;
    let (vault, document) = vault::read(&*place)?;
    let clocks = Clocks { here: now, there: place.now().unwrap_or(None) };
    credentials::check(&*place, &vault, &credentials, &clocks)?.map_err(|error| unaccepted(&error))?;
    Ok(Admitted { credentials, place, text: vault, document, access, by_grant })
}

fn unaccepted(error: &Unaccepted) -> JobError {
    let (code, remedy) = match error {
        Unaccepted::Damaged => ("credentials-damaged", "fetch the whole file again"),
        Unaccepted::Forged => {
            ("credentials-forged", "ask the vault's owner for credentials: `resurgam vault credentials`")
        }
        Unaccepted::Foreign { .. } => ("credentials-foreign", "ask the owner of the vault that is meant"),
        Unaccepted::Superseded => ("credentials-superseded", "use the newest credentials, or ask for new ones"),
        Unaccepted::Expired { .. } => {
            ("credentials-expired", "ask the vault's owner for new credentials, and see that the clock is right")
        }
        Unaccepted::NotYet { .. } => ("clock-wrong", "set the clock, and run the command again"),
    };
    JobError::request(code, error.to_string(), remedy)
}
