//! What makes a new kit without the passphrase: kept in the server's keyring, where all its other secrets lie.

use resurgam_store::{
    keyring::Keyring,
    keys::{hex, unhex},
};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::{
    KitError,
    age::{self, FileKey, Head},
    armor,
};

/// The age header that a passphrase made, and its file key.
///
/// It opens every kit made with it, so it is as secret as the keyring that it lies in. It does not tell the passphrase.
pub struct Reusable {
    head: Head,
    key: FileKey,
    /// The server's keyring alone, sealed with this: what capsules carry.
    pub keyring: Option<String>,
}

/// The text in the keyring.
#[derive(Serialize, Deserialize)]
struct ReusableText {
    /// The age header, as it stands.
    header: String,
    file_key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keyring: Option<String>,
}

impl Drop for ReusableText {
    fn drop(&mut self) {
        self.file_key.zeroize();
    }
}

impl Reusable {
    pub(super) fn new(passphrase: &[u8], work: u8) -> Result<Self, KitError> {
        let (head, key) = Head::new(passphrase, work)?;
        Ok(Self { head, key, keyring: None })
    }

    pub(super) fn unlock(head: Head, passphrase: &[u8]) -> Result<Self, KitError> {
        let key = head.unlock(passphrase)?;
        Ok(Self { head, key, keyring: None })
    }

    /// A whole age file.
    pub(super) fn seal(&self, payload: &[u8]) -> Result<Vec<u8>, KitError> {
        Ok([self.head.bytes.as_slice(), &age::seal(&self.key, payload)?].concat())
    }

    /// What lies behind the header of a file.
    pub(super) fn open(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, KitError> {
        age::open(&self.key, sealed)
    }

    /// Seals the keyring, without what this is kept in it for.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    pub fn with_keyring(mut self, keyring: &Keyring) -> Result<Self, KitError> {
        let text = super::content::bare_keyring(keyring)?;
        self.keyring = Some(armor::wrap(&self.seal(text.as_bytes())?));
        Ok(self)
    }

    /// The text for [`Keyring::kit`].
    ///
    /// # Errors
    /// Where TOML refuses it, which it does not.
    pub fn to_text(&self) -> Result<Zeroizing<String>, KitError> {
        let text = ReusableText {
            header: String::from_utf8_lossy(&self.head.bytes).into_owned(),
            file_key: hex(&*self.key),
            keyring: self.keyring.clone(),
        };
        toml::to_string(&text).map(Zeroizing::new).map_err(|error| KitError::Internal(error.to_string()))
    }

    /// Reads the text of [`Reusable::to_text`].
    ///
    /// # Errors
    /// [`KitError::Damaged`] where it makes no sense, or header and file key do not belong together.
    pub fn parse(text: &str) -> Result<Self, KitError> {
        let damaged = |what: &str| KitError::Damaged(format!("what the keyring keeps of it makes no sense: {what}"));
        let mut text: ReusableText = toml::from_str(text).map_err(|error| damaged(error.message()))?;
        let (head, rest) = Head::parse(text.header.as_bytes())?;
        if !rest.is_empty() {
            return Err(damaged("there is more than a header"));
        }
        let key = unhex(&text.file_key).map(Zeroizing::new).and_then(|key| <[u8; 16]>::try_from(key.as_slice()).ok());
        let key = Zeroizing::new(key.ok_or_else(|| damaged("the file key is not 32 hexadecimal digits"))?);
        head.check(&key)?;
        Ok(Self { head, key, keyring: text.keyring.take() })
    }
}
