//! Vaults: what their owner does (make, issue credentials and PINs), and what a server does with one that it is registered with.

use std::{path::Path, sync::Arc};

use resurgam_catalog::VolumeRecord;
use resurgam_model::{
    Timestamp, VaultId,
    charter::VaultCharter,
    id::by_prefix,
    place::VolumeRole,
    report::{DeletedSummary, StoreCheck, VaultSummary},
};
use resurgam_store::{
    Volume,
    backend::{Backend, conformance, object::StoreAccess},
    enrol::enrol_again,
    keys::{Secret, Slot, Unlock, VolumeKeys, random},
    vault::{
        self, Clocks, Rules, VaultText,
        credentials::{self, Credentials, Unaccepted},
        owner::OwnerKey,
        pin,
    },
    volume::{NewVolume, PART, VolumeHeader},
};
use zeroize::Zeroizing;

use crate::{
    error::JobError,
    home,
    server::Server,
    stores::{Stores, below},
};

/// A passphrase of a part has at least this many characters: the rule of MABS.
const PASSPHRASE_MIN: usize = 16;

/// Makes a vault at a location.
///
/// # Errors
/// Where there is one already, or the place cannot be written.
pub fn create_vault(
    stores: &Stores,
    location: &str,
    name: Option<&str>,
    rules: Rules,
    owner: &OwnerKey,
    now: Timestamp,
) -> Result<VaultText, JobError> {
    let location = stores.settled(location)?;
    if !Stores::is_url(Path::new(&location)) {
        home::create_private(Path::new(&location)).map_err(|error| {
            JobError::request(
                "vault",
                format!("cannot use {location}: {error}"),
                "name a directory that can be written",
            )
        })?;
    }
    let place = stores.backend(Path::new(&location))?;
    let name = name.map_or_else(|| last_of(&location), str::to_owned);
    Ok(vault::create(&*place, VaultId::from_random(random()?), &name, rules, owner.signing(), now)?)
}

/// What people call a place that nobody named.
fn last_of(location: &str) -> String {
    location.trim_end_matches('/').rsplit('/').next().unwrap_or(location).to_owned()
}

/// Issues credentials: the text for their file. With a grant of the store, where it gives one.
///
/// # Errors
/// Where there is no vault, or the key is not its owner's.
pub fn issue_credentials(
    stores: &Stores,
    location: &str,
    owner: &OwnerKey,
    now: Timestamp,
) -> Result<(Credentials, String), JobError> {
    let (location, place, text) = owned(stores, location, owner)?;
    let hours = i64::from(text.rules.credentials_hours);
    let until = now.checked_add(jiff::SignedDuration::from_hours(hours)).unwrap_or(now);
    let grant = if Stores::is_url(Path::new(&location)) {
        let at = stores.place(&location)?;
        stores.access(&at)?.grant(&at, until, now)
    } else {
        None
    };
    Ok(credentials::issue(&*place, &text, &location, grant, owner.signing(), now)?)
}

/// Tests whether a store does what a vault relies on, below a prefix of its own that is cleared again.
///
/// # Errors
/// Where the place cannot be reached at all.
pub fn check_vault(stores: &Stores, location: &str) -> Result<Vec<StoreCheck>, JobError> {
    let location = stores.settled(location)?;
    let name = format!("resurgam-check-{}", resurgam_store::keys::hex(&random::<8>()?));
    let below = below(&location, &name);
    if !Stores::is_url(Path::new(&below)) {
        home::create_private(Path::new(&below)).map_err(|error| {
            JobError::request(
                "vault",
                format!("cannot use {location}: {error}"),
                "name a directory that can be written",
            )
        })?;
    }
    let place = stores.backend(Path::new(&below))?;
    // One that cannot be reached is no store that breaks promises.
    place.list("")?;
    let check = |(promise, kept): (&str, Result<(), String>)| StoreCheck {
        promise: promise.to_owned(),
        holds: kept.is_ok(),
        optional: false,
        what: kept.err(),
    };
    let mut checks: Vec<StoreCheck> = conformance::each(&*place).map(check).collect();
    let clock = place.now()?;
    checks.push(StoreCheck {
        promise: "the store has a clock of its own".to_owned(),
        holds: clock.is_some(),
        optional: true,
        what: clock.map(|time| time.to_string()),
    });
    checks.push(StoreCheck {
        promise: "the store itself keeps objects from being deleted for a time".to_owned(),
        holds: false,
        optional: true,
        what: Some("not asked for by this program: set immutability or object lock for the bucket yourself".to_owned()),
    });
    for listed in place.list("")? {
        place.delete(&listed.name)?;
    }
    if !Stores::is_url(Path::new(&below)) {
        let _ = std::fs::remove_dir_all(&below);
    }
    Ok(checks)
}

/// Makes a PIN, good for five minutes.
///
/// # Errors
/// Where there is no vault, or the key is not its owner's.
pub fn make_pin(
    stores: &Stores,
    location: &str,
    owner: &OwnerKey,
    now: Timestamp,
) -> Result<Zeroizing<String>, JobError> {
    let (_, place, text) = owned(stores, location, owner)?;
    Ok(pin::make(&*place, &text, owner.signing(), now)?)
}

fn owned(stores: &Stores, location: &str, owner: &OwnerKey) -> Result<(String, Arc<dyn Backend>, VaultText), JobError> {
    let location = stores.settled(location)?;
    let place = stores.backend(Path::new(&location))?;
    let (text, _) = vault::read(&*place)?;
    if text.owner_key != owner.signing().public() {
        let message = format!("the key is not that of the owner of the vault in {location}");
        return Err(JobError::request("owner-key", message, "give the file that `vault create` wrote for this vault"));
    }
    Ok((location, place, text))
}

/// A vault that credentials lead to, opened with the access that there is.
pub(crate) struct Admitted {
    pub(crate) credentials: Credentials,
    pub(crate) place: Arc<dyn Backend>,
    pub(crate) text: VaultText,
    pub(crate) document: String,
    /// What opened the place: kept, so that the next command opens it too. Directories need none.
    pub(crate) access: Option<StoreAccess>,
}

/// Opens the vault that credentials are for, and sees that they count.
///
/// # Errors
/// Says which of the ways it is in which credentials do not count; and where the vault cannot be reached.
pub(crate) fn admit(stores: &Stores, text: &str, now: Timestamp) -> Result<Admitted, JobError> {
    let credentials = Credentials::parse(text).map_err(|error| unaccepted(&error))?;
    let location = Path::new(&credentials.url);
    let mut stores = stores.clone();
    let mut access = None;
    if Stores::is_url(location) {
        let at = stores.place(&credentials.url)?;
        // What the machine has of its own lasts; a grant ends with the credentials.
        let own = stores.access(&at);
        let granted = || credentials.grant.as_deref().and_then(|grant| StoreAccess::of_grant(&at, grant));
        let opens = match own {
            Ok(own) => own,
            Err(error) => granted().ok_or(error)?,
        };
        stores.known.push(resurgam_store::keyring::KeptAccess { place: at.to_string(), access: opens.clone() });
        access = Some(opens);
    }
    let place = stores.backend(location)?;
    let (vault, document) = vault::read(&*place)?;
    let clocks = Clocks { here: now, there: place.now().unwrap_or(None) };
    credentials::check(&*place, &vault, &credentials, &clocks)?.map_err(|error| unaccepted(&error))?;
    Ok(Admitted { credentials, place, text: vault, document, access })
}

fn unaccepted(error: &Unaccepted) -> JobError {
    let (code, remedy) = match error {
        Unaccepted::Damaged => ("credentials-damaged", "fetch the whole file again"),
        Unaccepted::Forged => {
            ("credentials-forged", "ask the vault's owner for credentials: `resurgam vault credentials`")
        }
        Unaccepted::Foreign { .. } => ("credentials-foreign", "ask the owner of the vault that is meant"),
        Unaccepted::Superseded => ("credentials-superseded", "use the newest credentials, or ask for new ones"),
        Unaccepted::Expired { .. } => {
            ("credentials-expired", "ask the vault's owner for new credentials, and see that the clock is right")
        }
        Unaccepted::NotYet { .. } => ("clock-wrong", "set the clock, and run the command again"),
    };
    JobError::request(code, error.to_string(), remedy)
}

/// Sees that a passphrase is good for a part.
///
/// # Errors
/// Where it is too short, or has characters that not every keyboard has.
pub fn check_passphrase(passphrase: &[u8]) -> Result<(), JobError> {
    let fault = if passphrase.len() < PASSPHRASE_MIN {
        format!("has {} characters, and needs at least {PASSPHRASE_MIN}", passphrase.len())
    } else if !passphrase.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        "has characters that are not plain ASCII, which another keyboard may not have".to_owned()
    } else {
        return Ok(());
    };
    Err(JobError::request(
        "passphrase-weak",
        format!("the passphrase {fault}"),
        "choose a longer one of plain letters, digits and signs, or let the program make one with --generate",
    ))
}

/// A new passphrase, easy to copy by hand: 25 letters and digits in groups, 125 bits.
///
/// # Errors
/// Where the system gives no random bytes.
pub fn generate_passphrase() -> Result<Zeroizing<String>, JobError> {
    // Without those that are mistaken for others.
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let bytes = Zeroizing::new(random::<25>()?);
    let mut text = Zeroizing::new(String::with_capacity(29));
    for (number, byte) in bytes.iter().enumerate() {
        if number > 0 && number % 5 == 0 {
            text.push('-');
        }
        text.push(char::from(LETTERS[usize::from(byte & 31)]));
    }
    Ok(text)
}

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
        if self.has_only_grant(&location, &admitted.credentials) {
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

    fn has_only_grant(&self, location: &str, credentials: &Credentials) -> bool {
        let granted = || {
            let place = self.stores().place(location).ok()?;
            StoreAccess::of_grant(&place, credentials.grant.as_deref()?)
        };
        let kept = self.keyring.access.iter().find(|kept| kept.place == location);
        kept.zip(granted()).is_some_and(|(kept, granted)| kept.access == granted)
    }

    /// The server's part at a place: opened, enrolled again under a new key of the server, or made.
    fn take_part(&self, location: &str, passphrase: &[u8]) -> Result<Arc<Volume>, JobError> {
        if !Stores::is_url(Path::new(location)) {
            home::create_private(Path::new(location)).map_err(|error| {
                JobError::request(
                    "vault",
                    format!("cannot use {location}: {error}"),
                    "see that the vault can be written",
                )
            })?;
        }
        let backend = self.backend_at(Path::new(location))?;
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
            Err(resurgam_store::StoreError::Refused { .. }) => self.make_part(backend, passphrase),
            Err(error) => Err(error.into()),
        }
    }

    fn make_part(&self, backend: Arc<dyn Backend>, passphrase: &[u8]) -> Result<Arc<Volume>, JobError> {
        let id = resurgam_model::VolumeId::from_random(random()?);
        let keys = VolumeKeys { identity: self.keyring.identity.clone(), sealing: Secret::random()? };
        let slots = vec![Slot::keyring(&keys, id, &self.keyring.wrapping)?, Slot::passphrase(&keys, id, passphrase)?];
        let new = NewVolume {
            volume: id,
            server: self.keyring.server,
            server_name: &self.record.name,
            signing: &self.keyring.signing,
            keys,
            slots,
            features: &PART,
            created: self.now(),
        };
        Ok(Arc::new(Volume::create(backend, new)?))
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
            state,
        })
    }

    /// The server's part of a vault, open.
    pub(crate) fn part_of(&self, vault: &VaultCharter) -> Result<Arc<Volume>, JobError> {
        self.open_volume(&self.volume_record(vault.part)?)
    }

    /// The rules of a vault as they are now: from the vault itself, signed by the owner that it had at registration.
    pub(crate) fn rules_of(&self, vault: &VaultCharter) -> Result<(Arc<dyn Backend>, VaultText), JobError> {
        let place = self.backend_at(Path::new(&vault.location))?;
        let (text, _) = vault::read(&*place)?;
        let owner = vault::parse(&vault.location, &vault.document).map(|known| known.owner_key).ok();
        if owner.is_some_and(|owner| owner != text.owner_key) || text.vault != vault.id {
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
            "the vault's owner makes a PIN with `resurgam vault pin {} --owner-key F`; give it with --pin",
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
        resurgam_store::enrol::change_passphrase(backend, &self.unlock(), new, &self.keyring.signing)?;
        let (_, document) = self.header_at(Path::new(&record.location))?;
        self.catalog.put_volume(&VolumeRecord { document, ..record })?;
        self.publish_capsules()?;
        self.vault_summary(&vault)
    }

    /// The online points that were given up and can come back.
    pub fn deleted_points(&self, vault: Option<&str>) -> Result<Vec<DeletedSummary>, JobError> {
        let vault = self.find_vault(vault)?;
        let part = self.part_of(&vault)?;
        let (_, text) = self.rules_of(&vault)?;
        let mut found = Vec::new();
        for (place, point) in self.deleted_in(&part)? {
            let deleted = match part.deleted_point(&place, point) {
                Err(error) if error.is_not_found() => continue,
                read => read?,
            };
            let kept = jiff::SignedDuration::from_hours(24 * i64::from(text.rules.deleted_days));
            found.push(DeletedSummary {
                id: point,
                source: deleted.text.root.clone(),
                source_id: deleted.text.source,
                time: deleted.text.time,
                deleted: deleted.deleted,
                until: deleted.deleted.checked_add(kept).unwrap_or(deleted.deleted),
            });
        }
        found.sort_by_key(|point| (point.deleted, point.id));
        Ok(found)
    }

    /// The names of points that are given up, without those that a kill left in both places.
    fn deleted_in(
        &self,
        part: &Volume,
    ) -> Result<Vec<(resurgam_store::point::ReplicaPlace, resurgam_model::PointId)>, JobError> {
        let deleted = part.deleted_names()?;
        let there: std::collections::HashSet<_> = part.point_names()?.into_iter().collect();
        Ok(deleted.into_iter().filter(|name| !there.contains(name)).collect())
    }

    /// Puts an online point back that was given up.
    pub fn undelete(&self, point: &str, vault: Option<&str>) -> Result<DeletedSummary, JobError> {
        let deleted = self.deleted_points(vault)?;
        let wanted = by_prefix(point, deleted, |deleted| deleted.id.to_string()).map_err(|error| {
            JobError::request(
                "no-point",
                format!("deleted point `{point}`: {error}"),
                "`resurgam vault undelete` without a point shows those that can come back",
            )
        })?;
        let part = self.part_of(&self.find_vault(vault)?)?;
        let name = self.deleted_in(&part)?.into_iter().find(|(_, id)| *id == wanted.id);
        if let Some((place, id)) = name {
            let found = part.undelete(&place, id)?;
            self.adopt_online(&part, &place, &found.text, found.document)?;
        }
        Ok(wanted)
    }

    /// Gives points up for good whose days are over, by every clock that there is. Returns how many.
    pub(crate) fn purge_deleted(&self, record: &VolumeRecord, part: &Volume) -> Result<u64, JobError> {
        let Some(vault) = self.catalog.vaults()?.into_iter().find(|vault| vault.part == record.id) else {
            return Ok(0);
        };
        let (place, text) = self.rules_of(&vault)?;
        let now = self.clocks(&*place).earliest();
        let kept = jiff::SignedDuration::from_hours(24 * i64::from(text.rules.deleted_days));
        let there: std::collections::HashSet<_> = part.point_names()?.into_iter().collect();
        let mut purged = 0;
        for name in part.deleted_names()? {
            let deleted = match part.deleted_point(&name.0, name.1) {
                Err(error) if error.is_not_found() => continue,
                read => read?,
            };
            let over = deleted.deleted.checked_add(kept).is_ok_and(|until| until <= now);
            if over || there.contains(&name) {
                part.purge(&name.0, name.1)?;
                purged += u64::from(over);
            }
        }
        Ok(purged)
    }
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
