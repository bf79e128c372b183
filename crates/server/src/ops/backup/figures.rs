//! How old the newest backup and the last drill are, for `/metrics`, health and the log. Read from the database in the
//! background, so that every node tells the same.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use mainstay_domain::{Schedule, Timestamp};
use mainstay_store::{Call, Drill, LastGood, StoredBackup};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::app::App;
use crate::locking::lock;
use crate::ops::metrics::gauge;

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(60);
/// How often the log warns at the most.
const WARN_EVERY: Duration = Duration::from_secs(3_600);
/// How long a look may take.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Outcome {
    what: &'static str,
    outcome: &'static str,
}

/// What was seen last.
#[derive(Clone, Debug, Default)]
struct Last {
    backup: Option<StoredBackup>,
    drill: Option<Drill>,
    at: Option<Timestamp>,
    overdue: bool,
    drill_overdue: bool,
    /// Since when another one is waited for.
    wanted_since: Option<Timestamp>,
}

/// The figures of backups and drills. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct BackupFigures {
    outcomes: Family<Outcome, Counter>,
    last: Arc<Mutex<Last>>,
    /// Something ended on this node: it is looked at once.
    ended: Arc<Notify>,
    /// The program that a drill starts on the copy; this one itself when nothing is said.
    pub program: Arc<OnceLock<PathBuf>>,
}

impl BackupFigures {
    /// Adds them.
    pub fn register(registry: &mut Registry) -> Self {
        let figures = Self::default();
        let help = "Backups and drills that ended on this node, by how";
        registry.register("mainstay_backup_runs", help, figures.outcomes.clone());
        registry.register_collector(Box::new(figures.clone()));
        figures
    }

    pub(super) fn ended(&self, what: &'static str, good: bool) {
        let outcome = if good { "done" } else { "failed" };
        self.outcomes.get_or_create(&Outcome { what, outcome }).inc();
        self.ended.notify_one();
    }

    /// How many hours ago the newest backup was made, or the first one could have been; nothing where none are.
    #[must_use]
    pub fn hours(&self, now: Timestamp) -> Option<f64> {
        lock(&self.last).wanted_since.map(|since| now.since(since).as_secs_f64() / 3_600.0)
    }

    /// Whether the newest backup, and the last drill, are older than they may be by their schedules.
    #[must_use]
    pub fn overdue(&self) -> (bool, bool) {
        let last = lock(&self.last);
        (last.overdue, last.drill_overdue)
    }
}

impl Collector for BackupFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let last = lock(&self.last).clone();
        let Some(at) = last.at else { return Ok(()) };
        let seconds = |moment: Timestamp| usize::try_from(at.since(moment).as_secs()).unwrap_or(usize::MAX);
        if let Some(backup) = &last.backup {
            gauge(&mut encoder, "backup_age_seconds", "How old the newest backup is", seconds(backup.started_at))?;
            let bytes = usize::try_from(backup.bytes).unwrap_or(usize::MAX);
            gauge(&mut encoder, "backup_bytes", "How large the newest backup is, as stored", bytes)?;
        }
        if let Some(drill) = &last.drill {
            gauge(
                &mut encoder,
                "backup_drill_age_seconds",
                "How long ago a backup was restored for trial",
                seconds(drill.at),
            )?;
            let took = usize::try_from(drill.recovery_time_ms / 1_000).unwrap_or(usize::MAX);
            gauge(&mut encoder, "backup_recovery_seconds", "How long restoring took, the last time", took)?;
        }
        gauge(
            &mut encoder,
            "backup_overdue",
            "Whether a backup that should have been made was not",
            usize::from(last.overdue),
        )?;
        let help = "Whether a drill that should have been made was not, or did not pass";
        gauge(&mut encoder, "backup_drill_overdue", help, usize::from(last.drill_overdue))
    }
}

/// Whether two ticks have passed since the last time: one may be under way.
pub(crate) fn is_overdue(schedule: &Schedule, last: Timestamp, now: Timestamp) -> bool {
    let second = schedule.next_after(last).and_then(|first| schedule.next_after(first));
    second.is_some_and(|second| second < now)
}

/// Starts looking.
pub(crate) fn start(app: &Arc<App>) {
    let looking = Arc::clone(app);
    app.lifecycle.spawn_until_stopped("backup figures", async move { watch(&looking).await });
}

async fn watch(app: &App) {
    let started = app.clock.now();
    let mut warned: Option<Instant> = None;
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = app.backups.ended.notified() => {}
        }
        let tick = Instant::now();
        let (backup, drill) = match app.store.run(&Call::within(PATIENCE), LastGood).await {
            Ok(seen) => seen,
            Err(error) => {
                tracing::warn!(%error, "it is not known when the last backup was made; it is looked again");
                continue;
            }
        };
        let (now, settings) = (app.clock.now(), &app.config.backup);
        let wanted = settings.place().is_some();
        let newest = backup.as_ref().map(|backup| backup.started_at);
        let wanted_since = wanted.then(|| newest.unwrap_or(started));
        let late = |schedule: Option<Schedule>, last: Option<Timestamp>| {
            wanted && schedule.is_some_and(|schedule| is_overdue(&schedule, last.unwrap_or(started), now))
        };
        let overdue = late(settings.schedule(), newest);
        let drill_overdue = late(settings.drill_schedule(), drill.as_ref().map(|drill| drill.at));
        if (overdue || drill_overdue) && warned.is_none_or(|at| tick.saturating_duration_since(at) >= WARN_EVERY) {
            warned = Some(tick);
            tracing::error!(
                overdue,
                drill_overdue,
                "backups are not made, or not tried, as backup.schedule and backup.drill_schedule say: look at `mainstay jobs list --kind backup`"
            );
        }
        *lock(&app.backups.last) = Last { backup, drill, at: Some(now), overdue, drill_overdue, wanted_since };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tick_may_be_missed_and_two_may_not() {
        let daily = Schedule::parse("17 3 * * *", "UTC").expect("a schedule");
        let at = |text: &str| text.parse::<Timestamp>().expect("a moment");
        let last = at("2026-11-28T03:17:01Z");
        assert!(!is_overdue(&daily, last, at("2026-11-29T12:00:00Z")), "the one of today may be under way");
        assert!(!is_overdue(&daily, last, at("2026-11-30T03:16:00Z")));
        assert!(is_overdue(&daily, last, at("2026-11-30T03:18:00Z")));
    }
}
