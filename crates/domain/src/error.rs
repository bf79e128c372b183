//! The one error that a service answers with.
//!
//! What the caller sees (`code`, `detail`, `fields`) and what the log says (`inside`) are separate fields: nothing
//! internal reaches a caller by accident, and nothing useful is lost to the operator.

use std::fmt;
use std::time::Duration;

/// The answer of everything that can be refused or can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of refusal or failure this is. The wire turns each into one status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The input is not well formed or breaks a stated bound (400).
    Invalid,
    /// Nobody is signed in, or the token is not good (401).
    Unauthenticated,
    /// What may be spent is spent (402).
    PaymentRequired,
    /// The caller is known and may not do this (403).
    Forbidden,
    /// There is no such thing, or none that this caller may know of (404).
    NotFound,
    /// The state of things does not allow it (409).
    Conflict,
    /// The body is larger than the route takes (413).
    TooLarge,
    /// The media type is not one that the route takes (415).
    UnsupportedMediaType,
    /// An idempotency key was used again for something else (422).
    KeyReused,
    /// A limit is spent for now (429).
    TooManyRequests,
    /// Something here went wrong (500).
    Internal,
    /// An outside service failed (502).
    Upstream,
    /// Not now: overloaded, starting, stopping, or a dependency is away (503).
    Unavailable,
    /// The deadline passed; the outcome may be unknown (504).
    Timeout,
}

impl Kind {
    /// Whether something failed, rather than being refused.
    #[must_use]
    pub const fn is_fault(self) -> bool {
        matches!(self, Self::Internal | Self::Upstream | Self::Unavailable | Self::Timeout)
    }
}

/// One field of the input that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldFault {
    /// The path of the field, as the client wrote it: `content`, `items[3].name`.
    pub field: String,
    /// A stable code in `snake_case`: `too_long`, `missing`, `unknown`.
    pub code: &'static str,
    /// What is wrong and how to mend it.
    pub detail: String,
}

impl FieldFault {
    /// A fault of one field.
    pub fn new(field: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self { field: field.into(), code, detail: detail.into() }
    }
}

/// A refusal or a failure, with its outside and its inside kept apart.
#[derive(Debug)]
pub struct Error {
    /// What sort it is.
    pub kind: Kind,
    /// Stable, in `snake_case`: clients branch on it.
    pub code: &'static str,
    /// For the caller: what happened and what to do.
    pub detail: String,
    /// For bad input: every field that is wrong.
    pub fields: Vec<FieldFault>,
    /// When to come back, where that is known.
    pub retry_after: Option<Duration>,
    /// For the log only.
    pub inside: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What is wrong with what somebody sent, gathered field by field.
#[derive(Debug, Default)]
pub struct Faults(Vec<FieldFault>);

impl Faults {
    /// Keeps what is good, and notes why something is not.
    pub fn keep<T>(&mut self, field: &str, read: std::result::Result<T, crate::Refused>) -> Option<T> {
        read.map_err(|refused| self.0.push(refused.of(field))).ok()
    }

    /// Notes what is wrong with a field.
    pub fn add(&mut self, field: &str, code: &'static str, detail: impl Into<String>) {
        self.0.push(FieldFault::new(field, code, detail));
    }

    /// Nothing, when all is good.
    ///
    /// # Errors
    /// `invalid_input` with every field that is not.
    pub fn judge(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::invalid(self.0)) }
    }
}

impl Error {
    /// A refusal of this kind.
    pub fn new(kind: Kind, code: &'static str, detail: impl Into<String>) -> Self {
        Self { kind, code, detail: detail.into(), fields: Vec::new(), retry_after: None, inside: None }
    }

    /// Bad input, field by field.
    #[must_use]
    pub fn invalid(fields: Vec<FieldFault>) -> Self {
        let detail = match fields.as_slice() {
            [only] => format!("{}: {}", only.field, only.detail),
            several => format!("{} fields are not as they must be", several.len()),
        };
        Self { fields, ..Self::new(Kind::Invalid, "invalid_input", detail) }
    }

    /// Bad input in one field.
    pub fn invalid_field(field: &str, code: &'static str, detail: impl Into<String>) -> Self {
        Self::invalid(vec![FieldFault::new(field, code, detail)])
    }

    /// There is no such thing for this caller. `what` is a noun: `conversation`.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(Kind::NotFound, "not_found", format!("There is no such {what}."))
    }

    /// A failure of ours: the caller learns only that it is ours, the log learns the cause.
    pub fn internal(inside: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(Kind::Internal, "internal", "Something went wrong here. It has been recorded under the request id.")
            .because(inside)
    }

    /// Adds the cause, for the log.
    #[must_use]
    pub fn because(mut self, inside: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.inside = Some(inside.into());
        self
    }

    /// Adds when to come back.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.inside.as_deref().map(|inside| inside as _)
    }
}

/// What a panic said, as far as it said it in words.
#[must_use]
pub fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}
