//! Whether a text names a person, and where.

use std::collections::BTreeSet;
use std::ops::Range;

use mainstay_domain::TenantId;
use serde_json::{Map, Value};

use super::numbers::{self, FEWEST_DIGITS};

/// The fewest characters of an identifier: what is shorter is found everywhere.
const SHORTEST: usize = 4;
/// How deep texts that are JSON themselves are looked into.
const DEEPEST: usize = 4;
/// What stands in the place of what was erased.
pub(super) const ERASED: &str = "[erased]";

/// By what a person is known: addresses, names, numbers, ids.
///
/// What was given counts everywhere. What was learnt counts in the organisation that it was learnt in: the number of a firm or
/// of a family, and a name, may be somebody else's elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identifiers {
    /// In small letters.
    addresses: BTreeSet<Known>,
    /// In small letters.
    names: BTreeSet<Known>,
    /// All digits of each number.
    numbers: BTreeSet<Known>,
    /// Of rows that are theirs.
    ids: BTreeSet<String>,
}

/// What is known, and in which organisation it counts; nothing for all.
type Known = (String, Option<String>);

/// An identifier by which nobody can be found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is too short to find somebody by")]
pub struct NothingToFind(String);

/// Which identifiers count, in which organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By<'a> {
    /// Addresses and numbers, which are of one person.
    Sure(Option<&'a str>),
    /// Names as well, which somebody else may have too.
    Names(Option<&'a str>),
    /// Everything, wherever it was learnt.
    All,
}

impl By<'_> {
    fn counts(self, (_, of): &Known) -> bool {
        match self {
            Self::All => true,
            Self::Sure(tenant) | Self::Names(tenant) => of.is_none() || of.as_deref() == tenant,
        }
    }
}

impl Identifiers {
    /// Adds an address.
    ///
    /// # Errors
    /// When it has fewer than four characters.
    pub fn address(mut self, text: &str) -> Result<Self, NothingToFind> {
        self.addresses.insert((long_enough(text)?, None));
        Ok(self)
    }

    /// Adds a full name.
    ///
    /// # Errors
    /// When it has fewer than four characters.
    pub fn name(mut self, text: &str) -> Result<Self, NothingToFind> {
        self.names.insert((long_enough(text)?, None));
        Ok(self)
    }

    /// Adds a number of a telephone, with its calling code.
    ///
    /// # Errors
    /// When it has fewer than seven digits.
    pub fn number(mut self, number: &str) -> Result<Self, NothingToFind> {
        let digits = digits_of(number);
        if digits.len() < FEWEST_DIGITS {
            return Err(NothingToFind(number.to_owned()));
        }
        self.numbers.insert((digits, None));
        Ok(self)
    }

    /// Adds the id of a row that is theirs; false when it is known.
    pub(super) fn id(&mut self, id: &str) -> bool {
        self.ids.insert(id.to_owned())
    }

    /// Adds what such a row says of them, for an organisation; false when it is known, or too short to find somebody by. Of
    /// names only those of two words and more tell one from another.
    pub(super) fn learn(&mut self, column: &str, text: &str, tenant: Option<&str>) -> bool {
        let (all, known) = match column {
            "phone" | "number" => {
                let digits = digits_of(text);
                (&mut self.numbers, (digits.len() >= FEWEST_DIGITS).then_some(digits))
            }
            "name" if !is_full(text) => return false,
            "name" => (&mut self.names, long_enough(text).ok()),
            _ => (&mut self.addresses, long_enough(text).ok()),
        };
        let Some(known) = known else { return false };
        let everywhere = all.contains(&(known.clone(), None));
        !everywhere && all.insert((known, tenant.map(str::to_owned)))
    }

    /// Whether there is nothing to find somebody by.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.numbers.is_empty() && self.names.is_empty()
    }

    /// Whether somebody is found without doubt: names are no more than a hint.
    #[must_use]
    pub fn are_sure(&self) -> bool {
        !(self.addresses.is_empty() && self.numbers.is_empty())
    }

    /// Whether each name that was given has two words and more.
    #[must_use]
    pub fn have_full_names(&self) -> bool {
        self.names.iter().all(|(name, _)| is_full(name))
    }

    /// The addresses that count in an organisation, in small letters.
    pub fn addresses(&self, tenant: TenantId) -> Vec<String> {
        let tenant = tenant.to_string();
        let all = self.addresses.iter().filter(|known| By::Sure(Some(&tenant)).counts(known));
        all.map(|(address, _)| address.clone()).collect()
    }

    /// The numbers that count in an organisation (E.164).
    pub fn numbers(&self, tenant: TenantId) -> Vec<String> {
        let tenant = tenant.to_string();
        let all = self.numbers.iter().filter(|known| By::Sure(Some(&tenant)).counts(known));
        all.map(|(digits, _)| format!("+{digits}")).collect()
    }

    /// All of them, with the organisation where one counts: in it alone when it was learnt there.
    pub fn told(&self) -> Vec<(String, Option<String>)> {
        let numbers = self.numbers.iter().map(|(digits, of)| (format!("+{digits}"), of.clone()));
        self.addresses.iter().cloned().chain(numbers).chain(self.names.iter().cloned()).collect()
    }

    /// Whether an id of theirs stands in a text.
    pub(super) fn id_in(&self, text: &str) -> bool {
        const HYPHENS: [usize; 4] = [8, 13, 18, 23];
        let is_id = |place: &[u8]| HYPHENS.iter().all(|at| place[*at] == b'-');
        !self.ids.is_empty()
            && text
                .as_bytes()
                .windows(36)
                .any(|place| is_id(place) && std::str::from_utf8(place).is_ok_and(|id| self.ids.contains(id)))
    }

    /// Whether this is one of the addresses, numbers or ids, whole.
    pub(super) fn are(&self, value: &Value, tenant: Option<&str>) -> bool {
        let Some(text) = value.as_str() else { return false };
        let known = |all: &BTreeSet<Known>, text: String| {
            let there = |of: Option<&str>| all.contains(&(text.clone(), of.map(str::to_owned)));
            there(None) || tenant.is_some() && there(tenant)
        };
        self.ids.contains(text)
            || known(&self.addresses, folded(text))
            || text.starts_with('+') && known(&self.numbers, digits_of(text))
    }

    /// The columns of a row that name the person.
    #[must_use]
    pub(super) fn columns(&self, row: &Map<String, Value>, by: By<'_>) -> Vec<String> {
        row.iter().filter(|(_, value)| self.name_in(value, by, DEEPEST)).map(|(column, _)| column.clone()).collect()
    }

    /// Whether a value names the person.
    pub(super) fn in_value(&self, value: &Value, by: By<'_>) -> bool {
        self.name_in(value, by, DEEPEST)
    }

    fn name_in(&self, value: &Value, by: By<'_>, depth: usize) -> bool {
        match value {
            Value::String(text) => self.in_text(text, by, depth),
            Value::Number(number) => !self.of_numbers(&number.to_string(), by).is_empty(),
            Value::Array(values) => values.iter().any(|value| self.name_in(value, by, depth)),
            Value::Object(fields) => {
                fields.iter().any(|(key, value)| self.in_text(key, by, 0) || self.name_in(value, by, depth))
            }
            Value::Null | Value::Bool(_) => false,
        }
    }

    fn in_text(&self, text: &str, by: By<'_>, depth: usize) -> bool {
        if by == By::All && self.id_in(text) || !self.places(text, by).is_empty() {
            return true;
        }
        // JSON that came from outside may write letters by their numbers.
        let nested = depth > 0 && text.trim_start().starts_with(['{', '[', '"']) && text.contains('\\');
        nested && serde_json::from_str::<Value>(text).is_ok_and(|inner| self.name_in(&inner, by, depth - 1))
    }

    /// A text without what names the person; nothing when it does not. Of JSON the strings are looked at.
    pub(super) fn without(&self, text: &str, by: By<'_>) -> Option<String> {
        if text.trim_start().starts_with(['{', '[', '"'])
            && let Ok(mut whole) = serde_json::from_str::<Value>(text)
        {
            return self.cut(&mut whole, by).then(|| whole.to_string());
        }
        self.cut_text(text, by)
    }

    fn cut(&self, value: &mut Value, by: By<'_>) -> bool {
        match value {
            Value::String(text) => {
                let cut = self.without(text, by);
                let is_cut = cut.is_some();
                if let Some(cut) = cut {
                    *text = cut;
                }
                is_cut
            }
            Value::Number(number) if !self.of_numbers(&number.to_string(), by).is_empty() => {
                *value = Value::String(ERASED.to_owned());
                true
            }
            // Each of them, also behind one that is cut.
            Value::Array(values) => values.iter_mut().filter_map(|value| self.cut(value, by).then_some(())).count() > 0,
            Value::Object(fields) => {
                let mut any = false;
                let old = std::mem::take(fields);
                for (key, mut value) in old {
                    let named = self.cut_text(&key, by);
                    any |= self.cut(&mut value, by) || named.is_some();
                    fields.insert(named.unwrap_or(key), value);
                }
                any
            }
            Value::Number(_) | Value::Null | Value::Bool(_) => false,
        }
    }

    fn cut_text(&self, text: &str, by: By<'_>) -> Option<String> {
        let mut places = self.places(text, by);
        if places.is_empty() {
            return None;
        }
        places.sort_unstable_by_key(|place| place.start);
        let (mut rest, mut from) = (String::with_capacity(text.len()), 0);
        for place in places {
            // Within one that is cut out already.
            if place.end <= from {
                continue;
            }
            if place.start >= from {
                rest.push_str(&text[from..place.start]);
                rest.push_str(ERASED);
            }
            from = place.end;
        }
        rest.push_str(&text[from..]);
        Some(rest)
    }

    /// Where a text names the person, in bytes.
    fn places(&self, text: &str, by: By<'_>) -> Vec<Range<usize>> {
        let mut places = self.of_numbers(text, by);
        let (low, from) = Folded::of(text).parts();
        let mut find = |wanted: &str| {
            for (start, found) in low.match_indices(wanted) {
                if !stands_alone(&low, start, found.len()) {
                    continue;
                }
                // A letter whose small form has several is cut out whole.
                let last = from[start + found.len() - 1];
                places.push(from[start]..last + text[last..].chars().next().map_or(0, char::len_utf8));
            }
        };
        for (address, _) in self.addresses.iter().filter(|known| by.counts(known)) {
            find(address);
            // As it stands in the address of a page.
            find(&address.replace('@', "%40"));
        }
        if !matches!(by, By::Sure(_)) {
            self.names.iter().filter(|known| by.counts(known)).for_each(|(name, _)| find(name));
        }
        places
    }

    /// Where its numbers stand in a text.
    fn of_numbers(&self, text: &str, by: By<'_>) -> Vec<Range<usize>> {
        let all = self.numbers.iter().filter(|known| by.counts(known));
        numbers::places(text, &all.map(|(digits, _)| digits.as_str()).collect::<Vec<_>>())
    }
}

/// Whether a name has two words and more.
fn is_full(name: &str) -> bool {
    name.trim().contains(char::is_whitespace)
}

fn long_enough(text: &str) -> Result<String, NothingToFind> {
    let folded = folded(text);
    if folded.chars().count() < SHORTEST { Err(NothingToFind(text.to_owned())) } else { Ok(folded) }
}

/// Whether it is no part of a longer address or word: `nada@example.com` is somebody else.
fn stands_alone(text: &str, start: usize, length: usize) -> bool {
    let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let mut before = text[..start].chars().rev();
    let mut after = text[start + length..].chars();
    let joins = |first: Option<char>, second: Option<char>| {
        letter(first) || matches!(first, Some('.' | '+' | '-' | '_' | '@')) && letter(second)
    };
    !joins(before.next(), before.next()) && !joins(after.next(), after.next())
}

fn digits_of(number: &str) -> String {
    number.chars().filter(char::is_ascii_digit).collect()
}

fn folded(text: &str) -> String {
    // Letter by letter, as texts are.
    text.trim().chars().flat_map(char::to_lowercase).collect()
}

/// A text in small letters, which may be longer or shorter than it was.
struct Folded {
    low: String,
    /// For each byte of it: where its letter begins in the text.
    from: Vec<usize>,
}

impl Folded {
    fn of(text: &str) -> Self {
        let (mut low, mut from) = (String::with_capacity(text.len()), Vec::with_capacity(text.len()));
        for (at, c) in text.char_indices() {
            for c in c.to_lowercase() {
                low.push(c);
                from.resize(low.len(), at);
            }
        }
        Self { low, from }
    }

    fn parts(self) -> (String, Vec<usize>) {
        (self.low, self.from)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ada() -> Identifiers {
        let identifiers = Identifiers::default().address("Ada@Example.com").and_then(|all| all.name("Ada Lovelace"));
        identifiers.and_then(|all| all.number("+1 500 555-0006")).expect("identifiers")
    }

    #[test]
    fn a_person_is_found_however_they_are_written() {
        for text in [
            "ADA@example.COM",
            "mailto:ada@example.com?subject=x",
            "/contacts?email=ada%40example.com",
            "_ada@example.com_",
            "... ada@example.com.",
            "Dear ada lovelace,",
            "+15005550006",
            "(500) 555-0006",
            "1-500-555.0006 at noon",
            "500 555 0006 2026-12-01 14:30",
            r#"{"from":"ada@example.com"}"#,
            r#" {"name":"\u0041da Lovelace"}"#,
            r#"["{\"a\":\"\\u0061da@example.com\"}"]"#,
        ] {
            assert!(ada().in_value(&json!(text), By::All), "{text}");
            let cut = ada().without(text, By::All).unwrap_or_else(|| panic!("{text}"));
            assert!(!ada().in_value(&json!(cut), By::All), "{text}: {cut}");
        }
        assert!(ada().in_value(&json!({"a": [{"b": "ada@example.com"}]}), By::All));
        assert!(ada().in_value(&json!(15_005_550_006_u64), By::All));
        for text in [
            "ada",
            "lovelace",
            "example.com",
            "ada @example.com",
            "nada@example.com",
            "n-ada@example.com",
            "ada@example.com.au",
            "Ada Lovelacely",
            "500 555 0007",
            "915005550006123",
            "50055500061",
            "2026-11-30 15:00",
            "",
        ] {
            assert!(!ada().in_value(&json!(text), By::All), "{text}");
            assert_eq!(ada().without(text, By::All), None);
        }
        assert!(!ada().in_value(&json!(17_500_555_000_612_u64), By::All), "a moment");
    }

    #[test]
    fn only_what_names_somebody_is_cut_out() {
        let cut = |text: &str| ada().without(text, By::Names(None)).expect("named");
        assert_eq!(cut("İ: ADA Lovelace (ada@example.com), +1 500 555-0006."), "İ: [erased] ([erased]), [erased].");
        assert_eq!(
            cut(r#"{"b":1.5,"a":["Ada Lovelace",2,null,15005550006]}"#),
            r#"{"a":["[erased]",2,null,"[erased]"],"b":1.5}"#
        );
        assert_eq!(cut(r#"{"ada@example.com":"x"}"#), r#"{"[erased]":"x"}"#);
        assert_eq!(cut("[ada@example.com"), "[[erased]");
        assert_eq!(
            cut("+1 500 555 0008\n+1 500 555 0006\n+1 500 555 0009"),
            "+1 500 555 0008\n[erased]\n+1 500 555 0009"
        );
        assert_eq!(cut("+1 500 555 0008 +1 500 555 0006, 2"), "+1 500 555 0008 [erased], 2");
        assert_eq!(cut("500 555 0006 2026-12-01 14:30"), "[erased] 2026-12-01 14:30");
        assert_eq!(ada().without("Ada Lovelace", By::Sure(None)), None, "somebody else may have that name");
    }

    #[test]
    fn what_was_learnt_counts_where_it_was_learnt() {
        let mut of = Identifiers::default().address("ada@example.com").expect("an address");
        assert!(of.learn("name", "Ada Lovelace", Some("t1")) && !of.learn("name", "Ada", Some("t1")));
        assert!(of.learn("phone", "+15005550006", Some("t1")) && !of.learn("email", "ada@example.com", Some("t1")));
        for text in ["Ada Lovelace", "+1 500 555 0006"] {
            assert_eq!(of.without(text, By::Names(Some("t2"))), None, "elsewhere it is somebody else's");
            assert_eq!(of.without(text, By::Names(None)), None);
            assert_eq!(of.without(text, By::Names(Some("t1"))).as_deref(), Some("[erased]"));
        }
        assert!(of.are(&json!("+15005550006"), Some("t1")) && !of.are(&json!("+15005550006"), Some("t2")));
        assert!(of.are(&json!("ADA@example.com"), Some("t2")), "what was given counts everywhere");
    }

    #[test]
    fn what_is_somebodys_is_told_from_what_names_them() {
        for whole in ["ada@example.com", "ADA@example.com", "+15005550006"] {
            assert!(ada().are(&json!(whole), None), "{whole}");
        }
        for other in ["nada@example.com", "+25005550006", "15005550006", "Ada Lovelace", ""] {
            assert!(!ada().are(&json!(other), None), "{other}");
        }
    }

    #[test]
    fn a_number_is_found_without_its_calling_code() {
        for (number, forms) in [
            ("+4930901877", ["030 901877", "+49 (0) 30 901877"]),
            ("+15005550006", ["500-555-0006", "001 500 555 0006"]),
            ("+3545551234", ["555 1234", "00354 555 1234"]),
        ] {
            let known = Identifiers::default().number(number).expect("a number");
            for form in forms {
                let cut = known.without(&format!("Call {form}!"), By::Sure(None));
                assert_eq!(cut.as_deref(), Some("Call [erased]!"), "{form}");
            }
            assert_eq!(known.without("Call 030 901878!", By::Sure(None)), None);
            assert!(!known.in_value(&json!(1_765_551_234_567_u64), By::All), "a moment is no number of a telephone");
        }
    }

    #[test]
    fn what_is_found_everywhere_is_refused() {
        assert!(Identifiers::default().name(" x ").is_err());
        assert!(Identifiers::default().number("555-00").is_err());
        assert!(Identifiers::default().is_empty());
        assert!(!Identifiers::default().name("Ada Lovelace").expect("a name").are_sure());
        assert!(!Identifiers::default().name("Lovelace").expect("a name").have_full_names());
    }
}
