//! Vaults: registering a server with one, and its part there.

mod admit;
mod carry;
mod deleted;
mod limits;
mod owner;
mod passphrase;

use std::{path::Path, sync::Arc};

use resurgam_catalog::VolumeRecord;
use resurgam_model::{charter::VaultCharter, id::by_prefix, report::VaultSummary, role::VolumeRole};
use resurgam_store::{
    StoreError, Volume,
    backend::Backend,
    capsule::CATALOG,
    enrol::{change_passphrase, enrol_again},
    keys::{Slot, Unlock},
    pack::PACKS,
    point::REPLICAS,
    vault::{self, Clocks, VaultText, pin},
    volume::{PART, VolumeHeader},
};
use zeroize::Zeroizing;

use crate::{
    error::JobError,
    home,
    server::Server,
    stores::{Stores, below},
};
pub(crate) use admit::admit;
pub use carry::load_carried;
pub use limits::LimitsChange;
pub(crate) use limits::of_vaults;
pub use owner::{check_vault, create_vault, issue_credentials, make_pin};
pub use passphrase::{check_passphrase, generate_passphrase};

impl Server {
    /// Registers the server with the vault of these credentials: makes its part, or takes on the one that it has there.
    ///
    /// # Errors
    /// Where the credentials do not count, the passphrase is weak or, for a part that is there, wrong.
    pub fn register(&mut self, credentials: &str, passphrase: &[u8]) -> Result<VaultSummary, JobError> {
        check_passphrase(passphrase)?;
        let _lock = home::lock(&self.home)?;
        let admitted = admit(&self.stores(), credentials, self.now())?;
        let location = admitted.credentials.url.clone();
        if let Some(access) = admitted.access {
            // Before anything else: what was made with it must be found again.
            self.keyring.keep_access(&location, access);
            home::write_keyring(&self.home, &self.keyring)?;
        }
        if admitted.by_grant {
            self.notice(format!(
                "the store is reached by the grant in the credentials, which ends at {}; before then, register again with \
                 access of the server's own in the environment",
                admitted.credentials.expires
            ));
        }
        let part_location = below(&location, &vault::part_of(self.keyring.server));
        let volume = self.take_part(&part_location, passphrase)?;
        let (_, document) = Volume::header_document(volume.backend())?;
        let known = self.catalog.volume(volume.id())?;
        let added = known.map_or_else(|| self.now(), |known| known.added);
        let record =
            VolumeRecord { id: volume.id(), location: part_location, document, added, role: VolumeRole::Vault };
        self.catalog.put_volume(&record)?;
        self.catalog.put_vault(&VaultCharter {
            id: admitted.text.vault,
            name: admitted.text.name.clone(),
            location,
            part: record.id,
            document: admitted.document,
            registered: self.now(),
        })?;
        self.publish_capsules()?;
        let vault = self.find_vault(Some(&admitted.text.vault.to_string()))?;
        self.vault_summary(&vault)
    }

    /// The server's part at a place: opened, enrolled again under a new key of the server, or made.
    fn take_part(&self, location: &str, passphrase: &[u8]) -> Result<Arc<Volume>, JobError> {
        let backend = self.stores().make(location)?;
        match Volume::header(&*backend) {
            Ok(header) => {
                let typed = Unlock { wrapping: None, passphrase: Some(Zeroizing::new(passphrase.to_vec())) };
                // Whoever registers must know the passphrase, also where the keyring would open the part.
                Volume::open(Arc::clone(&backend), &typed)?;
                let (signing, wrapping) = (&self.keyring.signing, &self.keyring.wrapping);
                if header.server_key != signing.public() {
                    self.notice(
                        "the part was signed by another key of this server; it has been enrolled again".to_owned(),
                    );
                }
                Ok(Arc::new(enrol_again(backend, &typed, self.keyring.server, signing, wrapping)?))
            }
            Err(StoreError::Refused { .. }) => {
                refuse_remains(&*backend)?;
                self.make_part(backend, passphrase)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn make_part(&self, backend: Arc<dyn Backend>, passphrase: &[u8]) -> Result<Arc<Volume>, JobError> {
        self.new_volume(backend, &PART, |keys, id| {
            Ok(vec![Slot::keyring(keys, id, &self.keyring.wrapping)?, Slot::passphrase(keys, id, passphrase)?])
        })
    }

    /// A vault that the server is registered with: by id, prefix of one, name or URL; the only one, where none is named.
    pub fn find_vault(&self, wanted: Option<&str>) -> Result<VaultCharter, JobError> {
        let vaults = self.catalog.vaults()?;
        let Some(wanted) = wanted else {
            return match <[VaultCharter; 1]>::try_from(vaults) {
                Ok([only]) => Ok(only),
                Err(vaults) if vaults.is_empty() => Err(JobError::request(
                    "no-vault",
                    "the server is not registered with a vault",
                    "`resurgam vault register --credentials FILE` registers it",
                )),
                Err(_) => Err(JobError::request(
                    "which-vault",
                    "the server is registered with several vaults",
                    "name one with --vault; `resurgam vault list` shows them",
                )),
            };
        };
        if let Some(vault) = vaults.iter().find(|vault| vault.name == wanted || vault.location == wanted) {
            return Ok(vault.clone());
        }
        by_prefix(wanted, vaults, |vault| vault.id.to_string()).map_err(|error| {
            JobError::request(
                "no-vault",
                format!("vault `{wanted}`: {error}"),
                "`resurgam vault list` shows the vaults",
            )
        })
    }

    /// Every vault that the server is registered with.
    pub fn vaults(&self) -> Result<Vec<VaultSummary>, JobError> {
        self.catalog.vaults()?.iter().map(|vault| self.vault_summary(vault)).collect()
    }

    fn vault_summary(&self, vault: &VaultCharter) -> Result<VaultSummary, JobError> {
        let mut points = self.catalog.online_entries(None)?;
        points.retain(|point| point.volume == vault.part);
        let state = self.part_of(vault).map_or_else(|error| error.to_string(), |_| "present".to_owned());
        Ok(VaultSummary {
            id: vault.id,
            name: vault.name.clone(),
            url: vault.location.clone(),
            part: vault.part,
            registered: vault.registered,
            points: points.len() as u64,
            newest: points.iter().map(|point| point.time).max(),
            limits: self.limits_of(&vault.location),
            state,
        })
    }

    /// The server's part of a vault, open.
    pub(crate) fn part_of(&self, vault: &VaultCharter) -> Result<Arc<Volume>, JobError> {
        self.reach(&self.volume_record(vault.part)?)
    }

    /// The rules of a vault as they are now: from the vault itself, signed by the owner that it had at registration.
    pub(crate) fn rules_of(&self, vault: &VaultCharter) -> Result<(Arc<dyn Backend>, VaultText), JobError> {
        let place = self.backend_at(Path::new(&vault.location))?;
        let (text, _) = vault::read(&*place)?;
        let known = vault::parse(&vault.location, &vault.document);
        if !known.is_ok_and(|known| known.owner_key == text.owner_key && text.vault == vault.id) {
            let message = format!("the vault in {} is not the one that the server registered with", vault.location);
            return Err(JobError::request(
                "vault-swapped",
                message,
                "ask its owner; `resurgam vault register` with new credentials accepts it",
            ));
        }
        Ok((place, text))
    }

    /// What time it is, by the clock here and by the vault's.
    pub(crate) fn clocks(&self, place: &dyn Backend) -> Clocks {
        Clocks { here: self.now(), there: place.now().unwrap_or(None) }
    }

    /// Sees that the vault's owner gives leave for something that cannot be taken back.
    pub(crate) fn must_have_pin(
        &self,
        attempt: &str,
        vault: &VaultCharter,
        typed: Option<&str>,
    ) -> Result<(), JobError> {
        let remedy = format!(
            "the vault's owner makes a PIN with `resurgam vault pin {} --owner-key F`; give it with --pin-file, or on a terminal",
            vault.location
        );
        let Some(typed) = typed else {
            let message = format!("cannot {attempt} without a PIN of the vault's owner");
            return Err(JobError::request("pin-needed", message, remedy));
        };
        let (place, text) = self.rules_of(vault)?;
        let clocks = self.clocks(&*place);
        pin::check(&*place, &text, typed, &clocks)?
            .map_err(|error| JobError::request("pin", format!("cannot {attempt}: {error}"), remedy))
    }

    /// Changes the passphrase of the server's part of a vault.
    ///
    /// # Errors
    /// Without a PIN that counts, or where the new passphrase is weak.
    pub fn change_part_passphrase(
        &self,
        vault: Option<&str>,
        new: &[u8],
        typed_pin: Option<&str>,
    ) -> Result<VaultSummary, JobError> {
        let vault = self.find_vault(vault)?;
        check_passphrase(new)?;
        self.must_have_pin("change the passphrase", &vault, typed_pin)?;
        let record = self.volume_record(vault.part)?;
        let backend = self.backend_at(Path::new(&record.location))?;
        change_passphrase(backend, &self.unlock(), new, &self.keyring.signing)?;
        let (_, document) = self.header_at(Path::new(&record.location))?;
        self.catalog.put_volume(&VolumeRecord { document, ..record })?;
        self.publish_capsules()?;
        self.vault_summary(&vault)
    }
}

/// A part that has lost its head is no empty place: its head is put back, never made anew over what lies there.
fn refuse_remains(place: &dyn Backend) -> Result<(), JobError> {
    for prefix in [PACKS, REPLICAS, CATALOG] {
        if !place.list(prefix)?.is_empty() {
            let message = format!("{} holds points of this server, and its VOLUME.toml is gone", place.location());
            return Err(JobError::request(
                "part-without-head",
                message,
                "`resurgam verify --online --repair` puts it back from the catalog; nothing was changed",
            ));
        }
    }
    Ok(())
}

/// A server's part, as others of the vault see it.
pub(crate) fn parts(
    place: &dyn Backend,
    stores: &Stores,
    location: &str,
) -> Result<Vec<(String, VolumeHeader)>, JobError> {
    let mut found = Vec::new();
    for server in vault::servers(place)? {
        let location = below(location, &vault::part_of(server));
        let header = Volume::header(&*stores.backend(Path::new(&location))?)?;
        found.push((location, header));
    }
    Ok(found)
}
