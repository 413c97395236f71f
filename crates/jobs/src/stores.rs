//! Where volumes lie: a path is a directory of this machine, an URL a place in an object store.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use resurgam_store::{
    backend::{
        Backend,
        cached::Cached,
        directory::Directory,
        object::{LeaseHome, Limits, ObjectBackend, ObjectPlace, PlaceError, StoreAccess},
    },
    error::{BackendError, Fault},
    keyring::KeptAccess,
};

use crate::{error::JobError, home};

/// Leases of this home, and parts of indexes that need not be fetched twice.
const LEASES: &str = "leases";
const CACHE: &str = "cache";

/// How places are reached.
#[derive(Clone)]
pub struct Stores {
    /// Reads a variable of the environment.
    pub variable: fn(&str) -> Option<String>,
    /// A directory of whoever asks: the home of a server, or a cache.
    pub directory: PathBuf,
    /// What opens places that are known; the environment is asked for the others.
    pub known: Vec<KeptAccess>,
}

impl Stores {
    /// Whether a location is an URL.
    pub fn is_url(location: &Path) -> bool {
        location.to_str().is_some_and(ObjectPlace::is_url)
    }

    /// What is at a location.
    ///
    /// # Errors
    /// Where the URL is none, nothing opens it, or the directory for leases cannot be used.
    pub fn backend(&self, location: &Path) -> Result<Arc<dyn Backend>, JobError> {
        let text = location.to_str().unwrap_or_default();
        if let Some(path) = text.strip_prefix("file://") {
            return Ok(Arc::new(Directory::local(Path::new(path))));
        }
        if !Self::is_url(location) {
            return Ok(Arc::new(Directory::local(location)));
        }
        let place = self.place(text)?;
        let access = self.access(&place)?;
        let unusable = |source: std::io::Error| {
            let object = self.directory.join(LEASES).display().to_string();
            JobError::from(BackendError { attempt: "use", object, kind: Fault::of(&source), source })
        };
        let leases = LeaseHome::open(&self.directory.join(LEASES)).map_err(unusable)?;
        let store: Arc<dyn Backend> = Arc::new(ObjectBackend::open(&place, &access, &leases, &Limits::default())?);
        let cache = blake3::hash(place.to_string().as_bytes()).to_hex();
        Ok(Arc::new(Cached::new(store, &self.directory.join(CACHE).join(&cache[..16]))))
    }

    /// What is at a location that is to be written to: a directory is made where it is missing.
    ///
    /// # Errors
    /// As [`Stores::backend`]; and where the directory cannot be made.
    pub fn make(&self, location: &str) -> Result<Arc<dyn Backend>, JobError> {
        let path = Path::new(location);
        if !Self::is_url(path) {
            home::create_private(path).map_err(|error| {
                let message = format!("cannot use {location}: {error}");
                JobError::request("place", message, "name a directory that can be written")
            })?;
        }
        self.backend(path)
    }

    /// A place as it is written down: with the endpoint that the environment names.
    ///
    /// # Errors
    /// Where the URL is none.
    pub fn place(&self, url: &str) -> Result<ObjectPlace, JobError> {
        ObjectPlace::parse(url).and_then(|place| place.settled(&self.variable)).map_err(|error| not_a_place(&error))
    }

    /// A location as it is written down: an URL with its endpoint, or an absolute path.
    ///
    /// # Errors
    /// Where it is neither.
    pub fn settled(&self, location: &str) -> Result<String, JobError> {
        let path = location.strip_prefix("file://").unwrap_or(location);
        if path == location && ObjectPlace::is_url(location) {
            return Ok(self.place(location)?.to_string());
        }
        let absolute = std::path::absolute(path).ok().and_then(|path| path.to_str().map(str::to_owned));
        absolute.ok_or_else(|| {
            JobError::request(
                "place",
                format!("`{location}` is no path that can be used"),
                "name a directory or an URL",
            )
        })
    }

    /// What opens a place: what is kept for it or for a place above it, else what the environment has.
    ///
    /// # Errors
    /// Where nothing does.
    pub fn access(&self, place: &ObjectPlace) -> Result<StoreAccess, JobError> {
        let url = place.to_string();
        let of = |kept: &&KeptAccess| url == kept.place || url.starts_with(&format!("{}/", kept.place));
        match self.known.iter().filter(of).max_by_key(|kept| kept.place.len()) {
            Some(kept) => Ok(kept.access.clone()),
            None => StoreAccess::from_env(place, &self.variable).map_err(|error| not_a_place(&error)),
        }
    }
}

fn not_a_place(error: &PlaceError) -> JobError {
    JobError::request("place", error.to_string(), "correct the URL or the environment; the manual lists both")
}

/// The place below a location.
pub(crate) fn below(location: &str, name: &str) -> String {
    format!("{}/{name}", location.trim_end_matches('/'))
}
