//! Saving, settling and rescuing replies.

use std::collections::HashMap;

use mainstay_domain::{Amounts, MessageStatus, Timestamp, ToolUsed};
use serde::Serialize;
use uuid::Uuid;

use super::{Id, SaveReply, Saved, SettleReply, Told, ids};
use crate::error::Result;
use crate::kinds::Kind;
use crate::metering::ledger::Ledger;
use crate::metering::reservation::{self, Settlement};
use crate::sql::statements;
use crate::stream::{Changes, Numbers};
use crate::tx::Tx;
use crate::value::{At, json};

statements! {
    SAVE = update((id: uuid, tenant_id: uuid, lease: bigint, text: text, tools: text) "
        generation SET text = b.text, tools = b.tools FROM batch b
        WHERE generation.id = b.id AND generation.tenant_id = b.tenant_id AND generation.lease = b.lease
        RETURNING generation.id, generation.stop_requested_at");
    /// For a reply whose text is saved already: nothing is written, and a stop is seen.
    LOOK = batch((id: uuid, tenant_id: uuid, lease: bigint) "
        SELECT g.id, g.stop_requested_at
        FROM batch b JOIN generation g ON g.id = b.id AND g.tenant_id = b.tenant_id AND g.lease = b.lease");
    /// Whoever deletes the row settles the reply.
    FENCE = batch((id: uuid, tenant_id: uuid, lease: bigint) "
        DELETE FROM generation WHERE (id, tenant_id, lease) IN (SELECT id, tenant_id, lease FROM batch) RETURNING id, text, tools, seq, started_at");
    /// Only on a repeat: what a commit that was not confirmed has settled.
    SETTLED = batch((id: uuid, tenant_id: uuid, status: text) "
        SELECT m.id FROM batch b JOIN message m ON m.id = b.id AND m.tenant_id = b.tenant_id WHERE m.status = b.status");
    /// The stream is locked already, so the order of this update cannot deadlock. Without a number the conversation is
    /// deleted, and nobody syncs the reply.
    SETTLE = update((id: uuid, tenant_id: uuid, status: text, content: text, tools: text, provider: text, model: text, input_tokens: bigint, output_tokens: bigint, cost_micros: bigint, error_code: text, error_detail: text, seq: bigint, at: time) "
        message SET status = b.status, content = b.content, tools = b.tools, provider = b.provider, model = b.model,
               input_tokens = b.input_tokens, output_tokens = b.output_tokens, cost_micros = b.cost_micros, error_code = b.error_code,
               error_detail = b.error_detail, seq = coalesce(b.seq, message.seq), settled_at = b.at
        FROM batch b WHERE message.id = b.id AND message.tenant_id = b.tenant_id");
}

#[derive(Serialize)]
struct Look {
    id: Uuid,
    tenant_id: Uuid,
    lease: i64,
}

#[derive(Serialize)]
struct Save<'a> {
    id: Uuid,
    tenant_id: Uuid,
    lease: i64,
    text: &'a str,
    tools: Option<String>,
}

/// What tools did, as it is kept; nothing where none was used.
fn kept(tools: &[ToolUsed]) -> Result<Option<String>> {
    if tools.is_empty() { Ok(None) } else { json(tools).map(Some) }
}

#[derive(sqlx::FromRow)]
struct SavedRow {
    id: Uuid,
    stop_requested_at: Option<At>,
}

/// Saves what replies have so far.
pub(super) async fn save(tx: &mut Tx<'_>, saves: &[(usize, &SaveReply)], told: &mut [Told]) -> Result<()> {
    if saves.is_empty() {
        return Ok(());
    }
    let (mut texts, mut looks) = (Vec::new(), Vec::new());
    for (_, SaveReply { tenant, generation, lease, text, tools }) in saves {
        let (id, tenant_id, lease) = (generation.uuid(), tenant.uuid(), *lease);
        match text {
            Some(text) => texts.push(Save { id, tenant_id, lease, text, tools: kept(tools)? }),
            None => looks.push(Look { id, tenant_id, lease }),
        }
    }
    let mut saved: Vec<SavedRow> = Vec::with_capacity(saves.len());
    if !texts.is_empty() {
        saved.extend(tx.batch(SAVE, &texts).rows::<SavedRow>().await?);
    }
    if !looks.is_empty() {
        saved.extend(tx.batch(LOOK, &looks).rows::<SavedRow>().await?);
    }
    let saved: HashMap<_, _> = saved.into_iter().map(|row| (row.id, row.stop_requested_at)).collect();
    for (position, save) in saves {
        told[*position] = Told::Saved(match saved.get(&save.generation.uuid()) {
            None => Saved::Gone,
            Some(None) => Saved::GoOn,
            Some(Some(_)) => Saved::StopRequested,
        });
    }
    Ok(())
}

#[derive(Serialize)]
struct Fence {
    id: Uuid,
    tenant_id: Uuid,
    lease: i64,
    status: MessageStatus,
}

#[derive(sqlx::FromRow)]
struct Fenced {
    id: Uuid,
    text: String,
    tools: Option<String>,
    seq: Option<i64>,
    started_at: At,
}

/// A reply that this transaction settles, its text, what tools did for it, and its number until now, unless its conversation is deleted.
pub(super) struct Won<'a> {
    settle: &'a SettleReply,
    text: String,
    tools: Option<String>,
    seq: Option<i64>,
    started_at: Timestamp,
    /// What it cost, in millionths, once that is counted.
    cost_micros: i64,
}

/// Finds out which replies are still ours to settle.
pub(super) async fn fence<'a>(
    tx: &mut Tx<'_>,
    settles: &[(usize, &'a SettleReply)],
    told: &mut [Told],
) -> Result<Vec<Won<'a>>> {
    if settles.is_empty() {
        return Ok(Vec::new());
    }
    let mut rows: Vec<_> = settles
        .iter()
        .map(|(_, settle)| Fence {
            id: settle.generation.uuid(),
            tenant_id: settle.tenant.uuid(),
            lease: settle.lease,
            status: settle.status,
        })
        .collect();
    rows.sort_by_key(|row| row.id);
    let done = if tx.attempt > 0 { ids(tx.batch(SETTLED, &rows).rows::<Id>().await?) } else { Default::default() };
    let fenced: Vec<Fenced> = tx.batch(FENCE, &rows).rows().await?;
    let mut fenced: HashMap<_, _> = fenced.into_iter().map(|row| (row.id, row)).collect();
    let mut won = Vec::with_capacity(settles.len());
    for (position, settle) in settles {
        let id = settle.generation.uuid();
        if let Some(saved) = fenced.remove(&id) {
            told[*position] = Told::Settled(true);
            let (text, tools) = match &settle.content {
                Some(text) => (text.clone(), kept(&settle.tools)?),
                None => (saved.text, saved.tools),
            };
            won.push(Won { settle, text, tools, seq: saved.seq, started_at: saved.started_at.0, cost_micros: 0 });
        } else {
            told[*position] = Told::Settled(done.contains(&id));
        }
    }
    Ok(won)
}

/// Counts what the replies took, and gives back what was set aside for them.
pub(super) async fn count(tx: &mut Tx<'_>, won: &mut [Won<'_>], ledger: &mut Ledger) -> Result<()> {
    let settlements: Vec<_> = won
        .iter()
        .map(|Won { settle, started_at, .. }| {
            let tokens = settle.usage.unwrap_or_default();
            let amounts = Amounts {
                input_tokens: i64::from(tokens.input_tokens),
                output_tokens: i64::from(tokens.output_tokens),
                ..Amounts::default()
            };
            let (id, at) = (settle.generation.uuid(), *started_at);
            Settlement { id, tenant: settle.tenant, person: settle.person, at, amounts, cost: settle.cost }
        })
        .collect();
    let costs = reservation::settle(tx, ledger, &settlements).await?;
    for (won, cost) in won.iter_mut().zip(costs) {
        won.cost_micros = cost;
    }
    Ok(())
}

/// The settled replies.
pub(super) fn change(won: &[Won<'_>], changes: &mut Changes) {
    for Won { settle, seq, .. } in won {
        if seq.is_some() {
            changes.put(settle.tenant, settle.person, Kind::Message, settle.generation.uuid(), *seq);
        }
    }
}

#[derive(Serialize)]
struct Settle<'a> {
    id: Uuid,
    tenant_id: Uuid,
    status: MessageStatus,
    content: &'a str,
    tools: Option<&'a str>,
    provider: Option<&'a str>,
    model: Option<&'a str>,
    input_tokens: Option<u32>,
    output_tokens: Option<u32>,
    cost_micros: i64,
    error_code: Option<&'a str>,
    error_detail: Option<&'a str>,
    seq: Option<i64>,
    at: i64,
}

/// Stores how the replies ended.
pub(super) fn write(tx: &mut Tx<'_>, won: &[Won<'_>], numbers: &Numbers) -> Result<()> {
    let mut rows = Vec::with_capacity(won.len());
    for Won { settle, text, tools, seq, cost_micros, .. } in won {
        let id = settle.generation.uuid();
        let seq = seq.map(|_| numbers.of(settle.tenant, settle.person, id)).transpose()?;
        rows.push(Settle {
            id,
            tenant_id: settle.tenant.uuid(),
            status: settle.status,
            content: text,
            tools: tools.as_deref(),
            provider: settle.provider.as_deref(),
            model: settle.model.as_deref(),
            input_tokens: settle.usage.map(|usage| usage.input_tokens),
            output_tokens: settle.usage.map(|usage| usage.output_tokens),
            cost_micros: *cost_micros,
            error_code: settle.fault.as_ref().map(|(code, _)| code.as_str()),
            error_detail: settle.fault.as_ref().map(|(_, detail)| detail.as_str()),
            seq,
            at: settle.now.as_millis(),
        });
    }
    tx.later(SETTLE, &rows, None)
}
