//! The text of a record of SPF, read (RFC 7208, 4.5, 4.6, 5, 7, 12).

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::dns::Name;

/// What each record begins with.
const VERSION: &str = "v=spf1";

/// Whether a text is a record of SPF: its version, and a space or the end.
pub(super) fn is_one(text: &[u8]) -> bool {
    let Some((version, rest)) = text.split_at_checked(VERSION.len()) else { return false };
    version.eq_ignore_ascii_case(VERSION.as_bytes()) && matches!(rest.first(), None | Some(b' '))
}

/// A term that cannot be read, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) term: String,
    pub(super) why: &'static str,
}

/// A domain that a term names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Name(Name),
    /// One that is made from the sender and the address, and is known to a receiver alone.
    Macro,
}

impl Target {
    /// The name of a target, which without one is the domain of the record.
    pub(super) fn name<'a>(target: &'a Option<Self>, domain: &'a Name) -> Option<&'a Name> {
        match target {
            None => Some(domain),
            Some(Self::Name(name)) => Some(name),
            Some(Self::Macro) => None,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    All,
    Include(Target),
    Address(Option<Target>),
    Exchanger(Option<Target>),
    Pointer,
    Network { prefix: u8 },
    Exists(Target),
}

impl Mechanism {
    /// Whether every address matches, of one version at least.
    pub(super) fn is_everybody(&self) -> bool {
        matches!(self, Self::All | Self::Network { prefix: 0 })
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Term {
    /// Whether whom it matches may send: no other sign than `+` before it.
    pub(super) passes: bool,
    pub(super) mechanism: Mechanism,
}

/// A record.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) terms: Vec<Term>,
    pub(super) redirect: Option<Target>,
}

impl Record {
    /// Reads a record, all of it: one bad term makes the whole bad, wherever it stands.
    pub(super) fn read(text: &str) -> Result<Self, Bad> {
        let mut record = Self::default();
        let mut explained = false;
        for term in terms(text) {
            let bad = |why| Bad { term: term.to_owned(), why };
            if let Some((name, value)) = modifier(term) {
                match name.to_ascii_lowercase().as_str() {
                    "redirect" if record.redirect.is_some() => return Err(bad("is there twice")),
                    "redirect" => record.redirect = Some(target(value).map_err(bad)?),
                    "exp" if explained => return Err(bad("is there twice")),
                    "exp" => {
                        target(value).map_err(bad)?;
                        explained = true;
                    }
                    _ => {
                        has_macro(value).map_err(bad)?;
                    }
                }
                continue;
            }
            let (passes, plain) = match term.strip_prefix(['+', '-', '~', '?']) {
                Some(plain) => (term.starts_with('+'), plain),
                None => (true, term),
            };
            record.terms.push(Term { passes, mechanism: mechanism(plain).map_err(bad)? });
        }
        Ok(record)
    }
}

/// The terms of a record, without its version.
pub(super) fn terms(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ').skip(1).filter(|term| !term.is_empty())
}

/// The name and the value of a modifier. A mechanism has a colon or a slash before any `=`.
fn modifier(term: &str) -> Option<(&str, &str)> {
    let (name, value) = term.split_once('=')?;
    let starts = name.starts_with(|first: char| first.is_ascii_alphabetic());
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (starts && name.bytes().all(rest)).then_some((name, value))
}

fn mechanism(plain: &str) -> Result<Mechanism, &'static str> {
    let end = plain.find([':', '/']).unwrap_or(plain.len());
    let (name, rest) = plain.split_at(end);
    let value = rest.strip_prefix(':');
    let required = || value.ok_or("names no domain or address");
    match name.to_ascii_lowercase().as_str() {
        "all" if rest.is_empty() => Ok(Mechanism::All),
        "all" => Err("may have nothing after it"),
        "include" => Ok(Mechanism::Include(target(required()?)?)),
        "exists" => Ok(Mechanism::Exists(target(required()?)?)),
        "ptr" if rest.is_empty() => Ok(Mechanism::Pointer),
        "ptr" => target(required()?).map(|_| Mechanism::Pointer),
        "a" => host(rest).map(Mechanism::Address),
        "mx" => host(rest).map(Mechanism::Exchanger),
        "ip4" => network(required()?, 32, |text| text.parse::<Ipv4Addr>().is_ok()),
        "ip6" => network(required()?, 128, |text| text.parse::<Ipv6Addr>().is_ok()),
        _ => Err("is no term that SPF knows"),
    }
}

/// What may stand after `a` and `mx`: a domain, the length of a network, both, none.
fn host(rest: &str) -> Result<Option<Target>, &'static str> {
    // A slash within a macro is none of a length.
    let after_macros = rest.rfind('}').map_or(0, |end| end + 1);
    let slash = rest.get(after_macros..).and_then(|tail| tail.find('/')).map_or(rest.len(), |at| at + after_macros);
    let (domain, lengths) = rest.split_at(slash);
    if let Some(lengths) = lengths.strip_prefix('/') {
        let (fourth, sixth) = match lengths.strip_prefix('/') {
            Some(sixth) => (None, Some(sixth)),
            None => lengths.split_once("//").map_or((Some(lengths), None), |(one, other)| (Some(one), Some(other))),
        };
        fourth.map_or(Ok(0), |text| length(text, 32))?;
        sixth.map_or(Ok(0), |text| length(text, 128))?;
    }
    match domain.strip_prefix(':') {
        Some(domain) => target(domain).map(Some),
        None => Ok(None),
    }
}

fn network(value: &str, most: u8, is_address: impl Fn(&str) -> bool) -> Result<Mechanism, &'static str> {
    let (address, prefix) = match value.split_once('/') {
        Some((address, prefix)) => (address, length(prefix, most)?),
        None => (value, most),
    };
    if is_address(address) { Ok(Mechanism::Network { prefix }) } else { Err("has no address of its version") }
}

fn length(text: &str, most: u8) -> Result<u8, &'static str> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let leads = text.len() > 1 && text.starts_with('0');
    let length = text.parse().ok().filter(|length| *length <= most);
    length.filter(|_| plain && !leads).ok_or("has a length of a network that is none")
}

/// A domain of a term. One label alone is none (RFC 7208, 7.1).
fn target(text: &str) -> Result<Target, &'static str> {
    if has_macro(text)? {
        return Ok(Target::Macro);
    }
    let name = Name::parse(text).filter(|name| name.labels().count() > 1);
    name.map(Target::Name).ok_or("names no domain")
}

/// Whether a text has macros, all of them good ones (RFC 7208, 7.1).
fn has_macro(text: &str) -> Result<bool, &'static str> {
    const WHY: &str = "has a macro that is none";
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("has characters that no record may have");
    }
    let mut pieces = text.split('%').skip(1).peekable();
    let any = pieces.peek().is_some();
    while let Some(piece) = pieces.next() {
        if let Some(inside) = piece.strip_prefix('{') {
            let (inside, _) = inside.split_once('}').ok_or(WHY)?;
            let mut rest = inside.chars();
            let letter = rest.next().map(|letter| letter.to_ascii_lowercase());
            if !letter.is_some_and(|letter| "slodiphcrtv".contains(letter)) {
                return Err(WHY);
            }
            let rest = rest.as_str().trim_start_matches(|digit: char| digit.is_ascii_digit());
            let rest = rest.strip_prefix(['r', 'R']).unwrap_or(rest);
            if !rest.chars().all(|delimiter| ".-+,/_=".contains(delimiter)) {
                return Err(WHY);
            }
        } else if piece.is_empty() {
            // Two of the sign are one that stands for itself; what comes after them is plain.
            pieces.next().ok_or(WHY)?;
        } else if !piece.starts_with(['_', '-']) {
            return Err(WHY);
        }
    }
    Ok(any)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_record_is_known_by_its_version() {
        for text in ["v=spf1", "v=spf1 -all", "V=SPF1  mx"] {
            assert!(is_one(text.as_bytes()), "{text}");
        }
        for text in ["", "v=spf", "v=spf10", "v=spf1;", " v=spf1", "\"v=spf1 -all\"", "v=spf2.0/pra -all"] {
            assert!(!is_one(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn each_term_is_read() {
        let record = Record::read(
            "v=spf1 a mx/24 A:a.example/24//64 mx:b.example//0 ip4:192.0.2.0/24 -ip6:2001:db8::/32 ip4:192.0.2.1 \
             include:_spf.a.example ~exists:%{ir}.%{l1r-}.a.example ptr ?ptr:a.example redirect=a.example exp=e.%{d} x=%% -all",
        )
        .unwrap();
        let name = |text: &str| Target::Name(Name::parse(text).unwrap());
        assert_eq!(record.redirect, Some(name("a.example")));
        let mechanisms: Vec<(bool, Mechanism)> =
            record.terms.into_iter().map(|term| (term.passes, term.mechanism)).collect();
        let expected = [
            (true, Mechanism::Address(None)),
            (true, Mechanism::Exchanger(None)),
            (true, Mechanism::Address(Some(name("a.example")))),
            (true, Mechanism::Exchanger(Some(name("b.example")))),
            (true, Mechanism::Network { prefix: 24 }),
            (false, Mechanism::Network { prefix: 32 }),
            (true, Mechanism::Network { prefix: 32 }),
            (true, Mechanism::Include(name("_spf.a.example"))),
            (false, Mechanism::Exists(Target::Macro)),
            (true, Mechanism::Pointer),
            (false, Mechanism::Pointer),
            (false, Mechanism::All),
        ];
        assert_eq!(mechanisms, expected);
        assert_eq!(Record::read("v=spf1"), Ok(Record::default()));
    }

    #[test]
    fn one_bad_term_makes_the_whole_bad() {
        for bad in [
            "al",
            "all:x",
            "all/8",
            "include",
            "include:",
            "include:a",
            "include:192.0.2.1",
            "include:a..example",
            "include:%{x}.a.example",
            "include:%a.example",
            "include:%{d",
            "include:a.example%",
            "ip4:192.0.2",
            "ip4:192.0.2.1/33",
            "ip4:192.0.2.1/",
            "ip4:192.0.2.1/08",
            "ip4:2001:db8::1",
            "ip6:192.0.2.1",
            "ip4",
            "a/",
            "a/33",
            "a//129",
            "a:",
            "mx:a",
            "ptr:",
            "exists",
            "redirect=",
            "redirect=a",
            "redirect=a.example redirect=a.example",
            "exp=a.example exp=a.example",
            "x=%",
            "-",
            "+-all",
            "ipv4:192.0.2.1",
            "a,",
            "\u{fc}",
            "x=\u{fc}",
        ] {
            assert!(Record::read(&format!("v=spf1 {bad} -all")).is_err(), "{bad}");
        }
        let bad = Record::read("v=spf1 -all ip:192.0.2.1").unwrap_err();
        assert_eq!((bad.term.as_str(), bad.why), ("ip:192.0.2.1", "is no term that SPF knows"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_harm(text in ".{0,120}") {
            let _ = (is_one(text.as_bytes()), Record::read(&text));
        }

        #[test]
        fn any_terms_are_read_without_harm(terms in prop::collection::vec("[-+~?]?(a|mx|include|ip4|ip6|exists|exp|redirect)[:=/%{}a-z0-9.]{0,12}", 0..8)) {
            let _ = Record::read(&format!("v=spf1 {}", terms.join(" ")));
        }
    }
}
