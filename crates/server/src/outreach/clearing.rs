//! What a campaign that was stopped has left: nothing of it goes out any more, and its rows come to say so.

use std::sync::Weak;
use std::time::Duration;

use mainstay_jobs::{Done, Failure, JobContext, JobResult, Retry};
use mainstay_store::{Call, ClearCampaign};

use super::ClearLeft;
use crate::app::App;

/// How long one bite may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many bites one attempt takes before others have their turn.
const BITES: u32 = 20;

/// Clears a campaign.
pub(crate) async fn clear(app: Weak<App>, context: JobContext, job: ClearLeft) -> JobResult {
    let Some(app) = app.upgrade() else { return Err(Failure::new("the server stops")) };
    let Some(tenant) = context.tenant else {
        return Err(Failure::new("a campaign of no organisation").retry(Retry::Never));
    };
    for _ in 0..BITES {
        let clear = ClearCampaign { tenant, id: job.campaign, now: app.clock.now() };
        if !app.store.run_for_jobs(&Call::within(PATIENCE), clear).await? {
            return Ok(Done::Finished);
        }
    }
    Ok(Done::Snoozed(Duration::ZERO))
}
