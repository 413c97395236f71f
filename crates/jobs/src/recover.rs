//! Recovering points.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use resurgam_model::{BytePath, report::RecoverReport};
use resurgam_sources::files::{Conflict, Restore, restore};
use resurgam_store::{Cancel, Kind, Meter, TreeReader};

use crate::{
    browse::{OpenPoint, typed},
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

/// Recovers an opened point. `root` is the path that the source had.
pub(crate) fn recover_point(
    point: &OpenPoint,
    root: &[u8],
    what: &Recover,
    meter: &Meter,
    cancel: &Cancel,
) -> Result<RecoverReport, JobError> {
    let selection = what.paths.iter().map(|path| typed(path)).collect::<Result<Vec<_>, _>>()?;
    for path in &selection {
        match TreeReader::below(&point.reader, &point.root, path).next() {
            // A page that cannot be read is named by the restore.
            Some(_) => {}
            None => {
                let message = format!("point {} has no {path}", point.point.id);
                return Err(JobError::request("no-such-entry", message, "`resurgam ls POINT` shows what it has"));
            }
        }
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
    /// Recovers.
    pub fn recover(&self, what: &Recover, meter: &Meter, cancel: &Cancel) -> Result<RecoverReport, JobError> {
        let point = if what.online {
            self.find_online_point(&what.point, what.source.as_deref())?
        } else {
            self.find_point(&what.point, what.source.as_deref())?
        };
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
            let report = recover_point(&open, &root, what, meter, cancel)?;
            let message =
                format!("{} files, {} bytes, {} not as they were", report.files, report.bytes, report.unproved.len());
            Ok(Ended { partial: !report.unproved.is_empty(), message, value: report })
        })
    }
}
