//! A report for pipelines: the XML that JUnit made common, as Jenkins, GitLab and GitHub's tools read it.

use std::fmt::Write as _;

use super::super::check::{Group, Verdict};
use super::super::report::Report;

pub(super) fn render(report: &Report) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let count = |verdict: Verdict| report.findings.iter().filter(|finding| finding.verdict == verdict).count();
    let seconds = |ms: u64| format!("{}.{:03}", ms / 1000, ms % 1000);
    let _ = writeln!(
        text,
        "<testsuites name=\"mainstay audit\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{}\">",
        report.findings.len(),
        count(Verdict::Fail),
        count(Verdict::Unknown),
        count(Verdict::NotApplicable),
        seconds(report.took_ms)
    );
    for group in Group::ALL {
        let findings: Vec<_> = report.findings.iter().filter(|finding| finding.group == group).collect();
        if findings.is_empty() {
            continue;
        }
        let of = |verdict: Verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
        let _ = writeln!(
            text,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">",
            group.word(),
            findings.len(),
            of(Verdict::Fail),
            of(Verdict::Unknown),
            of(Verdict::NotApplicable)
        );
        for finding in findings {
            let (id, measured) = (finding.id, escaped(&finding.measured));
            let more =
                escaped(&format!("{}\n{}\n{}", finding.threshold, finding.evidence, finding.cure.unwrap_or_default()));
            let inside = match finding.verdict {
                Verdict::Pass => String::new(),
                Verdict::Warn => format!("<system-out>warning: {measured}\n{more}</system-out>"),
                Verdict::Fail => format!("<failure message=\"{measured}\">{more}</failure>"),
                Verdict::Unknown => format!("<error message=\"{measured}\">{more}</error>"),
                Verdict::NotApplicable => format!("<skipped message=\"{measured}\"/>"),
            };
            let time = seconds(finding.took_ms);
            let _ = writeln!(
                text,
                "    <testcase classname=\"{}\" name=\"{id}\" time=\"{time}\">{inside}</testcase>",
                group.word()
            );
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

/// Text as XML 1.0 takes it: control characters, which it has no form for, become spaces.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            other if other.is_control() || matches!(other, '\u{FFFE}' | '\u{FFFF}') => out.push(' '),
            other => out.push(other),
        }
    }
    out
}
