//! The end of attempts: the job, the delivery, the log and what the attempts say of their endpoints, many in one
//! transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mainstay_domain::{DeliveryState, DisabledReason, EndpointId, EventId, EventType, JobId, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::endpoints::cancel_what_waits;
use super::publish::{NewEvent, publish};
use super::resting::{put_off, spread};
use super::{DELIVERIES, DISABLED, ENABLED, ENDPOINT_DISABLED, Endpoint, EndpointRow, Health, derived};
use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::jobs::finish::{Ending, Finished, Keeping, finish};
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::Place;

statements! {
    LOG = insert((delivery_id: uuid, tenant_id: uuid, number: bigint, started_at: time, took_ms: bigint, status: bigint, error: text,
        request_headers: text, response_headers: text, response_body: text) "
        webhook_attempt (delivery_id, tenant_id, number, started_at, took_ms, status, error, request_headers, response_headers,
          response_body)
        SELECT delivery_id, tenant_id, number, started_at, took_ms, status, error, request_headers, response_headers, response_body
        FROM batch WHERE true ON CONFLICT (delivery_id, tenant_id, number) DO NOTHING");
    /// What was cancelled meanwhile stays so, unless it was taken.
    DELIVERY = update((id: uuid, tenant_id: uuid, state: text, attempts: bigint, status: bigint, error: text, next_at: time, ended_at: time) "
        webhook_delivery SET
          state = CASE WHEN webhook_delivery.state = 'cancelled' AND b.state <> 'delivered' THEN 'cancelled' ELSE b.state END,
          next_at = CASE WHEN webhook_delivery.state = 'cancelled' THEN NULL ELSE b.next_at END,
          ended_at = coalesce(webhook_delivery.ended_at, b.ended_at),
          attempts = b.attempts, status = b.status, error = b.error
        FROM batch b WHERE webhook_delivery.id = b.id AND webhook_delivery.tenant_id = b.tenant_id");
    ENDPOINTS = locking((id: uuid, tenant_id: uuid) "
        SELECT e.id, e.tenant_id, e.url, e.description, e.event_types, e.secrets, e.rate_per_minute, e.state, e.disabled_reason,
          e.disabled_at, e.failing_since, e.consecutive_failures, e.rests, e.rest_until, e.probe_until, e.created_at, e.updated_at
        FROM batch b JOIN webhook_endpoint e ON e.id = b.id AND e.tenant_id = b.tenant_id ORDER BY e.id", "FOR UPDATE OF e");
    HEALTH = update((id: uuid, tenant_id: uuid, state: text, disabled_reason: text, disabled_at: time, failing_since: time,
        consecutive_failures: bigint, rests: bigint, rest_until: time, probe_until: time) "
        webhook_endpoint SET state = b.state, disabled_reason = b.disabled_reason, disabled_at = b.disabled_at,
          failing_since = b.failing_since, consecutive_failures = b.consecutive_failures, rests = b.rests,
          rest_until = b.rest_until, probe_until = b.probe_until
        FROM batch b WHERE webhook_endpoint.id = b.id AND webhook_endpoint.tenant_id = b.tenant_id");
}

/// What an attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was taken.
    Delivered,
    /// It was not; it is tried again.
    Retry {
        /// When.
        at: Timestamp,
        /// Until when the endpoint has asked to be left alone.
        rest_until: Option<Timestamp>,
    },
    /// It was not, and that was the last attempt.
    Failed {
        /// Until when the endpoint has asked to be left alone.
        rest_until: Option<Timestamp>,
    },
    /// Nobody listens there any more.
    Gone,
}

/// What is kept of an attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttemptLog {
    /// How long it took, in milliseconds.
    pub took_ms: i64,
    /// The status of the answer, if its head came.
    pub status: Option<u16>,
    /// What was wrong.
    pub error: Option<String>,
    /// The headers of the request, as JSON, without signatures.
    pub request_headers: String,
    /// Headers of the answer, as JSON.
    pub response_headers: String,
    /// The beginning of the answer's body.
    pub response_body: String,
}

/// The end of an attempt to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptEnd {
    /// The organisation.
    pub tenant: TenantId,
    /// To where.
    pub endpoint: EndpointId,
    /// The job, which is the delivery.
    pub job: JobId,
    /// The number that the job was claimed under.
    pub lease: i64,
    /// Which start of the job it was.
    pub start: u32,
    /// Which attempt, from 1.
    pub number: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// What it came to.
    pub verdict: Verdict,
    /// What is kept of it.
    pub log: AttemptLog,
}

/// When endpoints are left alone, and when they are given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointPolicy {
    /// After so many failures in a row it is left alone.
    pub failures: u32,
    /// For how long the first time; twice as long each further time.
    pub first_rest: Duration,
    /// The longest that it is left alone.
    pub longest_rest: Duration,
    /// After so long without anything that was taken it is disabled.
    pub disable_after: Duration,
}

/// Ends attempts to deliver.
#[derive(Clone, Debug)]
pub struct EndAttempts {
    /// The attempts, at most 1,000, no job twice.
    pub attempts: Vec<AttemptEnd>,
    /// What follows for their endpoints.
    pub policy: EndpointPolicy,
    /// For how long jobs that have ended are kept.
    pub keeping: Keeping,
    /// The present moment.
    pub now: Timestamp,
}

/// What came of attempts that ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndedAttempts {
    /// Those that were still their worker's to end. Nothing is stored of the others.
    pub ended: Vec<JobId>,
    /// How many endpoints are left alone from now on.
    pub rested: u32,
    /// The endpoints that were disabled.
    pub disabled: Vec<(TenantId, EndpointId, DisabledReason)>,
}

#[derive(Serialize)]
struct LogRow<'a> {
    delivery_id: Uuid,
    tenant_id: Uuid,
    number: u32,
    started_at: i64,
    took_ms: i64,
    status: Option<u32>,
    error: Option<&'a str>,
    request_headers: &'a str,
    response_headers: &'a str,
    response_body: &'a str,
}

#[derive(Serialize)]
struct DeliveryRow<'a> {
    id: Uuid,
    tenant_id: Uuid,
    state: &'static str,
    attempts: u32,
    status: Option<u32>,
    error: Option<&'a str>,
    next_at: Option<i64>,
    ended_at: Option<i64>,
}

#[derive(Serialize)]
struct HealthRow {
    id: Uuid,
    tenant_id: Uuid,
    state: &'static str,
    disabled_reason: Option<&'static str>,
    disabled_at: Option<i64>,
    failing_since: Option<i64>,
    consecutive_failures: u32,
    rests: u32,
    rest_until: Option<i64>,
    probe_until: Option<i64>,
}

impl AttemptEnd {
    fn finished(&self) -> Finished {
        let error = || self.log.error.clone().unwrap_or_default();
        let ending = match self.verdict {
            Verdict::Retry { at, .. } => Ending::Retry { at, error: error() },
            // A delivery that failed for good is its organisation's affair, and no fault of the installation's.
            Verdict::Delivered | Verdict::Failed { .. } | Verdict::Gone => Ending::Done,
        };
        Finished { job: self.job, lease: self.lease, attempt: self.start, started_at: self.started_at, ending }
    }

    fn delivery(&self, now: Timestamp) -> DeliveryRow<'_> {
        let (state, next_at) = match self.verdict {
            Verdict::Delivered => (DeliveryState::Delivered, None),
            Verdict::Retry { at, .. } => (DeliveryState::Pending, Some(at.as_millis())),
            Verdict::Failed { .. } | Verdict::Gone => (DeliveryState::Failed, None),
        };
        DeliveryRow {
            id: self.job.uuid(),
            tenant_id: self.tenant.uuid(),
            state: state.as_str(),
            attempts: self.number,
            status: self.log.status.map(u32::from),
            error: self.log.error.as_deref(),
            next_at,
            ended_at: next_at.is_none().then_some(now.as_millis()),
        }
    }

    fn logged(&self) -> LogRow<'_> {
        LogRow {
            delivery_id: self.job.uuid(),
            tenant_id: self.tenant.uuid(),
            number: self.number,
            started_at: self.started_at.as_millis(),
            took_ms: self.log.took_ms,
            status: self.log.status.map(u32::from),
            error: self.log.error.as_deref(),
            request_headers: &self.log.request_headers,
            response_headers: &self.log.response_headers,
            response_body: &self.log.response_body,
        }
    }
}

/// What is told of an endpoint that was disabled.
#[derive(Serialize)]
struct Notice<'a> {
    endpoint_id: EndpointId,
    url: &'a str,
    reason: DisabledReason,
    disabled_at: Timestamp,
    failing_since: Option<Timestamp>,
}

impl Health {
    /// What an attempt says of its endpoint. The answer is why it is disabled, if that follows.
    fn learn(&mut self, verdict: Verdict, policy: &EndpointPolicy, now: Timestamp) -> Option<DisabledReason> {
        let asked = match verdict {
            Verdict::Delivered => {
                // What the endpoint itself has asked for holds, whatever was under way.
                let asked = if self.rests == 0 { self.rests_until(now) } else { None };
                *self = Self { rest_until: asked, ..Self::default() };
                return None;
            }
            Verdict::Gone => return Some(DisabledReason::Gone),
            Verdict::Retry { rest_until, .. } | Verdict::Failed { rest_until } => rest_until,
        };
        self.failures = self.failures.saturating_add(1);
        let since = *self.failing_since.get_or_insert(now);
        if now.since(since) >= policy.disable_after {
            return Some(DisabledReason::Failing);
        }
        if self.failures >= policy.failures && self.rests_until(now).is_none() {
            let longer = 1u32 << self.rests.min(20);
            self.rests += 1;
            self.probe_until = None;
            self.rest_until = Some(now.plus((policy.first_rest * longer).min(policy.longest_rest)));
        }
        self.rest_until = self.rest_until.max(asked);
        None
    }
}

impl Intent for EndAttempts {
    type Output = EndedAttempts;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::of(self.attempts.iter().map(|attempt| attempt.tenant))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<EndedAttempts> {
        let finished: Vec<_> = self.attempts.iter().map(AttemptEnd::finished).collect();
        let ended: BTreeSet<_> = finish(tx, &finished, self.keeping, self.now).await?.into_iter().collect();
        let mine: Vec<_> = self.attempts.iter().filter(|attempt| ended.contains(&attempt.job)).collect();
        if mine.is_empty() {
            return Ok(EndedAttempts::default());
        }
        let logged: Vec<_> = mine.iter().map(|attempt| attempt.logged()).collect();
        tx.batch(LOG, &logged).run().await?;
        let mut deliveries: Vec<_> = mine.iter().map(|attempt| attempt.delivery(self.now)).collect();
        deliveries.sort_by_key(|row| row.id);
        tx.batch(DELIVERY, &deliveries).run().await?;
        let mut answer = EndedAttempts { ended: ended.into_iter().collect(), ..EndedAttempts::default() };
        self.judge(tx, &mine, &mut answer).await?;
        // What ran stood in the way of what waits for the same endpoint.
        tx.enqueued(DELIVERIES, self.now);
        Ok(answer)
    }
}

impl EndAttempts {
    /// What the attempts say of their endpoints.
    async fn judge(&self, tx: &mut Tx<'_>, mine: &[&AttemptEnd], answer: &mut EndedAttempts) -> Result<()> {
        let places: BTreeSet<_> = mine.iter().map(|attempt| (attempt.endpoint.uuid(), attempt.tenant.uuid())).collect();
        let places: Vec<_> = places.into_iter().map(|(id, tenant_id)| Place { id, tenant_id }).collect();
        let rows: Vec<EndpointRow> = tx.batch(ENDPOINTS, &places).rows().await?;
        let known: Vec<Endpoint> = rows.into_iter().map(Endpoint::try_from).collect::<Result<_>>()?;
        let mut known: BTreeMap<_, _> = known.into_iter().map(|one| (one.id, one)).collect();
        let before: BTreeMap<_, _> = known.iter().map(|(id, one)| (*id, (one.health, one.disabled))).collect();
        for attempt in mine {
            let Some(endpoint) = known.get_mut(&attempt.endpoint) else { continue };
            let reason = endpoint.health.learn(attempt.verdict, &self.policy, self.now);
            if let (Some(reason), None) = (reason, endpoint.disabled) {
                endpoint.disabled = Some((reason, self.now));
                answer.disabled.push((endpoint.tenant, endpoint.id, reason));
            }
        }
        let changed: Vec<_> =
            known.values().filter(|one| before.get(&one.id) != Some(&(one.health, one.disabled))).collect();
        if changed.is_empty() {
            return Ok(());
        }
        let rows: Vec<_> = changed.iter().map(|endpoint| health_row(endpoint)).collect();
        tx.batch(HEALTH, &rows).run().await?;
        for endpoint in changed {
            let (health, disabled) = before.get(&endpoint.id).copied().unwrap_or_default();
            if disabled.is_none() && endpoint.disabled.is_some() {
                self.tell(tx, endpoint).await?;
            } else if endpoint.health.rest_until > health.rest_until {
                answer.rested += u32::from(endpoint.health.rests > health.rests);
                self.leave_alone(tx, endpoint).await?;
            }
        }
        Ok(())
    }

    async fn leave_alone(&self, tx: &mut Tx<'_>, endpoint: &Endpoint) -> Result<()> {
        let Some(until) = endpoint.health.rests_until(self.now) else { return Ok(()) };
        let within = spread_of(until.since(self.now));
        put_off(tx, endpoint.id, |n| spread(until, within, n)).await.map(|_| ())
    }

    /// What was disabled is told to the organisation's other endpoints, and what waits for it is cancelled.
    async fn tell(&self, tx: &mut Tx<'_>, endpoint: &Endpoint) -> Result<()> {
        let Some((reason, disabled_at)) = endpoint.disabled else { return Ok(()) };
        let notice = Notice {
            endpoint_id: endpoint.id,
            url: &endpoint.url,
            reason,
            disabled_at,
            failing_since: endpoint.health.failing_since,
        };
        let bug = |error: String| Error::Bug(format!("the notice of a disabled endpoint: {error}"));
        let event = NewEvent {
            id: EventId(derived(self.now, &[b"disabled", endpoint.id.uuid().as_bytes()])),
            kind: EventType::parse(ENDPOINT_DISABLED).map_err(|refused| bug(refused.detail))?,
            payload: serde_json::to_string(&notice).map_err(|error| bug(error.to_string()))?,
        };
        publish(tx, endpoint.tenant, &[event], self.now).await?;
        let why = match reason {
            DisabledReason::Gone => "The endpoint was disabled: it answered 410.",
            DisabledReason::Failing => "The endpoint was disabled: it had been failing for too long.",
            DisabledReason::Asked => "The endpoint was disabled.",
        };
        cancel_what_waits(tx, endpoint.tenant, endpoint.id, why, self.now).await
    }
}

/// The time within which what waited for the end of a rest comes back: a quarter of it, from 2 to 60 seconds.
#[must_use]
pub fn spread_of(rest: Duration) -> Duration {
    (rest / 4).clamp(Duration::from_secs(2), Duration::from_secs(60))
}

fn health_row(endpoint: &Endpoint) -> HealthRow {
    let health = endpoint.health;
    HealthRow {
        id: endpoint.id.uuid(),
        tenant_id: endpoint.tenant.uuid(),
        state: if endpoint.disabled.is_some() { DISABLED } else { ENABLED },
        disabled_reason: endpoint.disabled.map(|(reason, _)| reason.as_str()),
        disabled_at: endpoint.disabled.map(|(_, since)| since.as_millis()),
        failing_since: health.failing_since.map(Timestamp::as_millis),
        consecutive_failures: health.failures,
        rests: health.rests,
        rest_until: health.rest_until.map(Timestamp::as_millis),
        probe_until: health.probe_until.map(Timestamp::as_millis),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: EndpointPolicy = EndpointPolicy {
        failures: 5,
        first_rest: Duration::from_secs(5),
        longest_rest: Duration::from_secs(300),
        disable_after: Duration::from_secs(5 * 86_400),
    };
    const FAILED: Verdict = Verdict::Failed { rest_until: None };

    #[test]
    fn five_failures_in_a_row_leave_an_endpoint_alone_longer_each_time() {
        let (mut health, mut now) = (Health::default(), Timestamp::from_millis(1_700_000_000_000));
        for _ in 0..4 {
            assert_eq!(health.learn(FAILED, &POLICY, now), None);
        }
        assert_eq!(health.rests_until(now), None);
        for rest in [5, 10, 20, 40, 80, 160, 300, 300] {
            health.learn(FAILED, &POLICY, now);
            // What was under way says nothing new.
            health.learn(FAILED, &POLICY, now);
            assert_eq!(health.rests_until(now), Some(now.plus(Duration::from_secs(rest))));
            assert!(health.needs_probe());
            now = now.plus(Duration::from_secs(rest));
        }
        health.learn(Verdict::Delivered, &POLICY, now);
        assert_eq!(health, Health::default());
    }

    #[test]
    fn what_an_endpoint_asks_for_holds_whatever_was_under_way() {
        let (mut health, now) = (Health::default(), Timestamp::from_millis(1_700_000_000_000));
        let asked = Some(now.plus(Duration::from_secs(60)));
        health.learn(Verdict::Retry { at: now, rest_until: asked }, &POLICY, now);
        health.learn(Verdict::Delivered, &POLICY, now);
        assert_eq!(health, Health { rest_until: asked, ..Health::default() });
    }

    #[test]
    fn an_endpoint_is_given_up_after_five_days_or_at_once_when_it_is_gone() {
        let (mut health, now) = (Health::default(), Timestamp::from_millis(1_700_000_000_000));
        health.learn(FAILED, &POLICY, now);
        let late = now.plus(POLICY.disable_after);
        assert_eq!(health.learn(FAILED, &POLICY, late.minus(Duration::from_millis(1))), None);
        assert_eq!(health.learn(FAILED, &POLICY, late), Some(DisabledReason::Failing));
        assert_eq!(Health::default().learn(Verdict::Gone, &POLICY, now), Some(DisabledReason::Gone));
    }
}
