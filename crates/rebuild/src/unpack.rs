//! Taking the copy of the catalog out of a recovery point.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use resurgam_jobs::{JobError, dpmdb};
use resurgam_model::{BytePath, PointId};
use resurgam_store::{Content, Extent, Kind, Reader, StoreError, TreeReader, Volume, point::ReplicaPlace};

/// A place for what is unpacked; it goes with the value.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Begins one in a home. What a killed process left there goes.
    pub(crate) fn in_home(home: &Path) -> Result<Self, JobError> {
        let place = home.join("staging").join("restore");
        let _ = fs::remove_dir_all(&place);
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&place);
        made.map_err(|error| unwritable(&place, &error))?;
        Ok(Self(place))
    }

    /// A file in it.
    pub(crate) fn file(&self) -> PathBuf {
        self.0.join(dpmdb::COPY)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
        if let Some(staging) = self.0.parent() {
            // Only if nothing else is in it.
            let _ = fs::remove_dir(staging);
        }
    }
}

fn unwritable(path: &Path, error: &io::Error) -> JobError {
    JobError::Request {
        code: "restore-target",
        message: format!("cannot unpack the copy of the catalog into {}: {error}", path.display()),
        remedy: "see that the home can be written and has room for the catalog twice".to_owned(),
    }
}

/// Unpacks the copy of a point, every byte proved, into a file.
pub(crate) fn unpack(volume: &Arc<Volume>, place: &ReplicaPlace, point: PointId, to: &Path) -> Result<(), JobError> {
    let root = volume.point(place, point)?.tree_root()?;
    let reader = Reader::new(volume)?;
    let missing =
        || StoreError::Corrupt { object: place.point(point), what: format!("there is no {} in it", dpmdb::COPY) };
    let path = BytePath::from_typed(dpmdb::COPY.as_bytes()).map_err(|_| missing())?;
    let entry = TreeReader::below(&reader, &root, &path).next().ok_or_else(missing)??;
    let Kind::File { size, content } = entry.kind else { return Err(missing().into()) };
    let failed = |error: io::Error| unwritable(to, &error);
    let _ = fs::remove_file(to);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(failed)?;
    write(&reader, &content, &mut file, to)?;
    file.set_len(size).map_err(failed)?;
    Ok(())
}

fn write(reader: &Reader, content: &Content, file: &mut File, to: &Path) -> Result<(), JobError> {
    let mut fault = None;
    let mut put = |done: io::Result<()>| {
        done.map_err(|error| {
            fault = Some(error);
            StoreError::Cancelled
        })
    };
    let written = match content {
        Content::Inline(bytes) => put(file.write_all(bytes)),
        _ => reader.extents(content, &mut |extent| match extent {
            Extent::Hole { length } => {
                let length = i64::try_from(length).unwrap_or(i64::MAX);
                put(file.seek(SeekFrom::Current(length)).map(|_| ()))
            }
            Extent::Data { blob, offset, length } => {
                let whole = reader.blob(&blob)?;
                let (start, end) = (offset as usize, offset as usize + length as usize);
                put(file.write_all(whole.get(start..end).ok_or(StoreError::MissingBlob(blob))?))
            }
        }),
    };
    match fault {
        Some(error) => Err(unwritable(to, &error)),
        None => Ok(written?),
    }
}
