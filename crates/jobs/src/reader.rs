//! Reading a volume with nothing but the volume: no home, no catalog.

use std::{path::Path, sync::Arc};

use resurgam_model::{
    bytepath::escape,
    point::Point,
    report::{Listed, RecoverEstimate, RecoverReport},
};
use resurgam_store::{
    Cancel, Meter, Volume,
    backend::{Backend, directory::Directory},
    keys::{Unlock, unhex},
    point::{PointText, ReplicaPlace},
};
use zeroize::Zeroizing;

use crate::{
    browse::OpenPoint,
    error::JobError,
    points::pick,
    recover::{Recover, estimate_point, recover_point},
};

/// Reads a volume with no home and no catalog.
pub struct VolumeReader {
    volume: Arc<Volume>,
}

/// What could not be read: object and fault.
type Unreadable = Vec<(String, String)>;

fn point_of(text: &PointText) -> Point {
    Point {
        id: text.point,
        source: text.root.clone(),
        source_id: text.source,
        replica: text.replica,
        volume: text.volume,
        time: text.time,
        kind: text.kind,
        files: text.tree.files,
        bytes: text.tree.bytes,
        added_bytes: text.added_bytes,
        state: text.state,
        online: false,
    }
}

impl VolumeReader {
    /// Opens the volume in a directory.
    pub fn open(directory: &Path, passphrase: Option<Zeroizing<Vec<u8>>>) -> Result<Self, JobError> {
        Self::open_with(directory, &Unlock { wrapping: None, passphrase })
    }

    /// Opens the volume in a directory with whatever opens it.
    pub fn open_with(directory: &Path, unlock: &Unlock) -> Result<Self, JobError> {
        Self::open_backend(Arc::new(Directory::local(directory)), unlock)
    }

    /// Opens the volume at any place.
    pub fn open_backend(backend: Arc<dyn Backend>, unlock: &Unlock) -> Result<Self, JobError> {
        Ok(Self { volume: Arc::new(Volume::open(backend, unlock)?) })
    }

    fn read_points(&self, source: Option<&str>) -> Result<(Vec<(ReplicaPlace, Point)>, Unreadable), JobError> {
        let (mut points, mut unreadable) = (Vec::new(), Vec::new());
        for (place, id) in self.volume.point_names()? {
            match self.volume.point(&place, id) {
                Ok(text) => points.push((place, point_of(&text))),
                // Given up since it was listed.
                Err(error) if error.is_not_found() => {}
                Err(error) if error.is_damage() => unreadable.push((place.point(id), error.to_string())),
                Err(error) => return Err(error.into()),
            }
        }
        if let Some(wanted) = source {
            let plain = wanted.trim_end_matches('/');
            let shown = escape(plain.as_bytes());
            let named = |point: &Point| {
                point.source == plain || point.source == shown || point.source_id.to_string().starts_with(wanted)
            };
            if !points.is_empty() && !points.iter().any(|(_, point)| named(point)) {
                let message = format!("the volume has no points of a source `{wanted}`");
                return Err(JobError::request(
                    "no-source",
                    message,
                    "`resurgam reader points VOLUME` shows the sources",
                ));
            }
            points.retain(|(_, point)| named(point));
        }
        points.sort_by_key(|(_, point)| (point.time, point.id));
        Ok((points, unreadable))
    }

    /// Points, newest last; and what could not be read, by object and fault.
    pub fn points(&self, source: Option<&str>) -> Result<(Vec<Point>, Unreadable), JobError> {
        let (points, unreadable) = self.read_points(source)?;
        Ok((points.into_iter().map(|(_, point)| point).collect(), unreadable))
    }

    fn open_point(&self, wanted: &str, source: Option<&str>) -> Result<(ReplicaPlace, OpenPoint), JobError> {
        let (points, _) = self.read_points(source)?;
        let picked = pick(points.iter().map(|(_, point)| point.clone()).collect(), wanted, source.is_some())?;
        let place = points.into_iter().find(|(_, point)| point.id == picked.id).map(|(place, _)| place);
        let place = place.ok_or_else(|| JobError::request("no-point", "the point is gone", "list the points again"))?;
        Ok((place.clone(), OpenPoint::open(&self.volume, &place, picked)?))
    }

    /// As [`crate::Server::list`].
    pub fn list(
        &self,
        point: &str,
        source: Option<&str>,
        path: &[u8],
        recursive: bool,
        each: &mut dyn FnMut(Listed),
    ) -> Result<(), JobError> {
        self.open_point(point, source)?.1.list(path, recursive, each)
    }

    /// As [`crate::Server::estimate`].
    pub fn estimate(&self, what: &Recover, cancel: &Cancel) -> Result<RecoverEstimate, JobError> {
        estimate_point(&self.open_point(&what.point, what.source.as_deref())?.1, what, cancel)
    }

    /// As [`crate::Server::recover`].
    pub fn recover(
        &self,
        what: &Recover,
        foresee: &dyn Fn(&RecoverEstimate),
        meter: &Meter,
        cancel: &Cancel,
    ) -> Result<RecoverReport, JobError> {
        let (place, point) = self.open_point(&what.point, what.source.as_deref())?;
        let root = self.volume.replica(&place).ok().and_then(|text| unhex(&text.root_bytes));
        let root = root.unwrap_or_else(|| point.point.source.clone().into_bytes());
        recover_point(&point, &root, what, foresee, meter, cancel)
    }
}
