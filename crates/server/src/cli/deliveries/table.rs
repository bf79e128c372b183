//! Deliveries and endpoints as text for a terminal.

use std::fmt::Write as _;
use std::time::Duration;

use mainstay_domain::Timestamp;
use mainstay_store::{CountedDeliveries, Delivery, DeliveryCounts, DeliveryLog, Endpoint};

use crate::cli::text::{columns, distance, facts, moment, set_in, span};

fn status(delivery: &Delivery) -> String {
    delivery.status.map_or_else(String::new, |status| status.to_string())
}

/// What there is to say of the time of a delivery in its state.
fn when(delivery: &Delivery, now: Timestamp) -> String {
    match (delivery.ended_at, delivery.next_at) {
        (Some(ended), _) => format!("ended {}", distance(ended, now)),
        (None, Some(next)) => format!("due {}", distance(next, now)),
        (None, None) => format!("promised {}", distance(delivery.created_at, now)),
    }
}

/// A list of deliveries.
pub(super) fn deliveries(deliveries: &[Delivery], now: Timestamp) -> String {
    if deliveries.is_empty() {
        return "There are no such deliveries.\n".to_owned();
    }
    let row = |delivery: &Delivery| {
        let Delivery { id, state, kind, endpoint, attempts, .. } = delivery;
        let (attempts, status, when) = (attempts.to_string(), status(delivery), when(delivery, now));
        [id.to_string(), state.to_string(), kind.clone(), endpoint.to_string(), attempts, status, when]
    };
    let head = ["ID", "STATE", "TYPE", "ENDPOINT", "ATTEMPTS", "ANSWER", "WHEN"];
    columns(head, deliveries.iter().map(row).collect())
}

/// A delivery, its attempts, and what it says.
pub(super) fn log(log: &DeliveryLog, now: Timestamp) -> String {
    let delivery = &log.delivery;
    let mut rows = vec![
        ("id", delivery.id.to_string()),
        ("state", delivery.state.to_string()),
        ("type", delivery.kind.clone()),
        ("event", delivery.event.to_string()),
        ("endpoint", delivery.endpoint.to_string()),
        ("attempts", delivery.attempts.to_string()),
    ];
    rows.extend(log.content.as_ref().map(|content| ("published", moment(content.published_at, now))));
    rows.push(("promised", moment(delivery.created_at, now)));
    let optional = [("due", delivery.next_at), ("ended", delivery.ended_at)];
    rows.extend(optional.into_iter().filter_map(|(name, at)| Some((name, moment(at?, now)))));
    rows.extend(delivery.error.clone().map(|error| ("error", error)));
    let mut text = facts(&rows) + "\n";
    if log.attempts.is_empty() {
        text.push_str("No attempt was made.\n");
    }
    for attempt in &log.attempts {
        let took = span(Duration::from_millis(u64::try_from(attempt.took_ms).unwrap_or(0)));
        let answer = attempt.status.map_or_else(|| "no answer".to_owned(), |status| format!("answered {status}"));
        let _ = writeln!(text, "attempt {} {}, {answer} after {took}", attempt.number, moment(attempt.started_at, now));
        text.push_str(&set_in(attempt.error.as_deref().unwrap_or_default()));
        text.push_str(&set_in(&attempt.response_body));
    }
    match &log.content {
        Some(content) => text + "\nIt says:\n" + &set_in(&content.payload),
        None => text + "\nWhat it says has been kept long enough, and is gone.\n",
    }
}

/// What there is to say of the health of an endpoint.
fn health(endpoint: &Endpoint, now: Timestamp) -> String {
    let health = &endpoint.health;
    let failing = || health.failing_since.map(|since| format!(", has taken nothing since {}", distance(since, now)));
    match (endpoint.disabled, health.rests_until(now)) {
        (Some((reason, since)), _) => format!("disabled {}: {reason}", distance(since, now)),
        (None, Some(until)) => {
            format!("left alone, tried again {}{}", distance(until, now), failing().unwrap_or_default())
        }
        (None, None) if health.failures > 0 => {
            format!("{} failures in a row{}", health.failures, failing().unwrap_or_default())
        }
        (None, None) => "well".to_owned(),
    }
}

/// Endpoints, and how the deliveries to them fare.
pub(super) fn endpoints(endpoints: &[Endpoint], counted: &CountedDeliveries, now: Timestamp) -> String {
    if endpoints.is_empty() {
        return "There are no endpoints.\n".to_owned();
    }
    let row = |endpoint: &Endpoint| {
        let counts = counted.endpoints.get(&endpoint.id).copied().unwrap_or_default();
        let DeliveryCounts { pending, delivered, failed, .. } = counts;
        let [pending, delivered, failed] = [pending, delivered, failed].map(|count| count.to_string());
        [endpoint.id.to_string(), pending, delivered, failed, health(endpoint, now), endpoint.url.clone()]
    };
    let head = ["ID", "PENDING", "DELIVERED", "FAILED", "HEALTH", "URL"];
    columns(head, endpoints.iter().map(row).collect())
}
