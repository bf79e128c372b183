//! Jobs and queues as text for a terminal.

use std::fmt::Write as _;
use std::time::Duration;

use mainstay_domain::Timestamp;

use crate::cli::text::{attempts, columns, distance, facts, moment, span};
use crate::jobs::{JobBody, LifeBody, QueuesBody};

/// What there is to say of the time of a job in its state.
fn when(job: &JobBody, now: Timestamp) -> String {
    match (job.state, job.started_at, job.finished_at) {
        (_, _, Some(ended)) => format!("ended {}", distance(ended, now)),
        ("running", Some(started), _) => format!("began {}", distance(started, now)),
        _ => format!("due {}", distance(job.run_at, now)),
    }
}

/// A list of jobs.
pub(super) fn jobs(jobs: &[JobBody], now: Timestamp) -> String {
    if jobs.is_empty() {
        return "There are no such jobs.\n".to_owned();
    }
    let row = |job: &JobBody| {
        let attempts = format!("{}/{}", job.attempt, job.most_attempts);
        let state = if job.state == "running" && job.cancel_asked_at.is_some() { "stopping" } else { job.state };
        let (queue, kind, group) = (job.queue.clone(), job.kind.clone(), job.group.clone());
        [job.id.to_string(), state.to_owned(), queue, kind, group, attempts, when(job, now)]
    };
    let head = ["ID", "STATE", "QUEUE", "KIND", "GROUP", "ATTEMPTS", "WHEN"];
    columns(head, jobs.iter().map(row).collect())
}

/// A job and its attempts.
pub(super) fn life(life: &LifeBody, now: Timestamp) -> String {
    let job = &life.job;
    let mut rows = vec![
        ("id", job.id.to_string()),
        ("state", job.state.to_owned()),
        ("queue", job.queue.clone()),
        ("kind", job.kind.clone()),
        ("group", job.group.clone()),
        ("organisation", job.organisation_id.map_or_else(|| "none".to_owned(), |id| id.to_string())),
        ("priority", job.priority.to_owned()),
        ("attempts", format!("{} of {}", job.attempt, job.most_attempts)),
        ("promised", moment(job.created_at, now)),
        ("due", moment(job.run_at, now)),
    ];
    let optional = [("last begun", job.started_at), ("asked to stop", job.cancel_asked_at), ("ended", job.finished_at)];
    rows.extend(optional.into_iter().filter_map(|(name, at)| Some((name, moment(at?, now)))));
    rows.extend(job.trace_id.clone().map(|id| ("trace", id)));
    rows.extend(life.unique_key.clone().map(|key| ("unique by", key)));
    rows.push(("arguments", life.arguments.to_string()));
    facts(&rows) + "\n" + &attempts(&life.attempts, now)
}

/// Queues and schedules.
pub(super) fn queues(queues: &QueuesBody, now: Timestamp) -> String {
    let row = |queue: &crate::jobs::QueueBody| {
        let oldest = queue.oldest_seconds.map_or_else(String::new, |age| span(Duration::from_secs_f64(age.max(0.0))));
        let paused = queue.paused_at.map_or_else(String::new, |at| format!("paused {}", distance(at, now)));
        [queue.name.clone(), queue.ready.to_string(), queue.running.to_string(), oldest, paused]
    };
    let mut text = if queues.data.is_empty() {
        "There are no queues: no server has begun on this database.\n".to_owned()
    } else {
        columns(["QUEUE", "READY", "RUNNING", "OLDEST", ""], queues.data.iter().map(row).collect())
    };
    let _ = writeln!(text, "\n{} wait for their time, {} were given up.", queues.scheduled, queues.dead);
    if !queues.schedules.is_empty() {
        let row = |schedule: &crate::jobs::ScheduleBody| {
            let last = schedule.last_at.map_or_else(|| "never".to_owned(), |at| distance(at, now));
            [schedule.name.clone(), distance(schedule.next_at, now), last, schedule.definition.clone()]
        };
        text.push('\n');
        let rows = queues.schedules.iter().map(row).collect();
        text.push_str(&columns(["SCHEDULE", "NEXT", "LAST", "DEFINITION"], rows));
    }
    text
}
