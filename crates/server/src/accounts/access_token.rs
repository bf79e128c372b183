//! Our own access tokens: short-lived, one membership each, checked without the database.
//!
//! The form is a JWT (RFC 7519) signed with HS256, so that any tool can show what is in one. The check is written here
//! and not taken from a JWT library, because it does less: the header is one constant, compared byte by byte, so there is
//! no algorithm to be chosen, no key to be named and no header parameter to be followed. That removes the classes of
//! attack that RFC 8725 lists for headers, and it is what a check on every request can afford: one HMAC (ring), one base64
//! decoding on the stack, one JSON reading. Tokens of others, whose headers do vary, go through a library (see `issuers`).
//!
//! Times are NumericDates with three digits of fraction, as RFC 7519 allows. Whether a token is older than a revocation is
//! not told by them but by `rev`: the position in the feed of revocations at which its role was read.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mainstay_domain::{PersonId, Role, Secret, SessionId, TenantId, Timestamp};
use ring::hmac;
use serde::{Deserialize, Serialize};

use super::keys::{Purpose, SigningKey};
use super::token_fault::TokenFault;

/// The longest token that is looked at, in bytes. Ours have about 400.
pub const MOST_BYTES: usize = 2048;
/// How far clocks of nodes may differ.
pub const LEEWAY: Duration = Duration::from_secs(5);

const HEADER: &[u8] = br#"{"alg":"HS256","kid":"mainstay","typ":"at+jwt"}"#;
const ISSUER: &str = "mainstay";
/// A SHA-256 in base64 without padding.
const SIGNATURE_CHARACTERS: usize = 43;

/// What an access token says: who, in which organisation, as what, by which sign-in, and from when to when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The person (`sub`).
    pub person: PersonId,
    /// The organisation whose member the person is here (`org`).
    pub tenant: TenantId,
    /// What the person may do there (`role`).
    pub role: Role,
    /// The sign-in that the token belongs to (`sid`).
    pub session: SessionId,
    /// The last position of the feed of revocations when the role was read (`rev`).
    pub as_of: i64,
    /// When it was made (`iat`).
    pub issued_at: Timestamp,
    /// When it ends (`exp`).
    pub expires_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Payload<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: PersonId,
    org: TenantId,
    role: Role,
    sid: SessionId,
    rev: i64,
    iat: f64,
    exp: f64,
}

/// Makes and checks access tokens.
#[derive(Debug)]
pub struct AccessTokens {
    key: hmac::Key,
    /// The header in base64, and the dot after it: the first bytes of every token of ours.
    start: String,
}

impl AccessTokens {
    /// The access tokens of this installation.
    #[must_use]
    pub fn new(key: &SigningKey) -> Self {
        Self::for_purpose(key, Purpose::AccessToken)
    }

    /// Tokens of the same form that are good for something else only.
    #[must_use]
    pub fn for_purpose(key: &SigningKey, purpose: Purpose) -> Self {
        let mut start = URL_SAFE_NO_PAD.encode(HEADER);
        start.push('.');
        Self { key: key.derive(purpose), start }
    }

    /// True when the text begins as our tokens do; whether it is one only [`Self::verify`] can tell.
    #[must_use]
    pub fn looks_like(&self, text: &str) -> bool {
        text.starts_with(&self.start)
    }

    /// Makes a token.
    #[must_use]
    pub fn mint(&self, claims: &Claims) -> Secret {
        let payload = Payload {
            iss: ISSUER,
            aud: ISSUER,
            sub: claims.person,
            org: claims.tenant,
            role: claims.role,
            sid: claims.session,
            rev: claims.as_of,
            iat: numeric_date(claims.issued_at),
            exp: numeric_date(claims.expires_at),
        };
        // Strings, numbers and ids always serialise; were it otherwise, an empty payload would be no token of anybody.
        let payload = serde_json::to_vec(&payload).unwrap_or_default();
        let mut token = String::with_capacity(512);
        token.push_str(&self.start);
        URL_SAFE_NO_PAD.encode_string(payload, &mut token);
        let mac = hmac::sign(&self.key, token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(mac.as_ref(), &mut token);
        Secret::new(token)
    }

    /// What a token says, when this installation made it and it holds at `now`. The signature is compared in constant
    /// time and before anything of the payload is read.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, TokenFault> {
        if token.len() > MOST_BYTES {
            return Err(TokenFault::TooLong);
        }
        let rest = token.strip_prefix(&self.start).ok_or(TokenFault::Header)?;
        let (payload, signature) = rest.split_once('.').ok_or(TokenFault::Malformed)?;
        if signature.len() != SIGNATURE_CHARACTERS {
            return Err(TokenFault::Malformed);
        }
        // The decoder writes whole quanta of three bytes, so the buffer has one more than a SHA-256.
        let mut mac = [0; 33];
        let length = URL_SAFE_NO_PAD.decode_slice(signature, &mut mac).map_err(|_| TokenFault::Malformed)?;
        let signed = &token.as_bytes()[..self.start.len() + payload.len()];
        hmac::verify(&self.key, signed, &mac[..length]).map_err(|_| TokenFault::Signature)?;

        let mut json = [0; MOST_BYTES];
        let length = URL_SAFE_NO_PAD.decode_slice(payload, &mut json).map_err(|_| TokenFault::Malformed)?;
        let payload: Payload<'_> = serde_json::from_slice(&json[..length]).map_err(|_| TokenFault::Claims)?;
        payload.check(now)
    }
}

impl Payload<'_> {
    fn check(&self, now: Timestamp) -> Result<Claims, TokenFault> {
        if self.iss != ISSUER {
            return Err(TokenFault::Issuer);
        }
        if self.aud != ISSUER {
            return Err(TokenFault::Audience);
        }
        let issued_at = moment(self.iat).ok_or(TokenFault::Claims)?;
        let expires_at = moment(self.exp).ok_or(TokenFault::Claims)?;
        if expires_at.plus(LEEWAY) <= now {
            return Err(TokenFault::Expired);
        }
        if issued_at > now.plus(LEEWAY) {
            return Err(TokenFault::NotYetValid);
        }
        Ok(Claims {
            person: self.sub,
            tenant: self.org,
            role: self.role,
            session: self.sid,
            as_of: self.rev,
            issued_at,
            expires_at,
        })
    }
}

/// Seconds since 1970 with a fraction (RFC 7519, section 2). Milliseconds of this age are exact in a double.
#[expect(clippy::cast_precision_loss, reason = "exact up to the year 287,396")]
fn numeric_date(moment: Timestamp) -> f64 {
    moment.as_millis() as f64 / 1000.0
}

/// The moment of a NumericDate, to the millisecond, from 1970 to the year 9999.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked first")]
pub(super) fn moment(seconds: f64) -> Option<Timestamp> {
    (0.0..253_402_300_800.0).contains(&seconds).then(|| Timestamp::from_millis((seconds * 1000.0).round() as i64))
}

#[cfg(test)]
mod tests;
