//! Names of folders: text here, modified UTF-7 on the wire (RFC 3501, 5.1.3).

use base64::Engine as _;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const UNPADDED: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::RequireNone);
const BASE64: GeneralPurpose = GeneralPurpose::new(&IMAP_MUTF7, UNPADDED);

/// The name as it is on the wire.
pub(super) fn encode(name: &str) -> String {
    let mut wire = String::with_capacity(name.len());
    let mut other = Vec::new();
    for letter in name.chars() {
        if matches!(letter, ' '..='~') {
            put_other(&mut wire, &mut other);
            wire.push(letter);
            if letter == '&' {
                wire.push('-');
            }
        } else {
            other.extend(letter.encode_utf16(&mut [0; 2]).iter().flat_map(|unit| unit.to_be_bytes()));
        }
    }
    put_other(&mut wire, &mut other);
    wire
}

/// Writes the letters that are not ASCII.
fn put_other(wire: &mut String, other: &mut Vec<u8>) {
    if !other.is_empty() {
        wire.push('&');
        BASE64.encode_string(&other, wire);
        wire.push('-');
        other.clear();
    }
}

/// The name that stands on the wire. `None` when it is not written as it should be: then it could not be asked for by its
/// text.
pub(super) fn decode(wire: &[u8]) -> Option<String> {
    let wire = std::str::from_utf8(wire).ok()?;
    let mut name = String::with_capacity(wire.len());
    let mut rest = wire;
    while let Some((plain, shifted)) = rest.split_once('&') {
        name.push_str(plain);
        let (other, after) = shifted.split_once('-')?;
        if other.is_empty() {
            name.push('&');
        } else {
            let bytes = BASE64.decode(other).ok()?;
            let units: Vec<u16> =
                bytes.chunks(2).map(|unit| unit.iter().fold(0, |sum, byte| sum << 8 | u16::from(*byte))).collect();
            name.push_str(&String::from_utf16(&units).ok()?);
        }
        rest = after;
    }
    name.push_str(rest);
    (encode(&name) == wire).then_some(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_written_as_in_the_rfc() {
        for (name, wire) in [
            ("INBOX", "INBOX"),
            ("Gesendete Objekte", "Gesendete Objekte"),
            ("Éléments envoyés", "&AMk-l&AOk-ments envoy&AOk-s"),
            ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
            ("a & b", "a &- b"),
            ("😀", "&2D3eAA-"),
        ] {
            assert_eq!(encode(name), wire);
            assert_eq!(decode(wire.as_bytes()).as_deref(), Some(name));
        }
        for bad in ["&", "a&b", "&AOk", "&A-", "&2D0-", "&AGE-", "é", "&AOk-&AOk-", "&!!-"] {
            assert_eq!(decode(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(decode(b"\xff"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_name_comes_back(name in "\\PC*") {
            prop_assert_eq!(decode(encode(&name).as_bytes()), Some(name));
        }

        #[test]
        fn any_bytes_are_survived(wire in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = decode(&wire);
        }
    }
}
