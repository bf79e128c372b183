//! The list of those whom nobody of the organisation writes to: by hand, and as it is read.

use std::collections::{BTreeMap, BTreeSet};

use mainstay_domain::{EmailId, StopReason, SuppressionReason, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::figures::Tally;
use super::stopping::{self, AddressKey, LeadRow, SuppressRow, end_leads};
use crate::error::Result;
use crate::intent::Intent;
use crate::members::word;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    ALLOW = both("DELETE FROM suppression WHERE subject IN ($1, $3) AND tenant_id = $2");
    LIST = both("
        SELECT subject, reason, email_id, created_at FROM suppression
        WHERE tenant_id = $1 AND (created_at, subject) < ($2, $3) AND subject NOT LIKE 'erased1:%' ORDER BY created_at DESC, subject DESC LIMIT $4");
    FIND = both("
        SELECT subject, reason, email_id, created_at FROM suppression WHERE subject = $1 AND tenant_id = $2");
    OF_DOMAIN = locking((domain: text, tenant_id: uuid) "
        SELECT l.id, l.tenant_id, l.campaign_id, l.state FROM batch b
        JOIN lead l ON l.tenant_id = b.tenant_id AND l.domain = b.domain
        WHERE l.state IN ('new', 'active') ORDER BY l.id LIMIT 1000", "FOR NO KEY UPDATE OF l");
}

#[derive(Serialize)]
struct DomainKey<'a> {
    domain: &'a str,
    tenant_id: Uuid,
}

/// An entry of the list of those whom nobody of the organisation writes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppression {
    /// An address, or a whole domain as `@example.com`.
    pub subject: String,
    /// Why.
    pub reason: SuppressionReason,
    /// The email that it came of.
    pub email: Option<EmailId>,
    /// Since when.
    pub created_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct SuppressionRow {
    subject: String,
    reason: String,
    email_id: Option<Uuid>,
    created_at: At,
}

impl TryFrom<SuppressionRow> for Suppression {
    type Error = crate::error::Error;

    fn try_from(row: SuppressionRow) -> Result<Self> {
        Ok(Self {
            subject: row.subject,
            reason: word(&row.reason)?,
            email: row.email_id.map(EmailId),
            created_at: row.created_at.0,
        })
    }
}

/// Puts addresses and domains (`@example.com`) on the list by hand, at most 100. What is queued for them is cancelled: of a
/// domain a thousand leads at once, and the others when their turn comes. The answer is how many are new.
#[derive(Clone, Debug)]
pub struct Suppress {
    /// The organisation.
    pub tenant: TenantId,
    /// What, in lower case.
    pub subjects: BTreeSet<String>,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for Suppress {
    type Output = usize;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<usize> {
        let tenant_id = self.tenant.uuid();
        let rows: Vec<_> = self
            .subjects
            .iter()
            .map(|subject| SuppressRow {
                subject,
                tenant_id,
                reason: SuppressionReason::Manual.as_str(),
                email_id: Uuid::nil(),
                at: self.now.as_millis(),
            })
            .collect();
        let new = stopping::suppress(tx, &rows).await?;
        let addresses = self.subjects.iter().filter(|subject| !subject.starts_with('@'));
        let keys: Vec<_> = addresses.map(|address| AddressKey { address, tenant_id }).collect();
        let mut leads = stopping::leads_of(tx, &keys).await?;
        let domains = self.subjects.iter().filter_map(|subject| subject.strip_prefix('@'));
        let domains: Vec<_> = domains.map(|domain| DomainKey { domain, tenant_id }).collect();
        if !domains.is_empty() {
            leads.extend(tx.batch(OF_DOMAIN, &domains).rows::<LeadRow>().await?);
        }
        let leads: BTreeMap<Uuid, LeadRow> = leads.into_iter().map(|lead| (lead.id, lead)).collect();
        let leads: Vec<_> = leads.into_values().map(|lead| (lead, StopReason::Stopped)).collect();
        let mut tally = Tally::default();
        end_leads(tx, &leads, &mut tally, self.now).await?;
        tally.write(tx).await?;
        Ok(new)
    }
}

/// Takes an address or a domain off the list. Leads that were stopped stay so. False when it is not there.
#[derive(Clone, Debug)]
pub struct Allow {
    /// The organisation.
    pub tenant: TenantId,
    /// What.
    pub subject: String,
    /// What is kept of it when somebody was erased.
    pub digest: String,
}

impl Intent for Allow {
    type Output = bool;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let allow = tx.query(ALLOW).bind(self.subject.clone()).bind(self.tenant.uuid());
        Ok(allow.bind(self.digest.clone()).run().await? > 0)
    }
}

/// Lists whom nobody of the organisation writes to, the newest first; or one of them.
#[derive(Clone, Debug)]
pub struct ListSuppressions {
    /// The organisation.
    pub tenant: TenantId,
    /// Only this one.
    pub subject: Option<String>,
    /// Those before this one.
    pub before: Option<(Timestamp, String)>,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListSuppressions {
    type Output = Vec<Suppression>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let rows: Vec<SuppressionRow> = match &self.subject {
            Some(subject) => tx.query(FIND).bind(subject.clone()).bind(self.tenant.uuid()).rows().await?,
            None => {
                let (at, subject) = self.before.clone().unwrap_or((crate::value::END_OF_TIME, "\u{10FFFF}".to_owned()));
                let list = tx.query(LIST).bind(self.tenant.uuid()).bind(At(at)).bind(subject);
                list.bind(i64::from(self.limit)).rows().await?
            }
        };
        rows.into_iter().map(Suppression::try_from).collect()
    }
}
