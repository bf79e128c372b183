//! What an audit found, and what it is worth.

use std::collections::BTreeMap;
use std::time::Duration;

use mainstay_domain::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::check::{Check, Group, Mode, Seen, Severity, Verdict};
use super::profile::Profile;

/// The most that is left of a score where something critical fails.
pub const CAP: f64 = 49.0;

/// A check and what it saw.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = AuditFinding)]
pub struct Finding {
    /// The check.
    pub id: &'static str,
    /// What it is about.
    pub group: Group,
    /// How bad a failure is.
    pub severity: Severity,
    /// How far it went.
    pub mode: Mode,
    /// What must hold.
    pub title: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// What was measured; or why nothing was, or why it is not asked for.
    pub measured: String,
    /// What must be seen.
    pub threshold: &'static str,
    /// What the measurement is taken from.
    pub evidence: String,
    /// When that was so.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// How to mend it; nothing where it holds.
    pub cure: Option<&'static str>,
    /// The command that repeats it.
    pub repeat: String,
    /// How long the look took, in milliseconds.
    pub took_ms: u64,
}

impl Finding {
    /// What is reported of a look that took so long.
    #[must_use]
    pub fn of(check: &Check, seen: Seen, now: Timestamp, took: Duration) -> Self {
        let Seen { mut verdict, mut measured, evidence, age } = seen;
        if let (Some(age), Some(most)) = (age, check.most_age)
            && age > most
            && verdict.value().is_some_and(|value| value > 0.0)
        {
            verdict = Verdict::Unknown;
            measured = format!("{measured}; that is {} old, and nothing newer is known", words(age));
        }
        let mends = matches!(verdict, Verdict::Warn | Verdict::Fail | Verdict::Unknown);
        let how = match check.mode {
            Mode::Passive => "",
            Mode::Active => " --active",
            Mode::Drill => " --drill",
        };
        Self {
            id: check.id,
            group: check.group,
            severity: check.severity,
            mode: check.mode,
            title: check.title,
            verdict,
            measured,
            threshold: check.threshold,
            evidence,
            at: now.minus(age.unwrap_or_default()),
            cure: mends.then_some(check.cure),
            repeat: format!("mainstay audit --only {}{how}", check.id),
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn is_critical_failure(&self) -> bool {
        self.severity == Severity::Critical && self.verdict == Verdict::Fail
    }
}

/// A time in words: "3 d", "12 h", "40 s".
pub(super) fn words(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds >= 172_800 => format!("{} d", seconds / 86_400),
        seconds if seconds >= 7_200 => format!("{} h", seconds / 3_600),
        seconds if seconds >= 120 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

/// The score of a group.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = AuditGroupScore)]
pub struct GroupScore {
    /// Which group.
    pub group: Group,
    /// From 0 to 100.
    pub score: f64,
    /// Checks that counted.
    pub checks: usize,
    /// Of those, how many passed.
    pub passed: usize,
}

/// What an audit found.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = AuditReport)]
pub struct Report {
    /// The version of the program that looked.
    pub version: &'static str,
    /// What the installation was taken for.
    pub profile: Profile,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// From 0 to 100: at most 49 where something critical fails.
    pub score: f64,
    /// Whether something critical fails.
    pub capped: bool,
    /// How many checks the profile asks for, of those that go as far as was asked.
    pub asked: usize,
    /// By group.
    pub groups: Vec<GroupScore>,
    /// All checks, in the order of the list.
    pub findings: Vec<Finding>,
    /// How long it all took, in milliseconds.
    pub took_ms: u64,
}

impl Report {
    /// The report of these findings.
    #[must_use]
    pub fn new(profile: Profile, findings: Vec<Finding>, at: Timestamp, took: Duration) -> Self {
        let mut by_group: BTreeMap<Group, Vec<&Finding>> = BTreeMap::new();
        for finding in &findings {
            by_group.entry(finding.group).or_default().push(finding);
        }
        let groups = by_group.into_iter().filter_map(|(group, of)| group_score(group, &of)).collect();
        let capped = findings.iter().any(Finding::is_critical_failure);
        let all: Vec<_> = findings.iter().collect();
        let score = score(&all).unwrap_or(0.0);
        let asked = findings.iter().filter(|finding| finding.verdict.value().is_some()).count();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            profile,
            at,
            score: if capped { score.min(CAP) } else { score },
            capped,
            asked,
            groups,
            findings,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// The score in tenths, from 0 to 1000.
    #[must_use]
    pub fn tenths(&self) -> u32 {
        // It has one decimal and is never below 0 or above 100.
        format!("{:.0}", self.score * 10.0).parse().unwrap_or(0)
    }

    /// The exit code for pipelines: 2 when something critical fails, 1 when the score is less than asked for, else 0.
    #[must_use]
    pub fn exit_code(&self, least: f64) -> u8 {
        match self.capped {
            true => 2,
            false => u8::from(self.score < least),
        }
    }
}

fn group_score(group: Group, findings: &[&Finding]) -> Option<GroupScore> {
    let score = score(findings)?;
    let counted = findings.iter().filter(|finding| finding.verdict.value().is_some());
    let passed = findings.iter().filter(|finding| finding.verdict == Verdict::Pass).count();
    Some(GroupScore { group, score, checks: counted.count(), passed })
}

/// From 0 to 100, to one decimal; nothing when nothing counts. Rounded down: 100 means all.
fn score(findings: &[&Finding]) -> Option<f64> {
    let counted = findings.iter().filter_map(|finding| Some((finding.verdict.value()?, finding.severity.weight())));
    let (got, of) = counted.fold((0.0, 0.0), |(got, of), (value, weight)| {
        let weight = f64::from(weight);
        (got + value * weight, of + weight)
    });
    (of > 0.0).then(|| (got / of * 1000.0).floor() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn check(severity: Severity) -> Check {
        Check {
            id: "data.example",
            group: Group::Data,
            severity,
            mode: Mode::Active,
            title: "It holds.",
            threshold: "all",
            cure: "Mend it.",
            from: Profile::Laptop,
            most_age: Some(Duration::from_secs(3600)),
            look: |_| Box::pin(async { Seen::pass("") }),
        }
    }

    fn report(seen: &[(Severity, Seen)]) -> Report {
        let of =
            |(severity, seen): &(Severity, Seen)| Finding::of(&check(*severity), seen.clone(), NOW, Duration::ZERO);
        Report::new(Profile::Laptop, seen.iter().map(of).collect(), NOW, Duration::ZERO)
    }

    #[test]
    fn what_is_not_known_counts_as_nothing_and_what_does_not_apply_not_at_all() {
        use Severity::{High, Low, Medium};
        let all = [(High, Seen::pass("")), (Low, Seen::not_applicable("")), (Medium, Seen::unknown(""))];
        let report = report(&all);
        assert_eq!((report.score, report.asked, report.capped), (66.6, 2, false));
        assert_eq!((report.groups[0].passed, report.groups[0].checks), (1, 2));
        assert_eq!((report.exit_code(66.0), report.exit_code(95.0)), (0, 1));
    }

    #[test]
    fn a_critical_failure_caps_the_score_whatever_else_holds() {
        let mut all = vec![(Severity::High, Seen::pass("")); 100];
        all.push((Severity::Critical, Seen::unknown("")));
        assert!(!report(&all).capped && report(&all).score > 90.0);
        all.push((Severity::Critical, Seen::fail("")));
        let report = report(&all);
        assert_eq!((report.score, report.capped, report.exit_code(0.0)), (CAP, true, 2));
    }

    #[test]
    fn evidence_that_is_too_old_is_none() {
        let of = |seconds| Seen::pass("done").aged(Duration::from_secs(seconds));
        let finding = |seen| Finding::of(&check(Severity::High), seen, NOW, Duration::ZERO);
        let fresh = finding(of(3600));
        assert_eq!((fresh.verdict, fresh.cure), (Verdict::Pass, None));
        assert_eq!(fresh.at, NOW.minus(Duration::from_secs(3600)));
        let old = finding(of(3 * 86_400));
        assert_eq!((old.verdict, old.cure), (Verdict::Unknown, Some("Mend it.")));
        assert_eq!(old.measured, "done; that is 3 d old, and nothing newer is known");
        assert_eq!(old.repeat, "mainstay audit --only data.example --active");
        let bad = finding(Seen::fail("broken").aged(Duration::from_secs(7200)));
        assert_eq!(bad.verdict, Verdict::Fail, "old bad news stay bad");
    }
}
