//! The wire of backups and drills, for operators of the installation.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use mainstay_domain::{Error, JobId, Result, Timestamp};
use mainstay_jobs::Job;
use mainstay_store::{Call, Drill, Enqueue, Enqueued, ListBackups, ListDrills, StoredBackup};
use serde::Serialize;
use utoipa::ToSchema;

use super::{DrillRestore, Fault, MakeBackup};
use crate::accounts::Operator;
use crate::app::App;
use crate::http::{Document, Json, Problem, RequestContext};

/// How many of each are listed.
const LISTED: u32 = 100;

/// Backups that were made, and drills.
#[derive(Debug, Serialize, ToSchema)]
pub struct BackupsBody {
    /// Where they are kept; nothing when none are made.
    place: Option<String>,
    /// When they are made, as a crontab line in UTC.
    schedule: String,
    /// When one is restored for trial; empty for never by itself.
    drill_schedule: String,
    /// Whether one that should have been made was not.
    overdue: bool,
    /// Whether a drill that should have been made was not.
    drill_overdue: bool,
    /// The last hundred, the last first.
    backups: Vec<BackupBody>,
    /// The last hundred, the last first.
    drills: Vec<DrillBody>,
}

/// A backup.
#[derive(Debug, Serialize, ToSchema)]
pub struct BackupBody {
    /// Its name where it is kept.
    id: String,
    /// Where it stands.
    #[schema(value_type = String, example = "complete")]
    state: String,
    /// Where it is kept.
    place: String,
    /// Everything that was committed before is in it.
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    /// When it was whole, or failed.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
    /// Its size as stored.
    bytes: u64,
    /// How many rows it has.
    rows: u64,
    /// Whether it is encrypted.
    encrypted: bool,
    /// Why it failed.
    error: Option<String>,
}

impl From<StoredBackup> for BackupBody {
    fn from(backup: StoredBackup) -> Self {
        let StoredBackup { id, state, place, canary: _, started_at, ended_at, bytes, rows, encrypted, error } = backup;
        Self { id, state: state.to_string(), place, started_at, ended_at, bytes, rows, encrypted, error }
    }
}

/// A backup that was restored for trial.
#[derive(Debug, Serialize, ToSchema)]
pub struct DrillBody {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Which backup.
    backup: String,
    /// Whether the copy was whole, started, and had the canary.
    passed: bool,
    /// How much time of work would have been lost.
    recovery_point_ms: u64,
    /// How long it took until the copy answered.
    recovery_time_ms: u64,
    /// What was seen, or what went wrong.
    detail: String,
}

impl From<Drill> for DrillBody {
    fn from(drill: Drill) -> Self {
        let Drill { id: _, at, backup, passed, recovery_point_ms, recovery_time_ms, detail } = drill;
        Self { at, backup, passed, recovery_point_ms, recovery_time_ms, detail }
    }
}

/// Lists backups and drills.
#[utoipa::path(get, path = "/v1/backups", tag = "operations",
    responses((status = 200, body = BackupsBody), (status = "default", body = Document<'static>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Operator(_): Operator,
) -> Result<Json<BackupsBody>, Problem> {
    let backups = app.store.run(&context.call, ListBackups(LISTED)).await?;
    let drills = app.store.run(&context.call, ListDrills(LISTED)).await?;
    let settings = &app.config.backup;
    let (overdue, drill_overdue) = app.backups.overdue();
    Ok(Json(BackupsBody {
        place: settings.place().map(|_| settings.to.clone()),
        schedule: settings.schedule.clone(),
        drill_schedule: settings.drill_schedule.clone(),
        overdue,
        drill_overdue,
        backups: backups.into_iter().map(BackupBody::from).collect(),
        drills: drills.into_iter().map(DrillBody::from).collect(),
    }))
}

/// A job that was promised, or was promised before.
#[derive(Debug, Serialize, ToSchema)]
pub struct BackupPromisedBody {
    /// Its id; nothing when the one that was under way ended at this moment.
    #[schema(value_type = Option<uuid::Uuid>)]
    job_id: Option<JobId>,
}

async fn promise<J: Job + Default>(app: &App, call: &Call) -> Result<(StatusCode, Json<BackupPromisedBody>), Problem> {
    if app.config.backup.place().is_none() {
        return Err(Problem::from(Error::from(Fault::NoPlace)));
    }
    let now = app.clock.now();
    let jobs = vec![super::promise::<J>(app.ids.make(), now)?.job()];
    let enqueued = app.store.run(call, Enqueue { jobs, now }).await?;
    // The one that was there may end at this moment; then there is none to name.
    let job_id = enqueued.into_iter().next().and_then(Enqueued::job);
    Ok((StatusCode::ACCEPTED, Json(BackupPromisedBody { job_id })))
}

/// Has a backup made now. While one is being made, it is that one.
#[utoipa::path(post, path = "/v1/backups", tag = "operations",
    responses((status = 202, body = BackupPromisedBody), (status = "default", body = Document<'static>)))]
pub async fn make(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Operator(_): Operator,
) -> Result<(StatusCode, Json<BackupPromisedBody>), Problem> {
    promise::<MakeBackup>(&app, &context.call).await
}

/// Has the newest backup restored for trial.
#[utoipa::path(post, path = "/v1/backup-drills", tag = "operations",
    responses((status = 202, body = BackupPromisedBody), (status = 404), (status = "default", body = Document<'static>)))]
pub async fn drill(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Operator(_): Operator,
) -> Result<(StatusCode, Json<BackupPromisedBody>), Problem> {
    promise::<DrillRestore>(&app, &context.call).await
}
