//! Where the server's home is.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::failure::Failure;

/// The home: as given; else `$RESURGAM_HOME`; else `/var/lib/resurgam` for root; else below `$XDG_DATA_HOME`; else below
/// `~/.local/share`. An empty variable counts as none.
///
/// # Errors
/// Where an ordinary user has no home directory.
pub(crate) fn locate(
    given: Option<&Path>,
    variable: impl Fn(&str) -> Option<OsString>,
    is_root: bool,
) -> Result<PathBuf, Failure> {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = if let Some(given) = given {
        given.to_owned()
    } else if let Some(home) = variable("RESURGAM_HOME") {
        home
    } else if is_root {
        PathBuf::from("/var/lib/resurgam")
    } else if let Some(data) = variable("XDG_DATA_HOME").filter(|path| path.is_absolute()) {
        data.join("resurgam")
    } else if let Some(user) = variable("HOME") {
        user.join(".local/share/resurgam")
    } else {
        return Err(Failure::arguments(
            "there is no place for the server's home: neither RESURGAM_HOME nor HOME is set",
            "name one with --home DIR",
        ));
    };
    std::path::absolute(&home).map_err(|error| {
        Failure::arguments(
            format!("cannot use {} as the server's home: {error}", home.display()),
            "name another with --home DIR",
        )
    })
}

#[cfg(test)]
mod tests;
