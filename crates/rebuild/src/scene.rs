//! For tests: a server with a home, a pool and something protected, all in a temporary directory.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicI64, Ordering},
};

use jiff::tz::TimeZone;
use resurgam_jobs::{Access, Cancel, CatalogBackup, Environment, Meter, Protect, Server};
use resurgam_model::{Timestamp, policy::Selection};
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::restore::{RestoreDb, RestoreReport, restore_db, target};

pub(crate) const PASSPHRASE: &[u8] = b"correct horse";

/// A clock that goes on by a second each time that it is read.
pub(crate) fn tick() -> Timestamp {
    static SECONDS: AtomicI64 = AtomicI64::new(1_800_000_000);
    Timestamp::from_second(SECONDS.fetch_add(1, Ordering::Relaxed)).unwrap()
}

pub(crate) fn environment() -> Environment {
    Environment {
        now: tick,
        time_zone: TimeZone::UTC,
        passphrase: None,
        host_name: "test.example".to_owned(),
        volumes: Access::ReadWrite,
        variable: |_| None,
    }
}

pub(crate) struct Scene {
    pub(crate) folder: TempDir,
}

impl Scene {
    /// A server with one source in one volume, and one recovery point of it.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scene = Self { folder };
        fs::create_dir_all(scene.path("data/sub")).unwrap();
        for number in 0..20 {
            fs::write(scene.path(&format!("data/sub/f{number}")), format!("file {number} ").repeat(200)).unwrap();
        }
        scene.protect("data");
        scene
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub(crate) fn open_or_create(&self) -> Server {
        Server::open_or_create(&self.path("home"), environment()).unwrap()
    }

    pub(crate) fn open(&self) -> Server {
        Server::open(&self.path("home"), environment()).unwrap()
    }

    /// Protects another directory: the charter changes, and there is one recovery point more.
    pub(crate) fn protect(&self, directory: &str) {
        fs::create_dir_all(self.path(directory)).unwrap();
        fs::write(self.path(directory).join("file"), directory).unwrap();
        let what = Protect {
            paths: vec![self.path(directory)],
            group: None,
            pool: Some(self.path("pool")),
            retention: None,
            every_seconds: None,
            selection: Selection::default(),
            manual: false,
        };
        self.open_or_create().protect(&what, &Meter::default(), &Cancel::default()).unwrap();
    }

    /// Takes a recovery point of the catalog itself.
    pub(crate) fn back_up_catalog(&self) {
        let scope = resurgam_jobs::Scope { source: Some("DPMDB".to_owned()), ..Default::default() };
        self.open().backup(&scope, false, &Meter::default(), &Cancel::default()).unwrap();
    }

    /// Makes a native backup and answers its path.
    pub(crate) fn native(&self, directory: &str) -> PathBuf {
        let what = CatalogBackup { to: self.path(directory), ..CatalogBackup::default() };
        PathBuf::from(self.open().catalog_backup(&what, &Cancel::default()).unwrap().file)
    }

    /// What the home held is gone.
    pub(crate) fn lose_home(&self) {
        fs::remove_dir_all(self.path("home")).unwrap();
    }

    pub(crate) fn request<'a>(&self, home: &'a Path, db_loc: &'a Path) -> RestoreDb<'a> {
        let to = target(home, None, None).unwrap();
        RestoreDb {
            home,
            db_loc,
            chosen: None,
            to,
            kit: None,
            passphrase: None,
            now: tick,
            variable: |_| None,
            access: Vec::new(),
        }
    }

    /// Restores into the home.
    pub(crate) fn restore(&self, db_loc: &Path) -> RestoreReport {
        restore_db(&self.request(&self.path("home"), db_loc)).unwrap()
    }
}

pub(crate) fn passphrase() -> Option<Zeroizing<Vec<u8>>> {
    Some(Zeroizing::new(PASSPHRASE.to_vec()))
}
