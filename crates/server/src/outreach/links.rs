//! The link by which somebody says that they want no more mail. It names the organisation and the email, and is signed;
//! nothing of it is stored, so that it is good for as long as the email is kept.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mainstay_domain::{EmailId, TenantId};
use ring::hmac;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use crate::accounts::keys::{Purpose, SigningKey};

/// Bytes of the signature: nobody guesses one of 2 to the 128.
const SIGNATURE: usize = 16;
const NAMED: usize = 32;

/// Makes links, and reads them.
pub(super) struct LeavingLinks {
    key: hmac::Key,
    address: String,
}

impl LeavingLinks {
    /// The links of this installation.
    pub(super) fn new(key: &SigningKey, address: String) -> Self {
        Self { key: key.derive(Purpose::UnsubscribeLink), address }
    }

    fn signature(&self, named: &[u8]) -> [u8; SIGNATURE] {
        let mut signature = [0; SIGNATURE];
        signature.copy_from_slice(&hmac::sign(&self.key, named).as_ref()[..SIGNATURE]);
        signature
    }

    /// The link of an email.
    pub(super) fn of(&self, tenant: TenantId, email: EmailId) -> String {
        let mut token = Vec::with_capacity(NAMED + SIGNATURE);
        token.extend_from_slice(tenant.uuid().as_bytes());
        token.extend_from_slice(email.uuid().as_bytes());
        let signature = self.signature(&token);
        token.extend_from_slice(&signature);
        format!("{}/u/{}", self.address, URL_SAFE_NO_PAD.encode(token))
    }

    /// What a token names; nothing when it was not made here.
    pub(super) fn read(&self, token: &str) -> Option<(TenantId, EmailId)> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok().filter(|bytes| bytes.len() == NAMED + SIGNATURE)?;
        let (named, signature) = bytes.split_at(NAMED);
        if !bool::from(self.signature(named).ct_eq(signature)) {
            return None;
        }
        let (tenant, email) = named.split_at(NAMED / 2);
        let read = |bytes: &[u8]| Uuid::from_slice(bytes).ok();
        Some((TenantId(read(tenant)?), EmailId(read(email)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_good_only_as_it_was_made() {
        let key = SigningKey::from_hex(&mainstay_domain::Secret::new(
            "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdee".to_owned(),
        ))
        .expect("a key");
        let links = LeavingLinks::new(&key, "https://x.example".to_owned());
        let (tenant, id) = (TenantId(Uuid::from_u128(1)), EmailId(Uuid::from_u128(2)));
        let link = links.of(tenant, id);
        let token = link.strip_prefix("https://x.example/u/").expect("its path");
        assert_eq!(links.read(token), Some((tenant, id)));
        let mut bytes = URL_SAFE_NO_PAD.decode(token).expect("bytes");
        for place in 0..bytes.len() {
            bytes[place] ^= 1;
            assert_eq!(links.read(&URL_SAFE_NO_PAD.encode(&bytes)), None, "byte {place}");
            bytes[place] ^= 1;
        }
        for bad in ["", "a", &token[1..], &format!("{token}A"), &format!("{token}=")] {
            assert_eq!(links.read(bad), None, "{bad}");
        }
    }
}
