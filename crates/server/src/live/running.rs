//! What runs for live updates and the cache of heads for as long as the node serves.

use std::sync::Arc;
use std::time::Duration;

use mainstay_store::{Call, WatchNodes};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::app::App;
use crate::nodes::{Heard, LOOK_EVERY, PREFIX};

/// How long a look at the nodes may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often the streams of the sockets are looked at while this node is not told of what the others write.
const DEAF_LOOKS: Duration = Duration::from_secs(2);
/// How often the pace of sync takes a step.
const PACE_EVERY: Duration = Duration::from_secs(10);

/// Starts it. The first look at the nodes is done when this returns, if the database answers.
pub async fn start(app: &Arc<App>) {
    super::fanout::start(app);
    if let Err(error) = look_at_nodes(app).await {
        tracing::warn!(%error, "the other nodes could not be looked for; it is tried again");
    }
    let watching = Arc::clone(app);
    app.lifecycle.spawn_until_drained("nodes", async move { watch(&watching).await });
    for _ in 0..app.config.live.readers {
        let hub = Arc::clone(&app.hub);
        app.lifecycle.spawn_until_drained("live readers", async move { hub.read_all().await });
    }
    let (ticking, stopped) = (Arc::clone(app), app.lifecycle.stopped());
    app.lifecycle.spawn("live sockets", async move {
        tokio::select! {
            () = tick(&ticking) => {}
            () = stopped => ticking.hub.end_all(),
        }
    });
}

/// Looks at the leases of the nodes and at what was written beside them.
async fn look_at_nodes(app: &App) -> mainstay_store::Result<()> {
    let began = Instant::now();
    let watch = WatchNodes { prefix: PREFIX, now: app.clock.now() };
    let watched = app.store.run(&Call::within(PATIENCE), watch).await?;
    app.flags.changed(watched.flags);
    let heard = app.nodes.looked(watched, app.assistant.lease_number(), began);
    if heard == Heard::Missed {
        missed(app).await;
    }
    Ok(())
}

/// Something may have been missed: what is in memory is forgotten, and the streams of the sockets are looked at.
pub(super) async fn missed(app: &App) {
    app.sync.heads.forget_all();
    app.accounts.forget_plans();
    if let Err(error) = app.hub.look().await {
        tracing::debug!(%error, "the streams of the sockets cannot be looked at; it is tried again");
    }
}

async fn watch(app: &App) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looked_at = Instant::now();
    let mut failing = false;
    loop {
        ticks.tick().await;
        let looked = look_at_nodes(app).await;
        if let (Err(error), false) = (&looked, failing) {
            tracing::warn!(%error, "the other nodes cannot be looked for; the database is asked instead of the memory");
        }
        failing = looked.is_err();
        if !app.nodes.tick() && looked_at.elapsed() >= DEAF_LOOKS {
            looked_at = Instant::now();
            if let Err(error) = app.hub.look().await {
                tracing::debug!(%error, "the streams of the sockets cannot be looked at");
            }
        }
    }
}

async fn tick(app: &App) {
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut revoked = app.accounts.revocation_position();
    let mut paced_at = Instant::now();
    for second in 0.. {
        ticks.tick().await;
        let now = app.accounts.revocation_position();
        app.hub.tick(second, &app.accounts, now != revoked);
        revoked = now;
        if paced_at.elapsed() >= PACE_EVERY {
            paced_at = Instant::now();
            app.sync.pacing.step(app.overload.load().database());
        }
    }
}
