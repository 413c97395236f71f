//! The keyring: the secrets of a server, as one text. What opens its volumes, names its blobs and signs its documents.

use resurgam_model::ServerId;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    backend::object::StoreAccess,
    error::StoreError,
    keys::{Secret, SigningKey, hex, random, unhex},
};

/// The version of the text.
const FORMAT: u32 = 1;
const HEAD: &str = "# The secrets of a Resurgam server. Keep a copy where nobody else reads it.\n";

/// The secrets of a server.
pub struct Keyring {
    /// The server's id.
    pub server: ServerId,
    seed: Secret,
    /// Signs its documents; grows out of the seed.
    pub signing: SigningKey,
    /// Names blobs in all volumes of this server.
    pub identity: Secret,
    /// Opens the keyring slots of its volumes.
    pub wrapping: Secret,
    /// What a new recovery kit is made with; what it says is not the store's business.
    pub kit: Option<Zeroizing<String>>,
    /// What opens the object stores where its volumes and vaults lie.
    pub access: Vec<KeptAccess>,
}

/// What opens a place in an object store, and everything below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptAccess {
    /// The place's URL.
    pub place: String,
    /// What opens it.
    pub access: StoreAccess,
}

#[derive(Serialize, Deserialize)]
struct KeyringText {
    format: u32,
    server: ServerId,
    signing_seed: String,
    identity_key: String,
    wrapping_key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kit: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    access: Vec<KeptAccess>,
}

impl Drop for KeyringText {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        self.signing_seed.zeroize();
        self.identity_key.zeroize();
        self.wrapping_key.zeroize();
        self.kit.zeroize();
    }
}

impl Keyring {
    /// A new identity.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    pub fn generate() -> Result<Self, StoreError> {
        Self::with(ServerId::from_random(random()?), Secret::random()?)
    }

    /// New keys for a server that lost its own: it goes on under its id and, so that the blobs in its volumes keep their
    /// names, with its identity key.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    pub fn with(server: ServerId, identity: Secret) -> Result<Self, StoreError> {
        let seed = Secret::random()?;
        let signing = SigningKey::from_seed(&seed)?;
        Ok(Self { server, seed, signing, identity, wrapping: Secret::random()?, kit: None, access: Vec::new() })
    }

    /// Keeps what opens a place, instead of what opened it before.
    pub fn keep_access(&mut self, place: &str, access: StoreAccess) {
        self.access.retain(|kept| kept.place != place);
        self.access.push(KeptAccess { place: place.to_owned(), access });
    }

    /// The text that holds it, for a file that only its owner can read.
    ///
    /// # Errors
    /// Where TOML refuses it, which it does not.
    pub fn to_text(&self) -> Result<Zeroizing<String>, StoreError> {
        let text = KeyringText {
            format: FORMAT,
            server: self.server,
            signing_seed: hex(self.seed.expose()),
            identity_key: hex(self.identity.expose()),
            wrapping_key: hex(self.wrapping.expose()),
            kit: self.kit.as_deref().cloned(),
            access: self.access.clone(),
        };
        let body = Zeroizing::new(crate::document::to_text(&text)?);
        Ok(Zeroizing::new(format!("{HEAD}{}", *body)))
    }

    /// Reads the text. `None`: it is damaged, or of a newer version.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut text: KeyringText = toml::from_str(std::str::from_utf8(bytes).ok()?).ok()?;
        let secret = |text: &str| -> Option<Secret> {
            Some(Secret::new(Zeroizing::new(unhex(text)?).as_slice().try_into().ok()?))
        };
        if text.format != FORMAT {
            return None;
        }
        let seed = secret(&text.signing_seed)?;
        Some(Self {
            server: text.server,
            signing: SigningKey::from_seed(&seed).ok()?,
            seed,
            identity: secret(&text.identity_key)?,
            wrapping: secret(&text.wrapping_key)?,
            kit: text.kit.take().map(Zeroizing::new),
            access: std::mem::take(&mut text.access),
        })
    }
}

/// For fuzzing: the keyring's text, on any bytes.
pub fn fuzz_keyring(bytes: &[u8]) {
    let _ = Keyring::parse(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyring_survives_its_text() {
        let keyring = Keyring::generate().unwrap();
        let text = keyring.to_text().unwrap();
        let again = Keyring::parse(text.as_bytes()).unwrap();
        assert!(
            again.server == keyring.server && again.identity == keyring.identity && again.wrapping == keyring.wrapping
        );
        assert_eq!(again.signing.public(), keyring.signing.public());
        assert!(again.kit.is_none() && !text.contains("kit"));
        assert!(Keyring::parse(text.replace("format = 1", "format = 2").as_bytes()).is_none());
        assert!(Keyring::parse(&text.as_bytes()[..text.len() / 2]).is_none());
    }
    #[test]
    fn a_kit_is_kept_as_it_was_given() {
        let mut keyring = Keyring::generate().unwrap();
        let kit = "age = \"\"\"\n-> scrypt\n\"\"\"\nlocation = '/a \\ \u{fffd}'\n";
        keyring.kit = Some(Zeroizing::new(kit.to_owned()));
        let again = Keyring::parse(keyring.to_text().unwrap().as_bytes()).unwrap();
        assert_eq!(again.kit.as_deref().map(String::as_str), Some(kit));
    }

    #[test]
    fn new_keys_for_a_server_leave_it_its_id_and_the_names_of_its_blobs() {
        let lost = Keyring::generate().unwrap();
        let new = Keyring::with(lost.server, lost.identity.clone()).unwrap();
        assert!(new.server == lost.server && new.identity == lost.identity);
        assert!(new.wrapping != lost.wrapping && new.signing.public() != lost.signing.public());
        let again = Keyring::parse(new.to_text().unwrap().as_bytes()).unwrap();
        assert_eq!(again.signing.public(), new.signing.public());
    }
}
