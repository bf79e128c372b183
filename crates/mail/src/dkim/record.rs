//! The record of a public key in the DNS (RFC 6376, 3.6.1; RFC 8463, 4).

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::Key;
use crate::tags::{shown, tag, tags};

/// Records are typed by people, and verifiers take a key without its padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);
/// The tags of DER that stand in a key.
const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 2;
const BIT_STRING: u8 = 3;

/// A public key as its record tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    kind: String,
    bytes: Vec<u8>,
}

impl From<&Key> for PublicKey {
    fn from(key: &Key) -> Self {
        Self { kind: key.kind().to_owned(), bytes: key.public() }
    }
}

impl PublicKey {
    /// `rsa`, `ed25519`, or what else a record says.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The record to publish, a TXT: `v=DKIM1; k=rsa; p=...`. One longer than 255 bytes is written to the zone in several
    /// strings.
    #[must_use]
    pub fn record(&self) -> String {
        format!("v=DKIM1; k={}; p={}", self.kind, STANDARD.encode(&self.bytes))
    }

    /// The bits of the modulus of an RSA key. `None` for a key of another kind, and for bytes that are no key.
    #[must_use]
    pub fn bits(&self) -> Option<usize> {
        let (modulus, _) = self.numbers()?;
        let first = modulus.first()?;
        Some(modulus.len() * 8 - usize::try_from(first.leading_zeros()).unwrap_or_default())
    }

    /// Whether the bytes can be a key of its kind at all.
    #[must_use]
    pub(crate) fn is_whole(&self) -> bool {
        match self.kind.as_str() {
            "rsa" => self.bits().is_some(),
            "ed25519" => self.bytes.len() == 32,
            _ => false,
        }
    }

    /// Whether it is the same key. RSA stands in records in two forms, with and without what says that it is RSA.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.kind == other.kind
            && (self.bytes == other.bytes || self.numbers().is_some_and(|numbers| Some(numbers) == other.numbers()))
    }

    /// The modulus and the exponent of RSA, without zeros before them.
    fn numbers(&self) -> Option<(&[u8], &[u8])> {
        if self.kind != "rsa" {
            return None;
        }
        let (inside, _) = der(SEQUENCE, &self.bytes)?;
        // A SubjectPublicKeyInfo begins with what kind it is, a bare RSAPublicKey with the modulus.
        let numbers = match der(SEQUENCE, inside) {
            Some((_, rest)) => {
                let (bits, _) = der(BIT_STRING, rest)?;
                der(SEQUENCE, bits.strip_prefix(&[0])?)?.0
            }
            None => inside,
        };
        let (modulus, rest) = der(INTEGER, numbers)?;
        let (exponent, _) = der(INTEGER, rest)?;
        Some((without_zeros(modulus), without_zeros(exponent)))
    }
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// The value of DER at the beginning, which has to have this tag, and what comes after it.
fn der(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = if length < 0x80 {
        (usize::from(length), rest)
    } else {
        let (long, rest) = rest.split_at_checked(usize::from(length & 0x7f)).filter(|(long, _)| long.len() <= 4)?;
        (long.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
    };
    (first == tag).then(|| rest.split_at_checked(length)).flatten()
}

/// What the record of a key says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct KeyRecord {
    /// The key. `None` where it was taken back: `p` is there and empty.
    pub(crate) key: Option<PublicKey>,
    /// Whether it says that it is only a test (`t=y`): verifiers then treat the mail as if it were not signed.
    pub(crate) testing: bool,
}

impl KeyRecord {
    /// Reads a record, with the defaults of the tags that are not there.
    ///
    /// # Errors
    /// Why verifiers would not take it for mail that is signed as ours is (SHA-256), in words.
    pub(crate) fn read(text: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(text).map_err(|_| "it has bytes that are no text".to_owned())?;
        let tags = tags(text)?;
        if let Some(place) = tags.iter().position(|(name, _)| *name == "v") {
            if place > 0 {
                return Err("v=DKIM1 has to stand first".to_owned());
            }
            if tag(&tags, "v") != Some("DKIM1") {
                return Err("its version is not DKIM1".to_owned());
            }
        }
        let Some(key) = tag(&tags, "p") else { return Err("it has no key (p=)".to_owned()) };
        let lists = |name: &str, wanted: &[&str]| {
            tag(&tags, name).is_none_or(|list| list.split(':').any(|one| wanted.contains(&one.trim())))
        };
        if !lists("h", &["sha256"]) {
            return Err("it does not allow sha256 (h=)".to_owned());
        }
        if !lists("s", &["*", "email"]) {
            return Err("it is not for email (s=)".to_owned());
        }
        let testing = tag(&tags, "t").is_some_and(|list| list.split(':').any(|flag| flag.trim() == "y"));
        let kind = tag(&tags, "k").unwrap_or("rsa").to_ascii_lowercase();
        let key: String = key.split_whitespace().collect();
        if key.is_empty() {
            return Ok(Self { key: None, testing });
        }
        let bytes = LENIENT.decode(key).map_err(|_| "its key (p=) is not in base64".to_owned())?;
        let key = PublicKey { kind, bytes };
        if !key.is_whole() {
            return Err(format!("its key (p=) is none of the kind {}", shown(&key.kind)));
        }
        Ok(Self { key: Some(key), testing })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ED25519: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    fn rsa() -> PublicKey {
        let bytes = include_bytes!("../../tests/keys/rsa2048.public.der").to_vec();
        PublicKey { kind: "rsa".to_owned(), bytes }
    }

    fn read(text: &str) -> Result<KeyRecord, String> {
        KeyRecord::read(text.as_bytes())
    }

    #[test]
    fn a_record_is_read_back_as_it_was_written() {
        let key = rsa();
        assert_eq!(key.bits(), Some(2048));
        assert_eq!(read(&key.record()), Ok(KeyRecord { key: Some(key.clone()), testing: false }));
        let spread = key.record().replace("p=", "p= ").replace("AQ", "A\r\n Q");
        assert_eq!(read(&spread).unwrap().key, Some(key.clone()));
        assert_eq!(read(&key.record().replace("v=DKIM1; k=rsa; ", "")).unwrap().key, Some(key));
        let short = read(&format!("v=DKIM1; k=ed25519; t=s:y; h=sha1:sha256; s=*; p={ED25519}")).unwrap();
        assert!(short.testing);
        assert_eq!(short.key.as_ref().map(PublicKey::kind), Some("ed25519"));
        assert_eq!(short.key.unwrap().bits(), None);
        assert_eq!(read("v=DKIM1; p="), Ok(KeyRecord { key: None, testing: false }));
    }

    #[test]
    fn both_forms_of_rsa_are_one_key() {
        let whole = rsa();
        let bare = PublicKey { bytes: whole.bytes[24..].to_vec(), ..whole.clone() };
        assert_eq!(bare.bits(), Some(2048));
        assert!(whole.is_same(&bare) && bare.is_same(&whole) && whole.is_same(&whole));
        let mut other = whole.clone();
        other.bytes[100] ^= 1;
        assert!(!whole.is_same(&other));
        let named = PublicKey { kind: "ed25519".to_owned(), ..whole.clone() };
        assert!(!whole.is_same(&named));
    }

    #[test]
    fn what_no_verifier_takes_is_refused_with_a_reason() {
        let good = rsa().record();
        for (bad, why) in [
            ("v=DKIM1".to_owned(), "no key"),
            (good.replace("DKIM1", "DKIM2"), "version"),
            (format!("k=rsa; {}", good.replace("k=rsa; ", "")), "first"),
            (good.replace("k=rsa", "k=rsa; h=sha1"), "sha256"),
            (good.replace("k=rsa", "k=rsa; s=tlsrpt"), "email"),
            (good.replace("k=rsa", "k=ed25519"), "none of the kind"),
            ("v=DKIM1; p=****".to_owned(), "base64"),
            ("v=DKIM1; p=AAAA".to_owned(), "none of the kind rsa"),
            ("v=DKIM1; p".to_owned(), "no ="),
        ] {
            assert!(read(&bad).unwrap_err().contains(why), "{bad}");
        }
        assert!(KeyRecord::read(b"p=\xff").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in "rsa|ed25519") {
            let _ = KeyRecord::read(&bytes);
            let key = PublicKey { kind, bytes };
            let _ = (key.bits(), key.is_whole());
            let _ = KeyRecord::read(key.record().as_bytes());
        }

        #[test]
        fn a_key_with_a_wrong_byte_is_read_without_harm(place in 0_usize..294, byte in any::<u8>()) {
            let mut key = rsa();
            key.bytes[place] = byte;
            let _ = (key.bits(), key.is_same(&rsa()));
        }
    }
}
