//! One rehearsal: from a copy to a server that runs, in a scratch place.

use std::path::{Path, PathBuf};

use resurgam_catalog::{Location, Rows};
use resurgam_jobs::{
    Access, Cancel, Conflict, Environment, JobError, Meter, Recover, Server, VolumeReader, current_replica, home,
    is_clear,
};
use resurgam_model::{charter::CopyKind, point::Point, policy::SourceKind};
use resurgam_store::keys::Unlock;

use super::{Drill, copies::Copy};
use crate::{
    locate::CopyFound,
    restore::{KeysFrom, LOST, RestoreDb, RestoreReport, SEALED, restore_db},
    sync::{Sync, SyncReport, sync},
};

/// Code of the error where there is no place to rehearse in.
pub(super) const SCRATCH: &str = "scratch";

/// Larger files are no samples: the scratch place may be small.
const SAMPLED_MAX: u64 = 16 << 20;

/// What came back.
pub(super) struct Rebuilt {
    /// The rows of the rebuilt catalog.
    pub(super) rows: Rows,
    /// Whether the server had to get a new key.
    pub(super) new_key: bool,
    /// What went wrong on the way.
    pub(super) faults: Vec<String>,
    /// What else should be known.
    pub(super) notes: Vec<String>,
    pub(super) files_proved: u64,
    /// Where the keys came from.
    pub(super) keys: String,
}

pub(super) fn rehearse(
    living: &Server,
    copy: &Copy,
    what: &Drill,
    meter: &Meter,
    cancel: &Cancel,
) -> Result<Rebuilt, JobError> {
    let scratch = tempfile::Builder::new().prefix("resurgam-drill-").tempdir_in(&what.scratch).map_err(|error| {
        JobError::Request {
            code: SCRATCH,
            message: format!("cannot rehearse below {}: {error}", what.scratch.display()),
            remedy: "name another directory with --scratch".to_owned(),
        }
    })?;
    let at = scratch.path().join("home");
    let lent = lend_keys(living, copy.kind, &at)?;
    let db_loc = fetch(living, copy, scratch.path(), meter, cancel)?;
    let restored = restore_db(&RestoreDb {
        home: &at,
        db_loc: &db_loc,
        chosen: match copy.kind {
            CopyKind::Pool | CopyKind::Vault => Some("pool"),
            CopyKind::Capsules => Some("capsules"),
            CopyKind::Native | CopyKind::Share => None,
        },
        to: Location::Sqlite(at.join("DPMDB.sqlite")),
        kit: None,
        passphrase: living.environment().passphrase.clone(),
        now: living.environment().now,
        variable: living.environment().variable,
        // In earnest the kit has it.
        access: living.keyring().access.clone(),
    })?;
    let rebuilt = Server::open(&at, scratch_environment(living))?;
    let reconciled = sync(&rebuilt, &Sync::default(), meter, cancel)?;
    let rows = rebuilt.catalog().rows()?;
    let (mut faults, mut notes) = spoiled(&restored);
    notes.extend(restored.notes.iter().filter(|note| *note != LOST && *note != SEALED).cloned());
    notes.extend(open_ends(&reconciled));
    let files_proved = sample(&rebuilt, what.sample, scratch.path(), meter, cancel, &mut faults)?;
    let keys = if lent { "borrowed".to_owned() } else { restored.keys.to_string() };
    match restored.keys {
        _ if lent => notes.push(
            "the keys were borrowed from the living server: give --passphrase-file to rehearse them, too".to_owned(),
        ),
        KeysFrom::New => notes.push(
            "rehearsed with new keys, as if the recovery kit were lost; with --passphrase-file they come back, too"
                .to_owned(),
        ),
        KeysFrom::Kit | KeysFrom::Capsule | KeysFrom::Kept => {}
    }
    Ok(Rebuilt { rows, new_key: restored.keys == KeysFrom::New, faults, notes, files_proved, keys })
}

/// Volumes that open with a passphrase alone cannot be read without one. Where none was given, the keys of the living
/// server are lent; the report says so.
fn lend_keys(living: &Server, kind: CopyKind, at: &Path) -> Result<bool, JobError> {
    let sealed = living.catalog().volumes()?.iter().any(|volume| !is_clear(volume));
    // A part of a vault has a passphrase of its own, which is not that of the kit.
    if !sealed || (living.environment().passphrase.is_some() && kind != CopyKind::Vault) {
        return Ok(false);
    }
    home::create(at)?;
    home::write_keyring(at, living.keyring())?;
    Ok(true)
}

/// The world of the rehearsal: as that of the living server, but no volume is ever written to.
fn scratch_environment(living: &Server) -> Environment {
    let environment = living.environment();
    Environment {
        now: environment.now,
        time_zone: environment.time_zone.clone(),
        passphrase: environment.passphrase.clone(),
        host_name: environment.host_name.clone(),
        volumes: Access::ReadOnly,
        variable: environment.variable,
    }
}

/// Where the copy lies; one in a protected folder is first fetched out of the volume, as if the folder were gone.
fn fetch(living: &Server, copy: &Copy, scratch: &Path, meter: &Meter, cancel: &Cancel) -> Result<PathBuf, JobError> {
    if copy.kind != CopyKind::Share {
        return Ok(PathBuf::from(&copy.location));
    }
    use std::os::unix::ffi::OsStrExt;
    let place = Path::new(&copy.location);
    let root = |source: &resurgam_model::policy::Source| PathBuf::from(std::ffi::OsStr::from_bytes(&source.root));
    let catalog = living.catalog();
    let source = catalog
        .sources()?
        .into_iter()
        .find(|source| source.kind == SourceKind::Files && place.starts_with(root(source)))
        .ok_or_else(|| gone(copy, "no protected folder holds it any more"))?;
    let replicas = catalog.replicas()?;
    let replica = current_replica(&replicas, source.id);
    let volume = replica.and_then(|replica| catalog.volume(replica.volume).transpose()).transpose()?;
    let volume = volume.ok_or_else(|| gone(copy, "its folder has no replica"))?;
    let environment = living.environment();
    let unlock =
        Unlock { wrapping: Some(living.keyring().wrapping.clone()), passphrase: environment.passphrase.clone() };
    let reader = VolumeReader::open_backend(living.stores().backend(Path::new(&volume.location))?, &unlock)?;
    let to = scratch.join("share");
    let below = place.strip_prefix(root(&source)).unwrap_or(Path::new(""));
    let what = Recover {
        point: "latest".to_owned(),
        source: Some(source.id.to_string()),
        paths: if below.as_os_str().is_empty() { Vec::new() } else { vec![below.as_os_str().as_bytes().to_vec()] },
        to: Some(to.clone()),
        conflict: Conflict::Overwrite,
        owner: false,
        online: false,
    };
    reader.recover(&what, &|_| {}, meter, cancel)?;
    Ok(to.join(below))
}

fn gone(copy: &Copy, why: &str) -> JobError {
    JobError::Request {
        code: "no-copy",
        message: format!("the copy in {} cannot be fetched: {why}", copy.location),
        remedy: "protect the folder, or make a native backup elsewhere".to_owned(),
    }
}

/// Copies of the kind that was taken that are of no use. Those that should have been taken before it are faults; older
/// ones are worth a word.
fn spoiled(restored: &RestoreReport) -> (Vec<String>, Vec<String>) {
    let (mut faults, mut notes) = (Vec::new(), Vec::new());
    for found in restored.found.iter().filter(|found| found.kind == restored.taken.kind) {
        let Some(why) = &found.refused else { continue };
        let list = if is_older(found, &restored.taken) { &mut notes } else { &mut faults };
        let why = why.strip_prefix(&format!("{}: ", found.id)).unwrap_or(why);
        list.push(format!("{} cannot be used: {why}", found.id));
    }
    (faults, notes)
}

/// Whether a copy is known to be older than another of its kind: of one lineage by its sequence, else by its time. Of what
/// cannot be read often neither is known.
fn is_older(found: &CopyFound, taken: &CopyFound) -> bool {
    match (found.sequence, taken.sequence, found.made, taken.made) {
        (Some(found), Some(taken), ..) if found != taken => found < taken,
        (_, _, Some(found), Some(taken)) => found < taken,
        _ => false,
    }
}

/// What the sync left open. That something is missing or damaged shows in the rows; here is why.
fn open_ends(report: &SyncReport) -> Vec<String> {
    let lists = [
        ("missing", &report.missing),
        ("quarantined", &report.quarantined),
        ("unreachable", &report.unreachable),
        ("kept", &report.kept),
    ];
    lists
        .iter()
        .flat_map(|(word, items)| {
            items.iter().map(move |item| format!("{word}: {} {} ({})", item.kind, item.what, item.id))
        })
        .collect()
}

/// Recovers some files of the newest point of each source, and proves them.
fn sample(
    rebuilt: &Server,
    count: u64,
    scratch: &Path,
    meter: &Meter,
    cancel: &Cancel,
    faults: &mut Vec<String>,
) -> Result<u64, JobError> {
    let points = rebuilt.points(None)?;
    let mut proved = 0;
    for source in rebuilt.catalog().sources()? {
        let good = |point: &&Point| point.source_id == source.id && point.state.is_good();
        let Some(newest) = points.iter().rev().find(good) else { continue };
        let stride = (newest.files / count.max(1)).max(1);
        let (mut number, mut paths) = (0, Vec::new());
        let listed = rebuilt.list(&newest.id.to_string(), None, b"", true, &mut |entry| {
            // A name with odd bytes is shown with a backslash; as it is shown, it would name something else.
            if entry.kind == "file" && entry.size <= SAMPLED_MAX && !entry.path.contains('\\') {
                if number % stride == 0 && (paths.len() as u64) < count {
                    paths.push(entry.path.into_bytes());
                }
                number += 1;
            }
        });
        if let Err(error) = listed {
            faults.push(format!("the newest point of {} cannot be listed: {error}", newest.source));
            continue;
        }
        if paths.is_empty() {
            continue;
        }
        let to = scratch.join("restored").join(source.id.to_string());
        let what = Recover {
            point: newest.id.to_string(),
            source: None,
            paths,
            to: Some(to),
            conflict: Conflict::Overwrite,
            owner: false,
            online: false,
        };
        match rebuilt.recover(&what, &|_| {}, meter, cancel) {
            Ok(report) => {
                proved += report.files;
                let unproved = report.unproved.iter().map(|item| format!("{}: {}", item.path, item.error));
                faults.extend(unproved);
            }
            Err(error) if error.is_cancelled() => return Err(error),
            Err(error) => faults.push(format!("the newest point of {} does not come back: {error}", newest.source)),
        }
    }
    Ok(proved)
}
