//! A file as it arrives, and its rows.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::charset::{Charset, Utf16};
use crate::head::{FileFault, head};
use crate::machine::{MOST_CHARACTERS, MOST_ROW_BYTES, Machine, RowFault, Step};

/// How many bytes at the beginning tell what a file is.
pub const HEAD: usize = 64 * 1024;
/// The most characters of an excerpt.
const EXCERPT: usize = 200;

/// What is known of a file once its header is read. With it and a [`Position`], reading goes on in another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    /// Its encoding.
    pub charset: Charset,
    /// What stands between fields: a comma, a semicolon, a tab or `|`.
    pub delimiter: char,
    /// What its columns are called, trimmed; "column 3" for one without a name.
    pub header: Vec<String>,
}

/// A place between two rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// How many bytes of the file are before it.
    pub offset: u64,
    /// The line that follows, from 1.
    pub line: u64,
}

/// A row of a file, which is no header.
#[derive(Debug)]
pub struct Row<'a> {
    /// The line that it begins on, from 1.
    pub line: u64,
    /// Its fields, as many as there are columns or fewer; or why it cannot be read.
    pub fields: Result<Vec<Cow<'a, str>>, RowFault>,
    /// The place behind it.
    pub behind: Position,
    raw: &'a [u8],
    charset: Charset,
}

impl Row<'_> {
    /// How it begins, for whoever has to mend it: at most 200 characters, without line breaks. Of a row that is too long it
    /// may be any part.
    #[must_use]
    pub fn excerpt(&self) -> String {
        let bytes = self.raw.get(..4 * EXCERPT).unwrap_or(self.raw);
        let text = match self.charset {
            Charset::Legacy(encoding) => encoding.decode_without_bom_handling(bytes).0,
            Charset::Utf16Le => encoding_rs::UTF_16LE.decode_without_bom_handling(bytes).0,
            Charset::Utf16Be => encoding_rs::UTF_16BE.decode_without_bom_handling(bytes).0,
            Charset::Ascii | Charset::Utf8 => String::from_utf8_lossy(bytes),
        };
        let text: String = text.trim_end().chars().take(EXCERPT).collect();
        text.replace(|character: char| character.is_control(), " ")
    }
}

/// Reads a file piece by piece.
#[derive(Debug)]
pub struct Reader {
    stage: Stage,
    charset: Option<Charset>,
    delimiter: Option<u8>,
}

#[derive(Debug)]
enum Stage {
    /// The beginning, as far as it is there.
    Head(Vec<u8>),
    Rows(Box<Rows>),
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

impl Reader {
    /// Begins with a file.
    #[must_use]
    pub fn new() -> Self {
        Self { stage: Stage::Head(Vec::new()), charset: None, delimiter: None }
    }

    /// Takes this encoding, whatever the beginning looks like.
    #[must_use]
    pub fn with_charset(mut self, charset: Charset) -> Self {
        self.charset = Some(charset);
        self
    }

    /// Takes this delimiter; one that is not ASCII is not taken.
    #[must_use]
    pub fn with_delimiter(mut self, delimiter: char) -> Self {
        self.delimiter = u8::try_from(delimiter).ok().filter(u8::is_ascii);
        self
    }

    /// Goes on with a file behind a row.
    #[must_use]
    pub fn resume(form: Form, from: Position) -> Self {
        let delimiter = u8::try_from(form.delimiter).unwrap_or(b',');
        let rows = Rows::new(form, delimiter, from);
        Self { stage: Stage::Rows(Box::new(rows)), charset: None, delimiter: None }
    }

    /// What is known of the file; nothing before the header is read.
    #[must_use]
    pub fn form(&self) -> Option<&Form> {
        match &self.stage {
            Stage::Rows(rows) if !rows.form.header.is_empty() => Some(&rows.form),
            _ => None,
        }
    }

    /// Takes the next bytes, and gives each row that ends with them, but the header.
    ///
    /// # Errors
    /// When the file cannot be read at all. Nothing more is to be fed then.
    pub fn feed(&mut self, bytes: &[u8], each: &mut dyn FnMut(Row<'_>)) -> Result<(), FileFault> {
        let rest = match &mut self.stage {
            Stage::Rows(_) => bytes,
            Stage::Head(head) => {
                let (now, rest) = bytes.split_at(bytes.len().min(HEAD - head.len()));
                head.extend_from_slice(now);
                if head.len() < HEAD {
                    return Ok(());
                }
                self.begin(false, each)?;
                rest
            }
        };
        match &mut self.stage {
            Stage::Rows(rows) => rows.run(rest, each),
            Stage::Head(_) => Ok(()),
        }
    }

    /// Ends the file, and gives the last rows.
    ///
    /// # Errors
    /// When the file cannot be read at all.
    pub fn finish(mut self, each: &mut dyn FnMut(Row<'_>)) -> Result<Form, FileFault> {
        if matches!(self.stage, Stage::Head(_)) {
            self.begin(true, each)?;
        }
        match self.stage {
            Stage::Rows(mut rows) => {
                rows.finish(each)?;
                if rows.form.header.is_empty() { Err(FileFault::Empty) } else { Ok(rows.form) }
            }
            Stage::Head(_) => Err(FileFault::Empty),
        }
    }

    fn begin(&mut self, whole: bool, each: &mut dyn FnMut(Row<'_>)) -> Result<(), FileFault> {
        let Stage::Head(bytes) = std::mem::replace(&mut self.stage, Stage::Head(Vec::new())) else { return Ok(()) };
        let found = head(&bytes, whole, self.charset)?;
        let delimiter = self.delimiter.unwrap_or(found.delimiter);
        let form = Form { charset: found.charset, delimiter: char::from(delimiter), header: Vec::new() };
        let from = Position { offset: found.skip as u64, line: 1 + found.lines };
        let mut rows = Rows::new(form, delimiter, from);
        let run = rows.run(bytes.get(found.skip..).unwrap_or_default(), each);
        self.stage = Stage::Rows(Box::new(rows));
        run
    }
}

/// The rows of a file whose form is known.
#[derive(Debug)]
struct Rows {
    form: Form,
    machine: Machine,
    utf16: Utf16,
    /// The bytes of the file since the row began.
    raw: Vec<u8>,
    /// How many of them were there when the line ended on which the last quote was opened.
    quote_line: Option<usize>,
    /// What comes next.
    offset: u64,
    line: u64,
    /// Where the row begins.
    row_line: u64,
    /// Whether the last character was a carriage return: a line end, alone or with the next.
    after_return: bool,
}

type Each<'e> = &'e mut dyn FnMut(Row<'_>);

impl Rows {
    fn new(form: Form, delimiter: u8, from: Position) -> Self {
        Self {
            form,
            machine: Machine::new(delimiter),
            utf16: Utf16::default(),
            raw: Vec::new(),
            quote_line: None,
            offset: from.offset,
            line: from.line,
            row_line: from.line,
            after_return: false,
        }
    }

    fn run(&mut self, bytes: &[u8], each: Each<'_>) -> Result<(), FileFault> {
        let low_first = match self.form.charset {
            Charset::Utf16Le => Some(true),
            Charset::Utf16Be => Some(false),
            _ => None,
        };
        for byte in bytes {
            self.raw.push(*byte);
            self.offset += 1;
            match low_first {
                None => self.text(*byte, 1, each)?,
                Some(low_first) => {
                    let Some(character) = self.utf16.push(*byte, low_first) else { continue };
                    let mut width = 2 * character.len_utf16();
                    for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                        self.text(byte, width, each)?;
                        width = 0;
                    }
                }
            }
            if self.raw.len() > MOST_ROW_BYTES {
                self.overflow(each)?;
            }
        }
        Ok(())
    }

    /// Takes a byte of text that stands for the last `width` bytes of the file.
    fn text(&mut self, byte: u8, width: usize, each: Each<'_>) -> Result<(), FileFault> {
        if std::mem::take(&mut self.after_return) {
            if byte == b'\n' {
                return self.line_end(0, each);
            }
            self.line_end(width, each)?;
        }
        match byte {
            b'\r' => self.after_return = true,
            b'\n' => return self.line_end(0, each),
            _ => {
                self.machine.push(byte, self.line);
            }
        }
        Ok(())
    }

    /// Ends a line, which lies so many bytes back.
    fn line_end(&mut self, back: usize, each: Each<'_>) -> Result<(), FileFault> {
        if self.machine.open_quote() == Some(self.line) {
            self.quote_line = Some(self.raw.len() - back);
        }
        let step = self.machine.push(b'\n', self.line);
        self.line += 1;
        if step == Step::End { self.row_end(back, each) } else { Ok(()) }
    }

    /// Ends a row, which lies so many bytes back, and begins the next.
    fn row_end(&mut self, back: usize, each: Each<'_>) -> Result<(), FileFault> {
        let behind = Position { offset: self.offset - back as u64, line: self.line };
        let length = self.raw.len() - back;
        let told = self.tell(length, behind, each);
        self.machine.clear();
        self.raw.drain(..length);
        self.quote_line = None;
        self.row_line = self.line;
        told
    }

    /// Gives a row, the first as the header.
    fn tell(&mut self, length: usize, behind: Position, each: Each<'_>) -> Result<(), FileFault> {
        if self.machine.is_blank() {
            return Ok(());
        }
        let fields = self.fields();
        if !self.form.header.is_empty() {
            let raw = self.raw.get(..length).unwrap_or_default();
            each(Row { line: self.row_line, fields, behind, raw, charset: self.form.charset });
            return Ok(());
        }
        let fields = fields.map_err(|fault| FileFault::Header { fault, line: self.row_line })?;
        let named = fields.iter().enumerate().map(|(place, name)| match crate::leads::line(name) {
            name if name.is_empty() => format!("column {}", place + 1),
            name => name,
        });
        self.form.header = named.collect();
        Ok(())
    }

    fn fields(&self) -> Result<Vec<Cow<'_, str>>, RowFault> {
        if let Some(fault) = self.machine.fault() {
            return Err(fault);
        }
        let columns = self.form.header.len();
        let mut fields = Vec::with_capacity(columns);
        for bytes in self.machine.fields() {
            let text = self.form.charset.decode(bytes).ok_or(RowFault::NotText)?;
            if text.contains(['\0', char::REPLACEMENT_CHARACTER]) {
                return Err(RowFault::NotText);
            }
            if text.len() > MOST_CHARACTERS && text.chars().count() > MOST_CHARACTERS {
                return Err(RowFault::FieldTooLong);
            }
            if columns == 0 || fields.len() < columns {
                fields.push(text);
            } else if !text.trim().is_empty() {
                return Err(RowFault::MoreThanHeader);
            }
        }
        Ok(fields)
    }

    /// A row has more bytes than are kept.
    fn overflow(&mut self, each: Each<'_>) -> Result<(), FileFault> {
        if self.machine.is_given_up() {
            self.raw.drain(..MOST_ROW_BYTES / 2);
            return Ok(());
        }
        match self.machine.open_quote() {
            None => self.machine.give_up(RowFault::TooLong),
            Some(line) if self.quote_line.is_none() => self.machine.give_up(RowFault::OpenQuote { line }),
            Some(line) => return self.go_back(line, each),
        }
        Ok(())
    }

    /// Tells of a quote that is not closed, and goes on behind the line that it was opened on: what follows are rows, and
    /// not the rest of a field.
    ///
    /// No byte is gone over for long. Within that quote, others stood in pairs; read as rows, a pair closes itself, so that
    /// the same bytes do not open another quote that goes on for as long.
    fn go_back(&mut self, opened: u64, each: Each<'_>) -> Result<(), FileFault> {
        let again = self.raw.split_off(self.quote_line.take().unwrap_or(self.raw.len()));
        self.machine.give_up(RowFault::OpenQuote { line: opened });
        self.offset -= again.len() as u64;
        self.line = opened + 1;
        self.after_return = false;
        self.utf16 = Utf16::default();
        self.row_end(0, each)?;
        self.run(&again, each)
    }

    fn finish(&mut self, each: Each<'_>) -> Result<(), FileFault> {
        loop {
            if std::mem::take(&mut self.after_return) {
                self.line_end(0, each)?;
            }
            match self.machine.open_quote() {
                Some(line) if self.quote_line.is_some() => {
                    self.go_back(line, each)?;
                    continue;
                }
                Some(line) => self.machine.give_up(RowFault::OpenQuote { line }),
                None => {}
            }
            if self.raw.is_empty() {
                return Ok(());
            }
            if self.utf16.is_halfway() {
                self.machine.note(RowFault::NotText);
            }
            self.machine.end();
            return self.row_end(0, each);
        }
    }
}

#[cfg(test)]
mod tests;
