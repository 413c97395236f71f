//! Native backups of the catalog: files that stock tools open, in a directory of the user's choice. They need neither a
//! volume nor a running server.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use jiff::{Timestamp, tz::TimeZone};
use resurgam_model::{
    charter::{CatalogCopy, CopyKind},
    policy::SourceKind,
    report::CatalogBackupReport,
};
use resurgam_store::Cancel;

use crate::{
    error::JobError,
    job::{About, Ended},
    server::Server,
};

/// Arguments of `catalog backup`.
#[derive(Debug, Clone, Default)]
pub struct CatalogBackup {
    /// Where to; made where it is missing.
    pub to: PathBuf,
    /// How many stay.
    pub keep: Option<u32>,
    /// How old they may get, in seconds.
    pub max_age_seconds: Option<u64>,
    /// How often `serve` shall make one, in seconds.
    pub every_seconds: Option<u64>,
}

const PREFIX: &str = "DPMDB-";
const SUFFIX: &str = ".bak";
const TIME: &str = "%Y%m%dT%H%M%S%3fZ";

/// The name of a native backup made at a time.
fn file_name(time: Timestamp) -> String {
    format!("{PREFIX}{}{SUFFIX}", time.to_zoned(TimeZone::UTC).strftime(TIME))
}

/// When a file was made, by its name; `None`: it is none of ours.
fn time_in_name(name: &str) -> Option<Timestamp> {
    let time = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    // A second one of the same millisecond has a number behind the time.
    let time = match time.split_once("Z-") {
        Some((before, number)) if number.parse::<u32>().is_ok() => &time[..=before.len()],
        _ => time,
    };
    let parsed = jiff::civil::DateTime::strptime(TIME, time).ok()?;
    parsed.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// Which of the older files go. The one just made and proved is not among `older`, so a good one always stays; files
/// whose time lies in the future of the new one stay and push nothing out.
fn superfluous(mut older: Vec<(Timestamp, PathBuf)>, made: Timestamp, what: &CatalogBackup) -> Vec<PathBuf> {
    older.retain(|(time, _)| *time <= made);
    older.sort();
    older.reverse();
    let allowed = what.keep.map_or(usize::MAX, |keep| (keep.max(1) - 1) as usize);
    let is_old = |time: Timestamp| {
        what.max_age_seconds.is_some_and(|limit| made.duration_since(time).as_secs().unsigned_abs() > limit)
    };
    let goes = |(number, (time, _)): &(usize, (Timestamp, PathBuf))| *number >= allowed || is_old(*time);
    older.into_iter().enumerate().filter(goes).map(|(_, (_, path))| path).collect()
}

fn failed(directory: &Path, error: &io::Error) -> JobError {
    JobError::request(
        "catalog-backup",
        format!("cannot put a backup of the catalog into {}: {error}", directory.display()),
        "name a directory that can be written and has room",
    )
}

impl Server {
    /// Makes a native backup of the catalog and proves it; then, and only then, older ones go.
    pub fn catalog_backup(&self, what: &CatalogBackup, cancel: &Cancel) -> Result<CatalogBackupReport, JobError> {
        // By its one real name, so that `serve` knows what was done by hand.
        let to = std::path::absolute(&what.to).map_err(|error| failed(&what.to, &error))?;
        let to = to.canonicalize().unwrap_or(to);
        let about =
            About { kind: CATALOG_BACKUP, subject: to.display().to_string(), source: None, even_unwritten: true };
        let what = CatalogBackup { to, ..what.clone() };
        self.run(about, cancel, || {
            // A copy there would be lost with what it is a copy of.
            self.refuse_own("put a native backup into", &what.to, None)?;
            // First, so that the file knows of its own place.
            self.remember_copy(&what)?;
            let report = self.make_native(&what)?;
            let message = format!("{}: {} bytes, {} older removed", report.file, report.bytes, report.removed.len());
            Ok(Ended { partial: false, message, value: report })
        })
    }

    fn make_native(&self, what: &CatalogBackup) -> Result<CatalogBackupReport, JobError> {
        let directory = &what.to;
        let older = older_files(directory).map_err(|error| failed(directory, &error))?;
        let made = self.now();
        let mut file = directory.join(file_name(made));
        for number in 2.. {
            if !file.exists() {
                break;
            }
            // Two in one millisecond, or a clock that was set back.
            file = directory.join(format!("{}-{number}{SUFFIX}", file_name(made).trim_end_matches(SUFFIX)));
        }
        let snapshot = self.catalog.snapshot(&file)?;
        let mut removed = Vec::new();
        // The older ones may be those of the catalog that has taken this one's place.
        let goes = if self.superseded()?.is_some() { Vec::new() } else { superfluous(older, made, what) };
        for path in goes {
            match fs::remove_file(&path) {
                Ok(()) => removed.push(path.display().to_string()),
                Err(error) => self.notice(format!("cannot remove the old backup {}: {error}", path.display())),
            }
        }
        Ok(CatalogBackupReport {
            file: file.display().to_string(),
            bytes: snapshot.bytes,
            schema: snapshot.version,
            sequence: snapshot.lineage.map_or(0, |lineage| lineage.sequence),
            rows: snapshot.rows.values().sum(),
            removed,
        })
    }

    /// Writes down where native backups go, so that they are looked after and stand in the recovery kit.
    fn remember_copy(&self, what: &CatalogBackup) -> Result<(), JobError> {
        crate::home::create_private(&what.to).map_err(|error| failed(&what.to, &error))?;
        let place = what.to.canonicalize().unwrap_or_else(|_| what.to.clone());
        let kind = if self.is_protected(&place)? { CopyKind::Share } else { CopyKind::Native };
        let place = place.display().to_string();
        let known = self.catalog.copies()?;
        let before = known.iter().find(|copy| copy.place == place);
        let copy = CatalogCopy {
            kind,
            place: place.clone(),
            keep: what.keep.or(before.and_then(|copy| copy.keep)),
            max_age_seconds: what.max_age_seconds.or(before.and_then(|copy| copy.max_age_seconds)),
            every_seconds: what.every_seconds.or(before.and_then(|copy| copy.every_seconds)),
        };
        if before == Some(&copy) {
            return Ok(());
        }
        if let Some(before) = before.filter(|before| before.kind != kind) {
            self.catalog.remove_copy(before.kind, &before.place)?;
        }
        self.catalog.put_copy(&copy)?;
        self.publish_capsules()
    }

    /// Whether a directory lies in a protected folder.
    fn is_protected(&self, place: &Path) -> Result<bool, JobError> {
        use std::os::unix::ffi::OsStrExt;
        let mut sources = self.catalog.sources()?;
        sources.retain(|source| source.kind == SourceKind::Files);
        Ok(sources.iter().any(|source| place.starts_with(Path::new(std::ffi::OsStr::from_bytes(&source.root)))))
    }
}

/// The kind of the job.
pub const CATALOG_BACKUP: &str = "catalog-backup";

/// The native backups in a directory, with their times.
pub(crate) fn older_files(directory: &Path) -> io::Result<Vec<(Timestamp, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if let Some(time) = entry.file_name().to_str().and_then(time_in_name) {
            found.push((time, entry.path()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_says_when() {
        let made = time("2026-11-22T03:04:05.678Z");
        assert_eq!(file_name(made), "DPMDB-20261122T030405678Z.bak");
        assert_eq!(time_in_name(&file_name(made)), Some(made));
        assert_eq!(time_in_name("DPMDB-20261122T030405678Z-2.bak"), Some(made));
        for other in [
            "DPMDB-20261122T030405678Z-x.bak",
            "DPMDB.bak",
            "DPMDB-x.bak",
            "notes.txt",
            "DPMDB-20261122T030405678Z.bak.part",
        ] {
            assert_eq!(time_in_name(other), None, "{other}");
        }
    }

    fn older(days: &[i64], made: Timestamp) -> Vec<(Timestamp, PathBuf)> {
        let at = |day: &i64| made - jiff::SignedDuration::from_hours(day * 24);
        days.iter().map(|day| (at(day), PathBuf::from(day.to_string()))).collect()
    }

    #[test]
    fn the_oldest_go_and_those_of_the_future_count_for_nothing() {
        let made = time("2026-11-22T00:00:00Z");
        let names = |what: CatalogBackup| superfluous(older(&[1, 2, 3, 4, -400], made), made, &what);
        assert_eq!(names(CatalogBackup::default()), Vec::<PathBuf>::new());
        assert_eq!(names(CatalogBackup { keep: Some(3), ..Default::default() }), ["3", "4"].map(PathBuf::from));
        assert_eq!(names(CatalogBackup { keep: Some(0), ..Default::default() }).len(), 4, "the new one stays");
        let aged = CatalogBackup { max_age_seconds: Some(2 * 86_400), ..Default::default() };
        assert_eq!(names(aged), ["3", "4"].map(PathBuf::from));
    }
}
