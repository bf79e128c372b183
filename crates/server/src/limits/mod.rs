//! How often somebody may ask: limits by person, API key, organisation and address, for each class of route.
//!
//! `docs/limits.md` tells the rules and why they hold. A route's line in [`crate::routes`] names its [`Class`]; the stack
//! checks what needs no token by address, and [`admit`] the rest, where the member becomes known. All limits of a request
//! are one decision: it is counted in each of them or in none, and what is refused is not counted.

pub mod api;
mod class;
mod key;
mod logs;
mod refusals;
mod shared;
mod tally;
mod verdict;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mainstay_domain::{Entropy, Plan, Timestamp};
use mainstay_store::Call;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::time::{Instant, MissedTickBehavior, interval};

pub use self::class::Class;
pub use self::key::{Key, Network, Rule, Subject};
use self::logs::{Logs, micros};
use self::refusals::Refusals;
pub use self::refusals::Refused;
use self::shared::Shared;
pub use self::tally::Tally;
pub use self::verdict::{Standing, Verdict};
use crate::accounts::{Credential, Member};
use crate::app::App;
use crate::config::{self, PlanLimits};
use crate::controls::Controls;
use crate::http::{Access, Problem, RequestContext};
use crate::nodes::NodeCount;
use crate::redis::Redis;

/// How long the start waits for Redis to decide. It goes on without.
const JOINING: Duration = Duration::from_secs(2);
/// How often idle logs are swept.
const SWEEP: Duration = Duration::from_secs(10);
/// How often it is said that logs were forgotten.
const WARN: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    class: &'static str,
    subject: &'static str,
}

/// The limits of this node.
pub struct Limits {
    settings: config::Limits,
    /// What operators have set in place of the settings.
    controls: Arc<Controls>,
    logs: Logs,
    /// What decides where there is a Redis.
    shared: Option<Shared>,
    refusals: Refusals,
    refused: Family<RefusalLabels, Counter>,
    begun: Instant,
    /// How many forgotten logs have been said.
    said: AtomicU64,
}

impl Limits {
    /// The limits of these settings, with their figures: over all nodes where there is a Redis, else of this one.
    #[must_use]
    pub fn new(
        (settings, controls): (config::Limits, Arc<Controls>),
        (redis, nodes): (Option<Redis>, &NodeCount),
        entropy: &dyn Entropy,
        registry: &mut Registry,
    ) -> Self {
        // A control may raise any limit up to this.
        let bounds = (settings.max_keys, usize::try_from(config::MOST_LIMIT).unwrap_or(usize::MAX));
        let shared = redis.map(|redis| Shared::new(redis, nodes.clone(), settings.window(), bounds, entropy));
        let refused = Family::default();
        registry.register(
            "mainstay_limit_refusals",
            "Requests refused by a limit, by class of route and kind of subject",
            Family::clone(&refused),
        );
        Self {
            logs: Logs::new(settings.window(), settings.max_keys),
            shared,
            refusals: Refusals::default(),
            refused,
            begun: Instant::now(),
            said: AtomicU64::new(0),
            settings,
            controls,
        }
    }

    /// Checks a request to a route that needs no token, by its address.
    pub async fn public(&self, class: Class, address: IpAddr) -> Verdict {
        let subject = Subject::Address(address.into());
        let limit = match class {
            Class::LiveConnect => self.controls.scaled(Some(class), self.settings.live_connect_per_address),
            Class::Unlimited => return Verdict::default(),
            _ => self.controls.limit(Class::Public, self.settings.public),
        };
        self.decide(class, &[Rule { key: Key::new(subject, class), name: "address", limit }]).await
    }

    /// Checks a request of a member, by every limit that it must keep. The address counts for live connections; nothing
    /// where it has been checked already. What operators have set does not hold for their own routes.
    pub async fn member(
        &self,
        (class, access): (Class, Access),
        member: &Member,
        address: Option<IpAddr>,
        plan: Plan,
    ) -> Verdict {
        if class == Class::Unlimited {
            return Verdict::default();
        }
        let controls = Some(&*self.controls).filter(|_| access != Access::Operator);
        let scaled = |class, limit| controls.map_or(limit, |controls| controls.scaled(class, limit));
        let mut rules = Vec::with_capacity(logs::MOST_RULES);
        let person = Subject::Person(member.tenant, member.person);
        let limit = self.of(plan, class);
        let limit = controls.map_or(limit, |controls| controls.limit(class, limit));
        let by_person = Rule { key: Key::new(person, class), name: user_limit(class), limit };
        match member.credential {
            // What a key does of no class of its own is limited by the key's own number.
            Credential::ApiKey { id, .. } => {
                rules.extend((class != Class::Other).then_some(by_person));
                let key = Key::overall(Subject::ApiKey(id));
                rules.push(Rule { key, name: "api_key", limit: scaled(None, self.settings.api_key) });
            }
            Credential::Session(_) | Credential::Outside => rules.push(by_person),
        }
        let key = Key::overall(Subject::Organisation(member.tenant));
        rules.push(Rule { key, name: "organisation", limit: scaled(None, self.settings.organisation) });
        if let (Class::LiveConnect, Some(address)) = (class, address) {
            let key = Key::new(Subject::Address(address.into()), class);
            let limit = scaled(Some(class), self.settings.live_connect_per_address);
            rules.push(Rule { key, name: "address", limit });
        }
        self.decide(class, &rules).await
    }

    /// Whether the limits of a class depend on what the organisation pays for.
    #[must_use]
    pub fn depends_on_plan(&self, class: Class) -> bool {
        let free = self.of(Plan::Free, class);
        free != self.of(Plan::Core, class) || free != self.of(Plan::Studio, class)
    }

    /// The limit of one person.
    fn of(&self, plan: Plan, class: Class) -> u32 {
        let PlanLimits { messages, image_analysis, speech_to_text, text_to_speech, live_connect, sync, other } =
            match plan {
                Plan::Free => &self.settings.free,
                Plan::Core => &self.settings.core,
                Plan::Studio => &self.settings.studio,
            };
        *match class {
            Class::Messages => messages,
            Class::ImageAnalysis => image_analysis,
            Class::SpeechToText => speech_to_text,
            Class::TextToSpeech => text_to_speech,
            Class::LiveConnect => live_connect,
            Class::Sync => sync,
            Class::Other | Class::Public | Class::Unlimited => other,
        }
    }

    async fn decide(&self, class: Class, rules: &[Rule]) -> Verdict {
        let verdict = match &self.shared {
            Some(shared) => Box::pin(shared.decide(rules)).await,
            None => self.logs.decide(rules, || self.now()),
        };
        for standing in verdict.violated() {
            let labels = RefusalLabels { class: class.as_str(), subject: standing.rule.key.subject.kind() };
            self.refused.get_or_create(&labels).inc();
        }
        verdict
    }

    /// Remembers what refused a member's request, for the organisation's administrators.
    fn remember(&self, member: &Member, verdict: &Verdict, class: Class, route: &str, now: Timestamp) {
        for standing in verdict.violated() {
            self.refusals.add(member.tenant, &standing.rule, class, route, now);
        }
    }

    fn now(&self) -> logs::Moment {
        micros(self.begun.elapsed())
    }

    /// How many logs there are, and how many were forgotten while they still counted.
    #[must_use]
    pub fn figures(&self) -> (usize, u64) {
        match &self.shared {
            Some(shared) => (shared.keys(), shared.evicted()),
            None => (self.logs.keys(), self.logs.evicted()),
        }
    }

    /// Whether Redis decides for all nodes; nothing where there is none.
    #[must_use]
    pub fn is_shared(&self) -> Option<bool> {
        self.shared.as_ref().map(Shared::is_together)
    }

    /// Sweeps idle logs, and says once in a while that others were forgotten.
    async fn keep(&self) {
        let mut ticks = interval(SWEEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut warned: Option<Instant> = None;
        loop {
            ticks.tick().await;
            match &self.shared {
                Some(shared) => shared.sweep(),
                None => self.logs.sweep(self.now()),
            }
            let (_, evicted) = self.figures();
            let new = evicted.saturating_sub(self.said.load(Ordering::Relaxed));
            if new > 0 && warned.is_none_or(|at| at.elapsed() >= WARN) {
                warned = Some(Instant::now());
                self.said.store(evicted, Ordering::Relaxed);
                tracing::warn!(
                    new,
                    most = self.settings.max_keys,
                    "more callers than limits.max_keys: some were forgotten, and may pass more than their limit"
                );
            }
        }
    }
}

/// What the headers call a person's limit of a class.
const fn user_limit(class: Class) -> &'static str {
    match class {
        Class::Other | Class::Public | Class::Unlimited => "user",
        _ => class.as_str(),
    }
}

/// Starts what keeps the limits, and waits a little until Redis decides, where there is one.
pub async fn start(app: &Arc<App>) {
    let keeper = Arc::clone(app);
    app.lifecycle.spawn_until_stopped("limits", async move { keeper.limits.keep().await });
    let Some(shared) = &app.limits.shared else { return };
    let (subscription, listener) = (shared.subscribe(), Arc::clone(&app.limits));
    app.lifecycle.spawn_until_drained("limits of all nodes", async move {
        if let Some(shared) = &listener.shared {
            shared.keep(subscription).await;
        }
    });
    shared.joined(JOINING).await;
}

/// Checks the limits of a request whose caller is known now. A handler's arguments do this; who learns otherwise who
/// calls (by a ticket) does it itself. A second check of the same request does nothing.
///
/// # Errors
/// `rate_limited`.
pub async fn admit(app: &App, context: &RequestContext, method: &str, member: &Member) -> Result<(), Problem> {
    let Some(policy) = context.policy().filter(|_| context.tally.begin()) else { return Ok(()) };
    let class = if policy.limit == Class::Public { Class::Other } else { policy.limit };
    let plan = if app.limits.depends_on_plan(class) {
        // Not counted as the route's own statements: a node remembers the answer.
        app.accounts.plan_of(&Call::until(context.call.deadline()), member).await
    } else {
        Plan::Free
    };
    // What needs no token was held against its address before the handler.
    let address = (policy.access != Access::Public).then_some(context.client_address);
    let verdict = app.limits.member((class, policy.access), member, address, plan).await;
    let passes = verdict.passes();
    let problem = (!passes).then(|| verdict.problem());
    if !passes {
        let route = format!("{method} {}", context.route);
        app.limits.remember(member, &verdict, class, &route, app.clock.now());
    }
    context.tally.add(verdict);
    problem.map_or(Ok(()), Err)
}
