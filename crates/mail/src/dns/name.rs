//! Names as the DNS has them.

use std::fmt;

use url::Host;

/// The longest name in text, in bytes: 255 on the wire (RFC 1035, 2.3.4).
const LONGEST: usize = 253;
/// The longest label, in bytes.
const LONGEST_LABEL: usize = 63;

/// A name of the DNS in ASCII and small letters, without the dot at its end: `_dmarc.example.com`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "." } else { &self.0 })
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Name {
    /// Reads a name. One in other letters takes its form in ASCII (IDNA, `bücher.example` is `xn--bcher-kva.example`); a dot at
    /// the end is left out. `None` for what is none, an address of a machine included.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return None;
        }
        if text.is_ascii() {
            let name = Self(text.to_ascii_lowercase());
            let numeric = name.labels().next_back().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
            return (name.is_well_formed() && !numeric).then_some(name);
        }
        // The reader of hosts would take `%61` for a letter.
        if text.contains('%') {
            return None;
        }
        let Ok(Host::Domain(ascii)) = Host::parse(text) else { return None };
        let name = Self(ascii);
        name.is_well_formed().then_some(name)
    }

    fn is_well_formed(&self) -> bool {
        let label = |label: &str| (1..=LONGEST_LABEL).contains(&label.len()) && label.bytes().all(is_letter);
        self.0.len() <= LONGEST && self.labels().all(label)
    }

    /// A name of these labels from the wire; the root for none. `None` where a label has another byte than ours may.
    pub(super) fn from_labels(labels: &[&[u8]]) -> Option<Self> {
        let mut text = String::new();
        for label in labels {
            if !text.is_empty() {
                text.push('.');
            }
            if !label.iter().copied().all(is_letter) {
                return None;
            }
            text.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
        }
        (text.len() <= LONGEST).then_some(Self(text))
    }

    /// The name with these labels before it: `_dmarc`, or `selector._domainkey`.
    ///
    /// `None` when it would be too long, or they are no labels.
    #[must_use]
    pub fn below(&self, labels: &str) -> Option<Self> {
        Self::parse(&format!("{labels}.{self}"))
    }

    /// The name without its first label. `None` for one of a single label.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.0.split_once('.').map(|(_, parent)| Self(parent.to_owned()))
    }

    /// Whether this is `other` or stands below it.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.strip_suffix(other.as_str()).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    }

    /// The name as text; empty for the root.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the root, which a mail exchanger can be and nothing else.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Its labels, the first one first.
    pub(crate) fn labels(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('.').filter(|label| !label.is_empty() || !self.0.is_empty())
    }
}

/// What a label may hold here: what names of hosts and of records of mail have. The DNS itself takes any byte.
fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str) -> Option<String> {
        Name::parse(name).map(|name| name.to_string())
    }

    #[test]
    fn names_are_read_in_one_form() {
        assert_eq!(text("Example.COM."), Some("example.com".to_owned()));
        assert_eq!(text("_dmarc.example.com"), Some("_dmarc.example.com".to_owned()));
        assert_eq!(text("bücher.example"), Some("xn--bcher-kva.example".to_owned()));
        assert_eq!(text("_dmarc.bücher.example"), Some("_dmarc.xn--bcher-kva.example".to_owned()));
        assert_eq!(text("localhost"), Some("localhost".to_owned()));
        let long = format!("{}.example", "a".repeat(64));
        let longer = "a.".repeat(127) + "example";
        for bad in
            ["", ".", "a..b", "a b.example", "192.0.2.1", "[::1]", "a\\b.example", "ü%61.example", &long, &longer]
        {
            assert_eq!(text(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_know_their_place() {
        let name = Name::parse("a.b.example").unwrap();
        assert_eq!(name.parent().unwrap().parent().unwrap().to_string(), "example");
        assert_eq!(Name::parse("example").unwrap().parent(), None);
        assert!(name.is_within(&name) && name.is_within(&Name::parse("b.example").unwrap()));
        assert!(!Name::parse("ab.example").unwrap().is_within(&Name::parse("b.example").unwrap()));
        assert!(!Name::parse("b.example").unwrap().is_within(&name));
        assert_eq!(name.below("_dmarc").unwrap().to_string(), "_dmarc.a.b.example");
        assert_eq!(name.below(&"x".repeat(64)), None);
        assert_eq!(name.labels().count(), 3);
        let root = Name::from_labels(&[]).unwrap();
        assert_eq!((root.to_string(), root.labels().count(), root.is_root()), (".".to_owned(), 0, true));
        assert_eq!(Name::from_labels(&[b"A", b"b"]), Name::parse("a.b"));
        assert_eq!(Name::from_labels(&[b"a.b"]), None);
    }
}
