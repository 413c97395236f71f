//! What stands in the place of something restored gets a second name, and is never overwritten.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use resurgam_jobs::JobError;
use resurgam_model::Timestamp;

/// Sets files aside, all under one name, and keeps account of it.
pub(super) struct Aside {
    /// What is added to names.
    pub(super) name: String,
    /// Where things lie now.
    pub(super) done: Vec<String>,
    /// First and second name.
    files: Vec<(PathBuf, PathBuf)>,
}

impl Aside {
    pub(super) fn at(now: Timestamp) -> Self {
        Self { name: format!("aside-{}", now.strftime("%Y%m%dT%H%M%SZ")), done: Vec::new(), files: Vec::new() }
    }

    /// Gives a file a second name beside its own. It keeps its first one until it is replaced.
    pub(super) fn set(&mut self, path: &Path) -> Result<(), JobError> {
        let named = |number: u32| {
            let more = if number == 1 { String::new() } else { format!("-{number}") };
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".{}{more}", self.name));
            PathBuf::from(name)
        };
        for number in 1.. {
            let second = named(number);
            match fs::hard_link(path, &second) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(JobError::Request {
                        code: "set-aside",
                        message: format!("cannot set {} aside: {error}", path.display()),
                        remedy: "move it away yourself, then run the command again".to_owned(),
                    });
                }
                Ok(()) => {
                    // Before the first name is given to something else: it may be the last copy of a key.
                    sync_folder(path)?;
                    self.done.push(second.display().to_string());
                    self.files.push((path.to_owned(), second));
                    break;
                }
            }
        }
        Ok(())
    }

    /// Puts everything back: what it gave way to did not come about after all.
    pub(super) fn undo(self) {
        for (first, second) in self.files {
            // What cannot be put back stays aside; the error that led here is the one to tell.
            if fs::rename(second, &first).is_ok() {
                let _ = sync_folder(&first);
            }
        }
    }
}

/// Makes the names beside a file durable.
fn sync_folder(path: &Path) -> Result<(), JobError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| JobError::Request {
        code: "set-aside",
        message: format!("cannot make the names in {} durable: {error}", folder.display()),
        remedy: "see the system's log for faults of the disk, then run the command again".to_owned(),
    })
}
