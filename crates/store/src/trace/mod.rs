//! The trace of the work under way: which one it belongs to, and what its steps took.
//!
//! It follows the task and needs no argument. Whoever begins work for a cause ([`Trace::begin`]) does it
//! [within](Trace::within) its trace; the store notes each intent, each statement and each commit as a step, and a job that is
//! promised meanwhile is told what it was promised for. What is noted is handed over as a whole when the work ends
//! ([`Trace::end`]), so that it can be judged by how it ended whether it is worth keeping.
//!
//! A trace that nobody keeps costs the id that it carries.

mod intent;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mainstay_domain::{SpanId, TraceContext, TraceId};
use tokio::task::futures::TaskLocalFuture;
use tokio::time::Instant;
use uuid::Uuid;

pub(crate) use self::intent::Traced;

tokio::task_local! {
    static CURRENT: Trace;
}

/// How many steps are noted of one cause; what is beyond is counted.
const MOST_STEPS: usize = 256;

/// What kind of step it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// A request to this server.
    Request,
    /// An attempt of a job.
    Job,
    /// A statement, or another trip to the database.
    Statement,
    /// A request to somebody else.
    Outgoing,
    /// Anything inside.
    Work,
}

/// What is said of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// A text.
    Text(Cow<'static, str>),
    /// A number.
    Number(i64),
}

impl From<&'static str> for Attribute {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Attribute {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<u32> for Attribute {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<Duration> for Attribute {
    /// In whole milliseconds.
    fn from(duration: Duration) -> Self {
        Self::Number(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A step that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Which.
    pub id: SpanId,
    /// Of which step it is a part.
    pub parent: SpanId,
    /// What was done.
    pub name: Cow<'static, str>,
    /// What kind of step it is.
    pub kind: StepKind,
    /// How long after the beginning of the whole it began.
    pub began: Duration,
    /// How long it took.
    pub took: Duration,
    /// Why it failed.
    pub failed: Option<String>,
    /// What else is known of it.
    pub attributes: Vec<(&'static str, Attribute)>,
}

/// Everything that one cause led to on this node, from its beginning to its end.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Where it stands in its trace: the span is that of the whole.
    pub context: TraceContext,
    /// The step that caused it, here or on another node.
    pub parent: Option<SpanId>,
    /// A trace that a stranger says it belongs to.
    pub linked: Option<TraceContext>,
    /// The whole. Its `parent` is its own id: look at [`Segment::parent`].
    pub root: Span,
    /// Its steps.
    pub spans: Vec<Span>,
    /// How many more there were.
    pub left_out: u32,
    /// Whether it waited for something that is not our work, so that how long it took says nothing.
    pub patient: bool,
}

/// Who is given what was noted.
pub trait Keeper: Send + Sync {
    /// Work has ended. It must not take long.
    fn ended(&self, segment: Segment);
}

/// A trace, as one cause has it on this node. Clones share it.
#[derive(Clone)]
pub struct Trace(Arc<Inner>);

struct Inner {
    context: TraceContext,
    parent: Option<SpanId>,
    linked: Option<TraceContext>,
    began: Instant,
    patient: AtomicBool,
    notes: Option<Notes>,
}

struct Notes {
    /// Nobody, for steps that are gathered for others.
    keeper: Option<Arc<dyn Keeper>>,
    /// Nothing once they have been handed over.
    spans: Mutex<Option<Vec<Span>>>,
    numbered: AtomicU64,
    left_out: AtomicU32,
}

impl Notes {
    fn new(keeper: Option<Arc<dyn Keeper>>) -> Self {
        Self { keeper, spans: Mutex::new(Some(Vec::new())), numbered: AtomicU64::new(0), left_out: AtomicU32::new(0) }
    }

    fn spans(&self) -> MutexGuard<'_, Option<Vec<Span>>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("context", &self.0.context).field("noted", &self.is_noted()).finish()
    }
}

impl Trace {
    /// Work begins that belongs there. Without a keeper nothing is noted.
    #[must_use]
    pub fn begin(
        context: TraceContext,
        parent: Option<SpanId>,
        linked: Option<TraceContext>,
        keeper: Option<Arc<dyn Keeper>>,
    ) -> Self {
        let notes = keeper.map(|keeper| Notes::new(Some(keeper)));
        Self::new(context, parent, linked, notes)
    }

    fn new(context: TraceContext, parent: Option<SpanId>, linked: Option<TraceContext>, notes: Option<Notes>) -> Self {
        let (began, patient) = (Instant::now(), AtomicBool::new(false));
        Self(Arc::new(Inner { context, parent, linked, began, patient, notes }))
    }

    /// The trace of the task that asks, if it has one.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// Does work within this trace.
    pub fn within<F: Future>(self, work: F) -> TaskLocalFuture<Self, F> {
        CURRENT.scope(self, work)
    }

    /// Where work belongs that this one leads to.
    #[must_use]
    pub fn context(&self) -> TraceContext {
        self.0.context
    }

    /// Whether anybody is given what is noted.
    #[must_use]
    pub fn is_noted(&self) -> bool {
        self.0.notes.is_some()
    }

    /// The work begins to wait for something that is not our work.
    pub fn waits(&self) {
        self.0.patient.store(true, Ordering::Relaxed);
    }

    /// Work that this one leaves behind, which is handed over by itself.
    #[must_use]
    pub fn child(&self) -> Self {
        let inner = &self.0;
        let keeper = inner.notes.as_ref().and_then(|notes| notes.keeper.clone());
        let number = inner.notes.as_ref().map_or(1, |notes| notes.numbered.fetch_add(1, Ordering::Relaxed) + 1);
        // Far from the numbers of this one's steps, which go on meanwhile.
        let span = inner.context.span.following(number << 32);
        let context = TraceContext { span, ..inner.context };
        Self::begin(context, Some(inner.context.span), None, keeper)
    }

    /// A step of the whole begins. It ends when the answer is dropped.
    pub fn step(&self, kind: StepKind, name: impl Into<Cow<'static, str>>) -> Step {
        self.step_of(self.0.context.span, kind, || name.into())
    }

    fn step_of(&self, parent: SpanId, kind: StepKind, name: impl FnOnce() -> Cow<'static, str>) -> Step {
        let Some(notes) = &self.0.notes else { return Step(None) };
        let id = self.0.context.span.following(notes.numbered.fetch_add(1, Ordering::Relaxed) + 1);
        let began = self.0.began.elapsed();
        let (name, took, failed, attributes) = (name(), Duration::ZERO, None, Vec::new());
        Step(Some(Box::new((self.clone(), Span { id, parent, name, kind, began, took, failed, attributes }))))
    }

    fn note(&self, span: Span) {
        let Some(notes) = &self.0.notes else { return };
        match &mut *notes.spans() {
            Some(spans) if spans.len() < MOST_STEPS => spans.push(span),
            Some(_) => {
                notes.left_out.fetch_add(1, Ordering::Relaxed);
            }
            // What goes on after the end belongs to a child.
            None => {}
        }
    }

    /// The work has ended: what was noted is handed over, once.
    pub fn end(
        &self,
        (kind, name): (StepKind, Cow<'static, str>),
        failed: Option<String>,
        attributes: Vec<(&'static str, Attribute)>,
    ) {
        let Some(notes) = &self.0.notes else { return };
        let (Some(keeper), Some(spans)) = (&notes.keeper, notes.spans().take()) else { return };
        let (id, took) = (self.0.context.span, self.0.began.elapsed());
        let root = Span { id, parent: id, name, kind, began: Duration::ZERO, took, failed, attributes };
        keeper.ended(Segment {
            context: self.0.context,
            parent: self.0.parent,
            linked: self.0.linked,
            root,
            spans,
            left_out: notes.left_out.load(Ordering::Relaxed),
            patient: self.0.patient.load(Ordering::Relaxed),
        });
    }
}

/// A step under way. It ends when it is dropped.
#[must_use = "a step ends when it is dropped"]
#[derive(Debug, Default)]
pub struct Step(Option<Box<(Trace, Span)>>);

impl Step {
    /// A step of the work of this task begins; nothing is noted where it has no trace.
    pub fn begin(kind: StepKind, name: impl Into<Cow<'static, str>>) -> Self {
        Trace::current().filter(Trace::is_noted).map_or(Self(None), |trace| trace.step(kind, name))
    }

    /// A part of this step begins.
    pub(crate) fn part(&self, kind: StepKind, name: &'static str) -> Self {
        match &self.0 {
            Some(noted) => noted.0.step_of(noted.1.id, kind, || Cow::Borrowed(name)),
            None => Self(None),
        }
    }

    /// A part that began earlier and ends now, if it took long enough to be told.
    pub(crate) fn waited(&self, name: &'static str, since: Instant) {
        const WORTH_TELLING: Duration = Duration::from_millis(1);
        let took = since.elapsed();
        let mut part = if took >= WORTH_TELLING { self.part(StepKind::Work, name) } else { Self(None) };
        if let Some(noted) = &mut part.0 {
            noted.1.began = noted.1.began.saturating_sub(took);
        }
    }

    /// Whether it is noted: what only a note needs is not worked out otherwise.
    #[must_use]
    pub fn is_noted(&self) -> bool {
        self.0.is_some()
    }

    /// Says something of it.
    pub fn say(&mut self, name: &'static str, value: impl Into<Attribute>) {
        if let Some(noted) = &mut self.0 {
            noted.1.attributes.push((name, value.into()));
        }
    }

    /// It has failed.
    pub fn fail(&mut self, why: impl fmt::Display) {
        if let Some(noted) = &mut self.0 {
            noted.1.failed = Some(why.to_string());
        }
    }

    /// What was gathered for several traces becomes part of this step.
    pub(crate) fn adopt(&self, gathered: &Gathered) {
        let Some(noted) = &self.0 else { return };
        let (trace, whole) = (&noted.0, &noted.1);
        let Some(notes) = &trace.0.notes else { return };
        let shift = gathered.began.saturating_duration_since(trace.0.began);
        let first = notes.numbered.fetch_add(gathered.spans.len() as u64, Ordering::Relaxed);
        let ids: Vec<SpanId> =
            (1..=gathered.spans.len() as u64).map(|n| trace.0.context.span.following(first + n)).collect();
        for (span, id) in gathered.spans.iter().zip(&ids) {
            let place = gathered.spans.iter().position(|other| other.id == span.parent);
            let parent = place.and_then(|place| ids.get(place).copied()).unwrap_or(whole.id);
            trace.note(Span { id: *id, parent, began: span.began + shift, ..span.clone() });
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(noted) = self.0.take() {
            let (trace, mut span) = *noted;
            span.took = trace.0.began.elapsed().saturating_sub(span.began);
            trace.note(span);
        }
    }
}

/// Steps that were made for several traces together.
#[derive(Debug)]
pub(crate) struct Gathered {
    began: Instant,
    spans: Vec<Span>,
}

impl Trace {
    /// A place to note what is done for several traces together. It is in none of them: the ids that it gives are given anew
    /// when its steps are adopted.
    pub(crate) fn gathering() -> Self {
        let nowhere = TraceContext { trace: TraceId::of(Uuid::nil()), span: SpanId::new(0), sampled: false };
        Self::new(nowhere, None, None, Some(Notes::new(None)))
    }

    /// Whether it is such a place: what is promised there belongs to none of them more than to another.
    pub(crate) fn is_gathering(&self) -> bool {
        self.0.notes.as_ref().is_some_and(|notes| notes.keeper.is_none())
    }

    /// What was noted there.
    pub(crate) fn gathered(&self) -> Gathered {
        let spans = self.0.notes.as_ref().and_then(|notes| notes.spans().take()).unwrap_or_default();
        Gathered { began: self.0.began, spans }
    }
}
