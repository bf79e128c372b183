//! Texts that people write, with their bounds. A value of one of these types has been checked.

use serde::Serialize;

/// Lets a value of a person's own words show only what it is where it is printed for debugging: in a line of the log, in an
/// error. What reads it, reads it by name (`as_str`).
macro_rules! unprinted {
    ($name:ident, $instead:literal) => {
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($instead)
            }
        }
    };
}
pub(crate) use unprinted;

/// Why a text was refused: a stable code, and what is wrong in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Stable, `snake_case`.
    pub code: &'static str,
    /// For the person who wrote it.
    pub detail: String,
}

impl Refused {
    /// As a fault of the named field.
    #[must_use]
    pub fn of(self, field: &str) -> crate::FieldFault {
        crate::FieldFault::new(field, self.code, self.detail)
    }
}

fn refused<T>(code: &'static str, detail: impl Into<String>) -> Result<T, Refused> {
    Err(Refused { code, detail: detail.into() })
}

/// One line, trimmed, of `least` to `most` characters, without control characters.
pub(crate) fn bounded_line(text: &str, least: usize, most: usize) -> Result<String, Refused> {
    let line = text.trim();
    let length = line.chars().count();
    if length < least {
        return refused("too_short", format!("It must have at least {least} characters."));
    }
    if length > most {
        return refused("too_long", format!("It has {length} characters; at most {most} are allowed."));
    }
    if line.chars().any(char::is_control) {
        return refused("control_characters", "It holds control characters, such as a line break; remove them.");
    }
    Ok(line.to_owned())
}

/// What a person writes to the assistant: 1 to 10,000 characters, not only white space, without NUL.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct MessageText(String);

unprinted!(MessageText, "[message]");

impl MessageText {
    /// The most characters (Unicode scalar values) of a message.
    pub const MOST: usize = 10_000;

    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a message.
    ///
    /// # Errors
    /// When it is empty, too long, or holds NUL, which no database text can keep.
    pub fn parse(text: String) -> Result<Self, Refused> {
        if text.trim().is_empty() {
            return refused("empty", "Write something first.");
        }
        if text.contains('\0') {
            return refused("control_characters", "It holds a NUL character; remove it.");
        }
        // A character has at most 4 bytes, so most texts need no counting.
        if text.len() > Self::MOST {
            let length = text.chars().count();
            if length > Self::MOST {
                return refused("too_long", format!("It has {length} characters; at most {} are allowed.", Self::MOST));
            }
        }
        Ok(Self(text))
    }
}

/// The title of a conversation: one line of 1 to 200 characters, without control characters and without those that turn
/// the direction of what follows. It is plain text: whoever shows it escapes it.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ConversationTitle(String);

unprinted!(ConversationTitle, "[title]");

impl ConversationTitle {
    /// The most characters of a title that a person gives.
    pub const MOST: usize = 200;
    /// The most characters of a title that is made from a first message.
    const MOST_MADE: usize = 60;

    /// The title as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a title that a person gives.
    ///
    /// # Errors
    /// When it is empty, too long, or holds control characters or some that turn the direction of the text.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let line = bounded_line(text, 1, Self::MOST)?;
        if line.chars().any(breaks_a_line) {
            return refused("control_characters", "It holds a character that breaks or turns the line; remove it.");
        }
        Ok(Self(line))
    }

    /// Makes a title from the first message: its first line, cut at a word.
    #[must_use]
    pub fn from_message(message: &MessageText) -> Self {
        let line = message.0.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        let clean: String = line.chars().filter(|c| !c.is_control() && !breaks_a_line(*c)).collect();
        let words = clean.trim().trim_start_matches(['#', '*', '-', ' ']);
        let mut title: String = words.chars().take(Self::MOST_MADE).collect();
        if words.chars().count() > Self::MOST_MADE {
            if let Some(cut) = title.rfind(' ').filter(|cut| *cut >= Self::MOST_MADE / 2) {
                title.truncate(cut);
            }
            title.push('…');
        }
        if title.is_empty() {
            title.push_str("New conversation");
        }
        Self(title)
    }
}

/// True for what breaks a line beside the control characters (the line and paragraph separators), and for what turns the
/// direction of the text after it, so that a title could be read as something that it is not: embeddings, overrides and
/// isolates (<https://www.unicode.org/reports/tr9/#Explicit_Directional_Embeddings>). The marks that only state a
/// direction (U+200E, U+200F, U+061C) are of use in such languages and stay.
fn breaks_a_line(character: char) -> bool {
    matches!(character, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// What an organisation is called: one line of 1 to 200 characters.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct OrganisationName(String);

unprinted!(OrganisationName, "[organisation]");

impl OrganisationName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a name.
    ///
    /// # Errors
    /// When it is empty, too long or holds control characters.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        bounded_line(text, 1, 200).map(Self)
    }
}

/// What a thing is called: one line of 1 to 200 characters.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Label(String);

unprinted!(Label, "[label]");

impl Label {
    /// The label as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a label.
    ///
    /// # Errors
    /// When it is empty, too long or holds control characters.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        bounded_line(text, 1, 200).map(Self)
    }
}

/// What somebody notes of a thing: at most 2,000 characters, of several lines, without other control characters. It may be
/// empty.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Note(String);

unprinted!(Note, "[note]");

impl Note {
    /// The most characters.
    pub const MOST: usize = 2_000;

    /// The note as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a note.
    ///
    /// # Errors
    /// When it is too long or holds control characters.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let text = text.trim();
        let length = text.chars().count();
        if length > Self::MOST {
            return refused("too_long", format!("It has {length} characters; at most {} are allowed.", Self::MOST));
        }
        if text.chars().any(|one| one.is_control() && !matches!(one, '\n' | '\r' | '\t')) {
            return refused("control_characters", "It holds control characters; remove them.");
        }
        Ok(Self(text.to_owned()))
    }
}

/// The key by which a client may repeat a request without doing it twice: 1 to 255 printable ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a key.
    ///
    /// # Errors
    /// When it is empty, longer than 255 characters or not printable ASCII.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        if text.is_empty() || text.len() > 255 {
            return refused("invalid_length", "An idempotency key has 1 to 255 characters; a UUID is a good one.");
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
            return refused("invalid_characters", "An idempotency key is printable ASCII; a UUID is a good one.");
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_bounded_in_characters_not_bytes() {
        assert!(MessageText::parse("é".repeat(10_000)).is_ok());
        assert_eq!(MessageText::parse("é".repeat(10_001)).map_err(|r| r.code), Err("too_long"));
        assert_eq!(MessageText::parse(" \n ".to_owned()).map_err(|r| r.code), Err("empty"));
        assert_eq!(MessageText::parse("a\0b".to_owned()).map_err(|r| r.code), Err("control_characters"));
    }

    #[test]
    fn a_title_is_made_from_the_first_line() {
        let title = |text: &str| {
            MessageText::parse(text.to_owned()).map(|m| ConversationTitle::from_message(&m).0).unwrap_or_default()
        };
        assert_eq!(title("\n  ## Is Vec<T> > &str?\nmore"), "Is Vec<T> > &str?");
        assert_eq!(title("a\u{202E}b\u{2028}c\u{2066}d\u{7}e"), "abcde");
        assert_eq!(title(&"word ".repeat(40)), format!("{}…", "word ".repeat(12).trim_end()));
        assert_eq!(title("\u{202E}\u{2029}"), "New conversation");
    }

    #[test]
    fn a_title_is_one_line_of_plain_text() {
        assert_eq!(ConversationTitle::parse("a < b, <b>").map(|t| t.0), Ok("a < b, <b>".to_owned()));
        for text in ["a\u{202E}b", "a\u{2067}b", "a\u{2028}b"] {
            assert_eq!(ConversationTitle::parse(text).map_err(|r| r.code), Err("control_characters"), "{text:?}");
        }
        assert!(ConversationTitle::parse("\u{200F}שלום").is_ok(), "a mark of direction turns nothing");
        assert_eq!(ConversationTitle::parse(" plans ").map(|t| t.0), Ok("plans".to_owned()));
        assert_eq!(ConversationTitle::parse("a\nb").map_err(|r| r.code), Err("control_characters"));
    }
}
