//! One SQLite file in the place of another.
//!
//! The journal of the old one must go with it: beside the new one it would be played into that. What is done, in order,
//! so that a kill leaves the old catalog or the new one:
//!
//! 1. The old file and what lies beside it get second names.
//! 2. If its journal is not needed (nobody was killed while writing), the journal's first name goes, and the new file takes
//!    over the old one's name in one step. If it is needed, the old file's first name goes before the journal's: better
//!    no catalog, and a whole one aside, than half of one.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use sea_orm::{
    ConnectionTrait, DatabaseConnection,
    sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};

use crate::{
    Fault, SnapshotKind,
    open_file::is_open_here,
    snapshot::{
        partial::{COMPANIONS, Partial, sync_folder, with_suffix},
        recognise,
    },
};

/// How long to wait for somebody at work in the old catalog.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Puts the file in place and answers where the old one lies now.
pub(super) async fn put_in_place(new: Partial, target: &Path, aside: &str) -> Result<Option<String>, Fault> {
    // Held to the end, so that nobody begins to write into what is being set aside.
    let held = hold(target).await?;
    let switched = switch(new, target, aside);
    if let Some(db) = held {
        let _ = db.close().await;
    }
    switched
}

fn switch(new: Partial, target: &Path, aside: &str) -> Result<Option<String>, Fault> {
    let companions = COMPANIONS.map(|suffix| (suffix, with_suffix(target, suffix)));
    let there = target.symlink_metadata().is_ok();
    let aside = if there { second_name(target, aside)? } else { free_name(target, aside) };
    // The file itself first: by it an attempt that was killed is known again.
    if there {
        link(target, &aside)?;
    }
    // What is beside a file that is not there belongs to one that is gone; it is kept all the same.
    for (suffix, companion) in &companions {
        link(companion, &with_suffix(&aside, suffix))?;
    }
    sync_folder(target)?;
    if there && companions.iter().any(|(_, companion)| is_needed(companion)) {
        remove(target)?;
    }
    for (_, companion) in &companions {
        remove(companion)?;
    }
    new.publish_over()?;
    Ok(there.then(|| aside.display().to_string()))
}

/// Takes the old database for itself, where it is one. A damaged one nobody can be at work in.
async fn hold(target: &Path) -> Result<Option<DatabaseConnection>, Fault> {
    // What is no database is not shown to SQLite, which would tidy up beside it.
    if !is_open_here(target) && recognise(target) != Ok(SnapshotKind::Sqlite) {
        return Ok(None);
    }
    let options = SqliteConnectOptions::new().filename(target).create_if_missing(false).busy_timeout(BUSY_TIMEOUT);
    let pool = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
    let Ok(db) = pool.connect_with(options).await.map(DatabaseConnection::from) else { return Ok(None) };
    match db.execute_unprepared("BEGIN EXCLUSIVE").await.map_err(Fault::from) {
        Ok(_) => Ok(Some(db)),
        Err(Fault::Locked(_)) => {
            let _ = db.close().await;
            Err(Fault::Locked("another process is at work in the catalog that is to be set aside".to_owned()))
        }
        Err(_) => {
            let _ = db.close().await;
            Ok(None)
        }
    }
}

/// The name under which a file is set aside: one that it has already, from an attempt that was killed, or a free one.
fn second_name(target: &Path, aside: &str) -> Result<PathBuf, Fault> {
    let identity = |path: &Path| path.symlink_metadata().map(|found| (found.dev(), found.ino())).ok();
    let ours = identity(target);
    let prefix = with_suffix(target, ".");
    let folder = target.parent().unwrap_or(Path::new("/"));
    for entry in fs::read_dir(folder).map_err(|e| Fault::of_file(&e))? {
        let path = entry.map_err(|e| Fault::of_file(&e))?.path();
        let named_so = path.as_os_str().as_encoded_bytes().starts_with(prefix.as_os_str().as_encoded_bytes());
        if named_so && identity(&path) == ours {
            return Ok(path);
        }
    }
    Ok(free_name(target, aside))
}

fn free_name(target: &Path, aside: &str) -> PathBuf {
    let free = |path: &PathBuf| {
        let beside = COMPANIONS.iter().map(|suffix| with_suffix(path, suffix));
        std::iter::once(path.clone()).chain(beside).all(|path| path.symlink_metadata().is_err())
    };
    let first = with_suffix(target, &format!(".{aside}"));
    let numbered = (2..u32::MAX).map(|n| with_suffix(target, &format!(".{aside}.{n}")));
    std::iter::once(first.clone()).chain(numbered).find(free).unwrap_or(first)
}

/// Gives a file a second name. One that is not there has none; one that has it already keeps it.
fn link(from: &Path, to: &Path) -> Result<(), Fault> {
    match fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => Ok(()),
        // A file system without links: there it moves at once.
        Err(_) => fs::rename(from, to).map_err(|e| Fault::of_file(&e)),
    }
}

fn remove(path: &Path) -> Result<(), Fault> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Fault::of_file(&e)),
        _ => Ok(()),
    }
}

/// Whether a database cannot do without this journal: one that is finished begins with zeros, or is empty.
fn is_needed(journal: &Path) -> bool {
    let mut head = [0; 8];
    let read = File::open(journal).and_then(|file| file.take(8).read(&mut head));
    let beside = !journal.as_os_str().as_encoded_bytes().ends_with(b"-shm");
    beside && read.is_ok_and(|length| length > 0) && head != [0; 8]
}
