//! What people are told: one message for all that is new, in the form of each receiver.

use std::fmt::Write as _;

use mainstay_domain::Timestamp;
use mainstay_store::Alert;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::judge::Judged;
use super::rules::{rule, text};

/// The most alerts that a message names; it says how many more there are.
const MOST_NAMED: usize = 20;
/// The longest text of one part of a message for Slack, in characters (docs.slack.dev/reference/block-kit/blocks/section-block).
const LONGEST_PART: usize = 2_900;

/// One alert in a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// The name of the rule.
    pub rule: String,
    /// What is wrong.
    pub title: String,
    /// What it is about; empty for the installation.
    pub subject: String,
    /// What was measured, with its unit.
    pub measured: String,
    /// What is allowed.
    pub allowed: String,
    /// What it mostly comes from.
    pub cause: String,
    /// What to do first.
    pub step: String,
    /// Where to look.
    pub link: String,
    /// Since when.
    pub since: Timestamp,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// When it was written.
    pub at: Timestamp,
    /// Which installation it is about: its address.
    pub installation: String,
    /// True for one that only shows that messages arrive.
    pub test: bool,
    /// What has gone wrong.
    pub fired: Vec<Item>,
    /// What is still wrong.
    pub lasting: Vec<Item>,
    /// What is well again.
    pub over: Vec<Item>,
    /// How many alerts are not named for want of room.
    pub unnamed: usize,
}

fn number(value: f64) -> String {
    let rounded = (value * 10.0).round() / 10.0;
    format!("{rounded}")
}

fn item(alert: &Alert, installation: &str) -> Item {
    let rule = rule(&alert.rule);
    let text = |of| text(&alert.rule, of);
    Item {
        rule: alert.rule.clone(),
        title: rule.map_or(alert.rule.as_str(), |rule| rule.title).to_owned(),
        subject: alert.subject.clone(),
        measured: format!("{} {}", number(alert.value), text(|rule| rule.unit)).trim_end().to_owned(),
        allowed: number(alert.threshold),
        cause: text(|rule| rule.cause),
        step: text(|rule| rule.step),
        link: format!("{installation}{}", rule.map_or("/system", |rule| rule.page)),
        since: alert.began_at,
    }
}

impl Message {
    /// Of what was judged.
    #[must_use]
    pub fn of(judged: &Judged, installation: &str, now: Timestamp) -> Self {
        let mut room = MOST_NAMED;
        let mut unnamed = 0;
        let mut items = |alerts: &[Alert]| {
            let named = alerts.len().min(room);
            room -= named;
            unnamed += alerts.len() - named;
            alerts.iter().take(named).map(|alert| item(alert, installation)).collect()
        };
        let (fired, lasting, over) = (items(&judged.fired), items(&judged.lasting), items(&judged.over));
        Self { at: now, installation: installation.to_owned(), test: false, fired, lasting, over, unnamed }
    }

    /// One that only shows that messages arrive.
    #[must_use]
    pub fn test(installation: &str, now: Timestamp) -> Self {
        let none = Vec::new;
        Self {
            at: now,
            installation: installation.to_owned(),
            test: true,
            fired: none(),
            lasting: none(),
            over: none(),
            unnamed: 0,
        }
    }

    /// In one line: what a phone shows.
    #[must_use]
    pub fn summary(&self) -> String {
        let count = |items: &[Item], word: &str| match items {
            [] => None,
            [one] if one.subject.is_empty() => Some(format!("{word}: {}", one.title)),
            [one] => Some(format!("{word}: {} ({})", one.title, one.subject)),
            many => Some(format!("{word}: {} alerts", many.len())),
        };
        if self.test {
            return format!("Mainstay at {}: this is a test. Nothing is wrong.", self.installation);
        }
        let parts = [count(&self.fired, "wrong"), count(&self.lasting, "still wrong"), count(&self.over, "well again")];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        format!("Mainstay at {}: {}", self.installation, parts.join("; "))
    }

    /// For an incoming webhook of Slack (docs.slack.dev/messaging/sending-messages-using-incoming-webhooks).
    #[must_use]
    pub fn for_slack(&self) -> Value {
        let mut blocks = vec![section(&format!("*{}*", escaped(&self.summary())))];
        let groups = [("Wrong", &self.fired), ("Still wrong", &self.lasting)];
        for (word, items) in groups {
            blocks.extend(items.iter().map(|item| section(&wrong(word, item))));
        }
        if !self.over.is_empty() {
            let lines: Vec<String> = self.over.iter().map(well).collect();
            blocks.push(section(&lines.join("\n")));
        }
        if self.unnamed > 0 {
            let link = format!("<{}/system|the page of the system>", self.installation);
            blocks.push(section(&format!("And {} more: see {link}.", self.unnamed)));
        }
        json!({ "text": self.summary(), "blocks": blocks })
    }

    /// For a receiver of any kind.
    #[must_use]
    pub fn for_webhook(&self) -> Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        value["type"] = json!("mainstay.alerts");
        value["summary"] = json!(self.summary());
        value
    }
}

fn section(text: &str) -> Value {
    let text: String = text.chars().take(LONGEST_PART).collect();
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } })
}

/// What Slack would read as its own signs (docs.slack.dev/messaging/formatting-message-text#escaping).
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn about(item: &Item) -> String {
    if item.subject.is_empty() { String::new() } else { format!(" ({})", escaped(&item.subject)) }
}

fn wrong(word: &str, item: &Item) -> String {
    let Item { title, measured, allowed, cause, step, link, since, .. } = item;
    let mut text = format!("*{word}: {}*{}\n", escaped(title), about(item));
    let _ = writeln!(text, "{}, allowed are {}; since {since}", escaped(measured), escaped(allowed));
    let _ = writeln!(text, "*Cause:* {}\n*Step:* {}", escaped(cause), escaped(step));
    let _ = write!(text, "<{link}|Look here>");
    text
}

fn well(item: &Item) -> String {
    format!("*Well again: {}*{} (it was wrong since {})", escaped(&item.title), about(item), item.since)
}
