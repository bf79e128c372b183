//! The section `[overload]`.

use serde::{Deserialize, Serialize};

use super::Fault;
use super::rules::durations;
use super::schema::Bound;

pub(super) const BOUNDS: &[Bound] = &[
    ("overload.least_in_flight", 1, 10_000),
    ("overload.first_in_flight", 1, 100_000),
    ("overload.most_in_flight", 1, 100_000),
    ("overload.latency_target_ms", 1, 10_000),
    ("overload.tolerance_percent", 110, 10_000),
    ("overload.tenant_tolerance_percent", 110, 10_000),
    ("overload.queue", 0, 10_000),
    ("overload.queue_per_tenant", 0, 10_000),
    ("overload.queue_timeout_ms", 1, 10_000),
    ("overload.pool_warning_percent", 1, 100),
];

/// What happens when there is more to do than can be done at once. docs/overload.md tells how it works.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Overload {
    /// Whether requests beyond what the server can do at once are refused with 503. Health, stopping a reply and signing out never are.
    pub enabled: bool,
    /// The fewest requests that are worked on at once, however slow the answers are.
    pub least_in_flight: usize,
    /// The limit at the start, before anything is learnt.
    pub first_in_flight: usize,
    /// The most requests that are worked on at once, however fast the answers are. Waiting for a model is not work.
    pub most_in_flight: usize,
    /// Answers that take less than this on average (without waiting for a model), in milliseconds, are fast enough: the limit does not shrink.
    pub latency_target_ms: u64,
    /// How slow answers may become before the limit shrinks, in per cent of what the same work takes in quiet moments; counts where that is more than latency_target_ms.
    pub tolerance_percent: u64,
    /// How slow the answers of those who ask little may become before an organisation that asks much is given less, in per cent of what the same work takes in quiet moments.
    pub tenant_tolerance_percent: u64,
    /// The most requests that wait for a place. Further ones are refused.
    pub queue: usize,
    /// The most requests of one organisation, or from one address without a token, that wait for a place.
    pub queue_per_tenant: usize,
    /// How long a request waits for a place, in milliseconds. While a crowd lasts, a fifth of it.
    pub queue_timeout_ms: u64,
    /// Use of the database's connections over the last minute at which the log warns, in per cent.
    pub pool_warning_percent: u64,
}

durations!(Overload { latency_target: from_millis(latency_target_ms), queue_timeout: from_millis(queue_timeout_ms) });

impl Overload {
    pub(super) fn validate(&self, faults: &mut Vec<Fault>) {
        let Self { least_in_flight: least, first_in_flight: first, most_in_flight: most, .. } = *self;
        if least > most {
            let reason = format!("is {least}, more than most_in_flight ({most})");
            faults.push(Fault::new("overload.least_in_flight", reason, "Lower it, or raise overload.most_in_flight"));
        } else if first < least || first > most {
            let reason = format!("is {first}, not between least_in_flight ({least}) and most_in_flight ({most})");
            faults.push(Fault::new("overload.first_in_flight", reason, "Take a number between the two"));
        }
    }
}
