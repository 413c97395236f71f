//! The texts of a volume: VOLUME.toml, REPLICA.toml, recovery points, capsules. Signed by the server; sealed as a frame
//! where the volume is not open to everyone; each stored twice, so that no single damage hides a recovery point.
//!
//! ```text
//! document := TOML text, newline, "# signature ed25519 ", 128 hexadecimal digits, newline
//! ```
//! The signature covers the context `resurgam document v1`, a zero byte and the text up to the line of the signature.
//! A document says in its text what it is and whose, so that one cannot pass for another.

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    backend::{self, Backend},
    error::StoreError,
    frame::{FrameKind, Sealer},
    keys::{PublicKey, SigningKey, hex, unhex},
    pack::MIRROR,
};

const CONTEXT: &[u8] = b"resurgam document v1\0";
const SIGNATURE: &str = "# signature ed25519 ";

/// Signs a text.
pub fn sign(body: &str, key: &SigningKey) -> String {
    let mut text = body.to_owned();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let signature = key.sign(&[CONTEXT, text.as_bytes()].concat());
    text.push_str(SIGNATURE);
    text.push_str(&hex(&signature));
    text.push('\n');
    text
}

/// Splits a document into text and signature.
fn split(document: &str) -> Option<(&str, Vec<u8>)> {
    let at = document.rfind(SIGNATURE).filter(|at| *at == 0 || document.as_bytes()[at - 1] == b'\n')?;
    let (body, line) = document.split_at(at);
    let digits = line.strip_prefix(SIGNATURE)?.strip_suffix('\n')?;
    (digits.len() == 128).then(|| unhex(digits)).flatten().map(|signature| (body, signature))
}

/// Whether a document has its signature, whosoever it is.
pub(crate) fn is_whole(document: &str) -> bool {
    split(document).is_some()
}

/// The text of a document whose signature by `key` holds.
pub fn verify<'a>(document: &'a str, key: &PublicKey) -> Option<&'a str> {
    let (body, signature) = split(document)?;
    key.verifies(&[CONTEXT, body.as_bytes()].concat(), &signature).then_some(body)
}

/// A value as the text of a document.
pub(crate) fn to_text<T: Serialize>(value: &T) -> Result<String, StoreError> {
    toml::to_string(value)
        .map_err(|error| StoreError::Internal(format!("a document cannot be written as TOML: {error}")))
}

/// Reads the text of a document as a value.
pub(crate) fn from_text<T: DeserializeOwned>(object: &str, text: &str) -> Result<T, StoreError> {
    toml::from_str(text)
        .map_err(|error| StoreError::corrupt(object, format!("its text makes no sense: {}", error.message())))
}

/// For fuzzing: the parser of documents, on any bytes.
pub fn fuzz_document(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = split(text);
        if let Ok(header) = from_text::<crate::volume::VolumeHeader>("fuzz", text) {
            let _ = header.proves(text);
        }
        let _ = from_text::<crate::point::PointText>("fuzz", text);
        let _ = from_text::<crate::point::ReplicaText>("fuzz", text);
    }
}

/// Reads and writes the documents of one volume. What is read is not proved: whoever parses it asks
/// [`crate::volume::VolumeHeader::proves`], once.
pub(crate) struct Documents<'a> {
    pub(crate) backend: &'a dyn Backend,
    /// `None`: texts lie open.
    pub(crate) sealer: Option<Sealer<'a>>,
    /// The longest text that makes sense.
    pub(crate) limit: usize,
}

impl Documents<'_> {
    /// The bytes of an object for a signed document.
    pub(crate) fn encode(&mut self, name: &str, document: &str) -> Result<Vec<u8>, StoreError> {
        if document.len() > self.limit {
            let what =
                format!("its text is {} bytes long, and no reader takes more than {}", document.len(), self.limit);
            return Err(StoreError::Refused { object: name.to_owned(), what });
        }
        match &mut self.sealer {
            None => Ok(document.as_bytes().to_vec()),
            Some(sealer) => sealer.seal(FrameKind::Document, document.as_bytes()),
        }
    }

    /// Stores a signed document durably, its second copy first.
    pub(crate) fn write(&mut self, name: &str, document: &str) -> Result<u64, StoreError> {
        let bytes = self.encode(name, document)?;
        self.backend.replace(&format!("{MIRROR}{name}"), &bytes)?;
        self.backend.replace(name, &bytes)?;
        Ok(2 * bytes.len() as u64)
    }

    /// The document in one object, its signature not yet proved.
    pub(crate) fn read_one(&mut self, name: &str) -> Result<String, StoreError> {
        let bytes = backend::read_whole(self.backend, name, 2 * self.limit as u64)?;
        let text = match &mut self.sealer {
            None => bytes,
            Some(sealer) => sealer
                .open(&bytes, FrameKind::Document, self.limit)
                .ok_or_else(|| StoreError::corrupt(name, "it cannot be opened with the volume's key"))?,
        };
        String::from_utf8(text).map_err(|_| StoreError::corrupt(name, "it is not text"))
    }

    /// What `parse` makes of the document under `name`, or of its second copy where the first is damaged, gone, or not what
    /// should be there. `parse` proves it.
    pub(crate) fn read<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str, String) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self.read_one(name).and_then(|document| parse(name, document)) {
            Err(error) if error.is_damage() => {
                let second = format!("{MIRROR}{name}");
                self.read_one(&second).and_then(|document| parse(&second, document)).map_err(|_| error)
            }
            found => found,
        }
    }
}
