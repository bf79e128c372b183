//! Vapi, in the four modes of a custom credential (VapiAI/docs, `fern/server-url/server-authentication.mdx`, and
//! `HMACAuthenticationPlan` of its OpenAPI).

use http::HeaderName;
use http::header::AUTHORIZATION;
use mainstay_domain::{Secret, Timestamp};
use subtle::Choice;

use super::secrets::same;
use super::{Hmac, Incoming, Refused, Secrets, reading};

const SECRET: HeaderName = HeaderName::from_static("x-vapi-secret");
const SIGNATURE: HeaderName = HeaderName::from_static("x-signature");

const CURE: &str = "Copy the token into the credential that this webhook has at Vapi, or the other way round.";

/// How Vapi proves that it is Vapi. Only the last mode protects the body and the moment; the other three send a token
/// that is the same each time, and hold only as long as the connection is TLS all the way.
#[derive(Clone, Debug)]
pub enum Vapi {
    /// The token in `X-Vapi-Secret`: the old `server.secret`, and its like among the credentials.
    SharedSecret {
        /// The tokens; each is good.
        secrets: Secrets,
    },
    /// The token in a header, after the word `Bearer` or alone.
    Bearer {
        /// The tokens; each is good.
        secrets: Secrets,
        /// Which header; `Authorization` unless the credential says otherwise.
        header: HeaderName,
        /// Whether `Bearer` stands before the token. It does unless the credential says otherwise.
        prefixed: bool,
    },
    /// An access token that Vapi has fetched from our own token endpoint, as `Authorization: Bearer`.
    OAuth2 {
        /// What was granted and may still be in use.
        granted: Vec<Granted>,
    },
    /// A signature over the moment and the body.
    Hmac(Hmac),
}

/// An access token of OAuth 2.0 that was given to Vapi.
#[derive(Clone, Debug)]
pub struct Granted {
    /// The token.
    pub token: Secret,
    /// The moment from which on it is good no longer.
    pub until: Timestamp,
}

impl Vapi {
    /// A bearer token as Vapi sends it unless told otherwise: `Authorization: Bearer`.
    #[must_use]
    pub fn bearer(secrets: Secrets) -> Self {
        Self::Bearer { secrets, header: AUTHORIZATION, prefixed: true }
    }

    /// A signature with the defaults of Vapi: `x-signature` has the HMAC-SHA256 of `{timestamp}.{body}` in hexadecimal,
    /// and `x-timestamp` the moment. The unit of the moment is not documented: the text of the header is what is
    /// signed, and a number from 10^11 on is taken for milliseconds.
    #[must_use]
    pub fn hmac(secrets: Secrets) -> Hmac {
        Hmac::new(SIGNATURE, secrets).with_timestamp(HeaderName::from_static("x-timestamp"))
    }

    pub(super) fn verify(&self, incoming: &Incoming<'_>) -> Result<(), Refused> {
        match self {
            Self::SharedSecret { secrets } => token(incoming, secrets, &SECRET, false),
            Self::Bearer { secrets, header, prefixed } => token(incoming, secrets, header, *prefixed),
            Self::OAuth2 { granted } => access_token(incoming, granted),
            Self::Hmac(hmac) => hmac.verify(incoming),
        }
    }
}

fn token(incoming: &Incoming<'_>, secrets: &Secrets, header: &HeaderName, prefixed: bool) -> Result<(), Refused> {
    let presented = presented(incoming, header, prefixed)?;
    if secrets.hold(presented) {
        return Ok(());
    }
    Err(Refused::Mismatch { header: header.clone(), cure: CURE })
}

fn access_token(incoming: &Incoming<'_>, granted: &[Granted]) -> Result<(), Refused> {
    let presented = presented(incoming, &AUTHORIZATION, true)?;
    let found = |granted: &&Granted| {
        let there = Choice::from(u8::from(!granted.token.is_empty()));
        bool::from(there & same(granted.token.expose().as_bytes(), presented.as_bytes()))
    };
    let Some(until) = granted.iter().filter(found).map(|granted| granted.until).max() else {
        return Err(Refused::Mismatch {
            header: AUTHORIZATION,
            cure: "The sender must fetch its access token from the token address of this webhook.",
        });
    };
    if incoming.now >= until {
        return Err(Refused::Stale { header: AUTHORIZATION, by: incoming.now.since(until) });
    }
    Ok(())
}

/// The token that a header presents. The word before it is `Bearer` in any case (RFC 6750, section 2.1).
fn presented<'a>(incoming: &Incoming<'a>, header: &HeaderName, prefixed: bool) -> Result<&'a str, Refused> {
    let text = reading::header(incoming.headers, header)?;
    let malformed = |why| Refused::Malformed { header: header.clone(), why };
    let presented = if prefixed {
        let (word, rest) = text.split_once(' ').unwrap_or(("", ""));
        if !word.eq_ignore_ascii_case("bearer") {
            return Err(malformed("it does not begin with the word Bearer and a space"));
        }
        rest.trim_start_matches(' ')
    } else {
        text
    };
    if presented.is_empty() {
        return Err(malformed("it has no token"));
    }
    Ok(presented)
}
