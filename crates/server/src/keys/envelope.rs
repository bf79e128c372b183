//! One secret under one key: HKDF with SHA-256 (RFC 5869) makes a key and a nonce for each sealing from the key, 24 random
//! bytes and the place; ChaCha20-Poly1305 (RFC 8439) seals. With a key of its own for each sealing no nonce is ever used
//! twice, which 96 random bits could not promise over many rows.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mainstay_domain::{Entropy, KeyVersion, Sealed, Secret, TenantId, hexadecimal};
use mainstay_store::SealedColumn;
use ring::aead::Aad;
use ring::error::Unspecified;
use uuid::Uuid;

use super::derive::{KEY_BYTES, cipher, derived};

/// Bytes of chance in each sealing.
const SALT_BYTES: usize = 24;
/// Bytes of the check value.
const CHECK_BYTES: usize = 16;

/// A key. It does not print.
pub(super) struct Key([u8; KEY_BYTES]);

/// What a sealed text is bound to: moved to another organisation, table, column or row it does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The column.
    pub column: SealedColumn,
    /// The organisation; the nil UUID for the installation's own.
    pub tenant: TenantId,
    /// The row.
    pub row: Uuid,
}

impl Place {
    /// The place, the form and the key as bytes: whoever changes one of them changes these.
    fn context(self, version: KeyVersion) -> Vec<u8> {
        let mut context = b"mainstay sealed1".to_vec();
        context.extend(version.number().to_be_bytes());
        context.extend(self.tenant.uuid().as_bytes());
        context.extend(self.row.as_bytes());
        for name in [self.column.table(), self.column.column()] {
            // Each with its length, so that no two places have the same bytes.
            context.extend((name.len() as u64).to_be_bytes());
            context.extend(name.as_bytes());
        }
        context
    }
}

impl Key {
    pub(super) const fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// What follows from the key and says nothing of it: two keys under one number are told apart by it.
    pub(super) fn check_value(&self) -> Result<String, Unspecified> {
        derived::<CHECK_BYTES>(&self.0, b"", &[b"mainstay check1"]).map(|bytes| hexadecimal(&bytes))
    }

    /// Seals a secret.
    pub(super) fn seal(
        &self,
        version: KeyVersion,
        place: Place,
        plain: &Secret,
        entropy: &dyn Entropy,
    ) -> Result<Sealed, Unspecified> {
        let mut salt = [0; SALT_BYTES];
        entropy.fill(&mut salt);
        let context = place.context(version);
        let (key, nonce) = cipher(&self.0, &salt, &[&context])?;
        let mut text = plain.expose().as_bytes().to_vec();
        key.seal_in_place_append_tag(nonce, Aad::from(&context), &mut text)?;
        let body = URL_SAFE_NO_PAD.encode([&salt[..], &text].concat());
        Sealed::new(version, &body).ok_or(Unspecified)
    }

    /// Opens what was sealed under this key in this place.
    pub(super) fn open(&self, version: KeyVersion, place: Place, sealed: &Sealed) -> Result<Secret, Unspecified> {
        let mut bytes = URL_SAFE_NO_PAD.decode(sealed.body()).map_err(|_| Unspecified)?;
        let (salt, text) = bytes.split_at_mut_checked(SALT_BYTES).ok_or(Unspecified)?;
        let context = place.context(version);
        let (key, nonce) = cipher(&self.0, salt, &[&context])?;
        let plain = key.open_in_place(nonce, Aad::from(&context), text)?;
        String::from_utf8(plain.to_vec()).map(Secret::new).map_err(|_| Unspecified)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::outside::SystemEntropy;

    fn place(number: u128) -> Place {
        let tenant = TenantId(Uuid::from_u128(number));
        Place { column: SealedColumn::EndpointSecrets, tenant, row: Uuid::from_u128(number + 1) }
    }

    fn sealed(key: &Key, place: Place, plain: &str) -> Sealed {
        key.seal(KeyVersion::FIRST, place, &Secret::new(plain.to_owned()), &SystemEntropy).expect("sealed")
    }

    fn opened(key: &Key, place: Place, sealed: &Sealed) -> Option<String> {
        key.open(KeyVersion::FIRST, place, sealed).ok().map(|secret| secret.expose().to_owned())
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens_and_shows_nothing(plain in ".{0,200}", bytes in any::<[u8; 32]>()) {
            let key = Key::new(bytes);
            let one = sealed(&key, place(7), &plain);
            prop_assert_eq!(opened(&key, place(7), &one), Some(plain.clone()));
            prop_assert!(plain.len() < 4 || !one.as_str().contains(&plain));
            prop_assert_ne!(one, sealed(&key, place(7), &plain), "chance makes each sealing another");
        }

        #[test]
        fn whatever_bit_is_turned_it_does_not_open(at in any::<prop::sample::Index>(), bit in 0_u32..8) {
            let key = Key::new([7; 32]);
            let one = sealed(&key, place(7), "a secret");
            let mut bytes = URL_SAFE_NO_PAD.decode(one.body()).expect("base64");
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let tampered = Sealed::new(KeyVersion::FIRST, &URL_SAFE_NO_PAD.encode(bytes)).expect("letters");
            prop_assert_eq!(opened(&key, place(7), &tampered), None);
        }
    }

    #[test]
    fn it_opens_only_in_its_place_under_its_key() {
        let key = Key::new([7; 32]);
        let home = place(7);
        let one = sealed(&key, home, "a secret");
        assert_eq!(opened(&key, home, &one).as_deref(), Some("a secret"));
        for elsewhere in [
            Place { tenant: TenantId(Uuid::from_u128(9)), ..home },
            Place { row: Uuid::from_u128(9), ..home },
            Place { column: SealedColumn::InboxScheme, ..home },
            Place { tenant: TenantId(home.row), row: home.tenant.uuid(), ..home },
        ] {
            assert_eq!(opened(&key, elsewhere, &one), None, "{elsewhere:?}");
        }
        assert_eq!(opened(&Key::new([8; 32]), home, &one), None);
        // The number is part of what is sealed.
        let second = KeyVersion::new(2).expect("a number");
        assert!(key.open(second, home, &Sealed::new(second, one.body()).expect("letters")).is_err());
        for short in
            ["", "AAAA", &URL_SAFE_NO_PAD.encode([0; SALT_BYTES]), &URL_SAFE_NO_PAD.encode([0; SALT_BYTES + 15])]
        {
            let cut = Sealed::new(KeyVersion::FIRST, short).unwrap_or_else(Sealed::nothing);
            assert_eq!(opened(&key, home, &cut), None, "{short:?}");
        }
    }

    #[test]
    fn the_check_value_tells_keys_apart_and_stays() {
        let check = |byte| Key::new([byte; 32]).check_value().expect("made");
        assert_ne!(check(1), check(2));
        // It is in databases: another one would make every key look wrong.
        assert_eq!(check(1).len(), 2 * CHECK_BYTES);
    }
}
