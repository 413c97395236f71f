//! What lies in a kit: a text that a person can read on the worst day, and a program too.

use resurgam_model::{ServerId, Timestamp, VolumeId, charter::CopyKind};
use resurgam_store::keyring::Keyring;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::{KitError, page};

/// The version of the text.
const FORMAT: u32 = 1;

/// What is in a kit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KitContent {
    format: u32,
    /// When it was made.
    pub made: Timestamp,
    /// The server.
    pub server: ServerId,
    /// Its name.
    pub name: String,
    /// Its home.
    pub home: String,
    /// Where its catalog lies, if not in its home; without a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The keyring, as it lies in the home. The one secret.
    keyring: String,
    /// The volumes of the pool.
    #[serde(default, rename = "volume", skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<KitVolume>,
    /// Where copies of the catalog lie.
    #[serde(default, rename = "copy", skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<KitCopy>,
}

/// A volume of the pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KitVolume {
    /// Its id.
    pub id: VolumeId,
    /// Its directory or URL.
    pub location: String,
    /// `clear` or `passphrase`.
    pub protection: String,
}

/// A place where copies of the catalog lie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KitCopy {
    /// What kind of copy.
    pub kind: CopyKind,
    /// The directory: of the native backups, or of the volume.
    pub place: String,
    /// Of a native backup in a protected folder: where that folder's points lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<KitShare>,
}

/// The protected folder that a copy lies in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KitShare {
    /// Its root.
    pub source: String,
    /// Where the volume lies that holds its points.
    pub volume: String,
}

impl Drop for KitContent {
    fn drop(&mut self) {
        self.keyring.zeroize();
    }
}

/// The keyring as a kit carries it: without what kits are made with, which opening the kit gives back.
pub(super) fn bare_keyring(keyring: &Keyring) -> Result<Zeroizing<String>, KitError> {
    let internal = |error: &dyn std::fmt::Display| KitError::Internal(error.to_string());
    let whole = keyring.to_text().map_err(|error| internal(&error))?;
    let mut bare = Keyring::parse(whole.as_bytes()).ok_or_else(|| internal(&"the keyring cannot be read back"))?;
    bare.kit = None;
    bare.to_text().map_err(|error| internal(&error))
}

/// The keyring in the payload of a kit, or of what a capsule carries of it.
///
/// # Errors
/// [`KitError::NotAKit`] where there is none: somebody sealed something else.
pub fn keyring_in(payload: &[u8]) -> Result<Keyring, KitError> {
    let none = || KitError::NotAKit("there is no keyring of a server in it".to_owned());
    if let Some(keyring) = Keyring::parse(payload) {
        return Ok(keyring);
    }
    let text = std::str::from_utf8(payload).map_err(|_| none())?;
    KitContent::parse(text)?.keyring()
}

impl KitContent {
    /// The content of a kit, so far without volumes and copies.
    ///
    /// # Errors
    /// Where the keyring cannot be written, which does not happen.
    pub fn new(made: Timestamp, name: &str, home: &str, keyring: &Keyring) -> Result<Self, KitError> {
        Ok(Self {
            format: FORMAT,
            made,
            server: keyring.server,
            name: name.to_owned(),
            home: home.to_owned(),
            instance: None,
            keyring: bare_keyring(keyring)?.to_string(),
            volumes: Vec::new(),
            copies: Vec::new(),
        })
    }

    /// The keyring.
    ///
    /// # Errors
    /// [`KitError::Damaged`] where it makes no sense.
    pub fn keyring(&self) -> Result<Keyring, KitError> {
        let keyring = Keyring::parse(self.keyring.as_bytes());
        keyring.ok_or_else(|| KitError::Damaged("the keyring in it makes no sense".to_owned()))
    }

    /// What a kit says apart from when: a kit of another digest is out of date.
    pub fn digest(&self) -> String {
        let mut timeless = self.clone();
        timeless.made = Timestamp::UNIX_EPOCH;
        // What TOML refuses has no text, and no kit is made of it either.
        let text = Zeroizing::new(toml::to_string(&timeless).unwrap_or_default());
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }

    /// The text that is sealed: what to do, for people, and the rest for the program.
    ///
    /// # Errors
    /// Where TOML refuses it, which it does not.
    pub fn to_text(&self) -> Result<Zeroizing<String>, KitError> {
        let body = toml::to_string_pretty(self).map(Zeroizing::new);
        let body = body.map_err(|error| KitError::Internal(error.to_string()))?;
        let mut text = Zeroizing::new(String::new());
        for line in page::heading(self).lines() {
            text.push_str(format!("# {line}").trim_end());
            text.push('\n');
        }
        text.push_str("#\n# Secret from here on. By hand: save the lines of `keyring` as keyring.toml in the new home, mode 600.\n\n");
        text.push_str(&body);
        Ok(text)
    }

    /// Reads the text.
    ///
    /// # Errors
    /// [`KitError::NotAKit`] where it is something else, or of a newer program.
    pub fn parse(text: &str) -> Result<Self, KitError> {
        let content: Self = toml::from_str(text)
            .map_err(|error| KitError::NotAKit(format!("what is in it is no kit of resurgam: {}", error.message())))?;
        if content.format > FORMAT {
            let what = format!("its text has version {}; use a newer version of resurgam", content.format);
            return Err(KitError::NotAKit(what));
        }
        Ok(content)
    }
}
