//! Turns with a domain: an account writes to one domain no more often than it may. Whoever has to wait is given the moment of
//! their turn, once.

use std::collections::{BTreeMap, BTreeSet};

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
        SELECT d.domain, d.next_at FROM batch b JOIN account_domain d ON d.account_id = $3 AND d.domain = b.domain AND d.tenant_id = $2");
    SET_DOMAINS = insert((domain: text, next_at: time) "
        account_domain (account_id, tenant_id, domain, next_at) SELECT $3, $2, domain, next_at FROM batch WHERE true ORDER BY domain
        ON CONFLICT (account_id, domain, tenant_id) DO UPDATE SET next_at = excluded.next_at");
}

#[derive(Serialize)]
struct DomainKey<'a> {
    domain: &'a str,
}

#[derive(sqlx::FromRow)]
struct DomainRow {
    domain: String,
    next_at: At,
}

#[derive(Serialize)]
struct DomainAt<'a> {
    domain: &'a str,
    next_at: i64,
}

/// When each of these has its turn with its domain. Turns that are taken are kept.
pub(super) async fn turns(
    tx: &mut Tx<'_>,
    run: RunOf,
    account: &SendingAccount,
    now: Timestamp,
    wanted: Vec<(Uuid, &str)>,
) -> Result<BTreeMap<Uuid, Timestamp>> {
    let gap = account.settings.domain_gap;
    if gap.is_zero() || wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (id, tenant) = (run.account.uuid(), run.tenant.uuid());
    let names: BTreeSet<&str> = wanted.iter().map(|(_, domain)| *domain).collect();
    let keys: Vec<_> = names.iter().map(|domain| DomainKey { domain }).collect();
    let known: Vec<DomainRow> = tx.batch(DOMAINS, &keys).bind(tenant).bind(id).rows().await?;
    let mut next: BTreeMap<&str, Timestamp> = names.into_iter().map(|domain| (domain, now)).collect();
    for row in &known {
        if let Some(at) = next.get_mut(row.domain.as_str()) {
            *at = row.next_at.0;
        }
    }
    let mut turns = BTreeMap::new();
    for (email, domain) in &wanted {
        if let Some(at) = next.get_mut(domain) {
            let (due, after) = slot(*at, now, gap);
            turns.insert(*email, due);
            *at = after;
        }
    }
    let rows: Vec<_> = next.iter().map(|(domain, at)| DomainAt { domain, next_at: at.as_millis() }).collect();
    tx.batch(SET_DOMAINS, &rows).bind(tenant).bind(id).run().await?;
    Ok(turns)
}
