//! The command line: one file for each subcommand.

mod alerts;
mod audit;
mod backup;
pub mod config;
mod deliveries;
mod deploy;
mod experiment;
mod flag;
mod inbox;
mod jobs;
mod keys;
mod load;
mod migrate;
mod ops;
mod person;
mod plan;
mod preflight;
mod restore;
mod serve;
mod smoke;
mod text;
mod token;
mod trail;
mod user;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;

use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use mainstay_domain::Error;
use mainstay_store::{AuditNote, Migrator};

use crate::app::{App, Outside, store_options};
use crate::audit_trail;
use crate::config::{Config, FILE_VARIABLE, environment};
use crate::lifecycle::Lifecycle;

/// Mainstay: the backend of AI products that talk to people.
///
/// Without a command it serves, on http://127.0.0.1:8080 with a SQLite file under ./data.
#[derive(Debug, Parser)]
#[command(name = "mainstay", version, max_term_width = 100)]
pub struct Arguments {
    /// A TOML file with the settings that differ from the defaults; MAINSTAY_CONFIG names one too. `mainstay config docs`
    /// lists all settings.
    #[arg(long, short, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API and the console until told to stop (the default)
    ///
    /// A SQLite file is made and migrated by itself. On PostgreSQL pending migrations stop the start: run `mainstay migrate
    /// up` first, or set database.migrate_on_start. SIGTERM or Ctrl-C drains: no new requests, replies in the making are
    /// finished, for at most lifecycle.drain_seconds. A second signal stops at once. The exit code is 0 after a clean stop.
    Serve,
    /// Show, plan, apply and undo changes to the schema of the database
    #[command(subcommand)]
    Migrate(migrate::MigrateCommand),
    /// Check and show the settings, and print their reference
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Make people, and say who is an operator
    #[command(subcommand)]
    User(user::UserCommand),
    /// Show what plans allow, change it, and say which plan an organisation has
    #[command(subcommand)]
    Plan(plan::PlanCommand),
    /// Say for whom features are on
    ///
    /// See docs/flags.md.
    #[command(subcommand)]
    Flag(flag::FlagCommand),
    /// Make, start and stop experiments, and show what they found
    ///
    /// See docs/flags.md.
    #[command(subcommand)]
    Experiment(experiment::ExperimentCommand),
    /// List, show, cancel and begin anew jobs; pause queues; and prove that jobs are done
    ///
    /// It works on the database of the settings, also while servers run. See docs/jobs.md.
    #[command(subcommand)]
    Jobs(jobs::JobsCommand),
    /// List webhooks that have arrived, show one, cancel one, and process them again
    ///
    /// It works on the database of the settings, also while servers run. See docs/inbox.md.
    #[command(subcommand)]
    Inbox(inbox::InboxCommand),
    /// List what an organisation is told by webhooks, show, cancel and repeat deliveries, and show its endpoints
    ///
    /// It works on the database of the settings, also while servers run. See docs/deliveries.md.
    #[command(subcommand)]
    Deliveries(deliveries::DeliveriesCommand),
    /// Make, rotate, show and retire the keys that secrets are sealed under
    ///
    /// It works on the database of the settings, also while servers run. See docs/operations/keys.md.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Set limits and turn parts off in an emergency, for all servers, while they run
    ///
    /// It works on the database of the settings. See docs/operations/controls.md.
    #[command(subcommand)]
    Ops(ops::OpsCommand),
    /// Show what is wrong and who is told, and try whether messages arrive
    ///
    /// It works on the database of the settings, also while servers run. See docs/operations/observe.md.
    #[command(subcommand)]
    Alerts(alerts::AlertsCommand),
    /// Look whether this installation is ready, and say what is missing and how to mend it
    ///
    /// It measures what runs: the settings, the database, what the server answers. The exit code is 2 when something critical
    /// fails, 1 when the score is less than --least, else 0. See docs/operations/audit.md.
    Audit(audit::AuditArguments),
    /// Make a backup of the whole database, list those that are there, and check one
    ///
    /// It works while servers run, and without one. See docs/operations/backup.md.
    #[command(subcommand)]
    Backup(backup::BackupCommand),
    /// Restore a backup, or try whether one can be restored
    ///
    /// Into an empty database, or in place of a SQLite file that no server uses. See docs/operations/backup.md.
    Restore(restore::RestoreArguments),
    /// Find and export what the database holds of somebody
    ///
    /// See docs/operations/people.md.
    #[command(subcommand)]
    Person(person::PersonCommand),
    /// Show the audit trail, and see whether it holds
    ///
    /// It has who has signed in, and what owners, admins, operators and this command line have changed. See
    /// docs/operations/trail.md.
    #[command(subcommand)]
    Trail(trail::TrailCommand),
    /// Look whether this version may be deployed to this installation, and refuse with reasons
    ///
    /// Run it with the new program and the settings of the installation, before anything is replaced. It changes nothing. The
    /// exit code is 1 when the deployment is refused. See docs/operations/preflight.md.
    Preflight(preflight::PreflightArguments),
    /// Write into the register what was deployed, and list it
    ///
    /// It works on the database of the settings, also while servers run. See docs/operations/deploy.md.
    #[command(subcommand)]
    Deploy(deploy::DeployCommand),
    /// Look from outside whether a server that was just deployed serves, and is the build that it should be
    ///
    /// It needs no settings and no database, only the address. The exit code is 1 when something does not hold. See
    /// docs/operations/deploy.md.
    Smoke(smoke::SmokeArguments),
    /// Print an access token for a person, for trying the API
    ///
    /// It needs no password, only the database. The token works for the person's oldest organisation.
    Token(token::TokenArguments),
    /// Load a server with virtual users, and report what it did
    ///
    /// Users come, send messages, read lists, hold a live socket and sync, then leave. Without --tokens they are made in the
    /// database of the settings, which must be the server's. The exit code is 1 when a threshold is not kept. Ctrl-C ends the
    /// run early and reports it. See docs/load.md.
    Load(load::LoadArguments),
    /// Print the description of the API (OpenAPI, as JSON)
    Openapi,
}

/// What a command says at its end: text for people, and the exit code.
struct Answer {
    text: String,
    code: u8,
}

impl Answer {
    fn good(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: 0 }
    }
}

impl From<Error> for Answer {
    fn from(error: Error) -> Self {
        let mut text = format!("mainstay: {}", error.detail);
        for fault in &error.fields {
            text.push_str(&format!("\n  {}: {}", fault.field, fault.detail));
        }
        let mut cause = error.inside.as_deref().map(|inside| inside as &dyn std::error::Error);
        while let Some(inside) = cause {
            text.push_str(&format!("\n  because: {inside}"));
            cause = inside.source();
        }
        text.push('\n');
        Self { text, code: 1 }
    }
}

impl From<mainstay_store::Error> for Answer {
    fn from(error: mainstay_store::Error) -> Self {
        Self { text: format!("mainstay: {error}\n"), code: 1 }
    }
}

/// Parses the arguments of the process and runs the command that they name.
#[must_use]
pub fn main() -> ExitCode {
    crate::app::install_tls();
    let matches = Arguments::command().get_matches();
    let _ = COMMAND.set(name_of(&matches));
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run(arguments)),
        Err(error) => finish(&Err(Answer::from(Error::internal(error)))),
    }
}

/// Which command this process is: `user operator`.
static COMMAND: OnceLock<String> = OnceLock::new();

fn name_of(matches: &ArgMatches) -> String {
    let (mut words, mut inner) = (Vec::new(), matches);
    while let Some((word, next)) = inner.subcommand() {
        words.push(word);
        inner = next;
    }
    words.join(" ")
}

/// Who has given it, as the machine knows them.
fn login() -> String {
    let names = ["SUDO_USER", "USER", "LOGNAME"];
    names.into_iter().find_map(|name| std::env::var(name).ok()).unwrap_or_else(|| "unknown".to_owned())
}

async fn run(arguments: Arguments) -> ExitCode {
    let file = arguments.config.clone().or_else(|| std::env::var_os(FILE_VARIABLE).map(PathBuf::from));
    let answer = match arguments.command.unwrap_or(Command::Serve) {
        Command::Config(command) => {
            let (text, code) = config::run(command, file.as_deref(), environment());
            if code == 0 { Ok(Answer { text, code }) } else { Err(Answer { text, code }) }
        }
        Command::Smoke(arguments) => smoke::run(arguments).await,
        Command::Deploy(deploy::DeployCommand::Build) => deploy::build(),
        Command::Openapi => Ok(Answer::good(format!("{}\n", crate::openapi::text()))),
        command => match Config::load(file.as_deref(), environment()) {
            Ok(config) => with_config(command, config).await,
            Err(faults) => Err(Answer { text: format!("{faults}\n"), code: 1 }),
        },
    };
    finish(&answer)
}

async fn with_config(command: Command, config: Config) -> Result<Answer, Answer> {
    match command {
        Command::Serve => serve::run(config).await,
        Command::Migrate(command) => migrate::run(command, &config).await,
        Command::User(command) => user::run(command, config).await,
        Command::Plan(command) => plan::run(command, config).await,
        Command::Flag(command) => flag::run(command, config).await,
        Command::Experiment(command) => experiment::run(command, config).await,
        Command::Jobs(command) => jobs::run(command, config).await,
        Command::Inbox(command) => inbox::run(command, config).await,
        Command::Deliveries(command) => deliveries::run(command, config).await,
        Command::Keys(command) => keys::run(command, config).await,
        Command::Ops(command) => ops::run(command, config).await,
        Command::Alerts(command) => alerts::run(command, config).await,
        Command::Audit(arguments) => audit::run(arguments, config).await,
        Command::Backup(command) => backup::run(command, config).await,
        Command::Restore(arguments) => restore::run(arguments, config).await,
        Command::Preflight(arguments) => preflight::run(arguments, config).await,
        Command::Person(command) => person::run(command, config).await,
        Command::Trail(command) => trail::run(command, config).await,
        Command::Deploy(command) => deploy::run(command, config).await,
        Command::Token(arguments) => token::run(arguments, config).await,
        Command::Load(arguments) => load::run(arguments, config).await,
        Command::Config(_) | Command::Openapi | Command::Smoke(_) => Ok(Answer::good("")),
    }
}

/// What was asked for goes to standard output, also a report of what is bad; why there is none goes to standard error.
fn finish(done: &Result<Answer, Answer>) -> ExitCode {
    let (answer, written) = match done {
        Ok(answer) => (answer, io::stdout().lock().write_all(answer.text.as_bytes())),
        Err(answer) => (answer, io::stderr().lock().write_all(answer.text.as_bytes())),
    };
    // Whoever was to read it is gone.
    let _ = written;
    ExitCode::from(answer.code)
}

/// Sees to the schema of the database for a command that works on it.
async fn migrated(config: &Config) -> Result<(), Answer> {
    let options = store_options(&config.database);
    let mut migrator = Migrator::open(&options).await?;
    if migrator.may_serve(config.database.accept_newer_schema).await? {
        return Ok(());
    }
    if options.sqlite_path().is_some() {
        migrator.up(Outside::default().clock.now(), serve::MIGRATION_PATIENCE).await?;
    } else {
        return Err(Answer::from(serve::pending()));
    }
    Ok(())
}

/// What this command is in the audit trail.
fn noted(app: &App) -> AuditNote {
    audit_trail::by_command(app, COMMAND.get().map_or("", String::as_str), &login())
}

/// Opens the parts of the server for a command that works on the database: as `serve` does, but nothing is served.
async fn open(config: Config) -> Result<std::sync::Arc<App>, Answer> {
    migrated(&config).await?;
    let app = App::open(config, Outside::default(), Lifecycle::new()).await?;
    app.store.audited(noted(&app));
    Ok(app)
}
