//! The owner's key: Ed25519 in PKCS#8 PEM, as stock tools make and read it.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    signature::Ed25519KeyPair,
};
use zeroize::Zeroizing;

use crate::{error::StoreError, keys::SigningKey};

const TAG: &str = "PRIVATE KEY";

/// The owner's key.
pub struct OwnerKey(SigningKey);

impl OwnerKey {
    /// A new one, and the text for its file.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    pub fn generate() -> Result<(Self, Zeroizing<String>), StoreError> {
        let refused = |_| StoreError::Internal("an owner's key could not be made".to_owned());
        let pair = Ed25519KeyPair::generate().map_err(refused)?;
        let der: Pkcs8V1Der<'_> = pair.as_der().map_err(refused)?;
        let block = pem::Pem::new(TAG, der.as_ref());
        let text =
            Zeroizing::new(pem::encode_config(&block, pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF)));
        drop(Zeroizing::new(block.into_contents()));
        Ok((Self(SigningKey::of(pair)), text))
    }

    /// Reads the file's text. `None`: it holds no such key.
    pub fn parse(text: &str) -> Option<Self> {
        let block = pem::parse(text).ok().filter(|block| block.tag() == TAG)?;
        let der = Zeroizing::new(block.into_contents());
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).ok().map(|pair| Self(SigningKey::of(pair)))
    }

    /// The key.
    pub fn signing(&self) -> &SigningKey {
        &self.0
    }
}
