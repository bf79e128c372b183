//! The smoke check: whether a server that was just put in place serves, and is the build that it should be. It looks from
//! outside, as a stranger or as one person who signs in, and knows nothing of the installation but its address.

mod looks;

use std::time::Duration;

use mainstay_domain::{BuildDigest, Result, Secret};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::audit::{Live, Seen, Verdict};

/// How long it waits before it asks again for what is not there yet.
const PAUSE: Duration = Duration::from_millis(200);

/// What is looked at.
#[derive(Debug)]
pub struct Smoke {
    live: Live,
    address: String,
    /// The digest that it must tell.
    digest: Option<BuildDigest>,
    /// The version that it must tell.
    version: Option<String>,
    /// Whoever signs in and says something.
    person: Option<(String, Secret)>,
    /// Only these checks; nothing stands for all.
    only: Vec<String>,
    /// When it is to be there.
    until: Instant,
}

/// What must hold of a server.
#[derive(Debug, Default)]
pub struct Expected {
    /// Its digest.
    pub digest: Option<BuildDigest>,
    /// Its version.
    pub version: Option<String>,
    /// That this person can sign in and is answered.
    pub person: Option<(String, Secret)>,
    /// Only these checks, by their names; nothing stands for all.
    pub only: Vec<String>,
}

/// The names of all checks.
pub fn names() -> impl Iterator<Item = &'static str> {
    looks::ALL.iter().map(|(id, _)| *id)
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub struct Looked {
    /// Its name, which never changes.
    pub id: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// What was seen.
    pub seen: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct SmokeReport {
    /// Of which server.
    pub url: String,
    /// Whether it may stay.
    pub passed: bool,
    /// The version that it told.
    pub version: Option<String>,
    /// The digest that it told.
    pub digest: Option<String>,
    /// One after the other.
    pub checks: Vec<Looked>,
}

impl Smoke {
    /// Of the server at this address, which has so long to be there.
    ///
    /// # Errors
    /// When it is no http or https address.
    pub fn new(address: &str, expected: Expected, patience: Duration) -> Result<Self> {
        let live = Live::new(address)?;
        let Expected { digest, version, person, only } = expected;
        Ok(Self { live, address: address.to_owned(), digest, version, person, only, until: Instant::now() + patience })
    }

    /// Looks at everything. When it is not there at all, the rest is not asked.
    pub async fn look(&self) -> SmokeReport {
        let mut checks = Vec::with_capacity(looks::ALL.len());
        let wanted = |id: &str| self.only.is_empty() || self.only.iter().any(|only| only == id);
        for (id, look) in looks::ALL.iter().filter(|(id, _)| wanted(id)) {
            let begun = Instant::now();
            let Seen { verdict, measured, evidence, .. } = look(self).await;
            let seen = if evidence.is_empty() { measured } else { format!("{measured} ({evidence})") };
            let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            let gone = *id == looks::FIRST && verdict != Verdict::Pass;
            checks.push(Looked { id, verdict, seen, took_ms });
            if gone {
                break;
            }
        }
        let told = self.live.get("/health").await.ok().map(|told| told.json());
        let text = |name: &str| told.as_ref().and_then(|told| told[name].as_str()).map(str::to_owned);
        let passed =
            checks.iter().all(|one| matches!(one.verdict, Verdict::Pass | Verdict::Warn | Verdict::NotApplicable));
        SmokeReport { url: self.address.clone(), passed, version: text("version"), digest: text("digest"), checks }
    }

    /// Asks until it holds, or there is no more time. Once it is asked in any case.
    async fn until<F: Future<Output = Seen>>(&self, mut look: impl FnMut() -> F) -> Seen {
        loop {
            let seen = look().await;
            if matches!(seen.verdict, Verdict::Pass | Verdict::Warn) || Instant::now() + PAUSE > self.until {
                return seen;
            }
            sleep(PAUSE).await;
        }
    }
}
