//! The keys of a volume, what is derived from them, and the slots that hold them.
//!
//! Two random keys. The *identity key* names blobs; it is the server's, the same in all its volumes, so that a blob has
//! one name wherever it lies. The *sealing key* is the volume's own. Each purpose has a key of its own, derived by
//! BLAKE3's `derive_key` with the context strings below; they are part of the format.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};
use resurgam_model::VolumeId;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{entry::BlobId, error::StoreError, pack::PackKind};

/// Context strings of the derived keys.
pub mod context {
    /// Names of data blobs.
    pub const DATA_ID: &str = "resurgam v1 data blob id";
    /// Names of metadata blobs: pages of entries, directories of pages, lists of extents.
    pub const META_ID: &str = "resurgam v1 metadata blob id";
    /// The gear table of content-defined cutting.
    pub const GEAR: &str = "resurgam v1 gear table";
    /// The value that a frame's key is derived from.
    pub const FRAME_VALUE: &str = "resurgam v1 frame value";
    /// The same of a frame whose value is that of its blobs' names.
    pub const FRAME_NAMES: &str = "resurgam v1 frame value of names";
    /// The keys of frames.
    pub const FRAME_KEY: &str = "resurgam v1 frame key";
    /// The key that seals a server's slot.
    pub const KEYRING_SLOT: &str = "resurgam v1 keyring slot";
}

/// 32 secret bytes, wiped when they are dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl Secret {
    /// Takes the bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// 32 fresh bytes from the operating system.
    ///
    /// # Errors
    /// Where the operating system gives no randomness.
    pub fn random() -> Result<Self, StoreError> {
        Ok(Self(random()?))
    }

    /// The bytes, for sealing them away.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    fn derive(&self, context: &str) -> [u8; 32] {
        blake3::derive_key(context, &self.0)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Fresh bytes from the operating system.
#[expect(clippy::disallowed_methods, reason = "the one place that draws keys, nonces and ids")]
pub fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| StoreError::Internal(format!("the system gives no random bytes: {error}")))?;
    Ok(bytes)
}

/// The two keys of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeKeys {
    /// Names blobs; the server's.
    pub identity: Secret,
    /// Seals frames; the volume's own.
    pub sealing: Secret,
}

/// What is done with the keys, ready to use.
pub struct Derived {
    data_id: [u8; 32],
    meta_id: [u8; 32],
    gear: [u8; 32],
    pub(crate) frame_value: [u8; 32],
    pub(crate) frame_names: [u8; 32],
    pub(crate) frame_key: [u8; 32],
}

impl Derived {
    /// Derives every key.
    pub fn from(keys: &VolumeKeys) -> Self {
        Self {
            data_id: keys.identity.derive(context::DATA_ID),
            meta_id: keys.identity.derive(context::META_ID),
            gear: keys.identity.derive(context::GEAR),
            frame_value: keys.sealing.derive(context::FRAME_VALUE),
            frame_names: keys.sealing.derive(context::FRAME_NAMES),
            frame_key: keys.sealing.derive(context::FRAME_KEY),
        }
    }

    /// Name of a blob of file content.
    pub fn data_id(&self, bytes: &[u8]) -> BlobId {
        BlobId(*blake3::keyed_hash(&self.data_id, bytes).as_bytes())
    }

    /// Name of a blob of metadata.
    pub fn meta_id(&self, bytes: &[u8]) -> BlobId {
        BlobId(*blake3::keyed_hash(&self.meta_id, bytes).as_bytes())
    }

    /// Name of a blob in a pack of that kind.
    pub(crate) fn name(&self, kind: PackKind, bytes: &[u8]) -> BlobId {
        match kind {
            PackKind::Data => self.data_id(bytes),
            PackKind::Meta => self.meta_id(bytes),
        }
    }

    /// Whether `bytes` are what `id` names, or filling, which no point names.
    pub(crate) fn proves(&self, kind: PackKind, id: &BlobId, bytes: &[u8]) -> bool {
        self.name(kind, bytes) == *id || self.is_filling(kind, id)
    }

    /// Name of a blob of filling, whatever its bytes: `seed`, and what proves that it was named by whoever has the keys.
    pub(crate) fn filling(&self, kind: PackKind, seed: [u8; 16]) -> BlobId {
        let mut id = [0; 32];
        id[..16].copy_from_slice(&seed);
        id[16..].copy_from_slice(&self.name(kind, &seed).0[..16]);
        BlobId(id)
    }

    /// Whether a blob of that name is filling.
    pub(crate) fn is_filling(&self, kind: PackKind, id: &BlobId) -> bool {
        id.0.first_chunk().is_some_and(|seed| self.filling(kind, *seed) == *id)
    }

    /// The 256 words of the gear table: the output of keyed BLAKE3 of nothing, extended to 2,048 bytes, little-endian.
    pub fn gear(&self) -> [u64; 256] {
        let mut table = [0; 256];
        let mut output = blake3::Hasher::new_keyed(&self.gear).finalize_xof();
        for word in &mut table {
            let mut bytes = [0; 8];
            output.fill(&mut bytes);
            *word = u64::from_le_bytes(bytes);
        }
        table
    }
}

impl Drop for Derived {
    fn drop(&mut self) {
        let Self { data_id, meta_id, gear, frame_value, frame_names, frame_key } = self;
        for key in [data_id, meta_id, gear, frame_value, frame_names, frame_key] {
            key.zeroize();
        }
    }
}

/// The server's signature on what it vouches for.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// The key pair that grows out of 32 secret bytes.
    pub fn from_seed(seed: &Secret) -> Result<Self, StoreError> {
        Ed25519KeyPair::from_seed_unchecked(seed.expose())
            .map(Self)
            .map_err(|_| StoreError::Internal("the signing key's seed was refused".to_owned()))
    }

    pub(crate) fn of(pair: Ed25519KeyPair) -> Self {
        Self(pair)
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(bytes)
    }

    /// Signs.
    pub fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.0.sign(bytes).as_ref());
        signature
    }
}

/// The public half of a server's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// Whether `signature` is that server's signature of `bytes`.
    pub fn verifies(&self, bytes: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(bytes, signature).is_ok()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        hex(&key.0)
    }
}

impl TryFrom<String> for PublicKey {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        unhex(&text).and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or("a public key is 64 hexadecimal digits")
    }
}

/// How the keys of a volume lie in `VOLUME.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Slot {
    /// Open to whoever can read the volume.
    Clear {
        /// The identity key, hexadecimal.
        identity_key: String,
        /// The sealing key, hexadecimal.
        sealing_key: String,
    },
    /// Under a key that Argon2id (version 1.3) makes of a passphrase.
    Passphrase {
        /// Memory in KiB.
        memory_kib: u32,
        /// Passes.
        passes: u32,
        /// Lanes.
        lanes: u32,
        /// Salt, hexadecimal.
        salt: String,
        /// Nonce, ciphertext and tag, hexadecimal.
        sealed: String,
    },
    /// Under a key derived from the wrapping key in the keyring of the server that owns the volume.
    Keyring {
        /// Nonce, ciphertext and tag, hexadecimal.
        sealed: String,
    },
}

/// Cost of a guess at a passphrase: 64 MiB, three passes.
const ARGON2_MEMORY_KIB: u32 = 64 * 1024;
const ARGON2_PASSES: u32 = 3;
/// What a volume may make us spend; a hostile VOLUME.toml must not take the machine down.
const ARGON2_MEMORY_KIB_MAX: u32 = 1024 * 1024;
const ARGON2_PASSES_MAX: u32 = 64;

impl Slot {
    /// A slot that anyone can open.
    pub fn clear(keys: &VolumeKeys) -> Self {
        Self::Clear { identity_key: hex(keys.identity.expose()), sealing_key: hex(keys.sealing.expose()) }
    }

    /// A slot for a passphrase.
    pub fn passphrase(keys: &VolumeKeys, volume: VolumeId, passphrase: &[u8]) -> Result<Self, StoreError> {
        let salt: [u8; 16] = random()?;
        let key = stretch(passphrase, &salt, ARGON2_MEMORY_KIB, ARGON2_PASSES, 1)
            .ok_or_else(|| StoreError::Internal("Argon2id refused its parameters".to_owned()))?;
        Ok(Self::Passphrase {
            memory_kib: ARGON2_MEMORY_KIB,
            passes: ARGON2_PASSES,
            lanes: 1,
            salt: hex(&salt),
            sealed: seal_slot(&key, volume, keys)?,
        })
    }

    /// A slot for the server's keyring.
    pub fn keyring(keys: &VolumeKeys, volume: VolumeId, wrapping: &Secret) -> Result<Self, StoreError> {
        Ok(Self::Keyring { sealed: seal_slot(&wrapping.derive(context::KEYRING_SLOT), volume, keys)? })
    }

    /// The keys, if this slot opens with what `unlock` has. `Ok(None)`: it is for something else or does not open.
    pub fn open(&self, volume: VolumeId, unlock: &Unlock) -> Option<VolumeKeys> {
        match self {
            Self::Clear { identity_key, sealing_key } => {
                Some(VolumeKeys { identity: secret(identity_key)?, sealing: secret(sealing_key)? })
            }
            Self::Passphrase { memory_kib, passes, lanes, salt, sealed } => {
                let affordable = *memory_kib <= ARGON2_MEMORY_KIB_MAX && *passes <= ARGON2_PASSES_MAX && *lanes <= 16;
                let passphrase = unlock.passphrase.as_ref().filter(|_| affordable)?;
                let key = stretch(passphrase, &unhex(salt)?, *memory_kib, *passes, *lanes)?;
                open_slot(&key, volume, sealed)
            }
            Self::Keyring { sealed } => {
                let key = Zeroizing::new(unlock.wrapping.as_ref()?.derive(context::KEYRING_SLOT));
                open_slot(&key, volume, sealed)
            }
        }
    }
}

/// What opens a volume besides a clear slot.
#[derive(Default, Clone)]
pub struct Unlock {
    /// The wrapping key of the server's keyring.
    pub wrapping: Option<Secret>,
    /// A passphrase.
    pub passphrase: Option<Zeroizing<Vec<u8>>>,
}

fn stretch(passphrase: &[u8], salt: &[u8], memory: u32, passes: u32, lanes: u32) -> Option<Zeroizing<[u8; 32]>> {
    let parameters = argon2::Params::new(memory, passes, lanes, Some(32)).ok()?;
    let argon = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, parameters);
    let mut key = Zeroizing::new([0; 32]);
    argon.hash_password_into(passphrase, salt, key.as_mut()).ok()?;
    Some(key)
}

/// What a PIN is compared by.
pub(crate) fn stretch_pin(digits: &[u8], salt: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    stretch(digits, salt, ARGON2_MEMORY_KIB, ARGON2_PASSES, 1)
}

/// Whether two secrets are the same, in a time that does not tell where they differ.
pub(crate) fn same(one: &[u8], other: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one, other).is_ok()
}

fn slot_aad(volume: VolumeId) -> Aad<Vec<u8>> {
    Aad::from([b"resurgam v1 slot".as_slice(), volume.as_bytes()].concat())
}

fn seal_slot(key: &[u8; 32], volume: VolumeId, keys: &VolumeKeys) -> Result<String, StoreError> {
    let nonce: [u8; 12] = random()?;
    let mut bytes = Zeroizing::new([keys.identity.expose().as_slice(), keys.sealing.expose()].concat());
    let tag = cipher(key)?
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), slot_aad(volume), &mut bytes)
        .map_err(|_| StoreError::Internal("sealing a key slot was refused".to_owned()))?;
    Ok(hex(&[nonce.as_slice(), &bytes, tag.as_ref()].concat()))
}

fn open_slot(key: &[u8; 32], volume: VolumeId, sealed: &str) -> Option<VolumeKeys> {
    let mut bytes = Zeroizing::new(unhex(sealed)?);
    let (nonce, rest) = bytes.split_at_mut_checked(12)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let plain = cipher(key).ok()?.open_in_place(nonce, slot_aad(volume), rest).ok()?;
    let (identity, sealing) = plain.split_at_checked(32)?;
    Some(VolumeKeys { identity: Secret(identity.try_into().ok()?), sealing: Secret(sealing.try_into().ok()?) })
}

pub(crate) fn cipher(key: &[u8; 32]) -> Result<LessSafeKey, StoreError> {
    UnboundKey::new(&AES_256_GCM, key)
        .map(LessSafeKey::new)
        .map_err(|_| StoreError::Internal("the cipher refused its key".to_owned()))
}

fn secret(text: &str) -> Option<Secret> {
    Some(Secret(Zeroizing::new(unhex(text)?).as_slice().try_into().ok()?))
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)] as char);
        text.push(DIGITS[usize::from(byte & 15)] as char);
    }
    text
}

/// The bytes that lower-case hexadecimal digits stand for; `None` where they are none. One spelling only: a flipped bit that
/// makes a capital letter is damage like any other.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    digits.chunks_exact(2).map(|pair| Some((value(pair[0])? << 4) | value(pair[1])?)).collect()
}
