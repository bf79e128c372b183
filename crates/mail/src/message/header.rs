//! Headers on the wire: folded, in ASCII, with encoded words (RFC 2047) for everything else.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::address::{is_atom, quoted};

/// Where a line is folded, in bytes without its end: RFC 5322, 2.1.1 asks for 78, and RFC 2047, 2 for 76 where there is an
/// encoded word.
const FOLD: usize = 76;
/// The longest encoded word.
const LONGEST_WORD: usize = 75;
/// A longer run without a space is encoded, so that it can be folded.
const LONGEST_RUN: usize = 60;

/// A text of one line: every control character and every separator of lines is a space, and the ends are trimmed.
///
/// Names and subjects come from lists that people import. A stray tab or line break in one of them must neither make a
/// header nor keep the mail from being sent, so it is replaced. Addresses, identifiers and links are refused instead: with a
/// character replaced they would mean something else.
#[must_use]
pub fn one_line(text: &str) -> String {
    let breaks = |letter: char| letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}');
    let line: String = text.chars().map(|letter| if breaks(letter) { ' ' } else { letter }).collect();
    line.trim().to_owned()
}

/// A name of a person in one line, with single spaces: some readers make single ones of several, and a name is the same.
#[must_use]
pub fn one_name(text: &str) -> String {
    let line = one_line(text);
    let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// Writes `name: value` of words that are ASCII already, folded before the words that do not fit.
pub(super) fn put_words<'a>(into: &mut String, name: &str, words: impl IntoIterator<Item = &'a str>) {
    into.push_str(name);
    into.push(':');
    let mut column = name.len() + 1;
    for (place, word) in words.into_iter().enumerate() {
        // The first word stays beside the name: a line of white space alone is no good header.
        if place > 0 && column + 1 + word.len() > FOLD {
            into.push_str("\r\n");
            column = 0;
        }
        into.push(' ');
        into.push_str(word);
        column += 1 + word.len();
    }
    into.push_str("\r\n");
}

/// Writes `name: text`, where the text is what people read (`unstructured` of RFC 5322).
pub(super) fn put_text(into: &mut String, name: &str, text: &str) {
    if text.is_empty() {
        into.push_str(name);
        into.push_str(": \r\n");
    } else if is_plain(text) {
        put_words(into, name, text.split(' '));
    } else {
        let words = encoded_words(text, name.len() + 2);
        put_words(into, name, words.iter().map(String::as_str));
    }
}

/// Writes `name: Display Name <address>`.
pub(super) fn put_mailbox(into: &mut String, name: &str, display: &str, address: &str) {
    let angled = format!("<{address}>");
    if display.is_empty() {
        put_words(into, name, [angled.as_str()]);
        return;
    }
    let words = if !is_plain(display) {
        encoded_words(display, name.len() + 2)
    } else if display.bytes().all(|byte| byte == b' ' || is_atom(byte)) {
        display.split(' ').map(str::to_owned).collect()
    } else {
        // Folded between its words; the space that a fold leaves is the one that stood there.
        quoted(display).split(' ').map(str::to_owned).collect()
    };
    put_words(into, name, words.iter().map(String::as_str).chain([angled.as_str()]));
}

/// Whether a text can stand as it is: printable ASCII, single spaces between short words, nothing like an encoded word.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && !text.contains("=?")
        && text.split(' ').all(|word| (1..=LONGEST_RUN).contains(&word.len()))
}

/// The text as encoded words of whole characters. The first line has `used` bytes already.
fn encoded_words(text: &str, used: usize) -> Vec<String> {
    let quoted_printable: usize = text.chars().map(q_length).sum();
    let q = quoted_printable <= text.len().div_ceil(3) * 4;
    let (mut words, mut part, mut length) = (Vec::new(), String::new(), 0);
    let mut room = LONGEST_WORD.saturating_sub(used).max(30);
    for letter in text.chars() {
        let more = if q { q_length(letter) } else { letter.len_utf8() };
        let fits = if q { length + more <= room - 12 } else { (length + more).div_ceil(3) * 4 <= room - 12 };
        if !fits && !part.is_empty() {
            words.push(encoded_word(&part, q));
            part.clear();
            (length, room) = (0, LONGEST_WORD);
        }
        part.push(letter);
        length += more;
    }
    words.push(encoded_word(&part, q));
    words
}

/// The bytes of a character in the Q encoding, in the narrow form that may stand beside an address (RFC 2047, 5.3).
fn q_length(letter: char) -> usize {
    if letter == ' ' || q_stands(letter) { 1 } else { letter.len_utf8() * 3 }
}

fn q_stands(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '!' | '*' | '+' | '-' | '/')
}

fn encoded_word(part: &str, q: bool) -> String {
    if !q {
        return format!("=?utf-8?B?{}?=", STANDARD.encode(part));
    }
    let mut word = String::from("=?utf-8?Q?");
    for letter in part.chars() {
        if letter == ' ' {
            word.push('_');
        } else if q_stands(letter) {
            word.push(letter);
        } else {
            for byte in letter.encode_utf8(&mut [0; 4]).bytes() {
                let _ = write!(word, "={byte:02X}");
            }
        }
    }
    word + "?="
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> String {
        let mut header = String::new();
        put_text(&mut header, "Subject", text);
        header
    }

    #[test]
    fn plain_text_stays_and_is_folded_at_its_spaces() {
        assert_eq!(text("Hello there"), "Subject: Hello there\r\n");
        assert_eq!(text(""), "Subject: \r\n");
        let long = text(&"word ".repeat(40));
        assert!(long.lines().all(|line| line.len() <= FOLD), "{long}");
        let long = text("word ".repeat(40).trim_end());
        assert!(long.lines().count() > 2 && long.lines().all(|line| line.len() <= FOLD), "{long}");
        assert_eq!(long.replace("\r\n ", " ").trim_end(), format!("Subject: {}", "word ".repeat(40).trim_end()));
    }

    #[test]
    fn other_letters_are_encoded_whole() {
        assert_eq!(text("Zürich, see you there"), "Subject: =?utf-8?Q?Z=C3=BCrich=2C_see_you_there?=\r\n");
        assert_eq!(text("日本"), "Subject: =?utf-8?B?5pel5pys?=\r\n");
        assert_eq!(text("=?utf-8?Q?forged?="), "Subject: =?utf-8?B?PT91dGYtOD9RP2ZvcmdlZD89?=\r\n", "encoded itself");
        for sample in ["🎉".repeat(200), "é".repeat(500), "x".repeat(10_000)] {
            let header = text(&sample);
            assert!(header.lines().all(|line| line.len() <= 76), "{header}");
        }
    }

    #[test]
    fn names_are_atoms_quotes_or_encoded_words() {
        let name = |display: &str| {
            let mut header = String::new();
            put_mailbox(&mut header, "To", display, "a@b.example");
            header
        };
        assert_eq!(name(""), "To: <a@b.example>\r\n");
        assert_eq!(name("Ada Lovelace"), "To: Ada Lovelace <a@b.example>\r\n");
        assert_eq!(name("Lovelace, \"Ada\" \\"), "To: \"Lovelace, \\\"Ada\\\" \\\\\" <a@b.example>\r\n");
        assert_eq!(name("Ada <eve@example.com>"), "To: \"Ada <eve@example.com>\" <a@b.example>\r\n");
        assert_eq!(name("Zoë Lovelace, London"), "To: =?utf-8?Q?Zo=C3=AB_Lovelace=2C_London?= <a@b.example>\r\n");
    }

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(one_line("a\r\nBcc: b\0\u{85}\u{2028}c\t"), "a  Bcc: b   c");
    }
}
