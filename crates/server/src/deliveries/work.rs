//! How one delivery goes: read, wait for its turn, sign, send, and store what came of it.
//!
//! No transaction is open while the other side takes its time. What fails on our side, such as reading, is no attempt: the
//! delivery is put off for a moment.

use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use mainstay_domain::{DeliveryState, EndpointId, EventId, Secret, TenantId, Timestamp};
use mainstay_jobs::{Done, Failure, JobContext, JobResult, Retry};
use mainstay_store::{
    AttemptEnd, AttemptLog, Call, DeliveryAt, DeliveryDue, EndUnsent, Endpoint, EventContent, PutOffDeliveries,
    TakeTurn, Turn, Verdict, spread_of,
};
use url::Url;

use super::answer::{Outcome, judge, judge_failure, kept_body, kept_headers};
use super::{Deliveries, secrets};
use crate::webhooks::signature::{Secrets, sign};

/// How long reading and asking for a turn may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a delivery waits that could not be read or stored.
const LATER: Duration = Duration::from_secs(1);
/// How long a delivery waits whose secrets cannot be opened here: their key is missing.
const UNOPENED: Duration = Duration::from_secs(30);
/// How long a delivery waits while another tries whether the endpoint is well again.
const PROBED: Duration = Duration::from_secs(2);
/// How much longer than its exchange an attempt to see whether an endpoint is well again may take to be stored.
const PROBE_MARGIN: Duration = Duration::from_secs(20);

/// An exchange that has ended.
struct Sent {
    outcome: Outcome,
    log: AttemptLog,
}

impl Deliveries {
    /// Makes one delivery.
    pub(super) async fn deliver(&self, context: &JobContext) -> JobResult {
        let (Some(tenant), Ok(endpoint)) = (context.tenant, context.group.parse::<EndpointId>()) else {
            return Err(Failure::new("a delivery without an organisation or an endpoint").retry(Retry::Never));
        };
        let place = DeliveryAt { tenant, id: context.job.into(), endpoint };
        let due = match self.read(place).await {
            Ok(Some(due)) if due.state == DeliveryState::Pending => due,
            // It was cancelled, or it has been kept long enough.
            Ok(_) => return Ok(Done::Finished),
            Err(error) => return Ok(self.later(&error)),
        };
        let DeliveryDue { attempts, event, content, endpoint, .. } = due;
        let (content, endpoint) = match (content, endpoint) {
            (_, None) => return self.unsent(context, tenant, "The endpoint was removed.").await,
            (None, _) => return self.unsent(context, tenant, "The event has been kept long enough.").await,
            (_, Some(endpoint)) if endpoint.disabled.is_some() => {
                return self.unsent(context, tenant, "The endpoint was disabled.").await;
            }
            (Some(content), Some(endpoint)) => (content, endpoint),
        };
        if let Some(wait) = self.wait(&endpoint).await {
            return Ok(wait);
        }
        let secrets = match self.secrets(&endpoint) {
            Ok(secrets) => secrets,
            Err(error) => {
                // It is on our side, so it is no attempt, and not over in a moment.
                tracing::warn!(%error, inside = ?error.inside, endpoint = %endpoint.id, "a delivery waits for a key");
                return Ok(Done::Snoozed(UNOPENED.mul_f64(1.0 + self.entropy.fraction())));
            }
        };
        let started_at = self.clock.now();
        let sent = self.send(&endpoint, &secrets, event, &content).await;
        self.store_end(context, &endpoint, (attempts + 1, started_at, content.published_at), sent).await
    }

    /// Waits for the turn of the endpoint: nothing when it has come.
    async fn wait(&self, endpoint: &Endpoint) -> Option<Done> {
        let now = self.clock.now();
        let (tenant, id, health) = (endpoint.tenant, endpoint.id, endpoint.health);
        if let Some(until) = health.rests_until(now) {
            let rest = until.since(now);
            let spread = spread_of(rest);
            // What waits with it is put off too, so that an endpoint that is left alone costs nothing.
            let put_off = PutOffDeliveries { tenant, endpoint: id, until, spread };
            if let Err(error) = self.store.run_for_jobs(&call(), put_off).await {
                return Some(self.later(&error));
            }
            return Some(Done::Snoozed(rest + spread.mul_f64(self.entropy.fraction())));
        }
        if !health.needs_probe() && endpoint.rate_per_minute.is_none() {
            return None;
        }
        let probe_until = health.needs_probe().then(|| now.plus(self.deadline + PROBE_MARGIN));
        let take = TakeTurn { tenant, endpoint: id, probe_until, rate_per_minute: endpoint.rate_per_minute, now };
        match self.store.run_for_jobs(&call(), take).await {
            Ok(Turn::Now) => None,
            Ok(Turn::At(place)) => Some(Done::Snoozed(place.since(self.clock.now()))),
            Ok(Turn::Probed) => {
                let until = now.plus(PROBED);
                let put_off = PutOffDeliveries { tenant, endpoint: id, until, spread: PROBED };
                if let Err(error) = self.store.run_for_jobs(&call(), put_off).await {
                    return Some(self.later(&error));
                }
                Some(Done::Snoozed(PROBED.mul_f64(1.0 + self.entropy.fraction())))
            }
            Err(error) => Some(self.later(&error)),
        }
    }

    /// What signs now.
    fn secrets(&self, endpoint: &Endpoint) -> mainstay_domain::Result<Vec<Secret>> {
        let now = self.clock.now();
        let plain = self.keys.open(secrets::place(endpoint.tenant, endpoint.id), &endpoint.secrets)?;
        let good = secrets::read(&plain)?.into_iter().filter(|secret| secret.until.is_none_or(|until| until > now));
        Ok(good.map(|secret| secret.secret).collect())
    }

    /// Signs and sends.
    async fn send(&self, endpoint: &Endpoint, secrets: &[Secret], event: EventId, content: &EventContent) -> Sent {
        let body = body(event, content);
        let (url, headers) = match self.request(endpoint, secrets, event, &body) {
            Ok(request) => request,
            Err(error) => {
                let outcome = Outcome::Refused { class: "unsendable", error: error.clone(), rest: None };
                let log = AttemptLog {
                    error: Some(error),
                    request_headers: "{}".to_owned(),
                    response_headers: "{}".to_owned(),
                    ..AttemptLog::default()
                };
                return Sent { outcome, log };
            }
        };
        let request_headers = kept_headers(&headers);
        match self.outgoing.post(&url, headers, body).await {
            Ok(answer) => {
                let outcome = judge(&answer, self.clock.as_ref());
                let log = AttemptLog {
                    took_ms: millis(answer.took),
                    status: Some(answer.status.as_u16()),
                    error: error_of(&outcome),
                    request_headers,
                    response_headers: kept_headers(&answer.headers),
                    response_body: kept_body(&answer.body),
                };
                Sent { outcome, log }
            }
            Err(failure) => {
                tracing::debug!(endpoint = %endpoint.id, inside = failure.inside, "a delivery had no whole answer");
                let outcome = judge_failure(&failure);
                let log = AttemptLog {
                    took_ms: millis(failure.took),
                    status: failure.status.map(|status| status.as_u16()),
                    error: error_of(&outcome),
                    request_headers,
                    response_headers: "{}".to_owned(),
                    response_body: String::new(),
                };
                Sent { outcome, log }
            }
        }
    }

    /// Where to and with which headers; or what is wrong with the endpoint.
    fn request(
        &self,
        endpoint: &Endpoint,
        secrets: &[Secret],
        event: EventId,
        body: &[u8],
    ) -> Result<(Url, HeaderMap), String> {
        let now = self.clock.now();
        let url = Url::parse(&endpoint.url).map_err(|error| format!("The URL cannot be called: {error}."))?;
        let secrets = Secrets::standard(secrets).map_err(|bad| bad.detail())?;
        let signed = sign(&secrets, &event.to_string(), now, body).map_err(|error| error.to_string())?;
        let mut headers = HeaderMap::from_iter(signed.headers());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok((url, headers))
    }

    async fn store_end(
        &self,
        context: &JobContext,
        endpoint: &Endpoint,
        (number, started_at, published_at): (u32, Timestamp, Timestamp),
        Sent { outcome, log }: Sent,
    ) -> JobResult {
        let now = self.clock.now();
        let (class, verdict) = match outcome {
            Outcome::Taken => ("delivered", Verdict::Delivered),
            Outcome::Gone => ("gone", Verdict::Gone),
            Outcome::Refused { class, rest, .. } => (class, self.again(number, rest, now)),
        };
        let took = Duration::from_millis(u64::try_from(log.took_ms).unwrap_or(0));
        let end = AttemptEnd {
            tenant: endpoint.tenant,
            endpoint: endpoint.id,
            job: context.job,
            lease: context.fence.lease,
            start: context.attempt,
            number,
            started_at,
            verdict,
            log,
        };
        if !self.end(end).await {
            // Somebody else has the job by now, and this changes nothing; or nothing could be stored, and it is sent again.
            return Ok(Done::Snoozed(LATER));
        }
        self.figures.attempt(class, took.as_secs_f64());
        if number == 1 {
            self.figures.first(now.since(published_at).as_secs_f64());
        }
        Ok(Done::Settled)
    }

    /// When it is tried again after so many attempts: as the schedule says, give or take a fifth, and not before the
    /// endpoint wants it.
    fn again(&self, attempts: u32, rest: Option<Duration>, now: Timestamp) -> Verdict {
        let rest_until = rest.map(|rest| now.plus(rest));
        let place = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
        let Some(wait) = self.waits.get(place) else { return Verdict::Failed { rest_until } };
        let wait = wait.mul_f64(0.8 + 0.4 * self.entropy.fraction());
        Verdict::Retry { at: now.plus(wait.max(rest.unwrap_or_default())), rest_until }
    }

    async fn unsent(&self, context: &JobContext, tenant: TenantId, reason: &'static str) -> JobResult {
        let end = EndUnsent { tenant, attempt: context.fence, reason, keeping: self.keeping, now: self.clock.now() };
        match self.store.run_for_jobs(&call(), end).await {
            Ok(()) => Ok(Done::Settled),
            Err(error) => Ok(self.later(&error)),
        }
    }

    /// What fails on our side is no attempt.
    fn later(&self, error: &dyn Display) -> Done {
        tracing::warn!(%error, "a delivery is put off for a moment");
        Done::Snoozed(LATER.mul_f64(1.0 + self.entropy.fraction()))
    }
}

fn call() -> Call {
    Call::within(PATIENCE)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn error_of(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Taken => None,
        Outcome::Gone => Some("The endpoint answered 410: nobody listens there any more.".to_owned()),
        Outcome::Refused { error, .. } => Some(error.clone()),
    }
}

/// What is sent: the same bytes each time, for it follows from the event alone.
fn body(event: EventId, content: &EventContent) -> Bytes {
    let EventContent { kind, payload, published_at } = content;
    // A type has no character that JSON would escape, and the payload is JSON.
    format!(r#"{{"id":"{event}","type":"{kind}","timestamp":"{published_at}","data":{payload}}}"#).into()
}
