//! Secrets as they are stored: sealed under a key, and never plain.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::account::{UnknownWord, words};

/// The number of a key that seals secrets. A new key has a number that none had before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyVersion(u32);

impl KeyVersion {
    /// The first.
    pub const FIRST: Self = Self(1);
    /// The greatest: its digits have to fit into the mark.
    const GREATEST: u32 = 99_999_999;

    /// The key of this number; nothing for 0 and for what has more than eight digits.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        if number == 0 || number > Self::GREATEST { None } else { Some(Self(number)) }
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The number after it; nothing after the last.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        Self::new(self.0 + 1)
    }
}

impl fmt::Display for KeyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for KeyVersion {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.parse().ok().and_then(Self::new);
        number.ok_or("the number of a key is a whole number from 1 to 99999999")
    }
}

/// Where a key that seals secrets is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyState {
    /// It is there and opens; it does not seal yet.
    Added,
    /// It seals.
    Active,
    /// Another has taken its place; what it sealed is being sealed anew.
    Retiring,
    /// Nothing needs it any more.
    Retired,
    /// Nobody has it any more: what it sealed does not open.
    Lost,
}

words!(KeyState { Added = "added", Active = "active", Retiring = "retiring", Retired = "retired", Lost = "lost" });

impl KeyState {
    /// Whether a node has to have it: something may be sealed under it.
    #[must_use]
    pub const fn is_needed(self) -> bool {
        matches!(self, Self::Active | Self::Retiring)
    }
}

/// A secret that was sealed under a key: what the database holds of it. Only who has the key can make one or open it; a
/// plain text is none, so no statement can store one by accident.
///
/// As text it is the mark `sealed1:` (the form), eight digits and `:` (the key), and base64url of what was sealed. The mark
/// has one length, so that rows are found by their key.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(String);

impl Sealed {
    /// What every one of this form begins with.
    pub const FORM: &'static str = "sealed1:";
    /// The length of the mark, in bytes.
    pub const MARK: usize = Self::FORM.len() + 9;

    /// What was sealed under a key, written in base64url without padding; nothing when it is not that.
    #[must_use]
    pub fn new(key: KeyVersion, body: &str) -> Option<Self> {
        Self::parse(&format!("{}{body}", Self::mark(key)))
    }

    /// Reads one. Nothing for whatever else, a plain text above all.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (digits, body) = text.strip_prefix(Self::FORM)?.split_once(':')?;
        let numbered = digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_digit());
        let written = body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        (numbered && !body.is_empty() && written && digits.parse().ok().and_then(KeyVersion::new).is_some())
            .then(|| Self(text.to_owned()))
    }

    /// Reads what a column holds. What is not sealed becomes [`Self::nothing`]: a plain secret is not carried about.
    #[must_use]
    pub fn of_column(text: &str) -> Self {
        Self::parse(text).unwrap_or_else(Self::nothing)
    }

    /// Stands for what is not sealed; it does not open.
    #[must_use]
    pub const fn nothing() -> Self {
        Self(String::new())
    }

    /// How the text of what is sealed under a key begins.
    #[must_use]
    pub fn mark(key: KeyVersion) -> String {
        format!("{}{:08}:", Self::FORM, key.number())
    }

    /// The key that opens it; nothing when it is not sealed.
    #[must_use]
    pub fn key(&self) -> Option<KeyVersion> {
        self.0.get(Self::FORM.len()..Self::MARK - 1)?.parse().ok().and_then(KeyVersion::new)
    }

    /// What was sealed, in base64url.
    #[must_use]
    pub fn body(&self) -> &str {
        self.0.get(Self::MARK..).unwrap_or_default()
    }

    /// As it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key() {
            Some(key) => write!(f, "Sealed(under key {key})"),
            None => f.write_str("Sealed(not sealed)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_text_is_not_sealed() {
        let key = KeyVersion::new(12).expect("a number");
        let sealed = Sealed::new(key, "QUJD-_0").expect("sealed");
        assert_eq!((sealed.as_str(), sealed.key(), sealed.body()), ("sealed1:00000012:QUJD-_0", Some(key), "QUJD-_0"));
        assert_eq!(Sealed::parse(sealed.as_str()), Some(sealed.clone()));
        assert_eq!(Sealed::mark(key).len(), Sealed::MARK);
        assert_eq!(format!("{sealed:?}"), "Sealed(under key 12)");
        for plain in [
            "",
            "[]",
            "whsec",
            r#"{"secrets":["x"]}"#,
            "sealed1:",
            "sealed1:1:QUJD",
            "sealed1:00000000:QUJD",
            "sealed1:00000001:",
            "sealed1:00000001:QUJD=",
            "sealed1:+0000001:QUJD",
            "sealed2:00000001:QUJD",
        ] {
            assert_eq!(Sealed::parse(plain), None, "{plain}");
            let read = Sealed::of_column(plain);
            assert_eq!((read.as_str(), read.key(), read.body()), ("", None, ""), "{plain}");
        }
    }

    #[test]
    fn a_key_has_a_number_of_at_most_eight_digits() {
        assert_eq!((KeyVersion::new(0), KeyVersion::new(100_000_000)), (None, None));
        assert_eq!("7".parse(), Ok(KeyVersion(7)));
        assert!("0".parse::<KeyVersion>().is_err() && "one".parse::<KeyVersion>().is_err());
        assert_eq!(KeyVersion(99_999_999).next(), None);
    }
}
