//! What was last seen of the server's parts of vaults, in a file for each. So what is wrong with a vault can be told at any
//! time without asking the network, which may be slow or away; and since when.
//!
//! Written by whoever has to do with a part anyway: online backups, capsules (the daemon looks at those every hour), and
//! `vault list`. Where nothing is written yet, a part is looked at once.

use std::{path::Path, sync::Arc};

use resurgam_catalog::{PointEntry, VolumeRecord};
use resurgam_model::{
    Timestamp, VolumeId,
    alert::VaultFacts,
    policy::{Online, SourceKind},
    role::VolumeRole,
};
use resurgam_store::{
    StoreError, Volume,
    backend::{Backend, directory::Directory, read_whole},
    error::Fault,
    volume::VOLUME_TOML,
};
use serde::{Deserialize, Serialize};

use crate::{
    error::JobError,
    server::{Access, Server},
    survivability::{Found, capsule},
};

/// Where it is written down, in the home.
const CONTACTS: &str = "contacts";
const TEXT_MAX: u64 = 1 << 16;

/// What was last seen of a part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Contact {
    /// When it was last open.
    reached: Option<Timestamp>,
    /// Why it could not be opened since, if so.
    trouble: Option<Trouble>,
    /// Its newest capsule, when that was last looked at.
    pub(crate) capsule: Option<Seen>,
    /// Its newest copy of the catalog.
    pub(crate) catalog: Option<Seen>,
}

/// Why a part cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Trouble {
    /// Since when.
    since: Timestamp,
    /// What was said last.
    what: String,
    /// Whether the store answers, and the part is not there.
    gone: bool,
}

/// A copy of the catalog, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    fault: Option<String>,
    found: Option<Found>,
}

impl Seen {
    fn of(looked: Result<Found, JobError>) -> Self {
        match looked {
            Ok(found) => Self { fault: None, found: Some(found) },
            Err(error) => Self { fault: Some(error.to_string()), found: None },
        }
    }
}

impl Contact {
    /// What is known of a copy: nothing of one in a part that is gone, whatever was seen there before.
    pub(crate) fn copy(&self, seen: Option<&Seen>) -> Result<Found, String> {
        if let Some(trouble) = self.trouble.as_ref().filter(|trouble| trouble.gone || seen.is_none()) {
            return Err(trouble.what.clone());
        }
        match seen {
            Some(Seen { found: Some(found), .. }) => Ok(found.clone()),
            Some(Seen { fault, .. }) => Err(fault.clone().unwrap_or_default()),
            None => Err("it was not looked at yet".to_owned()),
        }
    }

    fn note(&mut self, opened: Result<(), (String, bool)>, now: Timestamp) {
        match opened {
            Ok(()) => (self.reached, self.trouble) = (Some(now), None),
            Err((what, gone)) => {
                let since = self.trouble.as_ref().map_or(now, |trouble| trouble.since);
                self.trouble = Some(Trouble { since, what, gone });
            }
        }
    }

    fn facts(self, name: String, location: String) -> VaultFacts {
        let trouble = self.trouble.map(|trouble| resurgam_model::alert::VaultTrouble {
            since: trouble.since,
            what: trouble.what,
            gone: trouble.gone,
        });
        VaultFacts { name, location, trouble }
    }
}

impl Server {
    /// Opens a part of a vault, and writes down whether that went well.
    pub(crate) fn reach(&self, record: &VolumeRecord) -> Result<Arc<Volume>, JobError> {
        let opened = self.open_volume(record);
        let mut contact = self.known_contact(record.id);
        let outcome = opened.as_ref().map(|_| ()).map_err(|error| (error.to_string(), self.is_gone(record, error)));
        contact.note(outcome, self.now());
        self.write_contact(record.id, &contact);
        opened
    }

    /// Looks at the copies of the catalog in a part that is open, and writes down what there is.
    pub(crate) fn look_at(&self, record: &VolumeRecord, part: &Arc<Volume>) -> Result<Contact, JobError> {
        let mut contact = self.known_contact(record.id);
        contact.note(Ok(()), self.now());
        contact.capsule = Some(Seen::of(capsule(part, &self.lineage()?)));
        contact.catalog =
            self.newest_of_catalog(record)?.map(|newest| Seen::of(self.about_copy(part, record, &newest)));
        self.write_contact(record.id, &contact);
        Ok(contact)
    }

    /// Looks at what lies in a vault after something was done there. That is done, whatever comes of the look.
    pub(crate) fn look_again(&self, online: &Online) {
        let look = || {
            let vault = self.find_vault(Some(&online.vault.to_string()))?;
            self.look_at(&self.volume_record(vault.part)?, &self.part_of(&vault)?)
        };
        if let Err(error) = look() {
            self.notice(format!("the vault could not be looked at again: {error}"));
        }
    }

    /// What was last seen of a part; where nothing was yet, it is looked at now.
    pub(crate) fn contact(&self, record: &VolumeRecord) -> Result<Contact, JobError> {
        let known = self.known_contact(record.id);
        if known.trouble.is_some() || known.capsule.is_some() {
            return Ok(known);
        }
        match self.reach(record) {
            Ok(part) => self.look_at(record, &part),
            Err(_) => Ok(self.known_contact(record.id)),
        }
    }

    /// What is known of each vault.
    pub(crate) fn vault_facts(&self) -> Result<Vec<VaultFacts>, JobError> {
        let vaults = self.catalog.vaults()?;
        let facts = vaults.into_iter().map(|vault| self.known_contact(vault.part).facts(vault.name, vault.location));
        Ok(facts.collect())
    }

    /// The newest online point of the server's own catalog in a part.
    fn newest_of_catalog(&self, record: &VolumeRecord) -> Result<Option<PointEntry>, JobError> {
        let sources = self.catalog.sources()?;
        let Some(own) = sources.into_iter().find(|source| source.kind == SourceKind::Dpmdb) else { return Ok(None) };
        let mut points = self.catalog.every_entry(Some(own.id))?;
        points.retain(|point| point.volume == record.id);
        Ok(points.pop())
    }

    /// Whether the store answers, and what should be there is not.
    fn is_gone(&self, record: &VolumeRecord, error: &JobError) -> bool {
        let is_missing = |error: &resurgam_store::error::BackendError| {
            // Of a missing bucket nobody knows what it holds, so only the source tells.
            error.kind == Fault::NotFound || error.source.kind() == std::io::ErrorKind::NotFound
        };
        match error {
            JobError::Store(StoreError::Backend(error)) => is_missing(error),
            JobError::Store(StoreError::Refused { .. }) => {
                let head = self.backend_at(Path::new(&record.location)).map(|place| place.length(VOLUME_TOML));
                head.is_ok_and(|head| head.is_err_and(|error| is_missing(&error)))
            }
            JobError::Request { code, .. } => ["volume-swapped", "volume-of-another-server"].contains(code),
            _ => false,
        }
    }

    fn known_contact(&self, part: VolumeId) -> Contact {
        let read = read_whole(&Directory::local(&self.home), &name(part), TEXT_MAX).ok();
        // What cannot be read is written anew by the next contact.
        read.and_then(|bytes| toml::from_str(&String::from_utf8_lossy(&bytes)).ok()).unwrap_or_default()
    }

    /// Written as well as it can be: a home that is full or read-only keeps nobody from a vault.
    fn write_contact(&self, part: VolumeId, contact: &Contact) {
        if self.environment.volumes == Access::ReadOnly || self.known_contact(part) == *contact {
            return;
        }
        let written = toml::to_string(contact).map_err(|error| error.to_string()).and_then(|text| {
            let home = Directory::local(&self.home);
            home.replace(&name(part), text.as_bytes()).map_err(|error| error.to_string())
        });
        if let Err(error) = written {
            self.notice(format!("what was seen of the vault could not be written down: {error}"));
        }
    }
}

fn name(part: VolumeId) -> String {
    format!("{CONTACTS}/{part}.toml")
}

/// Whether a volume is a part of a vault.
pub(crate) fn is_part(record: &VolumeRecord) -> bool {
    record.role == VolumeRole::Vault
}

#[cfg(test)]
mod tests;
