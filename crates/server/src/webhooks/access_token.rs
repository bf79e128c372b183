//! Access tokens for senders that fetch one (OAuth 2.0 client credentials, RFC 6749 section 4.4). A token is the moment
//! that it ends at and a signature with the secret: no node has to remember it, and it ends with its secret.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use mainstay_domain::{Secret, Timestamp, hexadecimal};
use ring::hmac;
use subtle::ConstantTimeEq as _;

use super::signature::Granted;
use super::{form, header};

/// For how long a token is good.
const LASTS: Duration = Duration::from_secs(3600);
/// What a token begins with.
const PREFIX: &str = "mst_";

fn token(secret: &Secret, until: Timestamp) -> Secret {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    let signed = format!("inbox access token until {}", until.as_millis());
    let tag = hmac::sign(&key, signed.as_bytes());
    Secret::new(format!("{PREFIX}{}_{}", until.as_millis(), hexadecimal(tag.as_ref())))
}

/// The tokens that would be good and end when the one in the request says that it does.
pub(super) fn granted(secrets: &[Secret], headers: &HeaderMap) -> Vec<Granted> {
    let presented = header::one(headers, &AUTHORIZATION).ok().flatten().and_then(|text| text.split_once(' '));
    let until = presented.and_then(|(_, token)| token.trim().strip_prefix(PREFIX)?.split_once('_')?.0.parse().ok());
    let Some(until) = until.map(Timestamp::from_millis) else { return Vec::new() };
    secrets.iter().map(|secret| Granted { token: token(secret, until), until }).collect()
}

/// Gives a token to whoever shows one of the secrets, in the body or as the password of basic authentication.
pub(super) fn grant(
    secrets: &[Secret],
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Option<(Secret, Duration)> {
    let fields = form::fields(body).ok()?;
    let field = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    if field("grant_type").as_deref() != Some("client_credentials") {
        return None;
    }
    let shown = field("client_secret").or_else(|| basic(headers))?;
    let same = |secret: &&Secret| bool::from(secret.expose().as_bytes().ct_eq(shown.as_bytes()));
    let secret = secrets.iter().find(same)?;
    Some((token(secret, now.plus(LASTS)), LASTS))
}

/// The password of basic authentication.
fn basic(headers: &HeaderMap) -> Option<String> {
    let (word, encoded) = header::one(headers, &AUTHORIZATION).ok()??.split_once(' ')?;
    let decoded = STANDARD.decode(encoded.trim()).ok().filter(|_| word.eq_ignore_ascii_case("basic"))?;
    let decoded = String::from_utf8(decoded).ok()?;
    Some(decoded.split_once(':')?.1.to_owned())
}
