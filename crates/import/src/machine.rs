//! Rows and fields, byte by byte.
//!
//! What is read is what is written in the world (RFC 4180 describes the better part of it): quotes around fields, two for
//! one within, line breaks in quotes, spaces around them, line ends of every kind.

use std::fmt;

/// The most bytes of a row, quotes and delimiters included.
pub const MOST_ROW_BYTES: usize = 64 * 1024;
/// The most columns of a row.
pub const MOST_COLUMNS: usize = 200;
/// The most characters of a field.
pub const MOST_CHARACTERS: usize = 10_000;

/// Why a row cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowFault {
    /// It is too long.
    TooLong,
    /// It has too many columns.
    TooManyColumns,
    /// It has more columns than the header, with something in them.
    MoreThanHeader,
    /// A field is too long.
    FieldTooLong,
    /// A quote that is opened on this line is not closed.
    OpenQuote {
        /// The line.
        line: u64,
    },
    /// There is something between a closing quote and the delimiter.
    TextAfterQuote,
    /// It has bytes that are no text in the encoding of the file.
    NotText,
}

impl RowFault {
    /// Stable, `snake_case`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLong => "row_too_long",
            Self::TooManyColumns => "too_many_columns",
            Self::MoreThanHeader => "more_columns_than_header",
            Self::FieldTooLong => "field_too_long",
            Self::OpenQuote { .. } => "open_quote",
            Self::TextAfterQuote => "text_after_quote",
            Self::NotText => "not_text",
        }
    }
}

impl fmt::Display for RowFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "The row has more than {MOST_ROW_BYTES} bytes. Shorten it."),
            Self::TooManyColumns => write!(f, "The row has more than {MOST_COLUMNS} columns. Leave some out."),
            Self::MoreThanHeader => f.write_str(
                "The row has more columns than the header. Put quotes around a text that has the delimiter in it.",
            ),
            Self::FieldTooLong => write!(f, "A field has more than {MOST_CHARACTERS} characters. Shorten it."),
            Self::OpenQuote { line } => {
                write!(f, "The quote that is opened on line {line} is never closed. Close it, or write it twice.")
            }
            Self::TextAfterQuote => {
                f.write_str("There is text after a closing quote. Write quotes within a quoted field twice.")
            }
            Self::NotText => {
                f.write_str("The row has characters in another encoding than the file. Save the file as UTF-8.")
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing of the field but spaces.
    Start,
    /// In a field without quotes.
    Plain,
    /// In quotes.
    Quoted,
    /// After a quote within quotes: the end, or the first of two.
    Quote,
    /// After the closing quote.
    Closed,
    /// In a row that is given up: its line ends it.
    Skipped,
}

/// What a byte did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It belongs to the row.
    Inside,
    /// It ended the row.
    End,
}

/// A row in the making.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    delimiter: u8,
    state: State,
    /// The fields, one after the other.
    bytes: Vec<u8>,
    /// Where each field ends.
    ends: Vec<usize>,
    /// What is wrong with it.
    fault: Option<RowFault>,
    /// Where the last quote was opened.
    opened: u64,
}

impl Machine {
    pub(crate) fn new(delimiter: u8) -> Self {
        Self { delimiter, state: State::Start, bytes: Vec::new(), ends: Vec::new(), fault: None, opened: 0 }
    }

    /// Begins another row.
    pub(crate) fn clear(&mut self) {
        self.state = State::Start;
        self.bytes.clear();
        self.ends.clear();
        self.fault = None;
    }

    /// The line of the quote that it is in, if it is in one.
    pub(crate) fn open_quote(&self) -> Option<u64> {
        (self.state == State::Quoted).then_some(self.opened)
    }

    /// Takes a byte that stands on a line. A line end is one `\n`.
    pub(crate) fn push(&mut self, byte: u8, line: u64) -> Step {
        match (self.state, byte) {
            (State::Skipped, b'\n') => return Step::End,
            (State::Skipped, _) => {}
            (State::Quoted, b'"') => self.state = State::Quote,
            (State::Quoted, _) => self.keep(byte),
            (State::Quote, b'"') => {
                self.state = State::Quoted;
                self.keep(byte);
            }
            (_, b'\n') => {
                self.end_field();
                return Step::End;
            }
            (_, byte) if byte == self.delimiter => self.end_field(),
            (State::Start, b'"') => {
                let start = self.ends.last().copied().unwrap_or(0);
                self.bytes.truncate(start);
                self.state = State::Quoted;
                self.opened = line;
            }
            (State::Start, b' ') => self.keep(byte),
            (State::Start | State::Plain, _) => {
                self.state = State::Plain;
                self.keep(byte);
            }
            (State::Quote | State::Closed, b' ') => self.state = State::Closed,
            (State::Quote | State::Closed, _) => {
                self.note(RowFault::TextAfterQuote);
                self.state = State::Plain;
                self.keep(byte);
            }
        }
        Step::Inside
    }

    /// Gives the row up: nothing of it is kept, and the end of its line ends it.
    pub(crate) fn give_up(&mut self, fault: RowFault) {
        self.state = State::Skipped;
        self.fault = Some(fault);
    }

    pub(crate) fn is_given_up(&self) -> bool {
        self.state == State::Skipped
    }

    /// Notes what is wrong. The first counts.
    pub(crate) fn note(&mut self, fault: RowFault) {
        self.fault.get_or_insert(fault);
    }

    fn keep(&mut self, byte: u8) {
        // A character has four bytes at most, here in any encoding; the exact count is taken at the end.
        let start = self.ends.last().copied().unwrap_or(0);
        if self.bytes.len() - start >= 4 * MOST_CHARACTERS {
            self.note(RowFault::FieldTooLong);
        }
        if self.fault.is_none() {
            self.bytes.push(byte);
        }
    }

    fn end_field(&mut self) {
        self.state = State::Start;
        if self.ends.len() >= MOST_COLUMNS {
            self.note(RowFault::TooManyColumns);
        } else {
            self.ends.push(self.bytes.len());
        }
    }

    /// Ends the last field, where the file ends.
    pub(crate) fn end(&mut self) {
        if !self.is_given_up() {
            self.end_field();
        }
    }

    /// What is wrong with the row, if something is.
    pub(crate) fn fault(&self) -> Option<RowFault> {
        self.fault
    }

    /// The bytes of its fields, in order.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| self.bytes.get(start..*end).unwrap_or_default())
    }

    /// Whether nothing was written in it: a blank line, or delimiters alone.
    pub(crate) fn is_blank(&self) -> bool {
        self.fault.is_none() && self.bytes.iter().all(|byte| byte.is_ascii_whitespace())
    }
}
