//! The section `[redis]`.

use mainstay_domain::Secret;
use serde::{Deserialize, Serialize};

use super::rules::durations;
use super::schema::Bound;
use super::{Fault, Warning, rules};

pub(super) const BOUNDS: &[Bound] = &[
    ("redis.command_timeout_ms", 1, 5_000),
    ("redis.connect_timeout_ms", 10, 30_000),
    ("redis.breaker_failures", 1, 1_000),
];

/// What several nodes tell each other by.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Redis {
    /// Where it is: a redis:// address, or rediss:// with TLS. REDIS_URL sets it too. Empty: none.
    pub url: Secret,
    /// A file that holds the address, so that its password is in no environment.
    pub url_file: String,
    /// How long a request waits for Redis, in milliseconds.
    pub command_timeout_ms: u64,
    /// How long connecting may take, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Failures in a row after which Redis is not asked until it answers again.
    pub breaker_failures: u32,
}

durations!(Redis {
    command_timeout: from_millis(command_timeout_ms),
    connect_timeout: from_millis(connect_timeout_ms),
});

impl Redis {
    pub(super) fn validate(&self, faults: &mut Vec<Fault>) {
        if self.url.is_empty() {
            return;
        }
        let url = rules::server_address(&self.url);
        if !url.is_some_and(|url| matches!(url.scheme(), "redis" | "rediss") && url.has_host()) {
            let reason = "is not a redis:// or rediss:// address";
            faults.push(Fault::new(
                "redis.url",
                reason,
                "Write redis://:password@host:6379/0, with special characters of the password percent-encoded",
            ));
        }
    }

    pub(super) fn advise(&self, single_node: bool, warnings: &mut Vec<Warning>) {
        if !self.url.is_empty() && single_node {
            let reason = "is set with SQLite, where there is only one node and nobody to tell anything";
            warnings.push(Fault::new("redis.url", reason, "Remove it, or use PostgreSQL and several nodes"));
        }
    }
}
