//! What is counted about requests and connections. In this process only: each node is scraped for itself.
//!
//! Labels are bounded: the templates of the table and `unmatched`, known methods and `other`, classes of status.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use mainstay_store::SAMPLE_BOUNDS_MS;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::tls::TlsFigures;

/// The label of requests for paths that are not served.
pub const UNMATCHED: &str = "unmatched";

/// Bounds of the latency histogram, in seconds: finest where the answers of a server lie that is full, so that a percentile
/// between two bounds is not a matter of chance.
const LATENCIES: [f64; 26] = [
    0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.025, 0.03, 0.035, 0.04, 0.05, 0.06, 0.075, 0.09, 0.105, 0.12,
    0.135, 0.15, 0.2, 0.25, 0.35, 0.5, 1.0, 5.0, 30.0,
];

/// Bounds of the histogram of statements for one request.
const STATEMENTS: [f64; 9] = [0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 16.0, 32.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: &'static str,
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: &'static str,
}

/// A family of histograms with fixed buckets.
type Histograms = Family<RouteLabels, Histogram, fn() -> Histogram>;

/// What was answered by this node since its start, over all routes but those that watch it: a node that stops says so with
/// 503, and a thousand checks are no use of it.
#[derive(Debug, Default)]
pub(super) struct Answered {
    requests: AtomicU64,
    errors: AtomicU64,
    refusals: AtomicU64,
    timed: AtomicU64,
    /// How many took no longer than each of the bounds, and longer than the one before.
    within: [AtomicU64; SAMPLE_BOUNDS_MS.len()],
}

/// The counts of [`Answered`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnsweredCounts {
    /// Requests that were answered.
    pub requests: u64,
    /// Those that failed here.
    pub errors: u64,
    /// Those that were refused for a limit or a crowd.
    pub refusals: u64,
    /// Those whose time counts.
    pub timed: u64,
    /// How many of them took no longer than each of the bounds.
    pub within: [u64; SAMPLE_BOUNDS_MS.len()],
}

impl Answered {
    fn record(&self, status: StatusCode, took: Duration, shed: bool) {
        let add = |count: &AtomicU64| count.fetch_add(1, Ordering::Relaxed);
        add(&self.requests);
        if shed || status == StatusCode::TOO_MANY_REQUESTS {
            // Refusing is fast, and says nothing of the work.
            add(&self.refusals);
            return;
        }
        if status.is_server_error() {
            add(&self.errors);
        }
        add(&self.timed);
        let bound = SAMPLE_BOUNDS_MS.iter().position(|bound| took <= Duration::from_millis(*bound));
        if let Some(count) = bound.and_then(|bound| self.within.get(bound)) {
            add(count);
        }
    }

    /// The counts now.
    fn counts(&self) -> AnsweredCounts {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let mut sum = 0;
        let within = self.within.each_ref().map(|count| {
            sum += get(count);
            sum
        });
        // Read last, so that no group is larger than the whole.
        let (timed, requests) = (get(&self.timed).max(sum), get(&self.requests));
        AnsweredCounts { requests, errors: get(&self.errors), refusals: get(&self.refusals), timed, within }
    }
}

/// Whether a route only watches the node.
fn only_watches(route: &str) -> bool {
    route.starts_with("/health") || matches!(route, "/readyz" | "/metrics")
}

/// The metrics of the wire. Clones share them.
#[derive(Clone, Debug)]
pub struct HttpMetrics {
    answered: Arc<Answered>,
    requests: Family<RequestLabels, Counter>,
    latency: Histograms,
    statements: Histograms,
    over_budget: Family<RouteLabels, Counter>,
    in_flight: Gauge<i64, AtomicI64>,
    connections: Gauge<i64, AtomicI64>,
    panics: Counter,
    /// Certificates and handshakes.
    pub(super) tls: TlsFigures,
}

impl HttpMetrics {
    /// Makes the metrics and names them in the registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            answered: Arc::default(),
            requests: Family::default(),
            latency: Family::new_with_constructor(|| Histogram::new(LATENCIES)),
            statements: Family::new_with_constructor(|| Histogram::new(STATEMENTS)),
            over_budget: Family::default(),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            panics: Counter::default(),
            tls: TlsFigures::register(registry),
        };
        registry.register("mainstay_http_requests", "Requests answered, by class of status", metrics.requests.clone());
        registry.register_with_unit(
            "mainstay_http_request_duration",
            "Time from the head of a request to the head of its response, refusals with 503 left out",
            Unit::Seconds,
            metrics.latency.clone(),
        );
        registry.register(
            "mainstay_http_request_statements",
            "SQL statements run on behalf of a request until the head of its response",
            metrics.statements.clone(),
        );
        registry.register(
            "mainstay_http_requests_over_statement_budget",
            "Requests that ran more SQL statements than the table of routes grants",
            metrics.over_budget.clone(),
        );
        registry.register(
            "mainstay_http_requests_in_flight",
            "Requests whose response has not begun",
            metrics.in_flight.clone(),
        );
        registry.register("mainstay_http_connections", "Open connections", metrics.connections.clone());
        registry.register("mainstay_http_panics", "Requests that ended in a panic", metrics.panics.clone());
        metrics
    }

    /// The handles of one route, looked up once.
    pub(super) fn route(&self, method: &'static str, route: &str) -> RouteMetrics {
        let labels = RouteLabels { method, route: route.to_owned() };
        let requests = |status| {
            let labels = RequestLabels { method, route: route.to_owned(), status };
            self.requests.get_or_create_owned(&labels)
        };
        RouteMetrics {
            requests: CLASSES.map(requests),
            latency: self.latency.get_or_create_owned(&labels),
            statements: self.statements.get_or_create_owned(&labels),
            over_budget: self.over_budget.get_or_create_owned(&labels),
            answered: (!only_watches(route)).then(|| Arc::clone(&self.answered)),
        }
    }

    /// What was answered over all routes.
    #[must_use]
    pub fn answered(&self) -> AnsweredCounts {
        self.answered.counts()
    }

    /// Counts something in flight, until the guard is dropped.
    pub(super) fn enter(&self) -> GaugeGuard {
        GaugeGuard::new(&self.in_flight)
    }

    /// Counts an open connection, until the guard is dropped.
    pub(super) fn connect(&self) -> GaugeGuard {
        GaugeGuard::new(&self.connections)
    }

    pub(super) fn count_panic(&self) {
        self.panics.inc();
    }

    /// Open connections now.
    #[must_use]
    pub fn connections_open(&self) -> i64 {
        self.connections.get()
    }

    /// Requests now whose response has not begun.
    #[must_use]
    pub fn in_flight(&self) -> i64 {
        self.in_flight.get()
    }
}

/// Holds a gauge up by one.
pub(super) struct GaugeGuard(Gauge<i64, AtomicI64>);

impl GaugeGuard {
    fn new(gauge: &Gauge<i64, AtomicI64>) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Classes of status. `gone` is a client that left before it was answered.
const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "gone"];

/// The handles of one route and method.
#[derive(Debug)]
pub(super) struct RouteMetrics {
    requests: [Counter; CLASSES.len()],
    latency: Histogram,
    statements: Histogram,
    over_budget: Counter,
    answered: Option<Arc<Answered>>,
}

impl RouteMetrics {
    /// Records an answered request, or one whose client left (`status` is none). `shed` says that there was too much to do.
    pub(super) fn record(&self, status: Option<StatusCode>, took: Duration, statements: u32, shed: bool) {
        if let (Some(answered), Some(status)) = (&self.answered, status) {
            answered.record(status, took, shed);
        }
        let class = status.map_or(CLASSES.len() - 1, |status| usize::from(status.as_u16() / 100).clamp(1, 5) - 1);
        if let Some(counter) = self.requests.get(class) {
            counter.inc();
        }
        // Refusing is fast, and would make a crowded server look so too.
        if status != Some(StatusCode::SERVICE_UNAVAILABLE) {
            self.latency.observe(took.as_secs_f64());
        }
        self.statements.observe(f64::from(statements));
    }

    pub(super) fn count_over_budget(&self) {
        self.over_budget.inc();
    }
}

/// The label of a method: clients can send any token.
pub(super) fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_is_scraped() {
        let mut registry = Registry::default();
        let metrics = HttpMetrics::register(&mut registry);
        let route = metrics.route("GET", "/v1/me");
        route.record(Some(StatusCode::OK), Duration::from_millis(3), 2, false);
        route.record(Some(StatusCode::NOT_FOUND), Duration::from_millis(30), 0, false);
        route.record(None, Duration::from_millis(30), 0, false);
        route.record(Some(StatusCode::SERVICE_UNAVAILABLE), Duration::from_millis(1), 0, true);
        let connection = metrics.connect();
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
        for line in [
            r#"mainstay_http_requests_total{method="GET",route="/v1/me",status="2xx"} 1"#,
            r#"mainstay_http_requests_total{method="GET",route="/v1/me",status="4xx"} 1"#,
            r#"mainstay_http_requests_total{method="GET",route="/v1/me",status="gone"} 1"#,
            r#"mainstay_http_request_duration_seconds_bucket{le="0.005",method="GET",route="/v1/me"} 1"#,
            r#"mainstay_http_request_duration_seconds_count{method="GET",route="/v1/me"} 3"#,
            r#"mainstay_http_request_statements_sum{method="GET",route="/v1/me"} 2"#,
            "mainstay_http_connections 1",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        drop(connection);
        assert_eq!(metrics.connections_open(), 0);
        // Over all routes: one refused, none failed, and the one whose client left has no answer.
        metrics.route("GET", "/health/queue").record(Some(StatusCode::SERVICE_UNAVAILABLE), Duration::ZERO, 0, false);
        route.record(Some(StatusCode::BAD_GATEWAY), Duration::from_secs(6), 0, false);
        route.record(Some(StatusCode::TOO_MANY_REQUESTS), Duration::ZERO, 0, false);
        let counts = metrics.answered();
        assert_eq!((counts.requests, counts.errors, counts.refusals, counts.timed), (5, 1, 2, 3));
        assert_eq!(counts.within, [1, 1, 1, 2, 2, 2, 2, 2, 2]);
    }
}
