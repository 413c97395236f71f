//! Frames: the unit of compression and encryption. The only place where this crate seals and opens bytes.
//!
//! ```text
//! offset size
//!      0    4  "RsFr"
//!      4    1  kind
//!      5    1  codec: 0 stored, 1 zstd
//!      6    2  zero
//!      8    4  length of what follows the header: ciphertext and tag
//!     12    4  length of the payload before compression
//!     16   32  value: keyed BLAKE3 of the compressed payload, or of what names a stored one
//!     48   12  nonce
//!     60    4  first bytes of the BLAKE3 of all above
//!     64       AES-256-GCM ciphertext, then its tag of 16 bytes
//! ```
//! The key of a frame is derived from the sealing key and its value, so frames of different bytes never share a key,
//! whatever the random number generator does. The volume's id and the header are authenticated with the bytes.
//!
//! Blobs that are stored as they are have been hashed for their names. Names and lengths tell their bytes as surely as
//! one more hash of them would, so the value of such a frame is that of its names ([`Value::Names`]), under a key of its own.

use aws_lc_rs::aead::{Aad, Nonce};
use resurgam_model::VolumeId;
use zstd::{
    bulk::{Compressor, Decompressor},
    zstd_safe::{CParameter, Strategy},
};

use crate::{
    error::StoreError,
    keys::{self, Derived},
    limits::PAGE,
};

/// Length of a frame's header.
pub const HEADER: usize = 64;
const MAGIC: &[u8; 4] = b"RsFr";
const TAG: usize = 16;
/// Memory that is used again is asked for in multiples of this, so that it seldom has to grow.
const GRAIN: usize = 256 * 1024;

fn grained(length: usize) -> usize {
    if length < GRAIN { length } else { length.next_multiple_of(GRAIN) }
}
/// Level of which the other parameters of [`Effort::Quick`] are.
const QUICK_LEVEL: i32 = 3;
/// One look-up in a table for each place, which remembers a frame of the largest size whole. Measured against zstd's own
/// levels: `docs/decisions/2026-11-23-frames.md`.
const QUICK: [CParameter; 4] = [
    CParameter::Strategy(Strategy::ZSTD_fast),
    CParameter::WindowLog(22),
    CParameter::HashLog(17),
    CParameter::MinMatch(6),
];
/// On what does not compress more than twice as quick as [`QUICK`].
const PROBE_LEVEL: i32 = 1;
/// Of so many bytes, the first are looked at to see whether they compress.
const PROBE_EACH: usize = 256 * 1024;
const PROBE_BYTES: usize = 64 * 1024;
const PATIENT_LEVEL: i32 = 6;
const PATIENT: [CParameter; 1] = [CParameter::WindowLog(22)];

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum FrameKind {
    /// Blobs of file content.
    Data = 0,
    /// Blobs of metadata.
    Meta = 1,
    /// A pack's own index.
    PackIndex = 2,
    /// A text document of a volume that is not open to everyone.
    Document = 3,
    /// A segment of the consolidated index.
    IndexSegment = 4,
}

impl FrameKind {
    fn of(byte: u8) -> Option<Self> {
        [Self::Data, Self::Meta, Self::PackIndex, Self::Document, Self::IndexSegment]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// What a frame's value is the hash of; what decides all of its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'v> {
    /// The payload itself, as it is sealed.
    Payload,
    /// The directory and the names of the blobs of a payload that is not compressed. Only where each name is the hash of
    /// its blob.
    Names(&'v [u8]),
}

/// How much work compressing may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Only to see whether anything is gained.
    Probe,
    /// The processors have enough to do.
    Quick,
    /// Something else is waited for: four times the time for a sixth less of text.
    Patient,
}

/// A frame's header, checked for form but not yet for truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// What the frame holds.
    pub kind: FrameKind,
    /// Whether the payload is compressed.
    pub compressed: bool,
    /// Length of ciphertext and tag.
    pub sealed_length: u32,
    /// Length of the payload before compression.
    pub plain_length: u32,
    value: [u8; 32],
    nonce: [u8; 12],
}

impl FrameHeader {
    /// Reads a header. `None`: these bytes are none, or damaged.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER] = bytes.get(..HEADER)?.try_into().ok()?;
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let sum = blake3::hash(&bytes[..60]);
        if &bytes[..4] != MAGIC || bytes[60..] != sum.as_bytes()[..4] || bytes[5] > 1 || bytes[6..8] != [0, 0] {
            return None;
        }
        let header = Self {
            kind: FrameKind::of(bytes[4])?,
            compressed: bytes[5] == 1,
            sealed_length: word(8),
            plain_length: word(12),
            value: bytes[16..48].try_into().ok()?,
            nonce: bytes[48..60].try_into().ok()?,
        };
        (header.sealed_length as usize >= TAG).then_some(header)
    }

    fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[4] = self.kind as u8;
        bytes[5] = u8::from(self.compressed);
        bytes[8..12].copy_from_slice(&self.sealed_length.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.plain_length.to_le_bytes());
        bytes[16..48].copy_from_slice(&self.value);
        bytes[48..60].copy_from_slice(&self.nonce);
        let sum = blake3::hash(&bytes[..60]);
        bytes[60..].copy_from_slice(&sum.as_bytes()[..4]);
        bytes
    }
}

/// A payload as it lies in its frame: decrypted, and still compressed where it was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Compressed {
    compressed: bool,
    /// Length of the payload itself; at most the limit that it was unsealed with.
    pub(crate) plain_length: usize,
    bytes: Vec<u8>,
}

/// Seals and opens the frames of one volume. Each thread has its own: it keeps the compressor's working memory.
pub struct Sealer<'a> {
    keys: &'a Derived,
    volume: VolumeId,
    /// Whether lengths are not to tell how much there is.
    filled: bool,
    /// One for each effort, made when it is needed: whoever reads needs none.
    compressors: [Option<Compressor<'static>>; 3],
    decompressor: Decompressor<'static>,
    /// Memory that is used again: where a payload lies compressed on its way out,
    packed: Vec<u8>,
    /// and where one is compressed, or opened to be looked at.
    room: Vec<u8>,
}

impl<'a> Sealer<'a> {
    /// For one volume.
    pub fn new(keys: &'a Derived, volume: VolumeId) -> Result<Self, StoreError> {
        let decompressor = Decompressor::new().map_err(unusable)?;
        Ok(Self {
            keys,
            volume,
            filled: false,
            compressors: [const { None }; 3],
            decompressor,
            packed: Vec::new(),
            room: Vec::new(),
        })
    }

    /// The same for the part of a vault, where lists of blobs are filled up.
    pub(crate) fn filled(self, filled: bool) -> Self {
        Self { filled, ..self }
    }

    /// Seals a list of blobs: in the part of a vault filled up with zeros to whole pages and not compressed, so that its
    /// length does not tell how many they are.
    pub(crate) fn seal_list(&mut self, kind: FrameKind, mut payload: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        if !self.filled {
            return self.seal(kind, &payload);
        }
        payload.resize(payload.len().next_multiple_of(PAGE), 0);
        self.seal_stored(Vec::new(), kind, &[&payload], Value::Payload)
    }

    /// Compresses (where that gains at least 3 %) and seals `payload`: header, ciphertext, tag.
    pub fn seal(&mut self, kind: FrameKind, payload: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.seal_to(Vec::new(), kind, payload, Effort::Quick)
    }

    /// [`Sealer::seal`] with some effort, and in memory that was used before.
    pub(crate) fn seal_to(
        &mut self,
        frame: Vec<u8>,
        kind: FrameKind,
        payload: &[u8],
        effort: Effort,
    ) -> Result<Vec<u8>, StoreError> {
        let compressed = self.compress(payload, effort)?;
        let parts = [if compressed { &self.room } else { payload }];
        self.encrypt(frame, kind, compressed, payload.len(), &parts, Value::Payload)
    }

    /// Whether compressing seems to gain anything, by what a quarter of the bytes tells.
    pub(crate) fn seems_to_compress(&mut self, bytes: &[u8]) -> Result<bool, StoreError> {
        for part in bytes.chunks(PROBE_EACH) {
            if self.compress(&part[..part.len().min(PROBE_BYTES)], Effort::Probe)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Compresses into the sealer's own memory. `false`: it did not gain enough.
    fn compress(&mut self, payload: &[u8], effort: Effort) -> Result<bool, StoreError> {
        let compressor = match &mut self.compressors[effort as usize] {
            Some(compressor) => compressor,
            none => none.insert(new_compressor(effort).map_err(unusable)?),
        };
        self.room.clear();
        self.room.reserve_exact(zstd::zstd_safe::compress_bound(payload.len()));
        let length = compressor
            .compress_to_buffer(payload, &mut self.room)
            .map_err(|error| StoreError::Internal(format!("zstd refused to compress: {error}")))?;
        Ok(length + length / 32 < payload.len())
    }

    /// Seals a payload that is given in parts as it is, in memory that was used before.
    pub(crate) fn seal_stored(
        &self,
        frame: Vec<u8>,
        kind: FrameKind,
        parts: &[&[u8]],
        value: Value<'_>,
    ) -> Result<Vec<u8>, StoreError> {
        self.encrypt(frame, kind, false, parts.iter().map(|part| part.len()).sum(), parts, value)
    }

    /// Seals what another volume's sealer has unsealed, as it was compressed there, in memory that was used before.
    pub(crate) fn seal_again(
        &self,
        frame: Vec<u8>,
        kind: FrameKind,
        payload: &Compressed,
    ) -> Result<Vec<u8>, StoreError> {
        self.encrypt(frame, kind, payload.compressed, payload.plain_length, &[&payload.bytes], Value::Payload)
    }

    /// Whether a frame opens to this payload, as it was compressed.
    pub(crate) fn holds(&mut self, frame: &[u8], kind: FrameKind, payload: &Compressed) -> bool {
        let Some((encoded, sealed)) = frame.split_first_chunk() else { return false };
        let Some(header) = accept(encoded, sealed.len(), kind, payload.plain_length) else { return false };
        let mut packed = std::mem::take(&mut self.packed);
        let holds = self.decrypt_to(encoded, &header, sealed, &mut packed)
            && header.compressed == payload.compressed
            && header.plain_length as usize == payload.plain_length
            && packed == payload.bytes;
        self.packed = packed;
        holds
    }

    /// Makes a frame of a payload as it is to lie there, in memory that may have been used before.
    fn encrypt(
        &self,
        mut frame: Vec<u8>,
        kind: FrameKind,
        compressed: bool,
        plain_length: usize,
        parts: &[&[u8]],
        value: Value<'_>,
    ) -> Result<Vec<u8>, StoreError> {
        frame.clear();
        frame.reserve_exact(grained(HEADER + parts.iter().map(|part| part.len()).sum::<usize>() + TAG));
        frame.resize(HEADER, 0);
        parts.iter().for_each(|part| frame.extend_from_slice(part));
        let too_long = |_| StoreError::Internal("a frame longer than 4 GiB".to_owned());
        let header = FrameHeader {
            kind,
            compressed,
            sealed_length: u32::try_from(frame.len() - HEADER + TAG).map_err(too_long)?,
            plain_length: u32::try_from(plain_length).map_err(too_long)?,
            value: match value {
                Value::Payload => *blake3::keyed_hash(&self.keys.frame_value, &frame[HEADER..]).as_bytes(),
                Value::Names(names) => *blake3::keyed_hash(&self.keys.frame_names, names).as_bytes(),
            },
            nonce: keys::random()?,
        };
        let encoded = header.encode();
        let tag = self
            .cipher(&header)?
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(header.nonce),
                self.aad(&encoded),
                &mut frame[HEADER..],
            )
            .map_err(|_| StoreError::Internal("sealing a frame was refused".to_owned()))?;
        frame[..HEADER].copy_from_slice(&encoded);
        frame.extend_from_slice(tag.as_ref());
        Ok(frame)
    }

    /// Opens a frame given whole. `limit` bounds what its payload may take. `None`: it is not what was sealed.
    pub fn open(&mut self, frame: &[u8], kind: FrameKind, limit: usize) -> Option<Vec<u8>> {
        self.open_owned(frame.to_vec(), kind, limit)
    }

    /// What a frame holds, in memory of the sealer's own: for looking at it. `None`: it is not what was sealed.
    pub(crate) fn look_into(&mut self, frame: &[u8], kind: FrameKind, limit: usize) -> Option<&[u8]> {
        let (encoded, sealed) = frame.split_first_chunk()?;
        let header = accept(encoded, sealed.len(), kind, limit)?;
        let mut packed = std::mem::take(&mut self.packed);
        let decrypted = self.decrypt_to(encoded, &header, sealed, &mut packed);
        self.packed = packed;
        if !decrypted {
            return None;
        }
        if !header.compressed {
            return Some(&self.packed);
        }
        let (packed, mut room) = (std::mem::take(&mut self.packed), std::mem::take(&mut self.room));
        let inflated = self.inflate_to(&packed, header.plain_length as usize, &mut room);
        (self.packed, self.room) = (packed, room);
        inflated.then_some(&self.room)
    }

    /// [`Sealer::open`] into memory that was used before; the frame is decrypted where it lies. `false`: it is not what was
    /// sealed, and what `payload` holds is of no account.
    pub(crate) fn open_into(&mut self, frame: &mut [u8], kind: FrameKind, limit: usize, payload: &mut Vec<u8>) -> bool {
        let Some((encoded, sealed)) = frame.split_first_chunk_mut() else { return false };
        let Some(header) = accept(encoded, sealed.len(), kind, limit) else { return false };
        if !header.compressed {
            return self.decrypt_to(encoded, &header, sealed, payload);
        }
        let Some(packed) = self.decrypt_in_place(encoded, &header, sealed) else { return false };
        self.inflate_to(packed, header.plain_length as usize, payload)
    }

    /// Opens a frame as [`Sealer::open`] does, in its own memory: for long ones.
    pub(crate) fn open_owned(&mut self, mut frame: Vec<u8>, kind: FrameKind, limit: usize) -> Option<Vec<u8>> {
        let encoded = *frame.first_chunk()?;
        frame.drain(..HEADER);
        let header = accept(&encoded, frame.len(), kind, limit)?;
        let length = self.decrypt_in_place(&encoded, &header, &mut frame)?.len();
        frame.truncate(length);
        if !header.compressed {
            return Some(frame);
        }
        let mut payload = Vec::new();
        self.inflate_to(&frame, header.plain_length as usize, &mut payload).then_some(payload)
    }

    /// Decrypts a frame given whole, and leaves its payload as it was compressed.
    pub(crate) fn unseal(&self, frame: &[u8], kind: FrameKind, limit: usize) -> Option<Compressed> {
        let (encoded, sealed) = frame.split_first_chunk()?;
        let header = accept(encoded, sealed.len(), kind, limit)?;
        let (compressed, plain_length) = (header.compressed, header.plain_length as usize);
        let mut bytes = Vec::new();
        self.decrypt_to(encoded, &header, sealed, &mut bytes).then_some(Compressed { compressed, plain_length, bytes })
    }

    /// The payload itself, in memory of the sealer's own. `None`: it does not decompress to what it says.
    pub(crate) fn inflate<'s>(&'s mut self, payload: &'s Compressed) -> Option<&'s [u8]> {
        if !payload.compressed {
            return Some(&payload.bytes);
        }
        let mut room = std::mem::take(&mut self.room);
        let inflated = self.inflate_to(&payload.bytes, payload.plain_length, &mut room);
        self.room = room;
        inflated.then_some(&self.room)
    }

    fn decrypt_to(&self, encoded: &[u8; HEADER], header: &FrameHeader, sealed: &[u8], out: &mut Vec<u8>) -> bool {
        let Some((bytes, tag)) = sealed.split_last_chunk::<TAG>() else { return false };
        let Ok(cipher) = self.cipher(header) else { return false };
        // What was there is overwritten: clearing it first would only take time.
        if out.capacity() < bytes.len() {
            out.clear();
            out.reserve_exact(grained(bytes.len()));
        }
        out.resize(bytes.len(), 0);
        let nonce = Nonce::assume_unique_for_key(header.nonce);
        cipher.open_separate_gather(nonce, self.aad(encoded), bytes, tag, out).is_ok()
    }

    fn decrypt_in_place<'s>(
        &self,
        encoded: &[u8; HEADER],
        header: &FrameHeader,
        sealed: &'s mut [u8],
    ) -> Option<&'s mut [u8]> {
        let nonce = Nonce::assume_unique_for_key(header.nonce);
        self.cipher(header).ok()?.open_in_place(nonce, self.aad(encoded), sealed).ok()
    }

    fn inflate_to(&mut self, packed: &[u8], plain_length: usize, out: &mut Vec<u8>) -> bool {
        out.clear();
        out.reserve_exact(grained(plain_length));
        self.decompressor.decompress_to_buffer(packed, out).is_ok_and(|written| written == plain_length)
    }

    fn cipher(&self, header: &FrameHeader) -> Result<aws_lc_rs::aead::LessSafeKey, StoreError> {
        keys::cipher(blake3::keyed_hash(&self.keys.frame_key, &header.value).as_bytes())
    }

    fn aad(&self, header: &[u8; HEADER]) -> Aad<[u8; 80]> {
        let mut bytes = [0; 80];
        bytes[..16].copy_from_slice(self.volume.as_bytes());
        bytes[16..].copy_from_slice(header);
        Aad::from(bytes)
    }
}

/// A header that fits what follows it, and what was asked for.
fn accept(encoded: &[u8; HEADER], sealed_length: usize, kind: FrameKind, limit: usize) -> Option<FrameHeader> {
    let header = FrameHeader::parse(encoded)?;
    let fits = header.kind == kind
        && header.sealed_length as usize == sealed_length
        && header.plain_length as usize <= limit
        && (header.compressed || header.plain_length as usize + TAG == sealed_length);
    fits.then_some(header)
}

fn new_compressor(effort: Effort) -> std::io::Result<Compressor<'static>> {
    let (level, parameters) = match effort {
        Effort::Probe => (PROBE_LEVEL, &[][..]),
        Effort::Quick => (QUICK_LEVEL, &QUICK[..]),
        Effort::Patient => (PATIENT_LEVEL, &PATIENT[..]),
    };
    let mut compressor = Compressor::new(level)?;
    parameters.iter().try_for_each(|parameter| compressor.set_parameter(*parameter))?;
    Ok(compressor)
}

fn unusable(error: std::io::Error) -> StoreError {
    StoreError::Internal(format!("zstd cannot be set up: {error}"))
}

/// For fuzzing: opening a frame, on any bytes. What a header says never leads to an allocation beyond the limit.
pub fn fuzz_frame(bytes: &[u8]) {
    let keys =
        Derived::from(&keys::VolumeKeys { identity: keys::Secret::new([1; 32]), sealing: keys::Secret::new([2; 32]) });
    let volume = VolumeId::from_bytes([3; 16]);
    let Ok(mut sealer) = Sealer::new(&keys, volume) else { return };
    assert_eq!(sealer.open(bytes, FrameKind::Data, 1 << 16), None);
    if let Ok(mut frame) = sealer.seal(FrameKind::Data, bytes) {
        assert_eq!(sealer.open(&frame, FrameKind::Data, bytes.len()).as_deref(), Some(bytes));
        let at = bytes.len() % frame.len();
        frame[at] ^= 1;
        assert_eq!(sealer.open(&frame, FrameKind::Data, bytes.len()), None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test_keys() -> Derived {
        let [identity, sealing] = [1, 2].map(|byte| keys::Secret::new([byte; 32]));
        Derived::from(&keys::VolumeKeys { identity, sealing })
    }

    fn test_sealer(keys: &Derived) -> Sealer<'_> {
        Sealer::new(keys, VolumeId::from_bytes([3; 16])).unwrap()
    }

    #[test]
    fn what_compresses_only_here_and_there_seems_to_compress() {
        let keys = test_keys();
        let mut sealer = test_sealer(&keys);
        let mut bytes = vec![0; 1_000_000];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        assert!(!sealer.seems_to_compress(&bytes).unwrap());
        assert!(!sealer.seems_to_compress(&[]).unwrap());
        bytes[800_000..].fill(7);
        assert!(sealer.seems_to_compress(&bytes).unwrap());
        let parts = bytes.split_at(300_000);
        let frame = sealer.seal_stored(Vec::new(), FrameKind::Data, &[parts.0, parts.1], Value::Payload).unwrap();
        assert_eq!(sealer.open(&frame, FrameKind::Data, bytes.len()), Some(bytes));
    }

    #[test]
    fn frames_share_a_key_only_where_their_values_are_of_the_same() {
        let keys = test_keys();
        let mut sealer = test_sealer(&keys);
        let (payload, names) = ([5; 100], [6; 36]);
        let values = [Value::Payload, Value::Names(&names), Value::Names(&names[1..]), Value::Names(&payload)];
        let frames = values.map(|value| sealer.seal_stored(Vec::new(), FrameKind::Data, &[&payload], value).unwrap());
        let value_of = |frame: &[u8]| FrameHeader::parse(frame).unwrap().value;
        for (place, frame) in frames.iter().enumerate() {
            assert_eq!(sealer.open(frame, FrameKind::Data, 100).as_deref(), Some(&payload[..]));
            assert!(frames[..place].iter().all(|other| value_of(other) != value_of(frame)));
        }
        let again = sealer.seal_stored(Vec::new(), FrameKind::Data, &[&payload], Value::Names(&names)).unwrap();
        assert_eq!(value_of(&again), value_of(&frames[1]));
        assert_ne!(again, frames[1], "a nonce of its own");
    }

    #[test]
    fn patience_makes_shorter_frames_that_open_alike() {
        let keys = test_keys();
        let mut sealer = test_sealer(&keys);
        let text =
            [include_str!("frame.rs"), include_str!("pack.rs"), include_str!("volume.rs"), include_str!("collect.rs")];
        let text = text.concat().into_bytes();
        let frames = [Effort::Quick, Effort::Patient]
            .map(|effort| sealer.seal_to(vec![7; 100], FrameKind::Data, &text, effort).unwrap());
        assert!(frames[1].len() < frames[0].len(), "{} and {}", frames[1].len(), frames[0].len());
        for frame in &frames {
            assert_eq!(sealer.open(frame, FrameKind::Data, text.len()).as_ref(), Some(&text));
            assert_eq!(sealer.look_into(frame, FrameKind::Data, text.len()), Some(&text[..]));
            assert_eq!(sealer.open(frame, FrameKind::Data, text.len() - 1), None);
        }
    }
}
