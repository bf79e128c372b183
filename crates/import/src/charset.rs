//! How the bytes of a file are text.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, WINDOWS_1252};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Zero bytes of UTF-16 without a mark at its beginning: of a text with Latin letters every second byte is one. So many
/// hundredths of the bytes in one half are enough.
const ZEROES: usize = 40;

/// An encoding of text, as it was found at the beginning of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// Only ASCII was seen so far. What comes later is read as UTF-8, and as Windows-1252 where it is not.
    Ascii,
    /// UTF-8.
    Utf8,
    /// UTF-16 with the lower byte first.
    Utf16Le,
    /// UTF-16 with the higher byte first.
    Utf16Be,
    /// An older encoding in which ASCII is ASCII.
    Legacy(&'static Encoding),
}

impl Charset {
    /// Finds the encoding of a beginning, and how many bytes of it are a mark of the encoding. `whole` says that there is
    /// nothing after it.
    #[must_use]
    pub fn detect(head: &[u8], whole: bool) -> (Self, usize) {
        for (mark, charset) in
            [(&b"\xEF\xBB\xBF"[..], Self::Utf8), (b"\xFF\xFE", Self::Utf16Le), (b"\xFE\xFF", Self::Utf16Be)]
        {
            if head.starts_with(mark) {
                return (charset, mark.len());
            }
        }
        (Self::without_mark(head, whole), 0)
    }

    fn without_mark(head: &[u8], whole: bool) -> Self {
        if let Some(utf16) = utf16(head) {
            return utf16;
        }
        let is_utf8 = match std::str::from_utf8(head) {
            Ok(_) => true,
            // A character may be cut at the end of the beginning.
            Err(error) => !whole && error.error_len().is_none(),
        };
        if head.is_ascii() {
            return Self::Ascii;
        }
        if is_utf8 {
            return Self::Utf8;
        }
        // Stateful encodings use the bytes of ASCII for other characters, also those of quotes and delimiters.
        let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
        detector.feed(head, whole);
        Self::Legacy(detector.guess(None, Utf8Detection::Deny))
    }

    /// Whether a byte that looks like this delimiter always is one. In some older encodings the second byte of a character
    /// may look like `|`; none has one that looks like a comma, a semicolon, a tab, a quote or a line break.
    pub(crate) fn keeps(self, delimiter: u8) -> bool {
        match self {
            Self::Legacy(encoding) => delimiter != b'|' || encoding.is_single_byte(),
            _ => true,
        }
    }

    /// The text of a field; nothing when its bytes are none. Fields of UTF-16 are UTF-8 by the time they come here.
    pub(crate) fn decode(self, bytes: &[u8]) -> Option<Cow<'_, str>> {
        if let Ok(text) = std::str::from_utf8(bytes)
            && (!matches!(self, Self::Legacy(_)) || bytes.is_ascii())
        {
            return Some(Cow::Borrowed(text));
        }
        let encoding = match self {
            Self::Ascii => WINDOWS_1252,
            Self::Legacy(encoding) => encoding,
            Self::Utf8 | Self::Utf16Le | Self::Utf16Be => return None,
        };
        encoding.decode_without_bom_handling_and_without_replacement(bytes)
    }
}

/// UTF-16 by where the zero bytes are.
fn utf16(head: &[u8]) -> Option<Charset> {
    let pairs = head.len() / 2;
    let zeroes = |half: usize| head.chunks_exact(2).filter(|pair| pair.get(half) == Some(&0)).count();
    let many = |count: usize| pairs >= 4 && count * 100 >= pairs * ZEROES;
    match (zeroes(0), zeroes(1)) {
        (few, most) if many(most) && few * 20 < most => Some(Charset::Utf16Le),
        (most, few) if many(most) && few * 20 < most => Some(Charset::Utf16Be),
        _ => None,
    }
}

impl fmt::Display for Charset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ascii => "ASCII",
            Self::Utf8 => "UTF-8",
            Self::Utf16Le => "UTF-16LE",
            Self::Utf16Be => "UTF-16BE",
            Self::Legacy(encoding) => encoding.name(),
        })
    }
}

impl FromStr for Charset {
    type Err = String;

    /// Reads a name as it is written, and any label of the encoding standard (<https://encoding.spec.whatwg.org/#names>).
    fn from_str(name: &str) -> Result<Self, String> {
        if name.eq_ignore_ascii_case("ascii") {
            return Ok(Self::Ascii);
        }
        let encoding = Encoding::for_label(name.as_bytes())
            .ok_or_else(|| format!("{name:?} is no encoding. Write UTF-8, or a name such as windows-1252."))?;
        match encoding.name() {
            "UTF-8" => Ok(Self::Utf8),
            "UTF-16LE" => Ok(Self::Utf16Le),
            "UTF-16BE" => Ok(Self::Utf16Be),
            "ISO-2022-JP" | "replacement" | "x-user-defined" => {
                Err(format!("Files in {name} cannot be read. Save the file as UTF-8."))
            }
            _ => Ok(Self::Legacy(encoding)),
        }
    }
}

impl Serialize for Charset {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Charset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Turns the bytes of UTF-16 into characters, whatever pieces they come in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Utf16 {
    first: Option<u8>,
    high: Option<u16>,
}

impl Utf16 {
    /// Whether a character was begun and not ended.
    pub(crate) fn is_halfway(&self) -> bool {
        self.first.is_some() || self.high.is_some()
    }

    /// Takes a byte. Gives the character that ends with it, if one does; what is no character is U+FFFD.
    pub(crate) fn push(&mut self, byte: u8, low_first: bool) -> Option<char> {
        let Some(first) = self.first.take() else {
            self.first = Some(byte);
            return None;
        };
        let pair = [first, byte];
        let unit = if low_first { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) };
        match (self.high.take(), unit) {
            (Some(high), 0xDC00..=0xDFFF) => {
                let number = 0x10000 + ((u32::from(high) - 0xD800) << 10) + (u32::from(unit) - 0xDC00);
                char::from_u32(number)
            }
            // Half of a character before another one is lost with it: the row that has them is refused.
            (None, 0xD800..=0xDBFF) => {
                self.high = Some(unit);
                None
            }
            (Some(_), _) | (None, 0xDC00..=0xDFFF) => Some(char::REPLACEMENT_CHARACTER),
            (None, _) => char::from_u32(u32::from(unit)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, low_first: bool) -> Vec<u8> {
        text.encode_utf16().flat_map(|unit| if low_first { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
    }

    #[test]
    fn encodings_are_found() {
        let german = "email;vorname;ort\nx@example.com;J\u{fc}rgen;M\u{fc}nchen\ny@example.com;Bj\u{f6}rn;K\u{f6}ln\n";
        let (western, _, _) = WINDOWS_1252.encode(german);
        let russian = "email;имя;город\nx@example.com;Александр;Москва\ny@example.com;Наталья;Санкт-Петербург\n";
        let (cyrillic, _, _) = encoding_rs::WINDOWS_1251.encode(russian);
        let japanese = "メール,名前,会社\nx@example.com,田中太郎,株式会社サンプル\ny@example.com,鈴木花子,東京電力\n";
        let (shift_jis, _, _) = encoding_rs::SHIFT_JIS.encode(japanese);
        let bom = [b"\xEF\xBB\xBF", german.as_bytes()].concat();
        let (le, be) = (utf16(german, true), utf16(german, false));
        let (le_bom, be_bom) = ([b"\xFF\xFE", &le[..]].concat(), [b"\xFE\xFF", &be[..]].concat());
        for (bytes, expected, mark) in [
            (&b"email,name\nx@example.com,x\n"[..], "ASCII", 0),
            (b"", "ASCII", 0),
            (german.as_bytes(), "UTF-8", 0),
            (&bom, "UTF-8", 3),
            (&le, "UTF-16LE", 0),
            (&be, "UTF-16BE", 0),
            (&le_bom, "UTF-16LE", 2),
            (&be_bom, "UTF-16BE", 2),
            (&western, "windows-1252", 0),
            (&cyrillic, "windows-1251", 0),
            (&shift_jis, "Shift_JIS", 0),
        ] {
            let (charset, length) = Charset::detect(bytes, true);
            assert_eq!((charset.to_string().as_str(), length), (expected, mark));
            assert_eq!(expected.parse(), Ok(charset), "{expected} is read as it is written");
        }
        // A character that is cut at the end of the beginning.
        let cut = &german.as_bytes()[..german.find('\u{fc}').expect("there is one") + 1];
        assert_eq!(Charset::detect(cut, false).0, Charset::Utf8);
        assert_ne!(Charset::detect(cut, true).0, Charset::Utf8);
    }

    #[test]
    fn names_that_cannot_be_read_are_told() {
        for bad in ["", "utf-9", "iso-2022-jp", "x-user-defined", "replacement"] {
            assert!(bad.parse::<Charset>().is_err(), "{bad}");
        }
        assert_eq!("latin1".parse::<Charset>().map(|charset| charset.to_string()), Ok("windows-1252".to_owned()));
    }

    #[test]
    fn characters_of_two_units_come_in_any_pieces() {
        let read = |bytes: &[u8], low_first| -> String {
            let mut utf16 = Utf16::default();
            bytes.iter().filter_map(|byte| utf16.push(*byte, low_first)).collect()
        };
        for text in ["a\u{1F600}\u{e9}\u{FFFD}z", "", "\u{10FFFF}\u{0}"] {
            assert_eq!(read(&utf16(text, true), true), text);
            assert_eq!(read(&utf16(text, false), false), text);
        }
        assert_eq!(read(b"\xD8\x00\x00a", false), "\u{FFFD}");
        assert_eq!(read(b"\xDC\x00\x00a", false), "\u{FFFD}a");
    }
}
