//! Addresses as mail systems take them: ASCII, the domain in its A-label form.

use mainstay_domain::FieldFault;
use url::Host;

/// An address in the form of the wire: `ada@example.com`, `"a..b"@example.com`, `ada@xn--bcher-kva.example`.
///
/// A domain in other letters is turned into its A-label form (IDNA). A local part in other letters is refused: it would need
/// SMTPUTF8 at every server on the way, which is not offered.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    text: String,
    at: usize,
}

// As in the domain: what says who somebody is does not print by accident.
impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[email]")
    }
}

impl Address {
    /// Reads an address. `field` is what a refusal names.
    ///
    /// # Errors
    /// `missing`, `invalid_email` or `not_ascii`, with the reason in words.
    pub fn parse(field: &str, text: &str) -> Result<Self, FieldFault> {
        let text = text.trim();
        let bad = |why: &str| Err(FieldFault::new(field, "invalid_email", format!("This is no address: {why}.")));
        if text.is_empty() {
            return Err(FieldFault::new(field, "missing", "Give an address."));
        }
        let Some((local, domain)) = text.rsplit_once('@') else { return bad("there is no @ in it") };
        let local = unquoted(local);
        if !local.is_ascii() {
            let why = "The part before the @ has letters that are not ASCII; mail servers take those only with SMTPUTF8, \
                       which is not offered. Use another address of this person.";
            return Err(FieldFault::new(field, "not_ascii", why));
        }
        if local.is_empty() || local.len() > 64 {
            return bad("the part before the @ must have 1 to 64 bytes");
        }
        if !local.bytes().all(|byte| byte.is_ascii_graphic()) {
            return bad("it holds a space or a control character");
        }
        if local.split_once("=?").is_some_and(|(_, rest)| rest.contains("?=")) {
            // It is a letter like any other (RFC 2047, 5), but readers decode it, and answer to somebody else.
            return bad(
                "the part before the @ looks like an encoded word, which mail programs take for another address",
            );
        }
        let Some(domain) = a_labels(domain) else { return bad("the part after the @ is not a domain") };
        let local = if is_dot_atom(&local) { local } else { quoted(&local) };
        let whole = format!("{local}@{domain}");
        if whole.len() > 254 {
            return bad("it is longer than 254 bytes");
        }
        Ok(Self { at: local.len(), text: whole })
    }

    /// The address as it stands on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its domain, in small letters and A-labels.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.text.get(self.at + 1..).unwrap_or_default()
    }
}

/// Whether a text needs no quotes: runs of letters, digits and the signs of an atom, with single dots between.
pub(crate) fn is_dot_atom(text: &str) -> bool {
    text.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atom))
}

/// The characters of an atom (RFC 5322, 3.2.3).
pub(crate) fn is_atom(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

/// A quoted string (RFC 5322, 3.2.4).
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        if matches!(letter, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted.push('"');
    quoted
}

fn unquoted(local: &str) -> String {
    let Some(inside) = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return local.to_owned() };
    let mut plain = String::with_capacity(inside.len());
    let mut letters = inside.chars();
    while let Some(letter) = letters.next() {
        plain.push(if letter == '\\' { letters.next().unwrap_or(letter) } else { letter });
    }
    plain
}

/// A domain in A-labels and small letters. `None` for what is no host name: an address of a machine, an empty label.
fn a_labels(domain: &str) -> Option<String> {
    // The reader of hosts would take `%61` for a letter.
    if domain.contains('%') {
        return None;
    }
    let Ok(Host::Domain(ascii)) = Host::parse(domain) else { return None };
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    (ascii.len() <= 253 && ascii.split('.').all(label)).then_some(ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(text: &str) -> Result<String, &'static str> {
        Address::parse("to", text).map(|address| address.text).map_err(|fault| fault.code)
    }

    #[test]
    fn an_address_takes_the_form_of_the_wire() {
        assert_eq!(wire(" Ada@Example.COM "), Ok("Ada@example.com".to_owned()));
        assert_eq!(wire("ada@bücher.example"), Ok("ada@xn--bcher-kva.example".to_owned()));
        assert_eq!(wire("ada@例え.テスト"), Ok("ada@xn--r8jz45g.xn--zckzah".to_owned()));
        assert_eq!(wire("a..b@docomo.example"), Ok("\"a..b\"@docomo.example".to_owned()));
        assert_eq!(wire("\"a..b\"@docomo.example"), Ok("\"a..b\"@docomo.example".to_owned()));
        assert_eq!(wire("o'hara+x=y@example.com"), Ok("o'hara+x=y@example.com".to_owned()));
        assert_eq!(wire("root@localhost"), Ok("root@localhost".to_owned()));
        assert_eq!(
            Address::parse("to", "\"a@b\"@Example.com").map(|one| one.domain().to_owned()),
            Ok("example.com".into())
        );
    }

    #[test]
    fn what_is_no_address_is_refused_with_a_reason() {
        assert_eq!(wire(""), Err("missing"));
        assert_eq!(wire("пример@example.com"), Err("not_ascii"));
        let bad = [
            "ada",
            "@example.com",
            "ada@",
            "ada@[127.0.0.1]",
            "ada@127.0.0.1",
            "ada@exa%6dple.com",
            "ada@a..b",
            "ada@-a.example",
            "ada@a_b.example",
            "a b@example.com",
            "a\r\nBcc: x@example.com",
            "a\0@example.com",
            "ada@example.com>\r\nRCPT TO:<eve@example.com",
            "ada@example.com SIZE=1",
            "=?utf-8?q?eve?=@example.com",
            "\"=?utf-8?b?ZXZl?=\"@example.com",
        ];
        for text in bad {
            assert_eq!(wire(text), Err("invalid_email"), "{text:?}");
        }
        assert_eq!(wire(&format!("{}@example.com", "a".repeat(65))), Err("invalid_email"));
        assert_eq!(wire(&format!("a@{}.example", "b".repeat(64))), Err("invalid_email"));
    }
}
