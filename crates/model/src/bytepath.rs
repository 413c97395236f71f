//! Paths as a file system has them: bytes, not text.
//!
//! A [`BytePath`] is relative to the root of a data source: components of 1 to 255 bytes without NUL and slash, joined
//! by single slashes; the empty path is the root itself. The order is that of a walk that visits a directory before
//! its children and children by the bytes of their names: components are compared one by one, so `a/b` comes before
//! `a.b`, and all that lies below a directory stands together.

use std::{cmp::Ordering, fmt};

use serde::{Serialize, Serializer};

/// A path below the root of a data source. See the module's head for its form and order.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct BytePath(Vec<u8>);

/// Bytes that cannot be a path below a root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a path inside a recovery point: {1}")]
pub struct InvalidPath(pub String, pub &'static str);

impl BytePath {
    /// The root itself.
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// Checks and takes the bytes of a path.
    ///
    /// # Errors
    /// Where a component is empty, `.`, `..`, holds a NUL byte or is longer than 255 bytes.
    pub fn new(bytes: Vec<u8>) -> Result<Self, InvalidPath> {
        if !bytes.is_empty()
            && let Some(reason) = bytes.split(|&b| b == b'/').find_map(fault_of_name)
        {
            return Err(InvalidPath(escape(&bytes), reason));
        }
        Ok(Self(bytes))
    }

    /// Takes what a person typed: leading, trailing and doubled slashes and `.` components are dropped.
    ///
    /// # Errors
    /// As for [`BytePath::new`]; `..` is refused, never resolved.
    pub fn from_typed(bytes: &[u8]) -> Result<Self, InvalidPath> {
        let parts: Vec<&[u8]> = bytes.split(|&b| b == b'/').filter(|p| !p.is_empty() && *p != b".").collect();
        Self::new(parts.join(&b'/'))
    }

    /// The path of the child `name`.
    ///
    /// # Errors
    /// Where `name` is not a file name.
    pub fn join(&self, name: &[u8]) -> Result<Self, InvalidPath> {
        if let Some(reason) = fault_of_name(name) {
            return Err(InvalidPath(escape(name), reason));
        }
        let mut bytes = Vec::with_capacity(self.0.len() + 1 + name.len());
        bytes.extend_from_slice(&self.0);
        if !bytes.is_empty() {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(name);
        Ok(Self(bytes))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The components, none for the root.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&b| b == b'/').filter(|c| !c.is_empty())
    }

    /// The last component; empty for the root.
    pub fn name(&self) -> &[u8] {
        self.components().next_back().unwrap_or_default()
    }

    /// The directory that holds this; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let end = self.0.iter().rposition(|&b| b == b'/').unwrap_or(0);
        Some(Self(self.0[..end].to_vec()))
    }

    /// How many components there are.
    pub fn depth(&self) -> usize {
        self.components().count()
    }

    /// Whether `other` is this path or lies below it.
    pub fn contains(&self, other: &Self) -> bool {
        self.is_root()
            || other
                .0
                .strip_prefix(self.0.as_slice())
                .is_some_and(|rest| rest.is_empty() || rest.first() == Some(&b'/'))
    }
}

/// Why `name` cannot be the name of a directory entry, if it cannot.
fn fault_of_name(name: &[u8]) -> Option<&'static str> {
    match name {
        b"" => Some("a component is empty"),
        b"." | b".." => Some("`.` and `..` are not names"),
        _ if name.len() > 255 => Some("a component is longer than 255 bytes"),
        _ if name.contains(&0) => Some("a component holds a NUL byte"),
        _ if name.contains(&b'/') => Some("a name holds a slash"),
        _ => None,
    }
}

impl Ord for BytePath {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

impl PartialOrd for BytePath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The order of the module's head on raw bytes: as bytes, except that a slash sorts before every other byte.
pub fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let common = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    match (a.get(common), b.get(common)) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        (Some(b'/'), Some(_)) => Ordering::Less,
        (Some(_), Some(b'/')) => Ordering::Greater,
        (Some(x), Some(y)) => x.cmp(y),
    }
}

/// Bytes as text that shows every byte: UTF-8 as it is; control characters, backslashes and stray bytes as `\xNN`.
pub fn escape(bytes: &[u8]) -> String {
    // Nearly every name is such, and long listings are made of them.
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'\\';
    if let Ok(text) = std::str::from_utf8(bytes)
        && bytes.iter().all(is_plain)
    {
        return text.to_owned();
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || c == '\\' {
                let mut buffer = [0; 4];
                for byte in c.encode_utf8(&mut buffer).bytes() {
                    text.push_str(&format!("\\x{byte:02x}"));
                }
            } else {
                text.push(c);
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

impl fmt::Display for BytePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() { f.write_str(".") } else { f.write_str(&escape(&self.0)) }
    }
}

impl fmt::Debug for BytePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for BytePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests;
