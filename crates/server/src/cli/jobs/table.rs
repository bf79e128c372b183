//! Jobs and queues as text for a terminal.

use std::fmt::Write as _;
use std::time::Duration;

use mainstay_domain::Timestamp;

use crate::jobs::{JobBody, LifeBody, QueuesBody};

/// A time in one unit that suits it: `340 ms`, `12 s`, `5 min`, `3 h`, `2 d`.
fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// How far a moment is away.
fn distance(moment: Timestamp, now: Timestamp) -> String {
    if moment > now { format!("in {}", span(moment.since(now))) } else { format!("{} ago", span(now.since(moment))) }
}

/// What there is to say of the time of a job in its state.
fn when(job: &JobBody, now: Timestamp) -> String {
    match (job.state, job.started_at, job.finished_at) {
        (_, _, Some(ended)) => format!("ended {}", distance(ended, now)),
        ("running", Some(started), _) => format!("began {}", distance(started, now)),
        _ => format!("due {}", distance(job.run_at, now)),
    }
}

/// Columns as wide as what stands in them, two spaces apart. The last one is not filled up. Whatever could move the cursor
/// of a terminal is left out.
fn columns<const N: usize>(head: [&str; N], rows: Vec<[String; N]>) -> String {
    let plain = |cell: String| cell.chars().filter(|letter| !letter.is_control()).collect::<String>();
    let rows: Vec<[String; N]> =
        std::iter::once(head.map(str::to_owned)).chain(rows).map(|row| row.map(plain)).collect();
    let width = |place: usize| rows.iter().map(|row| row[place].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
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
    let moment = |at: Timestamp| format!("{at} ({})", distance(at, now));
    let mut facts = vec![
        ("id", job.id.to_string()),
        ("state", job.state.to_owned()),
        ("queue", job.queue.clone()),
        ("kind", job.kind.clone()),
        ("group", job.group.clone()),
        ("organisation", job.organisation_id.map_or_else(|| "none".to_owned(), |id| id.to_string())),
        ("priority", job.priority.to_owned()),
        ("attempts", format!("{} of {}", job.attempt, job.most_attempts)),
        ("promised", moment(job.created_at)),
        ("due", moment(job.run_at)),
    ];
    let optional = [("last begun", job.started_at), ("asked to stop", job.cancel_asked_at), ("ended", job.finished_at)];
    facts.extend(optional.into_iter().filter_map(|(name, at)| Some((name, moment(at?)))));
    facts.extend(life.unique_key.clone().map(|key| ("unique by", key)));
    facts.push(("arguments", life.arguments.to_string()));
    let mut text = String::new();
    for (name, value) in facts {
        let value: String = value.chars().filter(|letter| !letter.is_control()).collect();
        let _ = writeln!(text, "{name:<14} {value}");
    }
    if life.attempts.is_empty() {
        text.push_str("\nNo attempt has failed.\n");
        return text;
    }
    text.push('\n');
    for attempt in &life.attempts {
        let took = span(attempt.ended_at.since(attempt.started_at));
        let _ = writeln!(
            text,
            "attempt {} {} {}, after {took}",
            attempt.attempt,
            attempt.outcome,
            moment(attempt.ended_at)
        );
        for line in attempt.error.lines() {
            let line: String = line.chars().filter(|letter| !letter.is_control()).collect();
            let _ = writeln!(text, "    {line}");
        }
    }
    text
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_the_unit_that_suits_them() {
        let now = Timestamp::from_millis(1_000_000_000);
        let ago = |seconds: u64| distance(now.minus(Duration::from_secs(seconds)), now);
        assert_eq!([0, 119, 120, 7_199].map(ago), ["0 ms ago", "119 s ago", "2 min ago", "119 min ago"]);
        assert_eq!([7_200, 172_799, 172_800].map(ago), ["2 h ago", "47 h ago", "2 d ago"]);
        assert_eq!(distance(now.plus(Duration::from_millis(340)), now), "in 340 ms");
    }

    #[test]
    fn columns_are_as_wide_as_what_stands_in_them() {
        let text =
            columns(["A", "B"], vec![["über".to_owned(), "x\u{1b}[2J".to_owned()], ["y".to_owned(), String::new()]]);
        assert_eq!(text, "A     B\nüber  x[2J\ny\n");
    }
}
