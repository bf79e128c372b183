//! Encrypting the pieces of a backup, when that is asked for: ChaCha20-Poly1305 (RFC 8439) under a key that HKDF with SHA-256
//! (RFC 5869) makes for each object from the key of the settings, chance of the backup and the object's name. A piece that is
//! put in the place of another, or comes from another backup, does not open.

use mainstay_domain::{Entropy, Secret, from_hexadecimal, hexadecimal};
use ring::aead::{Aad, LessSafeKey, Nonce};
use ring::error::Unspecified;
use ring::hmac;

use super::Fault;
use crate::keys::derive::{KEY_BYTES, cipher, derived};

const SALT_BYTES: usize = 24;
/// What the derived keys are for.
const PURPOSE: &[u8] = b"mainstay backup1";

/// A key, and the chance of one backup. It does not print.
#[derive(Clone)]
pub(super) struct Cipher {
    key: [u8; KEY_BYTES],
    salt: [u8; SALT_BYTES],
}

impl Cipher {
    /// With chance for a new backup; nothing when the settings have no key.
    pub(super) fn new(key: &Secret, entropy: &dyn Entropy) -> Option<Self> {
        let mut salt = [0; SALT_BYTES];
        entropy.fill(&mut salt);
        Some(Self { key: from_hexadecimal(key.expose())?, salt })
    }

    /// The one that a backup was made with.
    pub(super) fn of(key: &Secret, salt: &str) -> Result<Self, Fault> {
        let key = from_hexadecimal(key.expose()).ok_or(Fault::Key("no key is set"))?;
        let salt =
            from_hexadecimal(salt).ok_or_else(|| Fault::Bug("the salt of the backup is not hexadecimal".to_owned()))?;
        Ok(Self { key, salt })
    }

    /// The chance, as the manifest has it.
    pub(super) fn salt(&self) -> String {
        hexadecimal(&self.salt)
    }

    fn sealing(&self, name: &str) -> Result<(LessSafeKey, Nonce), Fault> {
        cipher(&self.key, &self.salt, &[PURPOSE, name.as_bytes()]).map_err(underivable)
    }

    /// Encrypts an object.
    pub(super) fn seal(&self, name: &str, mut bytes: Vec<u8>) -> Result<Vec<u8>, Fault> {
        let (key, nonce) = self.sealing(name)?;
        key.seal_in_place_append_tag(nonce, Aad::from(name.as_bytes()), &mut bytes)
            .map_err(|_| Fault::Bug("a piece could not be encrypted".to_owned()))?;
        Ok(bytes)
    }

    /// Decrypts an object.
    pub(super) fn open(&self, name: &str, mut bytes: Vec<u8>) -> Result<Vec<u8>, Fault> {
        let (key, nonce) = self.sealing(name)?;
        let length = key
            .open_in_place(nonce, Aad::from(name.as_bytes()), &mut bytes)
            .map_err(|_| Fault::Key("the key that is set is another"))?
            .len();
        bytes.truncate(length);
        Ok(bytes)
    }

    fn signing(&self) -> Result<hmac::Key, Fault> {
        let key: [u8; KEY_BYTES] = derived(&self.key, &self.salt, &[PURPOSE, b"the manifest"]).map_err(underivable)?;
        Ok(hmac::Key::new(hmac::HMAC_SHA256, &key))
    }

    /// The mark by which a manifest is known to be of whoever has the key (HMAC-SHA-256, hexadecimal).
    pub(super) fn sign(&self, text: &[u8]) -> Result<String, Fault> {
        Ok(hexadecimal(hmac::sign(&self.signing()?, text).as_ref()))
    }

    /// Whether the mark is right.
    pub(super) fn verify(&self, text: &[u8], mark: &str) -> Result<bool, Fault> {
        let mark: Option<[u8; 32]> = from_hexadecimal(mark);
        let key = self.signing()?;
        Ok(mark.is_some_and(|mark| hmac::verify(&key, text, &mark).is_ok()))
    }
}

fn underivable(_: Unspecified) -> Fault {
    Fault::Bug("no key could be made".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outside::SystemEntropy;

    fn cipher() -> Cipher {
        Cipher::new(&Secret::new("ab".repeat(32)), &SystemEntropy).expect("a key")
    }

    #[test]
    fn a_piece_opens_under_its_key_and_name_alone() {
        let one = cipher();
        let sealed = one.seal("b1/person.000000", b"rows".to_vec()).expect("sealed");
        assert!(!sealed.windows(4).any(|window| window == b"rows"));
        let again = Cipher::of(&Secret::new("ab".repeat(32)), &one.salt()).expect("the same");
        assert_eq!(again.open("b1/person.000000", sealed.clone()).expect("opened"), b"rows");
        assert!(matches!(one.open("b1/person.000001", sealed.clone()), Err(Fault::Key(_))), "it has another place");
        assert!(matches!(cipher().open("b1/person.000000", sealed.clone()), Err(Fault::Key(_))), "of another backup");
        let other = Cipher::of(&Secret::new("cd".repeat(32)), &one.salt()).expect("another");
        assert!(matches!(other.open("b1/person.000000", sealed), Err(Fault::Key(_))));
        assert!(matches!(Cipher::of(&Secret::default(), &one.salt()), Err(Fault::Key("no key is set"))));
    }

    #[test]
    fn a_manifest_is_known_by_its_mark() {
        let one = cipher();
        let mark = one.sign(b"text").expect("signed");
        assert!(one.verify(b"text", &mark).expect("judged"));
        assert!(!one.verify(b"texts", &mark).expect("judged"));
        assert!(!one.verify(b"text", "").expect("judged"));
        assert!(Cipher::new(&Secret::default(), &SystemEntropy).is_none());
    }
}
