//! A report for people, on a terminal.

use std::fmt::Write as _;

use super::super::check::Verdict;
use super::super::report::{Finding, Report};
use super::{Earlier, changes};

pub(super) fn render(report: &Report, before: Option<&Earlier>) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "Audit of a {} with mainstay {}, {}\n", report.profile.word(), report.version, report.at);
    let mut groups = report.groups.clone();
    // The worst first.
    groups.sort_by(|a, b| a.score.total_cmp(&b.score));
    for group in groups {
        let _ = writeln!(
            text,
            "  {:<14} {:>5.1}   {} of {} checks pass",
            group.group.word(),
            group.score,
            group.passed,
            group.checks
        );
    }
    for verdict in [Verdict::Fail, Verdict::Unknown, Verdict::Warn] {
        for finding in report.findings.iter().filter(|finding| finding.verdict == verdict) {
            text.push_str(&trouble(finding));
        }
    }
    let passed: Vec<_> = of(report, Verdict::Pass).collect();
    if !passed.is_empty() {
        text.push_str("\nPassed\n");
        for finding in passed {
            let _ = writeln!(text, "  {:<32} {}", finding.id, finding.measured);
        }
    }
    let others: Vec<_> = of(report, Verdict::NotApplicable).collect();
    if !others.is_empty() {
        text.push_str("\nNot asked for here\n");
        for finding in others {
            let _ = writeln!(text, "  {:<32} {}", finding.id, finding.measured);
        }
    }
    if let Some(before) = before {
        let _ = writeln!(text, "\nSince {} ({} then)", before.at, before.score);
        let changes = changes(report, before);
        for change in &changes {
            let _ = writeln!(text, "  {change}");
        }
        if changes.is_empty() {
            text.push_str("  nothing has changed\n");
        }
    }
    let cap = if report.capped { ", held down by a critical failure" } else { "" };
    let _ = writeln!(
        text,
        "\nScore {} of 100 over {} checks{cap}; it took {} ms.",
        report.score, report.asked, report.took_ms
    );
    text
}

fn of(report: &Report, verdict: Verdict) -> impl Iterator<Item = &Finding> {
    report.findings.iter().filter(move |finding| finding.verdict == verdict)
}

fn trouble(finding: &Finding) -> String {
    let Finding { id, title, measured, threshold, evidence, cure, repeat, .. } = finding;
    let (verdict, severity) = (finding.verdict.word().to_uppercase(), finding.severity.word());
    let mut text = format!("\n{verdict}  {id}  ({severity})\n  {title}\n  seen    {measured}\n  wanted  {threshold}\n");
    if !evidence.is_empty() {
        let _ = writeln!(text, "  from    {evidence}");
    }
    if let Some(cure) = cure {
        let _ = writeln!(text, "  cure    {cure}");
    }
    let _ = writeln!(text, "  repeat  {repeat}");
    text
}
