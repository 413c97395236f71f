//! PINs: the owner's leave, given within minutes, for what cannot be taken back.

use resurgam_model::{Timestamp, VaultId};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Clocks, VaultText, read_owned};
use crate::{
    backend::Backend,
    document,
    error::StoreError,
    keys::{self, SigningKey, hex, same, stretch_pin, unhex},
};

const PIN: &str = "PIN.toml";
const DOCUMENT: &str = "pin";
/// How long a PIN is good for, in seconds: as in MABS.
pub const LIFE_SECONDS: i64 = 300;
/// Digits of a PIN.
const DIGITS: usize = 8;

/// What `PIN.toml` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinText {
    document: String,
    vault: VaultId,
    salt: String,
    hash: String,
    issued: Timestamp,
    expires: Timestamp,
}

/// Why a PIN is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unaccepted {
    /// It is not the newest PIN.
    #[error("the PIN is wrong, or a newer one has been made since")]
    Wrong,
    /// Its five minutes are over.
    #[error("the PIN has expired: it is good for five minutes")]
    Expired,
}

/// Makes a PIN; the one before counts no more.
///
/// # Errors
/// Where the vault cannot be written.
pub fn make(
    place: &dyn Backend,
    vault: &VaultText,
    owner: &SigningKey,
    now: Timestamp,
) -> Result<Zeroizing<String>, StoreError> {
    let random = Zeroizing::new(keys::random::<DIGITS>()?);
    // Two hundred and fifty numbers, so that every digit is as likely as any other.
    let mut digits = Zeroizing::new(String::with_capacity(DIGITS));
    for byte in random.iter() {
        let mut byte = *byte;
        while byte >= 250 {
            [byte] = keys::random::<1>()?;
        }
        digits.push(char::from(b'0' + byte % 10));
    }
    let salt: [u8; 16] = keys::random()?;
    let hash = stretch_pin(digits.as_bytes(), &salt)
        .ok_or_else(|| StoreError::Internal("Argon2id refused its parameters".to_owned()))?;
    let expires = now
        .checked_add(jiff::SignedDuration::from_secs(LIFE_SECONDS))
        .map_err(|error| StoreError::Internal(format!("a PIN cannot end then: {error}")))?;
    let text = PinText {
        document: DOCUMENT.to_owned(),
        vault: vault.vault,
        salt: hex(&salt),
        hash: hex(hash.as_slice()),
        issued: now,
        expires,
    };
    place.replace(PIN, document::sign(&document::to_text(&text)?, owner).as_bytes())?;
    Ok(digits)
}

/// Whether a PIN counts.
///
/// # Errors
/// Where the vault cannot be read; inside, why it does not count.
pub fn check(
    place: &dyn Backend,
    vault: &VaultText,
    typed: &str,
    clocks: &Clocks,
) -> Result<Result<(), Unaccepted>, StoreError> {
    let Some(pin) = read_owned::<PinText>(place, PIN, vault)? else { return Ok(Err(Unaccepted::Wrong)) };
    if pin.document != DOCUMENT || pin.vault != vault.vault {
        return Ok(Err(Unaccepted::Wrong));
    }
    let hash = unhex(&pin.salt).and_then(|salt| stretch_pin(typed.trim().as_bytes(), &salt));
    let right = hash.zip(unhex(&pin.hash)).is_some_and(|(typed, wanted)| same(typed.as_slice(), &wanted));
    Ok(if !right {
        Err(Unaccepted::Wrong)
    } else if clocks.latest() >= pin.expires {
        Err(Unaccepted::Expired)
    } else {
        Ok(())
    })
}
