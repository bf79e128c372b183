//! Tables of people as they come: CSV in any encoding, with any of the usual delimiters, read as a stream.
//!
//! Bytes go in as they arrive and rows come out, each with the line that it begins on. What is wrong with a row is told and
//! ends nothing; what is wrong with the file is told at its beginning. Memory is bounded whatever the file is: by the first
//! 64 KiB, from which encoding and delimiter are found, and by one row. Behind each row its place is known, so that reading
//! can go on from there in another process.

mod charset;
mod columns;
mod export;
mod head;
mod leads;
mod machine;
mod reader;

pub use charset::Charset;
pub use columns::{Column, Mapping};
pub use export::{cell, write_row};
pub use head::FileFault;
pub use leads::{ColumnFault, ImportRow, recipient};
pub use machine::{MOST_CHARACTERS, MOST_COLUMNS, MOST_ROW_BYTES, RowFault};
pub use reader::{Form, HEAD, Position, Reader, Row};
