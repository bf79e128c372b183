//! The audit: whether this installation is ready, by measuring it as it runs.
//!
//! A check looks at the settings, at the database or at what the server answers, and says what it saw. Nothing is taken from a
//! document. What could not be seen is [`Verdict::Unknown`] and counts as nothing; what a profile does not ask for says why.
//! All checks stand in [`list`]. `/readyz`, `mainstay preflight` and the console page use the same ones.

pub mod api;
pub mod check;
pub(in crate::ops) mod checks;
pub mod handshake;
pub mod list;
pub mod profile;
pub mod render;
pub mod report;
mod samples;
pub mod service;
pub mod subject;

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, timeout};

pub use self::check::{Check, Group, Mode, Seen, Severity, Verdict};
pub use self::profile::Profile;
pub use self::report::{Finding, Report};
pub use self::subject::{Live, Subject};

/// How long one check may take; one that acts waits for what it tries.
const DEADLINE: Duration = Duration::from_secs(8);
const ACTING: Duration = Duration::from_secs(120);
/// A drill restores the whole database.
const DRILLING: Duration = Duration::from_secs(3_600);
/// How many checks look at the same moment.
const AT_ONCE: usize = 8;

/// A look that becomes a finding.
type Looking<'a> = std::pin::Pin<Box<dyn Future<Output = Finding> + Send + 'a>>;

/// Runs these checks, and reports in their order.
pub async fn run(subject: &Subject, checks: &[&'static Check]) -> Report {
    let begun = Instant::now();
    let looks: Vec<Looking<'_>> = checks.iter().map(|check| Box::pin(look(subject, check)) as Looking<'_>).collect();
    let findings: Vec<Finding> = stream::iter(looks).buffered(AT_ONCE).collect().await;
    Report::new(subject.profile, findings, subject.app.clock.now(), begun.elapsed())
}

async fn look(subject: &Subject, check: &'static Check) -> Finding {
    let begun = Instant::now();
    let seen = if subject.profile < check.from {
        let (from, here) = (check.from.word(), subject.profile.word());
        Seen::not_applicable(format!("asked of a {from} and more, and this is a {here}"))
    } else {
        let deadline = match check.mode {
            Mode::Passive => DEADLINE,
            Mode::Active => ACTING,
            Mode::Drill => DRILLING,
        };
        let looked = timeout(deadline, (check.look)(subject)).await;
        looked.unwrap_or_else(|_| Seen::unknown(format!("it took more than {} s", deadline.as_secs())))
    };
    Finding::of(check, seen, subject.app.clock.now(), begun.elapsed())
}

/// The checks that go as far as this, or those that are named, or whose group is.
///
/// # Errors
/// A name that no check and no group has.
pub fn choose(mode: Mode, only: &[String]) -> Result<Vec<&'static Check>, String> {
    if only.is_empty() {
        return Ok(list::ALL.iter().copied().filter(|check| check.mode <= mode).collect());
    }
    for name in only {
        if !list::ALL.iter().any(|check| check.id == name || check.group.word() == name) {
            return Err(format!("no check is called '{name}'; `mainstay audit --list` names them all"));
        }
    }
    let named = |check: &&Check| only.iter().any(|name| check.id == name || check.group.word() == name);
    Ok(list::ALL.iter().copied().filter(named).filter(|check| check.mode <= mode).collect())
}
