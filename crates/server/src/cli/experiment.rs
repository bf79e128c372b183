//! `mainstay experiment`.

use std::fmt::Write as _;
use std::time::Duration;

use clap::{Args, Subcommand};
use mainstay_domain::{
    Error, EventName, Experiment, ExperimentState, FlagKey, Kind, Measure, Share, Unit, Variant, VariantName,
};
use mainstay_store::{Call, ExperimentStep, MOST_EXPERIMENTS, MoveExperiment, Put, PutExperiment, StoredExperiment};

use super::flag::{definitions, key, missing, refuse, share};
use super::{Answer, open};
use crate::app::App;
use crate::config::Config;

/// How long one step may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long adding up may take.
const ADDING_UP: Duration = Duration::from_secs(120);

#[derive(Debug, Subcommand)]
pub(super) enum ExperimentCommand {
    /// List all experiments
    List,
    /// Make an experiment, or change one that has not been started
    Create(CreateArguments),
    /// Start an experiment; from here on nothing about it changes
    Start {
        /// Its key
        #[arg(value_parser = key)]
        key: FlagKey,
    },
    /// Stop an experiment; what it found stays for flags.keep_stopped_days
    Stop {
        /// Its key
        #[arg(value_parser = key)]
        key: FlagKey,
        /// The variant that everybody gets from now on; without it nobody gets one
        #[arg(long, value_name = "VARIANT", value_parser = variant_name)]
        winner: Option<VariantName>,
    },
    /// Remove an experiment that does not run, and erase what it found
    Remove {
        /// Its key
        #[arg(value_parser = key)]
        key: FlagKey,
    },
    /// Show what an experiment has found, with confidence intervals
    Results {
        /// Its key
        #[arg(value_parser = key)]
        key: FlagKey,
        /// As JSON
        #[arg(long, conflicts_with = "html")]
        json: bool,
        /// As a page of HTML
        #[arg(long)]
        html: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct CreateArguments {
    /// What it is asked for by: lower case letters, digits, _, - and .
    #[arg(value_parser = key)]
    key: FlagKey,
    /// A variant and its weight, such as control=1; stands 2 to 8 times. The others are compared with the first
    #[arg(long = "variant", value_name = "NAME=WEIGHT", value_parser = variant, required = true)]
    variants: Vec<Variant>,
    /// The event that counts
    #[arg(long, value_name = "EVENT", value_parser = event_name)]
    metric: EventName,
    /// What of it is compared: conversion (units with the event) or mean (of the sums of its values)
    #[arg(long, value_name = "MEASURE", default_value_t = Measure::Conversion)]
    measure: Measure,
    /// What is assigned: person or organisation
    #[arg(long, value_name = "UNIT", default_value_t = Unit::Person)]
    of: Unit,
    /// How many per cent take part
    #[arg(long, value_name = "NUMBER", value_parser = share, default_value = "100")]
    traffic: Share,
    /// What it is for
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    description: String,
}

fn variant_name(text: &str) -> Result<VariantName, String> {
    VariantName::parse(text).map_err(|refused| refused.detail)
}

fn event_name(text: &str) -> Result<EventName, String> {
    EventName::parse(text).map_err(|refused| refused.detail)
}

fn variant(text: &str) -> Result<Variant, String> {
    let (name, weight) = text.split_once('=').ok_or("Give a name and a weight, such as control=1.")?;
    let weight = weight.parse().map_err(|_| "A weight is a whole number from 1 to 10000.")?;
    Ok(Variant { name: variant_name(name)?, weight })
}

pub(super) async fn run(command: ExperimentCommand, config: Config) -> Result<Answer, Answer> {
    let app = open(config).await?;
    match command {
        ExperimentCommand::List => list(&app).await,
        ExperimentCommand::Create(arguments) => create(&app, arguments).await,
        ExperimentCommand::Start { key } => step(&app, &key, ExperimentStep::Start, "runs").await,
        ExperimentCommand::Stop { key, winner } => stop(&app, &key, winner).await,
        ExperimentCommand::Remove { key } => step(&app, &key, ExperimentStep::Remove, "is removed").await,
        ExperimentCommand::Results { key, json, html } => {
            let stored = find(&app, &key).await?;
            let results = app.flags.results(&Call::within(ADDING_UP), &stored, app.clock.now()).await?;
            let text = match (json, html) {
                (true, _) => serde_json::to_string_pretty(&results).map_err(Error::internal)? + "\n",
                (_, true) => results.to_html(&stored),
                _ => results.to_text(&stored),
            };
            Ok(Answer::good(text))
        }
    }
}

async fn find(app: &App, key: &FlagKey) -> Result<StoredExperiment, Answer> {
    let found = definitions(app).await?.experiments.into_iter().find(|stored| stored.key == *key);
    found.ok_or_else(|| missing("experiment", key))
}

async fn list(app: &App) -> Result<Answer, Answer> {
    let mut text = String::new();
    for stored in definitions(app).await?.experiments {
        let experiment = &stored.experiment;
        let variants: Vec<_> = experiment.variants.iter().map(|one| format!("{}={}", one.name, one.weight)).collect();
        let winner = stored.winner.as_ref().map(|winner| format!(", {winner} for everybody")).unwrap_or_default();
        let _ = writeln!(
            text,
            "{:<32} {}{winner}, {} of {}s, {}, {} of {}  {}",
            stored.key.as_str(),
            stored.state,
            experiment.traffic,
            experiment.unit,
            variants.join(" "),
            experiment.measure,
            experiment.metric,
            experiment.description
        );
    }
    Ok(Answer::good(if text.is_empty() { "There are no experiments.\n".to_owned() } else { text }))
}

async fn create(app: &App, arguments: CreateArguments) -> Result<Answer, Answer> {
    let CreateArguments { key, variants, metric, measure, of, traffic, description } = arguments;
    let experiment = Experiment { description, unit: of, traffic, variants, metric, measure };
    refuse(experiment.faults())?;
    let put = PutExperiment { id: app.ids.make(), key: key.clone(), experiment, now: app.clock.now() };
    match app.store.run(&Call::within(PATIENCE), put).await? {
        Put::Done => Ok(Answer::good(format!("{key} is a draft. Start it with: mainstay experiment start {key}\n"))),
        Put::TooMany => {
            let detail = format!("There are {MOST_EXPERIMENTS} experiments, the most there may be. Remove an old one.");
            Err(Error::new(Kind::Conflict, "too_many", detail).into())
        }
        Put::NotDraft => {
            let detail = format!("{key} has been started, and is not changed any more. Stop it and make another one.");
            Err(Error::new(Kind::Conflict, "not_draft", detail).into())
        }
    }
}

async fn stop(app: &App, key: &FlagKey, winner: Option<VariantName>) -> Result<Answer, Answer> {
    if let Some(winner) = &winner
        && !find(app, key).await?.experiment.variants.iter().any(|variant| variant.name == *winner)
    {
        let detail = format!("{key} has no variant {winner}.");
        return Err(Error::invalid_field("--winner", "unknown", detail).into());
    }
    step(app, key, ExperimentStep::Stop { winner }, "is stopped").await
}

async fn step(app: &App, key: &FlagKey, step: ExperimentStep, done: &str) -> Result<Answer, Answer> {
    let moving = MoveExperiment { key: key.clone(), step, now: app.clock.now() };
    if app.store.run(&Call::within(PATIENCE), moving.clone()).await? {
        return Ok(Answer::good(format!("{key} {done}.\n")));
    }
    let state = find(app, key).await?.state;
    let cure = match (&moving.step, state) {
        (ExperimentStep::Start, ExperimentState::Stopped) => "it was stopped, and is not started again",
        (ExperimentStep::Start, _) => "it runs already",
        (ExperimentStep::Stop { .. }, _) => "it was not started",
        (ExperimentStep::Remove, _) => "it runs: stop it first",
    };
    Err(Error::new(Kind::Conflict, "wrong_state", format!("{key}: {cure}.")).into())
}
