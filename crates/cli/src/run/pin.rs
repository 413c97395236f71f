//! Leave of a vault's owner, for what cannot be taken back: a PIN, asked for only where one is needed.

use resurgam_jobs::JobError;

use super::Context;
use crate::{args::Pin, failure::Failure, passphrase};

/// What an attempt fails with that lacks a PIN.
const NEEDED: &str = "pin-needed";

/// Attempts something with the PIN that was given; where it lacks one and somebody can be asked, with the one that is typed.
pub(super) fn with<T>(
    context: &Context<'_>,
    pin: &Pin,
    mut attempt: impl FnMut(Option<&str>) -> Result<T, JobError>,
) -> Result<T, Failure> {
    let given = pin.pin_file.as_deref().map(|file| passphrase::pin_from_file(file, context.output)).transpose()?;
    match attempt(given.as_ref().map(|given| text(given)).transpose()?) {
        // Nothing was changed: leave is asked for before anything is.
        Err(error) if error.code() == NEEDED && passphrase::can_ask() => {
            Ok(attempt(Some(text(&passphrase::ask_pin()?)?))?)
        }
        done => Ok(done?),
    }
}

fn text(pin: &[u8]) -> Result<&str, Failure> {
    std::str::from_utf8(pin).map_err(|_| {
        Failure::new(
            "pin",
            "what was given is no PIN: it is not even text",
            "a PIN of `resurgam vault pin` is digits alone",
        )
    })
}
