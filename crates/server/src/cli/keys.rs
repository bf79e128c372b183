//! `mainstay keys`.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Subcommand;
use mainstay_domain::{Error, Ids, KeyVersion, Kind};
use prometheus_client::registry::Registry;
use tokio::time::{Instant, sleep};

use super::{Answer, migrated};
use crate::app::{Outside, open_store};
use crate::config::Config;
use crate::keys::Keys;
use crate::keys::service::Status;
use crate::lifecycle::Lifecycle;

/// How often it is looked how far a rotation is.
const LOOKS_EVERY: Duration = Duration::from_millis(500);

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Make a new key and put it into the folder of keys; nothing is sealed with it yet
    ///
    /// Servers that share the folder have it within 5 s, without a restart. To others copy the file.
    Add {
        /// Keep it nowhere and print it, for keys.ring: NUMBER:KEY
        #[arg(long)]
        print: bool,
    },
    /// Let a key seal from now on, and seal everything anew while the servers serve
    ///
    /// A job does it in bites; it goes on after a restart. Run it again to seal what is left.
    Rotate {
        /// Which key; without it, the newest that was added
        #[arg(long, value_name = "NUMBER")]
        to: Option<KeyVersion>,
        /// Wait until everything is sealed anew, at most so long
        #[arg(long, value_name = "SECONDS")]
        wait: Option<u64>,
    },
    /// Show all keys, how many rows and which backups need each, and what a rotation has left to do
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Retire a key: only when no row and no kept backup needs it
    ///
    /// Its file can be deleted afterwards.
    Retire {
        /// Which key
        #[arg(value_name = "NUMBER")]
        key: KeyVersion,
        /// Nobody has it any more: servers start without it, and what is sealed under it has to be set anew
        #[arg(long)]
        lost: bool,
    },
}

pub(super) async fn run(command: KeysCommand, config: Config) -> Result<Answer, Answer> {
    migrated(&config).await?;
    let (outside, lifecycle) = (Outside::default(), Lifecycle::new());
    let store = open_store(&config.database, &outside.entropy, &lifecycle).await?;
    let ids = Ids::new(std::sync::Arc::clone(&outside.clock), std::sync::Arc::clone(&outside.entropy));
    let keys = Keys::new(&config, &store, &outside, ids.make(), &mut Registry::default());
    match command {
        KeysCommand::Add { print: true } => {
            let (version, key) = keys.draft().await?;
            Ok(Answer::good(format!("{version}:{}\n", key.expose())))
        }
        KeysCommand::Add { print: false } => {
            let version = keys.add().await?;
            let folder = keys.folder().map(|folder| folder.display().to_string()).unwrap_or_default();
            Ok(Answer::good(format!(
                "Key {version} is in {folder}. Keep a copy of it where the database's backups are not, give it to all nodes, and \
                 go on with `mainstay keys rotate`.\n"
            )))
        }
        KeysCommand::Rotate { to, wait } => {
            let version = keys.rotate(to, ids.make()).await?;
            let text = format!(
                "Key {version} seals. Everything else is being sealed anew; `mainstay keys status` shows how far it is.\n"
            );
            match wait {
                None => Ok(Answer::good(text)),
                Some(seconds) => until_rotated(&keys, version, Duration::from_secs(seconds)).await,
            }
        }
        KeysCommand::Status { json } => {
            let status = keys.status().await?;
            if json {
                return Ok(Answer::good(serde_json::to_string_pretty(&status).map_err(Error::internal)? + "\n"));
            }
            Ok(Answer::good(table(&status)))
        }
        KeysCommand::Retire { key, lost: true } => {
            keys.lose(key).await?;
            Ok(Answer::good(format!("Key {key} counts as lost. What is sealed under it has to be set anew.\n")))
        }
        KeysCommand::Retire { key, lost: false } => {
            keys.retire(key).await?;
            Ok(Answer::good(format!("Key {key} is retired: nothing needs it. Its file can be deleted.\n")))
        }
    }
}

async fn until_rotated(keys: &Keys, version: KeyVersion, within: Duration) -> Result<Answer, Answer> {
    let end = Instant::now() + within;
    loop {
        let status = keys.status().await?;
        if status.left == 0 && status.not_sealed == 0 {
            return Ok(Answer::good(format!("Everything is sealed under key {version}.\n")));
        }
        if Instant::now() >= end {
            let detail = format!(
                "{} rows are left after {} s. A server has to run and work on jobs; `mainstay jobs list --kind key_rotation` shows \
                 how that goes.",
                status.left,
                within.as_secs()
            );
            return Err(Answer::from(Error::new(Kind::Timeout, "not_rotated", detail)));
        }
        sleep(LOOKS_EVERY).await;
    }
}

fn table(status: &Status) -> String {
    let mut text = String::new();
    for key in &status.keys {
        let here = if key.here { "" } else { "  not here" };
        let rows: u64 = key.rows.values().map(|rows| u64::from(*rows)).sum();
        let _ = writeln!(text, "key {:<4} {:<9} made {}  {rows} rows{here}", key.version, key.state, key.created_at);
        for (column, rows) in key.rows.iter().filter(|(_, rows)| **rows > 0) {
            let _ = writeln!(text, "  {rows:>9}  {column}");
        }
        for backup in &key.backups {
            let _ = writeln!(text, "  needed by {backup}");
        }
        for holder in &key.missing_on {
            let _ = writeln!(text, "  missing on {holder}");
        }
    }
    if status.keys.is_empty() {
        text.push_str("There is no key yet: the first start makes one.\n");
    }
    if status.not_sealed > 0 {
        let _ = writeln!(text, "{} rows are not sealed; the next start, or a rotation, seals them.", status.not_sealed);
    }
    if status.left > 0 {
        let least = if status.at_least { "At least " } else { "" };
        let _ = writeln!(text, "{least}{} rows are left to be sealed anew.", status.left);
    }
    text
}
