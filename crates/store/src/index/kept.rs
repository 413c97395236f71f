//! Where tables of long segments are kept: in a directory of this machine, one for each volume, or nowhere, and then each
//! is made anew in a file without a name. Where there is no room for one, the segment is held in memory.
//!
//! Segments never change under their names. So whoever loads the index again while somebody in this process has it, as each
//! backup does that compares with a point before, shares the segments that are held, and reads none twice.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File, OpenOptions},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use resurgam_model::VolumeId;
use rustix::fs::{Mode, OFlags};

use super::{BLOB_BYTES, INDEX, Part, Payload, Segment, part::Elsewhere, table::Table};
use crate::{backend::Listed, keys};

/// Sealed segments from this length on are laid out as tables: about 200,000 blobs.
pub(crate) const LONG: u64 = 8 << 20;
/// Where files without a name are made; not in memory, as the directory for temporary files may be.
const NAMELESS_IN: &str = "/var/tmp";

/// How segments of a volume are held on this machine.
#[derive(Debug, Clone)]
pub struct Tables {
    directory: Option<PathBuf>,
    long: u64,
    /// Segments that somebody in this process holds, by their objects.
    held: Arc<Mutex<HashMap<String, Elsewhere>>>,
}

impl Default for Tables {
    fn default() -> Self {
        Self { directory: None, long: LONG, held: Arc::default() }
    }
}

impl Tables {
    /// Tables in `directory`, which holds nothing else; it is made when it is needed.
    pub fn kept_in(directory: &Path) -> Self {
        Self { directory: Some(directory.to_owned()), ..Self::default() }
    }

    /// The same, with segments of another length taken as long.
    #[cfg(any(test, feature = "testkit"))]
    pub fn from_length(self, long: u64) -> Self {
        Self { long, ..self }
    }

    /// Whether a segment, sealed, is long enough for a table.
    pub(crate) fn is_for(&self, sealed_length: u64) -> bool {
        sealed_length >= self.long
    }

    /// The segment that lies in this object, if somebody holds it, or if its table was kept and is sound.
    pub(crate) fn open(&self, volume: VolumeId, object: &str) -> Option<Part> {
        if let Some(part) = self.held().get(object).and_then(Elsewhere::part) {
            return Some(part);
        }
        let path = self.path(object)?;
        let file = File::open(&path).ok()?;
        let table = Table::open(file, path, &whose(volume, object))?;
        Some(self.share(Some(object), Part::OnDisk(Arc::new(table))))
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Elsewhere>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets others have the segment, where it lies in an object.
    fn share(&self, object: Option<&str>, part: Part) -> Part {
        if let Some(object) = object {
            let mut held = self.held();
            held.retain(|_, part| part.is_held());
            held.insert(object.to_owned(), (&part).into());
        }
        part
    }

    /// A segment that is in memory, in the form that suits its length; with its name and length in the volume, where it
    /// has them.
    pub(crate) fn hold(&self, volume: VolumeId, stored: Option<(&str, u64)>, segment: Segment) -> Part {
        let length = stored.map_or((segment.blobs.len() * BLOB_BYTES) as u64, |(_, length)| length);
        let object = stored.map(|(object, _)| object);
        if self.is_for(length)
            && let Some(payload) = Payload::parse(&segment.encode())
        {
            return self.lay_out(volume, object, &payload);
        }
        self.share(object, segment.into())
    }

    /// What was read of the segment in this object, in the form that suits its length there.
    pub(crate) fn hold_read(&self, volume: VolumeId, stored: &Listed, payload: &Payload<'_>) -> Part {
        if self.is_for(stored.length) {
            return self.lay_out(volume, Some(&stored.name), payload);
        }
        self.share(Some(&stored.name), payload.to_segment().into())
    }

    /// A segment as a table, which is kept where the segment has a name in the volume.
    fn lay_out(&self, volume: VolumeId, object: Option<&str>, payload: &Payload<'_>) -> Part {
        let kept = object.and_then(|object| lay_out(&self.path(object)?, &whose(volume, object), payload));
        let nameless = || Table::lay_out(nameless()?, &whose(volume, ""), payload).ok();
        let table = kept.or_else(nameless);
        self.share(object, table.map_or_else(|| payload.to_segment().into(), |table| Part::OnDisk(Arc::new(table))))
    }

    /// Lets go of the tables of segments that the volume does not list any more.
    pub(crate) fn tidy(&self, listed: &[Listed]) {
        let Some(entries) = self.directory.as_ref().and_then(|directory| fs::read_dir(directory).ok()) else { return };
        let names: HashSet<&str> = listed.iter().filter_map(|listed| listed.name.strip_prefix(INDEX)).collect();
        for entry in entries.flatten() {
            if entry.file_name().to_str().is_none_or(|name| !names.contains(name)) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn path(&self, object: &str) -> Option<PathBuf> {
        let name = object.strip_prefix(INDEX)?;
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        self.directory.as_ref().filter(|_| is_name).map(|directory| directory.join(name))
    }
}

/// What a table says of whose it is.
fn whose(volume: VolumeId, object: &str) -> [u8; 32] {
    *blake3::Hasher::new().update(volume.as_bytes()).update(object.as_bytes()).finalize().as_bytes()
}

/// Lays a table out beside its place, and puts it there when it is whole. It serves even where that is refused.
fn lay_out(path: &Path, whose: &[u8; 32], payload: &Payload<'_>) -> Option<Table> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path.parent()?).ok()?;
    let beside = path.with_extension(format!("{}.new", keys::hex(&keys::random::<8>().ok()?)));
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&beside).ok()?;
    let table = Table::lay_out(file, whose, payload);
    if table.is_ok() && fs::rename(&beside, path).is_ok() {
        return Some(table.ok()?.named(path.to_owned()));
    }
    let _ = fs::remove_file(&beside);
    table.ok()
}

fn nameless() -> Option<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    rustix::fs::open(NAMELESS_IN, flags, Mode::RUSR | Mode::WUSR).ok().map(File::from)
}
