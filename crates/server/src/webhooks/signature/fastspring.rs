//! FastSpring (developer.fastspring.com, "Message security"): `X-FS-Signature` is the base64 of the HMAC-SHA256 of the
//! body. Nothing else is signed, so a repeat is found by the identities of its events alone.

use http::HeaderName;
use ring::hmac;

use super::{Encoding, Incoming, Refused, Secrets, reading};

const SIGNATURE: HeaderName = HeaderName::from_static("x-fs-signature");

/// FastSpring. Where no secret is set there, it sends no header, and is refused.
#[derive(Clone, Debug)]
pub struct FastSpring {
    /// The secrets; each is good. FastSpring has one for each webhook.
    pub secrets: Secrets,
}

impl FastSpring {
    pub(super) fn verify(&self, incoming: &Incoming<'_>) -> Result<(), Refused> {
        let text = reading::header(incoming.headers, &SIGNATURE)?;
        let length = hmac::HMAC_SHA256.digest_algorithm().output_len();
        let Some(tag) = reading::decoded(text, Encoding::Base64, length) else {
            return Err(Refused::Malformed { header: SIGNATURE, why: "it is not 32 bytes in base64" });
        };
        if self.secrets.made(hmac::HMAC_SHA256, &[incoming.body], &[tag]) {
            return Ok(());
        }
        Err(Refused::Mismatch { header: SIGNATURE, cure: reading::CURE })
    }
}
