//! What the beginning of a file tells of the rest.

use std::fmt;

use crate::charset::{Charset, Utf16};
use crate::machine::{Machine, RowFault, Step};

/// What may stand between fields, the likeliest first.
pub(crate) const DELIMITERS: [u8; 4] = *b",;\t|";
/// How many rows are looked at for the delimiter.
const ROWS: usize = 50;

/// Why a file cannot be read at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFault {
    /// There is no row in it.
    Empty,
    /// It is a workbook of a spreadsheet program.
    Spreadsheet,
    /// It is no text.
    NotText,
    /// The row with the names of the columns cannot be read.
    Header {
        /// Why.
        fault: RowFault,
        /// Its line.
        line: u64,
    },
}

impl FileFault {
    /// Stable, `snake_case`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Empty => "empty_file",
            Self::Spreadsheet => "spreadsheet",
            Self::NotText => "not_text",
            Self::Header { .. } => "invalid_header",
        }
    }
}

impl fmt::Display for FileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("The file is empty. Its first row has the names of the columns."),
            Self::Spreadsheet => {
                f.write_str("This is a workbook of a spreadsheet program. Save the sheet as CSV (UTF-8) first.")
            }
            Self::NotText => f.write_str("This is no text. Save the table as CSV (UTF-8)."),
            Self::Header { fault, line } => {
                write!(f, "The names of the columns, on line {line}, cannot be read. {fault}")
            }
        }
    }
}

/// What was found at the beginning of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) charset: Charset,
    pub(crate) delimiter: u8,
    /// Where the rows begin: after a mark of the encoding and a line that names the delimiter.
    pub(crate) skip: usize,
    /// How many lines are before them.
    pub(crate) lines: u64,
}

/// Looks at a beginning. `whole` says that there is nothing after it, and `set` which encoding somebody has set.
pub(crate) fn head(bytes: &[u8], whole: bool, set: Option<Charset>) -> Result<Head, FileFault> {
    // Archives (the newer workbooks) and compound files (the older ones).
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"\xD0\xCF\x11\xE0") {
        return Err(FileFault::Spreadsheet);
    }
    let (charset, mark) = Charset::detect(bytes, whole);
    let charset = set.unwrap_or(charset);
    let rest = bytes.get(mark..).unwrap_or_default();
    let text = as_ascii(charset, rest);
    if text.contains(&0) {
        return Err(FileFault::NotText);
    }
    if let Some((delimiter, length)) = named(&text) {
        let unit = if matches!(charset, Charset::Utf16Le | Charset::Utf16Be) { 2 } else { 1 };
        return Ok(Head { charset, delimiter, skip: mark + length * unit, lines: 1 });
    }
    let delimiter = delimiter(charset, &text, whole);
    Ok(Head { charset, delimiter, skip: mark, lines: 0 })
}

/// The beginning as bytes in which ASCII is ASCII.
fn as_ascii(charset: Charset, bytes: &[u8]) -> Vec<u8> {
    let low_first = match charset {
        Charset::Utf16Le => true,
        Charset::Utf16Be => false,
        _ => return bytes.to_vec(),
    };
    let mut utf16 = Utf16::default();
    let characters = bytes.iter().filter_map(|byte| utf16.push(*byte, low_first));
    characters.collect::<String>().into_bytes()
}

/// A first line `sep=;`, as spreadsheet programs write it, and its length.
fn named(text: &[u8]) -> Option<(u8, usize)> {
    let (start, rest) = text.split_at_checked(4)?;
    let (delimiter, rest) = rest.split_first()?;
    let ends = [&b"\r\n"[..], b"\n", b"\r"].into_iter().find(|end| rest.starts_with(end))?;
    let good = start.eq_ignore_ascii_case(b"sep=") && DELIMITERS.contains(delimiter);
    good.then_some((*delimiter, 5 + ends.len()))
}

/// The delimiter with which most rows have as many columns as the first one; of those that are as good, the one that makes
/// most columns, and then the likeliest.
fn delimiter(charset: Charset, text: &[u8], whole: bool) -> u8 {
    let mut best = ((0, 0), b',');
    for delimiter in DELIMITERS.into_iter().filter(|one| charset.keeps(*one)) {
        let columns = columns(text, delimiter, whole);
        let Some(first) = columns.first().copied().filter(|first| *first > 1) else { continue };
        let alike = columns.iter().filter(|one| **one == first).count();
        let score = (alike * 1_000 / columns.len(), first);
        if score > best.0 {
            best = (score, delimiter);
        }
    }
    best.1
}

/// How many columns each of the first rows has.
fn columns(text: &[u8], delimiter: u8, whole: bool) -> Vec<usize> {
    let mut machine = Machine::new(delimiter);
    let mut columns = Vec::new();
    let mut ends = text.iter().copied().chain(whole.then_some(b'\n'));
    while let Some(byte) = ends.next().filter(|_| columns.len() < ROWS) {
        let byte = if byte == b'\r' { b'\n' } else { byte };
        if machine.push(byte, 0) == Step::End {
            if !machine.is_blank() {
                columns.push(machine.fields().count());
            }
            machine.clear();
        }
    }
    columns
}
