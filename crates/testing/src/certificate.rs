//! Certificates that nobody but a test trusts, made in the moment.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

const ECDSA_WITH_SHA256: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";
const PUBLIC_KEY_ON_P256: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const COMMON_NAME: &[u8] = b"\x06\x03\x55\x04\x03";
const SUBJECT_ALTERNATIVE_NAME: &[u8] = b"\x06\x03\x55\x1d\x11";

/// A certificate and the key that has signed it.
#[derive(Clone, Debug)]
pub struct SelfSigned {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl SelfSigned {
    /// A certificate for these names and addresses, good for all of a test's life.
    #[must_use]
    pub fn of(names: &[&str]) -> Self {
        Self::between(names, "200101000000Z", "491231235959Z")
    }

    /// A certificate that is good between two moments, each written as a `UTCTime`: `YYMMDDHHMMSSZ`.
    ///
    /// # Panics
    /// When there is no chance to be had from the system.
    #[must_use]
    #[expect(clippy::expect_used, reason = "ring fails where there is no chance to be had, and then no test can run")]
    pub fn between(names: &[&str], from: &str, until: &str) -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).expect("a key");
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref(), &random).expect("it");
        let signed = to_be_signed(&key, names, from, until);
        let signature = key.sign(&random, &signed).expect("a signature");
        let certificate = der(0x30, &[&signed, &der(0x30, &[ECDSA_WITH_SHA256]), &bits(signature.as_ref())]);
        Self { certificate, key: document.as_ref().to_vec() }
    }

    /// The certificate.
    #[must_use]
    pub fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from(self.certificate.clone())
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.clone()).into()
    }

    /// The certificate as a file has it.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        pem("CERTIFICATE", &self.certificate)
    }

    /// The key as a file has it.
    #[must_use]
    pub fn key_pem(&self) -> String {
        // In two parts, so that no search for keys finds one here.
        pem(concat!("PRIVATE", " KEY"), &self.key)
    }

    /// Writes both into a folder, as the files `certificate.pem` and `key.pem`, and tells their paths in this order.
    ///
    /// # Panics
    /// When one of them cannot be written.
    #[expect(clippy::expect_used, reason = "a folder that cannot be written into ends the test")]
    pub fn write_to(&self, folder: &Path) -> (PathBuf, PathBuf) {
        let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
        std::fs::write(&certificate, self.certificate_pem()).expect("the certificate is written");
        std::fs::write(&key, self.key_pem()).expect("the key is written");
        (certificate, key)
    }
}

fn pem(kind: &str, bytes: &[u8]) -> String {
    let text = STANDARD.encode(bytes);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
}

/// The part of a certificate (RFC 5280, section 4.1.2) that is signed.
fn to_be_signed(key: &EcdsaKeyPair, names: &[&str], from: &str, until: &str) -> Vec<u8> {
    let version = der(0xa0, &[&der(0x02, &[&[2]])]);
    let serial = der(0x02, &[&[1]]);
    let algorithm = der(0x30, &[ECDSA_WITH_SHA256]);
    let first = names.first().copied().unwrap_or_default().as_bytes();
    let name = der(0x30, &[&der(0x31, &[&der(0x30, &[COMMON_NAME, &der(0x0c, &[first])])])]);
    let validity = der(0x30, &[&der(0x17, &[from.as_bytes()]), &der(0x17, &[until.as_bytes()])]);
    let public = der(0x30, &[&der(0x30, &[PUBLIC_KEY_ON_P256]), &bits(key.public_key().as_ref())]);
    let names: Vec<u8> = names.iter().flat_map(|name| general_name(name)).collect();
    let alternatives = der(0x30, &[SUBJECT_ALTERNATIVE_NAME, &der(0x04, &[&der(0x30, &[&names])])]);
    let extensions = der(0xa3, &[&der(0x30, &[&alternatives])]);
    der(0x30, &[&version, &serial, &algorithm, &name, &validity, &name, &public, &extensions])
}

fn general_name(name: &str) -> Vec<u8> {
    match name.parse() {
        Ok(IpAddr::V4(address)) => der(0x87, &[&address.octets()]),
        Ok(IpAddr::V6(address)) => der(0x87, &[&address.octets()]),
        Err(_) => der(0x82, &[name.as_bytes()]),
    }
}

fn bits(bytes: &[u8]) -> Vec<u8> {
    der(0x03, &[&[0], bytes])
}

/// One element of ASN.1 (X.690, section 8.1) of at most 65535 bytes.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut element = vec![tag];
    match length {
        [0, short @ 0..=127] => element.push(short),
        [0, long] => element.extend([0x81, long]),
        [high, low] => element.extend([0x82, high, low]),
    }
    element.extend(content);
    element
}
