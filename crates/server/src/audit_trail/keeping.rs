//! What is done for the trail once in a while: entries that are too old are let go of, and where the installation's chain stands
//! is written to the log, which goes where the database does not.

use std::sync::Arc;
use std::time::Duration;

use mainstay_domain::{Error, Result, Timestamp};
use mainstay_store::{Call, INSTALLATION, ListOldAuditTrails, ReadAuditLinks, TrimAuditTrail};
use tokio::time::{MissedTickBehavior, interval};

use super::chains::anchor;
use crate::app::App;

/// How often.
const ROUND: Duration = Duration::from_secs(3_600);
/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most entries of a chain that one transaction lets go of.
const BITE: u32 = 500;
/// The most bites of a round.
const MOST_BITES: usize = 200;
const DAY: Duration = Duration::from_secs(86_400);

/// Starts the rounds. Several nodes do no harm to each other: what one has let go of, the others do not find.
pub(crate) fn start(app: &Arc<App>) {
    let keeper = Arc::clone(app);
    app.lifecycle.spawn_until_stopped("audit_trail", async move {
        let mut ticks = interval(ROUND);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = round(&keeper).await {
                tracing::warn!(%error, inside = ?error.inside, "the audit trail could not be kept in order; it is tried again");
            }
        }
    });
}

async fn round(app: &App) -> Result<()> {
    let read = ReadAuditLinks { tenant: INSTALLATION, after: i64::MAX, limit: 1 };
    if let Some((stands, _)) = app.store.run(&Call::within(PATIENCE), read).await? {
        tracing::info!(
            anchor = anchor(stands.position, &stands.digest),
            "where the audit trail of the installation stands"
        );
    }
    let days = app.config.auth.audit_trail_days;
    forget(app, app.clock.now().minus(DAY * days)).await
}

/// Lets go of what is from before a moment.
async fn forget(app: &App, before: Timestamp) -> Result<()> {
    for _ in 0..MOST_BITES {
        let old = ListOldAuditTrails { before, limit: BITE };
        let mut gone = 0;
        for tenant in app.store.run(&Call::within(PATIENCE), old).await? {
            let trim = TrimAuditTrail { tenant, before, limit: BITE };
            gone += app.store.run_for_jobs(&Call::within(PATIENCE), trim).await.map_err(Error::from)?;
        }
        if gone == 0 {
            break;
        }
    }
    Ok(())
}
