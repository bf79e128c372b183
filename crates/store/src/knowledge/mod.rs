//! What an organisation knows: documents, and finding what of them fits a question.
//!
//! Words are rows. Under row-level security only plain comparisons use an index, and the text search of the engines is none;
//! so a word of a document is one row with all its places in the document, the same on both engines, written by the
//! transaction that writes the document. An organisation has a bounded number of documents, so a word has a bounded number
//! of rows.

pub(crate) mod documents;
pub(crate) mod search;

#[cfg(test)]
pub(crate) const ALL_STATEMENTS: &[&[crate::sql::Sql]] = &[documents::STATEMENTS, search::STATEMENTS];

/// The most documents of an organisation.
pub const MOST_DOCUMENTS: u32 = 1_000;

/// What an idempotency key of a document is for.
pub const MAKING_A_DOCUMENT: &str = "document";
