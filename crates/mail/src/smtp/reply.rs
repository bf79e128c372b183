//! Answers of servers, read within bounds.

use std::fmt;

/// The most lines of one answer.
const MOST_LINES: usize = 128;
/// The longest line, with its end. RFC 5321 allows 512; some servers write more.
pub(super) const LONGEST_LINE: usize = 4_096;
/// The most bytes of one answer.
pub(super) const MOST_BYTES: usize = 64 * 1024;
/// How much of the text is kept, in bytes.
const MOST_TEXT: usize = 1_024;

/// An enhanced status code (RFC 3463): `5.1.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Enhanced {
    /// 2, 4 or 5.
    pub class: u8,
    /// What it is about: 1 addresses, 2 mailboxes, 3 mail system, 4 network, 5 protocol, 6 content, 7 policy.
    pub subject: u16,
    /// The detail.
    pub detail: u16,
}

impl Enhanced {
    /// Reads the code at the start of a text; gives it and what follows.
    #[must_use]
    pub fn read(text: &str) -> Option<(Self, &str)> {
        let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
        let (code, rest) = text.split_at_checked(end)?;
        if rest.starts_with(|letter: char| letter.is_alphanumeric() || letter == '-') {
            return None;
        }
        let mut parts = code.trim_end_matches('.').split('.');
        let class = parts.next()?.parse().ok().filter(|class| [2, 4, 5].contains(class))?;
        let mut number = || parts.next().filter(|part| part.len() <= 3)?.parse().ok();
        let (subject, detail) = (number()?, number()?);
        parts.next().is_none().then_some((Self { class, subject, detail }, rest.trim_start()))
    }
}

impl fmt::Display for Enhanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// An answer of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Three digits, 200 to 599.
    pub code: u16,
    /// The enhanced code, when the text begins with one of the same class.
    pub enhanced: Option<Enhanced>,
    /// The text without codes, its lines joined by spaces; printable and bounded. It may name the recipient.
    pub text: String,
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        if self.text.is_empty() { Ok(()) } else { write!(f, " {}", self.text) }
    }
}

impl Reply {
    /// The first digit of the code.
    #[must_use]
    pub const fn class(&self) -> u8 {
        // Codes have three digits, so this is 2 to 5.
        (self.code / 100) as u8
    }

    /// Reads an answer as it stands in books and bounces: `550 5.1.1 no such user`, or in several lines.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut reader = Reader::default();
        for line in text.lines() {
            if let Some(reply) = reader.line(line.as_bytes()).ok()? {
                return Some(reply);
            }
        }
        None
    }

    /// Its lines, for `EHLO`: the text is kept whole there.
    fn from_lines(code: u16, lines: &[String]) -> Self {
        let mut enhanced = None;
        let mut text = String::new();
        for line in lines {
            let mut words = line.as_str();
            if let Some((found, rest)) = Enhanced::read(words)
                && u16::from(found.class) == code / 100
            {
                enhanced = enhanced.or(Some(found));
                words = rest;
            }
            if !text.is_empty() && !words.is_empty() {
                text.push(' ');
            }
            text.extend(words.chars().map(|letter| if letter.is_control() { ' ' } else { letter }));
            if text.len() > MOST_TEXT {
                text.truncate(text.floor_char_boundary(MOST_TEXT));
                break;
            }
        }
        Self { code, enhanced, text: text.trim().to_owned() }
    }
}

/// Puts the lines of an answer together.
#[derive(Default)]
pub(super) struct Reader {
    code: Option<u16>,
    pub(super) lines: Vec<String>,
}

impl Reader {
    /// Takes a line without its end. Gives the answer when it was the last.
    ///
    /// # Errors
    /// When it is no line of an answer.
    pub(super) fn line(&mut self, line: &[u8]) -> Result<Option<Reply>, &'static str> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let code = match line {
            [first @ b'2'..=b'5', second @ b'0'..=b'9', third @ b'0'..=b'9', ..] => {
                u16::from(first - b'0') * 100 + u16::from(second - b'0') * 10 + u16::from(third - b'0')
            }
            _ => return Err("an answer without a code"),
        };
        if *self.code.get_or_insert(code) != code {
            return Err("an answer with two codes");
        }
        if self.lines.len() >= MOST_LINES {
            return Err("an answer of too many lines");
        }
        let more = match line.get(3) {
            None | Some(b' ') => false,
            Some(b'-') => true,
            Some(_) => return Err("an answer without a space after its code"),
        };
        self.lines.push(String::from_utf8_lossy(line.get(4..).unwrap_or_default()).into_owned());
        Ok((!more).then(|| Reply::from_lines(code, &self.lines)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let reply = Reply::parse("550-5.1.1 The account\r\n550-5.1.1 does not exist\r\n550 5.1.1 - gsmtp\r\n").unwrap();
        assert_eq!(reply.to_string(), "550 5.1.1 The account does not exist - gsmtp");
        let enhanced = |text: &str| Reply::parse(text).and_then(|reply| reply.enhanced).map(|code| code.to_string());
        assert_eq!(enhanced("250 2.0.0 OK"), Some("2.0.0".to_owned()));
        assert_eq!(enhanced("550 5.7.515 Access denied"), Some("5.7.515".to_owned()));
        assert_eq!(enhanced("550 4.1.1 the wrong class"), None);
        assert_eq!(enhanced("550 5.1.1.1 no code"), None);
        assert_eq!(enhanced("550 10.0.0.1 is blocked"), None);
        assert_eq!(enhanced("250 5 messages"), None);
        for bad in ["", "25", "150 x", "650 x", "2x0 y", "250-a\r\n251 b", "250_x", "250-unended"] {
            assert_eq!(Reply::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_text_is_printable_and_bounded() {
        let reply = Reply::parse(&format!("550 a\tb\u{7}{}", "é".repeat(2_000))).unwrap();
        assert!(reply.text.starts_with("a b é") && reply.text.len() <= MOST_TEXT, "{}", reply.text.len());
        let many = "250-x\r\n".repeat(MOST_LINES + 1) + "250 y";
        assert_eq!(Reply::parse(&many), None);
    }
}
