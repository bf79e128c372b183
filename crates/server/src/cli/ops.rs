//! `mainstay ops`.

use std::time::Duration;

use clap::{Args, Subcommand};
use mainstay_domain::{ControlReason, ControlSpan};
use mainstay_store::{Call, ControlAuthor};

use super::text::{as_json, columns, cut, distance, moment};
use super::{Answer, login, open};
use crate::app::App;
use crate::config::Config;
use crate::controls::service::{self, Setting};
use crate::controls::{ControlBody, ControlChangeBody, ControlNameBody};

/// How long one step may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most characters of what whoever uses the command line is called.
const LONGEST_NAME: usize = 60;

#[derive(Debug, Subcommand)]
pub(super) enum OpsCommand {
    /// Set a control for some time: a limit, or a part to be off
    ///
    /// Servers that run go by it within five seconds. It ends by itself, and can be renewed.
    Set(SetArguments),
    /// List what is set
    List(FormArguments),
    /// Clear a control before its end
    Clear {
        /// Its name
        name: String,
        /// Why, for whoever reads the trail
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: ControlReason,
        #[command(flatten)]
        by: AuthorArguments,
    },
    /// List who set and cleared what, when and why, the last first
    Changes {
        /// At most so many
        #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
        #[command(flatten)]
        form: FormArguments,
    },
    /// List every control that there is, what it takes and what it does
    Names(FormArguments),
}

#[derive(Debug, Args)]
pub(super) struct SetArguments {
    /// Its name: `mainstay ops names` lists them
    name: String,
    /// A whole number, or off
    value: String,
    /// For how long: 90s, 30m, 2h, at most 7d
    #[arg(long = "for", value_name = "SPAN", default_value = "1h", value_parser = span)]
    span: ControlSpan,
    /// Why, for whoever reads the trail
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: ControlReason,
    #[command(flatten)]
    by: AuthorArguments,
}

#[derive(Debug, Args)]
pub(super) struct AuthorArguments {
    /// Who does it, for the trail; without it the name of the user of this machine
    #[arg(long = "by", value_name = "NAME")]
    author: Option<String>,
}

#[derive(Clone, Copy, Debug, Args)]
pub(super) struct FormArguments {
    /// As JSON
    #[arg(long)]
    json: bool,
}

fn span(text: &str) -> Result<ControlSpan, String> {
    ControlSpan::parse(text).map_err(|refused| refused.detail)
}

fn reason(text: &str) -> Result<ControlReason, String> {
    ControlReason::parse(text).map_err(|refused| refused.detail)
}

impl AuthorArguments {
    /// As the trail has it. Who may use the database of the settings may do all of this, so it is taken as it is told.
    fn author(self) -> ControlAuthor {
        let name = self.author.unwrap_or_else(login);
        let name: String = name.chars().filter(|letter| !letter.is_control()).take(LONGEST_NAME).collect();
        ControlAuthor { person: None, name: format!("command line ({})", name.trim()) }
    }
}

fn call() -> Call {
    Call::within(PATIENCE)
}

pub(super) async fn run(command: OpsCommand, config: Config) -> Result<Answer, Answer> {
    let app = open(config).await?;
    match command {
        OpsCommand::Set(arguments) => set(&app, arguments).await,
        OpsCommand::List(form) => list(&app, form).await,
        OpsCommand::Clear { name, reason, by } => {
            service::clear(&app, &call(), by.author(), &name, &reason).await?;
            Ok(Answer::good(format!("{name} is cleared.\n")))
        }
        OpsCommand::Changes { limit, form } => changes(&app, limit, form).await,
        OpsCommand::Names(form) => names(&app, form),
    }
}

async fn set(app: &App, arguments: SetArguments) -> Result<Answer, Answer> {
    let SetArguments { name, value, span, reason, by } = arguments;
    let stored = service::set(app, &call(), by.author(), Setting { name, value, span, reason }).await?;
    let until = moment(stored.expires_at, app.clock.now());
    Ok(Answer::good(format!("{} is {} until {until}.\n", stored.name, stored.value)))
}

async fn list(app: &App, form: FormArguments) -> Result<Answer, Answer> {
    let set: Vec<ControlBody> = service::list(app, &call()).await?.into_iter().map(ControlBody::from).collect();
    if form.json {
        return as_json(&set);
    }
    if set.is_empty() {
        return Ok(Answer::good("Nothing is set.\n"));
    }
    let now = app.clock.now();
    let row = |one: ControlBody| {
        [one.name, one.value, distance(one.expires_at, now), distance(one.since, now), one.author, one.reason]
    };
    let head = ["NAME", "VALUE", "ENDS", "SINCE", "BY", "REASON"];
    Ok(Answer::good(columns(head, set.into_iter().map(row).collect())))
}

async fn changes(app: &App, limit: u32, form: FormArguments) -> Result<Answer, Answer> {
    let found = service::changes(app, &call(), None, limit).await?;
    let found: Vec<ControlChangeBody> = found.into_iter().map(ControlChangeBody::from).collect();
    if form.json {
        return as_json(&found);
    }
    if found.is_empty() {
        return Ok(Answer::good("Nothing was ever set.\n"));
    }
    let is_full = found.len() >= limit as usize;
    let or = |value: Option<String>, other: &str| value.unwrap_or_else(|| other.to_owned());
    let row = |one: ControlChangeBody| {
        let until = one.expires_at.map(|at| at.to_string());
        let (old, new) = (or(one.old_value, "not set"), or(one.new_value, "cleared"));
        [one.at.to_string(), one.name, old, new, or(until, ""), one.author, one.reason]
    };
    let head = ["AT", "NAME", "FROM", "TO", "UNTIL", "BY", "REASON"];
    let mut text = columns(head, found.into_iter().map(row).collect());
    if is_full {
        text.push_str(&cut(limit));
    }
    Ok(Answer::good(text))
}

fn names(app: &App, form: FormArguments) -> Result<Answer, Answer> {
    let all = app.controls.catalogue().all();
    if form.json {
        return as_json(&all.iter().map(ControlNameBody::from).collect::<Vec<_>>());
    }
    let rows = all.iter().map(|control| [control.name(), control.values().to_string(), control.about()]);
    Ok(Answer::good(columns(["NAME", "VALUES", "WHAT IT DOES"], rows.collect())))
}
