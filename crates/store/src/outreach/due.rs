//! When an account has something to do next.

use mainstay_domain::{CampaignId, Timestamp};

use super::RunOf;
use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, moment};

statements! {
    LANE = both("
        SELECT (SELECT min(e.due_at) FROM email e WHERE e.tenant_id = $1 AND e.account_id = $2 AND e.campaign_id = $3
            AND e.zone = $4 AND e.state = 'scheduled') AS due_at,
          (SELECT count(*) FROM (SELECT 1 AS one FROM lead l WHERE l.tenant_id = $1 AND l.campaign_id = $3 AND l.zone = $4
            AND l.state = 'new' LIMIT 1) w) AS fresh");
}

/// What waits in a lane of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneDue {
    /// The campaign.
    pub campaign: CampaignId,
    /// The zone (IANA).
    pub zone: String,
    /// When the first email that is there is due.
    pub due_at: Option<Timestamp>,
    /// Whether there are leads that nothing was written to yet.
    pub fresh: bool,
}

/// Reads what waits for an account in these lanes, whose windows may be open or not. At most 1,000.
#[derive(Clone, Debug)]
pub struct ReadDue {
    /// The run.
    pub run: RunOf,
    /// The lanes.
    pub lanes: Vec<(CampaignId, String)>,
}

#[derive(sqlx::FromRow)]
struct DueRow {
    due_at: Option<At>,
    fresh: i64,
}

impl Intent for ReadDue {
    type Output = Vec<LaneDue>;
    const WRITES: bool = false;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.run.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let mut due = Vec::with_capacity(self.lanes.len());
        for (campaign, zone) in self.lanes.iter().take(1_000) {
            let lane = tx.query(LANE).bind(self.run.tenant.uuid()).bind(self.run.account.uuid());
            let row: Option<DueRow> = lane.bind(campaign.uuid()).bind(zone.clone()).row().await?;
            if let Some(row) = row {
                let (due_at, fresh) = (moment(row.due_at), row.fresh > 0);
                due.push(LaneDue { campaign: *campaign, zone: zone.clone(), due_at, fresh });
            }
        }
        Ok(due)
    }
}
