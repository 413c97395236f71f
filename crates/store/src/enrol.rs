//! Enrolling a volume again: a server that lost its keys, and goes on under its id with new ones, takes its volume over.
//!
//! Nothing of the volume changes but `VOLUME.toml`: it names the new key, and under `former_keys` the old ones, by which
//! everything that was signed before is still proved. Whatever opened the volume without the keyring opens it as before;
//! the slot of the lost keyring gives way to one of the new.

use std::sync::Arc;

use resurgam_model::ServerId;

use crate::{
    backend::{self, Backend},
    document,
    error::StoreError,
    keys::{Secret, SigningKey, Slot, Unlock, VolumeKeys},
    limits::DOCUMENT_MAX,
    pack::MIRROR,
    volume::{FORMER_KEYS, VOLUME_TOML, Volume, VolumeHeader, header_text},
};

/// Takes a volume over with a new key of the same server, and opens it. Done again with the same key, it changes nothing;
/// killed between the two copies of `VOLUME.toml`, it leaves two that are valid, and done again it ends right.
///
/// # Errors
/// [`StoreError::Refused`] where the volume belongs to another server, is of a newer format, or does not open.
pub fn enrol_again(
    backend: Arc<dyn Backend>,
    unlock: &Unlock,
    server: ServerId,
    signing: &SigningKey,
    wrapping: &Secret,
) -> Result<Volume, StoreError> {
    let (header, keys) = Volume::open_keys(&*backend, unlock)?;
    if header.server != server {
        let what = format!(
            "the volume belongs to another server, {} ({}), and cannot be taken over by {server}; `resurgam reader` \
             recovers from it without a server",
            header.server_name, header.server
        );
        return Err(StoreError::Refused { object: backend.location(), what });
    }
    let wanted = taken_over(&header, &keys, signing, wrapping)?;
    if wanted != header || !copies_agree(&*backend)? {
        let text = document::sign(&header_text(&wanted)?, signing);
        backend.replace(&format!("{MIRROR}{VOLUME_TOML}"), text.as_bytes())?;
        backend.replace(VOLUME_TOML, text.as_bytes())?;
    }
    Ok(Volume::with(backend, wanted, &keys))
}

/// Changes the passphrase of a volume, which `unlock` opens. Killed between the two copies of `VOLUME.toml`, it leaves two that
/// are valid; the first counts.
///
/// # Errors
/// [`StoreError::Refused`] where the volume does not open.
pub fn change_passphrase(
    backend: Arc<dyn Backend>,
    unlock: &Unlock,
    new: &[u8],
    signing: &SigningKey,
) -> Result<(), StoreError> {
    let (mut header, keys) = Volume::open_keys(&*backend, unlock)?;
    header.slots.retain(|slot| !matches!(slot, Slot::Passphrase { .. }));
    header.slots.push(Slot::passphrase(&keys, header.volume, new)?);
    let text = document::sign(&header_text(&header)?, signing);
    backend.replace(&format!("{MIRROR}{VOLUME_TOML}"), text.as_bytes())?;
    Ok(backend.replace(VOLUME_TOML, text.as_bytes())?)
}

/// What `VOLUME.toml` says once the volume is taken over; the same, where that has been done.
fn taken_over(
    header: &VolumeHeader,
    keys: &VolumeKeys,
    signing: &SigningKey,
    wrapping: &Secret,
) -> Result<VolumeHeader, StoreError> {
    let mut wanted = header.clone();
    if header.server_key != signing.public() {
        wanted.server_key = signing.public();
        wanted.former_keys = std::iter::once(header.server_key)
            .chain(header.former_keys.iter().copied())
            .filter(|key| *key != signing.public())
            .collect();
        if !wanted.features.iter().any(|feature| feature == FORMER_KEYS) {
            wanted.features.push(FORMER_KEYS.to_owned());
        }
    }
    let of_keyring = Unlock { wrapping: Some(wrapping.clone()), passphrase: None };
    let opens = |slot: &Slot| slot.open(header.volume, &of_keyring).is_some();
    if !header.slots.iter().any(opens) {
        wanted.slots.retain(|slot| !matches!(slot, Slot::Keyring { .. }));
        wanted.slots.insert(0, Slot::keyring(keys, header.volume, wrapping)?);
    }
    Ok(wanted)
}

/// Whether both copies of `VOLUME.toml` are there and the same.
fn copies_agree(backend: &dyn Backend) -> Result<bool, StoreError> {
    let read = |name: &str| match backend::read_whole(backend, name, DOCUMENT_MAX as u64) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind == crate::error::Fault::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    let first = read(VOLUME_TOML)?;
    Ok(first.is_some() && first == read(&format!("{MIRROR}{VOLUME_TOML}"))?)
}

#[cfg(test)]
mod tests;
