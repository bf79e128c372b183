//! The figures of usage: what was refused because a limit was spent, and what was set aside and never settled.

use mainstay_domain::Spent;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Limit {
    limit: &'static str,
}

/// Counted since the start. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct BillingFigures {
    refused: Family<Limit, Counter>,
    swept: Counter,
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
        figures
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
