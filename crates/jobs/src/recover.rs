//! Recovering points.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use resurgam_model::{
    BytePath,
    point::Point,
    report::{Fetch, RecoverEstimate, RecoverReport},
};
use resurgam_sources::files::{Conflict, Restore, restore};
use resurgam_store::{Cancel, Kind, Meter, TreeReader, estimate};

use crate::{
    browse::{OpenPoint, typed},
    cost::Cost,
    error::JobError,
    job::{About, Ended},
    server::Server,
};

/// Arguments of `recover`.
pub struct Recover {
    /// Point: id, prefix of one, or `latest`.
    pub point: String,
    /// The source that `latest` is about.
    pub source: Option<String>,
    /// Paths inside the point; empty: everything.
    pub paths: Vec<Vec<u8>>,
    /// Where to; `None`: the original place.
    pub to: Option<PathBuf>,
    /// What to do with what is there already.
    pub conflict: Conflict,
    /// Whether owner and group are restored.
    pub owner: bool,
    /// Whether `latest` is about online points.
    pub online: bool,
}

/// Paths as they were asked for, all of which the point must have.
fn selection(point: &OpenPoint, what: &Recover) -> Result<Vec<BytePath>, JobError> {
    let selection = what.paths.iter().map(|path| typed(path)).collect::<Result<Vec<_>, _>>()?;
    for path in &selection {
        // A page that cannot be read is named by the restore.
        if TreeReader::below(&point.reader, &point.root, path).next().is_none() {
            let message = format!("point {} has no {path}", point.point.id);
            return Err(JobError::request("no-such-entry", message, "`resurgam ls POINT` shows what it has"));
        }
    }
    Ok(selection)
}

/// What recovering from an opened point would take.
pub(crate) fn estimate_point(point: &OpenPoint, what: &Recover, cancel: &Cancel) -> Result<RecoverEstimate, JobError> {
    estimate_selection(point, &selection(point, what)?, cancel)
}

/// The entries are read for it, and stay in the reader's cache while there is room.
fn estimate_selection(point: &OpenPoint, selection: &[BytePath], cancel: &Cancel) -> Result<RecoverEstimate, JobError> {
    let backend = point.volume.backend();
    let before = backend.traffic();
    let found = estimate(&point.reader, &point.root, selection, cancel)?;
    let entries = backend.traffic();
    let fetch = Fetch {
        requests: found.requests + entries.requests - before.requests,
        bytes: found.stored_bytes + entries.bytes_down - before.bytes_down,
    };
    let fetch = (backend.reads_at_once() > 0).then_some(fetch);
    Ok(RecoverEstimate { files: found.files, bytes: found.bytes, fetch })
}

/// Recovers an opened point. `foresee` is told what fetching it takes, where it is far. `root` is the path that the source had.
pub(crate) fn recover_point(
    point: &OpenPoint,
    root: &[u8],
    what: &Recover,
    foresee: &dyn Fn(&RecoverEstimate),
    meter: &Meter,
    cancel: &Cancel,
) -> Result<RecoverReport, JobError> {
    let selection = selection(point, what)?;
    if point.volume.backend().reads_at_once() > 0 {
        foresee(&estimate_selection(point, &selection, cancel)?);
    }
    meter.expected.add(if selection.is_empty() { point.root.bytes } else { 0 });
    let original = Path::new(OsStr::from_bytes(root));
    let is_directory = match TreeReader::below(&point.reader, &point.root, &BytePath::root()).next() {
        Some(Ok(entry)) => entry.kind == Kind::Directory,
        _ => true,
    };
    let target = match (&what.to, is_directory) {
        (Some(to), _) => to.clone(),
        (None, true) => original.to_owned(),
        (None, false) => original.parent().unwrap_or(Path::new("/")).to_owned(),
    };
    let restored = restore(
        &point.reader,
        &point.root,
        &Restore {
            target,
            selection,
            conflict: what.conflict,
            owner: what.owner,
            root_name: original.file_name().unwrap_or(OsStr::new("root")).as_bytes().to_vec(),
            threads: 0,
        },
        meter,
        cancel,
    )?;
    Ok(RecoverReport {
        files: restored.files,
        bytes: restored.bytes,
        skipped: restored.skipped,
        unproved: restored.unproved,
    })
}

impl Server {
    fn point_to_recover(&self, what: &Recover) -> Result<Point, JobError> {
        if what.online {
            self.find_online_point(&what.point, what.source.as_deref())
        } else {
            self.find_point(&what.point, what.source.as_deref())
        }
    }

    /// What recovering would take.
    pub fn estimate(&self, what: &Recover, cancel: &Cancel) -> Result<RecoverEstimate, JobError> {
        let point = self.point_to_recover(what)?;
        estimate_point(&self.open_point(&point.id.to_string(), None)?, what, cancel)
    }

    /// Recovers. `foresee` is told what fetching it takes, where the point is far.
    pub fn recover(
        &self,
        what: &Recover,
        foresee: &dyn Fn(&RecoverEstimate),
        meter: &Meter,
        cancel: &Cancel,
    ) -> Result<RecoverReport, JobError> {
        let point = self.point_to_recover(what)?;
        let source = self.catalog.source(point.source_id)?;
        let about = About {
            kind: "recover",
            subject: format!("point {} of {}", point.id, point.source),
            source: Some(point.source_id),
            even_unwritten: true,
        };
        self.run(about, cancel, || {
            if let Some(to) = &what.to {
                self.refuse_own("recover into", to, None)?;
            }
            let open = self.open_point(&point.id.to_string(), None)?;
            let root = source.map(|source| source.root).unwrap_or_default();
            let report = recover_point(&open, &root, what, foresee, meter, cancel)?;
            let cost = Cost::of(&open.volume);
            let message = format!(
                "{} files, {} bytes, {} not as they were{cost}",
                report.files,
                report.bytes,
                report.unproved.len()
            );
            Ok(Ended { partial: !report.unproved.is_empty(), message, value: report })
        })
    }
}
