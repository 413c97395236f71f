//! Vaults: a place that holds a volume for each server registered there, with rules about who may register and what may be
//! deleted. `docs/format/vault.md` has the objects. What lies in a server's part is a volume like any other.
//!
//! Everything here is signed by the owner's key, which no server has. Nobody is kept from the store by it who has the
//! store's own keys; it keeps mistakes, and servers that were taken over, from what only the owner decides.

use resurgam_model::{ServerId, Timestamp, VaultId};
use serde::{Deserialize, Serialize};

use crate::{
    backend::{self, Backend},
    document,
    error::{Fault, StoreError},
    keys::{PublicKey, SigningKey},
    limits::DOCUMENT_MAX,
};

pub mod credentials;
pub mod owner;
pub mod pin;

/// Name of the text at the head of a vault.
pub const VAULT_TOML: &str = "VAULT.toml";
/// Below it lie the parts, each under its server's id.
pub const SERVERS: &str = "servers/";
/// The version of the layout that this program makes, and the newest that it knows.
const FORMAT: u32 = 1;
const DOCUMENT: &str = "vault";

/// What `VAULT.toml` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultText {
    /// Always `vault`.
    pub document: String,
    /// Version of the layout.
    pub format: u32,
    /// The vault.
    pub vault: VaultId,
    /// What people call it.
    pub name: String,
    /// The key that its owner signs with.
    pub owner_key: PublicKey,
    /// When it was made.
    pub created: Timestamp,
    /// The rules.
    #[serde(flatten)]
    pub rules: Rules,
}

/// The rules of a vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// How long credentials are good for.
    pub credentials_hours: u32,
    /// How long a point that was given up can come back.
    pub deleted_days: u32,
    /// No policy may keep points for less than this.
    pub minimum_days: u32,
}

impl Default for Rules {
    /// As in MABS: 48 hours, 14 days, 7 days.
    fn default() -> Self {
        Self { credentials_hours: 48, deleted_days: 14, minimum_days: 7 }
    }
}

/// What time it is, by two clocks that need not agree.
#[derive(Debug, Clone, Copy)]
pub struct Clocks {
    /// By this machine's.
    pub here: Timestamp,
    /// By the store's, where it has one.
    pub there: Option<Timestamp>,
}

impl Clocks {
    /// For what must not be done too late: it ends when the first clock says so.
    pub fn latest(&self) -> Timestamp {
        self.there.map_or(self.here, |there| there.max(self.here))
    }

    /// For what must not be done too early: it begins when both clocks say so.
    pub fn earliest(&self) -> Timestamp {
        self.there.map_or(self.here, |there| there.min(self.here))
    }
}

/// Where a server's part lies in a vault.
pub fn part_of(server: ServerId) -> String {
    format!("{SERVERS}{server}")
}

/// Makes a vault at a place that holds none.
///
/// # Errors
/// [`StoreError::Refused`] where there is one already, or a volume.
pub fn create(
    place: &dyn Backend,
    vault: VaultId,
    name: &str,
    rules: Rules,
    owner: &SigningKey,
    now: Timestamp,
) -> Result<VaultText, StoreError> {
    let refused = |what: &str| StoreError::Refused { object: place.location(), what: what.to_owned() };
    for (object, what) in [
        (VAULT_TOML, "there is a vault here already; nothing was changed in it"),
        (crate::volume::VOLUME_TOML, "there is a volume here; a vault needs a place of its own"),
    ] {
        match place.length(object) {
            Ok(_) => return Err(refused(what)),
            Err(error) if error.kind == Fault::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    let text = VaultText {
        document: DOCUMENT.to_owned(),
        format: FORMAT,
        vault,
        name: name.to_owned(),
        owner_key: owner.public(),
        created: now,
        rules,
    };
    let head = "# A Resurgam vault: backups of the servers below servers/, each sealed under its own passphrase.\n\
                # Do not change or delete anything here. Recovering needs nothing of this file: each part is a volume.\n";
    let document = document::sign(&format!("{head}{}", document::to_text(&text)?), owner);
    let mut upload = place.create(VAULT_TOML)?;
    upload.append(document.as_bytes())?;
    match upload.commit() {
        Err(error) if error.kind == Fault::Exists => Err(refused("somebody else has made a vault here just now")),
        done => Ok(done.map(|()| text)?),
    }
}

/// Reads what a vault says of itself; also its very text.
///
/// # Errors
/// [`StoreError::Refused`] where there is no vault or one of a newer program.
pub fn read(place: &dyn Backend) -> Result<(VaultText, String), StoreError> {
    let object = format!("{}/{VAULT_TOML}", place.location());
    let bytes = backend::read_whole(place, VAULT_TOML, DOCUMENT_MAX as u64).map_err(|error| {
        let error = StoreError::from(error);
        if !error.is_not_found() {
            return error;
        }
        let what = "there is no vault here (no VAULT.toml). Is the URL right?".to_owned();
        StoreError::Refused { object: place.location(), what }
    })?;
    let text = String::from_utf8(bytes).map_err(|_| StoreError::corrupt(&object, "it is not text"))?;
    Ok((parse(&object, &text)?, text))
}

/// Reads the text of `VAULT.toml`, whose signature must be by the key that it names.
///
/// # Errors
/// Where it is damaged, or of a newer program.
pub fn parse(object: &str, text: &str) -> Result<VaultText, StoreError> {
    #[derive(Deserialize)]
    struct Version {
        document: String,
        format: u32,
    }
    let version: Version = document::from_text(object, text)?;
    if version.document != DOCUMENT {
        return Err(StoreError::corrupt(object, "it is something else"));
    }
    if version.format > FORMAT {
        let what = format!(
            "the vault has layout {}, and this program knows those up to {FORMAT}: use a newer version of resurgam",
            version.format
        );
        return Err(StoreError::Refused { object: object.to_owned(), what });
    }
    let vault: VaultText = document::from_text(object, text)?;
    match document::verify(text, &vault.owner_key) {
        Some(_) => Ok(vault),
        None => {
            Err(StoreError::corrupt(object, "the owner's signature on it does not hold: it was changed or damaged"))
        }
    }
}

/// The servers that have a part in a vault.
///
/// # Errors
/// Where the vault cannot be listed.
pub fn servers(place: &dyn Backend) -> Result<Vec<ServerId>, StoreError> {
    let mut found: Vec<ServerId> = place
        .list(SERVERS)?
        .iter()
        .filter_map(|listed| {
            let (server, rest) = listed.name.strip_prefix(SERVERS)?.split_once('/')?;
            (rest == crate::volume::VOLUME_TOML).then(|| server.parse().ok()).flatten()
        })
        .collect();
    found.sort_unstable();
    Ok(found)
}

/// A document of the owner's under `name`, its signature proved. `None`: there is none.
fn read_owned<T: serde::de::DeserializeOwned>(
    place: &dyn Backend,
    name: &str,
    vault: &VaultText,
) -> Result<Option<T>, StoreError> {
    let object = format!("{}/{name}", place.location());
    let bytes = match backend::read_whole(place, name, DOCUMENT_MAX as u64) {
        Err(error) if error.kind == Fault::NotFound => return Ok(None),
        read => read?,
    };
    let text = String::from_utf8(bytes).map_err(|_| StoreError::corrupt(&object, "it is not text"))?;
    let body = document::verify(&text, &vault.owner_key)
        .ok_or_else(|| StoreError::corrupt(&object, "the owner's signature on it does not hold"))?;
    Ok(Some(document::from_text(&object, body)?))
}

/// For fuzzing: every document of a vault, on any bytes.
pub fn fuzz_vault(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = parse("fuzz", text);
        let _ = credentials::Credentials::parse(text);
        let _ = document::from_text::<pin::PinText>("fuzz", text);
        let _ = owner::OwnerKey::parse(text);
    }
}

#[cfg(test)]
mod tests;
