//! What the provider of billing tells of a subscription, put together so that the order of arrival does not matter.
//!
//! Events come late, twice and in any order (<https://developer.fastspring.com/docs/webhooks-overview>). For each thing
//! that can change on its own, what was said last is kept with the time of the provider at which it was said; what
//! arrives later and was said earlier changes nothing. What holds is derived from these. So the same events give the
//! same subscription, whatever the order and however often each is told.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::account::{Plan, UnknownWord, words};
use crate::clock::Timestamp;

/// How a subscription stands with its provider.
/// The words are those of <https://developer.fastspring.com/reference/subscriptionupdated>, and `paused`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionState {
    /// It is tried, and not paid yet.
    Trial,
    /// It is paid.
    Active,
    /// A payment has failed and not been made since.
    Overdue,
    /// Nothing is paid and nothing may be used, until it goes on.
    Paused,
    /// It may be used until its period ends.
    Canceled,
    /// It has ended and does not come back; a new one has another id.
    Deactivated,
}

words!(SubscriptionState {
    Trial = "trial",
    Active = "active",
    Overdue = "overdue",
    Paused = "paused",
    Canceled = "canceled",
    Deactivated = "deactivated",
});

/// How an attempt to take money ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Charge {
    /// It was paid.
    Succeeded,
    /// It was not.
    Failed,
}

/// What one event says. Of what it does not say, nothing is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionEvent {
    /// The provider's id of the event.
    pub id: String,
    /// What the provider calls such events.
    pub kind: String,
    /// The provider's id of the subscription.
    pub subscription: String,
    /// When the event came to be, by the provider.
    pub created: Timestamp,
    /// When what it says of the subscription came to hold, by the provider. Nothing: when the event came to be.
    pub changed: Option<Timestamp>,
    /// How the subscription stands.
    pub state: Option<SubscriptionState>,
    /// What is subscribed to: the path of the product.
    pub product: Option<String>,
    /// When the period ends that is paid or tried.
    pub period_end: Option<Timestamp>,
    /// That money was to be taken, and how it ended. This happened when the event came to be.
    pub charge: Option<Charge>,
}

impl SubscriptionEvent {
    /// When the charge happened that it tells of.
    fn happened(&self) -> Stamp {
        Stamp { at: self.created, created: self.created, event: self.id.clone() }
    }

    /// Since when holds what it says of the subscription. An event that is sent again by hand has a new id, and may have
    /// a new time; what it says is as old as it was.
    fn said(&self) -> Stamp {
        Stamp { at: self.changed.unwrap_or(self.created), ..self.happened() }
    }
}

/// By which of two sayings the later is told. The id decides between those of one moment: in no way that means
/// anything, but everywhere the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Stamp {
    at: Timestamp,
    created: Timestamp,
    event: String,
}

/// What was said last about one thing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Saying<T> {
    stamp: Stamp,
    value: T,
}

/// The last saying of two. The value decides when a provider gives one id to two events.
fn hear<T: Ord>(last: &mut Option<Saying<T>>, stamp: Stamp, value: T) {
    let new = Some(Saying { stamp, value });
    if *last < new {
        *last = new;
    }
}

/// Whether it goes on, with payments left aside: these are another thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Life {
    Trial,
    Active,
    Paused,
    Canceled,
}

/// A subscription, by all that was told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    id: String,
    #[serde(default)]
    life: Option<Saying<Life>>,
    /// The first word that it has ended. There is none that takes it back.
    #[serde(default)]
    ended: Option<Stamp>,
    #[serde(default)]
    product: Option<Saying<String>>,
    #[serde(default)]
    period_end: Option<Saying<Timestamp>>,
    /// The last time that it was paid.
    #[serde(default)]
    paid: Option<Stamp>,
    /// Each time since then that it was not. All are kept, as a payment of between two may still be told.
    #[serde(default)]
    failed: BTreeSet<Stamp>,
}

impl Subscription {
    /// For how long a plan is kept after a payment has failed, if nothing else is set.
    pub const DEFAULT_GRACE: Duration = Duration::from_secs(7 * 86_400);
    /// The most failures that are kept, the latest. Providers give up after fewer.
    const MOST_FAILURES: usize = 32;

    /// One of which nothing is known.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            life: None,
            ended: None,
            product: None,
            period_end: None,
            paid: None,
            failed: BTreeSet::new(),
        }
    }

    /// The provider's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How it stands. Nothing, before that was told.
    #[must_use]
    pub fn state(&self) -> Option<SubscriptionState> {
        if self.ended.is_some() {
            return Some(SubscriptionState::Deactivated);
        }
        let life = self.life.as_ref()?;
        Some(match life.value {
            Life::Paused => SubscriptionState::Paused,
            Life::Canceled => SubscriptionState::Canceled,
            Life::Trial | Life::Active if !self.failed.is_empty() => SubscriptionState::Overdue,
            // The end of a trial is told by its first payment only.
            Life::Trial if self.paid.as_ref() < Some(&life.stamp) => SubscriptionState::Trial,
            Life::Trial | Life::Active => SubscriptionState::Active,
        })
    }

    /// The path of the product that is subscribed to.
    #[must_use]
    pub fn product(&self) -> Option<&str> {
        self.product.as_ref().map(|product| product.value.as_str())
    }

    /// When the period ends that is paid or tried.
    #[must_use]
    pub fn period_end(&self) -> Option<Timestamp> {
        self.period_end.as_ref().map(|end| end.value)
    }

    /// Since when a payment is missing: the first that failed after the last that was made. Attempts after that do not
    /// begin the grace anew.
    #[must_use]
    pub fn unpaid_since(&self) -> Option<Timestamp> {
        self.failed.first().map(|stamp| stamp.at)
    }

    /// Until when the plan is kept although a payment is missing.
    #[must_use]
    pub fn grace_until(&self, grace: Duration) -> Option<Timestamp> {
        self.unpaid_since().map(|since| since.plus(grace))
    }

    /// When it ends by itself: the end of its period, once it was cancelled.
    #[must_use]
    pub fn ends_at(&self) -> Option<Timestamp> {
        let cancelled = self.state() == Some(SubscriptionState::Canceled);
        self.period_end().filter(|_| cancelled)
    }

    /// The next moment at which the plan that holds may be another although nothing more is told.
    #[must_use]
    pub fn next_turn(&self, now: Timestamp, grace: Duration) -> Option<Timestamp> {
        if self.ended.is_some() {
            return None;
        }
        [self.grace_until(grace), self.ends_at()].into_iter().flatten().filter(|moment| *moment > now).min()
    }

    /// What time alone has ended, in words: the grace, or the period of what was cancelled.
    #[must_use]
    pub fn run_out(&self, now: Timestamp, grace: Duration) -> Option<String> {
        if self.ended.is_some() {
            return None;
        }
        let (since, until) = (self.unpaid_since(), self.grace_until(grace));
        if let (Some(since), Some(until)) = (since, until.filter(|until| *until <= now)) {
            return Some(format!("{}: not paid since {since}, and the grace ended at {until}", self.id));
        }
        let end = self.ends_at().filter(|end| *end <= now)?;
        Some(format!("{}: cancelled, and its period ended at {end}", self.id))
    }

    /// The plan that holds at a moment, by what is known.
    ///
    /// `plans` has the plan of each product. One that is not there gives the free plan, as does a subscription that has
    /// ended, is paused, was cancelled and has come to the end of its period, or was not paid during the grace.
    #[must_use]
    pub fn effective_plan(&self, now: Timestamp, grace: Duration, plans: &BTreeMap<String, Plan>) -> Plan {
        let reached = |moment: Option<Timestamp>| moment.is_some_and(|moment| moment <= now);
        let goes_on = match self.life.as_ref().map(|life| life.value) {
            Some(Life::Trial | Life::Active) => true,
            Some(Life::Canceled) => !reached(self.period_end()),
            Some(Life::Paused) | None => false,
        };
        if self.ended.is_some() || !goes_on || reached(self.grace_until(grace)) {
            return Plan::Free;
        }
        self.product().and_then(|product| plans.get(product)).copied().unwrap_or_default()
    }

    /// Takes in what an event says, and tells what is different now. An event of another subscription changes nothing.
    pub fn apply(&mut self, event: &SubscriptionEvent) -> Change {
        let before = self.clone();
        if event.subscription == self.id {
            self.take_state(event);
            self.take_payment(event);
            if let Some(product) = &event.product {
                hear(&mut self.product, event.said(), product.clone());
            }
            if let Some(end) = event.period_end {
                hear(&mut self.period_end, event.said(), end);
            }
        }
        Change::between(&before, self, event)
    }

    fn take_state(&mut self, event: &SubscriptionEvent) {
        let life = match event.state {
            None => return,
            Some(SubscriptionState::Trial) => Life::Trial,
            Some(SubscriptionState::Active | SubscriptionState::Overdue) => Life::Active,
            Some(SubscriptionState::Paused) => Life::Paused,
            Some(SubscriptionState::Canceled) => Life::Canceled,
            Some(SubscriptionState::Deactivated) => {
                let said = event.said();
                self.ended = Some(self.ended.take().map_or(said.clone(), |first| first.min(said)));
                return;
            }
        };
        hear(&mut self.life, event.said(), life);
    }

    /// A charge says whether it is paid. Where there is none the provider's word says it: active is paid, overdue is
    /// not. That mends what a charge would have said whose event was lost.
    fn take_payment(&mut self, event: &SubscriptionEvent) {
        match (event.charge, event.state) {
            (Some(Charge::Succeeded), _) => self.paid = self.paid.take().max(Some(event.happened())),
            (Some(Charge::Failed), _) => _ = self.failed.insert(event.happened()),
            (None, Some(SubscriptionState::Active)) => self.paid = self.paid.take().max(Some(event.said())),
            (None, Some(SubscriptionState::Overdue)) => _ = self.failed.insert(event.said()),
            (None, _) => {}
        }
        let paid = self.paid.as_ref();
        self.failed.retain(|failure| Some(failure) > paid);
        // Only the earliest go: which are left does not depend on when they came.
        while self.failed.len() > Self::MOST_FAILURES {
            self.failed.pop_first();
        }
    }
}

/// What of a subscription can be different after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    /// How it stands.
    State,
    /// What is subscribed to.
    Product,
    /// When its period ends.
    PeriodEnd,
    /// Since when a payment is missing.
    UnpaidSince,
}

words!(Aspect { State = "state", Product = "product", PeriodEnd = "period_end", UnpaidSince = "unpaid_since" });

/// One thing that is different after an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What it is.
    pub aspect: Aspect,
    /// How it was.
    pub from: Option<String>,
    /// How it is.
    pub to: Option<String>,
}

/// What is different after an event, and which one it was. For a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The provider's id of the event.
    pub event: String,
    /// What the provider calls such events.
    pub kind: String,
    /// When the event came to be.
    pub created: Timestamp,
    /// What is different. Nothing, when it was known before or something later was.
    pub differences: Vec<Difference>,
}

impl Change {
    /// Whether all is as it was.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.differences.is_empty()
    }

    fn between(before: &Subscription, after: &Subscription, event: &SubscriptionEvent) -> Self {
        let difference = |aspect: &Aspect| {
            let (from, to) = (aspect.of(before), aspect.of(after));
            (from != to).then_some(Difference { aspect: *aspect, from, to })
        };
        Self {
            event: event.id.clone(),
            kind: event.kind.clone(),
            created: event.created,
            differences: Aspect::ALL.iter().filter_map(difference).collect(),
        }
    }
}

impl Aspect {
    fn of(self, subscription: &Subscription) -> Option<String> {
        match self {
            Self::State => subscription.state().map(|state| state.to_string()),
            Self::Product => subscription.product().map(str::to_owned),
            Self::PeriodEnd => subscription.period_end().map(|end| end.to_string()),
            Self::UnpaidSince => subscription.unpaid_since().map(|since| since.to_string()),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): ", self.kind, self.event)?;
        if self.is_nothing() {
            return f.write_str("nothing new");
        }
        for (place, Difference { aspect, from, to }) in self.differences.iter().enumerate() {
            let word = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{aspect} from {} to {}", word(from), word(to))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
