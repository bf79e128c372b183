//! Calls by their words: rows of words, kept true by whoever changes a call.

use mainstay_domain::{CallWords, ContactId, PhoneCall, PhoneCallId, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::access::{Reading, note};
use super::row::CallRow;
use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, END_OF_TIME};

statements! {
    NAME = both("SELECT name FROM contact WHERE id = $1 AND tenant_id = $2");
    CLEAR = both("DELETE FROM phone_call_term WHERE tenant_id = $1 AND call_id = $2");
    WRITE = insert((term: text) "
        phone_call_term (tenant_id, term, created_at, call_id) SELECT $2, b.term, $3, $4 FROM batch b");
    DONE = both("UPDATE phone_call SET indexed = 1 WHERE id = $1 AND tenant_id = $2");
    NOT_INDEXED = both("
        SELECT tenant_id, id FROM phone_call WHERE indexed = 0 AND created_at < $1 ORDER BY created_at, id LIMIT $2");
    LOCK = pair(sqlite "
        SELECT id, provider_id, direction, state, number, contact_id, started_at, ended_at, heard_at, ended_reason, reported_at,
          summary, transcript, recording_url, cost_micros, outcome, created_at
        FROM phone_call WHERE id = $1 AND tenant_id = $2 AND indexed = 0",
        postgres "
        SELECT id, provider_id, direction, state, number, contact_id, started_at, ended_at, heard_at, ended_reason, reported_at,
          summary, transcript, recording_url, cost_micros, outcome, created_at
        FROM phone_call WHERE id = $1 AND tenant_id = $2 AND indexed = 0 FOR UPDATE",
        differs "SQLite has one writer and no row locks");
    /// Those that have all words, among the next calls that have the first. Without a moment in `$6` also those that have ended.
    FIND = batch((term: text) "
        SELECT c.id, c.provider_id, c.direction, c.state, c.number, c.contact_id, c.started_at, c.ended_at, c.heard_at,
          c.ended_reason, c.reported_at, c.summary, NULL AS transcript, c.recording_url, c.cost_micros, c.outcome, c.created_at
        FROM (SELECT call_id, created_at FROM phone_call_term WHERE tenant_id = $2 AND term = $3
              AND (created_at, call_id) < ($4, $5) ORDER BY created_at DESC, call_id DESC LIMIT 2000) w
        JOIN phone_call c ON c.id = w.call_id AND c.tenant_id = $2
        WHERE (c.heard_at > $6) IS NOT FALSE AND (c.state NOT IN ('ended', 'lost') OR (c.heard_at > $6) IS NULL)
          AND NOT EXISTS (SELECT 1 FROM batch b WHERE NOT EXISTS (SELECT 1 FROM phone_call_term o
            WHERE o.tenant_id = $2 AND o.term = b.term AND o.created_at = w.created_at AND o.call_id = w.call_id))
        ORDER BY w.created_at DESC, w.call_id DESC LIMIT $7");
    /// Where a walk over the calls that have a word ended, when it did not come to their end.
    WALKED = both("
        SELECT created_at AS at, call_id AS id FROM phone_call_term WHERE tenant_id = $1 AND term = $2
          AND (created_at, call_id) < ($3, $4) ORDER BY created_at DESC, call_id DESC LIMIT 1 OFFSET $5");
}

/// The most calls that one search looks through, as [`FIND`] says; the answer says where the next one goes on.
const WALK: i64 = 2_000;

#[derive(sqlx::FromRow)]
struct NameRow {
    name: String,
}

#[derive(sqlx::FromRow)]
struct PlaceRow {
    at: At,
    id: Uuid,
}

#[derive(sqlx::FromRow)]
struct NotIndexedRow {
    tenant_id: Uuid,
    id: Uuid,
}

/// Something that was said, of a transcript.
#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    text: String,
}

#[derive(Serialize)]
struct Term<'a> {
    term: &'a str,
}

/// Writes the words of a call. Whoever does has its row locked.
pub(super) async fn index(tx: &mut Tx<'_>, tenant: TenantId, call: &PhoneCall) -> Result<()> {
    let name = match call.contact.map(ContactId::uuid) {
        None => None,
        Some(contact) => tx.query(NAME).bind(contact).bind(tenant.uuid()).row::<NameRow>().await?,
    };
    // What cannot be read was not written here: the call is found by the rest.
    let said: Option<Vec<Line>> = call.transcript.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let said: Vec<String> = said.unwrap_or_default().into_iter().map(|line| line.text).collect();
    let CallWords(words) = CallWords::of(call, name.as_ref().map(|row| row.name.as_str()), &said);
    tx.query(CLEAR).bind(tenant.uuid()).bind(call.id.uuid()).run().await?;
    let rows: Vec<Term<'_>> = words.iter().map(|term| Term { term }).collect();
    if !rows.is_empty() {
        tx.batch(WRITE, &rows).bind(tenant.uuid()).bind(At(call.created_at)).bind(call.id.uuid()).run().await?;
    }
    tx.query(DONE).bind(call.id.uuid()).bind(tenant.uuid()).run().await.map(drop)
}

/// Looks for calls that have all of these words, the last first, and notes who did.
#[derive(Clone, Debug)]
pub struct SearchCalls {
    /// The organisation.
    pub tenant: TenantId,
    /// The words, as [`CallWords::sought`] gives them.
    pub words: Vec<String>,
    /// Only those that go on, of which something was heard since this moment.
    pub live_since: Option<Timestamp>,
    /// Those before this one.
    pub before: Option<(Timestamp, PhoneCallId)>,
    /// At most so many.
    pub limit: u32,
    /// Who looks.
    pub reading: Reading,
}

impl Intent for SearchCalls {
    /// The calls, without what was said, and where the next page goes on. A page may be short, and still have a next one.
    type Output = (Vec<PhoneCall>, Option<(Timestamp, PhoneCallId)>);
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        note(tx, self.tenant, self.reading, ("calls", None)).await?;
        let Some(first) = self.words.first() else { return Ok((Vec::new(), None)) };
        let (at, id) = self.before.map_or((END_OF_TIME, Uuid::max()), |(at, id)| (at, id.uuid()));
        let words: Vec<Term<'_>> = self.words.iter().map(|term| Term { term }).collect();
        let find = tx.batch(FIND, &words).bind(self.tenant.uuid()).bind(first.clone()).bind(At(at)).bind(id);
        let find = find.bind(self.live_since.map(At)).bind(i64::from(self.limit));
        let rows: Vec<CallRow> = find.rows().await?;
        let calls: Vec<PhoneCall> = rows.into_iter().map(PhoneCall::try_from).collect::<Result<_>>()?;
        if calls.len() >= usize::try_from(self.limit).unwrap_or(usize::MAX) {
            let next = calls.last().map(|call| (call.created_at, call.id));
            return Ok((calls, next));
        }
        let walked = tx.query(WALKED).bind(self.tenant.uuid()).bind(first.clone()).bind(At(at)).bind(id).bind(WALK - 1);
        let next = walked.row::<PlaceRow>().await?.map(|row| (row.at.0, PhoneCallId(row.id)));
        Ok((calls, next))
    }
}

/// Lists calls whose words are not there yet, of all organisations, the oldest first.
#[derive(Clone, Copy, Debug)]
pub struct ListCallsNotIndexed {
    /// First told of before this moment.
    pub before: Timestamp,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListCallsNotIndexed {
    type Output = Vec<(TenantId, PhoneCallId)>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::System
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let rows: Vec<NotIndexedRow> =
            tx.query(NOT_INDEXED).bind(At(self.before)).bind(i64::from(self.limit)).rows().await?;
        Ok(rows.into_iter().map(|row| (TenantId(row.tenant_id), PhoneCallId(row.id))).collect())
    }
}

/// Writes the words of a call where they are not there yet.
#[derive(Clone, Copy, Debug)]
pub struct IndexCall {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: PhoneCallId,
}

impl Intent for IndexCall {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let row = tx.query(LOCK).bind(self.id.uuid()).bind(self.tenant.uuid()).row::<CallRow>().await?;
        match row {
            Some(row) => index(tx, self.tenant, &row.try_into()?).await,
            None => Ok(()),
        }
    }
}
