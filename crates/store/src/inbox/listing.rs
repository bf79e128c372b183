//! Events as people see them: lists, one with all that is known of it, and doing one again.

use mainstay_domain::{InboxEventId, InboxSourceId, InboxState, TenantId, Timestamp};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::jobs::NewJob;
use crate::jobs::listing::again;
use crate::members::word;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, Id};

statements! {
    /// A bounded walk down the ids: what does not fit the filter is passed over.
    LIST = both("
        SELECT w.id, w.source_id, w.provider, w.identity, w.kind, w.version, w.received_at, j.state
        FROM (SELECT e.id, e.source_id, e.provider, e.identity, e.kind, e.version, e.received_at FROM inbox_event e
              WHERE e.tenant_id = $1 AND e.id < $2 ORDER BY e.id DESC LIMIT $3) w
        LEFT JOIN job j ON j.id = w.id
        WHERE ($4 = 0 OR w.source_id = $5) AND ($6 = '' OR w.kind = $6)
          AND ($7 = '' OR $7 = CASE WHEN j.state IN ('scheduled', 'ready', 'running') THEN 'pending'
                                    WHEN j.state IN ('dead', 'cancelled') THEN j.state ELSE 'processed' END)
        ORDER BY w.id DESC LIMIT $8");
    WALKED = both("
        SELECT e.id FROM inbox_event e WHERE e.tenant_id = $1 AND e.id < $2 ORDER BY e.id DESC LIMIT 1 OFFSET $3");
    GET = both("
        SELECT e.id, e.source_id, e.provider, e.identity, e.kind, e.version, e.received_at, e.payload, j.state
        FROM inbox_event e LEFT JOIN job j ON j.id = e.id WHERE e.tenant_id = $1 AND e.id = $2");
}

/// How many rows one list walks over at most; the answer says where the next one goes on.
const WALK: i64 = 2000;

/// An event as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxSummary {
    /// Its id, which is also its job's.
    pub id: InboxEventId,
    /// Who sent it.
    pub source: InboxSourceId,
    /// What kind of sender that is.
    pub provider: String,
    /// What the same event has when it arrives again.
    pub identity: String,
    /// What kind of event it is, in the sender's own word.
    pub kind: String,
    /// When what it tells was so, by the sender's clock, in milliseconds since 1970.
    pub version: Option<i64>,
    /// When it arrived.
    pub received_at: Timestamp,
    /// What became of it.
    pub state: InboxState,
}

#[derive(sqlx::FromRow)]
struct SummaryRow {
    id: Uuid,
    source_id: Uuid,
    provider: String,
    identity: String,
    kind: String,
    version: Option<i64>,
    received_at: At,
    state: Option<String>,
}

impl TryFrom<SummaryRow> for InboxSummary {
    type Error = Error;

    fn try_from(row: SummaryRow) -> Result<Self> {
        let job = row.state.as_deref().map(word).transpose()?;
        Ok(Self {
            id: InboxEventId(row.id),
            source: InboxSourceId(row.source_id),
            provider: row.provider,
            identity: row.identity,
            kind: row.kind,
            version: row.version,
            received_at: row.received_at.0,
            state: InboxState::of_job(job),
        })
    }
}

/// Which events. What is not named stands for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InboxFilter {
    /// From this sender.
    pub source: Option<InboxSourceId>,
    /// Of this kind; empty for all.
    pub kind: String,
    /// In this state.
    pub state: Option<InboxState>,
}

/// A page of events, the newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxPage {
    /// The events. There may be fewer than were asked for although more follow.
    pub events: Vec<InboxSummary>,
    /// Where the next page goes on; nothing at the end.
    pub next: Option<InboxEventId>,
}

/// Lists events of an organisation, the newest first. A page looks at 2,000 events at most.
#[derive(Clone, Debug)]
pub struct ListInbox {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub filter: InboxFilter,
    /// After this one.
    pub after: Option<InboxEventId>,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListInbox {
    type Output = InboxPage;
    const WRITES: bool = false;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<InboxPage> {
        let (tenant, after) = (self.tenant.uuid(), self.after.map_or(Uuid::max(), InboxEventId::uuid));
        let InboxFilter { source, kind, state } = &self.filter;
        let list = tx.query(LIST).bind(tenant).bind(after).bind(WALK).bind(i64::from(source.is_some()));
        let list = list.bind(source.map_or(Uuid::nil(), InboxSourceId::uuid)).bind(kind.clone());
        let list = list.bind(state.map_or("", InboxState::as_str)).bind(i64::from(self.limit));
        let rows: Vec<SummaryRow> = list.rows().await?;
        let events: Vec<InboxSummary> = rows.into_iter().map(InboxSummary::try_from).collect::<Result<_>>()?;
        let next = if events.len() >= self.limit as usize {
            events.last().map(|event| event.id)
        } else {
            let walked = tx.query(WALKED).bind(tenant).bind(after).bind(WALK - 1);
            walked.row::<Id>().await?.map(|row| InboxEventId(row.id))
        };
        Ok(InboxPage { events, next })
    }
}

/// An event with what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxEvent {
    /// The event.
    pub event: InboxSummary,
    /// What it says: JSON.
    pub payload: String,
}

#[derive(sqlx::FromRow)]
struct EventRow {
    #[sqlx(flatten)]
    summary: SummaryRow,
    payload: String,
}

/// Reads an event of an organisation.
#[derive(Clone, Copy, Debug)]
pub struct GetInboxEvent {
    /// The organisation.
    pub tenant: TenantId,
    /// The event.
    pub id: InboxEventId,
}

impl Intent for GetInboxEvent {
    type Output = Option<InboxEvent>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let row: Option<EventRow> = tx.query(GET).bind(self.tenant.uuid()).bind(self.id.uuid()).row().await?;
        row.map(|row| Ok(InboxEvent { event: row.summary.try_into()?, payload: row.payload })).transpose()
    }
}

/// Processes events again, with all attempts before them. Whoever hands this in has seen that they are the caller's.
#[derive(Clone, Debug)]
pub struct ReplayEvents {
    /// Their jobs, at most 500: an event whose job has been forgotten gets this one.
    pub jobs: Vec<NewJob>,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for ReplayEvents {
    /// Which will be processed again: the others have not been processed a first time.
    type Output = Vec<InboxEventId>;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let begun = again(tx, &self.jobs, self.now).await?;
        Ok(begun.into_iter().map(|job| InboxEventId(job.uuid())).collect())
    }
}
