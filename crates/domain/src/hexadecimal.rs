//! Bytes as text.

/// Bytes as hexadecimal digits, two for each, in lower case: how digests are kept and shown.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        for half in [byte >> 4, byte & 0xF] {
            text.push(char::from(DIGITS[usize::from(half)]));
        }
    }
    text
}

/// The bytes that such digits stand for, in lower or upper case; nothing when there are more or fewer, or others among them.
#[must_use]
pub fn from_hexadecimal<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |at: usize| pair.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_two_digits() {
        assert_eq!(hexadecimal(&[0x00, 0x0f, 0xa0, 0xff, 0x7e]), "000fa0ff7e");
        assert_eq!(hexadecimal(&[]), "");
    }

    #[test]
    fn digits_are_read_and_nothing_else_is() {
        assert_eq!(from_hexadecimal("000fa0FF7e"), Some([0x00, 0x0f, 0xa0, 0xff, 0x7e]));
        assert_eq!(from_hexadecimal::<0>(""), Some([]));
        for bad in ["", "0", "000", "0g", "+1", " 1", "ü"] {
            assert_eq!(from_hexadecimal::<1>(bad), None, "{bad}");
        }
    }
}
