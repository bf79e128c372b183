//! An HMAC in a header, with what differs between senders as settings. GitHub, Shopify, Slack and Cal.com sign like
//! this, and so does Vapi in its fourth mode.

use http::HeaderName;
use ring::hmac;

use super::format::Piece;
use super::reading::{self, Unit};
use super::{Incoming, PayloadFormat, Refused, Secrets, Window};

/// The hash of an HMAC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// SHA-1, for senders that know no other. As an HMAC it is not broken.
    Sha1,
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    fn of_ring(self) -> hmac::Algorithm {
        match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }
}

/// How a signature is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Hexadecimal, small or capital.
    #[default]
    Hex,
    /// Base64 with padding.
    Base64,
}

/// An HMAC in a header.
#[derive(Clone, Debug)]
pub struct Hmac {
    /// The secrets; each is good.
    pub secrets: Secrets,
    /// Where the signature stands.
    pub signature_header: HeaderName,
    /// What stands before it in the header, such as `sha256=`; empty for nothing.
    pub prefix: String,
    /// The hash.
    pub algorithm: Algorithm,
    /// How the signature is written.
    pub encoding: Encoding,
    /// What is signed.
    pub format: PayloadFormat,
    /// Where the moment stands, in seconds or milliseconds since 1970; used when the format has `{timestamp}`.
    pub timestamp_header: HeaderName,
    /// Where the identity stands; used when the format has `{svix-id}`.
    pub id_header: HeaderName,
    /// How far the moment may lie from now.
    pub window: Window,
}

impl Hmac {
    /// HMAC-SHA256 of the body in hexadecimal. Change the fields for what the sender does otherwise.
    #[must_use]
    pub fn new(signature_header: HeaderName, secrets: Secrets) -> Self {
        Self {
            secrets,
            signature_header,
            prefix: String::new(),
            algorithm: Algorithm::Sha256,
            encoding: Encoding::Hex,
            format: PayloadFormat::body(),
            timestamp_header: HeaderName::from_static("x-timestamp"),
            id_header: HeaderName::from_static("svix-id"),
            window: Window::default(),
        }
    }

    /// The same with a moment that is signed before the body, as `{timestamp}.{body}`.
    #[must_use]
    pub fn with_timestamp(self, header: HeaderName) -> Self {
        Self { timestamp_header: header, format: PayloadFormat::timestamp_and_body(), ..self }
    }

    pub(super) fn verify(&self, incoming: &Incoming<'_>) -> Result<(), Refused> {
        let malformed = |why| Refused::Malformed { header: self.signature_header.clone(), why };
        let text = reading::header(incoming.headers, &self.signature_header)?;
        let text = text.strip_prefix(&self.prefix).ok_or_else(|| malformed("it does not begin with its prefix"))?;
        let algorithm = self.algorithm.of_ring();
        let length = algorithm.digest_algorithm().output_len();
        let tag = reading::decoded(text, self.encoding, length)
            .ok_or_else(|| malformed("it is not a signature of this length and encoding"))?;

        let needs = |piece: &Piece| self.format.has(piece);
        let moment = needs(&Piece::Timestamp)
            .then(|| reading::moment(incoming.headers, &self.timestamp_header, Unit::Either))
            .transpose()?;
        let id = if needs(&Piece::Id) { self.id(incoming)? } else { "" };

        let timestamp = moment.map_or("", |(text, _)| text);
        let part = |piece| match piece {
            &Piece::Body => incoming.body,
            Piece::Text(text) => text.as_bytes(),
            Piece::Timestamp => timestamp.as_bytes(),
            // Webhooks come by POST and in no other way.
            Piece::Method => b"POST",
            Piece::Url => incoming.url.as_bytes(),
            Piece::Id => id.as_bytes(),
        };
        let parts: Vec<&[u8]> = self.format.pieces().iter().map(part).collect();
        if !self.secrets.made(algorithm, &parts, &[tag]) {
            return Err(Refused::Mismatch { header: self.signature_header.clone(), cure: reading::CURE });
        }
        // After the signature, so that "stale" is only ever said of what the sender did make.
        moment.map_or(Ok(()), |(_, stated)| self.window.check(&self.timestamp_header, stated, incoming.now))
    }

    /// The identity. Its characters are none of those that a format may have between two places.
    fn id<'a>(&self, incoming: &Incoming<'a>) -> Result<&'a str, Refused> {
        let id = reading::identity(incoming.headers, &self.id_header)?;
        if id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
            return Ok(id);
        }
        Err(Refused::Malformed {
            header: self.id_header.clone(),
            why: "it has other characters than letters, digits, hyphens and underscores",
        })
    }
}
