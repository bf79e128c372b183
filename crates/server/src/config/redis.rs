//! The section `[redis]`.

use mainstay_domain::Secret;
use serde::{Deserialize, Serialize};

use super::{Fault, Warning, rules};

/// What several nodes tell each other by.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Redis {
    /// Where it is: a redis:// address, or rediss:// with TLS. REDIS_URL sets it too. Nothing needs it: empty means none.
    pub url: Secret,
    /// A file that holds the address, so that its password is in no environment.
    pub url_file: String,
}

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

    pub(super) fn advise(&self, warnings: &mut Vec<Warning>) {
        if !self.url.is_empty() {
            let reason =
                "is set, and nothing in this version uses Redis: nodes find each other's changes in PostgreSQL";
            warnings.push(Fault::new("redis.url", reason, "Remove it, or leave it for a later version"));
        }
    }
}
