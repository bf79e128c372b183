//! The migrations themselves, compiled in.

use std::borrow::Cow;

use ring::digest::{SHA256, digest as sha256};

/// One migration for one engine.
#[derive(Clone, Debug)]
pub(crate) struct Migration {
    pub(crate) version: i64,
    pub(crate) description: &'static str,
    pub(crate) up: Cow<'static, str>,
    pub(crate) down: Cow<'static, str>,
}

/// The first line of a file that cannot run in a transaction.
const NO_TRANSACTION: &str = "-- no transaction";

impl Migration {
    pub(crate) fn checksum(&self) -> String {
        digest(&self.up)
    }

    pub(crate) fn name(&self) -> String {
        format!("{:04} {}", self.version, self.description)
    }

    pub(crate) fn in_transaction(&self) -> bool {
        !self.up.starts_with(NO_TRANSACTION)
    }
}

macro_rules! migrations {
    ($engine:literal) => {
        migrations!($engine, 1 "accounts" "0001_accounts", 2 "assistant" "0002_assistant",
            3 "index order" "0003_index_order", 4 "changes" "0004_changes", 5 "usage" "0005_usage",
            6 "flags" "0006_flags", 7 "jobs" "0007_jobs", 8 "inbox" "0008_inbox", 9 "deliveries" "0009_deliveries",
            10 "billing" "0010_billing", 11 "keys" "0011_keys", 12 "audit" "0012_audit",
            13 "backups" "0013_backups", 14 "controls" "0014_controls", 15 "alerts" "0015_alerts", 16 "traces" "0016_traces",
            17 "reception" "0017_reception", 18 "calls" "0018_calls", 19 "voice" "0019_voice",
            20 "knowledge" "0020_knowledge", 21 "images" "0021_images", 22 "text messages" "0022_text_messages",
            23 "calendars" "0023_calendars", 24 "tools" "0024_tools",
            25 "text messages owed" "0025_text_messages_owed", 26 "outreach" "0026_outreach",
            27 "lead import" "0027_lead_import", 28 "tracking" "0028_tracking",
            29 "lead search" "0029_lead_search", 30 "mailboxes" "0030_mailboxes", 31 "domain turns" "0031_domain_turns",
            32 "gmail" "0032_gmail", 33 "deployments" "0033_deployments", 34 "audit trail" "0034_audit_trail",
            35 "erasure" "0035_erasure", 36 "replays" "0036_replays")
    };
    ($engine:literal, $($version:literal $description:literal $file:literal),+) => {
        vec![$(Migration {
            version: $version,
            description: $description,
            up: Cow::Borrowed(include_str!(concat!("../../migrations/", $engine, "/", $file, ".up.sql"))),
            down: Cow::Borrowed(include_str!(concat!("../../migrations/", $engine, "/", $file, ".down.sql"))),
        }),+]
    };
}

/// Those for SQLite, in order.
pub(crate) fn sqlite() -> Vec<Migration> {
    migrations!("sqlite")
}

/// Those for PostgreSQL, in order.
pub(crate) fn postgres() -> Vec<Migration> {
    migrations!("postgres")
}

/// SHA-256 in hexadecimal.
pub(crate) fn digest(text: &str) -> String {
    mainstay_domain::hexadecimal(sha256(&SHA256, text.as_bytes()).as_ref())
}
