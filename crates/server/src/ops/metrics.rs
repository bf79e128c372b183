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
use crate::ops::pools::PoolUse;

/// Figures that are read when they are asked for.
struct Figures {
    store: Store,
    assistant: Arc<Assistant>,
    pool_use: PoolUse,
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Figures")
    }
}

/// Adds the figures of the store and of the assistant.
pub fn register(registry: &mut Registry, store: &Store, assistant: &Arc<Assistant>, pool_use: &PoolUse) {
    let (waits, commits) = store.histograms();
    let help = "Time that was waited for a connection";
    registry.register_with_unit("mainstay_database_connection_wait", help, Unit::Seconds, waits);
    registry.register_with_unit("mainstay_database_commit", "Time that a commit took", Unit::Seconds, commits);
    let (store, assistant, pool_use) = (store.clone(), Arc::clone(assistant), pool_use.clone());
    registry.register_collector(Box::new(Figures { store, assistant, pool_use }));
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
#[utoipa::path(get, path = "/metrics", tag = "operations", security(()), responses((status = 200, content_type = "text/plain")))]
pub async fn metrics(State(app): State<Arc<App>>, context: RequestContext) -> Result<Response, Problem> {
    if !app.config.http.may_read_metrics(context.client_address) {
        return Err(Error::not_found("page").into());
    }
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &app.metrics).map_err(Error::internal)?;
    Ok(([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response())
}
