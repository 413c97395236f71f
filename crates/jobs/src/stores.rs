//! Where volumes lie: a path is a directory of this machine, an URL a place in an object store.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use resurgam_model::transfer::TransferLimits;
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
pub(crate) const CACHE: &str = "cache";

/// How places are reached.
#[derive(Clone)]
pub struct Stores {
    /// Reads a variable of the environment.
    pub variable: fn(&str) -> Option<String>,
    /// A directory of whoever asks: the home of a server, or a cache.
    pub directory: PathBuf,
    /// What opens places that are known; the environment is asked for the others.
    pub known: Vec<KeptAccess>,
    /// How fast places may be talked to; the others as is usual.
    pub limits: Vec<PlaceLimits>,
}

/// Limits of a place, and of all below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceLimits {
    /// Its URL.
    pub place: String,
    /// The limits. All that this program opens there keeps them together.
    pub limits: TransferLimits,
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
        let store: Arc<dyn Backend> = Arc::new(ObjectBackend::open(&place, &access, &leases, &self.limits(&place))?);
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

    /// How fast a place may be talked to: as is said of it or of a place above it.
    fn limits(&self, place: &ObjectPlace) -> Limits {
        let url = place.to_string();
        let of = |known: &&PlaceLimits| is_below(&url, &known.place);
        let usual = Limits::default();
        let Some(known) = self.limits.iter().filter(of).max_by_key(|known| known.place.len()) else { return usual };
        let requests = known.limits.requests_at_once.and_then(|number| usize::try_from(number).ok());
        Limits {
            shared_by: Some(known.place.clone()),
            requests_at_once: requests.unwrap_or(usual.requests_at_once),
            up_bytes_per_second: known.limits.up_bytes_per_second,
            down_bytes_per_second: known.limits.down_bytes_per_second,
            ..usual
        }
    }

    /// What opens a place: what is kept for it or for a place above it, else what the environment has.
    ///
    /// # Errors
    /// Where nothing does.
    pub fn access(&self, place: &ObjectPlace) -> Result<StoreAccess, JobError> {
        let url = place.to_string();
        let of = |kept: &&KeptAccess| is_below(&url, &kept.place);
        match self.known.iter().filter(of).max_by_key(|kept| kept.place.len()) {
            Some(kept) => Ok(kept.access.clone()),
            None => StoreAccess::from_env(place, &self.variable).map_err(|error| not_a_place(&error)),
        }
    }
}

/// Whether an URL is that place or one below it.
fn is_below(url: &str, place: &str) -> bool {
    url.strip_prefix(place.trim_end_matches('/')).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn not_a_place(error: &PlaceError) -> JobError {
    JobError::request("place", error.to_string(), "correct the URL or the environment; the manual lists both")
}

/// The place below a location.
pub(crate) fn below(location: &str, name: &str) -> String {
    format!("{}/{name}", location.trim_end_matches('/'))
}

#[cfg(test)]
mod tests;
