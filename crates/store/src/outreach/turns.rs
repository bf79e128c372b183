//! Turns with a domain: an account writes to one domain no more often than it may. Whoever has to wait is given the moment of
//! their turn, once. A turn that was missed, because nobody worked or the window had closed, is no leave to go together with
//! others that missed theirs: from when on the domain is free is kept beside the turns, and the last step before an email goes
//! out moves it on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mainstay_domain::Timestamp;
use mainstay_domain::outreach::slot;
use serde::Serialize;
use uuid::Uuid;

use super::RunOf;
use super::accounts::SendingAccount;
use crate::error::Result;
use crate::sql::statements;
use crate::tx::Tx;
use crate::value::At;

statements! {
    DOMAINS = batch((domain: text) "
        SELECT d.domain, d.next_at, d.free_at FROM batch b
        JOIN account_domain d ON d.account_id = $3 AND d.domain = b.domain AND d.tenant_id = $2");
    SET_DOMAINS = insert((account_id: uuid, tenant_id: uuid, domain: text, next_at: time, free_at: time) "
        account_domain (account_id, tenant_id, domain, next_at, free_at)
        SELECT account_id, tenant_id, domain, next_at, free_at FROM batch WHERE true ORDER BY account_id, domain
        ON CONFLICT (account_id, domain, tenant_id) DO UPDATE SET
          next_at = CASE WHEN excluded.next_at > account_domain.next_at THEN excluded.next_at ELSE account_domain.next_at END,
          free_at = CASE WHEN excluded.free_at > account_domain.free_at THEN excluded.free_at ELSE account_domain.free_at END");
}

#[derive(Serialize)]
struct DomainKey<'a> {
    domain: &'a str,
}

#[derive(sqlx::FromRow)]
struct DomainRow {
    domain: String,
    next_at: At,
    free_at: At,
}

/// What is kept of an account and a domain. It only ever moves on.
#[derive(Serialize)]
pub(super) struct DomainAt<'a> {
    pub(super) account_id: Uuid,
    pub(super) tenant_id: Uuid,
    pub(super) domain: &'a str,
    /// The next turn that is given out.
    pub(super) next_at: i64,
    /// Nothing goes there before this.
    pub(super) free_at: i64,
}

/// Keeps them.
pub(super) async fn keep(tx: &mut Tx<'_>, rows: &[DomainAt<'_>]) -> Result<()> {
    tx.batch(SET_DOMAINS, rows).run().await.map(drop)
}

/// An email that would go out now.
pub(super) struct Wanting<'a> {
    pub(super) email: Uuid,
    pub(super) domain: &'a str,
    /// The turn that it was given, which has come.
    pub(super) turn: Option<Timestamp>,
}

/// How things stand with a domain.
struct Standing {
    next: Timestamp,
    free: Timestamp,
    /// How many that are a little late wait until it is free.
    waiting: u32,
}

impl Standing {
    /// When an email has its turn.
    fn turn(&mut self, given: Option<Timestamp>, now: Timestamp, gap: Duration) -> Timestamp {
        let due = match given {
            Some(_) if self.free <= now => now,
            // The one before it was a little late, and so is this one.
            Some(at) if now.since(at) < gap => {
                self.waiting += 1;
                self.free.plus(gap.saturating_mul(self.waiting - 1))
            }
            // Of many that have missed their turns each gets another one, and is not looked at before.
            _ => {
                let (due, after) = slot(self.next, now, gap);
                self.next = after;
                due
            }
        };
        if due <= now {
            self.free = now.plus(gap);
            self.next = self.next.max(self.free);
        }
        due
    }
}

/// When each of these has its turn with its domain, in their order. Turns that are taken are kept.
pub(super) async fn turns(
    tx: &mut Tx<'_>,
    run: RunOf,
    account: &SendingAccount,
    now: Timestamp,
    wanted: Vec<Wanting<'_>>,
) -> Result<BTreeMap<Uuid, Timestamp>> {
    let gap = account.settings.domain_gap;
    if gap.is_zero() || wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (account_id, tenant_id) = (run.account.uuid(), run.tenant.uuid());
    let names: BTreeSet<&str> = wanted.iter().map(|one| one.domain).collect();
    let keys: Vec<_> = names.iter().map(|domain| DomainKey { domain }).collect();
    let known: Vec<DomainRow> = tx.batch(DOMAINS, &keys).bind(tenant_id).bind(account_id).rows().await?;
    let standing = |domain| (domain, Standing { next: now, free: Timestamp::EPOCH, waiting: 0 });
    let mut standings: BTreeMap<&str, Standing> = names.into_iter().map(standing).collect();
    for row in &known {
        if let Some(standing) = standings.get_mut(row.domain.as_str()) {
            (standing.next, standing.free) = (row.next_at.0, row.free_at.0);
        }
    }
    let mut turns = BTreeMap::new();
    for one in &wanted {
        if let Some(standing) = standings.get_mut(one.domain) {
            turns.insert(one.email, standing.turn(one.turn, now, gap));
        }
    }
    let mut rows = Vec::with_capacity(standings.len());
    for (domain, standing) in &standings {
        let (next_at, free_at) = (standing.next.as_millis(), standing.free.as_millis());
        rows.push(DomainAt { account_id, tenant_id, domain, next_at, free_at });
    }
    keep(tx, &rows).await?;
    Ok(turns)
}
