//! Native backups in a directory, or one by its path.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use resurgam_catalog::{Snapshot, SnapshotKind, inspect};
use resurgam_model::Timestamp;

use super::{Candidate, Copy, Found};

const SUFFIX: &str = "bak";

/// The file at a path.
pub(super) fn look(path: &Path) -> Candidate {
    let inspected = inspect(path);
    let made = fs::metadata(path).and_then(|found| found.modified()).ok().and_then(time);
    let (snapshot, usable) = match inspected {
        Ok(snapshot) if snapshot.server.is_none() => {
            (Some(snapshot), Err("it is a catalog that belongs to no server yet".to_owned()))
        }
        Ok(snapshot) => (Some(snapshot), Ok(())),
        Err(error) => (None, Err(error.fault.to_string())),
    };
    Candidate {
        server: snapshot.as_ref().and_then(|found| found.server.as_ref()).map(|server| server.id),
        lineage: snapshot.as_ref().and_then(|found| found.lineage.as_ref()).map(Into::into),
        made,
        newest_point: snapshot.as_ref().and_then(|found| found.newest_point),
        what: snapshot.as_ref().map_or_else(|| "a file".to_owned(), in_words),
        usable,
        copy: Copy::Native { path: path.to_owned(), snapshot: snapshot.map(Box::new) },
    }
}

fn in_words(snapshot: &Snapshot) -> String {
    let kind = match snapshot.kind {
        SnapshotKind::Sqlite => "a native backup (SQLite)",
        SnapshotKind::PgDump => "a native backup (pg_dump)",
    };
    let name = snapshot.server.as_ref().map_or("no server", |server| server.name.as_str());
    let rows: u64 = snapshot.rows.values().sum();
    format!("{kind} of {name}: {rows} rows, schema {} by {}", snapshot.version, snapshot.program)
}

fn time(time: SystemTime) -> Option<Timestamp> {
    Timestamp::try_from(time).ok()
}

/// The native backups in a directory.
pub(super) fn look_in(directory: &Path) -> io::Result<Found> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let named = path.extension().is_some_and(|suffix| suffix.eq_ignore_ascii_case(SUFFIX));
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if named && !hidden && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(Found {
        what: format!("a directory with {} file(s) *.{SUFFIX}", paths.len()),
        candidates: paths.iter().map(|path| look(path)).collect(),
        volume: None,
        at: std::path::PathBuf::new(),
    })
}
