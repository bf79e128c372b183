//! Why a body is not one of its source.

/// Why a body cannot be read. None of it holds a part of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is not JSON.
    #[error("The body is not JSON: it cannot be read from line {line}, column {column} on.")]
    NotJson {
        /// The line of the fault, from 1.
        line: usize,
        /// Its column, from 1.
        column: usize,
    },
    /// It is not a form.
    #[error("The body is not a form: {why}.")]
    NotForm {
        /// The end of the sentence.
        why: &'static str,
    },
    /// It is JSON of another shape.
    #[error("The body is JSON, but {what} is not {expected}.")]
    Shape {
        /// Which part.
        what: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// It has more events than are taken at once.
    #[error("The body has more than {} events. Let the sender make smaller batches.", super::MOST_EVENTS)]
    TooManyEvents,
    /// The kind of an event is no short line.
    #[error("The kind of an event must have 1 to {} bytes and no control characters.", super::MOST_KIND_BYTES)]
    BadKind,
    /// A header that tells what the body is cannot be used.
    #[error("The header {header} cannot be used: {why}.")]
    Header {
        /// Which.
        header: &'static str,
        /// The end of the sentence.
        why: &'static str,
    },
}

impl Unreadable {
    /// A stable code, for metrics and logs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotJson { .. } => "webhook_not_json",
            Self::NotForm { .. } => "webhook_not_form",
            Self::Shape { .. } => "webhook_shape",
            Self::TooManyEvents => "webhook_too_many_events",
            Self::BadKind => "webhook_bad_kind",
            Self::Header { .. } => "webhook_bad_header",
        }
    }

    /// What is wrong, and what to do about it where that is known.
    #[must_use]
    pub fn detail(self) -> String {
        self.to_string()
    }
}

impl From<serde_json::Error> for Unreadable {
    /// Only where the fault is. The library's own words may quote the body.
    fn from(fault: serde_json::Error) -> Self {
        Self::NotJson { line: fault.line(), column: fault.column() }
    }
}
