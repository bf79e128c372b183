//! `mainstay preflight`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use mainstay_domain::{Error, Kind};

use super::Answer;
use crate::app::Outside;
use crate::config::Config;
use crate::ops::audit::render::{Form, render};
use crate::ops::audit::{Profile, Report, Verdict};
use crate::ops::build::digest_of_this_program;
use crate::ops::preflight::{Deployment, Evidence, STAGES, Wanted, reasons};

#[derive(Debug, Args)]
pub(super) struct PreflightArguments {
    /// What the installation is for: laptop, server or cluster; without it the settings tell
    #[arg(long)]
    profile: Option<Profile>,
    /// The file that says which builds have passed what
    #[arg(long, value_name = "FILE")]
    evidence: Option<PathBuf>,
    /// Write into that file that this build has passed a stage, and look at nothing: tests, staging
    #[arg(long, value_name = "STAGE", requires = "evidence")]
    passed: Option<String>,
    /// What this build must have passed: tests, staging; without it both
    #[arg(long, value_name = "STAGE", num_args = 1.., value_parser = stage)]
    needs: Vec<String>,
    /// Settings that the file or the environment must give, by their keys, such as database.url
    #[arg(long, value_name = "KEY", num_args = 1..)]
    require: Vec<String>,
    /// Refuse while a migration is pending, whatever it does: an earlier step has applied them
    #[arg(long)]
    migrated: bool,
    /// The risks of the pending migrations were looked at and are taken
    #[arg(long)]
    accept_risk: bool,
    /// The form of the report: text, json, html or junit
    #[arg(long, value_name = "FORM", default_value = "text")]
    form: Form,
}

fn stage(word: &str) -> Result<String, String> {
    let known = STAGES.contains(&word).then(|| word.to_owned());
    known.ok_or_else(|| format!("'{word}' is no stage: it is tests or staging"))
}

pub(super) async fn run(arguments: PreflightArguments, config: Config) -> Result<Answer, Answer> {
    let now = Outside::default().clock.now();
    if let (Some(stage), Some(path)) = (&arguments.passed, &arguments.evidence) {
        if !STAGES.contains(&stage.as_str()) {
            let detail = format!("'{stage}' is no stage: it is tests or staging.");
            return Err(Answer::from(Error::new(Kind::Invalid, "no_such_stage", detail)));
        }
        let digest = digest_of_this_program().map_err(|error| Answer::from(Error::internal(error)))?;
        Evidence::add(path, &digest, stage, now).map_err(|error| {
            let detail = format!("{} cannot be written: {error}.", path.display());
            Answer::from(Error::new(Kind::Unavailable, "not_written", detail))
        })?;
        return Ok(Answer::good(format!("Build {digest} has passed {stage}.\n")));
    }
    let profile = arguments.profile.unwrap_or_else(|| Profile::of(&config));
    if let Some(unknown) = arguments.require.iter().find(|key| config.gives(key).is_none()) {
        let detail = format!("There is no setting '{unknown}': `mainstay config docs` lists them.");
        return Err(Answer::from(Error::new(Kind::Invalid, "no_such_setting", detail)));
    }
    let wanted = Wanted {
        evidence: arguments.evidence,
        stages: arguments.needs,
        settings: arguments.require,
        accept_risk: arguments.accept_risk,
        migrated: arguments.migrated,
    };
    let deployment = Deployment::new(config, profile, now, wanted).await;
    let report = deployment.look().await;
    let refused = reasons(&report).count();
    let text = match arguments.form {
        Form::Text => text(&report, refused),
        form => render(&report, None, form)?,
    };
    Ok(Answer { text, code: u8::from(refused > 0) })
}

fn text(report: &Report, refused: usize) -> String {
    let mut text = format!("Preflight of mainstay {} for a {}\n\n", report.version, report.profile.word());
    for finding in &report.findings {
        let refuses = reasons(report).any(|reason| reason.id == finding.id);
        let word = match (finding.verdict, refuses) {
            (Verdict::Pass, _) => "good",
            (Verdict::NotApplicable, _) => "-",
            (_, true) => "REFUSED",
            (_, false) => "warning",
        };
        let _ = writeln!(text, "{word:<8} {:<24} {}", finding.id, finding.measured);
        if let Some(cure) = finding.cure {
            if !finding.evidence.is_empty() {
                let _ = writeln!(text, "         {}", finding.evidence);
            }
            let _ = writeln!(text, "         Wanted: {}. {cure}", finding.threshold);
        }
    }
    let end = if refused == 0 { "It may be deployed.".to_owned() } else { format!("Refused for {refused} reasons.") };
    let _ = writeln!(text, "\n{end}");
    text
}
