//! Whether a text names a person.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// The fewest characters of an identifier: what is shorter is found everywhere.
const SHORTEST: usize = 4;
/// The fewest digits of a number: the number of a subscriber without its area.
const FEWEST_DIGITS: usize = 7;
/// How deep texts that are JSON themselves are looked into.
const DEEPEST: usize = 4;

/// By what a person is known: addresses, names, numbers, ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identifiers {
    /// In small letters.
    texts: Vec<String>,
    /// Digits without what stands before them in another country.
    numbers: Vec<String>,
    /// Of rows that are theirs.
    ids: BTreeSet<String>,
}

/// An identifier by which nobody can be found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is too short to find somebody by")]
pub struct NothingToFind(String);

impl Identifiers {
    /// Adds an address, a name or an id.
    ///
    /// # Errors
    /// When it has fewer than four characters.
    pub fn text(mut self, text: &str) -> Result<Self, NothingToFind> {
        let folded = folded(text);
        if folded.chars().count() < SHORTEST {
            return Err(NothingToFind(text.to_owned()));
        }
        self.texts.push(folded);
        Ok(self)
    }

    /// Adds a number of a telephone.
    ///
    /// # Errors
    /// When it has fewer than seven digits.
    pub fn number(mut self, number: &str) -> Result<Self, NothingToFind> {
        let digits: String = number.chars().filter(char::is_ascii_digit).collect();
        // How a country is written before a number differs from form to form; the end of it does not.
        let end = digits.len().saturating_sub(9).min(digits.len());
        if digits.len() < FEWEST_DIGITS {
            return Err(NothingToFind(number.to_owned()));
        }
        self.numbers.push(digits[end..].to_owned());
        Ok(self)
    }

    /// Adds the id of a row that is theirs; false when it is known.
    pub(super) fn id(&mut self, id: &str) -> bool {
        self.ids.insert(id.to_owned())
    }

    /// Adds what such a row says of them; false when it is known, or too short to find somebody by. Of names only those of two
    /// words and more tell one from another.
    pub(super) fn learn(&mut self, column: &str, text: &str) -> bool {
        self.tidy();
        let known = self.clone();
        let learnt = match column {
            "phone" | "number" => known.number(text),
            "name" if !text.trim().contains(char::is_whitespace) => return false,
            _ => known.text(text),
        };
        let Ok(mut all) = learnt else { return false };
        let is_new = all.tidy() > self.texts.len() + self.numbers.len();
        if is_new {
            *self = all;
        }
        is_new
    }

    /// How many there are, each once.
    fn tidy(&mut self) -> usize {
        for all in [&mut self.texts, &mut self.numbers] {
            all.sort_unstable();
            all.dedup();
        }
        self.texts.len() + self.numbers.len()
    }

    /// Whether there is nothing to find somebody by.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.numbers.is_empty()
    }

    /// The columns of a row that name the person.
    #[must_use]
    pub(super) fn columns(&self, row: &Map<String, Value>) -> Vec<String> {
        row.iter().filter(|(_, value)| self.names(value, DEEPEST)).map(|(column, _)| column.clone()).collect()
    }

    fn names(&self, value: &Value, depth: usize) -> bool {
        match value {
            Value::String(text) => self.in_text(text, depth),
            Value::Number(number) => self.in_digits(&number.to_string()),
            Value::Array(values) => values.iter().any(|value| self.names(value, depth)),
            Value::Object(fields) => fields.iter().any(|(key, value)| self.in_text(key, 0) || self.names(value, depth)),
            Value::Null | Value::Bool(_) => false,
        }
    }

    fn in_text(&self, text: &str, depth: usize) -> bool {
        if self.ids.contains(text) {
            return true;
        }
        let low = folded(text);
        if self.texts.iter().any(|wanted| low.contains(wanted.as_str())) || self.in_digits(text) {
            return true;
        }
        // JSON that came from outside may write letters by their numbers, and ids stand in it whole.
        let nested = depth > 0 && text.starts_with(['{', '[', '"']) && (text.contains('\\') || !self.ids.is_empty());
        nested && serde_json::from_str::<Value>(text).is_ok_and(|inner| self.names(&inner, depth - 1))
    }

    /// Numbers are written with spaces, hyphens, dots, slashes and brackets between their digits.
    fn in_digits(&self, text: &str) -> bool {
        if self.numbers.is_empty() {
            return false;
        }
        let between = |c: char| c.is_whitespace() || "()-./+".contains(c);
        let mut run = String::new();
        let ended = |run: &mut String| {
            let found = self.numbers.iter().any(|wanted| run.contains(wanted.as_str()));
            run.clear();
            found
        };
        for c in text.chars() {
            if c.is_ascii_digit() {
                run.push(c);
            } else if !between(c) && !run.is_empty() && ended(&mut run) {
                return true;
            }
        }
        ended(&mut run)
    }
}

fn folded(text: &str) -> String {
    text.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ada() -> Identifiers {
        let identifiers = Identifiers::default().text("Ada@Example.com").and_then(|all| all.text("Ada Lovelace"));
        identifiers.and_then(|all| all.number("+1 500 555-0006")).expect("identifiers")
    }

    #[test]
    fn a_person_is_found_however_they_are_written() {
        for text in [
            "ADA@example.COM",
            "mailto:ada@example.com?subject=x",
            "Dear ada lovelace,",
            "+15005550006",
            "(500) 555-0006",
            "1-500-555.0006 at noon",
            r#"{"from":"ada@example.com"}"#,
            r#"{"name":"\u0041da Lovelace"}"#,
            r#"["{\"a\":\"\\u0061da@example.com\"}"]"#,
        ] {
            assert!(ada().names(&json!(text), DEEPEST), "{text}");
        }
        assert!(ada().names(&json!({"a": [{"b": "ada@example.com"}]}), DEEPEST));
        assert!(ada().names(&json!(15_005_550_006_u64), DEEPEST));
        for text in ["ada", "lovelace", "example.com", "ada @example.com", "500 555 0007", "2026-11-30 15:00", ""] {
            assert!(!ada().names(&json!(text), DEEPEST), "{text}");
        }
    }

    #[test]
    fn what_is_found_everywhere_is_refused() {
        assert!(Identifiers::default().text(" x ").is_err());
        assert!(Identifiers::default().number("555-00").is_err());
        assert!(Identifiers::default().is_empty());
    }
}
