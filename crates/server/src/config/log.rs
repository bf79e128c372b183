//! The section `[log]`.

use serde::{Deserialize, Serialize};

/// Log lines.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Log {
    /// What is logged: error, warn, info, debug or trace, also by part ("info,mainstay_store=debug").
    pub level: String,
    /// "text" for people, "json" for machines.
    pub format: LogFormat,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}
