//! Looking for new keys and for which of them seals, again and again; and telling which are here.

use std::sync::Arc;
use std::time::Duration;

use mainstay_domain::KeyVersion;
use mainstay_store::{Call, ForgetKeyHolder, KeyHolder, TellKeys};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Keys, PATIENCE};
use crate::app::App;

/// How often a process tells which keys it has, when nothing changes.
const TELLS_EVERY: Duration = Duration::from_secs(10);
/// Who has told nothing for so long is gone.
pub(super) const HEARD_FOR: Duration = Duration::from_secs(30);

/// What was told last, and when.
type Told = (Instant, Vec<KeyVersion>, KeyVersion);

/// Starts looking, and tells of the keys before the first request.
///
/// # Errors
/// When the database cannot be reached.
pub(crate) async fn start(app: &Arc<App>) -> mainstay_domain::Result<()> {
    let (keys, stopped) = (Arc::clone(&app.keys), app.lifecycle.stopped());
    let mut told = None;
    keys.tell(&mut told).await?;
    app.lifecycle.spawn("keys", async move {
        let looks = async {
            let mut ticks = interval(keys.poll);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut failing = false;
            loop {
                ticks.tick().await;
                let looked = keys.look(&mut told).await;
                match &looked {
                    // Once, and not with every look.
                    Err(error) if !failing => {
                        tracing::warn!(%error, inside = ?error.inside, "the keys could not be read; those before are kept");
                    }
                    Ok(()) if failing => tracing::info!("the keys are read again"),
                    _ => {}
                }
                failing = looked.is_err();
            }
        };
        tokio::select! {
            () = looks => {}
            () = stopped => {}
        }
        // Whoever rotates need not wait for this process.
        let _ = keys.store.run(&Call::within(Duration::from_secs(1)), ForgetKeyHolder(keys.holder.clone())).await;
    });
    Ok(())
}

impl Keys {
    async fn look(&self, told: &mut Option<Told>) -> mainstay_domain::Result<()> {
        let before = self.known();
        self.refresh().await?;
        let known = self.known();
        if known.sealing != before.sealing {
            tracing::info!(sealing = ?known.sealing, "another key seals");
        }
        for version in known.wrong.iter().filter(|version| !before.wrong.contains(version)) {
            tracing::error!(%version, "a key here is another than the one that the database knows under this number");
        }
        for version in known.missing().into_iter().filter(|version| !before.missing().contains(version)) {
            tracing::error!(%version, place = self.source.place(version), "a key that secrets are sealed under is not here");
        }
        for version in known.taken_away.iter().filter(|version| !before.taken_away.contains(version)) {
            let place = self.source.place(*version);
            tracing::error!(%version, place, "a key that is needed was taken away: put it back before the next start");
        }
        self.tell(told).await
    }

    async fn tell(&self, told: &mut Option<Told>) -> mainstay_domain::Result<()> {
        let known = self.known();
        let Some(sealing) = known.sealing else { return Ok(()) };
        let versions: Vec<_> = known.keyring.keys().copied().collect();
        let fresh = told
            .as_ref()
            .is_some_and(|(at, before, with)| at.elapsed() < TELLS_EVERY && *before == versions && *with == sealing);
        if fresh {
            return Ok(());
        }
        let now = self.clock.now();
        let holder = KeyHolder { holder: self.holder.clone(), versions: versions.clone(), sealing, seen_at: now };
        let tell = TellKeys { holder, gone_before: now.minus(HEARD_FOR) };
        self.store.run(&Call::within(PATIENCE), tell).await?;
        *told = Some((Instant::now(), versions, sealing));
        Ok(())
    }
}
