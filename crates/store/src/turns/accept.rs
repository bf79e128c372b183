//! Taking messages in.

use std::collections::{BTreeMap, HashMap, HashSet};

use mainstay_domain::{Amounts, MessageRole, MessageStatus};
use serde::Serialize;
use uuid::Uuid;

use super::{AcceptMessage, Accepted, Id, Target, Told, ids};
use crate::error::Result;
use crate::kinds::Kind;
use crate::metering::admission::{self, Demand};
use crate::metering::ledger::Ledger;
use crate::metering::reservation;
use crate::sql::statements;
use crate::stream::{Changes, Numbers};
use crate::tx::Tx;
use crate::value::json;

statements! {
    /// Only on a repeat: what a commit that was not confirmed has stored.
    STORED = batch((id: uuid, tenant_id: uuid) "
        SELECT m.id FROM batch b JOIN message m ON m.id = b.id AND m.tenant_id = b.tenant_id");
    /// A key that is there already is left as it is. A concurrent duplicate waits for the first to commit.
    CLAIM = insert((tenant_id: uuid, person_id: uuid, key: text, fingerprint: text, id: uuid, at: time) "
        idempotency (tenant_id, person_id, key, operation, fingerprint, resource_id, created_at)
        SELECT tenant_id, person_id, key, 'message', fingerprint, id, at FROM batch WHERE true
        ORDER BY tenant_id, person_id, key, n
        ON CONFLICT (tenant_id, person_id, key) DO NOTHING");
    /// Only where a key was there already: which ones are ours.
    CLAIMED = batch((tenant_id: uuid, person_id: uuid, key: text, id: uuid) "
        SELECT b.id FROM batch b JOIN idempotency i
        ON i.tenant_id = b.tenant_id AND i.person_id = b.person_id AND i.key = b.key WHERE i.resource_id = b.id");
    /// A refusal is not remembered: the key may be used again.
    UNCLAIM = batch((tenant_id: uuid, person_id: uuid, key: text) "
        DELETE FROM idempotency WHERE (tenant_id, person_id, key) IN (SELECT tenant_id, person_id, key FROM batch)");
    /// SQLite has one writer and no row locks; PostgreSQL takes them in the order of the ids.
    LOCK = locking((id: uuid, tenant_id: uuid, person_id: uuid) "
        SELECT c.id, c.next_ordinal, c.seq FROM batch b JOIN conversation c ON c.id = b.id AND c.tenant_id = b.tenant_id
        WHERE c.person_id = b.person_id AND c.deleted_at IS NULL",
        "ORDER BY c.id FOR UPDATE OF c");
    CREATE = insert((id: uuid, tenant_id: uuid, person_id: uuid, title: text, next_ordinal: bigint, seq: bigint, at: time) "
        conversation (id, tenant_id, person_id, title, next_ordinal, seq, created_at, updated_at)
        SELECT id, tenant_id, person_id, title, next_ordinal, seq, at, at FROM batch");
    /// The rows are locked by `LOCK` already, so the order of this update cannot deadlock.
    TOUCH = update((id: uuid, tenant_id: uuid, next_ordinal: bigint, seq: bigint, at: time) "
        conversation SET next_ordinal = b.next_ordinal, seq = b.seq, updated_at = b.at
        FROM batch b WHERE conversation.id = b.id AND conversation.tenant_id = b.tenant_id");
    INSERT = insert((id: uuid, tenant_id: uuid, conversation_id: uuid, person_id: uuid, role: text, status: text, content: text, images: text, ordinal: bigint, seq: bigint, at: time) "
        message (id, tenant_id, conversation_id, person_id, role, status, content, images, ordinal, seq, created_at)
        SELECT id, tenant_id, conversation_id, person_id, role, status, content, images, ordinal, seq, at FROM batch");
    /// One that another message carries already stays there.
    ATTACH = update((id: uuid, tenant_id: uuid, person_id: uuid, message_id: uuid, conversation_id: uuid) "
        image SET message_id = b.message_id, conversation_id = b.conversation_id
        FROM batch b WHERE image.id = b.id AND image.tenant_id = b.tenant_id AND image.person_id = b.person_id
          AND image.message_id IS NULL");
    BEGIN = insert((id: uuid, tenant_id: uuid, person_id: uuid, lease: bigint, seq: bigint, at: time) "
        generation (id, tenant_id, person_id, lease, text, seq, started_at)
        SELECT id, tenant_id, person_id, lease, '', seq, at FROM batch");
}

#[derive(Serialize)]
struct Key<'a> {
    tenant_id: Uuid,
    person_id: Uuid,
    key: &'a str,
    fingerprint: &'a str,
    id: Uuid,
    at: i64,
}

#[derive(Serialize)]
struct Place {
    id: Uuid,
    tenant_id: Uuid,
    person_id: Uuid,
}

/// A conversation that was there before.
#[derive(Clone, Copy, sqlx::FromRow)]
struct Locked {
    id: Uuid,
    next_ordinal: i64,
    seq: i64,
}

/// Messages that will be stored with their places in the batch, and the conversations that were there before.
pub(super) struct Claimed<'a> {
    accepts: Vec<(usize, &'a AcceptMessage)>,
    locked: HashMap<Uuid, Locked>,
}

/// Decides which messages are taken: claims their idempotency keys and locks their conversations.
pub(super) async fn claim<'a>(
    tx: &mut Tx<'_>,
    accepts: &[(usize, &'a AcceptMessage)],
    told: &mut [Told],
) -> Result<Claimed<'a>> {
    let mut taken = Vec::with_capacity(accepts.len());
    if accepts.is_empty() {
        return Ok(Claimed { accepts: taken, locked: HashMap::new() });
    }
    let stored = if tx.attempt > 0 {
        let rows: Vec<_> = accepts.iter().map(|(_, accept)| place(accept, accept.reply.uuid())).collect();
        ids(tx.batch(STORED, &rows).rows::<Id>().await?)
    } else {
        Default::default()
    };
    let held = held(tx, accepts, &stored).await?;
    let keys: Vec<_> =
        accepts.iter().filter(|(_, accept)| !stored.contains(&accept.reply.uuid())).filter_map(key).collect();
    let claimed = claimed(tx, &keys).await?;
    let locked = lock(tx, accepts).await?;
    let mut unclaimed = Vec::new();
    for entry @ (position, accept) in accepts {
        let reply = accept.reply.uuid();
        told[*position] = Told::Accepted(if stored.contains(&reply) {
            Accepted::Taken(held.get(&reply).copied().unwrap_or(0))
        } else if accept.claim.is_some() && !claimed.contains(&reply) {
            Accepted::Repeat
        } else if matches!(accept.target, Target::Existing(id) if !locked.contains_key(&id.uuid())) {
            unclaimed.extend(key(entry));
            Accepted::NoConversation
        } else {
            taken.push(*entry);
            Accepted::Taken(0)
        });
    }
    if !unclaimed.is_empty() {
        tx.batch(UNCLAIM, &unclaimed).run().await?;
    }
    Ok(Claimed { accepts: taken, locked })
}

/// What is set aside for those that are stored already.
async fn held(
    tx: &mut Tx<'_>,
    accepts: &[(usize, &AcceptMessage)],
    stored: &HashSet<Uuid>,
) -> Result<HashMap<Uuid, i64>> {
    let places: Vec<_> = accepts
        .iter()
        .filter(|(_, accept)| accept.bid.is_some() && stored.contains(&accept.reply.uuid()))
        .map(|(_, accept)| (accept.reply.uuid(), accept.tenant))
        .collect();
    if places.is_empty() { Ok(HashMap::new()) } else { reservation::held(tx, &places).await }
}

/// Posts the ledger, and refuses the messages for which a limit is spent.
pub(super) async fn admit<'a>(
    tx: &mut Tx<'_>,
    claimed: Claimed<'a>,
    ledger: Ledger,
    told: &mut [Told],
) -> Result<Claimed<'a>> {
    let demand = |(_, accept): &(usize, &AcceptMessage)| Demand {
        id: accept.reply.uuid(),
        tenant: accept.tenant,
        person: accept.person,
        at: accept.now,
        amounts: Amounts::MESSAGE,
        bid: accept.bid,
    };
    let demands: Vec<_> = claimed.accepts.iter().map(demand).collect();
    let verdicts = admission::admit(tx, ledger, &demands).await?;
    let (mut accepts, mut unclaimed) = (Vec::with_capacity(demands.len()), Vec::new());
    for (entry, verdict) in claimed.accepts.into_iter().zip(verdicts) {
        told[entry.0] = Told::Accepted(match verdict {
            Ok(reserved) => {
                accepts.push(entry);
                Accepted::Taken(reserved)
            }
            Err(spent) => {
                unclaimed.extend(key(&entry));
                Accepted::Spent(spent)
            }
        });
    }
    if !unclaimed.is_empty() {
        tx.batch(UNCLAIM, &unclaimed).run().await?;
    }
    Ok(Claimed { accepts, locked: claimed.locked })
}

/// Which of these keys are ours now, by what they stand for.
async fn claimed(tx: &mut Tx<'_>, keys: &[Key<'_>]) -> Result<HashSet<Uuid>> {
    if keys.is_empty() {
        return Ok(HashSet::new());
    }
    if tx.batch(CLAIM, keys).run().await? == keys.len() as u64 {
        return Ok(keys.iter().map(|key| key.id).collect());
    }
    Ok(ids(tx.batch(CLAIMED, keys).rows::<Id>().await?))
}

fn place(accept: &AcceptMessage, id: Uuid) -> Place {
    Place { id, tenant_id: accept.tenant.uuid(), person_id: accept.person.uuid() }
}

fn key<'a>((_, accept): &(usize, &'a AcceptMessage)) -> Option<Key<'a>> {
    accept.claim.as_ref().map(|claim| Key {
        tenant_id: accept.tenant.uuid(),
        person_id: accept.person.uuid(),
        key: claim.key.as_str(),
        fingerprint: &claim.fingerprint,
        id: accept.reply.uuid(),
        at: accept.now.as_millis(),
    })
}

async fn lock(tx: &mut Tx<'_>, accepts: &[(usize, &AcceptMessage)]) -> Result<HashMap<Uuid, Locked>> {
    let places: BTreeMap<_, _> = accepts
        .iter()
        .filter(|(_, accept)| matches!(accept.target, Target::Existing(_)))
        .map(|(_, accept)| {
            ((accept.target.id(), accept.tenant, accept.person), place(accept, accept.target.id().uuid()))
        })
        .collect();
    if places.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<_> = places.into_values().collect();
    let locked: Vec<Locked> = tx.batch(LOCK, &rows).rows().await?;
    Ok(locked.into_iter().map(|row| (row.id, row)).collect())
}

/// Two messages for each turn, and their conversation.
pub(super) fn change(claimed: &Claimed<'_>, changes: &mut Changes) {
    for (_, accept) in &claimed.accepts {
        let AcceptMessage { tenant, person, message, reply, .. } = **accept;
        let conversation = accept.target.id().uuid();
        let old = claimed.locked.get(&conversation).map(|locked| locked.seq);
        changes.put(tenant, person, Kind::Conversation, conversation, old);
        changes.put(tenant, person, Kind::Message, message.uuid(), None);
        changes.put(tenant, person, Kind::Message, reply.uuid(), None);
    }
}

#[derive(Serialize)]
struct Conversation<'a> {
    id: Uuid,
    tenant_id: Uuid,
    person_id: Uuid,
    title: Option<&'a str>,
    next_ordinal: i64,
    seq: i64,
    at: i64,
}

#[derive(Serialize)]
struct Message<'a> {
    id: Uuid,
    tenant_id: Uuid,
    conversation_id: Uuid,
    person_id: Uuid,
    role: MessageRole,
    status: MessageStatus,
    content: &'a str,
    images: Option<String>,
    ordinal: i64,
    seq: i64,
    at: i64,
}

#[derive(Serialize)]
struct Attached {
    id: Uuid,
    tenant_id: Uuid,
    person_id: Uuid,
    message_id: Uuid,
    conversation_id: Uuid,
}

#[derive(Serialize)]
struct Generation {
    id: Uuid,
    tenant_id: Uuid,
    person_id: Uuid,
    lease: i64,
    seq: i64,
    at: i64,
}

/// Stores what was taken.
pub(super) fn write(tx: &mut Tx<'_>, claimed: Claimed<'_>, numbers: &Numbers) -> Result<()> {
    let Claimed { accepts, mut locked } = claimed;
    if accepts.is_empty() {
        return Ok(());
    }
    let mut created = Vec::new();
    let mut touched: BTreeMap<Uuid, Conversation<'_>> = BTreeMap::new();
    let mut messages = Vec::with_capacity(accepts.len() * 2);
    let mut generations = Vec::with_capacity(accepts.len());
    let mut attached = Vec::new();
    for (_, accept) in accepts {
        let id = accept.target.id().uuid();
        let number = |id: Uuid| numbers.of(accept.tenant, accept.person, id);
        let ordinal = locked.get(&id).map_or(0, |locked| locked.next_ordinal);
        let mut conversation = Conversation {
            id,
            tenant_id: accept.tenant.uuid(),
            person_id: accept.person.uuid(),
            title: None,
            next_ordinal: ordinal + 2,
            seq: number(id)?,
            at: accept.now.as_millis(),
        };
        match &accept.target {
            Target::New(_, title) => {
                conversation.title = Some(title.as_str());
                created.push(conversation);
            }
            Target::Existing(_) => {
                locked.entry(id).and_modify(|locked| locked.next_ordinal = ordinal + 2);
                touched.insert(id, conversation);
            }
        }
        let message = |id: Uuid, role, status, content, ordinal| -> Result<Message<'_>> {
            Ok(Message {
                id,
                tenant_id: accept.tenant.uuid(),
                conversation_id: accept.target.id().uuid(),
                person_id: accept.person.uuid(),
                role,
                status,
                content,
                images: None,
                ordinal,
                seq: number(id)?,
                at: accept.now.as_millis(),
            })
        };
        let images = if accept.images.is_empty() { None } else { Some(json(&accept.images)?) };
        let question =
            message(accept.message.uuid(), MessageRole::User, MessageStatus::Final, accept.content.as_str(), ordinal)?;
        messages.push(Message { images, ..question });
        attached.extend(accept.images.iter().map(|image| Attached {
            id: image.id.uuid(),
            tenant_id: accept.tenant.uuid(),
            person_id: accept.person.uuid(),
            message_id: accept.message.uuid(),
            conversation_id: id,
        }));
        messages.push(message(accept.reply.uuid(), MessageRole::Assistant, MessageStatus::Streaming, "", ordinal + 1)?);
        generations.push(Generation {
            id: accept.reply.uuid(),
            tenant_id: accept.tenant.uuid(),
            person_id: accept.person.uuid(),
            lease: accept.lease,
            seq: number(accept.reply.uuid())?,
            at: accept.now.as_millis(),
        });
    }
    let touched: Vec<_> = touched.into_values().collect();
    tx.later(CREATE, &created, None)?;
    tx.later(TOUCH, &touched, Some("a conversation that was locked is gone"))?;
    tx.later(INSERT, &messages, None)?;
    tx.later(ATTACH, &attached, None)?;
    tx.later(BEGIN, &generations, None)
}
