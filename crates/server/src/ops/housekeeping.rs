//! What is swept up, in small bites, by one node at a time: expired idempotency keys, sign-ins and revocations, the
//! messages of deleted conversations, what was set aside for work that nobody settled, what old experiments found, what
//! arrived long ago, the logs of deliveries, and calls.

use std::sync::Arc;
use std::time::Duration;

use mainstay_domain::Timestamp;
use mainstay_store::{AcquireLease, Call, ForgetExpired, ForgetInbox, ForgetSwept, ForgetVoicePlaces, ReleaseLease};
use tokio::time::{MissedTickBehavior, interval};

use crate::app::App;

/// How often it is looked for work.
const EVERY: Duration = Duration::from_secs(60);
/// For how long an idempotency key is remembered.
const KEYS_LAST: Duration = Duration::from_secs(24 * 3600);
/// How long after its deletion a conversation is purged at the earliest.
const PURGE_AFTER: Duration = Duration::from_secs(15 * 60);
/// What a reply may need beyond its time: it is begun just before the deletion, offered to a slow database, or left to be
/// rescued by another node.
const BEYOND_A_REPLY: Duration = Duration::from_secs(10 * 60);
/// For how long it is known what was swept, should it be settled after all.
const SWEPT_LAST: Duration = Duration::from_secs(30 * 24 * 3600);
/// For how long it is kept what went wrong in browsers.
const REPORTS_LAST: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long lists that were read into campaigns are told of. Their leads stay.
const IMPORTS_LAST: Duration = Duration::from_secs(90 * 86_400);
/// How much longer than the longest a voice session may seem to last before its node is taken to be gone.
const VOICE_LEFT: Duration = Duration::from_secs(10 * 60);
/// How long after its removal what an experiment found is erased: no node still writes of it then.
const ERASE_AFTER: Duration = Duration::from_secs(10 * 60);
/// The most bites of one round, so that a large pile is taken over several.
const MOST_BITES: u32 = 50;
/// How long a bite may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The name of the lease.
const LEASE: &str = "housekeeping";

/// Starts the rounds.
pub fn start(app: &Arc<App>) {
    let sweeper = Arc::clone(app);
    app.lifecycle.spawn_until_stopped("housekeeping", async move {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = round(&sweeper).await {
                tracing::warn!(%error, "housekeeping did not get through its round; it is tried again");
            }
        }
    });
}

/// One round, if no other node does it now.
async fn round(app: &App) -> mainstay_store::Result<()> {
    let (store, call) = (&app.store, || Call::within(PATIENCE));
    let now = app.clock.now();
    let holder = format!("process {}", std::process::id());
    let acquire = AcquireLease { name: LEASE.to_owned(), holder, now, lasts: EVERY };
    let Some(number) = store.run(&call(), acquire).await? else { return Ok(()) };
    let swept = sweep(app, now).await;
    store.run(&call(), ReleaseLease { name: LEASE.to_owned(), number }).await?;
    swept
}

async fn sweep(app: &App, now: Timestamp) -> mainstay_store::Result<()> {
    let call = || Call::within(PATIENCE);
    app.deliveries.count_disabled(&call()).await?;
    crate::calls::sweep(app, now).await?;
    app.store.run(&call(), ForgetVoicePlaces(now)).await?;
    let voice_before = now.minus(app.config.voice.max_session() + VOICE_LEFT);
    app.store.give_up_voice_sessions(&call(), voice_before, now).await?;
    for _ in 0..MOST_BITES {
        let forgotten = app.store.run(&call(), ForgetExpired { now, keys_before: now.minus(KEYS_LAST) }).await?;
        let until = now.minus(purge_after(app.config.assistant.reply_timeout()));
        let purged = app.store.purge_deleted(&call(), until, now).await?;
        let tombstones = app.store.forget_tombstones(&call(), now.minus(app.config.sync.tombstones_last())).await?;
        let swept = app.store.sweep_reservations(&call(), now).await?;
        if swept > 0 {
            app.billing.swept(swept);
            tracing::warn!(swept, "what was set aside for work that was never settled is counted as spent");
        }
        let old = app.store.run(&call(), ForgetSwept(now.minus(SWEPT_LAST))).await?;
        let stopped = now.minus(app.config.flags.kept());
        let erased = app.store.erase_experiments(&call(), stopped, now.minus(ERASE_AFTER), now).await?;
        let arrived = app.store.run(&call(), ForgetInbox(now.minus(app.config.inbox.kept()))).await?;
        let delivered = app.deliveries.sweep(&call(), now).await?;
        let reported = app.store.forget_client_reports(&call(), now.minus(REPORTS_LAST)).await?;
        let replays = app.watching.replays.sweep(&call(), now).await?;
        let unsent = app.images.sweep(&call(), now).await?;
        let imports = app.store.forget_imports(&call(), now.minus(IMPORTS_LAST)).await?;
        let texts = app.store.forget_texts(&call(), now.minus(app.config.texts.kept())).await?;
        let settled = forgotten == 0 && purged == 0 && tombstones == 0 && swept == 0 && old == 0 && !erased;
        if settled
            && replays == 0
            && arrived == 0
            && delivered == 0
            && reported == 0
            && unsent == 0
            && imports == 0
            && texts == 0
        {
            break;
        }
    }
    Ok(())
}

/// How long after its deletion a conversation is purged: longer than a reply in it can still be in the making.
fn purge_after(reply_timeout: Duration) -> Duration {
    PURGE_AFTER.max(reply_timeout + BEYOND_A_REPLY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_purged_while_a_reply_may_be_in_the_making() {
        let (default, longest) = (Duration::from_secs(120), Duration::from_secs(3600));
        assert_eq!(purge_after(default), PURGE_AFTER);
        // The lease of a dead node may last as long as a setting allows: 300 s.
        assert!(purge_after(longest) >= longest + Duration::from_secs(300 + 60));
    }
}
