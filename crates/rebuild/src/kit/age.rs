//! The age format, version 1, as far as a passphrase needs it: <https://age-encryption.org/v1>.
//!
//! ```text
//! age-encryption.org/v1
//! -> scrypt <salt> <log2 of N>
//! <the file key, sealed with ChaCha20-Poly1305 under what scrypt makes of the passphrase>
//! --- <HMAC-SHA-256 of the lines above, by a key from the file key>
//! <16 bytes: nonce> <chunks of 64 KiB, each sealed with ChaCha20-Poly1305 by a key from file key and nonce>
//! ```
//! Salt, sealed key and HMAC are base64 without padding.

use aws_lc_rs::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey},
    hkdf, hmac,
};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use resurgam_store::keys::random;
use zeroize::Zeroizing;

use super::KitError;

/// The first line.
pub(super) const VERSION_LINE: &[u8] = b"age-encryption.org/v1\n";
const STANZA: &str = "-> scrypt ";
const SALT_LABEL: &[u8] = b"age-encryption.org/v1/scrypt";
const HEADER_LABEL: &[u8] = b"header";
const PAYLOAD_LABEL: &[u8] = b"payload";
/// What somebody else's file may make us spend: N = 2^20 is 1 GiB.
const WORK_MAX: u8 = 20;
/// A header of one passphrase has some 150 bytes.
const HEAD_MAX: usize = 1024;
const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;
const NONCE: usize = 16;

/// The key of one file, from which all others grow.
pub(super) type FileKey = Zeroizing<[u8; 16]>;

/// The header of a file sealed to a passphrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// Its bytes, to the end of its last line.
    pub(super) bytes: Vec<u8>,
    salt: [u8; 16],
    work: u8,
    sealed_key: [u8; 32],
    mac: [u8; 32],
}

fn internal(what: &str) -> KitError {
    KitError::Internal(format!("{what} was refused"))
}

fn fresh<const N: usize>() -> Result<[u8; N], KitError> {
    random().map_err(|error| KitError::Internal(error.to_string()))
}

impl Head {
    /// A header for a new file key.
    pub(super) fn new(passphrase: &[u8], work: u8) -> Result<(Self, FileKey), KitError> {
        let (salt, key): ([u8; 16], FileKey) = (fresh()?, Zeroizing::new(fresh()?));
        let mut sealed = Zeroizing::new(key.to_vec());
        cipher(&*stretch(passphrase, &salt, work)?)?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key([0; 12]), Aad::empty(), &mut *sealed)
            .map_err(|_| internal("sealing the file key"))?;
        let b64 = |bytes: &[u8]| STANDARD_NO_PAD.encode(bytes);
        let mut bytes = VERSION_LINE.to_vec();
        bytes.extend(format!("{STANZA}{} {work}\n{}\n---", b64(&salt), b64(&sealed)).as_bytes());
        let mac = authenticate(&key, &bytes)?;
        bytes.extend(format!(" {}\n", b64(mac.as_ref())).as_bytes());
        let (head, _) = Self::parse(&bytes)?;
        Ok((head, key))
    }

    /// Reads a header; and what comes after it.
    pub(super) fn parse(file: &[u8]) -> Result<(Self, &[u8]), KitError> {
        let other = |what: &str| KitError::NotAKit(what.to_owned());
        let damaged = |what: &str| KitError::Damaged(what.to_owned());
        let rest = file.strip_prefix(VERSION_LINE).ok_or_else(|| other("it is not in the age format, version 1"))?;
        let mut lines = rest[..rest.len().min(HEAD_MAX)].split_inclusive(|byte| *byte == b'\n');
        let mut length = VERSION_LINE.len();
        let mut line = || -> Result<&str, KitError> {
            let line = lines.next().unwrap_or_default();
            length += line.len();
            let text = line.strip_suffix(b"\n").and_then(|line| std::str::from_utf8(line).ok());
            text.ok_or_else(|| damaged("its head is cut off or garbled"))
        };
        let stanza = line()?.strip_prefix(STANZA).ok_or_else(|| other("it is not sealed to a passphrase"))?;
        let (salt, digits) = stanza.split_once(' ').ok_or_else(|| damaged("the salt is garbled"))?;
        let salt = bytes_of(salt).ok_or_else(|| damaged("the salt is garbled"))?;
        // One spelling only.
        let work = digits.parse().ok().filter(|n| (1..=WORK_MAX).contains(n) && n.to_string() == digits);
        let work = work.ok_or_else(|| {
            other(&format!("trying a passphrase would cost 2^{digits}, and no more than 2^{WORK_MAX} is spent"))
        })?;
        let sealed_key = bytes_of(line()?).ok_or_else(|| damaged("the sealed key is garbled"))?;
        let mac = line()?.strip_prefix("--- ").and_then(bytes_of);
        let mac = mac.ok_or_else(|| damaged("the last line of its head is garbled, or it has more than one key"))?;
        let (head, payload) = file.split_at(length);
        Ok((Self { bytes: head.to_vec(), salt, work, sealed_key, mac }, payload))
    }

    /// The file key, by the passphrase.
    pub(super) fn unlock(&self, passphrase: &[u8]) -> Result<FileKey, KitError> {
        let mut sealed = Zeroizing::new(self.sealed_key);
        let plain = cipher(&*stretch(passphrase, &self.salt, self.work)?)?
            .open_in_place(Nonce::assume_unique_for_key([0; 12]), Aad::empty(), &mut *sealed)
            .map_err(|_| KitError::WrongPassphrase)?;
        let key = Zeroizing::new(<[u8; 16]>::try_from(&*plain).map_err(|_| internal("a file key"))?);
        self.check(&key)?;
        Ok(key)
    }

    #[cfg(test)]
    pub(super) fn work(&self) -> u8 {
        self.work
    }

    /// Whether the header is the one that was made with this file key.
    pub(super) fn check(&self, key: &FileKey) -> Result<(), KitError> {
        let covered =
            &self.bytes[..self.bytes.len().saturating_sub(" \n".len() + STANDARD_NO_PAD.encode(self.mac).len())];
        let right = hmac::verify(&mac_key(key)?, covered, &self.mac);
        right.map_err(|_| KitError::Damaged("its head was changed".to_owned()))
    }
}

/// Base64 of exactly so many bytes.
fn bytes_of<const N: usize>(text: &str) -> Option<[u8; N]> {
    STANDARD_NO_PAD.decode(text).ok()?.try_into().ok()
}

fn stretch(passphrase: &[u8], salt: &[u8; 16], work: u8) -> Result<Zeroizing<[u8; 32]>, KitError> {
    let parameters = scrypt::Params::new(work, 8, 1).map_err(|_| internal("the work factor"))?;
    let mut key = Zeroizing::new([0; 32]);
    scrypt::scrypt(passphrase, &[SALT_LABEL, salt].concat(), &parameters, key.as_mut())
        .map_err(|_| internal("stretching the passphrase"))?;
    Ok(key)
}

fn cipher(key: &[u8; 32]) -> Result<LessSafeKey, KitError> {
    UnboundKey::new(&CHACHA20_POLY1305, key).map(LessSafeKey::new).map_err(|_| internal("a key"))
}

/// HKDF-SHA-256 of the file key.
fn derive(key: &FileKey, salt: &[u8], label: &[u8]) -> Result<Zeroizing<[u8; 32]>, KitError> {
    let mut derived = Zeroizing::new([0; 32]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(&**key)
        .expand(&[label], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut *derived))
        .map_err(|_| internal("deriving a key"))?;
    Ok(derived)
}

fn mac_key(key: &FileKey) -> Result<hmac::Key, KitError> {
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &*derive(key, &[], HEADER_LABEL)?))
}

fn authenticate(key: &FileKey, header: &[u8]) -> Result<hmac::Tag, KitError> {
    Ok(hmac::sign(&mac_key(key)?, header))
}

/// The nonce of a chunk: its number, and whether it is the last.
fn chunk_nonce(number: u64, last: bool) -> Nonce {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&number.to_be_bytes());
    nonce[11] = u8::from(last);
    Nonce::assume_unique_for_key(nonce)
}

/// Seals a payload under a nonce of its own.
pub(super) fn seal(key: &FileKey, payload: &[u8]) -> Result<Vec<u8>, KitError> {
    let nonce: [u8; NONCE] = fresh()?;
    let cipher = cipher(&*derive(key, &nonce, PAYLOAD_LABEL)?)?;
    let mut sealed = nonce.to_vec();
    // An empty payload is one empty chunk; otherwise the last one is not empty.
    let chunks = payload.len().div_ceil(CHUNK).max(1);
    for number in 0..chunks {
        let end = payload.len().min((number + 1) * CHUNK);
        let mut chunk = Zeroizing::new(payload[number * CHUNK..end].to_vec());
        let tag = cipher
            .seal_in_place_separate_tag(chunk_nonce(number as u64, number + 1 == chunks), Aad::empty(), &mut chunk)
            .map_err(|_| internal("sealing"))?;
        sealed.extend_from_slice(&chunk);
        sealed.extend_from_slice(tag.as_ref());
    }
    Ok(sealed)
}

/// Opens a payload.
pub(super) fn open(key: &FileKey, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, KitError> {
    let damaged = |what: &str| KitError::Damaged(what.to_owned());
    let (nonce, chunks) = sealed.split_at_checked(NONCE).ok_or_else(|| damaged("it is cut off"))?;
    let cipher = cipher(&*derive(key, nonce, PAYLOAD_LABEL)?)?;
    let mut plain = Zeroizing::new(Vec::with_capacity(chunks.len()));
    let count = chunks.len().div_ceil(CHUNK + TAG);
    for (number, chunk) in chunks.chunks(CHUNK + TAG).enumerate() {
        let last = number + 1 == count;
        let mut chunk = Zeroizing::new(chunk.to_vec());
        let opened = cipher
            .open_in_place(chunk_nonce(number as u64, last), Aad::empty(), &mut chunk)
            .map_err(|_| damaged("it was changed or cut off"))?;
        if opened.is_empty() && number > 0 {
            return Err(damaged("it ends in an empty part"));
        }
        plain.extend_from_slice(opened);
    }
    if count == 0 { Err(damaged("it is cut off")) } else { Ok(plain) }
}
