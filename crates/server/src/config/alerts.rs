//! The section `[alerts]`.

use std::time::Duration;

use mainstay_domain::Secret;
use serde::{Deserialize, Serialize};

use super::fault::{Fault, Warning};
use super::rules;
use super::schema::Bound;

pub(super) const BOUNDS: &[Bound] = &[
    ("alerts.every_seconds", 1, 300),
    ("alerts.after_seconds", 0, 3_600),
    ("alerts.calm_seconds", 0, 3_600),
    ("alerts.group_seconds", 0, 600),
    ("alerts.repeat_hours", 1, 168),
    ("alerts.error_percent", 0, 100),
    ("alerts.refused_percent", 0, 100),
    ("alerts.slow_ms", 1, 60_000),
    ("alerts.pool_percent", 1, 100),
    ("alerts.processor_percent", 1, 100),
    ("alerts.memory_percent", 1, 100),
    ("alerts.disk_percent", 1, 100),
    ("alerts.files_percent", 1, 100),
    ("alerts.connections_percent", 1, 100),
    ("alerts.dead_jobs", 0, 100_000),
    ("alerts.audit_points", 0, 100),
    ("alerts.backup_hours", 1, 8_760),
    ("alerts.certificate_percent", 1, 100),
    ("alerts.silent_seconds", 30, 290),
];

/// Telling people of what is wrong.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Alerts {
    /// Whether this node may judge, and tell of what is wrong.
    pub enabled: bool,
    /// The address of an incoming webhook of Slack.
    pub slack_url: Secret,
    /// A file that holds the address.
    pub slack_url_file: String,
    /// An address that is sent each message as JSON.
    pub webhook_url: Secret,
    /// A file that holds the address.
    pub webhook_url_file: String,
    /// How often it is judged, in seconds.
    pub every_seconds: u64,
    /// For how long something must be wrong until it is told, in seconds.
    pub after_seconds: u64,
    /// For how long it must be well again until it is over, in seconds.
    pub calm_seconds: u64,
    /// For how long what is wrong is gathered into one message, in seconds.
    pub group_seconds: u64,
    /// After how many hours it is told again of what is still wrong.
    pub repeat_hours: u64,
    /// How many of a hundred answers may fail.
    pub error_percent: u32,
    /// How many of a hundred requests may be refused.
    pub refused_percent: u32,
    /// How long 95 of a hundred answers may take, in milliseconds.
    pub slow_ms: u32,
    /// How far the connections to the database may be used.
    pub pool_percent: u32,
    /// How far the processors may be used.
    pub processor_percent: u32,
    /// How far the memory may be used.
    pub memory_percent: u32,
    /// How far the disk may be used.
    pub disk_percent: u32,
    /// How many of the open files that the system allows there may be.
    pub files_percent: u32,
    /// How many of the connections that are let in there may be.
    pub connections_percent: u32,
    /// How many jobs that were given up may be kept.
    pub dead_jobs: u32,
    /// By how many points an audit may be worse than the one before.
    pub audit_points: u32,
    /// How old the newest backup may be, in hours.
    pub backup_hours: u32,
    /// How much of the life of the server's own certificate may be over, in per cent.
    pub certificate_percent: u32,
    /// For how long a node may be silent that has not stopped, in seconds.
    pub silent_seconds: u32,
}

impl Alerts {
    /// How often it is judged.
    #[must_use]
    pub const fn every(&self) -> Duration {
        Duration::from_secs(self.every_seconds)
    }

    pub(super) fn validate(&self, faults: &mut Vec<Fault>) {
        for (key, url) in [("alerts.slack_url", &self.slack_url), ("alerts.webhook_url", &self.webhook_url)] {
            // The address is a secret: the fault says nothing of it.
            if !url.is_empty() && rules::web_address(key, url.expose(), rules::Path::Any).is_err() {
                let cure = "Write it whole, as https://hooks.slack.com/services/...";
                faults.push(Fault::new(key, "is no web address", cure));
            }
        }
    }

    pub(super) fn advise(&self, warnings: &mut Vec<Warning>) {
        for (key, url) in [("alerts.slack_url", &self.slack_url), ("alerts.webhook_url", &self.webhook_url)] {
            if rules::is_open(url.expose()) {
                warnings.push(Fault::new(key, "is not encrypted: messages can be read on the way", "Use https"));
            }
        }
    }
}
