//! `mainstay audit`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use mainstay_domain::Timestamp;
use mainstay_store::{Call, ReadAudits};

use super::{Answer, open};
use crate::app::{App, Service};
use crate::config::Config;
use crate::ops::audit::render::{Earlier, Form, render};
use crate::ops::audit::{self, Check, Live, Mode, Profile, Subject, list, service};

/// How long remembering may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many earlier audits are looked through.
const LOOKED_THROUGH: u32 = 400;

#[derive(Debug, Args)]
pub(super) struct AuditArguments {
    /// What the installation is for: laptop, server or cluster; without it the settings tell
    #[arg(long)]
    profile: Option<Profile>,
    /// The address of the server to look at; without it the one of the settings on this machine
    #[arg(long, value_name = "ADDRESS")]
    url: Option<String>,
    /// Also act as a stranger: nothing that belongs to anybody is touched
    #[arg(long)]
    active: bool,
    /// Also restore the newest backup into a scratch copy, start a server on it, and see that damage is refused
    #[arg(long)]
    drill: bool,
    /// Only these checks, or those of a group
    #[arg(long, value_name = "ID", num_args = 1..)]
    only: Vec<String>,
    /// The form of the report: text, json, html or junit
    #[arg(long, value_name = "FORM", default_value = "text")]
    form: Form,
    /// Write the report to a file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The exit code is 1 when the score is less than this
    #[arg(long, value_name = "SCORE", default_value_t = 95, value_parser = clap::value_parser!(u8).range(0..=100))]
    least: u8,
    /// Compare with the audit that was the last one so many days ago; without it with the last one
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3_650))]
    since: Option<u32>,
    /// List all checks and what they want, and look at nothing
    #[arg(long)]
    list: bool,
}

pub(super) async fn run(arguments: AuditArguments, config: Config) -> Result<Answer, Answer> {
    if arguments.list {
        return Ok(Answer::good(listing()));
    }
    let mode = match (arguments.active, arguments.drill) {
        (_, true) => Mode::Drill,
        (true, false) => Mode::Active,
        (false, false) => Mode::Passive,
    };
    // A check that is named is wanted, however far it goes.
    let mode = if arguments.only.is_empty() { mode } else { mode.max(furthest(&arguments.only)) };
    let checks = audit::choose(mode, &arguments.only)
        .map_err(|detail| Answer { text: format!("mainstay: {detail}\n"), code: 64 })?;
    let profile = arguments.profile.unwrap_or_else(|| Profile::of(&config));
    let live = match &arguments.url {
        Some(address) => Live::new(address)?,
        None => Live::local(&config.http, config.http.port)?,
    };
    let app = open(config).await?;
    let table = Service::new(&app)?.table;
    let subject = Subject { app: Arc::clone(&app), live, profile, table };
    let report = audit::run(&subject, &checks).await;
    let before = earlier(&app, arguments.since).await?;
    if arguments.only.is_empty() {
        service::remember(&app, &report).await?;
    }
    let text = render(&report, before.as_ref(), arguments.form)?;
    let code = report.exit_code(f64::from(arguments.least));
    match arguments.out {
        None => Ok(Answer { text, code }),
        Some(file) => {
            std::fs::write(&file, text).map_err(|error| Answer {
                text: format!("mainstay: {} cannot be written: {error}\n", file.display()),
                code: 74,
            })?;
            Ok(Answer { text: format!("Score {} of 100; the report is in {}.\n", report.score, file.display()), code })
        }
    }
}

/// Those that are named by their own id go as far as they must.
fn furthest(only: &[String]) -> Mode {
    let named = list::ALL.iter().filter(|check| only.iter().any(|name| check.id == name));
    named.map(|check| check.mode).max().unwrap_or(Mode::Passive)
}

fn listing() -> String {
    let mut text = String::new();
    for check in list::ALL.iter() {
        let Check { id, severity, title, threshold, mode, from, .. } = check;
        let how = match mode {
            Mode::Passive => "",
            Mode::Active => ", --active",
            Mode::Drill => ", --drill",
        };
        let _ = writeln!(text, "{id}  ({}, from {}{how})\n  {title}\n  {threshold}\n", severity.word(), from.word());
    }
    for profile in Profile::ALL {
        let (passive, all) = (list::asked_of(profile, Mode::Passive), list::asked_of(profile, Mode::Drill));
        let _ =
            writeln!(text, "A {} is asked for {passive} checks, and {all} with all that go further.", profile.word());
    }
    text
}

/// The audit to compare with; nothing when there is none, or none that can be read any more.
async fn earlier(app: &App, since: Option<u32>) -> Result<Option<Earlier>, Answer> {
    let limit = if since.is_some() { LOOKED_THROUGH } else { 1 };
    let runs = app.store.run(&Call::within(PATIENCE), ReadAudits { before: None, limit }).await?;
    let until: Option<Timestamp> =
        since.map(|days| app.clock.now().minus(Duration::from_secs(u64::from(days) * 86_400)));
    let run = runs.into_iter().find(|run| until.is_none_or(|until| run.at <= until));
    Ok(run.and_then(|run| serde_json::from_str(&run.report).ok()))
}
