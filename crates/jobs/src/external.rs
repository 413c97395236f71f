//! External servers: recovering here what another server of the same vault has protected there.
//!
//! What is remembered of a vault whose points are looked at lies in one file of the home, and goes with `clear`.

use std::{fs, io, path::Path};

use resurgam_model::{id::by_prefix, report::ServerSummary};
use resurgam_store::{
    backend::{Backend, directory::Directory, read_only::ReadOnly, read_whole},
    error::Fault,
    keyring::KeptAccess,
    keys::Unlock,
    volume::VolumeHeader,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    error::JobError,
    home,
    reader::VolumeReader,
    stores::Stores,
    vault::{admit, parts},
};

/// What is kept of the vault's indexes, in the home.
const KEPT: &str = "external";
/// What is remembered, in the home.
const EXTERNAL: &str = "external.toml";
const TEXT_MAX: u64 = 1 << 16;

#[derive(Serialize, Deserialize)]
struct Remembered {
    url: String,
    name: String,
    #[serde(default)]
    access: Vec<KeptAccess>,
}

/// A vault whose servers are looked at from here.
pub struct External {
    stores: Stores,
    url: String,
    name: String,
}

impl External {
    /// Admits this home to the vault of these credentials, and remembers it.
    ///
    /// # Errors
    /// Where the credentials do not count, or the vault cannot be reached.
    pub fn add(
        home: &Path,
        stores: &Stores,
        credentials: &str,
        now: resurgam_model::Timestamp,
    ) -> Result<Self, JobError> {
        let admitted = admit(&of_home(home, stores), credentials, now)?;
        let url = admitted.credentials.url;
        let place = admitted.place.location();
        let access = admitted.access.into_iter().map(|access| KeptAccess { place: place.clone(), access }).collect();
        let remembered = Remembered { url, name: admitted.text.name, access };
        home::create(home)?;
        let text = toml::to_string(&remembered).map_err(|error| {
            JobError::Store(resurgam_store::StoreError::Internal(format!("what is remembered is no TOML: {error}")))
        })?;
        let text = Zeroizing::new(text);
        Directory::local(home).replace(EXTERNAL, text.as_bytes())?;
        Ok(Self::of(home, stores, remembered))
    }

    /// The vault that was added.
    ///
    /// # Errors
    /// Where none was.
    pub fn open(home: &Path, stores: &Stores) -> Result<Self, JobError> {
        let nothing = || {
            JobError::request(
                "no-external",
                "no vault was added to look at other servers",
                "`resurgam external add --credentials FILE` adds one",
            )
        };
        let bytes = match read_whole(&Directory::local(home), EXTERNAL, TEXT_MAX) {
            Err(error) if error.kind == Fault::NotFound => return Err(nothing()),
            read => Zeroizing::new(read?),
        };
        let remembered = std::str::from_utf8(&bytes).ok().and_then(|text| toml::from_str(text).ok());
        Ok(Self::of(home, stores, remembered.ok_or_else(nothing)?))
    }

    fn of(home: &Path, stores: &Stores, remembered: Remembered) -> Self {
        let mut stores = of_home(home, stores);
        stores.known.extend(remembered.access);
        Self { stores, url: remembered.url, name: remembered.name }
    }

    /// What people call the vault.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Forgets the vault: nothing of it stays in this home.
    ///
    /// # Errors
    /// Where the home cannot be written.
    pub fn clear(home: &Path) -> Result<(), JobError> {
        Directory::local(home).delete(EXTERNAL)?;
        let unusable = |error: io::Error| {
            JobError::request("home", format!("cannot clear {}: {error}", home.display()), "see that it belongs to you")
        };
        // What was cached of indexes is sealed, and useless to anybody; it goes all the same.
        match fs::remove_dir_all(home.join(KEPT)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unusable(error)),
            _ => Ok(()),
        }
    }

    /// The servers of the vault.
    ///
    /// # Errors
    /// Where the vault cannot be read.
    pub fn servers(&self) -> Result<Vec<ServerSummary>, JobError> {
        Ok(self.parts()?.into_iter().map(|(_, header)| summary(&header)).collect())
    }

    fn parts(&self) -> Result<Vec<(String, VolumeHeader)>, JobError> {
        let place = self.stores.backend(Path::new(&self.url))?;
        parts(&*place, &self.stores, &self.url)
    }

    /// Opens the part of a server, which its passphrase opens. Nothing is ever written to it.
    ///
    /// # Errors
    /// Where there is no such server, or the passphrase is wrong.
    pub fn server(&self, wanted: &str, passphrase: Zeroizing<Vec<u8>>) -> Result<VolumeReader, JobError> {
        let parts = self.parts()?;
        let named: Vec<_> = parts.iter().filter(|(_, header)| header.server_name == wanted).collect();
        let location = match named[..] {
            [(location, _)] => location.clone(),
            _ => {
                by_prefix(wanted, parts, |(_, header)| header.server.to_string())
                    .map_err(|error| {
                        let message = format!("server `{wanted}`: {error}");
                        JobError::request(
                            "no-server",
                            message,
                            "`resurgam external list` shows the servers of the vault",
                        )
                    })?
                    .0
            }
        };
        let backend = std::sync::Arc::new(ReadOnly(self.stores.backend(Path::new(&location))?));
        VolumeReader::open_backend(backend, &Unlock { wrapping: None, passphrase: Some(passphrase) })
    }
}

/// Everything that is kept goes with `clear`.
fn of_home(home: &Path, stores: &Stores) -> Stores {
    Stores { directory: home.join(KEPT), ..stores.clone() }
}

fn summary(header: &VolumeHeader) -> ServerSummary {
    ServerSummary {
        id: header.server,
        name: header.server_name.clone(),
        part: header.volume,
        registered: header.created,
    }
}
