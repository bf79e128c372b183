//! One line for each request, and its counts: what was asked (never the query, never a header), how it ended, how long it
//! took.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use mainstay_domain::RequestId;
use mainstay_store::Call;
use mainstay_store::trace::StepKind;
use tokio::time::Instant;

use super::metrics::{GaugeGuard, HttpMetrics, RouteMetrics, UNMATCHED, method_label};
use super::routes_table::{Policy, RouteTable};
use super::{Priority, RequestContext};
use crate::ops::log::trail::Trail;

/// A route and method as the stack knows it: everything looked up once.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) template: Arc<str>,
    pub(super) method: &'static str,
    /// None for what is not in the table: unknown paths and methods.
    pub(super) policy: Option<Policy>,
    /// How long it is served while there is too much to do.
    pub(super) priority: Priority,
    /// Its number: the kind of work that it is, for the overload's limit.
    pub(super) number: usize,
    metrics: RouteMetrics,
    most_statements: AtomicU32,
    warned: AtomicBool,
}

impl Route {
    fn new(template: &Arc<str>, method: &'static str, policy: Option<Policy>, metrics: &HttpMetrics) -> Arc<Self> {
        // What is not in the table does no work.
        Self::numbered(template, method, policy, metrics, (0, Priority::Always))
    }

    fn numbered(
        template: &Arc<str>,
        method: &'static str,
        policy: Option<Policy>,
        metrics: &HttpMetrics,
        (number, priority): (usize, Priority),
    ) -> Arc<Self> {
        Arc::new(Self {
            template: Arc::clone(template),
            method,
            policy,
            priority,
            number,
            metrics: metrics.route(method, template),
            most_statements: AtomicU32::new(0),
            warned: AtomicBool::new(false),
        })
    }

    /// The most statements that one request has taken so far.
    pub(super) fn most_statements(&self) -> u32 {
        self.most_statements.load(Ordering::Relaxed)
    }

    /// Counts a request that was refused before anything was done for it.
    pub(super) fn count_refused(&self) {
        self.metrics.record(Some(StatusCode::SERVICE_UNAVAILABLE), Duration::ZERO, 0, true);
    }

    fn count(&self, statements: u32) {
        if statements > self.most_statements.load(Ordering::Relaxed) {
            self.most_statements.fetch_max(statements, Ordering::Relaxed);
        }
        let Some(policy) = self.policy.filter(|policy| statements > policy.statements) else { return };
        self.metrics.count_over_budget();
        if !self.warned.swap(true, Ordering::Relaxed) {
            let (method, route, granted) = (self.method, &*self.template, policy.statements);
            tracing::warn!(method, route, statements, granted, "the route ran more SQL than its table grants");
        }
    }
}

/// The routes of one path.
struct OnePath {
    methods: Vec<(Method, Arc<Route>)>,
    other: Arc<Route>,
}

/// The table, by path.
pub(super) struct RouteIndex {
    paths: HashMap<Arc<str>, OnePath>,
    unmatched: HashMap<&'static str, Arc<Route>>,
    nothing: Arc<Route>,
}

impl RouteIndex {
    pub(super) fn new(table: &RouteTable, metrics: &HttpMetrics) -> Self {
        let mut paths: HashMap<Arc<str>, OnePath> = HashMap::new();
        for (number, spec) in table.routes().iter().enumerate() {
            let template: Arc<str> = spec.path.into();
            let one = paths.entry(Arc::clone(&template)).or_insert_with(|| OnePath {
                methods: Vec::new(),
                other: Route::new(&template, "other", None, metrics),
            });
            let priority = spec.policy.priority.unwrap_or_else(|| Priority::of_method(&spec.method));
            let label = method_label(&spec.method);
            let route = Route::numbered(&template, label, Some(spec.policy), metrics, (number, priority));
            one.methods.push((spec.method.clone(), route));
        }
        let unmatched: Arc<str> = UNMATCHED.into();
        let nothing = Route::new(&unmatched, "other", None, metrics);
        let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
        let known = known.map(|method| (method, Route::new(&unmatched, method, None, metrics)));
        Self { paths, unmatched: HashMap::from(known), nothing }
    }

    /// The route for a template that the router has matched.
    pub(super) fn find(&self, template: Option<&str>, method: &Method) -> &Arc<Route> {
        let Some(path) = template.and_then(|template| self.paths.get(template)) else {
            return self.unmatched.get(method_label(method)).unwrap_or(&self.nothing);
        };
        // A GET route answers HEAD.
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        path.methods.iter().find(|(known, _)| known == method).map_or(&path.other, |(_, route)| route)
    }

    /// Every route of the table with the most statements that one request of it has taken.
    pub(super) fn statements(&self) -> Vec<(String, &'static str, Policy, u32)> {
        let routes = self.paths.values().flat_map(|path| &path.methods);
        let mut all: Vec<_> = routes
            .filter_map(|(_, route)| {
                Some((route.template.to_string(), route.method, route.policy?, route.most_statements()))
            })
            .collect();
        all.sort_by(|left, right| (&left.0, left.1).cmp(&(&right.0, right.1)));
        all
    }
}

/// A request under way. It is recorded when it is answered, or when it is dropped because its client has left.
pub(super) struct Exchange {
    pub(super) route: Arc<Route>,
    pub(super) request_id: RequestId,
    pub(super) call: Call,
    method: Method,
    started: Instant,
    in_flight: Option<GaugeGuard>,
    trail: Trail,
    /// Counted and not logged: thousands of these may come in a second.
    pub(super) unlogged: bool,
}

impl Exchange {
    pub(super) fn new(
        route: Arc<Route>,
        context: &RequestContext,
        trail: Trail,
        method: &Method,
        metrics: &HttpMetrics,
    ) -> Self {
        Self {
            route,
            request_id: context.request_id,
            call: context.call.clone(),
            method: method.clone(),
            started: Instant::now(),
            in_flight: Some(metrics.enter()),
            trail,
            unlogged: false,
        }
    }

    /// How long it has been under way.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn answered(mut self, status: StatusCode) {
        self.record(Some(status));
    }

    fn record(&mut self, status: Option<StatusCode>) {
        if self.in_flight.take().is_none() {
            return;
        }
        let took = self.started.elapsed();
        let statements = self.call.statements();
        self.route.metrics.record(status, took, statements, self.unlogged);
        self.route.count(statements);
        self.end_trace(status, statements);
        if self.unlogged {
            return;
        }
        tracing::info!(
            target: "mainstay::access",
            method = method_label(&self.method),
            route = &*self.route.template,
            // 499 is what proxies write for a client that left.
            status = status.map_or(499, |status| status.as_u16()),
            took_ms = (took.as_secs_f64() * 10_000.0).round() / 10.0,
            request_id = %self.request_id,
        );
    }

    /// What was noted of the request is handed over. What was refused under overload has not failed: thousands of these may
    /// come in a second.
    fn end_trace(&self, status: Option<StatusCode>, statements: u32) {
        let trace = self.trail.trace();
        if !trace.is_noted() {
            return;
        }
        let mut attributes = self.trail.attributes();
        attributes.push(("http.request.method", method_label(&self.method).into()));
        attributes.push(("http.route", self.route.template.to_string().into()));
        attributes.push(("mainstay.statements", statements.into()));
        let failed = match status {
            Some(status) => {
                attributes.push(("http.response.status_code", u32::from(status.as_u16()).into()));
                (status.is_server_error() && !self.unlogged).then(|| status.to_string())
            }
            None => {
                attributes.push(("error.type", "client_left".into()));
                None
            }
        };
        let name = format!("{} {}", method_label(&self.method), self.route.template);
        trace.end((StepKind::Request, name.into()), failed, attributes);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.record(None);
    }
}
