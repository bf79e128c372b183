//! Signatures of a domain over a message (DKIM, RFC 6376), with RSA or Ed25519 (RFC 8463), relaxed in both parts.

mod canonical;
mod key;
mod record;

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mainstay_domain::{FieldFault, Timestamp};
use ring::digest::{SHA256, digest};

use canonical::{body, header, headers, picked};
pub use key::Key;
pub(crate) use record::KeyRecord;
pub use record::PublicKey;

/// What is signed of a message, where it is there. `From` is signed once more than it is there, so that nobody can add one.
///
/// RFC 8058 asks for the two of unsubscribing; large receivers ask for the rest: Gmail counts by `Feedback-ID` only where it is signed.
pub const SIGNED: [&str; 15] = [
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "Reply-To",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "In-Reply-To",
    "References",
    "List-Id",
    "Feedback-ID",
];
/// How much of the signature stands on one line.
const CHUNK: usize = 72;

/// Signs for a domain.
#[derive(Debug)]
pub struct Signer {
    domain: String,
    selector: String,
    key: Key,
}

impl Signer {
    /// A signer whose public key is told at `selector._domainkey.domain`.
    ///
    /// # Errors
    /// When the domain or the selector is no name of the DNS in ASCII.
    pub fn new(domain: &str, selector: &str, key: Key) -> Result<Self, FieldFault> {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        for (field, name) in [("domain", domain), ("selector", selector)] {
            if name.len() > 200 || !name.split('.').all(label) {
                let why = "It is a name of the DNS: labels of ASCII letters, digits and hyphens with dots between.";
                return Err(FieldFault::new(field, "invalid", why));
            }
        }
        Ok(Self { domain: domain.to_ascii_lowercase(), selector: selector.to_ascii_lowercase(), key })
    }

    /// The domain that signs.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The name of the key within its domain.
    #[must_use]
    pub fn selector(&self) -> &str {
        &self.selector
    }

    /// What others verify with.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey::from(&self.key)
    }

    /// Where the record of the public key belongs.
    #[must_use]
    pub fn record_name(&self) -> String {
        format!("{}._domainkey.{}", self.selector, self.domain)
    }

    /// The record itself, as [`PublicKey::record`] gives it.
    #[must_use]
    pub fn record(&self) -> String {
        self.public_key().record()
    }

    /// The header `DKIM-Signature`, folded and with its end, to be put before the message.
    ///
    /// # Errors
    /// When the key cannot sign; the message is not looked at in a way that could fail.
    pub fn signature(&self, message: &[u8], at: Timestamp) -> Result<String, FieldFault> {
        let (fields, text) = headers(message);
        let names = self.names(&fields);
        let mut line = format!(
            "DKIM-Signature: v=1; a={}-sha256; c=relaxed/relaxed;\r\n d={};\r\n s={}; t={};\r\n",
            self.key.kind(),
            self.domain,
            self.selector,
            at.as_seconds()
        );
        line.push_str(" h=");
        let mut column = 3;
        for (place, name) in names.iter().enumerate() {
            if place > 0 {
                line.push(':');
                column += 1;
                if column + name.len() > CHUNK {
                    line.push_str("\r\n ");
                    column = 1;
                }
            }
            line.push_str(name);
            column += name.len();
        }
        let hash = STANDARD.encode(digest(&SHA256, &body(text)));
        let _ = write!(line, ";\r\n bh={hash};\r\n b=");
        let signed = signed_bytes(&fields, &names, &line);
        let signature = STANDARD.encode(self.key.sign(&signed)?);
        for (place, chunk) in signature.as_bytes().chunks(CHUNK).enumerate() {
            if place > 0 {
                line.push_str("\r\n ");
            }
            line.push_str(std::str::from_utf8(chunk).unwrap_or_default());
        }
        line.push_str("\r\n");
        Ok(line)
    }

    fn names(&self, fields: &[(&str, &[u8])]) -> Vec<&'static str> {
        let count = |name: &str| fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name)).count();
        let times = |name: &'static str| count(name) + usize::from(name == "From");
        SIGNED.into_iter().flat_map(|name| std::iter::repeat_n(name, times(name))).collect()
    }
}

/// What the key signs: the named fields, and then the signature's own without its value.
fn signed_bytes(fields: &[(&str, &[u8])], names: &[&str], own: &str) -> Vec<u8> {
    let mut signed = Vec::with_capacity(2_048);
    for (name, value) in picked(fields, names) {
        header(&mut signed, name, value);
        signed.extend_from_slice(b"\r\n");
    }
    let (name, value) = own.split_once(':').unwrap_or((own, ""));
    header(&mut signed, name, value.as_bytes());
    signed
}

/// Puts the signatures of all signers before a message: with both kinds of key a receiver takes the one that it knows.
///
/// # Errors
/// As [`Signer::signature`].
pub fn sign(message: &[u8], signers: &[Signer], at: Timestamp) -> Result<Vec<u8>, FieldFault> {
    let mut signed = Vec::with_capacity(message.len() + signers.len() * 900);
    for signer in signers {
        signed.extend_from_slice(signer.signature(message, at)?.as_bytes());
    }
    signed.extend_from_slice(message);
    Ok(signed)
}

#[cfg(test)]
mod tests;
