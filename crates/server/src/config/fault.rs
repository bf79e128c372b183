//! What is wrong with a configuration, said so that it can be mended.

use std::fmt;

/// One thing that is wrong: which key, where its value came from, why it cannot be used and how to mend it. Never holds
/// the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The key with its section (`http.port`), or the name of a variable or file when no key is meant.
    pub key: String,
    /// Where the value came from: `environment variable PORT`, `mainstay.toml, line 3`. None for a default.
    pub source: Option<String>,
    /// What is wrong, without a full stop.
    pub reason: String,
    /// What to do about it, without a full stop.
    pub cure: String,
}

/// Something that is allowed and still worth a look. The server starts with it.
pub type Warning = Fault;

impl Fault {
    /// A fault of a key. The loader adds where the value came from.
    pub fn new(key: impl Into<String>, reason: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { key: key.into(), source: None, reason: reason.into(), cure: cure.into() }
    }

    /// The same fault with where the value came from.
    #[must_use]
    pub fn from_source(mut self, source: impl fmt::Display) -> Self {
        self.source = Some(source.to_string());
        self
    }
}

/// One line, whatever the names in it are made of.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = self.source.as_ref().map(|source| format!(" ({source})")).unwrap_or_default();
        let line = format!("{}{source}: {}. {}.", self.key, self.reason, self.cure);
        f.write_str(&line.replace(|letter: char| letter.is_control(), " "))
    }
}

/// Everything that is wrong with a configuration, in one go. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(pub(super) Vec<Fault>);

impl Faults {
    /// All of them; `None` when there are none.
    pub(super) fn new(faults: Vec<Fault>) -> Option<Self> {
        (!faults.is_empty()).then_some(Self(faults))
    }

    /// Each of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.0.iter()
    }

    /// How many there are: at least one.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl<'a> IntoIterator for &'a Faults {
    type Item = &'a Fault;
    type IntoIter = std::slice::Iter<'a, Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// A heading and one line for each.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count() {
            1 => f.write_str("The configuration has a fault:")?,
            count => write!(f, "The configuration has {count} faults:")?,
        }
        self.iter().try_for_each(|fault| write!(f, "\n- {fault}"))
    }
}

impl std::error::Error for Faults {}
