//! Where a rebuilt server gets its keys from.
//!
//! | | keys |
//! |---|---|
//! | a kit was given | those in it |
//! | the home has the keyring that the volume was signed with | that stays |
//! | a capsule holds the keyring, and the passphrase opens it | that |
//! | the home has another keyring of this server | that stays |
//! | none of these | new ones under the same server id; the volumes are enrolled again by the next sync |

use std::{fs, path::Path};

use resurgam_jobs::{JobError, home};
use resurgam_model::ServerId;
use resurgam_store::{
    keyring::Keyring,
    keys::{PublicKey, Secret},
};
use serde::Serialize;

use super::aside::Aside;
use crate::kit;

const KEYRING: &str = "keyring.toml";
/// What is told where the keys are new.
pub(crate) const LOST: &str = "the server's keys are lost, and it has new ones; `dpmsync -Sync` enrols its volumes again. \
                               Make a new recovery kit: `resurgam recovery-kit write --to DIR`";
/// What is told where the keys could be had and were not asked for.
pub(crate) const SEALED: &str = "the server's keys lie in its capsules, sealed to the passphrase of the recovery kit: give \
                                 it with --passphrase-file to get them back";

/// Where the keys came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeysFrom {
    /// They were in the home.
    Kept,
    /// The recovery kit.
    Kit,
    /// A capsule, by the passphrase of the kit.
    Capsule,
    /// They are lost, and these are new.
    New,
}

impl std::fmt::Display for KeysFrom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Kept => "kept",
            Self::Kit => "kit",
            Self::Capsule => "capsule",
            Self::New => "new",
        })
    }
}

/// What volumes in reach say about keys.
#[derive(Default)]
pub(super) struct Traces {
    /// The keys that their documents are signed with.
    pub(super) signed_by: Vec<PublicKey>,
    /// The keyring, sealed to the passphrase of the kit; of the newest capsule first.
    pub(super) sealed: Vec<String>,
    /// Names their blobs.
    pub(super) identity: Option<Secret>,
}

/// The keyring in a kit file.
pub(super) fn from_kit(file: &Path, passphrase: Option<&[u8]>) -> Result<Keyring, JobError> {
    let passphrase = passphrase.ok_or_else(|| JobError::Request {
        code: "kit",
        message: "the recovery kit needs its passphrase".to_owned(),
        remedy: "give --passphrase-file FILE".to_owned(),
    })?;
    Ok(kit::keyring_from(passphrase, &kit::read(file)?)?)
}

/// The keyring of the home. One that is damaged is none, and is set aside when another comes.
pub(super) fn in_home(home: &Path) -> Result<Option<Keyring>, JobError> {
    match home::read_keyring(home) {
        Err(JobError::Request { .. }) => Ok(None),
        read => read,
    }
}

/// Decides. `kit` and `present` are keyrings of the server `server`.
pub(super) fn decide(
    server: ServerId,
    kit: Option<Keyring>,
    present: Option<Keyring>,
    traces: &Traces,
    passphrase: Option<&[u8]>,
    notes: &mut Vec<String>,
) -> Result<(Keyring, KeysFrom), JobError> {
    if let Some(kit) = kit {
        let same = present.filter(|present| present.signing.public() == kit.signing.public());
        return Ok(same.map_or((kit, KeysFrom::Kit), |present| (present, KeysFrom::Kept)));
    }
    let signs = |keyring: &Keyring| traces.signed_by.contains(&keyring.signing.public());
    match present {
        Some(present) if signs(&present) => return Ok((present, KeysFrom::Kept)),
        present => {
            if let Some(found) = in_capsules(server, traces, passphrase, notes) {
                return Ok((found, KeysFrom::Capsule));
            }
            if let Some(present) = present {
                return Ok((present, KeysFrom::Kept));
            }
        }
    }
    notes.push(LOST.to_owned());
    let identity = match &traces.identity {
        Some(identity) => identity.clone(),
        None => Secret::random()?,
    };
    Ok((Keyring::with(server, identity)?, KeysFrom::New))
}

fn in_capsules(
    server: ServerId,
    traces: &Traces,
    passphrase: Option<&[u8]>,
    notes: &mut Vec<String>,
) -> Option<Keyring> {
    let newest = traces.sealed.first()?;
    let Some(passphrase) = passphrase else {
        notes.push(SEALED.to_owned());
        return None;
    };
    match kit::keyring_from(passphrase, newest.as_bytes()) {
        Ok(keyring) if keyring.server == server => Some(keyring),
        Ok(keyring) => {
            notes.push(format!("the keys in the newest capsule are those of another server, {}", keyring.server));
            None
        }
        Err(error) => {
            notes.push(format!("the keys in the newest capsule stay sealed: {error}"));
            None
        }
    }
}

/// Writes the keyring into the home, and sets another aside that lies there.
pub(super) fn put(home: &Path, keyring: &Keyring, aside: &mut Aside) -> Result<(), JobError> {
    let text = keyring.to_text()?;
    let path = home.join(KEYRING);
    match fs::read(&path) {
        Ok(present) if present == text.as_bytes() => return Ok(()),
        Ok(_) => aside.set(&path)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(_) => aside.set(&path)?,
    }
    home::write_keyring(home, keyring)
}
