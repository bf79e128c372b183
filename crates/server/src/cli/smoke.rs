//! `mainstay smoke`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use mainstay_domain::{BuildDigest, Error, Kind, Secret};

use super::Answer;
use super::deploy::digest;
use super::text::{as_json, plain};
use crate::ops::audit::Verdict;
use crate::ops::smoke::{Expected, Smoke, SmokeReport, names};

#[derive(Debug, Args)]
pub(super) struct SmokeArguments {
    /// The address of the server, as those who use it reach it
    #[arg(long, value_name = "ADDRESS")]
    url: String,
    /// The digest that the server must tell
    #[arg(long, value_name = "DIGEST", value_parser = digest)]
    expect_digest: Option<BuildDigest>,
    /// The version that the server must tell
    #[arg(long, value_name = "VERSION")]
    expect_version: Option<String>,
    /// How long the server may take to be there, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    timeout_seconds: u64,
    /// Also sign in as this person, and have one message answered; it is deleted again
    #[arg(long, value_name = "ADDRESS", requires = "password_file")]
    email: Option<String>,
    /// The file whose first line is their password
    #[arg(long, value_name = "FILE", requires = "email")]
    password_file: Option<PathBuf>,
    /// Only these checks, such as smoke.ready
    #[arg(long, value_name = "ID", num_args = 1.., value_parser = known)]
    only: Vec<String>,
    /// The form of the report: text or json
    #[arg(long, value_name = "FORM", default_value = "text", value_parser = ["text", "json"])]
    form: String,
}

fn known(id: &str) -> Result<String, String> {
    let known = names().any(|name| name == id).then(|| id.to_owned());
    known.ok_or_else(|| format!("'{id}' is none of {}", names().collect::<Vec<_>>().join(", ")))
}

pub(super) async fn run(arguments: SmokeArguments) -> Result<Answer, Answer> {
    let person = match (arguments.email, &arguments.password_file) {
        (Some(email), Some(file)) => {
            let text = std::fs::read_to_string(file).map_err(|error| {
                let detail = format!("{} cannot be read: {error}.", file.display());
                Answer::from(Error::new(Kind::Invalid, "no_file", detail))
            })?;
            Some((email, Secret::new(text.lines().next().unwrap_or_default().to_owned())))
        }
        _ => None,
    };
    let (digest, version) = (arguments.expect_digest, arguments.expect_version);
    let expected = Expected { digest, version, person, only: arguments.only };
    let smoke = Smoke::new(&arguments.url, expected, Duration::from_secs(arguments.timeout_seconds))?;
    let report = smoke.look().await;
    let code = u8::from(!report.passed);
    let text = if arguments.form == "json" { as_json(&report)?.text } else { text(&report) };
    Ok(Answer { text, code })
}

fn text(report: &SmokeReport) -> String {
    let mut text = String::new();
    for one in &report.checks {
        let word = match one.verdict {
            Verdict::Pass => "good",
            Verdict::Warn => "warning",
            Verdict::NotApplicable => "-",
            Verdict::Fail | Verdict::Unknown => "FAILED",
        };
        let _ = writeln!(text, "{word:<8} {:<14} {:>6} ms  {}", one.id, one.took_ms, plain(&one.seen));
    }
    let end = if report.passed { "It serves." } else { "It must not stay." };
    let _ = writeln!(text, "\n{end}");
    text
}
