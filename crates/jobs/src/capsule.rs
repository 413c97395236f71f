//! Capsules: the whole configuration, signed, in every volume, at each change.
//!
//! A charter that has changed gets the next sequence number in the catalog first, and is written to the volumes then. A
//! kill in between only delays it: whoever looks next finds volumes whose newest capsule is older than the catalog says.

use jiff::Timestamp;
use resurgam_model::{LineageId, charter::Charter, lineage::Lineage};
use resurgam_store::{StoreError, Volume, capsule::CapsuleName, keys::random};
use serde::{Deserialize, Serialize};

use crate::{
    contact::is_part,
    error::JobError,
    home,
    server::{Access, Server},
};

/// So many capsules of its own lineage a volume keeps.
const CAPSULES_KEPT: usize = 8;

/// What a capsule holds besides what the store says of every capsule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapsuleText {
    /// The generation of its lineage.
    pub generation: u64,
    /// The lineage that its lineage was restored from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<LineageId>,
    /// When it was written; for people.
    pub written: Timestamp,
    /// The version of the program that wrote it.
    pub program: String,
    /// The server's keyring, sealed to the recovery passphrase, once a kit was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<String>,
    /// The configuration.
    pub charter: Charter,
}

impl CapsuleText {
    /// Reads the text that [`Volume::capsule`] has proved.
    ///
    /// # Errors
    /// Where it is no capsule, or one of a newer program.
    pub fn parse(object: &str, text: &str) -> Result<Self, StoreError> {
        toml::from_str(text).map_err(|error| StoreError::Corrupt {
            object: object.to_owned(),
            what: format!("its text makes no sense: {}", error.message()),
        })
    }

    fn to_table(&self) -> Result<toml::Table, JobError> {
        toml::Table::try_from(self).map_err(|error| internal(&error))
    }
}

/// For fuzzing: the text of a capsule, on any bytes.
pub fn fuzz_capsule(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = CapsuleText::parse("fuzz", text);
    }
}

fn internal(error: &toml::ser::Error) -> JobError {
    JobError::Store(StoreError::Internal(format!("the charter cannot be written as TOML: {error}")))
}

impl Server {
    /// The lineage of this catalog; begun where it has none yet.
    pub(crate) fn lineage(&self) -> Result<Lineage, JobError> {
        if let Some(lineage) = self.catalog.lineage()? {
            return Ok(lineage);
        }
        let lineage = Lineage {
            id: LineageId::from_random(random()?),
            parent: None,
            generation: 1,
            sequence: 0,
            digest: String::new(),
            started: self.now(),
            origin: "made new".to_owned(),
            frozen: None,
        };
        self.catalog.set_lineage(&lineage)?;
        Ok(lineage)
    }

    /// The lineage, with the sequence number that the charter has now; and the charter.
    fn current(&self) -> Result<(Lineage, Charter), JobError> {
        let mut lineage = self.lineage()?;
        let charter = self.catalog.charter()?;
        let text = toml::to_string(&charter).map_err(|error| internal(&error))?;
        let digest = blake3::hash(text.as_bytes()).to_hex().to_string();
        if lineage.digest != digest {
            lineage.sequence += 1;
            lineage.digest = digest;
            self.catalog.set_lineage(&lineage)?;
        }
        Ok((lineage, charter))
    }

    /// Writes the configuration as it is now into every volume that can be reached. A volume that cannot gets it with its
    /// next backup.
    pub fn publish_capsules(&self) -> Result<(), JobError> {
        if self.environment.volumes == Access::ReadOnly {
            return Ok(());
        }
        let _turn = home::lock_publishing(&self.home)?;
        let (lineage, charter) = self.current()?;
        for record in self.catalog.volumes()? {
            let published = if is_part(&record) {
                self.reach(&record).and_then(|part| {
                    self.publish(&part, &lineage, &charter)?;
                    self.look_at(&record, &part).map(drop)
                })
            } else {
                self.open_volume(&record).and_then(|volume| self.publish(&volume, &lineage, &charter))
            };
            if let Err(error) = published {
                self.notice(format!(
                    "the configuration could not be written into the volume {}: {error}; it will be with its next backup",
                    record.location
                ));
            }
        }
        Ok(())
    }

    /// The same for one volume, which is open.
    pub(crate) fn publish_capsule_to(&self, volume: &Volume) -> Result<(), JobError> {
        let _turn = home::lock_publishing(&self.home)?;
        let (lineage, charter) = self.current()?;
        self.publish(volume, &lineage, &charter)
    }

    fn publish(&self, volume: &Volume, lineage: &Lineage, charter: &Charter) -> Result<(), JobError> {
        let names = volume.capsule_names()?;
        let name = CapsuleName { lineage: lineage.id, sequence: lineage.sequence };
        if names.contains(&name) {
            return Ok(());
        }
        let text = CapsuleText {
            generation: lineage.generation,
            parent: lineage.parent,
            written: self.now(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            secrets: self.keyring.kit.as_ref().and_then(|kit| sealed_keyring(kit)),
            charter: charter.clone(),
        };
        volume.put_capsule(&name, text.to_table()?, &self.keyring.signing)?;
        // Where another catalog has taken this volume on, this one deletes nothing in it.
        let is_superseded = lineage.frozen.as_ref().is_some_and(|reason| reason.starts_with(SUPERSEDED));
        if !is_superseded && Self::successor_in(volume, lineage)?.is_none() {
            let keep = kept(names, &name);
            volume.forget_capsules(&|name| keep.contains(name))?;
        }
        Ok(())
    }

    /// The newer catalog of this server that a volume tells of, if it does, in words. A catalog that was thought lost and
    /// comes back finds in its volumes the lineage of the one that replaced it.
    pub(crate) fn successor_in(volume: &Volume, own: &Lineage) -> Result<Option<String>, StoreError> {
        let mut others = volume.capsule_names()?;
        others.retain(|name| name.lineage != own.id);
        others.sort();
        others.reverse();
        for name in others {
            // What is damaged says nothing, and one before it may. What cannot be read is no reason to go on.
            let capsule = match volume.capsule(&name).and_then(|text| CapsuleText::parse(&name.object(), &text)) {
                Err(error) if error.is_damage() => continue,
                read => read?,
            };
            if capsule.generation > own.generation && capsule.charter.server.id == volume.about().server {
                let place = volume.backend().location();
                return Ok(Some(format!(
                    "{SUPERSEDED}: the volume {place} has been taken on by the restored catalog of lineage {}",
                    name.lineage
                )));
            }
        }
        Ok(None)
    }
}

/// How the reason for a freeze begins where another catalog has taken this one's place.
pub(crate) const SUPERSEDED: &str = "superseded";

/// The armored kit inside what the keyring keeps of it.
fn sealed_keyring(kit: &str) -> Option<String> {
    let kept: toml::Table = toml::from_str(kit).ok()?;
    kept.get("keyring").and_then(toml::Value::as_str).map(str::to_owned)
}

/// Which capsules stay: the newest of this lineage, and the last of every other.
fn kept(mut names: Vec<CapsuleName>, new: &CapsuleName) -> Vec<CapsuleName> {
    names.push(*new);
    names.sort();
    names.reverse();
    let mut kept: Vec<CapsuleName> = Vec::new();
    for name in names {
        let limit = if name.lineage == new.lineage { CAPSULES_KEPT } else { 1 };
        if kept.iter().filter(|other| other.lineage == name.lineage).count() < limit {
            kept.push(name);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(lineage: u8, sequence: u64) -> CapsuleName {
        CapsuleName { lineage: LineageId::from_bytes([lineage; 16]), sequence }
    }

    #[test]
    fn the_newest_of_a_lineage_stay_and_the_last_of_every_other() {
        let names = (1..=20).map(|sequence| name(1, sequence)).chain([name(2, 3), name(2, 4), name(3, 1)]).collect();
        let kept = kept(names, &name(1, 21));
        assert_eq!(kept.iter().filter(|kept| kept.lineage == name(1, 0).lineage).count(), CAPSULES_KEPT);
        assert!(kept.contains(&name(1, 21)) && kept.contains(&name(1, 14)) && !kept.contains(&name(1, 13)));
        assert!(kept.contains(&name(2, 4)) && !kept.contains(&name(2, 3)) && kept.contains(&name(3, 1)));
    }
}
