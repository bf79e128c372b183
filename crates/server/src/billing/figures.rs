//! The figures of usage: what was refused because a limit was spent, and what was set aside and never settled.

use mainstay_domain::{Plan, Spent};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Limit {
    limit: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Event {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Turn {
    from: &'static str,
    to: &'static str,
}

/// The kinds of events that are counted under their own name: whoever sends events must not be able to make up labels.
const KINDS: [&str; 15] = [
    "subscription.activated",
    "subscription.updated",
    "subscription.trial.reminder",
    "subscription.payment.reminder",
    "subscription.charge.completed",
    "subscription.charge.failed",
    "subscription.payment.overdue",
    "subscription.canceled",
    "subscription.uncanceled",
    "subscription.deactivated",
    "subscription.paused",
    "subscription.resumed",
    "order.completed",
    "order.failed",
    "return.created",
];

/// The name that an event of this kind is counted under.
pub(super) fn known(kind: &str) -> &'static str {
    KINDS.into_iter().find(|known| *known == kind).unwrap_or("other")
}

/// Counted since the start. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct BillingFigures {
    refused: Family<Limit, Counter>,
    swept: Counter,
    events: Family<Event, Counter>,
    turns: Family<Turn, Counter>,
}

impl BillingFigures {
    /// Makes them, and shows them under `/metrics`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let figures = Self::default();
        let help = "Requests refused because a limit was spent, by the limit";
        registry.register("mainstay_usage_refusals", help, Family::clone(&figures.refused));
        let help = "What was set aside and not settled in its time: above 0 something loses work";
        registry.register("mainstay_reservations_swept", help, figures.swept.clone());
        let help = "Events of the provider of billing, by kind and by what came of them";
        registry.register("mainstay_billing_events", help, Family::clone(&figures.events));
        let help = "Changes of an organisation's plan by what the provider of billing told, or by time";
        registry.register("mainstay_plan_changes", help, Family::clone(&figures.turns));
        figures
    }

    /// An event came, and this came of it.
    pub(super) fn event(&self, kind: &'static str, outcome: &'static str) {
        self.events.get_or_create(&Event { kind, outcome }).inc();
    }

    /// A plan changed.
    pub(super) fn plan_changed(&self, from: Plan, to: Plan) {
        self.turns.get_or_create(&Turn { from: from.as_str(), to: to.as_str() }).inc();
    }

    /// Somebody was refused.
    pub fn refused(&self, spent: Spent) {
        let limit = match spent {
            Spent::Daily(_) => "plan_day",
            Spent::Monthly(_) => "plan_month",
            Spent::PlanCost => "plan_cost",
            Spent::PersonBudget => "person_budget",
            Spent::OrganisationBudget => "organisation_budget",
        };
        self.refused.get_or_create(&Limit { limit }).inc();
    }

    /// So many were swept.
    pub fn swept(&self, count: usize) {
        self.swept.inc_by(count as u64);
    }
}
