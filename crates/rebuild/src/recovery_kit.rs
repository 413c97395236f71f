//! The recovery kit of a server: written once with its passphrase, made anew by itself when what it says has changed,
//! proved by whoever knows the passphrase.

use std::path::{Path, PathBuf};

use resurgam_catalog::VolumeRecord;
use resurgam_jobs::{JobError, Server, current_replica, is_clear, kit as setting};
use resurgam_model::{charter::CopyKind, policy::SourceKind, role::VolumeRole};
use resurgam_store::backend::{Backend, directory::Directory};
use serde::Serialize;

use crate::kit::{self, KitContent, KitCopy, KitShare, KitVolume, Reusable, page_html, page_text};

/// Names of the files, each behind the server's name.
const FILE: &str = "recovery-kit.age";
const PAGE_HTML: &str = "recovery-kit.html";
const PAGE_TEXT: &str = "recovery-kit.txt";

/// Answer of `recovery-kit write` and `test`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KitReport {
    /// The kit.
    pub file: String,
    /// The page to print.
    pub page: String,
    /// The same as plain text.
    pub page_text: String,
    /// What tells which file a printed page belongs to.
    pub fingerprint: String,
    /// Whether the passphrase has been proved.
    pub proved: bool,
}

/// Makes the kit under a new passphrase, and a page to print, in a directory.
///
/// # Errors
/// Where the directory lies in what the kit is to bring back, or cannot be written.
pub fn write(server: &mut Server, passphrase: &[u8], directory: &Path) -> Result<KitReport, JobError> {
    let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    server.refuse_own("keep the recovery kit in", &directory, None)?;
    std::fs::create_dir_all(&directory).map_err(|error| unwritable(&directory, &error))?;
    let directory = directory.canonicalize().map_err(|error| unwritable(&directory, &error))?;
    let content = content(server)?;
    let text = content.to_text()?;
    let (sealed, reusable) = kit::seal_new(passphrase, work(), text.as_bytes())?;
    let reusable = reusable.with_keyring(server.keyring())?;
    server.set_kit(&reusable.to_text()?)?;
    put(server, &directory, &content, &sealed)?;
    let catalog = server.catalog();
    catalog.remove_setting(setting::PROVED)?;
    catalog.set_setting(setting::PLACE, &directory.display().to_string())?;
    // Always another: the capsules must be written anew, since what they carry is sealed to the new passphrase.
    catalog.set_setting(setting::SEALED, &kit::fingerprint(sealed.as_bytes()))?;
    // From here on the capsules carry the keys, too.
    server.publish_capsules()?;
    Ok(report(server, &directory, &sealed, false))
}

/// Proves that the passphrase opens the kit, and that what is in it is what the server has.
///
/// # Errors
/// Where it does not.
pub fn test(server: &Server, file: Option<&Path>, passphrase: &[u8]) -> Result<KitReport, JobError> {
    let file = match file {
        Some(file) => file.to_owned(),
        None => place(server)?.join(file_name(server, FILE)),
    };
    let sealed = kit::read(&file)?;
    let opened = kit::open(passphrase, &sealed)?;
    let found = kit::keyring_in(&opened.payload)?;
    if found.server != server.record().id || found.signing.public() != server.keyring().signing.public() {
        return Err(JobError::Request {
            code: "kit-of-another-server",
            message: format!("{} opens, and it is the kit of another server, {}", file.display(), found.server),
            remedy: "name the kit of this server, or make one: `resurgam recovery-kit write --to DIR`".to_owned(),
        });
    }
    let now = (server.environment().now)();
    server.catalog().set_setting(setting::PROVED, &now.to_string())?;
    server.publish_capsules()?;
    let directory = file.parent().map(Path::to_owned).unwrap_or_default();
    Ok(report(server, &directory, &String::from_utf8_lossy(&sealed), true))
}

/// Makes the kit anew where what it says is not what it should say. Where its place is out of reach, that is noted.
///
/// # Errors
/// Where the catalog cannot be read or written.
pub fn refresh(server: &Server) -> Result<(), JobError> {
    let catalog = server.catalog();
    let Some(written) = catalog.setting(setting::DIGEST)? else { return Ok(()) };
    let content = content(server)?;
    if content.digest() == written {
        return Ok(());
    }
    let done = place(server).and_then(|directory| {
        if !directory.is_dir() {
            return Err(unwritable(&directory, &std::io::ErrorKind::NotFound.into()));
        }
        put(server, &directory, &content, &seal(server, &content)?)
    });
    if let Err(error) = done {
        // Told once; from then on the alert stands.
        if catalog.setting(setting::STALE)?.is_none() {
            catalog.set_setting(setting::STALE, "yes")?;
            server.notice(format!("the recovery kit is out of date and could not be made anew: {error}"));
        }
    }
    // How the kit stands is itself part of the configuration.
    server.publish_capsules()
}

/// The page, as plain text.
///
/// # Errors
/// Where no kit was made yet.
pub fn page(server: &Server) -> Result<String, JobError> {
    let content = content(server)?;
    let sealed = match place(server).and_then(|directory| Ok(kit::read(&directory.join(file_name(server, FILE)))?)) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) => seal(server, &content)?,
    };
    Ok(page_text(&content, &sealed))
}

/// What a kit of this server says now.
fn content(server: &Server) -> Result<KitContent, JobError> {
    let catalog = server.catalog();
    let now = (server.environment().now)();
    let home = server.home().display().to_string();
    let mut content = KitContent::new(now, &server.record().name, &home, server.keyring())?;
    let in_home = server.home().join("DPMDB.sqlite").display().to_string();
    content.instance = Some(catalog.name().to_owned()).filter(|name| *name != in_home);
    let volumes = catalog.volumes()?;
    let sources = catalog.sources()?;
    let replicas = catalog.every_replica()?;
    let in_pool = catalog.replicas()?;
    let holds_catalog = |volume: &VolumeRecord| {
        let own = sources.iter().find(|source| source.kind == SourceKind::Dpmdb);
        own.is_some_and(|own| replicas.iter().any(|replica| replica.source == own.id && replica.volume == volume.id))
    };
    for volume in &volumes {
        let protection = if is_clear(volume) { "clear" } else { "passphrase" }.to_owned();
        content.volumes.push(KitVolume { id: volume.id, location: volume.location.clone(), protection });
        if holds_catalog(volume) {
            let kind = if volume.role == VolumeRole::Vault { CopyKind::Vault } else { CopyKind::Pool };
            content.copies.push(KitCopy { kind, place: volume.location.clone(), share: None });
        }
        content.copies.push(KitCopy { kind: CopyKind::Capsules, place: volume.location.clone(), share: None });
    }
    for copy in catalog.copies()? {
        use std::os::unix::ffi::OsStrExt;
        let holder = sources
            .iter()
            .filter(|source| source.kind == SourceKind::Files)
            .find(|source| Path::new(&copy.place).starts_with(Path::new(std::ffi::OsStr::from_bytes(&source.root))));
        let share = holder.and_then(|source| {
            let replica = current_replica(&in_pool, source.id)?;
            let volume = volumes.iter().find(|volume| volume.id == replica.volume)?;
            let source = resurgam_model::bytepath::escape(&source.root);
            Some(KitShare { source, volume: volume.location.clone() })
        });
        content.copies.push(KitCopy { kind: copy.kind, place: copy.place, share });
    }
    Ok(content)
}

/// Seals what the kit says under the passphrase that it was made with.
fn seal(server: &Server, content: &KitContent) -> Result<String, JobError> {
    let kept = server.keyring().kit.as_ref().ok_or_else(never_made)?;
    Ok(kit::seal_again(&Reusable::parse(kept)?, content.to_text()?.as_bytes())?)
}

fn put(server: &Server, directory: &Path, content: &KitContent, sealed: &str) -> Result<(), JobError> {
    let place = Directory::local(directory);
    let files =
        [(FILE, sealed.to_owned()), (PAGE_HTML, page_html(content, sealed)), (PAGE_TEXT, page_text(content, sealed))];
    for (name, text) in files {
        place.replace(&file_name(server, name), text.as_bytes())?;
    }
    server.catalog().set_setting(setting::DIGEST, &content.digest())?;
    Ok(server.catalog().remove_setting(setting::STALE)?)
}

fn file_name(server: &Server, name: &str) -> String {
    format!("{}-{name}", resurgam_store::point::server_directory(&server.record().name))
}

fn place(server: &Server) -> Result<PathBuf, JobError> {
    server.catalog().setting(setting::PLACE)?.map(PathBuf::from).ok_or_else(never_made)
}

fn never_made() -> JobError {
    JobError::Request {
        code: "no-kit",
        message: "no recovery kit was made yet".to_owned(),
        remedy: "`resurgam recovery-kit write --to DIR` makes one".to_owned(),
    }
}

fn unwritable(directory: &Path, error: &std::io::Error) -> JobError {
    JobError::Request {
        code: "kit",
        message: format!("cannot put the recovery kit into {}: {error}", directory.display()),
        remedy: "name a directory that can be written, best on a disk that leaves the building".to_owned(),
    }
}

fn report(server: &Server, directory: &Path, sealed: &str, proved: bool) -> KitReport {
    let named = |name: &str| directory.join(file_name(server, name)).display().to_string();
    KitReport {
        file: named(FILE),
        page: named(PAGE_HTML),
        page_text: named(PAGE_TEXT),
        fingerprint: kit::fingerprint(sealed.as_bytes()),
        proved,
    }
}

/// Cost of a guess at the passphrase; tests take less.
fn work() -> u8 {
    if cfg!(test) { 4 } else { kit::WORK }
}
