//! Files in the making: under a private name until they are whole and proved.
//!
//! The name tells the machine and the process that makes the file. What a killed process left is removed by the next one
//! that makes a file in the same directory.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::Fault;

/// How the private names end.
const SUFFIX: &str = ".resurgam-partial";

/// What SQLite may have put beside a database.
pub(crate) const COMPANIONS: [&str; 3] = ["-journal", "-wal", "-shm"];

/// A file in the making. Dropped before it is published, it goes.
pub(crate) struct Partial {
    path: PathBuf,
    target: PathBuf,
    published: bool,
}

impl Partial {
    /// Makes an empty file beside `target` that only its owner can read.
    pub(crate) fn beside(target: &Path) -> Result<Self, Fault> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let target = std::path::absolute(target).map_err(|e| Fault::of_file(&e))?;
        let (Some(folder), Some(name)) = (target.parent(), target.file_name().and_then(|name| name.to_str())) else {
            return Err(Fault::Other(format!("{} names no file in UTF-8", target.display())));
        };
        sweep(folder);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!(".{name}.{}-{}-{count}{SUFFIX}", machine(), std::process::id()));
        let made = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        made.map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => Fault::NotFound(format!("the folder {} is not there", folder.display())),
            _ => Fault::of_file(&e),
        })?;
        Ok(Self { path, target, published: false })
    }

    /// Where the file lies for now.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the file durable and gives it its name, which nothing must have.
    pub(crate) fn publish_new(mut self) -> Result<(), Fault> {
        self.settle()?;
        match fs::hard_link(&self.path, &self.target) {
            Ok(()) => {
                let _ = fs::remove_file(&self.path);
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Err(taken(&self.target)),
            // A file system without links: then only in two steps.
            Err(_) if self.target.symlink_metadata().is_ok() => return Err(taken(&self.target)),
            Err(_) => fs::rename(&self.path, &self.target).map_err(|e| Fault::of_file(&e))?,
        }
        self.published = true;
        sync_folder(&self.target)
    }

    /// Makes the file durable and gives it its name, in one step, whatever had it.
    pub(crate) fn publish_over(mut self) -> Result<(), Fault> {
        self.settle()?;
        fs::rename(&self.path, &self.target).map_err(|e| Fault::of_file(&e))?;
        self.published = true;
        sync_folder(&self.target)
    }

    fn settle(&self) -> Result<(), Fault> {
        remove_companions(&self.path);
        File::open(&self.path).and_then(|file| file.sync_all()).map_err(|e| Fault::of_file(&e))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.published {
            remove_companions(&self.path);
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A name that something has already.
pub(crate) fn taken(path: &Path) -> Fault {
    Fault::Conflict(format!("{} is there already", path.display()))
}

/// `path` with something after its name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Makes the names in the directory of `path` durable.
pub(crate) fn sync_folder(path: &Path) -> Result<(), Fault> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| Fault::of_file(&e))
}

fn remove_companions(path: &Path) {
    for companion in COMPANIONS {
        let _ = fs::remove_file(with_suffix(path, companion));
    }
}

/// Removes what killed processes of this machine left in a directory.
fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(maker) = name.to_str().and_then(maker) else { continue };
        if !Path::new("/proc").join(maker).exists() {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The process that makes or made the file of that name, if it is one in the making on this machine.
fn maker(name: &str) -> Option<&str> {
    let name = COMPANIONS.iter().find_map(|companion| name.strip_suffix(companion)).unwrap_or(name);
    let (_, maker) = name.strip_prefix('.')?.strip_suffix(SUFFIX)?.rsplit_once('.')?;
    let mut parts = maker.split('-');
    let (of, process) = (parts.next()?, parts.next()?);
    (of == machine() && process.parse::<u32>().is_ok()).then_some(process)
}

/// The beginning of this machine's id.
fn machine() -> String {
    let id = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let id: String = id.chars().filter(char::is_ascii_alphanumeric).take(12).collect();
    if id.is_empty() { "here".to_owned() } else { id }
}
