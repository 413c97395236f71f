//! Reading extended attributes of every namespace that this process may see.

use std::{
    ffi::{CStr, CString},
    io,
};

use resurgam_store::Xattr;
use rustix::{fd::BorrowedFd, io::Errno};

use super::XATTR_MAX;

/// Bytes that are enough for the names, or one value, of nearly every file.
const SHORT: usize = 512;

/// Where the attributes are asked for.
pub(crate) enum Place<'a> {
    /// An open file or directory.
    Open(BorrowedFd<'a>),
    /// A path whose last component is not followed: for what cannot be opened.
    Path(CString),
}

/// Reads attributes, with buffers that are used again.
pub(crate) struct XattrReader {
    names: Vec<u8>,
    value: Vec<u8>,
}

impl XattrReader {
    pub(crate) fn new() -> Self {
        Self { names: vec![0; XATTR_MAX], value: vec![0; XATTR_MAX] }
    }

    /// All attributes, sorted by name. What could not be read is said in `faults`; the others still come.
    pub(crate) fn read(&mut self, place: &Place<'_>, faults: &mut Vec<String>) -> Vec<Xattr> {
        let names = match list(place, &mut self.names) {
            Ok(0) => return Vec::new(),
            Ok(length) => &self.names[..length],
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Vec::new(),
            Err(error) => {
                faults.push(format!("its extended attributes could not be listed: {}", io::Error::from(error)));
                return Vec::new();
            }
        };
        let mut found = Vec::new();
        for name in names.split_inclusive(|&b| b == 0).filter_map(|n| CStr::from_bytes_with_nul(n).ok()) {
            match get(place, name, &mut self.value) {
                Ok(length) => {
                    found.push(Xattr { name: name.to_bytes().to_vec(), value: self.value[..length].to_vec() });
                }
                // Removed since it was listed; or listed by a file system that does not give it out.
                Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
                Err(error) => faults.push(format!(
                    "its extended attribute {} could not be read: {}",
                    resurgam_model::bytepath::escape(name.to_bytes()),
                    io::Error::from(error)
                )),
            }
        }
        found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        found.dedup_by(|a, b| a.name == b.name);
        found
    }
}

fn list(place: &Place<'_>, buffer: &mut [u8]) -> rustix::io::Result<usize> {
    first_short(buffer, |buffer| match place {
        Place::Open(file) => rustix::fs::flistxattr(file, buffer),
        Place::Path(path) => rustix::fs::llistxattr(path.as_c_str(), buffer),
    })
}

fn get(place: &Place<'_>, name: &CStr, buffer: &mut [u8]) -> rustix::io::Result<usize> {
    first_short(buffer, |buffer| match place {
        Place::Open(file) => rustix::fs::fgetxattr(file, name, buffer),
        Place::Path(path) => rustix::fs::lgetxattr(path.as_c_str(), name, buffer),
    })
}

/// Asks with a short buffer, and with all of it only if that is not enough: the system takes memory of its own for as much
/// as is offered, which costs more than the answer.
fn first_short(
    buffer: &mut [u8],
    mut ask: impl FnMut(&mut [u8]) -> rustix::io::Result<usize>,
) -> rustix::io::Result<usize> {
    match ask(&mut buffer[..SHORT]) {
        Err(Errno::RANGE) => ask(buffer),
        answer => answer,
    }
}
