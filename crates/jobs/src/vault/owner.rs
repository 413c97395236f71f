//! What the owner of a vault does: makes it, tests its store, issues credentials and PINs. No server is needed for it.

use std::{path::Path, sync::Arc};

use resurgam_model::{Timestamp, VaultId, report::StoreCheck};
use resurgam_store::{
    backend::{Backend, conformance},
    keys::random,
    vault::{
        self, Rules, VaultText,
        credentials::{self, Credentials},
        owner::OwnerKey,
        pin,
    },
};
use zeroize::Zeroizing;

use crate::{
    error::JobError,
    stores::{Stores, below},
};

/// Makes a vault at a location.
///
/// # Errors
/// Where there is one already, or the place cannot be written.
pub fn create_vault(
    stores: &Stores,
    location: &str,
    name: Option<&str>,
    rules: Rules,
    owner: &OwnerKey,
    now: Timestamp,
) -> Result<VaultText, JobError> {
    let location = stores.settled(location)?;
    let place = stores.make(&location)?;
    let name = name.map_or_else(|| last_of(&location), str::to_owned);
    Ok(vault::create(&*place, VaultId::from_random(random()?), &name, rules, owner.signing(), now)?)
}

/// What people call a place that nobody named.
fn last_of(location: &str) -> String {
    location.trim_end_matches('/').rsplit('/').next().unwrap_or(location).to_owned()
}

/// Issues credentials: the text for their file. With a grant of the store, where it gives one.
///
/// # Errors
/// Where there is no vault, or the key is not its owner's.
pub fn issue_credentials(
    stores: &Stores,
    location: &str,
    owner: &OwnerKey,
    now: Timestamp,
) -> Result<(Credentials, String), JobError> {
    let (location, place, text) = owned(stores, location, owner)?;
    let hours = i64::from(text.rules.credentials_hours);
    let until = now.checked_add(jiff::SignedDuration::from_hours(hours)).unwrap_or(now);
    let grant = if Stores::is_url(Path::new(&location)) {
        let at = stores.place(&location)?;
        stores.access(&at)?.grant(&at, until, now)
    } else {
        None
    };
    Ok(credentials::issue(&*place, &text, &location, grant, owner.signing(), now)?)
}

/// Tests whether a store does what a vault relies on, below a prefix of its own that is cleared again.
///
/// # Errors
/// Where the place cannot be reached at all.
pub fn check_vault(stores: &Stores, location: &str) -> Result<Vec<StoreCheck>, JobError> {
    let location = stores.settled(location)?;
    let name = format!("resurgam-check-{}", resurgam_store::keys::hex(&random::<8>()?));
    let below = below(&location, &name);
    let place = stores.make(&below)?;
    // One that cannot be reached is no store that breaks promises.
    place.list("")?;
    let checks = checks(&*place);
    for listed in place.list("")? {
        place.delete(&listed.name)?;
    }
    if !Stores::is_url(Path::new(&below)) {
        let _ = std::fs::remove_dir_all(&below);
    }
    checks
}

/// Retention is a setting of the bucket, which no request for an object tells.
const VERSIONS: &str =
    "with a default retention (object lock, immutability) set for the bucket, nobody can delete them before";
const NO_VERSIONS: &str =
    "whoever has the store's keys can delete for good: set object lock or immutability, where the store has it";

fn checks(place: &dyn Backend) -> Result<Vec<StoreCheck>, JobError> {
    let check = |(promise, kept): (&str, Result<(), String>)| StoreCheck {
        promise: promise.to_owned(),
        holds: kept.is_ok(),
        optional: false,
        what: kept.err(),
    };
    let mut checks: Vec<StoreCheck> = conformance::each(place).map(check).collect();
    let clock = place.now()?;
    checks.push(StoreCheck {
        promise: "the store has a clock of its own".to_owned(),
        holds: clock.is_some(),
        optional: true,
        what: clock.map(|time| time.to_string()),
    });
    let versions = place.keeps_versions()?;
    checks.push(StoreCheck {
        promise: "the store keeps versions of what is deleted or written over".to_owned(),
        holds: versions,
        optional: true,
        what: Some(if versions { VERSIONS } else { NO_VERSIONS }.to_owned()),
    });
    Ok(checks)
}

/// Makes a PIN, good for five minutes.
///
/// # Errors
/// Where there is no vault, or the key is not its owner's.
pub fn make_pin(
    stores: &Stores,
    location: &str,
    owner: &OwnerKey,
    now: Timestamp,
) -> Result<Zeroizing<String>, JobError> {
    let (_, place, text) = owned(stores, location, owner)?;
    Ok(pin::make(&*place, &text, owner.signing(), now)?)
}

fn owned(stores: &Stores, location: &str, owner: &OwnerKey) -> Result<(String, Arc<dyn Backend>, VaultText), JobError> {
    let location = stores.settled(location)?;
    let place = stores.backend(Path::new(&location))?;
    let (text, _) = vault::read(&*place)?;
    if text.owner_key != owner.signing().public() {
        let message = format!("the key is not that of the owner of the vault in {location}");
        return Err(JobError::request("owner-key", message, "give the file that `vault create` wrote for this vault"));
    }
    Ok((location, place, text))
}
