//! Credentials: the owner's leave to register a server, or to recover another one's points. Short-lived, and only the newest
//! count.

use resurgam_model::{Timestamp, VaultId};
use serde::{Deserialize, Serialize};

use super::{Clocks, VaultText, read_owned};
use crate::{
    backend::Backend,
    document,
    error::StoreError,
    keys::{self, PublicKey, SigningKey, hex},
};

/// Which credentials are the newest.
const NEWEST: &str = "CREDENTIALS.toml";
const DOCUMENT: &str = "vault credentials";
const NEWEST_DOCUMENT: &str = "newest credentials";
const HEAD: &str =
    "# Leave to register a server with a Resurgam vault. It ends soon, and newer credentials end it at once.\n";

/// What a credentials file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// Always `vault credentials`.
    pub document: String,
    /// The vault.
    pub vault: VaultId,
    /// Its URL.
    pub url: String,
    /// The key that its owner signs with.
    pub owner_key: PublicKey,
    /// Tells these credentials from all others.
    pub serial: String,
    /// When they were issued.
    pub issued: Timestamp,
    /// When they end.
    pub expires: Timestamp,
    /// A grant of the store, which ends with them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Newest {
    document: String,
    vault: VaultId,
    serial: String,
}

/// Why credentials are not accepted. Each is told apart, since the remedies differ.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unaccepted {
    /// The text is no credentials file, or not all of one.
    #[error("the file holds no whole credentials: it was cut off, changed or is something else")]
    Damaged,
    /// Somebody else signed them.
    #[error("the signature on the credentials is not that of the vault's owner: they are forged, or were changed")]
    Forged,
    /// They are for another vault.
    #[error("the credentials are for vault {credentials}, and vault {there} lies at their URL")]
    Foreign {
        /// The vault that they are for.
        credentials: VaultId,
        /// The vault that is there.
        there: VaultId,
    },
    /// Newer ones were issued.
    #[error("newer credentials have been issued since; only the newest count")]
    Superseded,
    /// Their time is over.
    #[error("the credentials have expired: they ended at {expires}, and it is {now}")]
    Expired {
        /// When they ended.
        expires: Timestamp,
        /// What time it is, by the clock that is ahead.
        now: Timestamp,
    },
    /// They are of a time that has not come yet.
    #[error("the credentials were issued at {issued}, and the clock here says {here}: it is wrong")]
    NotYet {
        /// When they were issued.
        issued: Timestamp,
        /// What this machine's clock says.
        here: Timestamp,
    },
}

/// How far the clock here may be behind the one that issued the credentials.
const CLOCK_SKEW_SECONDS: i64 = 15 * 60;

impl Credentials {
    /// Reads a credentials file whose signature is by the key that it names; whether that key is the owner's, [`check`] says.
    ///
    /// # Errors
    /// [`Unaccepted::Damaged`] and [`Unaccepted::Forged`].
    pub fn parse(text: &str) -> Result<Self, Unaccepted> {
        let credentials: Self = document::from_text("credentials", text).map_err(|_| Unaccepted::Damaged)?;
        if credentials.document != DOCUMENT || !document::is_whole(text) {
            return Err(Unaccepted::Damaged);
        }
        document::verify(text, &credentials.owner_key).ok_or(Unaccepted::Forged)?;
        Ok(credentials)
    }
}

/// Issues credentials: what was issued before counts no more. Returns the text for the file.
///
/// # Errors
/// Where the vault cannot be written, or the key is not its owner's.
pub fn issue(
    place: &dyn Backend,
    vault: &VaultText,
    url: &str,
    grant: Option<String>,
    owner: &SigningKey,
    now: Timestamp,
) -> Result<(Credentials, String), StoreError> {
    let expires = now
        .checked_add(jiff::SignedDuration::from_hours(i64::from(vault.rules.credentials_hours)))
        .map_err(|error| StoreError::Internal(format!("credentials cannot end then: {error}")))?;
    let serial = hex(&keys::random::<16>()?);
    let newest = Newest { document: NEWEST_DOCUMENT.to_owned(), vault: vault.vault, serial: serial.clone() };
    let credentials = Credentials {
        document: DOCUMENT.to_owned(),
        vault: vault.vault,
        url: url.to_owned(),
        owner_key: owner.public(),
        serial,
        issued: now,
        expires,
        grant,
    };
    let text = document::sign(&format!("{HEAD}{}", document::to_text(&credentials)?), owner);
    place.replace(NEWEST, document::sign(&document::to_text(&newest)?, owner).as_bytes())?;
    Ok((credentials, text))
}

/// Whether credentials count: by what the vault says, and by the clocks.
///
/// # Errors
/// Where the vault cannot be read; inside, why they do not count.
pub fn check(
    place: &dyn Backend,
    vault: &VaultText,
    credentials: &Credentials,
    clocks: &Clocks,
) -> Result<Result<(), Unaccepted>, StoreError> {
    let newest: Option<Newest> = read_owned(place, NEWEST, vault)?;
    let serial = newest.filter(|newest| newest.document == NEWEST_DOCUMENT && newest.vault == vault.vault);
    Ok(judge(vault, credentials, serial.as_ref().map(|newest| newest.serial.as_str()), clocks))
}

/// The decision alone.
fn judge(
    vault: &VaultText,
    credentials: &Credentials,
    newest: Option<&str>,
    clocks: &Clocks,
) -> Result<(), Unaccepted> {
    if credentials.vault != vault.vault {
        return Err(Unaccepted::Foreign { credentials: credentials.vault, there: vault.vault });
    }
    if credentials.owner_key != vault.owner_key {
        return Err(Unaccepted::Forged);
    }
    if newest != Some(credentials.serial.as_str()) {
        return Err(Unaccepted::Superseded);
    }
    let now = clocks.latest();
    if now >= credentials.expires {
        return Err(Unaccepted::Expired { expires: credentials.expires, now });
    }
    if clocks.here.as_second() + CLOCK_SKEW_SECONDS < credentials.issued.as_second() {
        return Err(Unaccepted::NotYet { issued: credentials.issued, here: clocks.here });
    }
    Ok(())
}
