//! `-RestoreDb`: the catalog, and the keys, back from one copy.
//!
//! In this order, so that a kill leaves the old server, or none and everything that it takes to run this again, or the new
//! one:
//!
//! 1. The copies are found ([`mod@crate::locate`]) and one is taken.
//! 2. The catalog is built beside its place, with a new lineage, frozen.
//! 3. Keys and configuration are put into the home; what differs is set aside.
//! 4. The catalog takes its place, in one step; the old one is set aside.

mod aside;
mod build;
mod keys;
mod target;
mod volumes;

use std::path::Path;

use resurgam_catalog::{Building, JobState, Location};
use resurgam_jobs::{JobError, Stores, home, kit as setting};
use resurgam_model::{LineageId, ServerId, Timestamp, lineage::Lineage};
use resurgam_store::{
    keyring::{KeptAccess, Keyring},
    keys::{Unlock, random},
};
use serde::Serialize;
use zeroize::Zeroizing;

pub use keys::KeysFrom;
pub(crate) use keys::{LOST, SEALED};
pub use target::target;

use self::{aside::Aside, keys::Traces};
use crate::locate::{Candidate, CopyFound, Found, choose_place, locate};

/// What to restore, and where to.
pub struct RestoreDb<'a> {
    /// The server's home; made where it is missing.
    pub home: &'a Path,
    /// `-DbLoc`: where the copies are.
    pub db_loc: &'a Path,
    /// `-Use`: which copy; `None`: the newest that can be used.
    pub chosen: Option<&'a str>,
    /// Where the catalog goes, as [`target`] says.
    pub to: Location,
    /// `-Kit`: the recovery kit.
    pub kit: Option<&'a Path>,
    /// Of the kit, or of a volume.
    pub passphrase: Option<Zeroizing<Vec<u8>>>,
    /// Reads the clock.
    pub now: fn() -> Timestamp,
    /// Reads a variable of the environment: what opens an object store, where no keyring does.
    pub variable: fn(&str) -> Option<String>,
    /// What opens object stores besides what a keyring has.
    pub access: Vec<KeptAccess>,
}

/// Answer of `dpmsync -RestoreDb`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RestoreReport {
    /// What `-DbLoc` is.
    pub place: String,
    /// Every copy that was found there, the newest first; those of no use last.
    pub found: Vec<CopyFound>,
    /// The copy that was taken.
    pub taken: CopyFound,
    /// Why that one.
    pub why: String,
    /// The server.
    pub server: ServerId,
    /// Its name.
    pub name: String,
    /// Where the catalog lies now.
    pub catalog: String,
    /// Where that lies which was there before: catalog, keyring, configuration.
    pub aside: Vec<String>,
    /// The catalog's new lineage.
    pub lineage: LineageId,
    /// The lineage that it was restored from.
    pub parent: Option<LineageId>,
    /// How many times the server's catalog has been restored, and one.
    pub generation: u64,
    /// How many changes of the configuration the copy has seen.
    pub sequence: u64,
    /// Where the keys came from.
    pub keys: KeysFrom,
    /// A configuration in a volume that is newer than the copy: `-Sync` takes it over.
    pub newer: Option<String>,
    /// What else should be known.
    pub notes: Vec<String>,
    /// How long it took.
    pub milliseconds: u64,
}

/// Restores the catalog.
///
/// # Errors
/// Where there is no copy that can be used, the kit does not open, the home is that of another server, or home or
/// database cannot be written. What was there before is then as it was.
pub fn restore_db(what: &RestoreDb<'_>) -> Result<RestoreReport, JobError> {
    let began = (what.now)();
    let passphrase = what.passphrase.as_ref().map(|passphrase| passphrase.as_slice());
    let kit = what.kit.map(|file| keys::from_kit(file, passphrase)).transpose()?;
    let present = keys::in_home(what.home)?;
    let wrapping = kit.as_ref().or(present.as_ref()).map(|keyring| keyring.wrapping.clone());
    let unlock = Unlock { wrapping, passphrase: what.passphrase.clone() };
    let known = kit.as_ref().or(present.as_ref());
    let scratch = tempfile::tempdir().map_err(|error| no_scratch(&error))?;
    let stores = Stores {
        variable: what.variable,
        directory: scratch.path().to_owned(),
        known: known.map_or_else(|| what.access.clone(), |keyring| [&keyring.access[..], &what.access].concat()),
        // Those are in the catalog, which is not there yet.
        limits: Vec::new(),
    };
    let mut found = locate(what.db_loc, &unlock, &stores, known.map(|keyring| keyring.server))?;
    // Where there is nothing to restore from, no home is begun.
    choose_place(&found, what.chosen)?;
    home::create(what.home)?;
    let mut aside = Aside::at(began);
    let (taken, building) = build::build(&mut found, what, &aside.name, began)?;
    let taken = &found.candidates[taken];
    let record = building.catalog().server()?.ok_or_else(no_server)?;
    for (keyring, code, whose) in
        [(&kit, "kit-of-another-server", "the kit"), (&present, "home-of-another-server", "the home")]
    {
        must_be_of(keyring.as_ref(), record.id, code, whose)?;
    }
    let mut notes = Vec::new();
    let seen = volumes::look(&building, &found, &unlock, &stores, began, &mut notes)?;
    let lineage = begin_lineage(&building, taken, &found, seen.generation, began)?;
    let (keyring, from) = keys::decide(record.id, kit, present, &seen.traces, passphrase, &mut notes)?;
    settle_keys(&building, &keyring)?;
    settle_jobs(&building, began)?;
    let put = keys::put(what.home, &keyring, &mut aside)
        .and_then(|()| target::settle(what.home, &what.to, &mut aside))
        .and_then(|()| Ok(building.put_in_place()?));
    match put {
        Ok(restored) => aside.done.extend(restored.aside),
        Err(error) => {
            aside.undo();
            return Err(error);
        }
    }
    let took = (what.now)().duration_since(began).as_millis();
    Ok(RestoreReport {
        place: found.what.clone(),
        found: found.candidates.iter().map(Candidate::shown).collect(),
        taken: taken.shown(),
        why: why(what, &found),
        server: record.id,
        name: record.name,
        catalog: what.to.to_string(),
        aside: aside.done,
        lineage: lineage.id,
        parent: lineage.parent,
        generation: lineage.generation,
        sequence: lineage.sequence,
        keys: from,
        newer: seen.newer_than(taken),
        notes,
        milliseconds: u64::try_from(took).unwrap_or(0),
    })
}

fn no_scratch(error: &std::io::Error) -> JobError {
    JobError::Request {
        code: "scratch",
        message: format!("there is no room for temporary files: {error}"),
        remedy: "set TMPDIR to a directory that can be written".to_owned(),
    }
}

fn no_server() -> JobError {
    JobError::Request {
        code: "db-loc",
        message: "the copy is a catalog that belongs to no server yet".to_owned(),
        remedy: "name another copy".to_owned(),
    }
}

fn must_be_of(keyring: Option<&Keyring>, server: ServerId, code: &'static str, whose: &str) -> Result<(), JobError> {
    match keyring.filter(|keyring| keyring.server != server) {
        None => Ok(()),
        Some(other) => Err(JobError::Request {
            code,
            message: format!("the copy is of server {server}, and {whose} is of server {}", other.server),
            remedy: "name a copy of the same server, or another --home for this one".to_owned(),
        }),
    }
}

fn why(what: &RestoreDb<'_>, found: &Found) -> String {
    let usable = found.candidates.iter().filter(|candidate| candidate.usable.is_ok()).count();
    match (what.chosen, usable) {
        (Some(chosen), _) => format!("it is the newest that -Use {chosen} means"),
        (None, 1) => "it is the only one that can be used".to_owned(),
        (None, count) => format!("it is the newest of {count} that can be used"),
    }
}

/// A restored catalog is not the one that was lost: it gets a lineage of its own, and nothing is deleted by it until it has
/// been compared with the volumes.
fn begin_lineage(
    building: &Building,
    taken: &Candidate,
    found: &Found,
    generation: u64,
    now: Timestamp,
) -> Result<Lineage, JobError> {
    let copied = taken.lineage.as_ref();
    let origin = format!("restored from {} ({})", taken.what, taken.id());
    let lineage = Lineage {
        id: LineageId::from_random(random()?),
        parent: copied.map(|copied| copied.id),
        generation: generation.max(found.generation()).max(1) + 1,
        sequence: copied.map_or(0, |copied| copied.sequence),
        digest: copied.map(|copied| copied.digest.clone()).unwrap_or_default(),
        started: now,
        frozen: Some(format!("{origin} on {}", now.strftime("%Y-%m-%d %H:%M UTC"))),
        origin,
    };
    building.catalog().set_lineage(&lineage)?;
    Ok(lineage)
}

/// The catalog says which key the server signs with; and a kit of other keys is none.
fn settle_keys(building: &Building, keyring: &Keyring) -> Result<(), JobError> {
    let catalog = building.catalog();
    let Some(mut record) = catalog.server()? else { return Err(no_server()) };
    let key = keyring.signing.public().0.to_vec();
    if record.public_key != key {
        record.public_key = key;
        catalog.set_server(&record)?;
        for name in [setting::DIGEST, setting::PROVED, setting::STALE] {
            catalog.remove_setting(name)?;
        }
    }
    Ok(())
}

/// What ran when the copy was made, the copying itself among it, has ended since; how, the copy cannot know.
fn settle_jobs(building: &Building, now: Timestamp) -> Result<(), JobError> {
    let catalog = building.catalog();
    for job in catalog.running_jobs()? {
        catalog.end_job(job.id, JobState::Interrupted, Some(RAN_THEN), now)?;
    }
    Ok(())
}

const RAN_THEN: &str = "it was running when the copy was made that this catalog was restored from";

impl Traces {
    fn take(&mut self, header: &resurgam_store::volume::VolumeHeader, keys: resurgam_store::keys::VolumeKeys) {
        self.signed_by.push(header.server_key);
        self.identity.get_or_insert(keys.identity);
    }
}

#[cfg(test)]
mod tests;
