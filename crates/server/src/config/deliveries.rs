//! The section `[deliveries]`.

use std::time::Duration;

use ipnet::IpNet;
use mainstay_store::EndpointPolicy;
use serde::{Deserialize, Serialize};

use super::fault::{Fault, Warning};
use super::rules;
use super::schema::Bound;

pub(super) const BOUNDS: &[Bound] = &[
    ("deliveries.slots", 1, 10_000),
    ("deliveries.per_endpoint", 1, 1_000),
    ("deliveries.deadline_seconds", 1, 45),
    ("deliveries.most_response_bytes", 0, 1_048_576),
    ("deliveries.rest_after_failures", 1, 1_000),
    ("deliveries.rest_seconds", 1, 300),
    ("deliveries.disable_after_hours", 1, 8_760),
    ("deliveries.keep_days", 1, 3_650),
];

/// The longest that an endpoint is left alone for its failures.
const LONGEST_REST: Duration = Duration::from_secs(300);
/// The most times in `retry_seconds`, and the longest of them.
const MOST_RETRIES: usize = 50;
const LONGEST_WAIT: f64 = 7.0 * 86_400.0;

/// What organisations are told of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Deliveries {
    /// How many deliveries a node makes at once.
    pub slots: u32,
    /// How many of them go to one endpoint at once, over all nodes.
    pub per_endpoint: u32,
    /// How long a delivery may take, in seconds: the name, the connection, the request and the whole answer.
    pub deadline_seconds: u64,
    /// The most bytes of an answer that are read.
    pub most_response_bytes: usize,
    /// How long after each failed attempt the next one begins, in seconds, give or take a fifth.
    pub retry_seconds: Vec<String>,
    /// Failures in a row after which an endpoint is left alone for a while.
    pub rest_after_failures: u32,
    /// For how long the first time, in seconds.
    pub rest_seconds: u64,
    /// After how many hours in which nothing was taken an endpoint is disabled.
    pub disable_after_hours: u64,
    /// Whether endpoints may have http:// addresses.
    pub allow_http: bool,
    /// Networks that are delivered to although they are not public.
    pub allow_private: Vec<String>,
    /// For how many days events, deliveries and their logs are kept.
    pub keep_days: u64,
}

fn wait(text: &str) -> Option<Duration> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.0..=LONGEST_WAIT).contains(seconds))?;
    Duration::try_from_secs_f64(seconds).ok()
}

impl Deliveries {
    /// How long a delivery may take.
    #[must_use]
    pub const fn deadline(&self) -> Duration {
        Duration::from_secs(self.deadline_seconds)
    }

    /// The waits after failed attempts.
    #[must_use]
    pub fn waits(&self) -> Vec<Duration> {
        self.retry_seconds.iter().filter_map(|text| wait(text)).collect()
    }

    /// The networks that are delivered to although they are not public.
    #[must_use]
    pub fn private_networks(&self) -> Vec<IpNet> {
        rules::networks(&self.allow_private)
    }

    /// When endpoints are left alone, and when they are given up.
    #[must_use]
    pub const fn policy(&self) -> EndpointPolicy {
        EndpointPolicy {
            failures: self.rest_after_failures,
            first_rest: Duration::from_secs(self.rest_seconds),
            longest_rest: LONGEST_REST,
            disable_after: Duration::from_secs(self.disable_after_hours * 3_600),
        }
    }

    /// For how long deliveries and their logs are kept.
    #[must_use]
    pub const fn kept(&self) -> Duration {
        Duration::from_secs(self.keep_days * 86_400)
    }

    pub(super) fn validate(&self, faults: &mut Vec<Fault>) {
        if let Some(bad) = self.retry_seconds.iter().find(|text| wait(text).is_none()) {
            let reason = format!("'{}' is no time of at most a week", rules::shown(bad));
            faults.push(Fault::new("deliveries.retry_seconds", reason, "Write seconds as texts: [\"5\", \"30\"]"));
        } else if self.retry_seconds.len() > MOST_RETRIES {
            let reason = format!("has more than {MOST_RETRIES} times");
            faults.push(Fault::new("deliveries.retry_seconds", reason, "Take some out"));
        }
        faults.extend(rules::no_network("deliveries.allow_private", &self.allow_private));
    }

    pub(super) fn advise(&self, warnings: &mut Vec<Warning>) {
        if self.allow_http {
            let reason = "lets events be sent in plain text";
            warnings.push(Fault::new("deliveries.allow_http", reason, "Set it to false unless all receivers are near"));
        }
    }
}
