//! A report in the forms that are asked for: text for people, JSON for machines, a page to send, JUnit for pipelines.

mod html;
mod junit;
mod text;

use std::str::FromStr;

use super::report::Report;

/// The form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people, on a terminal.
    Text,
    /// For machines.
    Json,
    /// One page that needs nothing else.
    Html,
    /// For pipelines (the XML that JUnit made common).
    Junit,
}

impl FromStr for Form {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            "html" => Ok(Self::Html),
            "junit" => Ok(Self::Junit),
            _ => Err(format!("'{word}' is no form: it is text, json, html or junit")),
        }
    }
}

/// Writes a report; `before` is the report of an earlier audit, to say what has changed.
///
/// # Errors
/// A bug: a report that is no JSON, or no page.
pub fn render(report: &Report, before: Option<&Earlier>, form: Form) -> mainstay_domain::Result<String> {
    match form {
        Form::Text => Ok(text::render(report, before)),
        Form::Json => {
            let text = serde_json::to_string_pretty(report).map_err(mainstay_domain::Error::internal)?;
            Ok(text + "\n")
        }
        Form::Html => html::render(report, before),
        Form::Junit => Ok(junit::render(report)),
    }
}

/// What is known of an earlier audit.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
pub struct Earlier {
    /// When it was made.
    pub at: String,
    /// From 0 to 100.
    pub score: f64,
    /// How its checks ended.
    pub findings: Vec<EarlierFinding>,
}

/// How a check of an earlier audit ended.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
pub struct EarlierFinding {
    /// The check.
    pub id: String,
    /// How it ended.
    pub verdict: String,
}

/// What has changed since then: the check, how it was and how it is, in words.
pub(super) fn changes(report: &Report, before: &Earlier) -> Vec<String> {
    let was = |id: &str| {
        before.findings.iter().find(|finding| finding.id == id).map(|finding| finding.verdict.replace('_', " "))
    };
    let changed = report.findings.iter().filter_map(|finding| {
        let (was, is) = (was(finding.id)?, finding.verdict.word());
        (was != is).then(|| format!("{}: {was} before, {is} now", finding.id))
    });
    changed.collect()
}
