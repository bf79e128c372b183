//! The checks, a file for each group.

pub(in crate::ops) mod backups;
pub(in crate::ops) mod capacity;
pub(super) mod conversations;
pub(super) mod data;
pub(super) mod delivery;
pub(super) mod mail;
pub(super) mod observability;
pub(super) mod outreach;
pub(super) mod recordings;
mod refusals;
pub(super) mod resilience;
pub(super) mod secrets;
pub(super) mod security;
pub(super) mod strangers;
pub(super) mod transport;

use std::time::Duration;

use super::check::Seen;
use super::subject::{Silent, Told};

/// What a check answers with that could not look.
impl From<Silent> for Seen {
    fn from(silent: Silent) -> Self {
        Self::unknown(format!("{silent}. Is the server running? Start it with `mainstay serve`, or name it with --url"))
    }
}

impl From<mainstay_store::Error> for Seen {
    fn from(error: mainstay_store::Error) -> Self {
        Self::unknown(format!("the database did not tell: {error}"))
    }
}

/// A look that may fail: what it fails with is what was seen.
type Looked = Result<Seen, Seen>;

/// The one of both that there is.
fn settle(looked: Looked) -> Seen {
    looked.unwrap_or_else(|seen| seen)
}

/// Makes the list of a group: `id severity mode profile [age] look, "title", "threshold", "cure"`.
macro_rules! checks {
    ($group:ident: $($id:literal $severity:ident $mode:ident $from:ident $look:ident,
        $title:literal, $threshold:literal, $cure:literal $(, within $age:expr)?;)+) => {
        /// The checks of this group.
        pub(in super::super) static CHECKS: &[super::super::check::Check] = &[$(
            super::super::check::Check {
                id: $id,
                group: super::super::check::Group::$group,
                severity: super::super::check::Severity::$severity,
                mode: super::super::check::Mode::$mode,
                from: super::super::profile::Profile::$from,
                title: $title,
                threshold: $threshold,
                cure: $cure,
                most_age: checks!(@age $($age)?),
                look: |subject| Box::pin(async move { super::settle($look(subject).await) }),
            },
        )+];
    };
    (@age) => { None };
    (@age $age:expr) => { Some($age) };
}
use checks;

/// A few of many, for evidence.
fn some(all: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut text = all.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
    if all.len() > SHOWN {
        text.push_str(&format!("; and {} more", all.len() - SHOWN));
    }
    text
}

/// The first line of what was answered, cut.
fn line(told: &Told) -> String {
    let text: String = told.text.lines().next().unwrap_or_default().chars().take(160).collect();
    format!("{} {text}", told.status.as_u16())
}

/// A number of days.
const fn days(number: u64) -> Duration {
    Duration::from_secs(number * 86_400)
}
