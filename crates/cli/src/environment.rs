//! What the engine needs of the world, gathered in one place: the clock, the time zone, the machine's name.

use resurgam_jobs::{Access, Environment};
use resurgam_model::Timestamp;
use zeroize::Zeroizing;

/// The world as it is, with the passphrase where one was given.
pub(crate) fn real(passphrase: Option<Zeroizing<Vec<u8>>>) -> Environment {
    Environment { now, time_zone: time_zone(), passphrase, host_name: host_name(), volumes: Access::ReadWrite }
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
