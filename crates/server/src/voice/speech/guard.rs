//! Lives in one process: what is known of the health of one provider of speech. What fails is tried again within a budget, and
//! a provider that keeps failing is left alone for a while.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::config;
use crate::providers::breaker::{Breaker, Permit, Verdict};
use crate::providers::retry::Budget;

/// How long after a failure it is tried again.
pub(super) const PAUSE: Duration = Duration::from_millis(150);

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::voice) enum Kind {
    /// No connection in time, or none at all.
    Unreachable,
    /// Connected, and not a word in time.
    FirstByteTimeout,
    /// It stood still.
    IdleTimeout,
    /// It asks to come back later, or has too much to do.
    Busy,
    /// It refuses the key.
    Unauthorised,
    /// It refuses the request.
    Refused,
    /// It failed.
    ServerError,
    /// The connection ended too early.
    Cut,
    /// What came cannot be read.
    Garbage,
    /// It is left alone for a while.
    BreakerOpen,
}

impl Kind {
    /// A stable word.
    pub(in crate::voice) const fn code(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::FirstByteTimeout => "first_byte_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::Busy => "busy",
            Self::Unauthorised => "unauthorised",
            Self::Refused => "refused",
            Self::ServerError => "server_error",
            Self::Cut => "cut",
            Self::Garbage => "garbage",
            Self::BreakerOpen => "breaker_open",
        }
    }

    /// Whether it may be over in a moment.
    const fn is_passing(self) -> bool {
        matches!(self, Self::Unreachable | Self::Busy | Self::ServerError | Self::Cut)
    }
}

/// Why there is no speech, or no text of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::voice) struct Fault {
    pub(in crate::voice) provider: &'static str,
    pub(in crate::voice) kind: Kind,
    /// For the log: bounded, and without the key.
    pub(in crate::voice) inside: String,
    /// When to come back, where that is known.
    pub(in crate::voice) retry_after: Option<Duration>,
}

impl Fault {
    pub(super) fn new(provider: &'static str, kind: Kind, inside: impl fmt::Display) -> Self {
        let inside = inside.to_string();
        let inside = inside.chars().take(300).map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
        Self { provider, kind, inside, retry_after: None }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.provider, self.kind.code(), self.inside)
    }
}

/// What stands around one provider.
pub(super) struct Guard {
    pub(super) name: &'static str,
    breaker: Breaker,
    retries: Budget,
    attempts: u32,
    figures: SpeechFigures,
}

/// Which provider.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Of {
    provider: &'static str,
}

/// Which provider, and what went wrong with it.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct OfFault {
    provider: &'static str,
    why: &'static str,
}

/// What all providers did since the start.
#[derive(Clone, Default)]
pub(in crate::voice) struct SpeechFigures {
    requests: Family<Of, Counter>,
    faults: Family<OfFault, Counter>,
}

impl SpeechFigures {
    pub(in crate::voice) fn register(registry: &mut Registry) -> Self {
        let all = Self::default();
        let help = "Requests to providers of speech";
        registry.register("mainstay_voice_provider_requests", help, all.requests.clone());
        let help = "Attempts with providers of speech that failed, by why";
        registry.register("mainstay_voice_provider_faults", help, all.faults.clone());
        all
    }
}

impl Guard {
    pub(super) fn new(name: &'static str, shared: &config::Providers, figures: &SpeechFigures) -> Self {
        Self {
            name,
            breaker: Breaker::new(name, shared.breaker_failures, shared.breaker_open()),
            retries: Budget::new(shared.retry_budget_percent),
            attempts: shared.max_retries + 1,
            figures: figures.clone(),
        }
    }

    /// A request, of which retries may be a share.
    pub(super) fn request(&self) {
        self.figures.requests.get_or_create(&Of { provider: self.name }).inc();
        self.retries.request();
    }

    /// Lets one attempt pass.
    pub(super) fn admit(&self) -> Result<Permit<'_>, Fault> {
        self.breaker.admit().map_err(|wait| {
            let mut fault = self.fault(Kind::BreakerOpen, "it keeps failing");
            fault.retry_after = Some(wait);
            self.count(&fault);
            fault
        })
    }

    pub(super) fn fault(&self, kind: Kind, inside: impl fmt::Display) -> Fault {
        Fault::new(self.name, kind, inside)
    }

    fn count(&self, fault: &Fault) {
        self.figures.faults.get_or_create(&OfFault { provider: self.name, why: fault.kind.code() }).inc();
    }

    /// Says how an attempt went.
    pub(super) fn settle(&self, permit: Permit<'_>, fault: Option<&Fault>) {
        if let Some(fault) = fault {
            self.count(fault);
        }
        permit.settle(match fault.map(|fault| fault.kind) {
            None => Verdict::Healthy,
            Some(Kind::Refused | Kind::Unauthorised | Kind::Busy) => Verdict::Answered,
            Some(_) => Verdict::Failed,
        });
    }

    /// Whether it is worth trying again after so many attempts.
    pub(super) fn again(&self, fault: &Fault, attempts: u32) -> bool {
        fault.kind.is_passing() && attempts < self.attempts && self.retries.spend()
    }
}
