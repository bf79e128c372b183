//! What an organisation knows: its documents, the passages that they are cut into, and the words that these are found by.
//!
//! Words are cut here and not by a database, so that both engines find the same, and so that nothing that somebody writes is
//! ever read as the language of a query.

mod passages;
mod words;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::account::{UnknownWord, words as named};
use crate::text::{Refused, bounded_line, unprinted};

pub use passages::{Passage, sentences};
pub(crate) use words::telling;
pub use words::{Question, QuestionWord};

/// How the words of a document are compared with those of a question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// As they are written, whatever their case. For every language.
    #[default]
    Simple,
    /// By their stems: `opens`, `opened` and `opening` are found by `open`.
    English,
}

named!(Language { Simple = "simple", English = "english" });

/// What a document is called: one line of 1 to 200 characters.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct DocumentTitle(String);

unprinted!(DocumentTitle, "[title]");

impl DocumentTitle {
    /// The most characters.
    pub const MOST: usize = 200;

    /// The title as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a title.
    ///
    /// # Errors
    /// When it is empty, too long, or holds control characters.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        bounded_line(text, 1, Self::MOST).map(Self)
    }
}

/// What a document says: plain text or Markdown, 1 byte to 256 KiB, not only white space, without NUL.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct DocumentText(String);

unprinted!(DocumentText, "[document]");

impl DocumentText {
    /// The most bytes.
    pub const MOST: usize = 256 * 1024;

    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a text.
    ///
    /// # Errors
    /// When it is empty, too long, or holds NUL, which no database text can keep.
    pub fn parse(text: String) -> Result<Self, Refused> {
        let refused = |code, detail: String| Err(Refused { code, detail });
        if text.len() > Self::MOST {
            let detail = format!("It has {} bytes; at most {} are allowed. Divide it.", text.len(), Self::MOST);
            return refused("too_long", detail);
        }
        if text.trim().is_empty() {
            return refused("empty", "Write something first.".to_owned());
        }
        if text.contains('\0') {
            return refused("control_characters", "It holds a NUL character; remove it.".to_owned());
        }
        Ok(Self(text))
    }
}

/// A document as it is searched: its passages, and where each of its words stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexedText {
    /// The passages, in their order.
    pub passages: Vec<Passage>,
    /// For each word, the passages that hold it with how much it weighs there: once for each time, more in a heading.
    pub terms: BTreeMap<String, Vec<(u16, u16)>>,
}

/// What a word of a heading weighs, and one of the title, which stands over every passage.
const IN_A_HEADING: u16 = 3;
const IN_THE_TITLE: u16 = 1;
/// The most that a word weighs in a passage.
const MOST_WEIGHT: u16 = 99;

impl IndexedText {
    /// Cuts a document.
    #[must_use]
    pub fn of(title: &DocumentTitle, language: Language, text: &DocumentText) -> Self {
        let passages = passages::cut(text.as_str());
        let titled: Vec<_> = words::terms(title.as_str(), language).collect();
        let mut terms: BTreeMap<String, Vec<(u16, u16)>> = BTreeMap::new();
        for (place, passage) in (0_u16..).zip(&passages) {
            let said = words::terms(&passage.content, language).map(|term| (term, 1));
            let headed = words::terms(&passage.heading, language).map(|term| (term, IN_A_HEADING));
            let over = titled.iter().cloned().map(|term| (term, IN_THE_TITLE));
            for (term, weight) in said.chain(headed).chain(over) {
                let places = terms.entry(term).or_default();
                match places.last_mut() {
                    Some((last, sum)) if *last == place => *sum = (*sum + weight).min(MOST_WEIGHT),
                    _ => places.push((place, weight)),
                }
            }
        }
        Self { passages, terms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_in_its_passages_and_weighs_more_in_a_heading() {
        let title = DocumentTitle::parse("Our practice").unwrap();
        let text =
            DocumentText::parse("# Opening hours\n\nWe open at nine. Open!\n\n# Parking\n\nBehind us.".to_owned());
        let indexed = IndexedText::of(&title, Language::English, &text.unwrap());
        assert_eq!(indexed.passages.len(), 2);
        assert_eq!(indexed.terms["open"], [(0, 5)]);
        assert_eq!(indexed.terms["park"], [(1, 3)]);
        assert_eq!(indexed.terms["practic"], [(0, 1), (1, 1)]);
        assert!(!indexed.terms.contains_key("opening"));
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        assert_eq!(DocumentText::parse(" \n".to_owned()).unwrap_err().code, "empty");
        assert_eq!(DocumentText::parse("a\0".to_owned()).unwrap_err().code, "control_characters");
        assert_eq!(DocumentText::parse("a".repeat(DocumentText::MOST + 1)).unwrap_err().code, "too_long");
        assert!(DocumentText::parse("a".repeat(DocumentText::MOST)).is_ok());
        assert!(DocumentTitle::parse("two\nlines").is_err() && DocumentTitle::parse(" ").is_err());
    }
}
