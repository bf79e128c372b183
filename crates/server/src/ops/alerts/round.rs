//! The rounds: one node at a time looks how the installation is, judges it by every rule, and promises the messages.

use std::sync::Arc;
use std::time::Duration;

use mainstay_domain::Result;
use mainstay_jobs::Promise;
use mainstay_store::{
    AcquireLease, Alert, Call, ListAudits, ReadAges, ReadNodeHealth, ReadOpenAlerts, ReadSystemHealth, RecordAlerts,
    ReleaseLease, RenewLease,
};
use tokio::time::{MissedTickBehavior, interval};

use super::judge::{Judged, Patience, Seen, judge};
use super::message::Message;
use super::rules::{RULES, Readings, rule};
use super::send::AlertMessage;
use crate::app::App;
use crate::config::Alerts;
use crate::job_list;

/// How long each question of a round may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The name of the lease.
const LEASE: &str = "alerts";

fn call() -> Call {
    Call::within(PATIENCE)
}

/// Starts the rounds.
pub(super) fn start(app: &Arc<App>) {
    let (judge, stopped) = (Arc::clone(app), app.lifecycle.stopped());
    app.lifecycle.spawn("alerts", async move {
        let mut lease = None;
        let rounds = async {
            let mut ticks = interval(judge.config.alerts.every());
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let outcome = round(&judge, &mut lease).await;
                let word = match &outcome {
                    Ok(true) => "done",
                    Ok(false) => "stood_by",
                    Err(_) => "failed",
                };
                judge.watching.alerts.count_round(word);
                if let Err(error) = outcome {
                    tracing::warn!(%error, inside = ?error.inside, "alerts could not be judged; it is tried again");
                }
            }
        };
        tokio::select! {
            () = rounds => {}
            () = stopped => {}
        }
        // Another node goes on at once.
        if let Some(number) = lease {
            let _ = judge.store.run(&call(), ReleaseLease { name: LEASE.to_owned(), number }).await;
        }
    });
}

/// One round; false when another node judges.
async fn round(app: &Arc<App>, lease: &mut Option<i64>) -> Result<bool> {
    *lease = hold(app, *lease).await?;
    let Some(number) = *lease else { return Ok(false) };
    let readings = readings(app).await?;
    judge_these(app, &readings, number).await.map(|judged| judged.is_some())
}

/// Renews the lease, or takes it when it is free.
async fn hold(app: &App, held: Option<i64>) -> Result<Option<i64>> {
    let (now, lasts) = (app.clock.now(), app.config.alerts.every() * 2 + PATIENCE);
    if let Some(number) = held {
        let renew = RenewLease { name: LEASE.to_owned(), number, now, lasts };
        if app.store.run(&call(), renew).await? {
            return Ok(Some(number));
        }
    }
    let holder = format!("process {}", std::process::id());
    Ok(app.store.run(&call(), AcquireLease { name: LEASE.to_owned(), holder, now, lasts }).await?)
}

/// How the installation is.
async fn readings(app: &Arc<App>) -> Result<Readings> {
    let now = app.clock.now();
    let system = app.store.run(&call(), ReadSystemHealth).await?;
    let nodes = app.store.run(&call(), ReadNodeHealth).await?;
    let ages = app.store.run(&call(), ReadAges).await?;
    let audits = app.store.run(&call(), ListAudits(2)).await?;
    let bounds = job_list::queues(&app.config);
    let share = |age: &mainstay_store::QueueAge| {
        let waited = age.oldest.map(|oldest| now.since(oldest)).unwrap_or_default();
        let bound = bounds.iter().find(|queue| queue.name == age.name);
        let bound = bound.map_or(app.config.jobs.oldest(), |queue| queue.oldest).max(Duration::from_secs(1));
        (age.name.clone(), waited.as_secs_f64() * 100.0 / bound.as_secs_f64())
    };
    let silence = |node: mainstay_store::NodeHealth| {
        let seconds = now.since(node.last_seen).as_secs_f64();
        (node, seconds)
    };
    let drop = match audits.as_slice() {
        [last, before, ..] => Some((f64::from(before.score) - f64::from(last.score)) / 10.0),
        _ => None,
    };
    Ok(Readings {
        system: Some(system),
        nodes: nodes.into_iter().map(silence).collect(),
        queues: ages.iter().filter(|age| age.paused_at.is_none()).map(share).collect(),
        dead_jobs: app.jobs.depths.dead().map(f64::from),
        audit_drop: drop,
        backup_hours: app.backups.hours(app.clock.now()),
        certificate_percent: app.tls.get().map(|tls| tls.certificate().spent_percent(now)),
    })
}

/// Judges by these readings, whoever does it otherwise: for tests, and for drills.
///
/// # Errors
/// As the store.
pub async fn judge_once(app: &Arc<App>, readings: &Readings) -> Result<Option<Judged>> {
    let Some(number) = hold(app, None).await? else { return Ok(None) };
    let judged = judge_these(app, readings, number).await;
    app.store.run(&call(), ReleaseLease { name: LEASE.to_owned(), number }).await?;
    judged
}

/// Adds what is not measured because it is well.
fn with_absent(mut seen: Vec<Seen>, open: &[Alert], settings: &Alerts) -> Vec<Seen> {
    for alert in open {
        let Some(rule) = rule(&alert.rule).filter(|rule| rule.absent_is_well) else { continue };
        if !seen.iter().any(|one| one.rule == rule.name && one.subject == alert.subject) {
            let (threshold, well_at) = ((rule.threshold)(settings), rule.well_at(settings));
            seen.push(Seen { rule: rule.name, subject: alert.subject.clone(), value: 0.0, threshold, well_at });
        }
    }
    seen
}

/// Nothing, when the lease was lost meanwhile.
async fn judge_these(app: &Arc<App>, readings: &Readings, number: i64) -> Result<Option<Judged>> {
    let (settings, now) = (&app.config.alerts, app.clock.now());
    let seen: Vec<Seen> = RULES
        .iter()
        .flat_map(|rule| {
            let (threshold, well_at) = ((rule.threshold)(settings), rule.well_at(settings));
            let measured = (rule.measure)(readings).into_iter();
            measured.map(move |one| Seen {
                rule: rule.name,
                subject: one.subject,
                value: one.value,
                threshold,
                well_at,
            })
        })
        .collect();
    let open = app.store.run(&call(), ReadOpenAlerts).await?;
    let seen = with_absent(seen, &open, settings);
    let receivers = app.watching.alerts.sender.receivers();
    let make = || app.ids.make();
    let judged = judge(open, &seen, Patience::of(settings), (now, !receivers.is_empty()), make);
    app.watching.alerts.set_firing(judged.firing);
    for alert in judged.changed.iter().filter(|alert| alert.fired_at == Some(now)) {
        tracing::warn!(rule = alert.rule, subject = alert.subject, value = alert.value, "an alert fires");
    }
    for alert in judged.changed.iter().filter(|alert| alert.ended_at == Some(now)) {
        tracing::info!(rule = alert.rule, subject = alert.subject, value = alert.value, "an alert is over");
    }
    let mut jobs = Vec::new();
    if judged.has_news() {
        let message = Message::of(&judged, &super::installation(app), now);
        for receiver in receivers {
            let job = AlertMessage { receiver: receiver.to_owned(), message: message.clone() };
            jobs.push(Promise::of(app.ids.make(), &job, now)?.job());
        }
    }
    if judged.changed.is_empty() && judged.dropped.is_empty() && jobs.is_empty() {
        return Ok(Some(judged));
    }
    let (changed, dropped) = (judged.changed.clone(), judged.dropped.clone());
    let record = RecordAlerts { lease: (LEASE.to_owned(), number), changed, dropped, jobs, now };
    let kept = app.store.run_for_jobs(&call(), record).await?;
    Ok(kept.then_some(judged))
}
