//! The words, strings and lists that responses are made of (RFC 3501, 9).

use super::wire::Piece;

/// The deepest list within lists.
const DEEPEST: usize = 16;
/// The most values of one response that is taken apart.
const MOST_VALUES: usize = 10_000;

/// A value in a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// An atom, a number, a flag, or the name of a thing with what stands in its brackets: `BODY[]<0>`.
    Word(Vec<u8>),
    /// A quoted string or a literal.
    Text(Vec<u8>),
    /// A list in parentheses.
    List(Vec<Self>),
}

impl Value {
    /// Whether it is this word, in large or small letters.
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word(found) if found.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// The word as text; empty for anything else.
    pub(super) fn word(&self) -> String {
        match self {
            Self::Word(word) => String::from_utf8_lossy(word).into_owned(),
            Self::Text(_) | Self::List(_) => String::new(),
        }
    }

    /// The number that it is.
    pub(super) fn number(&self) -> Option<u64> {
        match self {
            Self::Word(word) => number(word),
            Self::Text(_) | Self::List(_) => None,
        }
    }

    /// The bytes of a string. `NIL` has none.
    pub(super) fn into_bytes(self) -> Option<Vec<u8>> {
        match self {
            Self::Word(word) if word.eq_ignore_ascii_case(b"NIL") => None,
            Self::Word(bytes) | Self::Text(bytes) => Some(bytes),
            Self::List(_) => None,
        }
    }
}

/// A number without a sign.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Takes a response apart from its front.
pub(super) struct Tokens {
    pieces: std::vec::IntoIter<Piece>,
    text: Vec<u8>,
    place: usize,
    /// The literal after the text, once the text is used up.
    literal: Option<Vec<u8>>,
    left: usize,
}

impl Tokens {
    pub(super) fn new(pieces: Vec<Piece>) -> Self {
        let mut tokens =
            Self { pieces: pieces.into_iter(), text: Vec::new(), place: 0, literal: None, left: MOST_VALUES };
        tokens.advance();
        tokens
    }

    /// Goes on to the next text, and the literal behind it.
    fn advance(&mut self) {
        self.place = 0;
        self.text = Vec::new();
        match self.pieces.next() {
            Some(Piece::Text(text)) => {
                self.text = text;
                if let Some(Piece::Literal(literal)) = self.pieces.next() {
                    self.literal = Some(literal);
                }
            }
            Some(Piece::Literal(literal)) => self.literal = Some(literal),
            None => {}
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.place).copied()
    }

    /// The rest of the text before the next literal.
    pub(super) fn rest(&self) -> &[u8] {
        self.text.get(self.place..).unwrap_or_default()
    }

    pub(super) fn skip_spaces(&mut self) {
        while self.peek() == Some(b' ') {
            self.place += 1;
        }
    }

    /// Whether nothing follows.
    pub(super) fn is_empty(&mut self) -> bool {
        self.skip_spaces();
        self.peek().is_none() && self.literal.is_none()
    }

    /// A word: up to a space or a parenthesis; spaces within brackets belong to it.
    pub(super) fn word(&mut self) -> Vec<u8> {
        self.skip_spaces();
        let start = self.place;
        let mut bracket = false;
        while let Some(byte) = self.peek() {
            match byte {
                b'[' => bracket = true,
                b']' => bracket = false,
                b' ' | b'(' | b')' | b'"' if !bracket => break,
                _ => {}
            }
            self.place += 1;
        }
        self.text.get(start..self.place).unwrap_or_default().to_vec()
    }

    /// The next value.
    ///
    /// # Errors
    /// When there is none, or it does not end.
    pub(super) fn value(&mut self) -> Result<Value, &'static str> {
        self.value_within(DEEPEST)
    }

    fn value_within(&mut self, depth: usize) -> Result<Value, &'static str> {
        self.left = self.left.checked_sub(1).ok_or("a response of too many values")?;
        self.skip_spaces();
        match self.peek() {
            None => {
                let literal = self.literal.take().ok_or("a response that ends too early")?;
                self.advance();
                Ok(Value::Text(literal))
            }
            Some(b'"') => self.quoted(),
            Some(b'(') => {
                let depth = depth.checked_sub(1).ok_or("lists within lists without end")?;
                self.place += 1;
                let mut values = Vec::new();
                loop {
                    self.skip_spaces();
                    if self.peek() == Some(b')') {
                        self.place += 1;
                        return Ok(Value::List(values));
                    }
                    values.push(self.value_within(depth)?);
                }
            }
            Some(b')') => Err("a list that ends without a beginning"),
            Some(_) => Ok(Value::Word(self.word())),
        }
    }

    fn quoted(&mut self) -> Result<Value, &'static str> {
        let mut text = Vec::new();
        self.place += 1;
        loop {
            let byte = self.peek().ok_or("a string without an end")?;
            self.place += 1;
            match byte {
                b'"' => return Ok(Value::Text(text)),
                b'\\' => {
                    text.push(self.peek().ok_or("a string without an end")?);
                    self.place += 1;
                }
                byte => text.push(byte),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Piece {
        Piece::Text(text.as_bytes().to_vec())
    }

    fn word(text: &str) -> Value {
        Value::Word(text.as_bytes().to_vec())
    }

    fn string(text: &str) -> Value {
        Value::Text(text.as_bytes().to_vec())
    }

    #[test]
    fn values_are_taken_apart() {
        let pieces = vec![
            text("(\\Seen NIL  \"a \\\"b\\\\\" BODY[HEADER.FIELDS (A B)]<0> "),
            Piece::Literal(b"x)".to_vec()),
            text(" () "),
            Piece::Literal(Vec::new()),
            text(") 12"),
        ];
        let mut tokens = Tokens::new(pieces);
        let list = vec![
            word("\\Seen"),
            word("NIL"),
            string("a \"b\\"),
            word("BODY[HEADER.FIELDS (A B)]<0>"),
            string("x)"),
            Value::List(Vec::new()),
            string(""),
        ];
        assert_eq!(tokens.value(), Ok(Value::List(list)));
        assert_eq!(tokens.value().map(|value| value.number()), Ok(Some(12)));
        assert!(tokens.is_empty());
        assert!(tokens.value().is_err());
    }

    #[test]
    fn what_does_not_end_is_an_error() {
        for bad in ["", "(", "(a", "\"a", "\"a\\", ")", "((a)"] {
            assert!(Tokens::new(vec![text(bad)]).value().is_err(), "{bad}");
        }
        assert!(Tokens::new(vec![text(&"(".repeat(1_000_000))]).value().is_err());
        let many = format!("({})", "a ".repeat(MOST_VALUES));
        assert!(Tokens::new(vec![text(&many)]).value().is_err());
    }

    #[test]
    fn numbers_have_no_sign_and_an_end() {
        assert_eq!((number(b"0"), number(b"4294967296")), (Some(0), Some(4_294_967_296)));
        for bad in ["", "-1", "+1", "1a", "99999999999999999999"] {
            assert_eq!(number(bad.as_bytes()), None, "{bad}");
        }
    }
}
