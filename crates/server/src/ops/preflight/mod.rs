//! Preflight: whether this version may be deployed to an installation. It is asked of the new program, with the settings of
//! the installation, before anything is replaced; no server need run. What it judges by is what the audit judges by.

mod build;
mod looks;

use std::path::PathBuf;
use std::time::Duration;

use mainstay_domain::Timestamp;
use mainstay_store::DatabaseSeen;
use tokio::time::{Instant, timeout};

pub use build::Evidence;

use super::audit::{Finding, Group, Mode, Profile, Report, Seen, Severity, Verdict};
use crate::config::Config;

/// How long one look may take.
const DEADLINE: Duration = Duration::from_secs(15);

/// What a deployment must have, and what was decided about it.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The file that says which builds passed what.
    pub evidence: Option<PathBuf>,
    /// What this build must have passed; nothing stands for all stages.
    pub stages: Vec<String>,
    /// Settings that must be given, by their keys.
    pub settings: Vec<String>,
    /// Whether somebody has looked at the risks of the pending migrations.
    pub accept_risk: bool,
    /// Whether the schema must be there already.
    pub migrated: bool,
}

/// What a build passes on its way.
pub const STAGES: [&str; 2] = ["tests", "staging"];

/// What is to be deployed, and where.
pub struct Deployment {
    /// The settings.
    pub config: Config,
    /// What the installation is for.
    pub profile: Profile,
    /// The present moment.
    pub now: Timestamp,
    /// What it must have.
    pub wanted: Wanted,
    /// What is so on the side of the database, or why that is not known.
    database: Result<DatabaseSeen, String>,
}

impl std::fmt::Debug for Deployment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Deployment({:?})", self.profile)
    }
}

type Looking<'a> = std::pin::Pin<Box<dyn Future<Output = Seen> + Send + 'a>>;

/// One thing that is looked at.
struct Look {
    id: &'static str,
    severity: Severity,
    from: Profile,
    title: &'static str,
    threshold: &'static str,
    cure: &'static str,
    look: for<'a> fn(&'a Deployment) -> Looking<'a>,
}

impl Deployment {
    /// With a look at the database.
    pub async fn new(config: Config, profile: Profile, now: Timestamp, wanted: Wanted) -> Self {
        let options = crate::app::store_options(&config.database);
        let database = match timeout(DEADLINE, DatabaseSeen::look(&options)).await {
            Ok(seen) => seen.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {} s", DEADLINE.as_secs())),
        };
        Self { config, profile, now, wanted, database }
    }

    /// Looks at everything.
    pub async fn look(&self) -> Report {
        let begun = Instant::now();
        let mut findings = Vec::with_capacity(looks::ALL.len());
        for look in looks::ALL {
            findings.push(self.finding(look).await);
        }
        Report::new(self.profile, findings, self.now, begun.elapsed())
    }

    async fn finding(&self, look: &Look) -> Finding {
        let begun = Instant::now();
        let seen = if self.profile < look.from {
            let (from, here) = (look.from.word(), self.profile.word());
            Seen::not_applicable(format!("asked of a {from} and more, and this is a {here}"))
        } else {
            let seen = timeout(DEADLINE, (look.look)(self)).await;
            seen.unwrap_or_else(|_| Seen::unknown(format!("it took more than {} s", DEADLINE.as_secs())))
        };
        let mends = matches!(seen.verdict, Verdict::Warn | Verdict::Fail | Verdict::Unknown);
        Finding {
            id: look.id,
            group: Group::Delivery,
            severity: look.severity,
            mode: Mode::Passive,
            title: look.title,
            verdict: seen.verdict,
            measured: seen.measured,
            threshold: look.threshold,
            evidence: seen.evidence,
            at: self.now,
            cure: mends.then_some(look.cure),
            repeat: "mainstay preflight".to_owned(),
            took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// Why a deployment is refused: what is bad enough and does not hold, or is not known to.
pub fn reasons(report: &Report) -> impl Iterator<Item = &Finding> {
    report.findings.iter().filter(|finding| {
        finding.severity >= Severity::High && matches!(finding.verdict, Verdict::Fail | Verdict::Unknown)
    })
}
