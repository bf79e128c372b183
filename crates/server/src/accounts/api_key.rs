//! API keys: `mk_` and 43 characters, of which only a hash is kept.
//!
//! A key is 32 random bytes, so a plain SHA-256 is enough: a slow hash protects secrets that people choose and that can
//! be guessed; 2^256 keys cannot be tried, however fast each try is. And the hash is looked up on every request.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mainstay_domain::{Entropy, Secret};
use ring::digest;

use super::token_fault::TokenFault;

const PREFIX: &str = "mk_";
const CHARACTERS: usize = 43;
const SHOWN: usize = 8;

/// The SHA-256 of the 32 bytes of an API key: what the database holds and finds it by.
///
/// It is looked up by equality in an index, which is safe although it takes no constant time: whoever can choose the
/// bytes that are compared would have to find inputs to SHA-256 for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiKeyHash(pub [u8; 32]);

impl ApiKeyHash {
    fn of(key: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, key).as_ref());
        Self(hash)
    }

    /// The hash in hexadecimal, as the database keeps it.
    #[must_use]
    pub fn to_hex(self) -> String {
        mainstay_domain::hexadecimal(&self.0)
    }
}

/// True when the text has the prefix of an API key.
#[must_use]
pub fn looks_like(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// A new key, to be shown once, and its hash, to be kept.
#[must_use]
pub fn generate(entropy: &dyn Entropy) -> (Secret, ApiKeyHash) {
    let mut bytes = [0; 32];
    entropy.fill(&mut bytes);
    let mut key = String::with_capacity(PREFIX.len() + CHARACTERS);
    key.push_str(PREFIX);
    URL_SAFE_NO_PAD.encode_string(bytes, &mut key);
    (Secret::new(key), ApiKeyHash::of(&bytes))
}

/// The first eight characters after `mk_`: what a list of keys shows so that people can tell theirs apart. 208 bits stay
/// unknown.
#[must_use]
pub fn shown_prefix(key: &Secret) -> &str {
    key.expose().strip_prefix(PREFIX).and_then(|body| body.get(..SHOWN)).unwrap_or_default()
}

/// The hash to look a key up by.
///
/// # Errors
/// When the text is not of the form of a key.
pub fn parse(text: &str) -> Result<ApiKeyHash, TokenFault> {
    let body = text.strip_prefix(PREFIX).ok_or(TokenFault::Malformed)?;
    if body.len() != CHARACTERS {
        return Err(TokenFault::Malformed);
    }
    // One more than the 32 bytes that there are: the decoder reserves whole quanta of three.
    let mut bytes = [0; 33];
    match URL_SAFE_NO_PAD.decode_slice(body, &mut bytes) {
        Ok(32) => Ok(ApiKeyHash::of(&bytes[..32])),
        _ => Err(TokenFault::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outside::SystemEntropy;

    #[test]
    fn finds_what_it_generated_by_its_hash() {
        let (key, hash) = generate(&SystemEntropy);
        assert_eq!(key.expose().len(), 46);
        assert!(looks_like(key.expose()));
        assert_eq!(parse(key.expose()), Ok(hash));
        assert_eq!(shown_prefix(&key), &key.expose()[3..11]);
        assert_ne!(generate(&SystemEntropy).1, hash);
    }

    #[test]
    fn the_hash_is_that_of_the_bytes() {
        struct Zero;
        impl Entropy for Zero {
            fn fill(&self, buffer: &mut [u8]) {
                buffer.fill(0);
            }
        }
        let (key, hash) = generate(&Zero);
        assert_eq!(key.expose(), format!("mk_{}", "A".repeat(43)));
        // printf '\0%.0s' $(seq 32) | sha256sum
        let expected = [0x66, 0x68, 0x7a, 0xad, 0xf8, 0x62, 0xbd, 0x77];
        assert_eq!(hash.0[..8], expected);
    }

    #[test]
    fn other_texts_are_refused() {
        let (key, _) = generate(&SystemEntropy);
        let good = key.expose();
        let bad = [
            String::new(),
            "mk_".to_owned(),
            good[3..].to_owned(),
            format!("mr_{}", &good[3..]),
            format!("MK_{}", &good[3..]),
            good[..45].to_owned(),
            format!("{good}A"),
            format!("{}=", &good[..45]),
            format!("{} ", &good[..45]),
            format!(" {good}"),
            // A second spelling of the same bytes: the last character carries only four bits.
            format!("mk_{}B", "A".repeat(42)),
            format!("mk_{}", "+".repeat(43)),
            format!("mk_{}é", "A".repeat(41)),
            "mk_".to_owned() + &"A".repeat(1 << 20),
        ];
        for text in bad {
            assert_eq!(parse(&text), Err(TokenFault::Malformed), "{:?}", text.chars().take(60).collect::<String>());
        }
    }
}
