//! The newest that was told of each thing: by the events' own version, never by the order in which they arrived.
//!
//! Senders try again, send in parallel and send old news late. So whoever keeps a state asks first whether an event is
//! newer than what is known of its subject, in the transaction that holds the effect and ends the job.

use std::collections::BTreeMap;
use std::sync::Arc;

use mainstay_domain::{InboxEventId, InboxSourceId, JobId, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use crate::batcher::Batch;
use crate::call::Call;
use crate::engine::postgres::Pool;
use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::jobs::finish::{Fence, done_all};
use crate::sql::statements;
use crate::store::Store;
use crate::tx::{Scope, Tx};

statements! {
    /// In the order of the keys, so that no two wait for each other.
    ADVANCE = insert((tenant_id: uuid, source_id: uuid, subject: text, version: bigint, identity: text, event_id: uuid, at: time) "
        inbox_subject (tenant_id, source_id, subject, version, identity, event_id, updated_at)
        SELECT tenant_id, source_id, subject, version, identity, event_id, at FROM batch WHERE true
        ORDER BY tenant_id, source_id, subject
        ON CONFLICT (tenant_id, source_id, subject) DO UPDATE SET version = excluded.version, identity = excluded.identity,
          event_id = excluded.event_id, updated_at = excluded.updated_at
        WHERE inbox_subject.version < excluded.version
          OR (inbox_subject.version = excluded.version AND inbox_subject.identity < excluded.identity)
        RETURNING event_id");
    LIST = both("
        SELECT s.subject, s.version, s.event_id, e.payload FROM inbox_subject s
        LEFT JOIN inbox_event e ON e.tenant_id = s.tenant_id AND e.id = s.event_id
        WHERE s.tenant_id = $1 AND s.source_id = $2 AND s.subject > $3 ORDER BY s.subject LIMIT $4");
}

/// The version of what tells none: older than whatever does.
const NO_VERSION: i64 = -1;

/// What an event tells about, and how new that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telling {
    /// The organisation.
    pub tenant: TenantId,
    /// Who sent it.
    pub source: InboxSourceId,
    /// The thing, as the sender calls it: at most 200 bytes.
    pub subject: String,
    /// When it was so. What has none is older than whatever has one.
    pub version: Option<i64>,
    /// The event's identity, which decides between two of one version: the same way whichever comes last.
    pub identity: String,
    /// The event.
    pub event: InboxEventId,
}

impl Telling {
    fn order(&self) -> (i64, &str) {
        (self.version.unwrap_or(NO_VERSION), &self.identity)
    }

    fn subject(&self) -> (Uuid, Uuid, &str) {
        (self.tenant.uuid(), self.source.uuid(), &self.subject)
    }
}

#[derive(Serialize)]
struct SubjectRow<'a> {
    tenant_id: Uuid,
    source_id: Uuid,
    subject: &'a str,
    version: i64,
    identity: &'a str,
    event_id: Uuid,
    at: i64,
}

impl<'a> SubjectRow<'a> {
    fn of(one: &'a Telling, now: Timestamp) -> Self {
        Self {
            tenant_id: one.tenant.uuid(),
            source_id: one.source.uuid(),
            subject: &one.subject,
            version: one.version.unwrap_or(NO_VERSION),
            identity: &one.identity,
            event_id: one.event.uuid(),
            at: now.as_millis(),
        }
    }
}

#[derive(sqlx::FromRow)]
struct EventRow {
    event_id: Uuid,
}

/// Notes what is told, and answers which of it is newer than all that was known of its subject. What follows from it belongs
/// into this same transaction, and so does the end of the job ([`crate::jobs::finish::done`]): then it takes place exactly
/// once, and never after something newer.
pub(crate) async fn apply_if_newer(
    tx: &mut Tx<'_>,
    told: &[&Telling],
    now: Timestamp,
) -> Result<std::collections::BTreeSet<InboxEventId>> {
    // A statement changes a row once: of several about one subject the newest stands for all.
    let mut newest: BTreeMap<_, &Telling> = BTreeMap::new();
    for one in told {
        let known = newest.entry(one.subject()).or_insert(one);
        if known.order() < one.order() {
            *known = one;
        }
    }
    if newest.is_empty() {
        return Ok(Default::default());
    }
    let rows: Vec<_> = newest.values().map(|one| SubjectRow::of(one, now)).collect();
    let advanced: Vec<EventRow> = tx.batch(ADVANCE, &rows).rows().await?;
    Ok(advanced.into_iter().map(|row| InboxEventId(row.event_id)).collect())
}

/// Keeps the newest that was told of a subject, and ends the job of the event that tells it.
#[derive(Clone, Debug)]
pub struct KeepNewest {
    /// What is told.
    pub telling: Telling,
    /// The right to end the job.
    pub fence: Fence,
    /// The present moment.
    pub now: Timestamp,
}

/// What the batcher of workers runs: an effect that is small is not worth a commit of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tellings;

impl Batch for Tellings {
    type Member = KeepNewest;
    /// Whether it was newer; nothing when the job belongs to somebody else by now.
    type Answer = Option<bool>;
    const NAME: &'static str = "inbox subjects";
    const POOL: Pool = Pool::Jobs;

    fn tenant(member: &KeepNewest) -> TenantId {
        member.telling.tenant
    }

    fn scope(_: &[TenantId]) -> Scope {
        Scope::System
    }

    async fn apply(&self, tx: &mut Tx<'_>, members: &[Arc<KeepNewest>]) -> Result<Vec<Option<bool>>> {
        let now = members.iter().map(|member| member.now).max().unwrap_or(Timestamp::EPOCH);
        // Whose job is another's by now has no effect here.
        let fences: Vec<_> = members.iter().map(|member| member.fence).collect();
        let (ended, before) = done_all(tx, &fences, now).await?;
        let mine = members.iter().filter(|member| ended.contains(&member.fence.job));
        let told: Vec<_> = mine.map(|member| &member.telling).collect();
        let newer = apply_if_newer(tx, &told, now).await?;
        let answer = |member: &Arc<KeepNewest>| {
            let job: JobId = member.fence.job;
            let mine = ended.contains(&job) || before.contains(&job);
            mine.then(|| newer.contains(&member.telling.event))
        };
        Ok(members.iter().map(answer).collect())
    }
}

impl Store {
    /// Keeps what an event tells of its subject, if it is newer than what is known, and ends the event's job. The answer
    /// is whether it was newer.
    ///
    /// # Errors
    /// [`Error::Fenced`] when the job belongs to somebody else by now.
    pub async fn keep_newest(&self, call: &Call, keep: KeepNewest) -> Result<bool> {
        self.tellings.call(call, keep).await?.ok_or(Error::Fenced)
    }
}

/// What is known of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxSubject {
    /// The thing.
    pub subject: String,
    /// When it was so; nothing when no event about it has said.
    pub version: Option<i64>,
    /// The event that told it.
    pub event: InboxEventId,
    /// What that event says; nothing once it has been forgotten.
    pub payload: Option<String>,
}

#[derive(sqlx::FromRow)]
struct ListRow {
    subject: String,
    version: i64,
    event_id: Uuid,
    payload: Option<String>,
}

/// Lists what is known of the subjects of a sender, by their names.
#[derive(Clone, Debug)]
pub struct ListSubjects {
    /// The organisation.
    pub tenant: TenantId,
    /// The sender.
    pub source: InboxSourceId,
    /// After this one.
    pub after: String,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListSubjects {
    type Output = Vec<InboxSubject>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let query = tx.query(LIST).bind(self.tenant.uuid()).bind(self.source.uuid()).bind(self.after.clone());
        let rows: Vec<ListRow> = query.bind(i64::from(self.limit)).rows().await?;
        let subject = |row: ListRow| InboxSubject {
            subject: row.subject,
            version: Some(row.version).filter(|version| *version > NO_VERSION),
            event: InboxEventId(row.event_id),
            payload: row.payload,
        };
        Ok(rows.into_iter().map(subject).collect())
    }
}
