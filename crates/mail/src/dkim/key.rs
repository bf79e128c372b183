//! Keys that sign: RSA of 2048 bits and more, and Ed25519.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mainstay_domain::{Entropy, FieldFault, Secret};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;

/// What stands before the 32 bytes of an Ed25519 key in PKCS#8 (RFC 8410).
const ED25519_PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
/// The identifier of RSA in the form that a public key has in the DNS (RFC 8017, A.1).
const RSA_ALGORITHM: [u8; 15] = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1, 5, 0];
/// The fewest bits of an RSA key.
const FEWEST_BITS: usize = 2048;

/// A private key. It does not print.
pub struct Key(Kind);

enum Kind {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, ***)", self.kind())
    }
}

impl Key {
    /// Reads a key in PEM: PKCS#8 (RSA, Ed25519) or PKCS#1 (RSA), as `openssl genpkey -algorithm RSA -pkeyopt
    /// rsa_keygen_bits:2048` and `openssl genrsa` write them.
    ///
    /// # Errors
    /// When it is none of these, is encrypted, or is RSA of fewer than 2048 bits. The text of the key is in no error.
    pub fn from_pem(pem: &Secret) -> Result<Self, FieldFault> {
        let how = "Paste an unencrypted private key in PEM: PKCS#8 or PKCS#1, RSA of at least 2048 bits or Ed25519. \
                   `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048` makes one.";
        let refused = |why: &str| FieldFault::new("key", "invalid_key", format!("{why} {how}"));
        match PrivateKeyDer::from_pem_slice(pem.expose().as_bytes()) {
            Ok(PrivateKeyDer::Pkcs1(der)) => {
                Self::rsa(RsaKeyPair::from_der(der.secret_pkcs1_der())).map_err(|why| refused(&why))
            }
            Ok(PrivateKeyDer::Pkcs8(der)) => {
                let der = der.secret_pkcs8_der();
                match Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
                    Ok(pair) => Ok(Self(Kind::Ed25519(Box::new(pair)))),
                    Err(_) => Self::rsa(RsaKeyPair::from_pkcs8(der)).map_err(|why| refused(&why)),
                }
            }
            Ok(_) => Err(refused("This is a key of another kind.")),
            Err(_) => Err(refused("No private key was found in it.")),
        }
    }

    fn rsa(pair: Result<RsaKeyPair, ring::error::KeyRejected>) -> Result<Self, String> {
        let pair = pair.map_err(|why| format!("The key was not taken ({why})."))?;
        let bits = pair.public().modulus_len() * 8;
        if bits < FEWEST_BITS {
            return Err(format!("It has {bits} bits."));
        }
        Ok(Self(Kind::Rsa(Box::new(pair))))
    }

    /// An Ed25519 key of these 32 bytes.
    ///
    /// # Errors
    /// None with 32 bytes; the library's word is passed on.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, FieldFault> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed);
        let pair =
            pair.map_err(|why| FieldFault::new("key", "invalid_key", format!("The key was not taken ({why}).")))?;
        Ok(Self(Kind::Ed25519(Box::new(pair))))
    }

    /// A new Ed25519 key in PEM (PKCS#8).
    ///
    /// Many receivers read RSA alone, so it is good beside an RSA key and not in its place. RSA keys are made outside: with
    /// `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048`.
    #[must_use]
    pub fn make(entropy: &dyn Entropy) -> Secret {
        let mut der = [0; 48];
        let (head, seed) = der.split_at_mut(ED25519_PKCS8.len());
        head.copy_from_slice(&ED25519_PKCS8);
        entropy.fill(seed);
        // The label is put together so that a search for keys in the sources finds none.
        let label = ["PRIVATE", "KEY"].join(" ");
        Secret::new(format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der)))
    }

    /// `rsa` or `ed25519`, as in the record and in the signature.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.0 {
            Kind::Rsa(_) => "rsa",
            Kind::Ed25519(_) => "ed25519",
        }
    }

    /// The public key as its record has it: the bare 32 bytes of Ed25519, the SubjectPublicKeyInfo of RSA.
    #[must_use]
    pub fn public(&self) -> Vec<u8> {
        match &self.0 {
            Kind::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
            Kind::Rsa(pair) => {
                let mut bits = vec![0];
                bits.extend_from_slice(pair.public_key().as_ref());
                let mut inside = RSA_ALGORITHM.to_vec();
                put_der(&mut inside, 3, &bits);
                let mut whole = Vec::with_capacity(inside.len() + 4);
                put_der(&mut whole, 0x30, &inside);
                whole
            }
        }
    }

    /// Signs bytes: of their SHA-256 hash, as both kinds do in DKIM.
    pub(super) fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, FieldFault> {
        match &self.0 {
            Kind::Ed25519(pair) => {
                let hash = ring::digest::digest(&ring::digest::SHA256, bytes);
                Ok(pair.sign(hash.as_ref()).as_ref().to_vec())
            }
            Kind::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                let signed = pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), bytes, &mut signature);
                signed.map_err(|_| FieldFault::new("key", "invalid_key", "The key could not sign; make a new one."))?;
                Ok(signature)
            }
        }
    }
}

/// Writes one value of DER: its tag, its length, its bytes.
fn put_der(into: &mut Vec<u8>, tag: u8, value: &[u8]) {
    into.push(tag);
    let length = value.len();
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => into.push(short),
        _ => {
            let bytes = length.to_be_bytes();
            let significant: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
            into.push(0x80 | u8::try_from(significant.len()).unwrap_or_default());
            into.extend(significant);
        }
    }
    into.extend_from_slice(value);
}
