//! Jobs, queues and schedules as they are shown: on the wire, and by the command line as JSON.

use mainstay_domain::Timestamp;
use mainstay_store::{JobAttempt, JobLife, JobSummary, QueueDepth, QueueDepths, StoredSchedule};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::controls::Controls;

/// A job as it is listed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JobBody {
    /// Its id.
    pub id: Uuid,
    /// Its queue.
    pub queue: String,
    /// What is to be done.
    pub kind: String,
    /// What its limits and its turn are counted by within the queue.
    pub group: String,
    /// Whose it is; null for the installation's own.
    pub organisation_id: Option<Uuid>,
    /// scheduled, ready, running, done, dead or cancelled.
    #[schema(example = "ready")]
    pub state: &'static str,
    /// high, normal or low.
    #[schema(example = "normal")]
    pub priority: &'static str,
    /// How many attempts were begun.
    pub attempt: u32,
    /// After how many it is given up.
    pub most_attempts: u32,
    /// When it is or was due.
    #[schema(value_type = String, format = DateTime)]
    pub run_at: Timestamp,
    /// When it was promised.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When its last attempt began.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    /// When somebody asked to cancel it while it ran.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub cancel_asked_at: Option<Timestamp>,
    /// The trace of the request that led to it; null for what came of none.
    #[schema(example = "0af7651916cd43dd8448eb211c80319c")]
    pub trace_id: Option<String>,
}

impl From<JobSummary> for JobBody {
    fn from(job: JobSummary) -> Self {
        Self {
            id: job.id.uuid(),
            queue: job.queue,
            kind: job.kind,
            group: job.group,
            organisation_id: job.tenant.map(mainstay_domain::TenantId::uuid),
            state: job.state.as_str(),
            priority: job.priority.as_str(),
            attempt: job.attempt,
            most_attempts: job.most_attempts,
            run_at: job.run_at,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            cancel_asked_at: job.cancel_asked_at,
            trace_id: job.trace.map(|context| context.trace.to_string()),
        }
    }
}

/// An attempt that did not end in success.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JobAttemptBody {
    /// Which attempt, from 1. A job that was begun anew counts from 1 again.
    pub attempt: u32,
    /// failed, dead or cancelled.
    #[schema(example = "failed")]
    pub outcome: String,
    /// What went wrong.
    pub error: String,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// When it ended.
    #[schema(value_type = String, format = DateTime)]
    pub ended_at: Timestamp,
}

impl From<JobAttempt> for JobAttemptBody {
    fn from(attempt: JobAttempt) -> Self {
        Self {
            attempt: attempt.attempt,
            outcome: attempt.outcome,
            error: attempt.error,
            started_at: attempt.started_at,
            ended_at: attempt.ended_at,
        }
    }
}

/// What became of the wish to cancel a job.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct CancelledBody {
    /// True when it will never run; false when it runs now and was asked to stop.
    pub cancelled: bool,
}

/// What was begun anew by one call of several.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReplayedBiteBody {
    /// How many.
    pub replayed: usize,
    /// For `after` of the next call; null when there are no more.
    pub next: Option<String>,
}

/// A job with all that is known of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LifeBody {
    /// The job.
    #[serde(flatten)]
    pub job: JobBody,
    /// What its kind needs to know. It may hold personal data.
    #[schema(value_type = Object)]
    pub arguments: Value,
    /// The key that there is only one job of the kind with, while that holds.
    pub unique_key: Option<String>,
    /// How often it has moved from one state to another.
    pub moves: i64,
    /// Attempts that did not end in success, in order; the first 200.
    pub attempts: Vec<JobAttemptBody>,
}

impl From<JobLife> for LifeBody {
    fn from(life: JobLife) -> Self {
        Self {
            job: life.job.into(),
            // What cannot be read is shown as it is.
            arguments: serde_json::from_str(&life.arguments).unwrap_or(Value::String(life.arguments)),
            unique_key: life.unique_key,
            moves: life.lease,
            attempts: life.attempts.into_iter().map(JobAttemptBody::from).collect(),
        }
    }
}

/// A queue. Counts end at 100,000.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct QueueBody {
    /// Its name.
    pub name: String,
    /// How many jobs wait for a worker.
    pub ready: u32,
    /// How many run.
    pub running: u32,
    /// For how many seconds the oldest of those that wait has been due; null when none waits.
    pub oldest_seconds: Option<f64>,
    /// Since when it is paused; null when it is not.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub paused_at: Option<Timestamp>,
    /// Until when it is switched off by an emergency control; null when it is not.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub off_until: Option<Timestamp>,
}

impl QueueBody {
    /// As it is at this moment.
    #[must_use]
    pub fn of(queue: QueueDepth, off_until: Option<Timestamp>, now: Timestamp) -> Self {
        Self {
            off_until,
            oldest_seconds: queue.oldest.map(|oldest| now.since(oldest).as_secs_f64()),
            name: queue.name,
            ready: queue.ready,
            running: queue.running,
            paused_at: queue.paused_at,
        }
    }
}

/// A schedule.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ScheduleBody {
    /// Its name.
    pub name: String,
    /// What it says.
    pub definition: String,
    /// The tick that is due next.
    #[schema(value_type = String, format = DateTime)]
    pub next_at: Timestamp,
    /// The last tick that was taken.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_at: Option<Timestamp>,
}

impl From<StoredSchedule> for ScheduleBody {
    fn from(schedule: StoredSchedule) -> Self {
        let StoredSchedule { name, definition, next_at, last_at } = schedule;
        Self { name, definition, next_at, last_at }
    }
}

/// All queues and schedules.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct QueuesBody {
    /// The queues, by name.
    pub data: Vec<QueueBody>,
    /// Always null: there are no further pages.
    pub next: Option<String>,
    /// How many jobs wait for their time, over all queues.
    pub scheduled: u32,
    /// How many jobs were given up and are kept, over all queues.
    pub dead: u32,
    /// The schedules, by name.
    pub schedules: Vec<ScheduleBody>,
}

impl QueuesBody {
    /// As they are at this moment.
    #[must_use]
    pub fn of(depths: QueueDepths, schedules: Vec<StoredSchedule>, controls: &Controls, now: Timestamp) -> Self {
        let body = |queue: QueueDepth| {
            let off_until = controls.queue_off(&queue.name);
            QueueBody::of(queue, off_until, now)
        };
        Self {
            data: depths.queues.into_iter().map(body).collect(),
            next: None,
            scheduled: depths.scheduled,
            dead: depths.dead,
            schedules: schedules.into_iter().map(ScheduleBody::from).collect(),
        }
    }
}
