//! What campaigns are for, told by whoever knows that a lead did it.

use mainstay_domain::{CampaignId, EmailAddress, Error, Kind, Result, TenantId};
use mainstay_store::{Call, Conversion, ConvertLead};

use super::Outreach;
use super::service::missing;

impl Outreach {
    /// Notes that a lead did what its campaign is for. The answer is whether it is the first time.
    ///
    /// # Errors
    /// `invalid_input` by field, and a conflict when nothing was sent to the lead.
    pub(super) async fn convert(
        &self,
        call: &Call,
        tenant: TenantId,
        campaign: CampaignId,
        address: &str,
    ) -> Result<bool> {
        let address = EmailAddress::parse(address).map_err(|refused| Error::invalid(vec![refused.of("email")]))?;
        let campaign = self.campaign(call, tenant, campaign).await?.id;
        let convert = ConvertLead { tenant, campaign, address: address.as_str().to_owned(), now: self.clock.now() };
        match self.store.run(call, convert).await?.ok_or_else(|| missing("lead"))? {
            Conversion::First => Ok(true),
            Conversion::Again => Ok(false),
            Conversion::NothingSent => {
                let detail = "Nothing was sent to this lead that could have led to it.";
                Err(Error::new(Kind::Conflict, "nothing_sent", detail))
            }
        }
    }
}
