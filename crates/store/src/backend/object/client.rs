//! The store of the crate `object_store` that a place and an access make.
//!
//! It tries nothing again by itself: all of that is decided in one place, `wire.rs`. It follows no environment.

use std::sync::Arc;

use object_store::{
    BackoffConfig, ClientOptions, ObjectStore, RetryConfig,
    aws::{AmazonS3Builder, S3ConditionalPut},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    multipart::MultipartStore,
};

use super::{
    access::{Access, StoreAccess},
    limits::Limits,
    place::{Account, ObjectPlace, PlaceError, Service},
};

/// What the backend needs of a store of the crate `object_store`.
#[allow(unreachable_pub, reason = "only tests bring stores of their own")]
pub trait Remote: ObjectStore + MultipartStore {}

impl<T: ObjectStore + MultipartStore> Remote for T {}

pub(super) fn connect(
    place: &ObjectPlace,
    access: &StoreAccess,
    limits: &Limits,
) -> Result<Arc<dyn Remote>, PlaceError> {
    let refused = |error: object_store::Error| PlaceError(format!("{place}: {error}"));
    let options = ClientOptions::new()
        .with_allow_http(place.is_plain_http())
        .with_connect_timeout(limits.connect)
        .with_read_timeout(limits.request)
        // The whole of a request is timed where it is made, by what it moves.
        .with_timeout_disabled();
    let once = RetryConfig { max_retries: 0, retry_timeout: limits.request, backoff: BackoffConfig::default() };
    match (&place.service, &access.0) {
        (Service::S3(endpoint), Access::S3 { key_id, secret, session_token, region }) => {
            let mut builder = AmazonS3Builder::new()
                .with_bucket_name(place.bucket())
                .with_region(region)
                .with_access_key_id(key_id)
                .with_secret_access_key(secret.expose())
                .with_conditional_put(S3ConditionalPut::ETagMatch)
                // One request for each: a few stores that speak S3 have no other.
                .with_disable_bulk_delete(true)
                .with_client_options(options)
                .with_retry(once);
            if let Some(token) = session_token {
                builder = builder.with_token(token.expose());
            }
            if let Some(endpoint) = endpoint {
                builder = builder.with_endpoint(endpoint.to_string());
            }
            Ok(Arc::new(builder.build().map_err(refused)?))
        }
        (Service::Azure(known), Access::Azure { account, key, sas }) => {
            let known = match known {
                Some(known) if known.name != *account => {
                    return Err(PlaceError(format!(
                        "{place} is of the account {}, and the access of {account}",
                        known.name
                    )));
                }
                Some(known) => known.clone(),
                None => Account::of(account, None)?,
            };
            let builder = MicrosoftAzureBuilder::new()
                .with_account(account)
                .with_container_name(place.bucket())
                .with_endpoint(known.url())
                .with_client_options(options)
                .with_retry(once);
            let builder = match (key, sas) {
                (Some(key), _) => builder.with_access_key(key.expose()),
                (None, Some(sas)) => builder.with_config(AzureConfigKey::SasKey, sas.expose()),
                (None, None) => return Err(PlaceError(format!("{place} needs a key, and the access has none"))),
            };
            Ok(Arc::new(builder.build().map_err(refused)?))
        }
        _ => Err(PlaceError(format!("the access is not for the kind of store that {place} is"))),
    }
}
