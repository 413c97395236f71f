//! Where objects lie, as a person writes it and as a catalog keeps it: an URL.
//!
//! | form | is |
//! |---|---|
//! | `https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX` | Azure Blob Storage |
//! | `az://CONTAINER/PREFIX` | the same; the account comes from the access |
//! | `az+http://HOST:PORT/ACCOUNT/CONTAINER/PREFIX`, `az+https://…` | what speaks like Azure; `http://…/devstoreaccount1/…` is understood, too |
//! | `s3://BUCKET/PREFIX` | Amazon S3 |
//! | `s3+http://HOST:PORT/BUCKET/PREFIX`, `s3+https://…` | what speaks like S3 |
//!
//! A place is shown in one form only, and that form carries all that is known of the endpoint: one that a database keeps
//! needs no environment. It never carries a secret: a text with a query or a user's name in it is refused, and not repeated.

use std::fmt;

/// The container or bucket, and the prefix of names in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectPlace {
    pub(super) service: Service,
    pub(super) bucket: String,
    pub(super) prefix: String,
}

/// Who keeps the objects.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Service {
    /// Azure Blob Storage, of an account that is known or not yet.
    Azure(Option<Account>),
    /// S3: Amazon's, where there is no endpoint.
    S3(Option<Endpoint>),
}

/// An account of Azure, and where it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) reached: Reached,
}

/// How the URL of an account begins.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Reached {
    /// `https://NAME.SUFFIX`, the suffix being `blob.core.windows.net` or that of another of Azure's clouds.
    ByHost(String),
    /// `http://HOST:PORT/NAME`.
    ByPath(Endpoint),
}

/// A server of one's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Endpoint {
    pub(super) tls: bool,
    /// Host, and port where one was given.
    pub(super) authority: String,
}

/// What is wrong with an URL, or with what is to open it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PlaceError(pub(super) String);

const FORMS: &str = "forms: https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX, az://CONTAINER/PREFIX, \
                     az+http://HOST:PORT/ACCOUNT/CONTAINER/PREFIX, s3://BUCKET/PREFIX, s3+http://HOST:PORT/BUCKET/PREFIX, \
                     and az+https and s3+https alike";
pub(super) const AZURE_SUFFIX: &str = "blob.core.windows.net";
const EMULATOR: &str = "devstoreaccount1";
/// S3 allows names of 1,024 bytes, and the volume needs some of them.
const PREFIX_MAX: usize = 512;

fn wrong<T>(what: impl fmt::Display) -> Result<T, PlaceError> {
    Err(PlaceError(format!("{what} ({FORMS})")))
}

impl ObjectPlace {
    /// Whether a text is an URL of any kind, as opposed to a path. `file:///…` is a path.
    pub fn is_url(text: &str) -> bool {
        text.split_once("://").is_some_and(|(scheme, _)| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
            !scheme.is_empty() && scheme.chars().all(plain) && !scheme.eq_ignore_ascii_case("file")
        })
    }

    /// Reads one of the forms.
    ///
    /// # Errors
    /// Says what is wrong, and what forms there are.
    pub fn parse(text: &str) -> Result<Self, PlaceError> {
        if text.contains(['?', '#', '@']) {
            return wrong(
                "the URL of an object store takes no `?`, `#` or `@`: secrets come from the environment or the keyring",
            );
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return wrong(format!("`{text}` is not the URL of an object store"));
        };
        let scheme = scheme.to_ascii_lowercase();
        let mut segments = rest.strip_suffix('/').unwrap_or(rest).split('/');
        let service = match scheme.as_str() {
            "s3" => Service::S3(None),
            "s3+http" | "s3+https" => Service::S3(Some(Endpoint::parse(&scheme, segments.next())?)),
            "az" => Service::Azure(None),
            "az+http" | "az+https" | "http" => {
                let endpoint = Endpoint::parse(&scheme, segments.next())?;
                let name = account(segments.next())?;
                if scheme == "http" && name != EMULATOR {
                    return wrong(format!("write az+http:// or s3+http:// to say what `{endpoint}` speaks"));
                }
                Service::Azure(Some(Account { name, reached: Reached::ByPath(endpoint) }))
            }
            "https" => {
                let host = segments.next().unwrap_or_default().to_ascii_lowercase();
                let (name, suffix) = host.split_once('.').unwrap_or((&host, ""));
                if !suffix.starts_with("blob.") || suffix.ends_with('.') {
                    return wrong(format!("write az+https:// or s3+https:// to say what `{host}` speaks"));
                }
                authority(suffix)?;
                let reached = Reached::ByHost(suffix.to_owned());
                Service::Azure(Some(Account { name: account(Some(name))?, reached }))
            }
            other => return wrong(format!("`{other}://` is of no object store that this program knows")),
        };
        let what = if matches!(service, Service::S3(_)) { "bucket" } else { "container" };
        let bucket = bucket(what, segments.next().unwrap_or_default())?;
        let prefix = segments.map(segment).collect::<Result<Vec<_>, _>>()?.join("/");
        if prefix.len() > PREFIX_MAX {
            return wrong(format!("the prefix is longer than {PREFIX_MAX} bytes"));
        }
        Ok(Self { service, bucket, prefix })
    }

    /// The place with what the environment knows of the endpoint: `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`; Azure's account
    /// and `BlobEndpoint`. What the URL says itself stays.
    ///
    /// # Errors
    /// Where the environment names an endpoint that is none.
    pub fn settled(self, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, PlaceError> {
        let service = match self.service {
            Service::S3(None) => {
                let url = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"].iter().find_map(|name| env(name));
                Service::S3(url.filter(|url| !url.is_empty()).map(|url| Endpoint::of_url(&url)).transpose()?)
            }
            Service::Azure(None) => Service::Azure(super::access::account_of(env)?),
            known => known,
        };
        Ok(Self { service, ..self })
    }

    /// The place below this one.
    ///
    /// # Errors
    /// Where `below` has empty segments, or such as lead elsewhere.
    pub fn join(&self, below: &str) -> Result<Self, PlaceError> {
        let below = below.split('/').map(segment).collect::<Result<Vec<_>, _>>()?.join("/");
        let prefix = if self.prefix.is_empty() { below } else { format!("{}/{below}", self.prefix) };
        if prefix.len() > PREFIX_MAX {
            return wrong(format!("the prefix is longer than {PREFIX_MAX} bytes"));
        }
        Ok(Self { prefix, ..self.clone() })
    }

    /// The container or bucket.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Whether what is sent there can be read on the way.
    pub fn is_plain_http(&self) -> bool {
        match &self.service {
            Service::Azure(Some(Account { reached: Reached::ByPath(endpoint), .. })) | Service::S3(Some(endpoint)) => {
                !endpoint.tls
            }
            _ => false,
        }
    }
}

impl Endpoint {
    fn parse(scheme: &str, text: Option<&str>) -> Result<Self, PlaceError> {
        let authority = authority(&text.unwrap_or_default().to_ascii_lowercase())?;
        Ok(Self { tls: scheme.ends_with("https"), authority })
    }

    /// An endpoint as the stores' own tools want it: `http://HOST:PORT`.
    fn of_url(url: &str) -> Result<Self, PlaceError> {
        match url.trim_end_matches('/').split_once("://") {
            Some((scheme @ ("http" | "https"), host)) if !host.contains('/') => Self::parse(scheme, Some(host)),
            _ => Err(PlaceError(
                "the endpoint in AWS_ENDPOINT_URL must be http(s)://HOST or http(s)://HOST:PORT".to_owned(),
            )),
        }
    }
}

impl Account {
    /// An account by its name, and by `BlobEndpoint` where a connection string has one.
    pub(super) fn of(name: &str, endpoint: Option<&str>) -> Result<Self, PlaceError> {
        let name = account(Some(name))?;
        let Some(url) = endpoint.map(|url| url.trim_end_matches('/')) else {
            return Ok(Self { name, reached: Reached::ByHost(AZURE_SUFFIX.to_owned()) });
        };
        let wrong =
            || PlaceError("the BlobEndpoint must be https://ACCOUNT.blob.… or http(s)://HOST:PORT/ACCOUNT".to_owned());
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        if !matches!(scheme, "http" | "https") {
            return Err(wrong());
        }
        let reached = match rest.split_once('/') {
            Some((host, path)) if path == name => Reached::ByPath(Endpoint::parse(scheme, Some(host))?),
            None if scheme == "https" => {
                let suffix = rest.strip_prefix(&name).and_then(|rest| rest.strip_prefix('.')).ok_or_else(wrong)?;
                if !suffix.starts_with("blob.") {
                    return Err(wrong());
                }
                Reached::ByHost(authority(suffix)?)
            }
            _ => return Err(wrong()),
        };
        Ok(Self { name, reached })
    }

    /// The URL under which containers lie.
    pub(super) fn url(&self) -> String {
        match &self.reached {
            Reached::ByHost(suffix) => format!("https://{}.{suffix}", self.name),
            Reached::ByPath(endpoint) => format!("{endpoint}/{}", self.name),
        }
    }
}

fn authority(text: &str) -> Result<String, PlaceError> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let sound = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let plain =
                |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
            host.split('.').all(plain)
        }
    };
    let numbered =
        port.is_none_or(|port| port.parse::<u16>().is_ok_and(|number| number > 0 && number.to_string() == port));
    if sound && numbered { Ok(text.to_owned()) } else { wrong(format!("`{text}` is no host, or its port is none")) }
}

fn account(text: Option<&str>) -> Result<String, PlaceError> {
    let text = text.unwrap_or_default();
    let sound = !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if sound { Ok(text.to_owned()) } else { wrong(format!("`{text}` is no name of an account of Azure")) }
}

fn bucket(what: &str, text: &str) -> Result<String, PlaceError> {
    if text.is_empty() {
        return wrong(format!("the URL names no {what}"));
    }
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    let edges = |c: char| c.is_ascii_alphanumeric();
    if plain && text.len() <= 63 && text.starts_with(edges) && text.ends_with(edges) {
        Ok(text.to_owned())
    } else {
        wrong(format!("`{text}` is no name of a {what}"))
    }
}

/// One segment of a prefix. What an URL would have to write with `%` is refused, so that a place has one spelling.
fn segment(text: &str) -> Result<&str, PlaceError> {
    let odd = |c: char| c.is_control() || c.is_whitespace() || "%\\\"<>{}|^`?#@".contains(c);
    if text.is_empty() || text == "." || text == ".." {
        wrong(format!("the prefix has the segment `{text}`, which leads nowhere"))
    } else if text.contains(odd) {
        wrong("the prefix has a character that a name of an object had better not have")
    } else {
        Ok(text)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.authority)
    }
}

impl fmt::Display for ObjectPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.service {
            Service::S3(None) => f.write_str("s3:/")?,
            Service::S3(Some(endpoint)) => write!(f, "s3+{endpoint}")?,
            Service::Azure(None) => f.write_str("az:/")?,
            Service::Azure(Some(account)) => {
                let own = matches!(account.reached, Reached::ByPath(_));
                write!(f, "{}{}", if own { "az+" } else { "" }, account.url())?;
            }
        }
        write!(f, "/{}", self.bucket)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

/// For fuzzing: an URL of a person, on any bytes. What is taken is shown in a form that is taken as the same.
pub fn fuzz_place(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(place) = ObjectPlace::parse(text) else { return };
    assert_eq!(ObjectPlace::parse(&place.to_string()).as_ref(), Ok(&place), "{place}");
    assert!(ObjectPlace::is_url(&place.to_string()), "{place}");
}

#[cfg(test)]
mod tests;
