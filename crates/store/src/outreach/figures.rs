//! How many rows there are of each kind. A figure changes in the transaction that changes the row, so that it always equals
//! what it counts; a test counts the rows and compares.

use std::collections::BTreeMap;

use mainstay_domain::{CampaignId, EmailState, LeadState, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::events::{Subject, Told, tell};
use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::Id;

statements! {
    ADD = insert((campaign_id: uuid, tenant_id: uuid, step: bigint, variant_id: uuid, account_id: uuid, day: bigint, kind: text,
        number: bigint) "
        outreach_figure (campaign_id, tenant_id, step, variant_id, account_id, day, kind, number)
        SELECT campaign_id, tenant_id, step, variant_id, account_id, day, kind, number FROM batch WHERE true
        ORDER BY campaign_id, step, variant_id, account_id, day, kind, tenant_id
        ON CONFLICT (campaign_id, step, variant_id, account_id, day, kind, tenant_id) DO UPDATE
          SET number = outreach_figure.number + excluded.number");
    READ = both("
        SELECT step, variant_id, account_id, day, kind, number FROM outreach_figure
        WHERE campaign_id = $1 AND tenant_id = $2 AND number <> 0
        ORDER BY step, variant_id, account_id, day, kind LIMIT 100000");
    SUMS = batch((id: uuid) "
        SELECT b.id AS campaign_id, f.kind, cast(sum(f.number) AS bigint) AS number FROM batch b
        JOIN outreach_figure f ON f.campaign_id = b.id AND f.tenant_id = $2 GROUP BY b.id, f.kind
        HAVING sum(f.number) <> 0");
    /// The rows themselves.
    COUNT = both("
        SELECT step, variant_id, account_id, day, kind, cast(count(*) AS bigint) AS number FROM (
          SELECT step, variant_id, account_id, CASE WHEN state IN ('accepted', 'rejected', 'unknown') THEN day ELSE 0 END AS day,
            CASE WHEN state IN ('scheduled', 'claimed', 'in_flight') THEN 'queued' ELSE state END AS kind
          FROM email WHERE tenant_id = $2 AND campaign_id = $1
          UNION ALL SELECT step, variant_id, account_id, day, 'opened' FROM email
            WHERE tenant_id = $2 AND campaign_id = $1 AND opened_at IS NOT NULL
          UNION ALL SELECT step, variant_id, account_id, day, 'machine_opened' FROM email
            WHERE tenant_id = $2 AND campaign_id = $1 AND machine_opened_at IS NOT NULL
          UNION ALL SELECT step, variant_id, account_id, day, 'clicked' FROM email
            WHERE tenant_id = $2 AND campaign_id = $1 AND clicked_at IS NOT NULL
          UNION ALL SELECT step, variant_id, account_id, day, 'machine_clicked' FROM email
            WHERE tenant_id = $2 AND campaign_id = $1 AND machine_clicked_at IS NOT NULL
          UNION ALL SELECT step, variant_id, account_id, day, 'replied' FROM email
            WHERE tenant_id = $2 AND campaign_id = $1 AND replied_at IS NOT NULL
          UNION ALL SELECT step, variant_id, account_id, day, 'bounced' FROM email
            WHERE tenant_id = $2 AND campaign_id = $1 AND bounced_at IS NOT NULL
          UNION ALL SELECT step, variant_id, account_id, day, 'complained' FROM email
            WHERE tenant_id = $2 AND campaign_id = $1 AND complained_at IS NOT NULL
          UNION ALL SELECT step, variant_id, account_id, day, 'unsubscribed' FROM email
            WHERE tenant_id = $2 AND campaign_id = $1 AND unsubscribed_at IS NOT NULL
          UNION ALL SELECT step, variant_id, account_id, day, 'converted' FROM email
            WHERE tenant_id = $2 AND campaign_id = $1 AND converted_at IS NOT NULL
          UNION ALL SELECT cast(0 AS bigint), $3, $3, cast(0 AS bigint), 'lead_' || state FROM lead
            WHERE tenant_id = $2 AND campaign_id = $1) walked
        GROUP BY step, variant_id, account_id, day, kind ORDER BY step, variant_id, account_id, day, kind");
}

/// What a figure counts. Words of [`EmailState`] and [`LeadState`] where a row is in a state; else what became of an email.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// Emails that are to be sent, or are being sent.
    Queued,
    /// Emails in one of the states in which they stay.
    Email(EmailState),
    /// Leads in a state.
    Lead(LeadState),
    /// Emails that something became of.
    Became(Became),
}

/// What became of an email after it was taken by a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Became {
    /// Somebody opened it.
    Opened,
    /// A machine did.
    MachineOpened,
    /// Somebody followed one of its links.
    Clicked,
    /// A machine did.
    MachineClicked,
    /// It was answered.
    Replied,
    /// It came back.
    Bounced,
    /// It was called junk.
    Complained,
    /// By it, somebody said that they want no more.
    Unsubscribed,
    /// It led to what the campaign is for.
    Converted,
}

impl Became {
    /// The word for it in the database and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::MachineOpened => "machine_opened",
            Self::Clicked => "clicked",
            Self::MachineClicked => "machine_clicked",
            Self::Replied => "replied",
            Self::Bounced => "bounced",
            Self::Complained => "complained",
            Self::Unsubscribed => "unsubscribed",
            Self::Converted => "converted",
        }
    }
}

impl Kind {
    /// Of an email in a state.
    pub(crate) const fn of(state: EmailState) -> Self {
        match state {
            EmailState::Scheduled | EmailState::Claimed | EmailState::InFlight => Self::Queued,
            state => Self::Email(state),
        }
    }

    /// Whether it is counted by the day on which an email went out.
    const fn has_day(self) -> bool {
        matches!(self, Self::Email(EmailState::Accepted | EmailState::Rejected | EmailState::Unknown) | Self::Became(_))
    }

    fn word(self) -> String {
        match self {
            Self::Queued => "queued".to_owned(),
            Self::Email(state) => state.as_str().to_owned(),
            Self::Lead(state) => format!("lead_{state}"),
            Self::Became(became) => became.as_str().to_owned(),
        }
    }
}

/// What the emails of a figure have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, sqlx::FromRow)]
pub(crate) struct Of {
    pub(crate) tenant_id: Uuid,
    pub(crate) campaign_id: Uuid,
    pub(crate) step: i64,
    pub(crate) variant_id: Uuid,
    pub(crate) account_id: Uuid,
    pub(crate) day: i64,
}

/// Changes of figures, gathered until all of a transaction are known: each figure is then changed once, and transactions
/// that change the same ones wait for each other in one order. With them goes what endpoints are told.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    figures: BTreeMap<(Of, Kind), i64>,
    told: Vec<(Subject, Told, Timestamp)>,
}

#[derive(Serialize)]
struct AddRow {
    campaign_id: Uuid,
    tenant_id: Uuid,
    step: i64,
    variant_id: Uuid,
    account_id: Uuid,
    day: i64,
    kind: String,
    number: i64,
}

impl Tally {
    /// So many more of a kind.
    pub(crate) fn add(&mut self, of: Of, kind: Kind, number: i64) {
        let of = if kind.has_day() { of } else { Of { day: 0, ..of } };
        *self.figures.entry((of, kind)).or_default() += number;
    }

    /// Endpoints that want to know are told what became of an email.
    pub(crate) fn tell(&mut self, subject: Subject, told: Told, at: Timestamp) {
        self.told.push((subject, told, at));
    }

    /// An email has gone from one state to another.
    pub(crate) fn moved(&mut self, of: Of, from: EmailState, to: EmailState) {
        self.add(of, Kind::of(from), -1);
        self.add(of, Kind::of(to), 1);
    }

    /// So many leads more of a state.
    pub(crate) fn leads(&mut self, tenant_id: Uuid, campaign_id: Uuid, state: LeadState, number: i64) {
        let nil = Uuid::nil();
        let of = Of { tenant_id, campaign_id, step: 0, variant_id: nil, account_id: nil, day: 0 };
        self.add(of, Kind::Lead(state), number);
    }

    /// Writes them. Late in the transaction: from here on it holds rows that others want.
    pub(crate) async fn write(self, tx: &mut Tx<'_>) -> Result<()> {
        let changed = self.figures.into_iter().filter(|(_, number)| *number != 0);
        let rows: Vec<AddRow> = changed
            .map(|((of, kind), number)| AddRow {
                campaign_id: of.campaign_id,
                tenant_id: of.tenant_id,
                step: of.step,
                variant_id: of.variant_id,
                account_id: of.account_id,
                day: of.day,
                kind: kind.word(),
                number,
            })
            .collect();
        if !rows.is_empty() {
            tx.batch(ADD, &rows).run().await?;
        }
        tell(tx, &self.told).await
    }
}

/// A figure of a campaign.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, sqlx::FromRow)]
pub struct OutreachFigure {
    /// The step; 0 for leads.
    pub step: i64,
    /// The text; the nil UUID for leads.
    pub variant_id: Uuid,
    /// The account; the nil UUID for leads.
    pub account_id: Uuid,
    /// The day, since 1970, on which the emails last went out; 0 for what did not, and for leads.
    pub day: i64,
    /// What is counted: `queued`, `accepted`, `rejected`, `unknown`, `cancelled`, `opened`, `machine_opened`, `clicked`,
    /// `machine_clicked`, `replied`, `bounced`, `complained`, `unsubscribed`, `converted`, or `lead_` and a state.
    pub kind: String,
    /// How many there are.
    pub number: i64,
}

impl OutreachFigure {
    /// The day (UTC) as a date of ISO 8601; nothing for what has none.
    #[must_use]
    pub fn date(&self) -> Option<String> {
        let midnight = Timestamp::from_millis(self.day.saturating_mul(86_400_000));
        (self.day > 0).then(|| midnight.to_string().chars().take(10).collect())
    }
}

/// Reads the figures of a campaign, at most 100,000: a number for each kind, day, account, text and step.
#[derive(Clone, Copy, Debug)]
pub struct ReadFigures {
    /// The organisation.
    pub tenant: TenantId,
    /// The campaign.
    pub campaign: CampaignId,
}

impl Intent for ReadFigures {
    type Output = Vec<OutreachFigure>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        tx.query(READ).bind(self.campaign.uuid()).bind(self.tenant.uuid()).rows().await
    }
}

/// Counts the rows that the figures of a campaign are about, as [`ReadFigures`] tells them: both must say the same. It reads
/// every row of the campaign.
#[derive(Clone, Copy, Debug)]
pub struct CountFigures {
    /// The organisation.
    pub tenant: TenantId,
    /// The campaign.
    pub campaign: CampaignId,
}

impl Intent for CountFigures {
    type Output = Vec<OutreachFigure>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        tx.query(COUNT).bind(self.campaign.uuid()).bind(self.tenant.uuid()).bind(Uuid::nil()).rows().await
    }
}

#[derive(sqlx::FromRow)]
struct SumRow {
    campaign_id: Uuid,
    kind: String,
    number: i64,
}

/// Adds up the figures of some campaigns, at most 100, each by its kinds.
#[derive(Clone, Debug)]
pub struct SumFigures {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub campaigns: Vec<CampaignId>,
}

impl Intent for SumFigures {
    type Output = BTreeMap<CampaignId, BTreeMap<String, i64>>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let keys: Vec<Id> = self.campaigns.iter().map(|id| Id { id: id.uuid() }).collect();
        let rows: Vec<SumRow> = tx.batch(SUMS, &keys).bind(self.tenant.uuid()).rows().await?;
        let mut sums = Self::Output::new();
        for row in rows {
            sums.entry(CampaignId(row.campaign_id)).or_default().insert(row.kind, row.number);
        }
        Ok(sums)
    }
}
