//! Recordings of what the pages of the console looked like: of people who have agreed, masked before they leave the browser and
//! judged here again, bounded, kept for some days, and looked at by operators. docs/replay.md tells how.
//!
//! Lives in one process: how much is kept in all is measured every ten seconds by each node, and what it has taken since is
//! added; N nodes together may keep what each of them takes within that time more than is allowed.

pub mod api;
mod figures;
mod masking;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mainstay_domain::{Clock, Error, Ids, Kind, PersonId, Result, TenantId, Timestamp};
use mainstay_store::{
    Call, ChunkTaken, FindReplay, ForgetReplaysOf, GiveReplayConsent, KeptReplay, MeasureReplays, ReadReplay,
    ReadReplayConsent, Reading, ReplayBounds, ReplayReason, Store, TakeReplayChunk, WithdrawReplayConsent,
};
use prometheus_client::registry::Registry;
use tokio::time::Instant;
use uuid::Uuid;

use self::figures::ReplayFigures;
use crate::accounts::Member;
use crate::config::Replay;
use crate::console;
use crate::locking::lock;

/// The most bytes of the events of one chunk.
const MOST_CHUNK_BYTES: usize = 1_000_000;
/// The largest body, in bytes: a chunk whose quotation marks are escaped.
pub const LARGEST_BODY: usize = 2 * 1024 * 1024;
/// The most chunks and bytes of one recording.
const MOST_CHUNKS: u32 = 400;
const MOST_BYTES: u64 = 4_000_000;
/// How many recordings one person begins within a day. A recording is of one page, from its loading on.
const MOST_A_DAY: u32 = 50;
/// How long what was measured is gone by.
const MEASURED_FOR: Duration = Duration::from_secs(10);
/// How many recordings of somebody are forgotten at once.
const BITE: u32 = 500;
/// What is older is forgotten by then, however late housekeeping is.
const LATE: Duration = Duration::from_secs(86_400);

/// What is said where the settings have them off.
const OFF: &str = "This installation takes no recordings: replay.enabled is false.";

/// How much is kept, as it was measured, and what was taken since.
#[derive(Clone, Copy, Debug)]
struct Measured {
    at: Instant,
    bytes: u64,
}

/// The recordings.
pub struct Replays {
    settings: Replay,
    store: Store,
    clock: Arc<dyn Clock>,
    ids: Ids,
    figures: ReplayFigures,
    measured: Mutex<Option<Measured>>,
}

impl std::fmt::Debug for Replays {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replays").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A chunk as it came.
struct Chunk {
    replay: Uuid,
    number: u32,
    page: String,
    version: String,
    reason: ReplayReason,
    events: String,
}

/// Whether nothing in a chunk can be read.
pub(in crate::ops) fn is_masked(events: &str) -> bool {
    masking::judge(events).is_ok()
}

impl Replays {
    /// Makes it ready.
    #[must_use]
    pub fn new(settings: &Replay, (store, clock, ids): (Store, Arc<dyn Clock>, Ids), registry: &mut Registry) -> Self {
        let figures = ReplayFigures::register(registry);
        Self { settings: settings.clone(), store, clock, ids, figures, measured: Mutex::default() }
    }

    /// Forgets what is older than it is kept, in bites. The answer is how many recordings there were.
    ///
    /// # Errors
    /// As every intent.
    pub async fn sweep(&self, call: &Call, now: Timestamp) -> mainstay_store::Result<usize> {
        self.store.forget_replays(call, now.minus(self.settings.kept())).await
    }

    /// Counts a refusal.
    fn refuse(&self, kind: Kind, code: &'static str, detail: String) -> Error {
        self.figures.refused(code);
        Error::new(kind, code, detail)
    }

    fn judge(&self, chunk: &Chunk) -> Result<masking::Judged> {
        if !self.settings.enabled {
            return Err(self.refuse(Kind::Conflict, "replays_off", OFF.to_owned()));
        }
        if chunk.events.len() > MOST_CHUNK_BYTES {
            let detail = format!("The events of a chunk have at most {MOST_CHUNK_BYTES} bytes.");
            self.figures.refused("too_large");
            return Err(Error::invalid_field("events", "too_long", detail));
        }
        masking::judge(&chunk.events).map_err(|detail| {
            self.figures.refused("not_masked");
            Error::invalid_field("events", "not_masked", detail)
        })
    }

    /// Whether so many bytes more are too many for all together.
    async fn is_full(&self, call: &Call, more: u64) -> Result<bool> {
        let known = lock(&self.measured).filter(|measured| measured.at.elapsed() < MEASURED_FOR);
        if known.is_none() {
            let since = self.clock.now().minus(self.settings.kept() + LATE);
            let amount = self.store.run(call, MeasureReplays(since)).await?;
            self.figures.measured(amount);
            let bytes = u64::try_from(amount.bytes).unwrap_or_default();
            *lock(&self.measured) = Some(Measured { at: Instant::now(), bytes });
        }
        let mut measured = lock(&self.measured);
        let Some(known) = measured.as_mut() else { return Ok(false) };
        let is_full = known.bytes.saturating_add(more) > self.settings.most_bytes();
        if !is_full {
            known.bytes += more;
        }
        Ok(is_full)
    }

    /// Keeps a chunk; false when it was there already.
    async fn take(&self, call: &Call, by: &Member, chunk: Chunk) -> Result<bool> {
        let judged = self.judge(&chunk)?;
        let size = chunk.events.len();
        if self.is_full(call, size as u64).await? {
            let most = self.settings.most_megabytes;
            let detail = format!("There is no room for recordings: replay.most_megabytes is {most}.");
            return Err(self.refuse(Kind::Conflict, "replays_full", detail));
        }
        let Chunk { replay, number, page, version, reason, events } = chunk;
        let take = TakeReplayChunk {
            tenant: by.tenant,
            person: by.person,
            replay,
            number,
            page: console::page(&page).unwrap_or("other").to_owned(),
            version,
            reason,
            events,
            span: judged.span,
            errors: judged.errors,
            bounds: ReplayBounds { a_day: MOST_A_DAY, chunks: MOST_CHUNKS, bytes: MOST_BYTES },
            now: self.clock.now(),
        };
        match self.store.run(call, take).await? {
            ChunkTaken::Kept => {
                self.figures.took(size);
                Ok(true)
            }
            ChunkTaken::Known => Ok(false),
            ChunkTaken::NoConsent => {
                let detail = "You have not agreed to recordings here, or have taken it back.".to_owned();
                Err(self.refuse(Kind::Forbidden, "no_consent", detail))
            }
            ChunkTaken::Another => {
                let detail = "This recording is of somebody else: choose another id.".to_owned();
                Err(self.refuse(Kind::Conflict, "replay_of_another", detail))
            }
            ChunkTaken::TooManyToday => {
                let detail = format!("At most {MOST_A_DAY} recordings of a person are begun within a day.");
                Err(self.refuse(Kind::TooManyRequests, "too_many_replays", detail))
            }
            ChunkTaken::TooLong => {
                let detail = format!("A recording has at most {MOST_CHUNKS} chunks and {MOST_BYTES} bytes.");
                Err(self.refuse(Kind::TooLarge, "replay_too_long", detail))
            }
        }
    }

    async fn consent(&self, call: &Call, by: &Member) -> Result<Option<Timestamp>> {
        Ok(self.store.run(call, ReadReplayConsent { tenant: by.tenant, person: by.person }).await?)
    }

    async fn agree(&self, call: &Call, by: &Member) -> Result<()> {
        if !self.settings.enabled {
            return Err(Error::new(Kind::Conflict, "replays_off", OFF));
        }
        let give = GiveReplayConsent { tenant: by.tenant, person: by.person, now: self.clock.now() };
        Ok(self.store.run(call, give).await?)
    }

    /// Takes back that somebody agrees, and forgets what there is of theirs. The answer is how many recordings there were.
    async fn withdraw(&self, call: &Call, tenant: TenantId, person: PersonId) -> Result<u64> {
        // From here on nothing more comes.
        self.store.run(call, WithdrawReplayConsent { tenant, person }).await?;
        let mut forgotten = 0;
        loop {
            let there = self.store.run(call, ForgetReplaysOf { tenant, person, limit: BITE }).await?;
            forgotten += there;
            if there < u64::from(BITE) {
                return Ok(forgotten);
            }
        }
    }

    /// Reads a recording, and notes who did.
    async fn read(&self, call: &Call, by: &Member, id: Uuid) -> Result<(KeptReplay, Vec<String>)> {
        let none = || Error::not_found("replay");
        let tenant = self.store.run(call, FindReplay(id)).await?.ok_or_else(none)?;
        let reading = Reading { id: self.ids.make(), by: by.person, now: self.clock.now() };
        self.store.run(call, ReadReplay { tenant, id, chunks: MOST_CHUNKS, reading }).await?.ok_or_else(none)
    }
}
