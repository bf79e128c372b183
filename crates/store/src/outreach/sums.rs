//! The figures of a campaign, added up: by text, by account and by day. There is a figure for each kind, day, account, text and
//! step, which are many when a campaign has run for long; these are few.

use mainstay_domain::{CampaignId, TenantId};
use uuid::Uuid;

use super::figures::OutreachFigure;
use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};

statements! {
    BY_TEXT = both("
        SELECT step, variant_id, $3 AS account_id, cast(0 AS bigint) AS day, kind, cast(sum(number) AS bigint) AS number
        FROM outreach_figure WHERE campaign_id = $1 AND tenant_id = $2
        GROUP BY step, variant_id, kind HAVING sum(number) <> 0 ORDER BY step, variant_id, kind LIMIT 10000");
    BY_ACCOUNT = both("
        SELECT cast(0 AS bigint) AS step, $3 AS variant_id, account_id, cast(0 AS bigint) AS day, kind,
          cast(sum(number) AS bigint) AS number
        FROM outreach_figure WHERE campaign_id = $1 AND tenant_id = $2 AND step > 0
        GROUP BY account_id, kind HAVING sum(number) <> 0 ORDER BY account_id, kind LIMIT 10000");
    /// The newest days.
    BY_DAY = both("
        SELECT cast(0 AS bigint) AS step, $3 AS variant_id, $3 AS account_id, day, kind, cast(sum(number) AS bigint) AS number
        FROM outreach_figure WHERE campaign_id = $1 AND tenant_id = $2 AND day > 0
        GROUP BY day, kind HAVING sum(number) <> 0 ORDER BY day DESC, kind LIMIT 10000");
}

/// The figures of a campaign, added up. Where nothing is told apart by a step, text, account or day, it is 0 or the nil UUID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CampaignSums {
    /// By step and text; with them those of leads, whose step is 0.
    pub texts: Vec<OutreachFigure>,
    /// By account.
    pub accounts: Vec<OutreachFigure>,
    /// By day, the newest first.
    pub days: Vec<OutreachFigure>,
}

/// Adds up the figures of a campaign, all at one moment.
#[derive(Clone, Copy, Debug)]
pub struct ReadSums {
    /// The organisation.
    pub tenant: TenantId,
    /// The campaign.
    pub campaign: CampaignId,
}

impl Intent for ReadSums {
    type Output = CampaignSums;
    const WRITES: bool = false;
    const SNAPSHOT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<CampaignSums> {
        let (campaign, tenant, nil) = (self.campaign.uuid(), self.tenant.uuid(), Uuid::nil());
        Ok(CampaignSums {
            texts: tx.query(BY_TEXT).bind(campaign).bind(tenant).bind(nil).rows().await?,
            accounts: tx.query(BY_ACCOUNT).bind(campaign).bind(tenant).bind(nil).rows().await?,
            days: tx.query(BY_DAY).bind(campaign).bind(tenant).bind(nil).rows().await?,
        })
    }
}
