//! Places for vaults: a prefix of its own in an object store for each test, or a directory. What lies there is looked at by
//! a program that does not know this project.

use std::{fs, io::Write, path::Path, process::Command};

use tempfile::TempDir;

use crate::{
    parts::{Part, is_present, run_tool},
    plain_tree,
    program::Program,
};

/// What kind of place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// A directory of this machine.
    Directory,
    /// Azurite, which speaks Azure.
    Azurite,
    /// SeaweedFS, which speaks S3.
    SeaweedFs,
}

/// A place, empty at first. What lies there goes with it.
#[derive(Debug)]
pub struct Store {
    service: Service,
    /// Whether it is another way to a place with a value of its own, with which goes what lies there.
    is_way: bool,
    url: String,
    environment: Vec<(&'static str, String)>,
    /// Of the program's own caches, and of the vault where it is a directory.
    directory: TempDir,
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

impl Store {
    /// A place of this kind for a test; `None` where the machine has none, by the rule of [`is_present`].
    pub fn of(service: Service, test: &str) -> Option<Self> {
        let parts: &[Part] = match service {
            Service::Directory => &[],
            Service::Azurite => &[Part::Azurite, Part::Tool("python3")],
            Service::SeaweedFs => &[Part::S3, Part::Tool("python3")],
        };
        if !is_present(test, parts) {
            return None;
        }
        let directory = TempDir::with_prefix("resurgam-vault-").unwrap();
        // Where several runs share a store, none has the same.
        let unique = format!("{}-{}", directory.path().file_name().unwrap().display(), std::process::id());
        let (url, environment) = match service {
            Service::Directory => (directory.path().join("vault").to_str().unwrap().to_owned(), Vec::new()),
            Service::Azurite => (
                format!("{}/resurgam/{unique}", variable("RESURGAM_TEST_AZURITE")),
                vec![("AZURE_STORAGE_KEY", variable("RESURGAM_TEST_AZURITE_KEY"))],
            ),
            Service::SeaweedFs => (
                format!("{}/resurgam/{unique}", variable("RESURGAM_TEST_S3")),
                vec![
                    ("AWS_ACCESS_KEY_ID", variable("RESURGAM_TEST_S3_KEY_ID")),
                    ("AWS_SECRET_ACCESS_KEY", variable("RESURGAM_TEST_S3_SECRET")),
                ],
            ),
        };
        Some(Self { service, is_way: false, url, environment, directory })
    }

    /// Another place of the same kind, of that name, which the same access opens.
    pub fn beside(&self, name: &str) -> Self {
        self.at(format!("{}-{name}", self.url), false)
    }

    /// The same place, asked at another address: `HOST:PORT` of what leads to it.
    pub fn through(&self, address: &str) -> Self {
        self.at(self.url.replacen(self.address(), address, 1), true)
    }

    fn at(&self, url: String, is_way: bool) -> Self {
        let directory = TempDir::with_prefix("resurgam-vault-").unwrap();
        Self { service: self.service, is_way, url, environment: self.environment.clone(), directory }
    }

    /// Where the service listens: `HOST:PORT`.
    pub fn address(&self) -> &str {
        let rest = self.url.split_once("://").map(|(_, rest)| rest);
        rest.and_then(|rest| rest.split('/').next()).unwrap_or_else(|| panic!("{} is no URL", self.url))
    }

    /// What kind of place it is.
    pub fn service(&self) -> Service {
        self.service
    }

    /// Its URL, or its path.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The program with what opens the place in its environment.
    pub fn opened_by(&self, program: &Program) -> Program {
        let program = program.with("XDG_CACHE_HOME", self.directory.path().join("cache"));
        self.environment.iter().fold(program, |program, (name, value)| program.with(name, value))
    }

    /// The names of all objects below a name, relative to the place.
    pub fn names(&self, below: &str) -> Vec<String> {
        let whole =
            |name: &str| format!("{}{name}", if below.is_empty() { String::new() } else { format!("{below}/") });
        if self.service == Service::Directory {
            let root = Path::new(&self.url).join(below);
            let files = if root.exists() { plain_tree::files_below(&root) } else { Vec::new() };
            return files.iter().map(|file| whole(file.strip_prefix(&root).unwrap().to_str().unwrap())).collect();
        }
        self.objects("list", below, None).lines().map(whole).collect()
    }

    /// Fetches every object below a name into the directory `to`.
    pub fn dump(&self, below: &str, to: &Path) {
        if self.service == Service::Directory {
            plain_tree::copy(&Path::new(&self.url).join(below), to);
        } else {
            fs::create_dir(to).unwrap();
            self.objects("dump", below, Some(to));
        }
    }

    /// Makes what lies below a name what the directory `from` holds, and leaves what is the same as it is.
    pub fn put(&self, below: &str, from: &Path) {
        if self.service == Service::Directory {
            let to = Path::new(&self.url).join(below);
            fs::remove_dir_all(&to).unwrap();
            plain_tree::copy(from, &to);
        } else {
            self.objects("put", below, Some(from));
        }
    }

    /// Deletes every object below a name.
    pub fn delete(&self, below: &str) {
        if self.service == Service::Directory {
            fs::remove_dir_all(Path::new(&self.url).join(below)).unwrap();
        } else {
            self.objects("delete", below, None);
        }
    }

    /// Deletes the object of this name.
    pub fn remove(&self, name: &str) {
        if self.service == Service::Directory {
            fs::remove_file(Path::new(&self.url).join(name)).unwrap();
        } else {
            self.objects("remove", name, None);
        }
    }

    /// Another place of the same kind, in a bucket of its own with object lock: a day for each version.
    pub fn locked(&self) -> Self {
        let directory = TempDir::with_prefix("resurgam-vault-").unwrap();
        let (service, _) = self.url.rsplit_once("/resurgam/").unwrap();
        let bucket = directory.path().file_name().unwrap().to_str().unwrap().to_lowercase();
        let url = format!("{service}/{bucket}/vault");
        let place =
            Self { service: self.service, is_way: false, url, environment: self.environment.clone(), directory };
        place.objects("lock", "", None);
        place
    }

    /// Takes back the deletion of everything, where the store keeps versions.
    pub fn revive(&self) {
        self.objects("revive", "", None);
    }

    fn objects(&self, what: &str, below: &str, directory: Option<&Path>) -> String {
        let mut script = tempfile::NamedTempFile::with_suffix(".py").unwrap();
        script.write_all(include_bytes!("objects.py")).unwrap();
        let url = if below.is_empty() { self.url.clone() } else { format!("{}/{below}", self.url) };
        let mut command = Command::new("python3");
        command.arg(script.path()).arg(what).arg(url).args(directory);
        run_tool(command.envs(self.environment.iter().map(|(name, value)| (name, value))))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // A test that has failed leaves what it did, for whoever looks why; the stores go with the run.
        if self.service != Service::Directory && !self.is_way && !std::thread::panicking() {
            self.delete("");
        }
    }
}
