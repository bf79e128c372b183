//! Taking events in: one insert for all that wait at this moment, which passes over those that are there already, and in
//! the same transaction what follows from those that were new: the promise of a job, or the effect itself where that is no
//! more than keeping the newest of a subject.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mainstay_domain::{InboxEventId, InboxSourceId, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use crate::batcher::Batch;
use crate::call::Call;
use crate::error::{Error, Result};
use crate::inbox::subjects::{Telling, apply_if_newer};
use crate::jobs::NewJob;
use crate::jobs::enqueue::enqueue;
use crate::sql::statements;
use crate::store::Store;
use crate::tx::Tx;
use crate::value::Id;

statements! {
    /// Whoever brings the same event at the same moment waits for the first to commit. In the order of the keys, so that
    /// no two wait for each other.
    INSERT = insert((id: uuid, tenant_id: uuid, source_id: uuid, provider: text, identity: text, kind: text,
        version: bigint, at: time, payload: text) "
        inbox_event (id, tenant_id, source_id, provider, identity, kind, version, received_at, payload)
        SELECT id, tenant_id, source_id, provider, identity, kind, version, at, payload FROM batch WHERE true
        ORDER BY source_id, tenant_id, identity
        ON CONFLICT (source_id, tenant_id, identity) DO NOTHING
        RETURNING id");
    /// Those that were there already.
    KNOWN = batch((tenant_id: uuid, source_id: uuid, identity: text) "
        SELECT b.n, e.id FROM batch b JOIN inbox_event e
        ON e.source_id = b.source_id AND e.tenant_id = b.tenant_id AND e.identity = b.identity");
}

/// An event that has arrived. It is taken once, whoever brings it and however often.
#[derive(Clone, Debug)]
pub struct ReceiveEvent {
    /// Its id, should it be new; its job's too, if it has one.
    pub id: InboxEventId,
    /// The organisation; the nil UUID for the installation's own.
    pub tenant: TenantId,
    /// Who sent it.
    pub source: InboxSourceId,
    /// What kind of sender that is.
    pub provider: &'static str,
    /// What the same event has when it arrives again: at most 200 bytes.
    pub identity: String,
    /// What kind of event it is, in the sender's own word.
    pub kind: String,
    /// When what it tells was so, by the sender's clock.
    pub version: Option<i64>,
    /// What it says.
    pub payload: Box<str>,
    /// What follows from it, should it be new.
    pub processing: Processing,
    /// When it arrived.
    pub now: Timestamp,
}

/// How an event is processed.
#[derive(Clone, Debug)]
pub enum Processing {
    /// It is kept, and that is all.
    Kept,
    /// It is the newest of what it tells about, or is not: that is known in the transaction that stores it. The thing, as the
    /// sender calls it: at most 200 bytes.
    Newest(String),
    /// By a job.
    Job(Box<NewJob>),
}

/// What became of an event that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// The event that is stored: this one, or the one that it repeats.
    pub event: InboxEventId,
    /// Whether it was there already.
    pub duplicate: bool,
}

/// What the batcher runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Receipts;

impl Batch for Receipts {
    type Member = ReceiveEvent;
    type Answer = Received;
    const NAME: &'static str = "inbox";

    fn tenant(member: &ReceiveEvent) -> TenantId {
        member.tenant
    }

    async fn apply(&self, tx: &mut Tx<'_>, members: &[Arc<ReceiveEvent>]) -> Result<Vec<Received>> {
        // Of copies in one batch the first stands for all.
        let mut firsts: BTreeMap<Key<'_>, &ReceiveEvent> = BTreeMap::new();
        for member in members {
            firsts.entry(key(member)).or_insert(member);
        }
        let rows: Vec<_> = firsts.values().map(|event| EventRow::of(event)).collect();
        let new: BTreeSet<_> = tx.batch(INSERT, &rows).rows::<Id>().await?.into_iter().map(|row| row.id).collect();
        let (fresh, known): (Vec<_>, Vec<_>) =
            firsts.values().copied().partition(|event| new.contains(&event.id.uuid()));
        let mut stored: BTreeMap<_, _> = fresh.iter().map(|event| (key(event), event.id.uuid())).collect();
        if !known.is_empty() {
            let keys: Vec<_> = known.iter().map(|event| KeyRow::of(event)).collect();
            for row in tx.batch(KNOWN, &keys).rows::<KnownRow>().await? {
                if let Some(event) = usize::try_from(row.n).ok().and_then(|n| known.get(n)) {
                    stored.insert(key(event), row.id);
                }
            }
        }
        process(tx, &fresh).await?;
        let received = |member: &Arc<ReceiveEvent>| {
            // One that is there and then is not was swept at this moment: it is new to the next try.
            let id = stored.get(&key(member)).copied().ok_or(Error::Conflict)?;
            // On a repeat, a commit that was not confirmed may have stored it.
            Ok(Received { event: InboxEventId(id), duplicate: id != member.id.uuid() })
        };
        members.iter().map(received).collect()
    }
}

/// Does, or promises, what follows from events that are new.
async fn process(tx: &mut Tx<'_>, fresh: &[&ReceiveEvent]) -> Result<()> {
    let Some(now) = fresh.iter().map(|event| event.now).max() else { return Ok(()) };
    let (mut jobs, mut told) = (Vec::new(), Vec::new());
    for event in fresh {
        match &event.processing {
            Processing::Kept => {}
            Processing::Newest(subject) => told.push(event.tells(subject)),
            Processing::Job(job) => jobs.push(&**job),
        }
    }
    if !jobs.is_empty() {
        enqueue(tx, &jobs, now).await?;
    }
    apply_if_newer(tx, &told.iter().collect::<Vec<_>>(), now).await?;
    Ok(())
}

impl ReceiveEvent {
    fn tells(&self, subject: &str) -> Telling {
        Telling {
            tenant: self.tenant,
            source: self.source,
            subject: subject.to_owned(),
            version: self.version,
            identity: self.identity.clone(),
            event: self.id,
        }
    }
}

type Key<'a> = (Uuid, Uuid, &'a str);

fn key(event: &ReceiveEvent) -> Key<'_> {
    (event.source.uuid(), event.tenant.uuid(), &event.identity)
}

#[derive(Serialize)]
struct EventRow<'a> {
    id: Uuid,
    tenant_id: Uuid,
    source_id: Uuid,
    provider: &'static str,
    identity: &'a str,
    kind: &'a str,
    version: Option<i64>,
    at: i64,
    payload: &'a str,
}

impl<'a> EventRow<'a> {
    fn of(event: &'a ReceiveEvent) -> Self {
        Self {
            id: event.id.uuid(),
            tenant_id: event.tenant.uuid(),
            source_id: event.source.uuid(),
            provider: event.provider,
            identity: &event.identity,
            kind: &event.kind,
            version: event.version,
            at: event.now.as_millis(),
            payload: &event.payload,
        }
    }
}

#[derive(Serialize)]
struct KeyRow<'a> {
    tenant_id: Uuid,
    source_id: Uuid,
    identity: &'a str,
}

impl<'a> KeyRow<'a> {
    fn of(event: &'a ReceiveEvent) -> Self {
        Self { tenant_id: event.tenant.uuid(), source_id: event.source.uuid(), identity: &event.identity }
    }
}

#[derive(sqlx::FromRow)]
struct KnownRow {
    n: i64,
    id: Uuid,
}

impl Store {
    /// Takes an event in. When it answers, the event and what follows from it, or the promise of that, are on the disk.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] when the deadline passed first: whoever sent it sends it again.
    pub async fn receive_event(&self, call: &Call, event: ReceiveEvent) -> Result<Received> {
        self.receipts.call(call, event).await
    }

    /// Batches, events in them, and events that found the queue full, since the start.
    #[must_use]
    pub fn inbox_figures(&self) -> (u64, u64, u64) {
        self.receipts.figures()
    }
}
