//! Every limit of the format and of the engine, named once. Changing one marked *format* changes what is on disk.

/// *Format.* Files of up to this many bytes lie in their entry.
pub const INLINE_MAX: usize = 512;
/// Files of up to this many bytes are one blob; larger ones are cut by content.
pub const WHOLE_FILE_MAX: usize = 512 * 1024;
/// Content-defined cutting: no blob but a file's last is shorter.
pub const CHUNK_MIN: usize = 256 * 1024;
/// Content-defined cutting: the length aimed at.
pub const CHUNK_TARGET: usize = 1024 * 1024;
/// Content-defined cutting: no blob is longer.
pub const CHUNK_MAX: usize = 2 * 1024 * 1024;
/// *Format.* No blob is longer.
pub const BLOB_MAX: usize = 4 * 1024 * 1024;

/// A data frame is closed once it holds this many plain bytes.
pub const FRAME_TARGET: usize = 4 * 1024 * 1024;
/// A data frame is closed before it would hold more, unless a single blob does.
pub const FRAME_FULL: usize = FRAME_TARGET + FRAME_TARGET / 4;
/// A metadata frame is closed once it holds this many plain bytes: small, since single pages are fetched.
pub const META_FRAME_TARGET: usize = 256 * 1024;
/// *Format.* No frame has more plain bytes: what a reader must be ready to allocate.
pub const FRAME_MAX: usize = 8 * 1024 * 1024;
/// *Format.* No frame holds more blobs.
pub const FRAME_BLOBS_MAX: usize = 1 << 16;

/// In the part of a vault, shorter frames are filled up to this many plain bytes.
pub const FILLED_FRAME: usize = 256 * 1024;

/// A pack is closed once it has grown to this many bytes.
pub const PACK_TARGET: u64 = 64 * 1024 * 1024;
/// *Format.* No pack is longer.
pub const PACK_MAX: u64 = 128 * 1024 * 1024;
/// *Format.* The unit of checksums and parity.
pub const PAGE: usize = 4096;
/// *Format.* Pages that share parity.
pub const PARITY_GROUP: usize = 1024;
/// *Format.* Parity pages of a full group: that many damaged pages of it can be mended.
pub const PARITY_PAGES: usize = 16;

/// A page of entries is not cut before it has this many bytes.
pub const TREE_PAGE_MIN: usize = 1024;
/// A page of entries is cut when it has this many bytes.
pub const TREE_PAGE_TARGET_MAX: usize = 64 * 1024;
/// *Format.* Deepest tree of pages.
pub const TREE_LEVELS_MAX: u8 = 16;
/// *Format.* Longest path inside a point.
pub const PATH_MAX: usize = 1 << 20;
/// Extents that an entry holds itself; more of them become lists.
pub const EXTENTS_INLINE: usize = 16;
/// Extents or references in one list.
pub const LIST_LENGTH: usize = 1024;
/// *Format.* Most levels of lists.
pub const LIST_DEPTH_MAX: u8 = 4;

/// *Format.* Longest text document (VOLUME.toml, REPLICA.toml, a point).
pub const DOCUMENT_MAX: usize = 1 << 20;
/// *Format.* Longest capsule: the whole charter of a server is one document.
pub const CAPSULE_MAX: usize = 64 << 20;

/// Blobs after which a writer saves what it has stored as an index segment and forgets it from memory.
pub const SEGMENT_BLOBS: usize = 1 << 18;
/// Blobs that a segment has at most which is made of others: whoever reads it holds it in memory for a moment, 185 MB.
pub const SEGMENT_BLOBS_MAX: usize = 1 << 22;

const _: () = assert!(CHUNK_MIN < CHUNK_TARGET && CHUNK_TARGET < CHUNK_MAX && CHUNK_MAX <= BLOB_MAX);
const _: () = assert!(FRAME_FULL < FRAME_MAX && BLOB_MAX < FRAME_FULL);
const _: () = assert!(WHOLE_FILE_MAX <= BLOB_MAX && TREE_PAGE_TARGET_MAX + PATH_MAX < BLOB_MAX);
const _: () = assert!(PACK_TARGET + (2 * FRAME_MAX as u64) < PACK_MAX);
