//! Refresh tokens: `mr_` and 70 characters that name a sign-in and a generation of it.
//!
//! A token is `base64url(session id ‖ generation ‖ HMAC-SHA256(key, session id ‖ generation))`: 16, 4 and 32 bytes. Each
//! use moves the sign-in to the next generation, and a token of an older one is the sign of a theft (RFC 9700, section
//! 4.14.2), which ends the sign-in.
//!
//! It is deterministic: the same generation of the same sign-in is always the same token. That is wanted. A client that
//! lost the answer to a refresh (or two tabs that refreshed at once) presents the token before the newest within a short
//! leeway and is given the same successor again, without the server ever storing a token, not even as a hash: what the
//! database holds is the number of the generation. A token of a generation to come cannot be made without the key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mainstay_domain::{Secret, SessionId};
use ring::hmac;
use uuid::Uuid;

use super::keys::{Purpose, SigningKey};
use super::token_fault::TokenFault;

const PREFIX: &str = "mr_";
const NAMED: usize = 20;
const BYTES: usize = NAMED + 32;
/// 52 bytes in base64 without padding.
const CHARACTERS: usize = 70;

/// Makes and reads refresh tokens.
#[derive(Debug)]
pub struct RefreshTokens {
    key: hmac::Key,
}

impl RefreshTokens {
    /// The refresh tokens of this installation.
    #[must_use]
    pub fn new(key: &SigningKey) -> Self {
        Self { key: key.derive(Purpose::RefreshToken) }
    }

    /// True when the text has the prefix of a refresh token: a caller that sends one in place of an access token can be
    /// told so.
    #[must_use]
    pub fn looks_like(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// The token of this generation of a sign-in.
    #[must_use]
    pub fn mint(&self, session: SessionId, generation: u32) -> Secret {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend_from_slice(session.uuid().as_bytes());
        bytes.extend_from_slice(&generation.to_be_bytes());
        let mac = hmac::sign(&self.key, &bytes);
        bytes.extend_from_slice(mac.as_ref());
        let mut token = String::with_capacity(PREFIX.len() + CHARACTERS);
        token.push_str(PREFIX);
        URL_SAFE_NO_PAD.encode_string(&bytes, &mut token);
        Secret::new(token)
    }

    /// The sign-in and the generation that a token names. The signature is compared in constant time.
    ///
    /// # Errors
    /// When this installation did not make it. Whether the generation is the newest is the database's to say.
    pub fn read(&self, token: &str) -> Result<(SessionId, u32), TokenFault> {
        let body = token.strip_prefix(PREFIX).ok_or(TokenFault::Malformed)?;
        if body.len() != CHARACTERS {
            return Err(TokenFault::Malformed);
        }
        let bytes = URL_SAFE_NO_PAD.decode(body).map_err(|_| TokenFault::Malformed)?;
        let (named, mac) = bytes.split_at_checked(NAMED).ok_or(TokenFault::Malformed)?;
        hmac::verify(&self.key, named, mac).map_err(|_| TokenFault::Signature)?;
        let (session, generation) = named.split_first_chunk::<16>().ok_or(TokenFault::Malformed)?;
        let generation = generation.try_into().map_err(|_| TokenFault::Malformed)?;
        Ok((SessionId(Uuid::from_bytes(*session)), u32::from_be_bytes(generation)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outside::SystemEntropy;

    fn tokens() -> RefreshTokens {
        RefreshTokens::new(&SigningKey::from_hex(&SigningKey::generate(&SystemEntropy)).unwrap())
    }

    const SESSION: SessionId = SessionId(Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0001));

    #[test]
    fn reads_what_it_mints_and_mints_the_same_again() {
        let tokens = tokens();
        for generation in [0, 1, 255, 256, u32::MAX] {
            let token = tokens.mint(SESSION, generation);
            assert_eq!(token.expose().len(), PREFIX.len() + CHARACTERS);
            assert_eq!(tokens.read(token.expose()), Ok((SESSION, generation)));
            assert_eq!(tokens.mint(SESSION, generation), token);
        }
    }

    #[test]
    fn a_forged_generation_is_refused() {
        let tokens = tokens();
        let token = tokens.mint(SESSION, 7);
        let mut bytes = URL_SAFE_NO_PAD.decode(&token.expose()[3..]).unwrap();
        bytes[19] += 1;
        let forged = format!("mr_{}", URL_SAFE_NO_PAD.encode(&bytes));
        assert_eq!(tokens.read(&forged), Err(TokenFault::Signature));
    }

    #[test]
    fn every_changed_bit_is_refused() {
        let tokens = tokens();
        let bytes = URL_SAFE_NO_PAD.decode(&tokens.mint(SESSION, 7).expose()[3..]).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let forged = format!("mr_{}", URL_SAFE_NO_PAD.encode(&changed));
            assert_eq!(tokens.read(&forged), Err(TokenFault::Signature), "bit {bit}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let tokens = tokens();
        let token = tokens.mint(SESSION, 7);
        let good = token.expose();
        // 52 bytes leave four bits of the last character unused: no second spelling of the same bytes is taken.
        let alphabet = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['-', '_', '+', '/', '=', '.']);
        let respelled: Vec<String> =
            alphabet.map(|last| format!("{}{last}", &good[..72])).filter(|text| text != good).collect();
        assert_eq!(respelled.len(), 67);
        let mut bad: Vec<String> = vec![
            String::new(),
            "mr_".to_owned(),
            good[3..].to_owned(),
            format!("MR_{}", &good[3..]),
            good[..72].to_owned(),
            format!("{good}A"),
            format!("{good}="),
            format!(" {good}"),
            format!("{good}\n"),
            format!("mr_{}", "+".repeat(70)),
            format!("mr_{}", "é".repeat(35)),
            "mr_".to_owned() + &"A".repeat(1 << 20),
            RefreshTokens::new(&SigningKey::from_hex(&SigningKey::generate(&SystemEntropy)).unwrap())
                .mint(SESSION, 7)
                .expose()
                .to_owned(),
        ];
        bad.extend(respelled);
        for text in bad {
            assert!(tokens.read(&text).is_err(), "{:?} was taken", text.chars().take(90).collect::<String>());
        }
    }
}
