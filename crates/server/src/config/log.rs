//! The section `[log]`.

use serde::{Deserialize, Serialize};

use super::{Fault, rules};

const LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace", "off"];

/// Log lines.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Log {
    /// What is logged: error, warn, info, debug, trace or off, also by part ("info,mainstay_store=debug").
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

impl Log {
    /// The filter of the log library takes any word for a part of the program, so that "inof" would silence everything
    /// else. Here a word alone must be a level.
    pub(super) fn validate(&self, faults: &mut Vec<Fault>) {
        for directive in self.level.split(',') {
            let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level).trim();
            if !LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level)) {
                let reason = format!("'{}' is not a level", rules::shown(level));
                let cure = format!("Use {}, or by part: info,mainstay_store=debug", LEVELS.join(", "));
                faults.push(Fault::new("log.level", reason, cure));
            }
        }
    }
}
