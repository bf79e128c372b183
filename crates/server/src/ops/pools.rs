//! Watches the pools of the database: the load that paces background work, and a warning before the connections run out.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mainstay_domain::{Error, Kind, Result};
use mainstay_store::Store;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::app::App;
use crate::config;
use crate::http::overload::Load;
use crate::http::overload::load::{LoadMeter, Minute};

/// How often the pools are looked at.
const EVERY: Duration = Duration::from_secs(1);
/// How often the log warns at the most.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Connections of requests over the last minute, for health and figures. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct PoolUse(Arc<Mutex<Minute>>);

impl PoolUse {
    fn minute(&self) -> Minute {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many were lent over the last minute on average, how many at the most, and how many there are.
    #[must_use]
    pub fn last_minute(&self) -> (f64, usize, usize) {
        let Minute { mean, most, size } = self.minute();
        (mean, most, size)
    }
}

/// Starts watching.
pub fn start(app: &Arc<App>) {
    let (store, load, seen) = (app.store.clone(), app.overload.load().clone(), app.pool_use.clone());
    let warn_at = app.config.overload.pool_warning_percent;
    app.lifecycle.spawn_until_stopped("pools", async move { watch(&store, &load, &seen, warn_at).await });
}

async fn watch(store: &Store, load: &Load, seen: &PoolUse, warn_at: u64) {
    let warn_at = u32::try_from(warn_at).map_or(100.0, f64::from) / 100.0;
    let mut meter = LoadMeter::default();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut warned: Option<Instant> = None;
    loop {
        let now = ticks.tick().await;
        load.set_database(meter.read(store.usage(), EVERY));
        let minute = meter.minute(EVERY);
        *seen.0.lock().unwrap_or_else(PoisonError::into_inner) = minute;
        if minute.share() >= warn_at && warned.is_none_or(|at| now.saturating_duration_since(at) >= WARN_EVERY) {
            warned = Some(now);
            warn(&minute, load.database());
        }
    }
}

fn warn(minute: &Minute, load: f64) {
    let Minute { mean, most, size } = *minute;
    tracing::warn!(
        in_use = (mean * 10.0).round() / 10.0,
        most_in_use = most,
        size,
        load = (load * 100.0).round() / 100.0,
        "the connections of the database are nearly used up: statements have become slower, or there is more to do. Look at \
         mainstay_database_commit_seconds for the first; for the second raise database.pool_size, as far as the server allows."
    );
}

/// Whether the pools of all nodes fit what the server of the database allows.
///
/// # Errors
/// `too_many_connections` when they can never fit. What fits only while others leave room is a warning in the log.
pub async fn check_room(database: &config::Database, store: &Store) -> Result<()> {
    let room = match store.room().await {
        Ok(Some(room)) => room,
        Ok(None) => return Ok(()),
        Err(error) => {
            tracing::warn!(%error, "it is not known how many connections the database allows");
            return Ok(());
        }
    };
    let (pool, nodes, usable, others) = (database.pool_size, database.nodes, room.usable(), room.others);
    let ours = pool.saturating_mul(nodes);
    let cure = format!(
        "Lower database.pool_size to {} or less, raise max_connections of the server (now {}, {} of them reserved), or put \
         a pooler in between.",
        (usable.saturating_sub(others) / nodes.max(1)).max(1),
        room.most,
        room.reserved
    );
    if ours > usable {
        let detail = format!(
            "database.pool_size ({pool}) for {nodes} nodes makes {ours} connections, and the server allows {usable}. {cure}"
        );
        return Err(Error::new(Kind::Unavailable, "too_many_connections", detail));
    }
    if ours + others > usable {
        tracing::warn!(
            pool_size = pool,
            nodes,
            others,
            usable,
            cure,
            "the pools of all nodes and what others use now are more connections than the server allows"
        );
    }
    Ok(())
}
