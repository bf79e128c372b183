//! What is kept of somebody who was erased and is not to be written to: a keyed digest, from which nobody reads who it was.

use mainstay_domain::{Error, Result, Secret, TenantId, from_hexadecimal, hexadecimal};
use ring::hmac;

/// What a digest begins with, in the place of an address or a number. No address begins so.
const MARK: &str = "erased1:";

/// The key of these digests: 32 random bytes, in the database under seal. Who has the database alone cannot try addresses.
pub(crate) struct ObjectionKey(hmac::Key);

impl ObjectionKey {
    /// Reads a key of 64 hexadecimal digits.
    pub(crate) fn from_hex(text: &Secret) -> Result<Self> {
        let key: Option<[u8; 32]> = from_hexadecimal(text.expose());
        let key = key.ok_or_else(|| Error::internal("the key of objections has not 64 hexadecimal digits"))?;
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &key)))
    }

    /// HMAC-SHA-256 of the organisation and the subject.
    pub(super) fn digest(&self, tenant: TenantId, subject: &str) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(tenant.uuid().as_bytes());
        context.update(subject.as_bytes());
        format!("{MARK}{}", hexadecimal(context.sign().as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_digest_is_of_one_organisation_and_one_key() {
        let key = |digit: &str| ObjectionKey::from_hex(&Secret::new(digit.repeat(64))).expect("a key");
        let (one, other) = (TenantId(Uuid::from_u128(1)), TenantId(Uuid::from_u128(2)));
        let digest = key("a").digest(one, "ada@example.com");
        assert!(digest.starts_with(MARK) && digest.len() == MARK.len() + 64 && !digest.contains('@'), "{digest}");
        assert_eq!(key("a").digest(one, "ada@example.com"), digest);
        for differs in [
            key("a").digest(other, "ada@example.com"),
            key("a").digest(one, "ada@example.net"),
            key("b").digest(one, "ada@example.com"),
        ] {
            assert_ne!(differs, digest);
        }
        assert!(ObjectionKey::from_hex(&Secret::new("abc".to_owned())).is_err());
    }
}
