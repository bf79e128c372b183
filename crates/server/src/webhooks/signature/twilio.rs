//! Twilio (twilio/twilio-python, `request_validator.py`): `X-Twilio-Signature` is the base64 of an HMAC-SHA1, keyed with
//! the auth token, of the address and the fields of the form.
//!
//! No moment is signed, so a repeat is found by the identity of the event alone. Names and values are signed without
//! anything between them, so that the same signature fits `Digits=12` and `Digits1=2`: take from a body only the fields
//! that are known.

use std::collections::{BTreeMap, BTreeSet};

use http::HeaderName;
use ring::digest::{SHA256, digest};
use ring::hmac;
use subtle::ConstantTimeEq as _;

use super::{Encoding, Incoming, Refused, Secrets, reading};
use crate::webhooks::form;

const SIGNATURE: HeaderName = HeaderName::from_static("x-twilio-signature");
/// What the query has when the body is no form.
const BODY_HASH: &str = "bodySHA256";

const CURE: &str = "Check that it is the auth token of this account, and that the public address of this server is, to \
                    the letter, the one that Twilio was given.";

/// Twilio.
#[derive(Clone, Debug)]
pub struct Twilio {
    /// The auth tokens; each is good, so that the secondary one can become the primary.
    pub secrets: Secrets,
}

impl Twilio {
    pub(super) fn verify(&self, incoming: &Incoming<'_>) -> Result<(), Refused> {
        let text = reading::header(incoming.headers, &SIGNATURE)?;
        let algorithm = hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY;
        let Some(tag) = reading::decoded(text, Encoding::Base64, algorithm.digest_algorithm().output_len()) else {
            return Err(malformed("it is not 20 bytes in base64"));
        };
        // Settings for retries stand behind the number sign and are not signed.
        let url = incoming.url.split('#').next().unwrap_or_default();
        let fields = signed_fields(incoming, url)?;
        let tags = [tag];
        let made = |url: &String| self.secrets.made(algorithm, &[url.as_bytes(), fields.as_bytes()], &tags);
        if addresses(url).iter().any(made) { Ok(()) } else { Err(Refused::Mismatch { header: SIGNATURE, cure: CURE }) }
    }
}

fn malformed(why: &'static str) -> Refused {
    Refused::Malformed { header: SIGNATURE, why }
}

/// What is signed after the address. A body that is no form must have its hash in the address, or it is not signed at
/// all.
fn signed_fields(incoming: &Incoming<'_>, url: &str) -> Result<String, Refused> {
    let fields = if form::is_form(incoming.headers) {
        form::fields(incoming.body).map_err(|_| malformed("the form that it signs cannot be read"))?
    } else {
        Vec::new()
    };
    if fields.is_empty() {
        check_hash(incoming.body, url)?;
    }
    let mut sorted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in &fields {
        sorted.entry(name).or_default().insert(value);
    }
    let mut signed = String::with_capacity(incoming.body.len());
    for (name, values) in sorted {
        for value in values {
            signed.push_str(name);
            signed.push_str(value);
        }
    }
    Ok(signed)
}

fn check_hash(body: &[u8], url: &str) -> Result<(), Refused> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let mut hashes = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == BODY_HASH);
    let Some((_, hash)) = hashes.next() else {
        if body.is_empty() {
            return Ok(());
        }
        return Err(malformed(
            "the body is no form, and the address has no bodySHA256, so that nothing signs the body",
        ));
    };
    if hashes.next().is_some() {
        return Err(malformed("the address has bodySHA256 more than once"));
    }
    let Some(hash) = reading::decoded(&hash, Encoding::Hex, SHA256.output_len()) else {
        return Err(malformed("bodySHA256 in the address is not 32 bytes in hexadecimal"));
    };
    if digest(&SHA256, body).as_ref().ct_eq(&hash).into() {
        return Ok(());
    }
    Err(Refused::Mismatch {
        header: SIGNATURE,
        cure: "The body is not the one that bodySHA256 in the address names: let nothing on the way change it.",
    })
}

/// The address without its port, and with one. Twilio signs now the one and now the other, and its own libraries take
/// both.
pub(super) fn addresses(url: &str) -> [String; 2] {
    let Some((scheme, rest)) = url.split_once("://") else { return [url.to_owned(), url.to_owned()] };
    let (authority, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    // The colon of a port is the last one, behind a name and password and behind an IPv6 address in brackets.
    let colon = authority.rfind(':').filter(|colon| {
        let port = &authority[colon + 1..];
        !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
    });
    let (without, with) = match colon {
        Some(colon) => (&authority[..colon], authority.to_owned()),
        None => {
            let secure = ["https", "wss"].iter().any(|secure| scheme.eq_ignore_ascii_case(secure));
            (authority, format!("{authority}:{}", if secure { 443 } else { 80 }))
        }
    };
    [format!("{scheme}://{without}{tail}"), format!("{scheme}://{with}{tail}")]
}
