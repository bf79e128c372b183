//! One provider of the chain, with all that stands around it: queue, breaker, timers, retries and figures.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mainstay_domain::{Clock, Entropy, Error};
use mainstay_store::trace::{Step, StepKind};
use tokio::time::Instant;

use super::anthropic::{self, Anthropic};
use super::breaker::{Breaker, BreakerState, Verdict};
use super::fault::Failure;
use super::figures::{Counters, Figures};
use super::offline::{self, Offline};
use super::openai::{self, OpenAi};
use super::queue::{Queue, Refusal, Slot};
use super::retry::{Backoff, Retries};
use super::timer::Limits;
use super::{Completion, Fault, FaultKind, Outlet, Price, ReplyRequest};
use crate::config;

/// One provider.
pub(super) enum Link {
    /// One that is reached over the network.
    Remote(Box<Remote>),
    /// The one in this process, which needs no protection.
    Local(Box<Local>),
}

impl Link {
    /// The provider of this name. None when there is none.
    pub(super) fn new(name: &str, parts: &Parts<'_>) -> Option<Result<Self, Error>> {
        let (config, clock) = (parts.config, Arc::clone(&parts.clock));
        Some(match name {
            anthropic::NAME => Anthropic::new(config, clock)
                .map(|it| Self::Remote(Box::new(Remote::new(Speaker::Anthropic(it), parts)))),
            openai::NAME => {
                OpenAi::new(config, clock).map(|it| Self::Remote(Box::new(Remote::new(Speaker::OpenAi(it), parts))))
            }
            offline::NAME => Ok(Self::Local(Box::new(Local::new(Offline::new(&config.offline))))),
            _ => return None,
        })
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Remote(remote) => remote.speaker.name(),
            Self::Local(_) => offline::NAME,
        }
    }

    /// What its tokens cost.
    pub(super) fn price(&self) -> Price {
        match self {
            Self::Remote(remote) => remote.speaker.price(),
            Self::Local(_) => Price::default(),
        }
    }

    /// Whether it is a model, which can go on with what another one began. The offline responder only knows its text.
    pub(super) fn is_model(&self) -> bool {
        matches!(self, Self::Remote(_))
    }

    /// The reply of this provider, or why there is none. `alone` says that no other one can be asked afterwards. When text
    /// has reached the outlet before, the provider is asked to go on after it.
    pub(super) async fn reply(
        &self,
        request: &ReplyRequest,
        deadline: Instant,
        alone: bool,
        outlet: &mut Outlet<'_>,
    ) -> Result<Completion, Fault> {
        let (counters, outcome) = match self {
            Self::Remote(remote) if outlet.said() > 0 => {
                remote.counters.continuations.add();
                let request = request.to_go_on(outlet.round_text());
                (&remote.counters, remote.reply(&request, deadline, alone, outlet).await)
            }
            Self::Remote(remote) => (&remote.counters, remote.reply(request, deadline, alone, outlet).await),
            Self::Local(local) => (&local.counters, local.reply(request, deadline, outlet).await),
        };
        if outcome.is_ok() {
            counters.replies.add();
        }
        outcome
    }

    pub(super) fn figures(&self) -> Figures {
        match self {
            Self::Remote(remote) => remote.figures(),
            Self::Local(local) => local.figures(),
        }
    }
}

/// What providers are made of.
pub(super) struct Parts<'a> {
    pub(super) config: &'a config::Providers,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) backoff: Backoff,
}

enum Speaker {
    Anthropic(Anthropic),
    OpenAi(OpenAi),
}

impl Speaker {
    fn name(&self) -> &'static str {
        match self {
            Self::Anthropic(_) => anthropic::NAME,
            Self::OpenAi(_) => openai::NAME,
        }
    }

    fn model(&self) -> &str {
        match self {
            Self::Anthropic(speaker) => speaker.model(),
            Self::OpenAi(speaker) => speaker.model(),
        }
    }

    fn price(&self) -> Price {
        match self {
            Self::Anthropic(speaker) => speaker.price(),
            Self::OpenAi(speaker) => speaker.price(),
        }
    }

    async fn reply(
        &self,
        request: &ReplyRequest,
        limits: Limits,
        outlet: &mut Outlet<'_>,
    ) -> Result<Completion, Failure> {
        match self {
            Self::Anthropic(speaker) => speaker.reply(request, limits, outlet).await,
            Self::OpenAi(speaker) => speaker.reply(request, limits, outlet).await,
        }
    }
}

/// A provider over the network.
pub(super) struct Remote {
    speaker: Speaker,
    queue: Arc<Queue>,
    breaker: Breaker,
    retries: Retries,
    first_token: Duration,
    idle: Duration,
    counters: Counters,
}

impl Remote {
    fn new(speaker: Speaker, parts: &Parts<'_>) -> Self {
        let config = parts.config;
        let breaker_pause = Duration::from_millis(config.breaker_open_ms);
        let queue_time = Duration::from_millis(config.queue_timeout_ms);
        let entropy = Arc::clone(&parts.entropy);
        Self {
            queue: Queue::new(config.max_concurrency, config.max_queue, queue_time),
            breaker: Breaker::new(speaker.name(), config.breaker_failures, breaker_pause),
            retries: Retries::new(config.max_retries, config.retry_budget_percent, parts.backoff, entropy),
            first_token: Duration::from_millis(config.first_token_timeout_ms),
            idle: Duration::from_millis(config.idle_timeout_ms),
            counters: Counters::default(),
            speaker,
        }
    }

    /// Counts a fault before it is passed on.
    fn counted(&self, fault: Fault) -> Fault {
        self.counters.fault(fault.kind);
        fault
    }

    fn refused(&self, kind: FaultKind, retry_after: Option<Duration>) -> Fault {
        self.counted(Fault::new(self.speaker.name(), kind).retry_after(retry_after))
    }

    async fn slot(&self, request: &ReplyRequest, deadline: Instant) -> Result<Slot, Fault> {
        self.queue.enter(request.tenant, deadline).await.map_err(|refusal| {
            let kind = match refusal {
                Refusal::Full => FaultKind::QueueFull,
                Refusal::TimedOut => FaultKind::QueueTimeout,
                Refusal::Deadline => FaultKind::Deadline,
            };
            self.refused(kind, None)
        })
    }

    async fn reply(
        &self,
        request: &ReplyRequest,
        deadline: Instant,
        alone: bool,
        outlet: &mut Outlet<'_>,
    ) -> Result<Completion, Fault> {
        self.counters.requests.add();
        self.breaker.look().map_err(|wait| self.refused(FaultKind::BreakerOpen, Some(wait)))?;
        // Held over the retries too: a provider that cannot keep up gets no more requests while some wait to be retried.
        let _slot = {
            let _step = Step::begin(StepKind::Work, "wait for a place at the provider");
            self.slot(request, deadline).await?
        };
        // What counts here is the text of this provider, not of one before it.
        let before = outlet.sent();
        let mut retried = 0;
        let mut permit = self.breaker.admit().map_err(|wait| self.refused(FaultKind::BreakerOpen, Some(wait)))?;
        self.retries.request();
        loop {
            let limits = Limits { first_token: self.first_token, idle: self.idle, deadline };
            let outcome = self.ask(request, limits, outlet).await;
            let text_came = outlet.sent() > before;
            self.counters.last.record(outcome.as_ref().err().map(|failure| failure.fault.kind.code()));
            permit.settle(verdict(&outcome, text_came));
            let failure = match outcome {
                Ok(completion) => return Ok(completion),
                Err(failure) => failure,
            };
            let fault = self.counted(failure.fault.clone());
            if text_came {
                return Err(fault);
            }
            let Some(wait) = self.retries.next(&failure, retried, alone, deadline) else { return Err(fault) };
            tracing::debug!(provider = self.speaker.name(), kind = %fault.kind, ?wait, "trying again");
            tokio::time::sleep(wait).await;
            let Ok(next) = self.breaker.admit() else { return Err(fault) };
            permit = next;
            retried += 1;
            self.counters.retries.add();
        }
    }

    /// One request to the provider, as a step of its trace
    /// (opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans).
    async fn ask(
        &self,
        request: &ReplyRequest,
        limits: Limits,
        outlet: &mut Outlet<'_>,
    ) -> Result<Completion, Failure> {
        let mut step = Step::begin(StepKind::Outgoing, "chat");
        let began = Instant::now();
        outlet.forget_first();
        let outcome = self.speaker.reply(request, limits, outlet).await;
        if step.is_noted() {
            step.say("gen_ai.operation.name", "chat");
            step.say("gen_ai.provider.name", self.speaker.name());
            step.say("gen_ai.request.model", self.speaker.model().to_owned());
            if let Some(first) = outlet.first() {
                step.say("mainstay.first_token_ms", first.saturating_duration_since(began));
            }
            match &outcome {
                Ok(completion) => {
                    step.say("gen_ai.usage.input_tokens", completion.usage.input_tokens);
                    step.say("gen_ai.usage.output_tokens", completion.usage.output_tokens);
                }
                Err(failure) => step.fail(failure.fault.kind.code()),
            }
        }
        outcome
    }

    fn figures(&self) -> Figures {
        let (in_flight, queued) = self.queue.load();
        Figures {
            provider: self.speaker.name(),
            model: self.speaker.model().to_owned(),
            breaker: self.breaker.current(),
            breaker_opened: self.breaker.opened(),
            in_flight,
            queued,
            requests: self.counters.requests.get(),
            replies: self.counters.replies.get(),
            retries: self.counters.retries.get(),
            continuations: self.counters.continuations.get(),
            faults: self.counters.faults(),
            last: self.counters.last.get(),
        }
    }
}

/// What an attempt says about the health of the provider.
fn verdict(outcome: &Result<Completion, Failure>, text_came: bool) -> Verdict {
    match outcome {
        Ok(_) => Verdict::Healthy,
        Err(failure) => match failure.fault.kind {
            // A long answer that the caller had no time for is no failure of the provider; silence is.
            FaultKind::Deadline if text_came => Verdict::Unknown,
            FaultKind::Deadline => Verdict::Failed,
            FaultKind::Unauthorised | FaultKind::Empty => Verdict::Answered,
            FaultKind::Refused { .. } if !failure.fault.kind.is_passing() => Verdict::Answered,
            FaultKind::QueueFull | FaultKind::QueueTimeout | FaultKind::BreakerOpen => Verdict::Unknown,
            _ => Verdict::Failed,
        },
    }
}

/// The responder in this process.
pub(super) struct Local {
    offline: Offline,
    in_flight: AtomicUsize,
    counters: Counters,
}

impl Local {
    fn new(offline: Offline) -> Self {
        Self { offline, in_flight: AtomicUsize::new(0), counters: Counters::default() }
    }

    async fn reply(
        &self,
        request: &ReplyRequest,
        deadline: Instant,
        outlet: &mut Outlet<'_>,
    ) -> Result<Completion, Fault> {
        self.counters.requests.add();
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let _running = Running(&self.in_flight);
        let outcome = self.offline.reply(request, deadline, outlet).await;
        self.counters.last.record(outcome.as_ref().err().map(|fault| fault.kind.code()));
        outcome.inspect_err(|fault| self.counters.fault(fault.kind))
    }

    fn figures(&self) -> Figures {
        Figures {
            provider: offline::NAME,
            model: offline::MODEL.to_owned(),
            breaker: BreakerState::Closed,
            breaker_opened: 0,
            in_flight: self.in_flight.load(Ordering::Relaxed),
            queued: 0,
            requests: self.counters.requests.get(),
            replies: self.counters.replies.get(),
            retries: 0,
            continuations: 0,
            faults: self.counters.faults(),
            last: self.counters.last.get(),
        }
    }
}

struct Running<'a>(&'a AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
