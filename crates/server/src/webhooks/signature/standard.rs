//! Standard Webhooks 1.0.0 (standard-webhooks/standard-webhooks, `spec/standard-webhooks.md`), in both directions: what
//! arrives is checked, and what we send is signed. Only the symmetric kind, `v1`: signatures of other kinds in the same
//! header are passed over.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};
use mainstay_domain::{Entropy, Secret, Timestamp};
use ring::hmac;

use super::reading::{self, Unit};
use super::secrets::STANDARD_PREFIX;
use super::{Encoding, Incoming, Refused, Secrets, Window};

/// The most signatures in a header: one for each of the sender's secrets.
const MOST_SIGNATURES: usize = 20;
/// The length of a secret that we make, in bytes.
const SECRET_BYTES: usize = 32;

/// What the three headers are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeaderNames {
    /// `webhook-id`, `webhook-timestamp` and `webhook-signature`: the standard.
    #[default]
    Webhook,
    /// `svix-id`, `svix-timestamp` and `svix-signature`: the same from Svix, unless its customer has them renamed.
    Svix,
}

impl HeaderNames {
    /// Where the identity stands.
    #[must_use]
    pub const fn id(self) -> HeaderName {
        match self {
            Self::Webhook => HeaderName::from_static("webhook-id"),
            Self::Svix => HeaderName::from_static("svix-id"),
        }
    }

    /// Where the moment stands.
    #[must_use]
    pub const fn timestamp(self) -> HeaderName {
        match self {
            Self::Webhook => HeaderName::from_static("webhook-timestamp"),
            Self::Svix => HeaderName::from_static("svix-timestamp"),
        }
    }

    /// Where the signatures stand.
    #[must_use]
    pub const fn signature(self) -> HeaderName {
        match self {
            Self::Webhook => HeaderName::from_static("webhook-signature"),
            Self::Svix => HeaderName::from_static("svix-signature"),
        }
    }
}

/// Standard Webhooks.
#[derive(Clone, Debug)]
pub struct Standard {
    /// The secrets; each is good. They are made with [`Secrets::standard`].
    pub secrets: Secrets,
    /// What the headers are called.
    pub names: HeaderNames,
    /// How far the moment may lie from now.
    pub window: Window,
}

impl Standard {
    /// The names of the standard, and five minutes each way.
    #[must_use]
    pub fn new(secrets: Secrets) -> Self {
        Self { secrets, names: HeaderNames::Webhook, window: Window::default() }
    }

    pub(super) fn verify(&self, incoming: &Incoming<'_>) -> Result<(), Refused> {
        let signature = self.names.signature();
        let tags = tags(reading::header(incoming.headers, &signature)?)
            .map_err(|why| Refused::Malformed { header: signature.clone(), why })?;
        let id = reading::identity(incoming.headers, &self.names.id())?;
        let (timestamp, stated) = reading::moment(incoming.headers, &self.names.timestamp(), Unit::Seconds)?;
        if !self.secrets.made(hmac::HMAC_SHA256, &signed_parts(id, timestamp, incoming.body), &tags) {
            return Err(Refused::Mismatch { header: signature, cure: reading::CURE });
        }
        self.window.check(&self.names.timestamp(), stated, incoming.now)
    }
}

/// The signatures of kind `v1` in a header.
fn tags(text: &str) -> Result<Vec<Vec<u8>>, &'static str> {
    let mut tags = Vec::new();
    for (count, entry) in text.split(' ').enumerate() {
        if count == MOST_SIGNATURES {
            return Err("it has too many signatures");
        }
        let (kind, tag) = entry.split_once(',').ok_or("a signature in it has no version before it")?;
        if kind == "v1" {
            let length = hmac::HMAC_SHA256.digest_algorithm().output_len();
            let tag = reading::decoded(tag, Encoding::Base64, length);
            tags.push(tag.ok_or("a signature in it is not 32 bytes in base64")?);
        }
    }
    if tags.is_empty() { Err("it has no signature of version v1") } else { Ok(tags) }
}

fn signed_parts<'a>(id: &'a str, timestamp: &'a str, body: &'a [u8]) -> [&'a [u8]; 5] {
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", body]
}

/// The three headers of a delivery of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// `webhook-id`: the same in each attempt.
    pub id: HeaderValue,
    /// `webhook-timestamp`: the moment of this attempt, in seconds.
    pub timestamp: HeaderValue,
    /// `webhook-signature`: a signature for each secret.
    pub signature: HeaderValue,
}

impl Signed {
    /// The headers with the names of the standard.
    #[must_use]
    pub fn headers(self) -> [(HeaderName, HeaderValue); 3] {
        let names = HeaderNames::Webhook;
        [(names.id(), self.id), (names.timestamp(), self.timestamp), (names.signature(), self.signature)]
    }
}

/// Why a delivery cannot be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsignable {
    /// There is no secret.
    #[error("There is no secret to sign with.")]
    NoSecret,
    /// The identity could be mistaken for more than itself.
    #[error("The identity of a delivery has 1 to 256 printable ASCII characters, and neither a space nor a dot.")]
    Identity,
    /// The moment lies before 1970.
    #[error("The moment of a delivery lies before 1970.")]
    Moment,
}

/// Signs a delivery with every secret: while one is replaced the receiver may know the old one or the new one. Each
/// attempt is signed anew, with its own moment and the same identity.
///
/// # Errors
/// When there is no secret, or the identity or the moment cannot be signed.
pub fn sign(secrets: &Secrets, id: &str, at: Timestamp, body: &[u8]) -> Result<Signed, Unsignable> {
    if secrets.is_empty() {
        return Err(Unsignable::NoSecret);
    }
    if !reading::is_identity(id) {
        return Err(Unsignable::Identity);
    }
    let seconds = u64::try_from(at.as_seconds()).map_err(|_| Unsignable::Moment)?;
    let timestamp = seconds.to_string();
    let parts = signed_parts(id, &timestamp, body);
    let tags = secrets.tags(hmac::HMAC_SHA256, &parts);
    let signatures: Vec<String> = tags.map(|tag| format!("v1,{}", STANDARD.encode(tag))).collect();
    let value = |text: &str| HeaderValue::from_str(text).map_err(|_| Unsignable::Identity);
    Ok(Signed { id: value(id)?, timestamp: HeaderValue::from(seconds), signature: value(&signatures.join(" "))? })
}

/// Makes a new secret: `whsec_` and 32 random bytes in base64.
#[must_use]
pub fn generate_secret(entropy: &dyn Entropy) -> Secret {
    let mut key = [0; SECRET_BYTES];
    entropy.fill(&mut key);
    Secret::new(format!("{STANDARD_PREFIX}{}", STANDARD.encode(key)))
}
