//! `mainstay migrate`.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Subcommand;
use mainstay_store::{Applied, Migrator, Planned, Step, StepState};

use super::Answer;
use crate::app::{Outside, store_options};
use crate::config::Config;

#[derive(Debug, Subcommand)]
pub(super) enum MigrateCommand {
    /// List all migrations and where each stands
    Status,
    /// Show what `up` would do, and change nothing
    ///
    /// Prints the statements, what each locks, what is risky about it, and how long a rehearsal took. The rehearsal runs on
    /// a copy of the file (SQLite) or in a transaction that is rolled back (PostgreSQL), where it takes the same locks.
    Plan,
    /// Apply what is pending
    ///
    /// One node does it; another that tries meanwhile waits. Each migration is one transaction, so that one that fails leaves
    /// nothing behind; those before it stay. On PostgreSQL the login needs the right to create roles for the first one.
    Up {
        /// How long to wait for another node that is migrating
        #[arg(long, default_value_t = 60, value_name = "SECONDS")]
        wait: u64,
    },
    /// Undo migrations, the newest first: what they added is lost
    ///
    /// Take a backup before. Without --yes it only says what it would do.
    Down {
        /// The newest version that stays; 0 undoes everything
        #[arg(long, value_name = "VERSION")]
        to: i64,
        /// Do it
        #[arg(long)]
        yes: bool,
        /// How long to wait for another node that is migrating
        #[arg(long, default_value_t = 60, value_name = "SECONDS")]
        wait: u64,
    },
}

pub(super) async fn run(command: MigrateCommand, config: &Config) -> Result<Answer, Answer> {
    let mut migrator = Migrator::open(&store_options(&config.database)).await?;
    match command {
        MigrateCommand::Status => Ok(Answer::good(status(&migrator.status().await?))),
        MigrateCommand::Plan => Ok(Answer::good(plan(&migrator.plan().await?))),
        MigrateCommand::Up { wait } => {
            let done = migrator.up(Outside::default().clock.now(), Duration::from_secs(wait)).await?;
            Ok(Answer::good(done_text("applied", &done)))
        }
        MigrateCommand::Down { yes: false, to, .. } => {
            let text = format!(
                "mainstay: this undoes every migration above {to}, and what they added is lost. Add --yes to do it.\n"
            );
            Err(Answer { text, code: 1 })
        }
        MigrateCommand::Down { to, wait, yes: true } => {
            let done = migrator.down(to, Duration::from_secs(wait)).await?;
            Ok(Answer::good(done_text("undone", &done)))
        }
    }
}

fn status(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        let state = match &step.state {
            StepState::Pending => "pending".to_owned(),
            StepState::Unfinished(done) => format!("unfinished after {done} statements: run `mainstay migrate up`"),
            StepState::Applied(at, took) => format!("applied {at}, took {took} ms"),
            StepState::Changed => "CHANGED: applied from another text than this program has".to_owned(),
            StepState::Unknown => "UNKNOWN: this program is older than the schema".to_owned(),
        };
        let _ = writeln!(text, "{:04}  {:<20} {state}", step.version, step.description);
    }
    text
}

fn plan(planned: &[Planned]) -> String {
    if planned.is_empty() {
        return "Nothing is pending.\n".to_owned();
    }
    let mut text = String::new();
    for step in planned {
        let _ = writeln!(text, "-- {:04} {}", step.version, step.description);
        for statement in &step.statements {
            let _ = writeln!(text, "\n{};\n--   locks: {}", statement.sql, statement.locks);
            if let Some(risk) = statement.risk {
                let _ = writeln!(text, "--   RISK: {risk}");
            }
        }
        let rehearsed = match step.rehearsed {
            Some(took) => format!("rehearsed in {} ms; nothing was changed", took.as_millis()),
            None => "not rehearsed: it cannot run in a transaction".to_owned(),
        };
        let _ = writeln!(text, "\n-- {rehearsed}\n");
    }
    text
}

fn done_text(verb: &str, done: &[Applied]) -> String {
    if done.is_empty() {
        return "Nothing was to be done.\n".to_owned();
    }
    let mut text = String::new();
    for step in done {
        let _ = writeln!(text, "{verb} {:04} {} in {} ms", step.version, step.description, step.took.as_millis());
    }
    text
}
