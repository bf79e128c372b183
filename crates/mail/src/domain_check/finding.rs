//! Something to know about a sender, how bad it is, and its cure.

use std::fmt;

use crate::dns::{Name, Trouble};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Good to know; nothing is wrong.
    Informs,
    /// Mail goes out, and some of it will be refused or put where nobody looks.
    Warns,
    /// Mail would be refused, or harm: nothing should go out before it is cured.
    Blocks,
}

impl Severity {
    /// The word for it in answers and books.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Informs => "informs",
            Self::Warns => "warns",
            Self::Blocks => "blocks",
        }
    }
}

/// A record that cures a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The name that it belongs to, whole.
    pub name: String,
    /// Its type: `TXT` or `CNAME`.
    pub kind: &'static str,
    /// Its value, without quotes. A TXT longer than 255 bytes is written to the zone in several strings.
    pub value: String,
}

impl fmt::Display for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, self.kind, self.value)
    }
}

/// Something that the DNS says, or does not say, about a sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Stable, `snake_case`: one of those of [the module](super).
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The name that it is about.
    pub name: String,
    /// What is found and what to do, for people. It tells the record to publish, too.
    pub detail: String,
    /// The record to publish, where there is one: in place of that of the same name and type that is there now.
    pub publish: Option<Publish>,
}

impl Finding {
    pub(super) fn new(
        code: &'static str,
        severity: Severity,
        name: impl fmt::Display,
        detail: impl Into<String>,
    ) -> Self {
        Self { code, severity, name: name.to_string(), detail: detail.into(), publish: None }
    }

    /// The finding with the record that cures it, at its end in words.
    pub(super) fn publish(mut self, name: impl fmt::Display, kind: &'static str, value: impl Into<String>) -> Self {
        let publish = Publish { name: name.to_string(), kind, value: value.into() };
        self.detail = format!("{} Publish: {publish}", self.detail);
        self.publish = Some(publish);
        self
    }

    /// That nobody could say what a name has. Aliases in a circle are an answer: that there is nothing to be had.
    pub(super) fn unanswered(name: &Name, trouble: &Trouble) -> Self {
        if *trouble == Trouble::AliasLoop {
            let detail = format!(
                "{name} has nothing that counts, since {trouble}. Let the CNAME end at a name that has the records itself."
            );
            return Self::new("dns_alias_loop", Severity::Warns, name, detail);
        }
        let detail = format!(
            "What {name} has could not be found out: {trouble}. That does not mean that it has nothing. Check again in a \
             few minutes; when it stays so, look whether the name servers of the domain, and DNSSEC where it is used, are well."
        );
        Self::new("dns_unanswered", Severity::Warns, name, detail)
    }

    /// Makes a warning one that blocks, and says why in front of the cure.
    pub(super) fn block(&mut self, why: &str) {
        if self.severity == Severity::Warns {
            self.severity = Severity::Blocks;
            self.detail = format!("{why} {}", self.detail);
        }
    }
}
