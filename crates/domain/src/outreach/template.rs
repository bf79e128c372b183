//! The templates of mails: a text with the names of fields in it, `{{first_name}}`, each with what stands there instead when
//! somebody has none, `{{first_name | "there"}}`.
//!
//! There is nothing else: no conditions, no loops, no choice at random. What can be said of a template can so be said before
//! it is sent: which fields it needs, who lacks them, and how long it becomes. A field that is missing is an error that
//! names it, never an empty place.

mod check;
mod read;

use std::collections::{BTreeMap, BTreeSet};

use super::html;
use super::links::{Link, is_target, links, text_links};
use crate::text::Refused;

pub use check::{LaunchCheck, LaunchProblem, ProblemKind};
pub use read::TemplateFault;

/// What of a mail a template is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TemplatePart {
    /// The subject: one line.
    Subject,
    /// The plain text.
    Text,
    /// The HTML.
    Html,
}

impl TemplatePart {
    /// What is meant, in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Text => "text",
            Self::Html => "HTML",
        }
    }
}

/// How a field is written where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// In a header: whatever could end or turn the line is a space.
    Header,
    /// In plain text: as it is.
    Text,
    /// In HTML: what would be a tag, an end of an attribute or a reference is escaped.
    Html,
}

/// The fields of somebody: `first_name`, `custom.company`. A value of white space only is none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fields(BTreeMap<String, String>);

crate::text::unprinted!(Fields, "[fields]");

impl Fields {
    /// No fields.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a field.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    /// The value of a field, trimmed; nothing when there is none or it is white space.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Fields {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// What stands in every mail.
    Literal(String),
    /// A field, and what stands there without it.
    Field {
        name: String,
        fallback: Option<String>,
        /// Whether an address of a link begins with it: then it decides where the link leads.
        begins_link: bool,
    },
}

/// A template that was read and can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    part: TemplatePart,
    source: String,
    pieces: Vec<Piece>,
}

/// A field that a template names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedField<'a> {
    /// Its name.
    pub name: &'a str,
    /// Whether something stands there without it, wherever the template names it.
    pub has_fallback: bool,
}

/// Why a template cannot be filled in for somebody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderFault {
    /// They have no such field, and nothing stands for it.
    #[error("there is no {field}, and the template has nothing to write instead")]
    Missing {
        /// The field.
        field: String,
    },
    /// It would be too long.
    #[error("it would have {bytes} bytes; at most {most} are allowed")]
    TooLong {
        /// How long it would be.
        bytes: usize,
        /// How long it may be.
        most: usize,
    },
    /// A link would begin with the field, and it is no address that a link may lead to.
    #[error("a link begins with {field}, which is no address with http://, https:// or mailto:")]
    NotALink {
        /// The field.
        field: String,
    },
}

impl RenderFault {
    /// Stable, `snake_case`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing_field",
            Self::TooLong { .. } => "too_long",
            Self::NotALink { .. } => "not_a_link",
        }
    }
}

impl Template {
    /// The most characters of a subject.
    pub const LONGEST_SUBJECT: usize = 200;
    /// The most bytes of a text, and of HTML.
    pub const LONGEST_BODY: usize = 100 * 1024;
    /// The most bytes of a text or of HTML that is filled in.
    pub const LONGEST_RENDERED: usize = 256 * 1024;
    /// The most bytes of a subject that is filled in: a line of a mail has 998 (RFC 5322, 2.1.1), and what is not ASCII
    /// takes up to three times as much there.
    pub const LONGEST_RENDERED_SUBJECT: usize = 900;
    /// The field for the address at which somebody unsubscribes. It is never a tracked link.
    pub const UNSUBSCRIBE_URL: &'static str = "unsubscribe_url";

    /// Reads a template.
    ///
    /// # Errors
    /// Says where it is wrong, by line and column from 1, and how to mend it.
    pub fn parse(part: TemplatePart, source: &str) -> Result<Self, TemplateFault> {
        read::template(part, source)
    }

    /// What of a mail it is.
    #[must_use]
    pub const fn part(&self) -> TemplatePart {
        self.part
    }

    /// The text that it was read from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The fields that it names, each once, in order of their names.
    #[must_use]
    pub fn fields(&self) -> Vec<NamedField<'_>> {
        let mut named: BTreeMap<&str, bool> = BTreeMap::new();
        for piece in &self.pieces {
            if let Piece::Field { name, fallback, .. } = piece {
                let all = named.entry(name).or_insert(true);
                *all &= fallback.is_some();
            }
        }
        named.into_iter().map(|(name, has_fallback)| NamedField { name, has_fallback }).collect()
    }

    /// The links that every mail of it has: those whose address holds no field. The numbers are those that the links have in
    /// a mail of HTML too.
    #[must_use]
    pub fn links(&self) -> Vec<Link> {
        let text = self.outline();
        match self.part {
            TemplatePart::Subject => Vec::new(),
            TemplatePart::Text => text_links(&text),
            TemplatePart::Html => links(&text),
        }
    }

    /// The template with each field as its bare name, without quotes that could be taken for those of HTML.
    fn outline(&self) -> String {
        let mut text = String::with_capacity(self.source.len());
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Field { name, .. } => {
                    text.push_str("{{");
                    text.push_str(name);
                    text.push_str("}}");
                }
            }
        }
        text
    }

    /// Fills it in.
    ///
    /// # Errors
    /// When a field is missing, when the result would be too long, or when a field would be a link and is none.
    pub fn render(&self, fields: &Fields, escape: Escape) -> Result<String, RenderFault> {
        let bytes = self.length(fields, escape)?;
        let mut text = String::with_capacity(bytes);
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Field { name, fallback, begins_link } => {
                    let value = value(fields, name, fallback.as_deref())?;
                    if *begins_link && !is_target(value) {
                        return Err(RenderFault::NotALink { field: name.clone() });
                    }
                    match escape {
                        Escape::Header => text.extend(value.chars().map(in_header)),
                        Escape::Text => text.push_str(value),
                        Escape::Html => html::escape(value, &mut text),
                    }
                }
            }
        }
        Ok(text)
    }

    /// How long it becomes, before anything is written.
    fn length(&self, fields: &Fields, escape: Escape) -> Result<usize, RenderFault> {
        let mut bytes = 0_usize;
        for piece in &self.pieces {
            bytes += match piece {
                Piece::Literal(literal) => literal.len(),
                Piece::Field { name, fallback, .. } => {
                    let value = value(fields, name, fallback.as_deref())?;
                    if escape == Escape::Html { html::escaped_length(value) } else { value.len() }
                }
            };
        }
        let most = match self.part {
            TemplatePart::Subject => Self::LONGEST_RENDERED_SUBJECT,
            TemplatePart::Text | TemplatePart::Html => Self::LONGEST_RENDERED,
        };
        if bytes > most { Err(RenderFault::TooLong { bytes, most }) } else { Ok(bytes) }
    }

    /// How it is escaped where it belongs.
    #[must_use]
    pub const fn escape(&self) -> Escape {
        match self.part {
            TemplatePart::Subject => Escape::Header,
            TemplatePart::Text => Escape::Text,
            TemplatePart::Html => Escape::Html,
        }
    }
}

fn value<'a>(fields: &'a Fields, name: &str, fallback: Option<&'a str>) -> Result<&'a str, RenderFault> {
    fields.get(name).or(fallback).ok_or_else(|| RenderFault::Missing { field: name.to_owned() })
}

/// A character as it may stand in a header: whatever ends or turns the line is a space.
fn in_header(character: char) -> char {
    let turns = matches!(character, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    if character.is_control() || turns { ' ' } else { character }
}

/// Whether a text can be the name of a field: `first_name`, `custom.company`.
///
/// # Errors
/// Says what a name looks like.
pub fn field_name(text: &str) -> Result<&str, Refused> {
    let part = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_lowercase())
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let good = text.len() <= 64
        && match text.split_once('.') {
            None => part(text),
            Some((group, name)) => group == "custom" && part(name),
        };
    if good {
        return Ok(text);
    }
    Err(Refused {
        code: "invalid_field_name",
        detail: "A field is called with at most 64 lower case letters, digits and _, the first a letter, such as \
                 first_name; one of your own has custom. before it, such as custom.company."
            .to_owned(),
    })
}

/// The fields that everybody may have, beside those of the organisation's own.
#[must_use]
pub fn known_fields() -> BTreeSet<String> {
    ["email", "first_name", "last_name", "company", Template::UNSUBSCRIBE_URL].into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
