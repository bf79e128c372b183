//! How the events of an organisation fare, by sender: the figures above their list.

use std::collections::BTreeMap;

use mainstay_domain::{InboxSourceId, InboxState, TenantId, Timestamp};
use uuid::Uuid;

use crate::error::Result;
use crate::intent::Intent;
use crate::members::word;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, count};

statements! {
    /// A bounded walk down the ids, so that it costs the same however much is kept.
    COUNT = both("
        SELECT w.source_id, j.state, count(*) AS events, max(w.received_at) AS newest_at
        FROM (SELECT e.id, e.source_id, e.received_at FROM inbox_event e
              WHERE e.tenant_id = $1 AND e.id < $2 ORDER BY e.id DESC LIMIT $3) w
        LEFT JOIN job j ON j.id = w.id GROUP BY w.source_id, j.state");
}

/// How many events are counted: the newest.
pub const COUNTED_EVENTS: u32 = 10_000;

/// How the events of one sender fare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventCounts {
    /// They will be processed.
    pub pending: u32,
    /// They have been processed.
    pub processed: u32,
    /// They could not be processed.
    pub dead: u32,
    /// Somebody has cancelled them.
    pub cancelled: u32,
    /// When the newest arrived.
    pub newest_at: Option<Timestamp>,
}

impl EventCounts {
    fn add(&mut self, state: InboxState, events: u32, newest_at: Timestamp) {
        let place = match state {
            InboxState::Pending => &mut self.pending,
            InboxState::Processed => &mut self.processed,
            InboxState::Dead => &mut self.dead,
            InboxState::Cancelled => &mut self.cancelled,
        };
        *place = place.saturating_add(events);
        self.newest_at = self.newest_at.max(Some(newest_at));
    }

    /// How many there are.
    #[must_use]
    pub const fn all(&self) -> u32 {
        self.pending.saturating_add(self.processed).saturating_add(self.dead).saturating_add(self.cancelled)
    }
}

/// Counts the newest 10,000 events of an organisation.
#[derive(Clone, Copy, Debug)]
pub struct CountInbox {
    /// The organisation.
    pub tenant: TenantId,
}

#[derive(sqlx::FromRow)]
struct CountRow {
    source_id: Uuid,
    state: Option<String>,
    events: i64,
    newest_at: At,
}

impl Intent for CountInbox {
    /// By sender, also those that were removed.
    type Output = BTreeMap<InboxSourceId, EventCounts>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let query = tx.query(COUNT).bind(self.tenant.uuid()).bind(Uuid::max()).bind(i64::from(COUNTED_EVENTS));
        let mut counts: BTreeMap<InboxSourceId, EventCounts> = BTreeMap::new();
        for row in query.rows::<CountRow>().await? {
            let job = row.state.as_deref().map(word).transpose()?;
            let sender = counts.entry(InboxSourceId(row.source_id)).or_default();
            sender.add(InboxState::of_job(job), count(row.events), row.newest_at.0);
        }
        Ok(counts)
    }
}
