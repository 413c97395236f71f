//! A carried disk: the first copy of a server's part of a vault, which travels by road.
//!
//! The disk holds the part as a volume, and a signed list of its objects. So it is a copy that a reader opens, and it can be
//! loaded by anyone who may write to the store, near it, without a key: the list is proved by the head of the part, each
//! object by the list. `docs/format/vault.md` has the list.

use std::{collections::HashSet, sync::Arc};

use resurgam_model::{ServerId, Timestamp, VolumeId};
use serde::{Deserialize, Serialize};

use crate::{
    backend::{self, Backend, Held},
    deleted::DELETED,
    document,
    error::{Fault, StoreError},
    index::INDEX,
    keys::{self, SigningKey, Unlock, hex},
    meter::{Cancel, Meter},
    pack::{MIRROR, PACKS, PackId},
    point::{REPLICAS, ReplicaPlace, server_directory},
    volume::{COLLECTOR, VOLUME_TOML, Volume, parse_header},
};

/// Name of the list.
pub const CARRIED_TOML: &str = "CARRIED.toml";
const DOCUMENT: &str = "carried disk";
/// A longer list would be none of ours: half a million objects, or 30 TB.
const LIST_MAX: u64 = 64 << 20;
/// Bytes read at once.
const READ: usize = 4 << 20;

/// What the list says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedText {
    /// Always `carried disk`.
    pub document: String,
    /// The volume that is the server's part.
    pub volume: VolumeId,
    /// The server.
    pub server: ServerId,
    /// URL of the vault, as the server knows it.
    pub vault: String,
    /// When the disk was finished.
    pub made: Timestamp,
    /// What is to be loaded, sorted by name.
    #[serde(default, rename = "object")]
    pub objects: Vec<CarriedObject>,
}

/// An object on a carried disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedObject {
    /// Its name in the volume.
    pub name: String,
    /// Its length in bytes.
    pub length: u64,
    /// The hash of its bytes.
    pub blake3: String,
}

impl CarriedText {
    /// Bytes of all objects.
    pub fn bytes(&self) -> u64 {
        self.objects.iter().map(|object| object.length).sum()
    }
}

/// The part on a disk, to be written to: what lies there of it, or begun with `head`, the text of the part's `VOLUME.toml`.
/// Until [`finish`], the disk cannot be loaded.
///
/// # Errors
/// [`StoreError::Refused`] where another volume lies there.
pub fn begin(disk: Arc<dyn Backend>, head: &str, unlock: &Unlock) -> Result<Volume, StoreError> {
    let header = parse_header(VOLUME_TOML, head.as_bytes())?;
    let second = format!("{MIRROR}{VOLUME_TOML}");
    match Volume::header(&*disk) {
        Ok(there) if there.volume == header.volume => {}
        Ok(there) => {
            let what = format!("the volume {} lies here, which is another: use an empty disk", there.volume);
            return Err(StoreError::Refused { object: disk.location(), what });
        }
        // Nothing is here. What cannot be read is not written over.
        Err(_) if is_missing(&*disk, VOLUME_TOML)? && is_missing(&*disk, &second)? => {}
        Err(error) => return Err(error),
    }
    disk.delete(CARRIED_TOML)?;
    disk.replace(&second, head.as_bytes())?;
    disk.replace(VOLUME_TOML, head.as_bytes())?;
    Volume::open(disk, unlock)
}

/// Lists what is on the disk, each object read to the end, and signs the list.
///
/// # Errors
/// Where anything cannot be read, or the list not be written.
pub fn finish(
    disk: &Volume,
    vault: &str,
    made: Timestamp,
    signing: &SigningKey,
    meter: &Meter,
    cancel: &Cancel,
) -> Result<CarriedText, StoreError> {
    let backend = disk.backend();
    let mut listed = Vec::new();
    for prefix in [PACKS.to_owned(), format!("{MIRROR}{PACKS}"), INDEX.to_owned()] {
        listed.extend(backend.list(&prefix)?);
    }
    for prefix in [REPLICAS.to_owned(), format!("{MIRROR}{REPLICAS}")] {
        listed.extend(backend.list(&prefix)?);
    }
    listed.sort_by(|one, other| one.name.cmp(&other.name));
    meter.expected.add(listed.iter().map(|listed| listed.length).sum());
    let mut objects = Vec::new();
    for found in listed {
        let mut hash = blake3::Hasher::new();
        read_through(backend, &found.name, found.length, meter, cancel, &mut |bytes| {
            hash.update(bytes);
            Ok(())
        })?;
        objects.push(CarriedObject { name: found.name, length: found.length, blake3: hash.finalize().to_string() });
    }
    let about = disk.about();
    let text = CarriedText {
        document: DOCUMENT.to_owned(),
        volume: about.volume,
        server: about.server,
        vault: vault.to_owned(),
        made,
        objects,
    };
    backend.replace(CARRIED_TOML, document::sign(&document::to_text(&text)?, signing).as_bytes())?;
    Ok(text)
}

/// The list of a disk, as it says itself: where it belongs, proved only by [`load`].
///
/// # Errors
/// [`StoreError::Refused`] where there is none.
pub fn read(disk: &dyn Backend) -> Result<CarriedText, StoreError> {
    read_document(disk).map(|(text, _)| text)
}

fn read_document(disk: &dyn Backend) -> Result<(CarriedText, String), StoreError> {
    let object = format!("{}/{CARRIED_TOML}", disk.location());
    let bytes = match backend::read_whole(disk, CARRIED_TOML, LIST_MAX) {
        Err(error) if error.kind == Fault::NotFound => {
            let what = "there is no finished carried disk here (no CARRIED.toml)".to_owned();
            return Err(StoreError::Refused { object: disk.location(), what });
        }
        read => read?,
    };
    let document = String::from_utf8(bytes).map_err(|_| StoreError::corrupt(&object, "it is not text"))?;
    let text = parse(&object, &document)?;
    Ok((text, document))
}

fn parse(object: &str, document: &str) -> Result<CarriedText, StoreError> {
    let text: CarriedText = document::from_text(object, document)?;
    if text.document != DOCUMENT {
        return Err(StoreError::corrupt(object, "it is something else"));
    }
    match text.objects.iter().find(|object| rank(&object.name).is_none()) {
        Some(strange) => {
            Err(StoreError::corrupt(object, format!("it lists `{}`, which is never carried", strange.name)))
        }
        None => Ok(text),
    }
}

/// For fuzzing: the list of a carried disk, on any bytes.
pub fn fuzz_carried(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = parse("fuzz", text);
    }
}

/// What was loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Objects sent.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that the part had already, or has given up since.
    pub there: u64,
}

/// Loads a disk into the server's part, whose backend `part` is. Can be interrupted anywhere, and begun again.
///
/// # Errors
/// [`StoreError::Refused`] where the disk is of another part; [`StoreError::Corrupt`] where it was changed or has rotted:
/// what was sent until then is sound, and no point is there that lacks anything.
pub fn load(disk: &dyn Backend, part: &dyn Backend, meter: &Meter, cancel: &Cancel) -> Result<Loaded, StoreError> {
    let header = Volume::header(part)?;
    let (text, document) = read_document(disk)?;
    if text.volume != header.volume {
        let what = format!(
            "the disk holds volume {} of server {}, and the part is volume {} of {}",
            text.volume, text.server, header.volume, header.server_name
        );
        return Err(StoreError::Refused { object: disk.location(), what });
    }
    if header.proves(&document).is_none() {
        let object = format!("{}/{CARRIED_TOML}", disk.location());
        return Err(StoreError::corrupt(object, "the server's signature on it does not hold"));
    }
    let mut order: Vec<(u8, &CarriedObject)> =
        text.objects.iter().filter_map(|object| Some((rank(&object.name)?, object))).collect();
    order.sort_by_key(|(rank, _)| *rank);
    let (needed, points) = order.split_at(order.partition_point(|(rank, _)| *rank < SECOND_OF_POINT));
    meter.expected.add(text.bytes());

    // As a backup does: while it is registered, no collector takes what no point needs yet.
    let writer = hex(&keys::random::<16>()?);
    let registered = part.register(&writer)?;
    let mut loading = Loading { disk, part, meter, cancel, loaded: Loaded::default() };
    loop {
        loading.send_lacking(needed, &*registered)?;
        // What was there already may have been condemned before, on a list that only keys open. Nothing is deleted while
        // the lock is held; and whoever collects after that sees the points.
        let lock = backend::wait_for(part, COLLECTOR, "a prune or a repair", cancel)?;
        if packs_are_there(part, needed)? {
            loading.send_lacking(points, &*lock)?;
            break;
        }
    }
    drop(registered);
    part.forget_writer(&writer)?;
    let there = (text.objects.len() as u64).saturating_sub(loading.loaded.objects);
    Ok(Loaded { there, ..loading.loaded })
}

/// The rank from which on an object is a point, which shows.
const SECOND_OF_POINT: u8 = 3;

/// Whether every pack that is needed is there.
fn packs_are_there(part: &dyn Backend, needed: &[(u8, &CarriedObject)]) -> Result<bool, StoreError> {
    let mut there = HashSet::new();
    for prefix in [PACKS.to_owned(), format!("{MIRROR}{PACKS}")] {
        there.extend(part.list(&prefix)?.into_iter().map(|listed| listed.name));
    }
    Ok(needed.iter().filter(|(rank, _)| *rank == 0).all(|(_, object)| there.contains(&object.name)))
}

/// In which order objects are loaded: nothing before what it needs. `None`: never.
fn rank(name: &str) -> Option<u8> {
    let (plain, second) = match name.strip_prefix(MIRROR) {
        Some(plain) => (plain, true),
        None => (name, false),
    };
    if PackId::of_object(plain).is_some_and(|id| id.object() == plain) {
        return Some(0);
    }
    if !second && name.strip_prefix(INDEX).is_some_and(|id| keys::unhex(id).is_some_and(|id| id.len() == 16)) {
        return Some(1);
    }
    match ReplicaPlace::of_object(plain)? {
        (place, _) if place.server != server_directory(&place.server) => None,
        (_, None) => Some(2),
        (_, Some(_)) if second => Some(SECOND_OF_POINT),
        (_, Some(_)) => Some(SECOND_OF_POINT + 1),
    }
}

/// Whether the part has the object, or the point was given up there.
fn is_there(part: &dyn Backend, object: &CarriedObject) -> Result<bool, StoreError> {
    let plain = object.name.strip_prefix(MIRROR).unwrap_or(&object.name);
    if let Some(rest) = plain.strip_prefix(REPLICAS)
        && !is_missing(part, &format!("{DELETED}{rest}"))?
    {
        return Ok(true);
    }
    Ok(!is_missing(part, &object.name)?)
}

fn is_missing(place: &dyn Backend, name: &str) -> Result<bool, StoreError> {
    match place.length(name) {
        Ok(_) => Ok(false),
        Err(error) if error.kind == Fault::NotFound => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// A loading under way.
struct Loading<'a> {
    disk: &'a dyn Backend,
    part: &'a dyn Backend,
    meter: &'a Meter,
    cancel: &'a Cancel,
    loaded: Loaded,
}

impl Loading<'_> {
    /// Sends those objects that the part lacks, as long as `held` stands.
    fn send_lacking(&mut self, objects: &[(u8, &CarriedObject)], held: &dyn Held) -> Result<(), StoreError> {
        for (_, object) in objects {
            if is_there(self.part, object)? {
                self.meter.bytes.add(object.length);
                continue;
            }
            held.check()?;
            self.send(object)?;
            self.loaded.objects += 1;
            self.loaded.bytes += object.length;
        }
        Ok(())
    }

    /// Sends one object, which is visible only if it is what the list says.
    fn send(&self, object: &CarriedObject) -> Result<(), StoreError> {
        let mut upload = self.part.create(&object.name)?;
        let mut hash = blake3::Hasher::new();
        let mut take = |bytes: &[u8]| {
            hash.update(bytes);
            Ok(upload.append(bytes)?)
        };
        match read_through(self.disk, &object.name, object.length, self.meter, self.cancel, &mut take) {
            Err(error) if error.is_damage() => return Err(rotten(self.disk, &object.name)),
            read => read?,
        }
        if hash.finalize().to_string() != object.blake3 {
            return Err(rotten(self.disk, &object.name));
        }
        match upload.commit() {
            // Another loading of the same disk was faster.
            Err(error) if error.kind == Fault::Exists => Ok(()),
            done => Ok(done?),
        }
    }
}

fn rotten(disk: &dyn Backend, name: &str) -> StoreError {
    let what = "it is not what it was when the disk was finished; write the disk anew, what was loaded stays";
    StoreError::corrupt(format!("{}/{name}", disk.location()), what)
}

fn read_through(
    from: &dyn Backend,
    name: &str,
    length: u64,
    meter: &Meter,
    cancel: &Cancel,
    take: &mut dyn FnMut(&[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut buffer = vec![0; READ.min(usize::try_from(length).unwrap_or(READ))];
    let mut offset = 0;
    while offset < length {
        if cancel.is_cancelled() {
            return Err(StoreError::Cancelled);
        }
        let now = buffer.len().min(usize::try_from(length - offset).unwrap_or(READ));
        from.read_at(name, offset, &mut buffer[..now])?;
        take(&buffer[..now])?;
        offset += now as u64;
        meter.bytes.add(now as u64);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
