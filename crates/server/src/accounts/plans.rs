//! Lives in one process: what organisations pay for, remembered for a minute, for what is no money: how often somebody may
//! ask, and when a client syncs. A change of a plan is told in the database, where every node looks twice a second; what may
//! be used is decided without this memory.

use std::time::Duration;

use mainstay_domain::{Plan, TenantId};
use mainstay_store::{Call, MembershipsIn};
use moka::sync::Cache;

use super::{Accounts, Member};

/// For how long a plan is remembered.
const REMEMBERED: Duration = Duration::from_secs(60);
/// The most that are remembered at once.
const MOST_REMEMBERED: u64 = 50_000;

/// The plans that this node remembers.
pub(super) struct Plans(Cache<TenantId, Plan>);

impl Plans {
    pub(super) fn new() -> Self {
        Self(Cache::builder().max_capacity(MOST_REMEMBERED).time_to_live(REMEMBERED).build())
    }
}

impl Accounts {
    /// What the organisation of a member pays for. When that cannot be told now, the largest plan: limits that go by it
    /// are against abuse, and nobody who stays under theirs is refused.
    pub async fn plan_of(&self, call: &Call, member: &Member) -> Plan {
        if let Some(plan) = self.plans.0.get(&member.tenant) {
            return plan;
        }
        let find = MembershipsIn { person: member.person, tenants: vec![member.tenant] };
        match Box::pin(self.store.run(call, find)).await {
            Ok(memberships) => {
                let plan = memberships.first().map(|membership| membership.plan).unwrap_or_default();
                self.plans.0.insert(member.tenant, plan);
                plan
            }
            Err(error) => {
                tracing::debug!(%error, "the plan of an organisation cannot be read");
                Plan::Studio
            }
        }
    }

    /// Forgets what organisations pay for: something may have changed.
    pub fn forget_plans(&self) {
        self.plans.0.invalidate_all();
    }
}
