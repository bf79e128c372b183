//! `mainstay alerts`.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Subcommand;
use mainstay_store::{Call, ReadAlertReceipts, ReadOpenAlerts};

use super::{Answer, open};
use crate::config::Config;
use crate::ops::alerts::api::test_all;
use crate::ops::alerts::rules::rule;

/// How long reading may take.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Subcommand)]
pub(super) enum AlertsCommand {
    /// Show what is wrong now, and what the receivers of messages did last
    List,
    /// Send a test message to each receiver, and say whether it was taken
    ///
    /// The exit code is 1 when one did not take it, or when there is none.
    Test,
}

pub(super) async fn run(command: AlertsCommand, config: Config) -> Result<Answer, Answer> {
    let app = open(config).await?;
    match command {
        AlertsCommand::List => {
            let alerts = app.store.run(&Call::within(PATIENCE), ReadOpenAlerts).await?;
            let receipts = app.store.run(&Call::within(PATIENCE), ReadAlertReceipts).await?;
            let mut text = String::new();
            for alert in alerts.iter().filter(|alert| alert.ended_at.is_none()) {
                let (title, unit) = rule(&alert.rule).map_or((alert.rule.as_str(), ""), |rule| (rule.title, rule.unit));
                let state = if alert.fired_at.is_some() { "wrong" } else { "pending" };
                let _ = writeln!(
                    text,
                    "{state}  {title}  {}\n  {:.1} {unit} (allowed are {}), since {}",
                    alert.subject, alert.value, alert.threshold, alert.began_at
                );
            }
            if text.is_empty() {
                text.push_str("Nothing is wrong.\n");
            }
            for receipt in receipts {
                let at = |at: Option<mainstay_domain::Timestamp>| at.map_or("never".to_owned(), |at| at.to_string());
                let _ = writeln!(
                    text,
                    "{}: took a message {}, a test {}",
                    receipt.receiver,
                    at(receipt.accepted_at),
                    at(receipt.tested_at)
                );
                if receipt.failed_at > receipt.accepted_at {
                    let _ = writeln!(text, "  its last answer, {}: {}", at(receipt.failed_at), receipt.failure);
                }
            }
            Ok(Answer::good(text))
        }
        AlertsCommand::Test => {
            let tested = test_all(&app).await;
            if tested.is_empty() {
                let text = "Nobody is told of alerts: set alerts.slack_url or alerts.webhook_url.\n";
                return Ok(Answer { text: text.to_owned(), code: 1 });
            }
            let mut text = String::new();
            for one in &tested {
                let what = if one.accepted {
                    "took the test message".to_owned()
                } else {
                    format!("did not take it: {}", one.failure)
                };
                let _ = writeln!(text, "{} {what}", one.name);
            }
            Ok(Answer { text, code: u8::from(tested.iter().any(|one| !one.accepted)) })
        }
    }
}
