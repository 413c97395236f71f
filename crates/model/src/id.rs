//! Identities. Each is a random UUID with a type of its own, so that a volume can never be passed for a point.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Text that should have been an id and was not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what} id: expected a UUID such as 0b8e5f0e-4f4e-4c39-9f57-3f6fd0a6d1c2")]
pub struct InvalidId {
    /// Which kind of id was expected, with its article.
    pub what: &'static str,
    /// What was given instead.
    pub text: String,
}

macro_rules! identity {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Makes an id out of 16 bytes from the caller's source of randomness (UUID version 4).
            pub const fn from_random(bytes: [u8; 16]) -> Self {
                Self(uuid::Builder::from_random_bytes(bytes).into_uuid())
            }

            /// The id as its 16 bytes stand in a file.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The 16 bytes, in the order in which the text form prints them.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::try_parse(text).map(Self).map_err(|_| InvalidId { what: $what, text: text.to_owned() })
            }
        }
    };
}

identity!(
    /// One Resurgam installation, whatever machine it runs on.
    ServerId,
    "a server"
);
identity!(
    /// One volume: a self-contained store.
    VolumeId,
    "a volume"
);
identity!(
    /// One thing protected.
    SourceId,
    "a data source"
);
identity!(
    /// All that one volume holds of one data source (MABS: the physical replica id).
    ReplicaId,
    "a replica"
);
identity!(
    /// One recovery point (MABS: the PIT id).
    PointId,
    "a recovery point"
);
identity!(
    /// One protection group.
    GroupId,
    "a protection group"
);
identity!(
    /// One run of something that the server does.
    JobId,
    "a job"
);

identity!(
    /// One vault: the off-site home of online recovery points.
    VaultId,
    "a vault"
);
identity!(
    /// The life of one catalog, up to the next restoring.
    LineageId,
    "a lineage"
);

/// Why a shortened id named nothing or more than one thing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// No id begins with the prefix.
    #[error("nothing has an id that begins with `{0}`")]
    None(String),
    /// Several ids begin with it.
    #[error("`{prefix}` is ambiguous: {count} ids begin with it; give more of the id")]
    Ambiguous {
        /// What was given.
        prefix: String,
        /// How many ids begin with it.
        count: usize,
    },
}

/// Finds the one candidate whose id, as printed, begins with `prefix` (case does not matter).
///
/// # Errors
/// Where no id or more than one begins with it. An empty prefix is nobody's.
pub fn by_prefix<T>(
    prefix: &str,
    candidates: impl IntoIterator<Item = T>,
    id: impl Fn(&T) -> String,
) -> Result<T, PrefixError> {
    let wanted = prefix.to_ascii_lowercase();
    let mut found: Vec<T> = if wanted.is_empty() {
        Vec::new()
    } else {
        candidates.into_iter().filter(|c| id(c).starts_with(&wanted)).collect()
    };
    match (found.len(), found.pop()) {
        (1, Some(one)) => Ok(one),
        (0, _) | (_, None) => Err(PrefixError::None(prefix.to_owned())),
        (count, Some(_)) => Err(PrefixError::Ambiguous { prefix: prefix.to_owned(), count }),
    }
}

#[cfg(test)]
mod tests;
