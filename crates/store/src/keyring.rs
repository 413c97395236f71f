//! The keyring: the secrets of a server, as one text. What opens its volumes, names its blobs and signs its documents.

use resurgam_model::ServerId;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
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
}

#[derive(Serialize, Deserialize)]
struct KeyringText {
    format: u32,
    server: ServerId,
    signing_seed: String,
    identity_key: String,
    wrapping_key: String,
}

impl Drop for KeyringText {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        self.signing_seed.zeroize();
        self.identity_key.zeroize();
        self.wrapping_key.zeroize();
    }
}

impl Keyring {
    /// A new identity.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    pub fn generate() -> Result<Self, StoreError> {
        let seed = Secret::random()?;
        Ok(Self {
            server: ServerId::from_random(random()?),
            signing: SigningKey::from_seed(&seed)?,
            seed,
            identity: Secret::random()?,
            wrapping: Secret::random()?,
        })
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
        };
        let body = Zeroizing::new(crate::document::to_text(&text)?);
        Ok(Zeroizing::new(format!("{HEAD}{}", *body)))
    }

    /// Reads the text. `None`: it is damaged, or of a newer version.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text: KeyringText = toml::from_str(std::str::from_utf8(bytes).ok()?).ok()?;
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
        assert!(Keyring::parse(text.replace("format = 1", "format = 2").as_bytes()).is_none());
        assert!(Keyring::parse(&text.as_bytes()[..text.len() / 2]).is_none());
    }
}
