//! What the engine needs of the world, gathered in one place: the clock, the time zone, the machine's name.

use std::path::PathBuf;

use resurgam_jobs::{Access, Environment, Stores};
use resurgam_model::Timestamp;
use zeroize::Zeroizing;

/// The world as it is, with the passphrase where one was given.
pub(crate) fn real(passphrase: Option<Zeroizing<Vec<u8>>>) -> Environment {
    Environment {
        now,
        time_zone: time_zone(),
        passphrase,
        host_name: host_name(),
        volumes: Access::ReadWrite,
        variable,
    }
}

/// A variable of the environment; one that is not text is none.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// How places are reached by commands that need no server.
pub(crate) fn stores() -> Stores {
    Stores { variable, directory: cache(), known: Vec::new(), limits: Vec::new() }
}

/// Where commands without a home may keep what they need no more.
pub(crate) fn cache() -> PathBuf {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    named("XDG_CACHE_HOME")
        .or_else(|| named("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("resurgam")
}

/// The time now.
#[expect(clippy::disallowed_methods, reason = "the edge of a command: from here on time is an argument")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// The machine's time zone; UTC where it has none.
pub(crate) fn time_zone() -> jiff::tz::TimeZone {
    let zone = jiff::tz::TimeZone::system();
    if zone.is_unknown() { jiff::tz::TimeZone::UTC } else { zone }
}

fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().trim().to_owned();
    if name.is_empty() { "localhost".to_owned() } else { name }
}
