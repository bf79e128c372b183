//! Responses of servers, read (RFC 3501, 7).

use super::token::{Tokens, Value, number};
use super::wire::Piece;
use super::{Answer, No};

/// How much of a server's words is kept, in bytes.
const MOST_WORDS: usize = 500;
/// How much of a response code is kept, in bytes. The longest are lists of capabilities.
const MOST_CODE: usize = 4_096;

/// The first word of a response about how things stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    No,
    Bad,
    Preauth,
    Bye,
}

impl Status {
    pub(super) fn of_word(word: &[u8]) -> Option<Self> {
        let known = [
            (b"OK".as_slice(), Self::Ok),
            (b"NO", Self::No),
            (b"BAD", Self::Bad),
            (b"PREAUTH", Self::Preauth),
            (b"BYE", Self::Bye),
        ];
        known.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, status)| status)
    }
}

/// A response code and words for people, both printable and bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    /// What stands in brackets: `UIDVALIDITY 7`.
    pub(super) code: Option<String>,
    pub(super) text: String,
}

impl Words {
    fn read(rest: &[u8]) -> Self {
        let rest = rest.strip_prefix(b" ").unwrap_or(rest);
        if let Some(inner) = rest.strip_prefix(b"[")
            && let Some(end) = inner.iter().position(|byte| *byte == b']')
            && let (code, text) = inner.split_at(end)
        {
            return Self {
                code: Some(printable(code, MOST_CODE)),
                text: printable(text.get(1..).unwrap_or_default(), MOST_WORDS),
            };
        }
        Self { code: None, text: printable(rest, MOST_WORDS) }
    }

    /// What follows the name in the code, when the code has this name.
    pub(super) fn of_code(&self, name: &str) -> Option<&str> {
        let code = self.code.as_deref()?;
        let (first, rest) = code.split_once(' ').unwrap_or((code, ""));
        first.eq_ignore_ascii_case(name).then_some(rest.trim())
    }

    /// The number that stands in the code under this name.
    pub(super) fn number(&self, name: &str) -> Option<u32> {
        self.of_code(name)?.parse().ok()
    }

    pub(super) fn into_answer(self, no: No) -> Answer {
        let code = self.code.as_deref().and_then(|code| code.split(' ').next()).map(str::to_ascii_uppercase);
        Answer { no, code: code.filter(|code| !code.is_empty() && code.len() <= 64), text: self.text }
    }
}

/// Words of a server on one printable line.
fn printable(bytes: &[u8], most: usize) -> String {
    // No letter is written with more than four bytes, so what is cut off here is not kept anyway.
    let bytes = bytes.trim_ascii();
    let bytes = bytes.get(..4 * most).unwrap_or(bytes);
    let text = String::from_utf8_lossy(bytes);
    let mut text: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    text.truncate(text.floor_char_boundary(most));
    text.trim().to_owned()
}

/// What a server says of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) uid: Option<u32>,
    pub(super) size: Option<u64>,
    pub(super) internal_date: Option<String>,
    /// The text that was asked for. It may be there and empty.
    pub(super) body: Option<Vec<u8>>,
}

/// A folder in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// In small letters: `\sent`.
    pub(super) attributes: Vec<String>,
    /// What stands between the folder and those within it.
    pub(super) delimiter: Option<char>,
    /// As it is on the wire.
    pub(super) name: Vec<u8>,
}

/// One response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Response {
    /// The end of a command, with the tag that the client gave it.
    Done(String, Status, Words),
    /// The server waits for more of a command.
    More,
    /// How things stand, without a tag.
    Status(Status, Words),
    Capability(Vec<String>),
    Exists(u32),
    Fetch(Attributes),
    Search(Vec<u32>),
    List(Listed),
    /// Anything else; nobody waits for it.
    Other,
}

impl Response {
    /// Reads a response from its pieces.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn read(pieces: Vec<Piece>) -> Result<Self, &'static str> {
        let mut tokens = Tokens::new(pieces);
        let rest = tokens.rest();
        if rest.first() == Some(&b'+') {
            return Ok(Self::More);
        }
        if !rest.starts_with(b"* ") {
            return done(rest);
        }
        tokens.word();
        let first = tokens.word();
        if let Some(status) = Status::of_word(&first) {
            return Ok(Self::Status(status, Words::read(tokens.rest())));
        }
        if let Some(count) = number(&first) {
            return of_number(count, tokens);
        }
        match first.to_ascii_uppercase().as_slice() {
            b"CAPABILITY" => Ok(Self::Capability(capabilities(&String::from_utf8_lossy(tokens.rest())))),
            b"SEARCH" => search(tokens.rest()),
            b"LIST" => list(tokens),
            _ => Ok(Self::Other),
        }
    }
}

/// The names of capabilities in a text, in capitals.
pub(super) fn capabilities(text: &str) -> Vec<String> {
    text.split(' ').filter(|name| !name.is_empty()).take(500).map(str::to_ascii_uppercase).collect()
}

fn done(line: &[u8]) -> Result<Response, &'static str> {
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let tag = words.next().unwrap_or_default();
    let status = words.next().and_then(Status::of_word);
    let status = status.filter(|status| matches!(status, Status::Ok | Status::No | Status::Bad));
    match (std::str::from_utf8(tag), status) {
        (Ok(tag), Some(status)) if !tag.is_empty() => {
            Ok(Response::Done(tag.to_owned(), status, Words::read(words.next().unwrap_or_default())))
        }
        _ => Err("a line that is no response"),
    }
}

/// What begins with a number: `* 3 EXISTS`, `* 3 FETCH (...)`.
fn of_number(count: u64, mut tokens: Tokens) -> Result<Response, &'static str> {
    match tokens.word().to_ascii_uppercase().as_slice() {
        b"EXISTS" => u32::try_from(count).map(Response::Exists).map_err(|_| "more messages than there can be"),
        b"FETCH" => {
            let Value::List(values) = tokens.value()? else { return Err("a message without its list") };
            if !tokens.is_empty() {
                return Err("words after the list of a message");
            }
            attributes(values).map(Response::Fetch)
        }
        _ => Ok(Response::Other),
    }
}

fn attributes(values: Vec<Value>) -> Result<Attributes, &'static str> {
    let mut found = Attributes::default();
    let mut values = values.into_iter();
    while let Some(name) = values.next() {
        let value = values.next().ok_or("a name without a value")?;
        if name.is("UID") {
            let uid = value.number().and_then(|uid| u32::try_from(uid).ok()).filter(|uid| *uid > 0);
            found.uid = Some(uid.ok_or("a uid that is none")?);
        } else if name.is("RFC822.SIZE") {
            found.size = value.number();
        } else if name.is("INTERNALDATE") {
            let date = value.into_bytes().and_then(|bytes| String::from_utf8(bytes).ok());
            found.internal_date = date.filter(|date| date.len() <= 64);
        } else if name.word().get(..5).is_some_and(|start| start.eq_ignore_ascii_case("BODY[")) {
            found.body = Some(value.into_bytes().unwrap_or_default());
        }
    }
    Ok(found)
}

fn search(rest: &[u8]) -> Result<Response, &'static str> {
    let mut uids = Vec::new();
    for word in rest.split(|byte| *byte == b' ').filter(|word| !word.is_empty()) {
        // What servers that know RFC 7162 add at the end.
        if word.starts_with(b"(") {
            break;
        }
        let uid = number(word).and_then(|uid| u32::try_from(uid).ok());
        uids.push(uid.ok_or("a search that found what is no number")?);
    }
    Ok(Response::Search(uids))
}

fn list(mut tokens: Tokens) -> Result<Response, &'static str> {
    let Value::List(attributes) = tokens.value()? else { return Err("a folder without its list") };
    let delimiter = tokens.value()?.into_bytes().and_then(|bytes| bytes.first().copied()).map(char::from);
    // A folder may have the name NIL, and one that is written as a number.
    let name = match tokens.value()? {
        Value::Word(name) | Value::Text(name) => name,
        Value::List(_) => return Err("a folder without a name"),
    };
    let attributes = attributes.iter().map(|value| value.word().to_ascii_lowercase()).collect();
    Ok(Response::List(Listed { attributes, delimiter, name }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Response, &'static str> {
        Response::read(vec![Piece::Text(line.as_bytes().to_vec())])
    }

    fn words(code: Option<&str>, text: &str) -> Words {
        Words { code: code.map(str::to_owned), text: text.to_owned() }
    }

    #[test]
    fn responses_are_read() {
        let cases = [
            ("* OK [UIDVALIDITY 7] fine", Response::Status(Status::Ok, words(Some("UIDVALIDITY 7"), "fine"))),
            ("* bye", Response::Status(Status::Bye, words(None, ""))),
            ("* NO [ALERT", Response::Status(Status::No, words(None, "[ALERT"))),
            ("A1 No [x] y\u{7}z", Response::Done("A1".to_owned(), Status::No, words(Some("x"), "y z"))),
            ("+", Response::More),
            ("+ go on {5}", Response::More),
            ("* capability IMAP4rev1  idle", Response::Capability(vec!["IMAP4REV1".to_owned(), "IDLE".to_owned()])),
            ("* 3 exists", Response::Exists(3)),
            ("* 3 EXPUNGE", Response::Other),
            ("* FLAGS (\\Seen)", Response::Other),
            ("* SEARCH", Response::Search(Vec::new())),
            ("* SEARCH 3 1  2 (MODSEQ 5)", Response::Search(vec![3, 1, 2])),
        ];
        for (line, expected) in cases {
            assert_eq!(read(line), Ok(expected), "{line}");
        }
        for bad in [
            "",
            "*",
            "A1",
            "A1 BYE x",
            "A1 what",
            " OK",
            "* 99999999999 EXISTS",
            "* 1 FETCH",
            "* 1 FETCH (UID)",
            "* 1 FETCH (UID 0)",
            "* 1 FETCH (UID 99999999999)",
            "* 1 FETCH (UID 1) x",
            "* SEARCH x",
            "* SEARCH -1",
            "* LIST",
            "* LIST () \"/\"",
            "* LIST () \"/\" ()",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn messages_are_read_in_any_order_and_letters() {
        let line =
            "* 1 fetch (flags (\\Seen) body[]<0> \"x\" Rfc822.Size 5 internaldate \"a\" envelope (NIL (\"b\")) uid 9)";
        let body = Some(b"x".to_vec());
        let expected = Attributes { uid: Some(9), size: Some(5), internal_date: Some("a".to_owned()), body };
        assert_eq!(read(line), Ok(Response::Fetch(expected)));
        let empty = Attributes { body: Some(Vec::new()), ..Attributes::default() };
        assert_eq!(read("* 1 FETCH (BODY[] NIL INTERNALDATE NIL)"), Ok(Response::Fetch(empty)));
    }

    #[test]
    fn folders_are_read() {
        let listed = |line: &str| match read(line) {
            Ok(Response::List(listed)) => listed,
            other => panic!("{other:?}"),
        };
        let first = listed("* LIST (\\HasNoChildren \\Sent) \"\\\\\" \"a \\\"b\"");
        assert_eq!((first.delimiter, first.name.as_slice()), (Some('\\'), b"a \"b".as_slice()));
        assert_eq!(first.attributes, ["\\hasnochildren", "\\sent"]);
        let second = listed("* LIST () NIL 2024");
        assert_eq!((second.delimiter, second.name.as_slice()), (None, b"2024".as_slice()));
    }

    #[test]
    fn words_are_bounded_and_codes_are_found() {
        let Ok(Response::Status(_, long)) = read(&format!("* OK [{}] {}", "c".repeat(9_000), "é".repeat(9_000)))
        else {
            panic!("not read")
        };
        assert_eq!((long.code.as_deref().map(str::len), long.text.len()), (Some(MOST_CODE), MOST_WORDS));
        assert_eq!(long.into_answer(No::No).code, None);
        let code = words(Some("uidnext 12"), "");
        assert_eq!((code.number("UIDNEXT"), code.number("UIDVALIDITY"), code.of_code("x")), (Some(12), None, None));
        assert_eq!(code.into_answer(No::Bad).to_string(), "BAD [UIDNEXT]");
    }
}
