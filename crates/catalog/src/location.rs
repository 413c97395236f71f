//! Where a catalog lies: a file or a PostgreSQL database.

use std::{fmt, path::PathBuf, str::FromStr};

/// The name of the database, where a URL names none.
pub(crate) const DATABASE_NAME: &str = "DPMDB";

/// Where a catalog lies. Neither `Display` nor `Debug` shows a password.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// An SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL database.
    Postgres {
        /// `postgres://user:password@host:port/database?options`; a missing database means `DPMDB`.
        url: String,
    },
}

/// Text that names no place for a catalog.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text} cannot hold a catalog: {reason}; give the path of a file, or postgres://USER@HOST/DPMDB")]
pub struct InvalidLocation {
    /// What was given, without a password.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl FromStr for Location {
    type Err = InvalidLocation;

    /// A URL of `postgres:` or `postgresql:`, or else a path; `sqlite:PATH` is a path too.
    fn from_str(text: &str) -> Result<Self, InvalidLocation> {
        let invalid = |reason| InvalidLocation { text: without_password(text), reason };
        let path = match text.split_once("://") {
            Some((scheme, _)) if ["postgres", "postgresql"].contains(&scheme.to_ascii_lowercase().as_str()) => {
                return Ok(Self::Postgres { url: text.to_owned() });
            }
            Some(("sqlite", path)) => path,
            // A slash before the colon makes it a path, however odd.
            Some((scheme, _)) if !scheme.contains('/') => return Err(invalid("this kind of database is not known")),
            _ => text.strip_prefix("sqlite:").unwrap_or(text),
        };
        if path.is_empty() {
            return Err(invalid("it is empty"));
        }
        if path.contains('\0') {
            return Err(invalid("it holds a zero byte"));
        }
        Ok(Self::Sqlite(PathBuf::from(path)))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres { url } => f.write_str(&without_password(url)),
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

/// A URL with `***` for its password, be it before the host or among the options.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (place, options) = rest.split_once('?').map_or((rest, None), |(place, options)| (place, Some(options)));
    // The last `@`: a password that holds one unescaped must not be shown by half.
    let place = match place.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((name, _)) => format!("{name}:***@{host}"),
            None => place.to_owned(),
        },
        None => place.to_owned(),
    };
    let hide = |option: &str| match option.split_once('=') {
        Some((key, _)) if key.to_ascii_lowercase().contains("password") => format!("{key}=***"),
        _ => option.to_owned(),
    };
    let options = options.map(|o| o.split('&').map(hide).collect::<Vec<_>>().join("&"));
    options.map_or_else(|| format!("{scheme}://{place}"), |options| format!("{scheme}://{place}?{options}"))
}

/// The password of a URL, if it holds one.
pub(crate) fn password(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let (place, options) = rest.split_once('?').map_or((rest, None), |(place, options)| (place, Some(options)));
    let in_place = place.rsplit_once('@').and_then(|(user, _)| user.split_once(':')).map(|(_, password)| password);
    let among_options = || options?.split('&').find_map(|option| option.strip_prefix("password="));
    in_place.or_else(among_options).map(percent_decoded)
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        let coded = others.get(..2).filter(|_| *first == b'%');
        let coded = coded.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(coded.unwrap_or(*first));
        rest = if coded.is_some() { &others[2..] } else { others };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests;
