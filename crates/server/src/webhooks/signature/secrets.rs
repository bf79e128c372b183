//! The secrets of one webhook: the present one and, while it is replaced, those before it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mainstay_domain::Secret;
use ring::digest::{SHA256, digest};
use ring::hmac;
use subtle::{Choice, ConstantTimeEq as _};

/// The most secrets of one webhook: each is tried for each request.
pub const MOST_SECRETS: usize = 10;
/// The longest secret, in bytes. The senders that are known stay under 100.
const MOST_BYTES: usize = 1024;
/// The bounds of Standard Webhooks 1.0.0, in bytes: 192 to 512 bits.
const STANDARD_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// What a secret of Standard Webhooks begins with.
pub(super) const STANDARD_PREFIX: &str = "whsec_";

/// Secrets that may sign. None of them is empty; there may be none at all, and then nothing is genuine.
#[derive(Clone, Default)]
pub struct Secrets(Vec<Box<[u8]>>);

/// Why a text is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSecret {
    /// Nothing is there, and anybody can sign with nothing.
    #[error("A secret is empty. Leave it out, or copy the one of the sender.")]
    Empty,
    /// More than are tried.
    #[error("There are more than {MOST_SECRETS} secrets. Take out those that no sender uses any more.")]
    TooMany,
    /// It should be base64 and is not.
    #[error("A secret is not base64. Copy it whole from the sender; one of Standard Webhooks begins with whsec_.")]
    NotBase64,
    /// It has too few bytes for its scheme, or too many.
    #[error("A secret has {bytes} bytes; from {least} to {most} are taken. Make a new one at the sender.")]
    Length {
        /// How many it has.
        bytes: usize,
        /// The fewest.
        least: usize,
        /// The most.
        most: usize,
    },
}

impl BadSecret {
    /// A stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Empty => "secret_empty",
            Self::TooMany => "too_many_secrets",
            Self::NotBase64 => "secret_not_base64",
            Self::Length { .. } => "secret_length",
        }
    }

    /// What is wrong, and what to do about it.
    #[must_use]
    pub fn detail(self) -> String {
        self.to_string()
    }
}

impl Secrets {
    /// Secrets whose characters are the key.
    ///
    /// # Errors
    /// When one is empty or too long, or there are too many.
    pub fn text(secrets: &[Secret]) -> Result<Self, BadSecret> {
        Self::read(secrets, |secret| Ok(secret.as_bytes().to_vec()))
    }

    /// Secrets that are written in base64.
    ///
    /// # Errors
    /// When one is not base64, empty or too long, or there are too many.
    pub fn base64(secrets: &[Secret]) -> Result<Self, BadSecret> {
        Self::read(secrets, decoded)
    }

    /// Secrets of Standard Webhooks 1.0.0: `whsec_` and base64 of 24 to 64 bytes. The prefix may be missing, as in the
    /// settings of some senders.
    ///
    /// # Errors
    /// When one is not of that form, or there are too many.
    pub fn standard(secrets: &[Secret]) -> Result<Self, BadSecret> {
        Self::read(secrets, |secret| {
            let bytes = decoded(secret.strip_prefix(STANDARD_PREFIX).unwrap_or(secret))?;
            if bytes.is_empty() || STANDARD_BYTES.contains(&bytes.len()) {
                return Ok(bytes);
            }
            Err(BadSecret::Length { bytes: bytes.len(), least: *STANDARD_BYTES.start(), most: *STANDARD_BYTES.end() })
        })
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn read(secrets: &[Secret], key: impl Fn(&str) -> Result<Vec<u8>, BadSecret>) -> Result<Self, BadSecret> {
        if secrets.len() > MOST_SECRETS {
            return Err(BadSecret::TooMany);
        }
        let read = secrets.iter().map(|secret| {
            let bytes = key(secret.expose())?;
            match bytes.len() {
                0 => Err(BadSecret::Empty),
                1..=MOST_BYTES => Ok(bytes.into_boxed_slice()),
                bytes => Err(BadSecret::Length { bytes, least: 1, most: MOST_BYTES }),
            }
        });
        read.collect::<Result<_, _>>().map(Self)
    }

    /// Whether one of these tags is the one that one of the secrets makes of the parts, one after another.
    pub(super) fn made(&self, algorithm: hmac::Algorithm, parts: &[&[u8]], tags: &[Vec<u8>]) -> bool {
        self.tags(algorithm, parts).any(|made| tags.iter().any(|tag| made.as_ref().ct_eq(tag).into()))
    }

    /// The tag that each secret makes of the parts, one after another.
    pub(super) fn tags(&self, algorithm: hmac::Algorithm, parts: &[&[u8]]) -> impl Iterator<Item = hmac::Tag> {
        self.0.iter().map(move |secret| {
            let mut context = hmac::Context::with_key(&hmac::Key::new(algorithm, secret));
            parts.iter().for_each(|part| context.update(part));
            context.sign()
        })
    }

    /// Whether this is one of the secrets.
    pub(super) fn hold(&self, presented: &str) -> bool {
        self.0.iter().fold(Choice::from(0), |found, secret| found | same(secret, presented.as_bytes())).into()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({} of ***)", self.0.len())
    }
}

/// Whether two values are the same. The digests are compared: they have one length, so that the time tells neither
/// where the values differ nor how long the secret is.
pub(super) fn same(secret: &[u8], presented: &[u8]) -> Choice {
    digest(&SHA256, secret).as_ref().ct_eq(digest(&SHA256, presented).as_ref())
}

fn decoded(text: &str) -> Result<Vec<u8>, BadSecret> {
    STANDARD.decode(text).map_err(|_| BadSecret::NotBase64)
}
