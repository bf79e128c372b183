//! Keys that are made from keys: HKDF with SHA-256 (RFC 5869), and ChaCha20-Poly1305 (RFC 8439) with a key and a nonce that are
//! made for each sealing, so that no nonce is ever used twice under one key.

use ring::aead::{CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::error::Unspecified;
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 32;

/// So many bytes from HKDF.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// So many bytes that follow from a key, chance and what they are for.
pub(crate) fn derived<const N: usize>(
    key: &[u8; KEY_BYTES],
    salt: &[u8],
    info: &[&[u8]],
) -> Result<[u8; N], Unspecified> {
    let mut bytes = [0; N];
    Salt::new(HKDF_SHA256, salt).extract(key).expand(info, Length(N))?.fill(&mut bytes)?;
    Ok(bytes)
}

/// The cipher and the nonce of one sealing.
pub(crate) fn cipher(key: &[u8; KEY_BYTES], salt: &[u8], info: &[&[u8]]) -> Result<(LessSafeKey, Nonce), Unspecified> {
    let bytes: [u8; KEY_BYTES + NONCE_LEN] = derived(key, salt, info)?;
    let (key, nonce) = bytes.split_at(KEY_BYTES);
    let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key)?);
    Ok((key, Nonce::try_assume_unique_for_key(nonce)?))
}
