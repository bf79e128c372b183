//! Calls of which nothing is heard any more, those whose words are not there yet, and those that were kept long enough. One node at a time does it.

use std::time::Duration;

use mainstay_domain::{CallState, CallTold, TenantId, Timestamp};
use mainstay_store::{Call, ForgetCalls, HearCall, IndexCall, ListCallKeeping, ListCallsNotIndexed, ListSilentCalls};

use crate::app::App;

/// After how long a call of which nothing is heard is lost: longer than any call lasts, and its report takes.
const SILENT: Duration = Duration::from_secs(2 * 3_600);
/// How many are looked at in one round.
const ROUND: u32 = 200;
const DAY: Duration = Duration::from_secs(86_400);
/// How long one step may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// One round.
pub(crate) async fn sweep(app: &App, now: Timestamp) -> mainstay_store::Result<()> {
    let call = || Call::within(PATIENCE);
    let silent = ListSilentCalls { since: now.minus(SILENT), limit: ROUND };
    for (tenant, provider_id) in app.store.run(&call(), silent).await? {
        let told = CallTold { state: Some(CallState::Lost), at: Some(Timestamp::EPOCH), ..CallTold::default() };
        let lost = HearCall { tenant, provider_id, id: app.ids.make(), told, contact: None, fence: None, now };
        let lost = app.store.run(&call(), lost).await?;
        app.calls.figures.lost();
        tracing::warn!(organisation = %tenant, call = %lost.id, "nothing was heard of a call any more");
    }
    index(app, now).await?;
    let mut after: Option<TenantId> = None;
    loop {
        let page = app.store.run(&call(), ListCallKeeping { now, after, limit: ROUND }).await?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = Some(*last);
        for (tenant, days) in page {
            let before = now.minus(DAY * days);
            // What is left of a large pile is taken in the next round.
            let forgotten = app.store.run(&call(), ForgetCalls { tenant, before }).await?;
            app.calls.figures.forgotten(forgotten);
        }
    }
}

/// Writes the words of calls that have none: of those from before there was a search, and of those that nobody has told anything
/// of yet. Each is a transaction of its own, so that whoever is stopped goes on where they were.
async fn index(app: &App, now: Timestamp) -> mainstay_store::Result<()> {
    let waiting = app.store.run(&Call::within(PATIENCE), ListCallsNotIndexed { before: now, limit: ROUND }).await?;
    for (tenant, id) in waiting {
        app.store.run(&Call::within(PATIENCE), IndexCall { tenant, id }).await?;
        app.calls.figures.indexed();
    }
    Ok(())
}
