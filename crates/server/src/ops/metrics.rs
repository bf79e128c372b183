//! `/metrics`: figures for Prometheus. Every label has a fixed set of values.

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use mainstay_domain::Error;
use mainstay_store::Store;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::app::App;
use crate::assistant::Assistant;
use crate::http::{Problem, RequestContext};
use crate::limits::Limits;
use crate::ops::pools::PoolUse;
use crate::ops::process::ProcessFigures;
use crate::redis::{Redis, State as LinkState};

/// Figures that are read when they are asked for: of these parts.
pub struct Figures {
    /// Connections, batches.
    pub store: Store,
    /// Replies, providers.
    pub assistant: Arc<Assistant>,
    /// How much of the connections is used.
    pub pool_use: PoolUse,
    /// Who is counted.
    pub limits: Arc<Limits>,
    /// The link, where there is one.
    pub redis: Option<Redis>,
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Figures")
    }
}

impl Figures {
    /// Adds them.
    pub fn register(self, registry: &mut Registry) {
        let (waits, commits) = self.store.histograms();
        let help = "Time that was waited for a connection";
        registry.register_with_unit("mainstay_database_connection_wait", help, Unit::Seconds, waits);
        registry.register_with_unit("mainstay_database_commit", "Time that a commit took", Unit::Seconds, commits);
        registry.register_collector(Box::new(ProcessFigures::new()));
        registry.register_collector(Box::new(self));
    }

    fn encode_limits(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let (keys, evicted) = self.limits.figures();
        gauge(encoder, "limit_keys", "Callers whose requests are remembered", keys)?;
        counter(encoder, "limit_keys_evicted", "Callers that were forgotten while they still counted", evicted)?;
        if let Some(shared) = self.limits.is_shared() {
            gauge(encoder, "limits_shared", "Whether Redis decides for all nodes", usize::from(shared))?;
        }
        let Some(redis) = &self.redis else { return Ok(()) };
        let up = usize::from(redis.link.state() == LinkState::Up);
        let (opened, failures) = redis.link.figures();
        gauge(encoder, "redis_up", "Whether Redis answers", up)?;
        gauge(encoder, "redis_messages_up", "Whether messages come in", usize::from(redis.bus.is_connected()))?;
        counter(encoder, "redis_failures", "Calls that failed or were not answered in time", failures)?;
        counter(encoder, "redis_breaker_opened", "How often the breaker opened", opened)?;
        counter(encoder, "redis_messages_dropped", "Messages that may not have been published", redis.bus.dropped())
    }
}

/// Writes a figure that goes up and down.
pub(crate) fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: usize) -> fmt::Result {
    let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    gauge.encode(encoder.encode_descriptor(
        &format!("mainstay_{name}"),
        help,
        None,
        prometheus_client::metrics::MetricType::Gauge,
    )?)
}

/// Writes a figure that only grows.
pub(crate) fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let counter = ConstCounter::new(value);
    counter.encode(encoder.encode_descriptor(
        &format!("mainstay_{name}"),
        help,
        None,
        prometheus_client::metrics::MetricType::Counter,
    )?)
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        let (used, most) = self.store.connections_in_use();
        gauge(encoder, "database_connections_in_use", "Connections that are lent out", used)?;
        gauge(encoder, "database_connections_most", "Connections that there may be", most)?;
        let (mean, peak, _) = self.pool_use.last_minute();
        let help = "Connections of requests that were lent over the last minute, on average";
        let mean = ConstGauge::new(mean);
        let name = "mainstay_database_connections_mean";
        mean.encode(encoder.encode_descriptor(name, help, None, prometheus_client::metrics::MetricType::Gauge)?)?;
        let help = "The most connections of requests that were lent at once in the last minute";
        gauge(encoder, "database_connections_peak", help, peak)?;
        let turns = self.store.turn_figures();
        counter(encoder, "turn_batches", "Batches of turns", turns.batches)?;
        counter(encoder, "turn_members", "Turns in batches", turns.members)?;
        counter(encoder, "turn_refusals", "Turns refused because the queue was full", turns.refused)?;
        gauge(encoder, "turns_waiting", "Turns that wait for a batch", turns.waiting)?;
        gauge(encoder, "replies_in_the_making", "Replies that this node makes", self.assistant.live_count())?;
        self.encode_limits(encoder)?;
        for provider in self.assistant.provider_figures() {
            let label = |name: &str| format!("provider_{}_{name}", provider.provider);
            counter(encoder, &label("requests"), "Requests to the provider", provider.requests)?;
            counter(encoder, &label("retries"), "Requests that were tried again", provider.retries)?;
            let continued = "Requests to go on with a reply that another provider broke off";
            counter(encoder, &label("continuations"), continued, provider.continuations)?;
            counter(encoder, &label("replies"), "Replies that it completed", provider.replies)?;
            counter(
                encoder,
                &label("faults"),
                "Requests that failed",
                provider.faults.iter().map(|fault| fault.1).sum(),
            )?;
            counter(encoder, &label("breaker_opened"), "How often its breaker opened", provider.breaker_opened)?;
            gauge(encoder, &label("in_flight"), "Requests that run", provider.in_flight)?;
            gauge(encoder, &label("queued"), "Requests that wait", provider.queued)?;
        }
        Ok(())
    }
}

/// All figures in the text format of OpenMetrics, for the networks of `http.metrics_networks` only.
#[utoipa::path(get, path = "/metrics", tag = "operations", security(()),
    responses((status = 200, body = String, content_type = "application/openmetrics-text"), (status = 404)))]
pub async fn metrics(State(app): State<Arc<App>>, context: RequestContext) -> Result<Response, Problem> {
    if !app.config.http.may_read_metrics(context.client_address) {
        return Err(Error::not_found("page").into());
    }
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &app.metrics).map_err(Error::internal)?;
    Ok(([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response())
}
