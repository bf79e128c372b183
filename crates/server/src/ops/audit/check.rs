//! What a check is, and what it answers.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::profile::Profile;
use super::subject::Subject;

/// What a check is about. The order is that of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AuditGroup)]
pub enum Group {
    /// Nobody gets at what is not theirs.
    Security,
    /// What was promised is kept, and can be brought back.
    Data,
    /// There is room for what comes.
    Capacity,
    /// What fails is survived.
    Resilience,
    /// It is known how it goes.
    Observability,
    /// What runs is what was meant to run.
    Delivery,
    /// Mail goes to whom it may, once, and as the standards want it.
    Outreach,
}

impl Group {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 7] = [
        Self::Security,
        Self::Data,
        Self::Capacity,
        Self::Resilience,
        Self::Observability,
        Self::Delivery,
        Self::Outreach,
    ];

    /// The word before the point in the ids of its checks.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Security => "security",
            Self::Data => "data",
            Self::Capacity => "capacity",
            Self::Resilience => "resilience",
            Self::Observability => "observability",
            Self::Delivery => "delivery",
            Self::Outreach => "outreach",
        }
    }
}

/// How bad it is when a check fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AuditSeverity)]
pub enum Severity {
    /// Untidy.
    Low,
    /// It will hurt some day.
    Medium,
    /// It hurts at the next fault.
    High,
    /// Data or trust is lost: nothing else makes up for it.
    Critical,
}

impl Severity {
    /// How much a check counts in the score.
    #[must_use]
    pub const fn weight(self) -> u32 {
        match self {
            Self::Low => 1,
            Self::Medium => 2,
            Self::High => 4,
            Self::Critical => 8,
        }
    }

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AuditVerdict)]
pub enum Verdict {
    /// What was seen is what must be seen.
    Pass,
    /// It is near the threshold, or half of it holds.
    Warn,
    /// It does not hold.
    Fail,
    /// It could not be seen. That is never taken for a pass.
    Unknown,
    /// It is not asked for here, for a reason that is given.
    NotApplicable,
}

impl Verdict {
    /// What it counts of the check's weight; nothing when it does not count.
    #[must_use]
    pub const fn value(self) -> Option<f64> {
        match self {
            Self::Pass => Some(1.0),
            Self::Warn => Some(0.5),
            Self::Fail | Self::Unknown => Some(0.0),
            Self::NotApplicable => None,
        }
    }

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Unknown => "unknown",
            Self::NotApplicable => "not applicable",
        }
    }
}

/// What a check saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// How it ended.
    pub verdict: Verdict,
    /// What was measured, in a few words: "3 of 70 routes answered".
    pub measured: String,
    /// What that is taken from: an answer, a row, a setting. It holds no secret.
    pub evidence: String,
    /// How old the evidence is, where it was not made just now.
    pub age: Option<Duration>,
}

impl Seen {
    fn new(verdict: Verdict, measured: impl Into<String>) -> Self {
        Self { verdict, measured: measured.into(), evidence: String::new(), age: None }
    }

    /// It holds.
    pub fn pass(measured: impl Into<String>) -> Self {
        Self::new(Verdict::Pass, measured)
    }

    /// It nearly holds.
    pub fn warn(measured: impl Into<String>) -> Self {
        Self::new(Verdict::Warn, measured)
    }

    /// It does not hold.
    pub fn fail(measured: impl Into<String>) -> Self {
        Self::new(Verdict::Fail, measured)
    }

    /// It could not be seen, and why.
    pub fn unknown(why: impl Into<String>) -> Self {
        Self::new(Verdict::Unknown, why)
    }

    /// It is not asked for here, and why.
    pub fn not_applicable(why: impl Into<String>) -> Self {
        Self::new(Verdict::NotApplicable, why)
    }

    /// A pass when it holds, else a failure.
    pub fn told(holds: bool, measured: impl Into<String>) -> Self {
        Self::new(if holds { Verdict::Pass } else { Verdict::Fail }, measured)
    }

    /// With what that is taken from.
    #[must_use]
    pub fn by(mut self, evidence: impl Into<String>) -> Self {
        self.evidence = evidence.into();
        self
    }

    /// With evidence that was made earlier.
    #[must_use]
    pub const fn aged(mut self, age: Duration) -> Self {
        self.age = Some(age);
        self
    }
}

/// How far a check goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AuditMode)]
pub enum Mode {
    /// It looks, and changes nothing.
    Passive,
    /// It acts as strangers of its own making, which it takes away again.
    Active,
    /// It breaks copies of its own making.
    Drill,
}

/// Looks at an installation.
pub type Look = for<'a> fn(&'a Subject) -> Looking<'a>;

/// What a look answers with in the end.
pub type Looking<'a> = std::pin::Pin<Box<dyn Future<Output = Seen> + Send + 'a>>;

/// A check.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Its name, which never changes: `security.headers`.
    pub id: &'static str,
    /// What it is about.
    pub group: Group,
    /// How bad a failure is.
    pub severity: Severity,
    /// How far it goes.
    pub mode: Mode,
    /// What must hold, as a sentence.
    pub title: &'static str,
    /// What must be seen for that.
    pub threshold: &'static str,
    /// How to mend it.
    pub cure: &'static str,
    /// The smallest profile that it is asked of.
    pub from: Profile,
    /// How old its evidence may be. Older evidence is none.
    pub most_age: Option<Duration>,
    /// Looks.
    pub look: Look,
}
