//! Sealing everything anew under the key that seals now, in bites, while others read and write.
//!
//! What is left is found by the key that it is sealed under, so an attempt that was killed goes on where it was. A row that
//! somebody has written meanwhile stays as they wrote it. The job ends when nothing is left and nobody can still be writing
//! with an older key.

use std::sync::{Arc, Weak};
use std::time::Duration;

use mainstay_domain::{KeyState, KeyVersion};
use mainstay_jobs::{Done, Failure, Job, JobContext, JobResult};
use mainstay_store::{Call, ExchangeSealed, KEY_ROTATION_KIND, KEYS, ReadSealed, SealedColumn};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::start::BITE;
use super::{Keys, PATIENCE, Place};
use crate::app::App;

/// How long one attempt works before it makes room for others.
const ATTEMPT: Duration = Duration::from_secs(20);
/// How long after an attempt the next one begins.
const NEXT: Duration = Duration::from_millis(10);
/// How long it waits until this node has heard of the key.
const HEARING: Duration = Duration::from_millis(500);
/// How long it waits when the server stops.
const STOPPING: Duration = Duration::from_secs(1);

/// Everything is sealed anew under a key.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct RotateKeys {
    to: KeyVersion,
}

impl Job for RotateKeys {
    const KIND: &'static str = KEY_ROTATION_KIND;
    const QUEUE: &'static str = KEYS;
}

/// Seals rows anew.
pub(crate) async fn rotate(app: Weak<App>, _: JobContext, job: RotateKeys) -> JobResult {
    let Some(keys) = app.upgrade().map(|app| Arc::clone(&app.keys)) else { return Ok(Done::Snoozed(STOPPING)) };
    let known = keys.known();
    let Some(active) = known.active() else { return Ok(Done::Snoozed(HEARING)) };
    if active.version < job.to || known.sealing != Some(active.version) {
        return Ok(Done::Snoozed(HEARING));
    }
    if active.version > job.to {
        // Another one has taken over, with a job of its own.
        return Ok(Done::Finished);
    }
    let until = Instant::now() + ATTEMPT;
    keys.seal_plain().await?;
    let mut refused = 0;
    let others = known.stored.iter().filter(|key| key.version != active.version && key.state != KeyState::Lost);
    for from in others.map(|key| key.version) {
        for column in SealedColumn::ALL.iter().copied() {
            match keys.rotate_column(column, from, until).await? {
                Some(left) => refused += left,
                None => return Ok(Done::Snoozed(NEXT)),
            }
        }
    }
    if refused > 0 {
        let error = format!(
            "{refused} secrets do not open and stay as they are; `mainstay keys status` has their keys and tables"
        );
        return Err(Failure::new(error));
    }
    let settled = active.activated_at.unwrap_or(active.created_at).plus(keys.settle);
    let now = keys.clock.now();
    Ok(if settled > now { Done::Snoozed(settled.since(now)) } else { Done::Finished })
}

impl Keys {
    /// Seals what is under a key in a column anew. The answer is how many rows do not open; nothing when the time is up.
    async fn rotate_column(
        &self,
        column: SealedColumn,
        from: KeyVersion,
        until: Instant,
    ) -> Result<Option<u64>, Failure> {
        let (mut refused, mut after) = (0, None);
        loop {
            if Instant::now() >= until {
                return Ok(None);
            }
            let read = ReadSealed { column, key: from, after, most: BITE };
            let rows = self.store.run(&Call::within(PATIENCE), read).await?;
            let Some(last) = rows.last() else { return Ok(Some(refused)) };
            after = Some((last.tenant, last.id));
            let mut anew = Vec::with_capacity(rows.len());
            for row in rows {
                let place = Place::of(column, &row);
                match self.open(place, &mainstay_domain::Sealed::of_column(row.stored.expose())) {
                    Ok(plain) => {
                        let new = self.seal(place, &plain)?;
                        anew.push((row, new));
                    }
                    Err(fault) => {
                        refused += 1;
                        tracing::warn!(%fault, table = column.table(), row = %row.id, "a secret cannot be sealed anew");
                    }
                }
            }
            let exchange = ExchangeSealed { column, rows: anew };
            let exchanged = self.store.run_for_jobs(&Call::within(PATIENCE), exchange).await?;
            self.figures.rotated(exchanged);
        }
    }
}
