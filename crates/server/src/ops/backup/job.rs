//! Backups and drills by themselves: jobs that a schedule promises, on whichever node takes them.

use std::sync::{Arc, Weak};
use std::time::Duration;

use mainstay_domain::{JobId, Result, Timestamp};
use mainstay_jobs::{Done, Failure, Job, JobContext, JobResult, Missed, Promise, Scheduled};
use serde::{Deserialize, Serialize};

use super::drill;
use super::place::Backups;
use super::take::{Installation, take};
use crate::app::App;
use crate::config::Config;

/// The queue of both.
pub const BACKUPS: &str = "backups";
/// How long a backup or a drill may take.
const LONGEST: Duration = Duration::from_secs(6 * 3_600);
/// How long it waits when the server stops.
const STOPPING: Duration = Duration::from_secs(1);
/// What makes a second one of a kind the same as the first.
const ONLY_ONE: &str = "only one";

/// A backup is made.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct MakeBackup {}

impl Job for MakeBackup {
    const KIND: &'static str = "backup";
    const QUEUE: &'static str = BACKUPS;
    const MOST_ATTEMPTS: u32 = 6;
    const DEADLINE: Duration = LONGEST;

    fn backoff(attempt: u32) -> Duration {
        Duration::from_secs(30 << attempt.min(6))
    }
}

/// The newest backup is restored for trial.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct DrillRestore {}

impl Job for DrillRestore {
    const KIND: &'static str = "backup_drill";
    const QUEUE: &'static str = BACKUPS;
    const MOST_ATTEMPTS: u32 = 3;
    const DEADLINE: Duration = LONGEST;

    fn backoff(attempt: u32) -> Duration {
        Duration::from_secs(300 << attempt.min(4))
    }
}

/// The promise of one of the two; while one of its kind is promised or under way, it is that one.
///
/// # Errors
/// A bug.
pub fn promise<J: Job + Default>(id: JobId, now: Timestamp) -> Result<Promise> {
    Ok(Promise::of(id, &J::default(), now)?.unique(ONLY_ONE))
}

/// When both are promised; nothing when there is no place for backups.
#[must_use]
pub fn schedules(config: &Config) -> Vec<Scheduled> {
    if config.backup.place().is_none() {
        return Vec::new();
    }
    let of = |name, schedule, promise| Scheduled { name, schedule, missed: Missed::Latest, promise };
    let backup = config.backup.schedule().map(|schedule| of("backup", schedule, Arc::new(promise::<MakeBackup>) as _));
    let drill = config.backup.drill_schedule();
    let drill = drill.map(|schedule| of("backup drill", schedule, Arc::new(promise::<DrillRestore>) as _));
    backup.into_iter().chain(drill).collect()
}

/// Makes a backup.
pub(crate) async fn back_up(app: Weak<App>, _: JobContext, _: MakeBackup) -> JobResult {
    let Some(app) = app.upgrade() else { return Ok(Done::Snoozed(STOPPING)) };
    let backups = Backups::open(&app.config.backup).map_err(Failure::new)?;
    let taken = take(&Installation::of(&app), &backups).await;
    app.backups.ended("backup", taken.is_ok());
    let taken = taken.map_err(Failure::new)?;
    let (id, bytes, rows) = (&taken.manifest.id, taken.manifest.bytes, taken.manifest.rows);
    tracing::info!(backup = %id, bytes, rows, took = ?taken.took, deleted = taken.deleted.len(), "a backup was made");
    Ok(Done::Finished)
}

/// Restores the newest backup for trial.
pub(crate) async fn try_backup(app: Weak<App>, _: JobContext, _: DrillRestore) -> JobResult {
    let Some(app) = app.upgrade() else { return Ok(Done::Snoozed(STOPPING)) };
    let backups = Backups::open(&app.config.backup).map_err(Failure::new)?;
    let manifest = backups.newest().await.map_err(Failure::new)?;
    let drill = drill::drill(&Installation::of(&app), &backups, &manifest).await;
    app.backups.ended("drill", drill.as_ref().is_ok_and(|drill| drill.passed));
    let drill = drill.map_err(Failure::new)?;
    if !drill.passed {
        return Err(Failure::new(format_args!("the backup {} could not be restored: {}", drill.backup, drill.detail)));
    }
    tracing::info!(backup = %drill.backup, recovery_ms = drill.recovery_time_ms, "a backup was restored for trial");
    Ok(Done::Finished)
}
