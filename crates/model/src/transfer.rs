//! How much a vault's store is asked at once, and how fast: what people set for each vault.

use serde::Serialize;

/// Below this, a pack would take longer than anybody waits for: bytes a second.
pub const SLOWEST_BYTES_PER_SECOND: u64 = 16 * 1024;
/// More requests at once help nobody.
pub const MOST_REQUESTS_AT_ONCE: u64 = 256;

/// Limits of what is sent and fetched. `None`: what is usual, which for bytes is as many as there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct TransferLimits {
    /// Bytes a second, sent.
    pub up_bytes_per_second: Option<u64>,
    /// Bytes a second, received.
    pub down_bytes_per_second: Option<u64>,
    /// Requests at once.
    pub requests_at_once: Option<u64>,
}
