//! A shared access signature for a container of Azure: who has it may read, write, list and delete there until it ends.
//!
//! It is computed, not asked for: an HMAC-SHA-256 by the account's key over a text of fixed fields, as version 2020-12-06
//! of the store's protocol has them. It cannot be narrowed to a prefix.

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use resurgam_model::Timestamp;
use zeroize::Zeroizing;

use super::place::ObjectPlace;

const VERSION: &str = "2020-12-06";
/// Read, add, create, write, delete, list, in the order that the store wants.
const PERMISSIONS: &str = "racwdl";

/// The signature as a query: `sp=…&sig=…`. `None`: the key is none.
pub(super) fn service_sas(account: &str, key: &str, place: &ObjectPlace, until: Timestamp) -> Option<String> {
    let key = Zeroizing::new(STANDARD.decode(key).ok()?);
    let expiry = until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let protocols = if place.is_plain_http() { "https,http" } else { "https" };
    let resource = format!("/blob/{account}/{}", place.bucket());
    // In this order: permissions, start, expiry, resource, identifier, addresses, protocols, version, kind of resource,
    // snapshot, encryption scope, and five headers of answers.
    let fields = [PERMISSIONS, "", &expiry, &resource, "", "", protocols, VERSION, "c", "", "", "", "", "", "", ""];
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), fields.join("\n").as_bytes());
    let signature = STANDARD.encode(tag.as_ref()).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let (expiry, protocols) = (expiry.replace(':', "%3A"), protocols.replace(',', "%2C"));
    Some(format!("sp={PERMISSIONS}&se={expiry}&spr={protocols}&sv={VERSION}&sr=c&sig={signature}"))
}
