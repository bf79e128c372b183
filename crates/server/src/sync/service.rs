//! Answering clients that sync.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use mainstay_domain::{Clock, Cursor, Entropy, PersonId, Plan, Result, TenantId, Timestamp};
use mainstay_store::{Call, GetPositions, Listener, Position, Positions, Resync, Store, SyncPage, SyncedPage};
use moka::sync::Cache;

use super::heads::Heads;
use super::pacing::Pacing;
use crate::accounts::Member;
use crate::config;
use crate::controls::{Control, Controls};
use crate::http::Problem;
use crate::live::Hub;
use crate::nodes::Nodes;

/// The most memberships whose last change is remembered, to pace them.
const MOST_ACTIVE: u64 = 200_000;
/// For how long.
const ACTIVE_FOR: Duration = Duration::from_secs(25 * 3600);

/// Delta sync on this node.
pub struct Sync {
    store: Store,
    clock: Arc<dyn Clock>,
    nodes: Arc<Nodes>,
    /// Where streams stand.
    pub heads: Arc<Heads>,
    /// When clients come back.
    pub pacing: Arc<Pacing>,
    /// When something last changed for a person, as far as this node knows.
    active: Cache<(TenantId, PersonId), Timestamp>,
    started: Timestamp,
    controls: Arc<Controls>,
}

/// What a client that asked is told.
pub struct Answered {
    /// The page; without changes when there is nothing new.
    pub page: SyncedPage,
    /// When to come back, in milliseconds; nothing when only on demand.
    pub next_sync_after_ms: Option<u64>,
}

/// Why a client has to begin again.
#[derive(Clone, Copy, Debug)]
pub struct BeginAgain(pub Resync);

/// Tells the cache of heads, and those who follow live, of every commit of this node.
struct Commits {
    heads: Arc<Heads>,
    hub: Arc<Hub>,
}

impl Listener for Commits {
    fn committed(&self, positions: &[Position]) {
        self.heads.committed(positions);
        self.hub.committed_here(positions);
    }

    fn unconfirmed(&self, tenants: &[TenantId]) {
        self.heads.unconfirmed(tenants);
        self.hub.unconfirmed(tenants);
    }
}

impl Sync {
    /// Sync on this node, which hears of every commit of it from now on.
    #[must_use]
    pub fn new(
        settings: &config::Sync,
        store: Store,
        (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>),
        nodes: Arc<Nodes>,
        controls: Arc<Controls>,
    ) -> Self {
        Self {
            heads: Arc::new(Heads::new(settings.head_cache)),
            pacing: Arc::new(Pacing::new(settings.clone(), entropy)),
            active: Cache::builder().max_capacity(MOST_ACTIVE).time_to_live(ACTIVE_FOR).build(),
            started: clock.now(),
            store,
            clock,
            nodes,
            controls,
        }
    }

    /// From now on this process serves: it hears of its own commits, and tells the others.
    pub fn listen(&self, hub: Arc<Hub>) {
        self.store.listen(Arc::new(Commits { heads: Arc::clone(&self.heads), hub }));
    }

    /// The next page for a member whose client has seen everything up to `after`.
    ///
    /// # Errors
    /// The inner one when the client has to begin again.
    pub async fn page(
        &self,
        call: &Call,
        by: &Member,
        plan: Plan,
        after: Cursor,
        limit: u32,
    ) -> Result<Result<Answered, BeginAgain>> {
        if let Some(positions) = self.known(by)
            && positions.cursor() == after
        {
            let page = SyncedPage { changes: Vec::new(), cursor: after, complete: true, positions };
            return Ok(Ok(self.answered(by, plan, page)));
        }
        let reading = self.heads.reading(by.tenant, by.person);
        let page = SyncPage { tenant: by.tenant, person: by.person, after, limit };
        Ok(match self.store.run(call, page).await? {
            Ok(page) => {
                self.heads.keep(&reading, &page.positions);
                Ok(self.answered(by, plan, page))
            }
            Err((reason, positions)) => {
                self.heads.keep(&reading, &positions);
                Err(BeginAgain(reason))
            }
        })
    }

    /// Where the streams of a member stand.
    ///
    /// # Errors
    /// As the store.
    pub async fn positions(&self, call: &Call, by: &Member) -> Result<Positions> {
        if let Some(positions) = self.known(by) {
            return Ok(positions);
        }
        let reading = self.heads.reading(by.tenant, by.person);
        let positions = self.store.run(call, GetPositions { tenant: by.tenant, person: by.person }).await?;
        self.heads.keep(&reading, &positions);
        Ok(positions)
    }

    /// From memory, while this node is told of everything that is committed.
    fn known(&self, by: &Member) -> Option<Positions> {
        if self.nodes.certain() { self.heads.get(by.tenant, by.person) } else { None }
    }

    fn answered(&self, by: &Member, plan: Plan, page: SyncedPage) -> Answered {
        if !page.changes.is_empty() {
            self.touch(by.tenant, by.person);
        }
        // Within the page there is no pause.
        let next_sync_after_ms = if page.complete { self.next(by, plan) } else { Some(0) };
        Answered { page, next_sync_after_ms }
    }

    /// Something changed for this person, or they did something.
    pub fn touch(&self, tenant: TenantId, person: PersonId) {
        self.active.insert((tenant, person), self.clock.now());
    }

    /// When a client of this member comes back.
    #[must_use]
    pub fn next(&self, by: &Member, plan: Plan) -> Option<u64> {
        // What was before this process is not known: as if something had changed when it began.
        let last = self.active.get(&(by.tenant, by.person)).unwrap_or(self.started);
        self.pacing.next(plan, self.clock.now().since(last), self.least_interval())
    }

    /// The least time between two syncs that an operator has set.
    #[must_use]
    pub fn least_interval(&self) -> Duration {
        Duration::from_secs(self.controls.number(Control::SyncInterval).unwrap_or(0).into())
    }
}

impl From<BeginAgain> for Problem {
    fn from(BeginAgain(reason): BeginAgain) -> Self {
        let why = match reason {
            Resync::Epoch => "The cursor is of another history of the data, as after a restore.",
            Resync::Ahead => "The cursor is ahead of the data, as after a restore.",
            Resync::Floor => "The cursor is so old that deletions since then are forgotten.",
        };
        let detail = format!("{why} Forget what you have and sync again without a cursor.");
        Self::new(StatusCode::GONE, "resync_required", detail).with_reason(reason.as_str())
    }
}
