//! What readers and machines do with emails, and what campaigns are for.
//!
//! A lead's row is locked before its emails are looked at, as wherever leads are stopped: so two that come at once are
//! counted one after the other, and a lead is converted once.

use std::time::Duration;

use mainstay_domain::outreach::{Asked, EmailHits, HitMarks, HitRow, Noted, Visitor};
use mainstay_domain::{CampaignId, EmailId, EmailState, LeadId, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::events::{Subject, Told};
use super::figures::{Became, Kind, Of, Tally};
use super::stopping::mark;
use crate::error::Result;
use crate::intent::Intent;
use crate::members::word;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, Id, count, moment, small};

statements! {
    LEAD_OF = both("SELECT lead_id AS id FROM email WHERE id = $1 AND tenant_id = $2");
    LEAD_AT = both("SELECT id FROM lead WHERE tenant_id = $1 AND campaign_id = $2 AND address = $3");
    LOCK_LEAD = pair(sqlite "SELECT campaign_id AS id FROM lead WHERE id = $1 AND tenant_id = $2",
        postgres "SELECT campaign_id AS id FROM lead WHERE id = $1 AND tenant_id = $2 FOR NO KEY UPDATE",
        differs "SQLite has one writer and no row locks");
    EMAIL = both("
        SELECT e.tenant_id, e.campaign_id, e.step, e.variant_id, e.account_id, e.day, e.address, e.state, e.accepted_at, e.opened_at,
          e.machine_opened_at, e.clicked_at, e.machine_clicked_at, c.goal_url
        FROM email e JOIN campaign c ON c.id = e.campaign_id AND c.tenant_id = e.tenant_id
        WHERE e.id = $1 AND e.tenant_id = $2");
    HITS = both("
        SELECT link, visitor, reason, hits, first_at, last_at FROM email_hit WHERE email_id = $1 AND tenant_id = $2
        ORDER BY link, visitor LIMIT 1000");
    PUT = insert((link: bigint, visitor: text, reason: text, hits: bigint, first_at: time, last_at: time) "
        email_hit (email_id, tenant_id, link, visitor, reason, hits, first_at, last_at)
        SELECT $2, $3, link, visitor, nullif(reason, ''), hits, first_at, last_at FROM batch WHERE true ORDER BY link, visitor
        ON CONFLICT (email_id, link, visitor, tenant_id) DO UPDATE SET reason = excluded.reason, hits = excluded.hits,
          first_at = excluded.first_at, last_at = excluded.last_at");
    REMOVE = batch((link: bigint, visitor: text) "
        DELETE FROM email_hit WHERE email_id = $2 AND tenant_id = $3
          AND (link, visitor) IN (SELECT link, visitor FROM batch)");
    MARK = both("
        UPDATE email SET opened_at = $3, machine_opened_at = $4, clicked_at = $5, machine_clicked_at = $6, updated_at = $7
        WHERE id = $1 AND tenant_id = $2");
    /// The emails of a lead that were sent, the last one first.
    SENT = both("
        SELECT id, converted_at AS at FROM email WHERE tenant_id = $1 AND campaign_id = $2 AND lead_id = $3
          AND (state IN ('accepted', 'unknown', 'in_flight') OR converted_at IS NOT NULL) ORDER BY step DESC LIMIT 100");
}

/// Notes that the image or a link of an email was asked for. Nothing when there is no such email.
#[derive(Clone, Debug)]
pub struct NoteHit {
    /// The organisation.
    pub tenant: TenantId,
    /// The email.
    pub email: EmailId,
    /// What was asked for.
    pub asked: Asked,
    /// Where it leads, for a link.
    pub url: Option<String>,
}

/// What a request for the image or a link of an email was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotedHit {
    /// Whose it is.
    pub visitor: Visitor,
    /// Whether it is the first of its kind that somebody did with the email.
    pub first: bool,
    /// Whether the lead did what the campaign is for, for the first time.
    pub converted: bool,
    /// Where the email is in its life: it was sent, whatever is known of it.
    pub state: EmailState,
}

#[derive(sqlx::FromRow)]
struct EmailRow {
    #[sqlx(flatten)]
    of: Of,
    address: String,
    state: String,
    accepted_at: Option<At>,
    opened_at: Option<At>,
    machine_opened_at: Option<At>,
    clicked_at: Option<At>,
    machine_clicked_at: Option<At>,
    goal_url: Option<String>,
}

#[derive(sqlx::FromRow)]
struct KeptRow {
    link: i64,
    visitor: String,
    reason: Option<String>,
    hits: i64,
    first_at: At,
    last_at: At,
}

#[derive(Serialize)]
struct PutRow {
    link: i64,
    visitor: &'static str,
    reason: &'static str,
    hits: i64,
    first_at: i64,
    last_at: i64,
}

#[derive(Serialize)]
struct KeyRow {
    link: i64,
    visitor: &'static str,
}

#[derive(sqlx::FromRow)]
struct SentRow {
    id: Uuid,
    at: Option<At>,
}

impl KeptRow {
    fn read(self) -> Result<HitRow> {
        Ok(HitRow {
            link: small(self.link),
            visitor: word(&self.visitor)?,
            reason: self.reason.as_deref().map(word).transpose()?,
            hits: count(self.hits),
            first_at: self.first_at.0,
            last_at: self.last_at.0,
        })
    }
}

impl From<&HitRow> for PutRow {
    fn from(row: &HitRow) -> Self {
        Self {
            link: i64::from(row.link),
            visitor: row.visitor.as_str(),
            reason: row.reason.map_or("", |reason| reason.as_str()),
            hits: i64::from(row.hits),
            first_at: row.first_at.as_millis(),
            last_at: row.last_at.as_millis(),
        }
    }
}

impl EmailRow {
    fn marks(&self) -> HitMarks {
        HitMarks {
            opened_at: moment(self.opened_at),
            machine_opened_at: moment(self.machine_opened_at),
            clicked_at: moment(self.clicked_at),
            machine_clicked_at: moment(self.machine_clicked_at),
        }
    }

    /// How long ago a server took it. Nobody reads what is still on its way.
    fn after_delivery(&self, state: EmailState, at: Timestamp) -> Option<Duration> {
        match state {
            EmailState::InFlight => Some(Duration::ZERO),
            _ => moment(self.accepted_at).map(|accepted| at.since(accepted)),
        }
    }
}

impl Intent for NoteHit {
    type Output = Option<NotedHit>;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let (email, tenant) = (self.email.uuid(), self.tenant.uuid());
        let lead: Option<Id> = tx.query(LEAD_OF).bind(email).bind(tenant).row().await?;
        let Some(lead) = lead else { return Ok(None) };
        let locked: Option<Id> = tx.query(LOCK_LEAD).bind(lead.id).bind(tenant).row().await?;
        let row: Option<EmailRow> = tx.query(EMAIL).bind(email).bind(tenant).row().await?;
        let Some(row) = locked.and(row) else { return Ok(None) };
        let state: EmailState = word(&row.state)?;
        let kept: Vec<KeptRow> = tx.query(HITS).bind(email).bind(tenant).rows().await?;
        let mut hits = kept.into_iter().map(KeptRow::read).collect::<Result<EmailHits>>()?;
        let noted = hits.note(&self.asked, row.after_delivery(state, self.asked.at));
        self.keep(tx, &noted).await?;
        let (before, after, mut tally) = (row.marks(), hits.marks(), Tally::default());
        let subject = Subject { of: row.of, email, lead: lead.id, address: row.address };
        self.mark(tx, &subject, (before, after), &mut tally).await?;
        let human = noted.visitor == Visitor::Human;
        let is_goal =
            human && self.url.as_deref().zip(row.goal_url.as_deref()).is_some_and(|(url, goal)| leads_to(url, goal));
        let converted = is_goal && {
            let of = (self.tenant, CampaignId(row.of.campaign_id), LeadId(lead.id));
            convert(tx, of, Some(self.email), (&mut tally, self.asked.at)).await? == Conversion::First
        };
        tally.write(tx).await?;
        let first = before.opened_at.is_none() && after.opened_at.is_some()
            || before.clicked_at.is_none() && after.clicked_at.is_some();
        Ok(Some(NotedHit { visitor: noted.visitor, first: human && first, converted, state }))
    }
}

impl NoteHit {
    async fn keep(&self, tx: &mut Tx<'_>, noted: &Noted) -> Result<()> {
        let (email, tenant) = (self.email.uuid(), self.tenant.uuid());
        let put: Vec<PutRow> = noted.put.iter().map(PutRow::from).collect();
        tx.batch(PUT, &put).bind(email).bind(tenant).run().await?;
        if !noted.removed.is_empty() {
            let key = |(link, visitor): &(u16, mainstay_domain::outreach::VisitorKind)| KeyRow {
                link: i64::from(*link),
                visitor: visitor.as_str(),
            };
            let keys: Vec<KeyRow> = noted.removed.iter().map(key).collect();
            tx.batch(REMOVE, &keys).bind(email).bind(tenant).run().await?;
        }
        Ok(())
    }

    /// What is told of the email is what follows from its rows.
    async fn mark(
        &self,
        tx: &mut Tx<'_>,
        subject: &Subject,
        (before, after): (HitMarks, HitMarks),
        tally: &mut Tally,
    ) -> Result<()> {
        if before == after {
            return Ok(());
        }
        let mark = tx.query(MARK).bind(self.email.uuid()).bind(self.tenant.uuid());
        let mark = mark.bind(after.opened_at.map(At)).bind(after.machine_opened_at.map(At));
        let mark = mark.bind(after.clicked_at.map(At)).bind(after.machine_clicked_at.map(At));
        mark.bind(At(self.asked.at)).run().await?;
        let kinds = [
            (Became::Opened, before.opened_at, after.opened_at),
            (Became::MachineOpened, before.machine_opened_at, after.machine_opened_at),
            (Became::Clicked, before.clicked_at, after.clicked_at),
            (Became::MachineClicked, before.machine_clicked_at, after.machine_clicked_at),
        ];
        for (became, before, after) in kinds {
            tally.add(subject.of, Kind::Became(became), i64::from(after.is_some()) - i64::from(before.is_some()));
            if before.is_none() && after.is_some() {
                tally.tell(subject.clone(), Told::Became(became), self.asked.at);
            }
        }
        Ok(())
    }
}

/// Whether a link leads to what a campaign is for: there, or below it.
fn leads_to(url: &str, goal: &str) -> bool {
    url.strip_prefix(goal)
        .is_some_and(|rest| rest.is_empty() || goal.ends_with('/') || rest.starts_with(['/', '?', '#']))
}

/// What became of saying that a lead did what its campaign is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// It is noted, at the email that led to it.
    First,
    /// It was noted before: a lead counts once.
    Again,
    /// Nothing was sent to the lead that could have led to it.
    NothingSent,
}

/// Notes that a lead did what its campaign is for. Its row is locked. It counts for the email that led to it: the last one
/// that was sent, where none is named.
async fn convert(
    tx: &mut Tx<'_>,
    (tenant, campaign, lead): (TenantId, CampaignId, LeadId),
    email: Option<EmailId>,
    (tally, at): (&mut Tally, Timestamp),
) -> Result<Conversion> {
    let sent = tx.query(SENT).bind(tenant.uuid()).bind(campaign.uuid()).bind(lead.uuid());
    let sent: Vec<SentRow> = sent.rows().await?;
    if sent.iter().any(|row| row.at.is_some()) {
        return Ok(Conversion::Again);
    }
    let Some(email) = email.or_else(|| sent.first().map(|row| EmailId(row.id))) else {
        return Ok(Conversion::NothingSent);
    };
    mark(tx, (tenant, email), Became::Converted, tally, at).await?;
    Ok(Conversion::First)
}

/// Notes that a lead did what its campaign is for. Nothing when there is no such lead.
#[derive(Clone, Debug)]
pub struct ConvertLead {
    /// The organisation.
    pub tenant: TenantId,
    /// The campaign.
    pub campaign: CampaignId,
    /// The address of the lead, as it identifies it.
    pub address: String,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for ConvertLead {
    type Output = Option<Conversion>;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let tenant = self.tenant.uuid();
        let lead = tx.query(LEAD_AT).bind(tenant).bind(self.campaign.uuid()).bind(self.address.clone());
        let lead: Option<Id> = lead.row().await?;
        let Some(lead) = lead else { return Ok(None) };
        let locked: Option<Id> = tx.query(LOCK_LEAD).bind(lead.id).bind(tenant).row().await?;
        if locked.is_none() {
            return Ok(None);
        }
        let mut tally = Tally::default();
        let of = (self.tenant, self.campaign, LeadId(lead.id));
        let conversion = convert(tx, of, None, (&mut tally, self.now)).await?;
        tally.write(tx).await?;
        Ok(Some(conversion))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_reached_there_or_below() {
        for url in [
            "https://a.example/buy",
            "https://a.example/buy/now",
            "https://a.example/buy?x=1",
            "https://a.example/buy#x",
        ] {
            assert!(leads_to(url, "https://a.example/buy"), "{url}");
        }
        for url in ["https://a.example/buyer", "https://a.example/", "https://b.example/buy"] {
            assert!(!leads_to(url, "https://a.example/buy"), "{url}");
        }
        assert!(leads_to("https://a.example/b", "https://a.example/"));
    }
}
