//! The signing key of the installation, and the keys that are derived from it.

use std::fmt;

use mainstay_domain::{Entropy, Error, Result, Secret, from_hexadecimal};
use ring::hmac;

/// What a derived key is for. Two purposes never share a key, so that a credential of one kind is never good as
/// another, however similar their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Signs access tokens.
    AccessToken,
    /// Signs refresh tokens.
    RefreshToken,
    /// Signs the short tickets that open a socket.
    Ticket,
    /// Signs the links by which people see and cancel their appointment.
    AppointmentLink,
    /// Signs the links by which people say that they want no more mail.
    UnsubscribeLink,
    /// Signs the links of emails that are followed.
    TrackingLink,
}

impl Purpose {
    /// The label that goes into the derivation. Changing one makes every credential of that kind bad.
    const fn label(self) -> &'static [u8] {
        match self {
            Self::AccessToken => b"mainstay access token",
            Self::RefreshToken => b"mainstay refresh token",
            Self::Ticket => b"mainstay ticket",
            Self::AppointmentLink => b"mainstay appointment link",
            Self::UnsubscribeLink => b"mainstay unsubscribe link",
            Self::TrackingLink => b"mainstay tracking link",
        }
    }
}

/// The one secret that access tokens, refresh tokens and tickets hang on: 32 random bytes.
#[derive(Clone)]
pub struct SigningKey([u8; 32]);

impl SigningKey {
    /// Reads a key of 64 hexadecimal digits.
    ///
    /// # Errors
    /// When it is anything else, or all of its bytes are the same: a placeholder, not a key.
    pub fn from_hex(text: &Secret) -> Result<Self> {
        let refused = |detail: &str| Error::invalid_field("auth.signing_key", "invalid_key", detail);
        let digits = text.expose().trim();
        if digits.len() != 64 {
            return Err(refused("It must have 64 hexadecimal digits."));
        }
        let key: Option<[u8; 32]> = from_hexadecimal(digits);
        let key = key.ok_or_else(|| refused("It must have 64 hexadecimal digits and nothing else."))?;
        if key.iter().all(|byte| *byte == key[0]) {
            return Err(refused("All of its bytes are the same. Make a random one."));
        }
        Ok(Self(key))
    }

    /// Makes a new key: 64 hexadecimal digits.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy) -> Secret {
        let mut key = [0; 32];
        entropy.fill(&mut key);
        Secret::new(mainstay_domain::hexadecimal(&key))
    }

    /// The key for one purpose: the first block of HKDF-Expand with SHA-256 (RFC 5869, section 2.3), which is
    /// `HMAC(key, label || 0x01)`. The extract step is left out, as section 3.3 allows for a key that is uniformly
    /// random already.
    #[must_use]
    pub fn derive(&self, purpose: Purpose) -> hmac::Key {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &self.0));
        context.update(purpose.label());
        context.update(&[1]);
        hmac::Key::new(hmac::HMAC_SHA256, context.sign().as_ref())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(***)")
    }
}

#[cfg(test)]
mod tests {
    use ring::hkdf;

    use super::*;
    use crate::outside::SystemEntropy;

    #[test]
    fn reads_what_it_generates_and_refuses_the_rest() {
        let text = SigningKey::generate(&SystemEntropy);
        assert_eq!(text.expose().len(), 64);
        assert!(SigningKey::from_hex(&text).is_ok());
        assert!(SigningKey::from_hex(&Secret::new(format!(" {}\n", text.expose().to_uppercase()))).is_ok());
        let good = text.expose();
        for bad in
            ["", &good[..63], &format!("{good}0"), &format!("{}g", &good[..63]), &"00".repeat(32), &"é".repeat(32)]
        {
            assert!(SigningKey::from_hex(&Secret::new(bad.to_owned())).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn every_purpose_has_its_own_key_and_none_prints() {
        let key = SigningKey(std::array::from_fn(|at| at as u8));
        let mark = |purpose| hmac::sign(&key.derive(purpose), b"the same message").as_ref().to_vec();
        let marks = [mark(Purpose::AccessToken), mark(Purpose::RefreshToken), mark(Purpose::Ticket)];
        assert!(marks[0] != marks[1] && marks[1] != marks[2] && marks[0] != marks[2]);
        assert_eq!(format!("{key:?}"), "SigningKey(***)");
    }

    #[test]
    fn the_derivation_is_that_of_hkdf_expand() {
        let key = SigningKey(std::array::from_fn(|at| 255 - at as u8));
        let prk = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, &key.0);
        let expanded: hmac::Key = prk.expand(&[Purpose::Ticket.label()], hmac::HMAC_SHA256).unwrap().into();
        let mark = |key: &hmac::Key| hmac::sign(key, b"message").as_ref().to_vec();
        assert_eq!(mark(&expanded), mark(&key.derive(Purpose::Ticket)));
    }
}
