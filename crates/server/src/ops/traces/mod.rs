//! Traces: what a request or a job did, step by step, for a collector that speaks the OpenTelemetry protocol over HTTP.
//!
//! Steps are noted for everything, and judged at the end: what failed is kept, and so is a request that was slow, whatever
//! the share of all that is kept besides. That costs memory while the work goes on and nothing on the wire. Whoever ends the
//! work leaves what is kept in a queue; when that is full, or the collector is away, it is dropped and counted.
//!
//! The trace of a request has the request's id, without its hyphens, unless a trusted proxy has named one. It goes along into
//! the jobs that the request leads to, and into every line of the log, also where no collector is set up.

mod export;
mod otlp;

use std::borrow::Cow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mainstay_domain::{Clock, JobId, RequestId, Result, SpanId, TraceContext, TraceId};
use mainstay_store::trace::{Keeper, Segment, StepKind, Trace};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;
use uuid::Uuid;

use self::export::Exporter;
use self::otlp::{Kept, Resource};
use super::health::outside::Service;
use super::log::trail::{Cause, Trail};
use crate::app::{App, Outside};
use crate::config;
use crate::locking::lock;

pub(crate) use self::export::read_headers;

/// How many requests and jobs wait to be sent at the most: of 257 spans each at the most.
const MOST_WAITING: usize = 1_024;

/// Spans by what became of them.
pub(crate) type SpanCounts = Family<OutcomeLabel, Counter>;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct OutcomeLabel {
    outcome: &'static str,
}

fn count(spans: &SpanCounts, outcome: &'static str, number: usize) {
    spans.get_or_create(&OutcomeLabel { outcome }).inc_by(number as u64);
}

/// Begins traces, and keeps what is worth it. By default nothing is.
#[derive(Clone, Default)]
pub struct Traces {
    percent: u32,
    /// Nothing where no collector is set up.
    on: Option<Arc<On>>,
}

/// Who decides what is kept, and who sends it.
struct On {
    judge: Arc<Judge>,
    exporter: Exporter,
    /// What is to be sent, until the sending begins.
    waiting: Mutex<Option<mpsc::Receiver<Kept>>>,
}

impl std::fmt::Debug for Traces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Traces").field("on", &self.on.is_some()).finish_non_exhaustive()
    }
}

impl Traces {
    /// As the settings say.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(
        config: &config::Config,
        (node, database): (Uuid, &'static str),
        outside: &Outside,
        registry: &mut Registry,
    ) -> Result<Self> {
        let settings = &config.traces;
        let spans = SpanCounts::default();
        registry.register("mainstay_trace_spans", "Spans of traces by what became of them", spans.clone());
        let resource = Resource {
            service: settings.service.clone(),
            environment: config.errors.environment.clone(),
            node: node.to_string(),
            database,
        };
        let on = Exporter::new(settings, resource, outside, spans.clone())?.map(|exporter| {
            let (sender, receiver) = mpsc::channel(MOST_WAITING);
            let judge = Judge { slow: settings.slow(), sender, clock: Arc::clone(&outside.clock), spans };
            Arc::new(On { judge: Arc::new(judge), exporter, waiting: Mutex::new(Some(receiver)) })
        });
        Ok(Self { percent: settings.sample_percent, on })
    }

    fn begin(&self, parent: Option<TraceContext>, own: TraceId, span: SpanId, linked: Option<TraceContext>) -> Trace {
        let trace = parent.map_or(own, |parent| parent.trace);
        let sampled = parent.is_some_and(|parent| parent.sampled) || trace.is_among(self.percent);
        let context = TraceContext { trace, span, sampled: sampled && self.on.is_some() };
        let keeper = self.on.as_ref().map(|on| Arc::clone(&on.judge) as Arc<dyn Keeper>);
        Trace::begin(context, parent.map(|parent| parent.span), linked, keeper)
    }

    /// A request begins. What a trusted proxy says it belongs to, it belongs to; what a stranger says is linked.
    #[must_use]
    pub fn of_request(&self, id: RequestId, given: Option<TraceContext>, trusted: bool) -> Trail {
        let (parent, linked) = if trusted { (given, None) } else { (None, given) };
        let trace = self.begin(parent, TraceId::of(id.uuid()), span_of(id.uuid(), 0), linked);
        Trail::of(Cause::Request(id), trace)
    }

    /// An attempt of a job begins, which was promised there.
    #[must_use]
    pub fn of_job(&self, id: JobId, attempt: u32, promised: Option<TraceContext>) -> Trail {
        // The number of the attempt tells its span from that of another, and from that of a request with the same bytes.
        let trace = self.begin(promised, TraceId::of(id.uuid()), span_of(id.uuid(), u64::from(attempt) + 1), None);
        Trail::of(Cause::Job(id), trace)
    }

    /// How the collector is, where one is set up.
    pub(crate) fn service(&self) -> Option<Service> {
        self.on.as_ref().map(|on| on.exporter.service())
    }
}

/// The span of a cause: the last bytes of its id are chance.
fn span_of(cause: Uuid, number: u64) -> SpanId {
    let (_, last) = cause.as_u64_pair();
    SpanId::new(last).following(number)
}

/// Decides what is kept.
struct Judge {
    slow: Option<Duration>,
    sender: mpsc::Sender<Kept>,
    clock: Arc<dyn Clock>,
    spans: SpanCounts,
}

impl Judge {
    fn keeps(&self, segment: &Segment) -> bool {
        let is_request = segment.root.kind == StepKind::Request && !segment.patient;
        let slow = is_request && self.slow.is_some_and(|slow| segment.root.took >= slow);
        segment.context.sampled || segment.root.failed.is_some() || slow
    }
}

impl Keeper for Judge {
    fn ended(&self, segment: Segment) {
        if !self.keeps(&segment) {
            return;
        }
        let kept = Kept { segment, ended: self.clock.now() };
        let spans = kept.spans();
        if self.sender.try_send(kept).is_err() {
            count(&self.spans, "queue_full", spans);
        }
    }
}

/// Ends the work of a job, however it ends: by its answer, or dropped at its deadline.
pub(crate) struct Attempt {
    trail: Trail,
    name: &'static str,
    attributes: Vec<(&'static str, mainstay_store::trace::Attribute)>,
    outcome: Option<Option<String>>,
}

impl Attempt {
    /// One begins.
    pub(crate) fn begin(trail: Trail, name: &'static str, context: &mainstay_jobs::JobContext) -> Self {
        let mut attributes = trail.attributes();
        if trail.trace().is_noted() {
            attributes.push(("mainstay.job.attempt", context.attempt.into()));
            attributes.push(("mainstay.job.waited_ms", context.started_at.since(context.run_at).into()));
        }
        Self { trail, name, attributes, outcome: None }
    }

    /// It has answered.
    pub(crate) fn answered(mut self, result: &mainstay_jobs::JobResult) {
        self.outcome = Some(result.as_ref().err().map(|failure| failure.told.clone()));
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        // What is dropped has run into its deadline, has panicked, or is cut by a stop.
        let failed = self.outcome.take().unwrap_or_else(|| Some("It was stopped before it had ended.".to_owned()));
        let name = Cow::Borrowed(self.name);
        self.trail.trace().end((StepKind::Job, name), failed, std::mem::take(&mut self.attributes));
    }
}

/// Starts sending, where a collector is set up.
pub fn start(app: &Arc<App>) {
    let Some(on) = app.watching.traces.on.clone() else { return };
    let Some(waiting) = lock(&on.waiting).take() else { return };
    app.lifecycle.spawn_until_drained("traces", async move { on.exporter.send_all(waiting).await });
}

#[cfg(test)]
mod tests;
