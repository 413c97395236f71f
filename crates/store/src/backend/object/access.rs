//! What opens an object store: secrets and settings, under the names that the stores' own tools use.
//!
//! Serialized, it lies in the keyring, so that a rebuild needs no environment. Nothing shows a secret: not `Debug`, no
//! error, no message of the store.

use std::fmt;

use resurgam_model::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    grant,
    place::{Account, ObjectPlace, PlaceError, Service},
};

/// A secret text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub(super) struct Hidden(Zeroizing<String>);

impl Hidden {
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Hidden {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<Hidden> for String {
    fn from(hidden: Hidden) -> Self {
        (*hidden.0).clone()
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// What opens one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StoreAccess(pub(super) Access);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "store", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Access {
    S3 {
        key_id: String,
        secret: Hidden,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session_token: Option<Hidden>,
        region: String,
    },
    Azure {
        account: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Hidden>,
        /// A shared access signature; used where there is no key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sas: Option<Hidden>,
    },
}

/// The environment, as far as Azure's tools read it.
struct AzureEnv {
    account: Option<String>,
    key: Option<String>,
    sas: Option<String>,
    endpoint: Option<String>,
}

const EMULATOR: &str = "devstoreaccount1";
const EMULATOR_ENDPOINT: &str = "http://127.0.0.1:10000/devstoreaccount1";

impl AzureEnv {
    fn read(env: &dyn Fn(&str) -> Option<String>) -> Result<Self, PlaceError> {
        let first = |names: &[&str]| names.iter().find_map(|name| env(name).filter(|value| !value.is_empty()));
        let mut found = Self {
            account: first(&["AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME"]),
            key: first(&["AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY"]),
            sas: first(&["AZURE_STORAGE_SAS_TOKEN"]),
            endpoint: None,
        };
        let Some(text) = first(&["AZURE_STORAGE_CONNECTION_STRING"]).map(Zeroizing::new) else { return Ok(found) };
        for pair in text.split(';').map(str::trim).filter(|pair| !pair.is_empty()) {
            let Some((name, value)) = pair.split_once('=') else {
                return Err(PlaceError("AZURE_STORAGE_CONNECTION_STRING is not of the form NAME=VALUE;…".to_owned()));
            };
            let value = Some(value.to_owned());
            match name {
                "AccountName" => found.account = value,
                "AccountKey" => found.key = value,
                "SharedAccessSignature" => found.sas = value,
                "BlobEndpoint" => found.endpoint = value,
                "UseDevelopmentStorage" if value.as_deref() == Some("true") => {
                    found.account = Some(EMULATOR.to_owned());
                    found.endpoint = Some(EMULATOR_ENDPOINT.to_owned());
                }
                _ => {}
            }
        }
        if found.account.is_none() {
            let host = found.endpoint.as_deref().and_then(|url| url.split_once("://")).map(|(_, host)| host);
            found.account = host.and_then(|host| host.split_once('.')).map(|(account, _)| account.to_owned());
        }
        Ok(found)
    }
}

/// The account that the environment names.
pub(super) fn account_of(env: &dyn Fn(&str) -> Option<String>) -> Result<Option<Account>, PlaceError> {
    let found = AzureEnv::read(env)?;
    found.account.map(|name| Account::of(&name, found.endpoint.as_deref())).transpose()
}

impl StoreAccess {
    /// Reads the environment.
    ///
    /// # Errors
    /// Says which variables are missing.
    pub fn from_env(place: &ObjectPlace, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, PlaceError> {
        let get = |name: &str| env(name).filter(|value| !value.is_empty());
        match &place.service {
            Service::S3(_) => match (get("AWS_ACCESS_KEY_ID"), get("AWS_SECRET_ACCESS_KEY")) {
                (Some(key_id), Some(secret)) => {
                    let region = get("AWS_REGION").or_else(|| get("AWS_DEFAULT_REGION"));
                    let session_token = get("AWS_SESSION_TOKEN").map(Hidden::from);
                    Ok(Self::s3_of(key_id, secret.into(), session_token, region))
                }
                _ => Err(PlaceError(format!(
                    "{place} needs an access key: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                ))),
            },
            Service::Azure(known) => {
                let found = AzureEnv::read(env)?;
                let account = known.as_ref().map(|known| known.name.clone()).or(found.account).ok_or_else(|| {
                    PlaceError(format!("{place} names no account: set AZURE_STORAGE_ACCOUNT, or write it into the URL"))
                })?;
                if found.key.is_none() && found.sas.is_none() {
                    return Err(PlaceError(format!(
                        "{place} needs a key: set AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN or AZURE_STORAGE_CONNECTION_STRING"
                    )));
                }
                let (key, sas) = (found.key.map(Hidden::from), found.sas.map(Hidden::from));
                Ok(Self(Access::Azure { account, key, sas }))
            }
        }
    }

    fn s3_of(key_id: String, secret: Hidden, session_token: Option<Hidden>, region: Option<String>) -> Self {
        let region = region.unwrap_or_else(|| "us-east-1".to_owned());
        Self(Access::S3 { key_id, secret, session_token, region })
    }

    /// An access key of S3.
    pub fn s3(key_id: &str, secret: &str, region: Option<&str>) -> Self {
        Self::s3_of(key_id.to_owned(), secret.to_owned().into(), None, region.map(str::to_owned))
    }

    /// The key of an account of Azure.
    pub fn azure_key(account: &str, key: &str) -> Self {
        Self(Access::Azure { account: account.to_owned(), key: Some(key.to_owned().into()), sas: None })
    }

    /// A shared access signature, such as [`StoreAccess::grant`] makes: `sp=…&sig=…`.
    pub fn azure_sas(account: &str, sas: &str) -> Self {
        Self(Access::Azure { account: account.to_owned(), key: None, sas: Some(sas.to_owned().into()) })
    }

    /// What a grant that was made for `place` opens. `None`: the place does not say whose account it is, or takes no grants.
    pub fn of_grant(place: &ObjectPlace, grant: &str) -> Option<Self> {
        match &place.service {
            Service::Azure(Some(account)) => Some(Self::azure_sas(&account.name, grant)),
            _ => None,
        }
    }

    /// Whether it is a key, and no signature that ends.
    pub fn is_lasting(&self) -> bool {
        !matches!(&self.0, Access::Azure { key: None, .. } | Access::S3 { session_token: Some(_), .. })
    }

    /// Something that opens the container of `place` until then, and nothing else, made without asking the store: a
    /// shared access signature. `None` where there is none to be made: S3, Azure without the account's key, or a time
    /// that has passed.
    pub fn grant(&self, place: &ObjectPlace, until: Timestamp, now: Timestamp) -> Option<String> {
        match &self.0 {
            Access::Azure { account, key: Some(key), .. } if until > now => {
                let own = matches!(&place.service, Service::Azure(known) if known.as_ref().is_none_or(|k| k.name == *account));
                if own { grant::service_sas(account, key.expose(), place, until) } else { None }
            }
            _ => None,
        }
    }

    /// Texts that no message may show.
    pub(super) fn secrets(&self) -> Vec<Zeroizing<String>> {
        let texts = match &self.0 {
            Access::S3 { secret, session_token, .. } => vec![Some(secret), session_token.as_ref()],
            Access::Azure { key, sas, .. } => vec![key.as_ref(), sas.as_ref()],
        };
        let texts = texts.into_iter().flatten().map(|hidden| Zeroizing::new(hidden.expose().to_owned()));
        texts.filter(|text| !text.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests;
