//! Who processes which events, and who answers those that wait for an answer: one page. A feature adds its line to
//! [`all`].
//!
//! To take part: `Processors::default().register(Source::FastSpring, &[], billing::process)`, where `process` is an
//! `async fn(Arc<App>, JobContext, ToProcess) -> JobResult`, and `.answer(Source::Vapi, &["tool-calls"], tools::answer)`,
//! where `answer` is an `async fn(Arc<App>, Question) -> Result<Value>`.
//!
//! A processor is run by a job, as often as it takes: it may be run twice for one event, also at the same moment on two
//! nodes. One that keeps a state ends the job in the transaction of its effect and compares versions there
//! (`apply_if_newer` of the store).

use std::collections::BTreeMap;
use std::sync::Arc;

use mainstay_domain::{InboxEventId, InboxSourceId, Result, TenantId};
use mainstay_jobs::{BoxFuture, Done, Failure, JobContext, JobResult, Retry};
use mainstay_store::InboxEvent;
use serde_json::Value;
use tokio::time::Instant;

use super::sources::Source;
use crate::app::App;
use crate::billing::apply_fastspring;
use crate::calls;
use crate::texts;

/// An event that is to be processed.
#[derive(Clone, Debug)]
pub struct ToProcess {
    /// Whose it is; the nil UUID for the installation's own.
    pub tenant: TenantId,
    /// The event.
    pub event: InboxEvent,
}

/// A question that somebody waits for.
#[derive(Clone, Debug)]
pub struct Question {
    /// Whose it is.
    pub tenant: TenantId,
    /// Who asks.
    pub source: InboxSourceId,
    /// The event, which is the same when the question is asked again: whoever does something for it does it once.
    pub event: InboxEventId,
    /// Whether it was asked before.
    pub again: bool,
    /// What kind of event it is.
    pub kind: String,
    /// What it says: JSON.
    pub payload: Arc<str>,
    /// When the sender has given up waiting, all but the way back.
    pub deadline: Instant,
}

type Processor = Arc<dyn Fn(Arc<App>, JobContext, ToProcess) -> BoxFuture<JobResult> + Send + Sync>;
pub(super) type Answerer = Arc<dyn Fn(Arc<App>, Question) -> BoxFuture<Result<Value>> + Send + Sync>;

/// Who processes, and who answers.
#[derive(Clone, Default)]
pub struct Processors {
    processors: BTreeMap<(Source, &'static str), Processor>,
    answerers: BTreeMap<(Source, &'static str), Answerer>,
}

/// The kind that stands for all.
const ANY: &str = "";

impl Processors {
    /// With a processor of events of these kinds, or of all when none is named.
    #[must_use]
    pub fn register<F>(
        mut self,
        source: Source,
        kinds: &[&'static str],
        processor: impl Fn(Arc<App>, JobContext, ToProcess) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = JobResult> + Send + 'static,
    {
        let processor: Processor = Arc::new(move |app, context, event| Box::pin(processor(app, context, event)));
        for kind in if kinds.is_empty() { &[ANY] } else { kinds } {
            self.processors.insert((source, *kind), Arc::clone(&processor));
        }
        self
    }

    /// With an answer to events of these kinds, or to all that wait for one when none is named. What it fails with is
    /// told in the form that the sender has for errors.
    #[must_use]
    pub fn answer<F>(
        mut self,
        source: Source,
        kinds: &[&'static str],
        answerer: impl Fn(Arc<App>, Question) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Value>> + Send + 'static,
    {
        let answerer: Answerer = Arc::new(move |app, question| Box::pin(answerer(app, question)));
        for kind in if kinds.is_empty() { &[ANY] } else { kinds } {
            self.answerers.insert((source, *kind), Arc::clone(&answerer));
        }
        self
    }

    pub(super) fn processor(&self, source: Source, kind: &str) -> Option<&Processor> {
        find(&self.processors, source, kind)
    }

    pub(super) fn answerer(&self, source: Source, kind: &str) -> Option<&Answerer> {
        find(&self.answerers, source, kind)
    }
}

fn find<'a, T>(all: &'a BTreeMap<(Source, &'static str), T>, source: Source, kind: &str) -> Option<&'a T> {
    let own = all.iter().find(|((known, word), _)| *known == source && *word == kind && *word != ANY);
    own.map(|(_, found)| found).or_else(|| all.get(&(source, ANY)))
}

/// All of them.
#[must_use]
pub fn all() -> Processors {
    Processors::default()
        .register(Source::FastSpring, &[], pay)
        .register(Source::Vapi, &calls::vapi::KINDS, calls::process)
        .register(Source::Twilio, &[texts::STATUS], texts::heard)
        .register(Source::Twilio, &[texts::RECEIVED], texts::received)
        .answer(Source::Vapi, &[], calls::answer)
}

/// What the installation's own account at FastSpring tells decides about plans. An organisation may take in webhooks of an
/// account of its own, under a secret of its own: those decide nothing here, or it could give itself any plan.
async fn pay(app: Arc<App>, context: JobContext, event: ToProcess) -> JobResult {
    if !event.tenant.uuid().is_nil() {
        return Ok(Done::Finished);
    }
    let InboxEvent { payload, .. } = event.event;
    let told: Value = serde_json::from_str(&payload)
        .map_err(|error| Failure::new(format_args!("what arrived cannot be read: {error}")).retry(Retry::Never))?;
    apply_fastspring(&app, Some(context.fence), &told).await?;
    Ok(Done::Settled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_its_own_goes_before_all_kinds() {
        let answer = |word: &'static str| move |_: Arc<App>, _: Question| async move { Ok(Value::from(word)) };
        let all = Processors::default().answer(Source::Vapi, &["tool-calls"], answer("tools")).answer(
            Source::Vapi,
            &[],
            answer("all"),
        );
        let same = |kind: &str, other: &str| {
            let of = |kind: &str| all.answerer(Source::Vapi, kind).map(Arc::as_ptr);
            std::ptr::addr_eq(of(kind).unwrap(), of(other).unwrap())
        };
        assert!(!same("tool-calls", "assistant-request"));
        assert!(same("hang", "assistant-request") && same("", "hang"));
        assert!(all.answerer(Source::Twilio, "tool-calls").is_none());
        assert!(all.processor(Source::Vapi, "tool-calls").is_none());
    }
}
