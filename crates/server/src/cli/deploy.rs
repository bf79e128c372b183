//! `mainstay deploy`: the register of deployments.

use std::time::Duration;

use clap::{Args, Subcommand};
use mainstay_domain::{BuildDigest, DeploymentKind, DeploymentOutcome, EnvironmentName, Error, Timestamp};
use mainstay_store::{Call, Deployment, ListDeployments, RecordDeployment};

use super::text::{as_json, columns, cut, moment, span};
use super::{Answer, login, open};
use crate::app::App;
use crate::config::Config;
use crate::ops::build::{COMMIT, VERSION, digest_of_this_program};
use crate::ops::deployments::DeploymentBody;

/// How long one step may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most characters of a text that is told.
const LONGEST: usize = 500;

#[derive(Debug, Subcommand)]
pub(super) enum DeployCommand {
    /// Write into the register what was deployed where, and what came of it
    ///
    /// It deploys nothing: whoever deploys calls it at the end, also when it went wrong. The scripts in deploy/pipeline do.
    Record(RecordArguments),
    /// List what was deployed, the last first
    List(ListArguments),
    /// Print the version, the commit and the digest of this program
    ///
    /// It needs no settings and no database.
    Build,
}

#[derive(Debug, Args)]
pub(super) struct RecordArguments {
    /// Where to: production, staging, and so on
    #[arg(long, value_name = "NAME", value_parser = environment)]
    environment: EnvironmentName,
    /// What came of it: succeeded, failed or rolled_back
    #[arg(long, value_name = "OUTCOME")]
    outcome: DeploymentOutcome,
    /// What was done: deploy or rollback
    #[arg(long, value_name = "KIND", default_value = "deploy")]
    kind: DeploymentKind,
    /// SHA-256 of the program that was deployed; without it that of this program
    #[arg(long, value_name = "DIGEST", value_parser = digest)]
    digest: Option<BuildDigest>,
    /// Its version; without it that of this program
    #[arg(long = "of-version", value_name = "VERSION", default_value = VERSION)]
    version: String,
    /// The commit that it was built from; without it that of this program
    #[arg(long, value_name = "COMMIT", default_value = COMMIT)]
    commit: String,
    /// Why, for whoever reads the register
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    /// Who did it; without it the name of the user of this machine
    #[arg(long = "by", value_name = "NAME")]
    who: Option<String>,
    /// When it was begun, as 2026-11-30T10:00:00Z; without it now
    #[arg(long, value_name = "MOMENT")]
    began: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct ListArguments {
    /// Only of this environment
    #[arg(long, value_name = "NAME", value_parser = environment)]
    environment: Option<EnvironmentName>,
    /// At most so many
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    limit: u32,
    /// The form of the list: text or json
    #[arg(long, value_name = "FORM", default_value = "text", value_parser = ["text", "json"])]
    form: String,
}

fn environment(text: &str) -> Result<EnvironmentName, String> {
    EnvironmentName::parse(text).map_err(|refused| refused.detail)
}

pub(super) fn digest(text: &str) -> Result<BuildDigest, String> {
    BuildDigest::parse(text).map_err(|refused| refused.detail)
}

/// One line, as the register has it.
fn line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(LONGEST).collect()
}

pub(super) async fn run(command: DeployCommand, config: Config) -> Result<Answer, Answer> {
    let app = open(config).await?;
    match command {
        DeployCommand::Record(arguments) => record(&app, arguments).await,
        DeployCommand::List(arguments) => list(&app, arguments).await,
        DeployCommand::Build => build(),
    }
}

/// Which build this program is, a line for each part.
pub(super) fn build() -> Result<Answer, Answer> {
    let digest = digest_of_this_program().map_err(|error| Answer::from(Error::internal(error)))?;
    Ok(Answer::good(format!("version {VERSION}\ncommit {COMMIT}\ndigest {digest}\n")))
}

async fn record(app: &App, told: RecordArguments) -> Result<Answer, Answer> {
    let now = app.clock.now();
    let began_at = match &told.began {
        None => now,
        Some(text) => text.parse::<Timestamp>().map_err(|_| {
            let detail = format!("'{text}' is no moment: write 2026-11-30T10:00:00Z.");
            Answer::from(Error::invalid_field("began", "no_moment", detail))
        })?,
    };
    let digest = match told.digest {
        Some(digest) => digest.to_string(),
        None => digest_of_this_program().map_err(|error| Answer::from(Error::internal(error)))?,
    };
    let entry = Deployment {
        id: app.ids.make(),
        environment: told.environment.as_str().to_owned(),
        version: line(&told.version),
        commit: line(&told.commit),
        digest,
        kind: told.kind,
        outcome: told.outcome,
        reason: line(&told.reason),
        who: line(&told.who.unwrap_or_else(login)),
        began_at: began_at.min(now),
        ended_at: now,
    };
    let said = format!("Recorded: {} of {} to {}: {}.\n", entry.kind, entry.digest, entry.environment, entry.outcome);
    app.store.run(&Call::within(PATIENCE), RecordDeployment(entry)).await?;
    Ok(Answer::good(said))
}

async fn list(app: &App, arguments: ListArguments) -> Result<Answer, Answer> {
    let ListArguments { environment, limit, form } = arguments;
    let environment = environment.map(|name| name.as_str().to_owned());
    let list = ListDeployments { environment, before: None, limit };
    let found = app.store.run(&Call::within(PATIENCE), list).await?;
    let found: Vec<_> = found.into_iter().map(DeploymentBody::from).collect();
    if form == "json" {
        return as_json(&found);
    }
    if found.is_empty() {
        return Ok(Answer::good("Nothing was ever recorded.\n"));
    }
    let (now, is_full) = (app.clock.now(), found.len() >= limit as usize);
    let row = |one: DeploymentBody| {
        let took = span(one.ended_at.since(one.began_at));
        let short: String = one.digest.chars().take(12).collect();
        let at = moment(one.ended_at, now);
        [at, one.environment, one.kind, one.outcome, one.version, short, took, one.who, one.reason]
    };
    let head = ["AT", "ENVIRONMENT", "KIND", "OUTCOME", "VERSION", "DIGEST", "TOOK", "BY", "REASON"];
    let mut text = columns(head, found.into_iter().map(row).collect());
    if is_full {
        text.push_str(&cut(limit));
    }
    Ok(Answer::good(text))
}
