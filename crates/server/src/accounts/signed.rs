//! Links that name something of an organisation and are signed. Nothing of one is stored, so that it is good for as long as
//! what it names is kept.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mainstay_domain::TenantId;
use ring::hmac;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::keys::{Purpose, SigningKey};

const NAMED: usize = 32;

/// Makes links of one purpose, and reads them. Each has a signature of so many bytes: nobody guesses one of 2 to the 96, of
/// which some tens a second can be tried.
pub struct SignedLinks<const SIGNATURE: usize> {
    key: hmac::Key,
    /// What comes before the token.
    address: String,
}

impl<const SIGNATURE: usize> SignedLinks<SIGNATURE> {
    /// The links of this installation for a purpose, whose tokens come behind this address.
    #[must_use]
    pub fn new(key: &SigningKey, purpose: Purpose, address: String) -> Self {
        Self { key: key.derive(purpose), address }
    }

    fn signature(&self, named: &[u8]) -> [u8; SIGNATURE] {
        let mut signature = [0; SIGNATURE];
        signature.copy_from_slice(&hmac::sign(&self.key, named).as_ref()[..SIGNATURE]);
        signature
    }

    /// The link to a thing of an organisation.
    #[must_use]
    pub fn of(&self, tenant: TenantId, thing: Uuid) -> String {
        let mut token = Vec::with_capacity(NAMED + SIGNATURE);
        token.extend_from_slice(tenant.uuid().as_bytes());
        token.extend_from_slice(thing.as_bytes());
        let signature = self.signature(&token);
        token.extend_from_slice(&signature);
        format!("{}{}", self.address, URL_SAFE_NO_PAD.encode(token))
    }

    /// What a token names; nothing when it was not made here.
    #[must_use]
    pub fn read(&self, token: &str) -> Option<(TenantId, Uuid)> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok().filter(|bytes| bytes.len() == NAMED + SIGNATURE)?;
        let (named, signature) = bytes.split_at(NAMED);
        if !bool::from(self.signature(named).ct_eq(signature)) {
            return None;
        }
        let (tenant, thing) = named.split_at(NAMED / 2);
        Some((TenantId(Uuid::from_slice(tenant).ok()?), Uuid::from_slice(thing).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A link of so many bytes is good as it was made, and no other is: its token has so many letters.
    fn is_good_only_as_it_was_made<const SIGNATURE: usize>(purpose: Purpose, letters: usize) {
        let key = SigningKey::from_hex(&mainstay_domain::Secret::new(
            "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdee".to_owned(),
        ))
        .expect("a key");
        let links = SignedLinks::<SIGNATURE>::new(&key, purpose, "https://x.example/a/".to_owned());
        let (tenant, id) = (TenantId(Uuid::from_u128(1)), Uuid::from_u128(2));
        let link = links.of(tenant, id);
        let token = link.strip_prefix("https://x.example/a/").expect("its path");
        assert_eq!((links.read(token), token.len()), (Some((tenant, id)), letters));
        let mut bytes = URL_SAFE_NO_PAD.decode(token).expect("bytes");
        for place in 0..bytes.len() {
            bytes[place] ^= 1;
            assert_eq!(links.read(&URL_SAFE_NO_PAD.encode(&bytes)), None, "byte {place}");
            bytes[place] ^= 1;
        }
        for bad in ["", "a", &token[1..], &format!("{token}A"), &format!("{token}=")] {
            assert_eq!(links.read(bad), None, "{bad}");
        }
        let other = SignedLinks::<SIGNATURE>::new(&key, Purpose::Ticket, String::new());
        assert_eq!(other.read(token), None, "of another purpose");
    }

    #[test]
    fn a_link_is_good_only_as_it_was_made() {
        is_good_only_as_it_was_made::<12>(Purpose::AppointmentLink, 59);
        is_good_only_as_it_was_made::<16>(Purpose::UnsubscribeLink, 64);
    }
}
