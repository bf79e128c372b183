//! Events as text for a terminal.

use mainstay_domain::Timestamp;
use mainstay_store::{InboxEvent, InboxSummary, JobSummary};

use crate::cli::text::{attempts, columns, distance, facts, moment, set_in};
use crate::jobs::JobAttemptBody;

/// A list of events.
pub(super) fn events(events: &[InboxSummary], now: Timestamp) -> String {
    if events.is_empty() {
        return "There are no such events.\n".to_owned();
    }
    let row = |event: &InboxSummary| {
        let InboxSummary { id, provider, kind, identity, received_at, state, .. } = event;
        let when = distance(*received_at, now);
        [id.to_string(), state.to_string(), provider.clone(), kind.clone(), identity.clone(), when]
    };
    columns(["ID", "STATE", "PROVIDER", "KIND", "IDENTITY", "RECEIVED"], events.iter().map(row).collect())
}

/// An event, how its processing went, and what it says.
pub(super) fn event(found: &InboxEvent, job: Option<&JobSummary>, failed: &[JobAttemptBody], now: Timestamp) -> String {
    let InboxSummary { id, source, provider, identity, kind, version, received_at, state } = &found.event;
    let mut rows = vec![
        ("id", id.to_string()),
        ("state", state.to_string()),
        ("provider", provider.clone()),
        ("sender", source.to_string()),
        ("kind", kind.clone()),
        ("identity", identity.clone()),
        ("version", version.map_or_else(|| "none".to_owned(), |version| version.to_string())),
        ("received", moment(*received_at, now)),
    ];
    if let Some(job) = job {
        rows.push(("attempts", format!("{} of {}", job.attempt, job.most_attempts)));
        rows.push(match job.finished_at {
            Some(ended) => ("ended", moment(ended, now)),
            None => ("due", moment(job.run_at, now)),
        });
        rows.extend(job.cancel_asked_at.map(|asked| ("asked to stop", moment(asked, now))));
    }
    format!("{}\n{}\nIt says:\n{}", facts(&rows), attempts(failed, now), set_in(&found.payload))
}
