//! The server's own directory: keyring and configuration. The catalog lies there too, unless it is in PostgreSQL.
//!
//! ```text
//! HOME/keyring.toml    the server's identity and keys; readable by its owner alone
//! HOME/DPMDB.sqlite    the catalog, in the embedded case
//! HOME/config.toml     optional; `catalog = "postgres://…"` puts the catalog elsewhere
//! HOME/Scripting/      scripts around backups: ScriptingConfig.xml
//! HOME/cache/          parts of indexes of volumes; may be deleted at any time
//! HOME/staging/        copies of the catalog on their way into a recovery point
//! HOME/lock            held while a command makes sources, replicas or volumes
//! HOME/publishing      held while the configuration is written into volumes
//! HOME/pool            the first volume, where none was named
//! ```

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use resurgam_catalog::Location;
use resurgam_store::{
    backend::{Backend, directory::Directory},
    error::BackendError,
    keyring::Keyring,
};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::error::JobError;

const KEYRING: &str = "keyring.toml";
const LOCK: &str = "lock";
const PUBLISHING: &str = "publishing";
const CONFIG: &str = "config.toml";
const CATALOG: &str = "DPMDB.sqlite";
/// Where the first volume goes when nobody says otherwise.
pub(crate) const POOL: &str = "pool";
/// A keyring is a few hundred bytes.
const TEXT_MAX: u64 = 1 << 16;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Config {
    catalog: Option<String>,
}

fn unreadable(path: &Path, error: &io::Error) -> JobError {
    JobError::request(
        "home",
        format!("cannot use the home {}: {error}", path.display()),
        "see that it exists and belongs to you, or name another with --home",
    )
}

/// Makes the home, private to its owner, where it is missing.
pub fn create(home: &Path) -> Result<(), JobError> {
    create_private(home).map_err(|error| unreadable(home, &error))
}

/// Makes a directory that its owner alone can enter, where it is missing.
pub(crate) fn create_private(directory: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// The home must be there.
pub(crate) fn must_exist(home: &Path) -> Result<(), JobError> {
    if fs::metadata(home).is_ok_and(|found| found.is_dir()) {
        return Ok(());
    }
    let message = format!("there is no server at {}", home.display());
    Err(JobError::request(
        "no-server",
        message,
        "`resurgam protect PATH` makes one; --home or RESURGAM_HOME names another place; `resurgam reader` reads a volume without a server",
    ))
}

/// Where the catalog lies.
pub fn catalog_location(home: &Path) -> Result<Location, JobError> {
    let path = home.join(CONFIG);
    let config = match fs::read_to_string(&path) {
        Ok(text) => toml::from_str::<Config>(&text).map_err(|error| {
            JobError::request(
                "config",
                format!("{}: {}", path.display(), error.message()),
                "correct the file; its only key is `catalog`",
            )
        })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Config::default(),
        Err(error) => return Err(unreadable(&path, &error)),
    };
    match config.catalog {
        None => Ok(Location::Sqlite(home.join(CATALOG))),
        Some(url) => url.parse().map_err(|error: resurgam_catalog::InvalidLocation| {
            JobError::request("config", format!("{}: {error}", path.display()), "correct the key `catalog`")
        }),
    }
}

/// Reads the keyring. `None`: there is none.
pub fn read_keyring(home: &Path) -> Result<Option<Keyring>, JobError> {
    let backend = Directory::local(home);
    let bytes = match resurgam_store::backend::read_whole(&backend, KEYRING, TEXT_MAX) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(BackendError { kind: resurgam_store::error::Fault::NotFound, .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Keyring::parse(&bytes).map(Some).ok_or_else(|| {
        let message = format!("{}: the keyring is damaged or of a newer version", home.join(KEYRING).display());
        JobError::request("keyring", message, "put it back from a copy of the home")
    })
}

/// Stores a keyring durably, in the place of the one that may be there.
pub fn write_keyring(home: &Path, keyring: &Keyring) -> Result<(), JobError> {
    Ok(Directory::local(home).replace(KEYRING, keyring.to_text()?.as_bytes())?)
}

/// Makes a new identity and stores it durably.
pub(crate) fn new_keyring(home: &Path) -> Result<Keyring, JobError> {
    let keyring = Keyring::generate()?;
    let mut upload = Directory::local(home).create(KEYRING)?;
    upload.append(keyring.to_text()?.as_bytes())?;
    match upload.commit() {
        // Another first command has made the server at this very moment: it is that one.
        Err(error) if error.kind == resurgam_store::error::Fault::Exists => {
            read_keyring(home)?.ok_or_else(|| JobError::from(error))
        }
        done => Ok(done.map(|()| keyring)?),
    }
}

/// Waits until no other command makes something in this server: sources, replicas, volumes. Given up when dropped, or
/// with the process.
pub(crate) fn lock(home: &Path) -> Result<File, JobError> {
    locked(&home.join(LOCK))
}

fn locked(path: &Path) -> Result<File, JobError> {
    let open = File::options().create(true).truncate(false).write(true).mode(0o600).open(path);
    open.and_then(|file| file.lock().map(|()| file)).map_err(|error| unreadable(path, &error))
}

/// Waits until no other process publishes capsules: which change has which number is decided by one at a time. Another
/// lock than [`lock()`], which its holder may have while this is taken.
pub(crate) fn lock_publishing(home: &Path) -> Result<File, JobError> {
    locked(&home.join(PUBLISHING))
}

/// The place of the first volume.
pub(crate) fn default_pool(home: &Path) -> PathBuf {
    home.join(POOL)
}
