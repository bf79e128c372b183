//! A report as one page that needs nothing else: to be sent, and kept.

use askama::Template;
use mainstay_domain::{Error, Result};

use super::super::check::Verdict;
use super::super::report::{Finding, Report};
use super::{Earlier, changes};

#[derive(Template)]
#[template(path = "audit-report.html")]
struct Page<'a> {
    report: &'a Report,
    parts: Vec<(&'static str, Vec<&'a Finding>)>,
    before: Option<&'a Earlier>,
    changes: Vec<String>,
}

pub(super) fn render(report: &Report, before: Option<&Earlier>) -> Result<String> {
    let titles = [
        (Verdict::Fail, "Failed"),
        (Verdict::Unknown, "Not known"),
        (Verdict::Warn, "Nearly"),
        (Verdict::Pass, "Passed"),
        (Verdict::NotApplicable, "Not asked for here"),
    ];
    let part = |(verdict, title)| {
        let findings: Vec<_> = report.findings.iter().filter(|finding| finding.verdict == verdict).collect();
        (!findings.is_empty()).then_some((title, findings))
    };
    let parts = titles.into_iter().filter_map(part).collect();
    let changes = before.map(|before| changes(report, before)).unwrap_or_default();
    Page { report, parts, before, changes }.render().map_err(Error::internal)
}
