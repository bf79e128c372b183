//! The steps of a campaign and their texts.

use mainstay_domain::{CampaignId, StepVariantId, TenantId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::{At, count};

statements! {
    STEPS = both("
        SELECT step, delay_days, delay_hours FROM campaign_step WHERE campaign_id = $1 AND tenant_id = $2 ORDER BY step LIMIT 100");
    VARIANTS = both("
        SELECT id, step, name, weight FROM step_variant WHERE campaign_id = $1 AND tenant_id = $2 AND retired = 0
        ORDER BY step, name LIMIT 1000");
    TEXTS = both("
        SELECT id, step, name, weight, subject, body, html FROM step_variant
        WHERE campaign_id = $1 AND tenant_id = $2 AND retired = 0 ORDER BY step, name LIMIT 1000");
    TEXT = both("
        SELECT id, step, name, weight, subject, body, html FROM step_variant WHERE id = $1 AND tenant_id = $2");
    FORGET_STEPS = both("DELETE FROM campaign_step WHERE campaign_id = $1 AND tenant_id = $2");
    ADD_STEPS = insert((step: bigint, delay_days: bigint, delay_hours: bigint) "
        campaign_step (campaign_id, tenant_id, step, delay_days, delay_hours)
        SELECT $2, $3, step, delay_days, delay_hours FROM batch WHERE true ORDER BY step");
    RETIRE = both("
        UPDATE step_variant SET retired = 1 WHERE campaign_id = $1 AND tenant_id = $2 AND retired = 0");
    ADD_VARIANTS = insert((id: uuid, step: bigint, name: text, weight: bigint, subject: text, body: text, html: text) "
        step_variant (id, tenant_id, campaign_id, step, name, weight, subject, body, html, retired, created_at)
        SELECT id, $3, $2, step, name, weight, subject, body, html, 0, $4 FROM batch WHERE true ORDER BY id
        ON CONFLICT (id, tenant_id) DO UPDATE SET retired = 0, weight = excluded.weight");
}

/// A step of a campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CampaignStep {
    /// Which, from 1.
    pub step: u32,
    /// So many calendar days after the one before it, at the same hour.
    pub delay_days: u32,
    /// And so many hours.
    pub delay_hours: u32,
    /// The texts that it may have.
    pub variants: Vec<VariantShare>,
}

/// One of the texts of a step, without the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariantShare {
    /// Its id.
    pub id: StepVariantId,
    /// What it is called within the step.
    pub name: String,
    /// Its share.
    pub weight: u32,
}

/// One of the texts of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepVariant {
    /// Its id. The text behind an id never changes.
    pub id: StepVariantId,
    /// The step.
    pub step: u32,
    /// What it is called within the step.
    pub name: String,
    /// Its share.
    pub weight: u32,
    /// The template of the subject.
    pub subject: String,
    /// The template of the plain text.
    pub body: String,
    /// The template of the HTML.
    pub html: Option<String>,
}

#[derive(sqlx::FromRow)]
struct StepRow {
    step: i64,
    delay_days: i64,
    delay_hours: i64,
}

#[derive(sqlx::FromRow)]
struct ShareRow {
    id: Uuid,
    step: i64,
    name: String,
    weight: i64,
}

#[derive(sqlx::FromRow)]
struct VariantRow {
    id: Uuid,
    step: i64,
    name: String,
    weight: i64,
    subject: String,
    body: String,
    html: Option<String>,
}

impl From<VariantRow> for StepVariant {
    fn from(row: VariantRow) -> Self {
        Self {
            id: StepVariantId(row.id),
            step: count(row.step),
            name: row.name,
            weight: count(row.weight),
            subject: row.subject,
            body: row.body,
            html: row.html,
        }
    }
}

/// The steps of a campaign, with the shares of their texts.
pub(super) async fn steps_of(tx: &mut Tx<'_>, tenant: TenantId, campaign: CampaignId) -> Result<Vec<CampaignStep>> {
    let (id, tenant) = (campaign.uuid(), tenant.uuid());
    let steps: Vec<StepRow> = tx.query(STEPS).bind(id).bind(tenant).rows().await?;
    let shares: Vec<ShareRow> = tx.query(VARIANTS).bind(id).bind(tenant).rows().await?;
    let of = |step: i64| {
        let mine = shares.iter().filter(move |share| share.step == step);
        mine.map(|row| VariantShare { id: StepVariantId(row.id), name: row.name.clone(), weight: count(row.weight) })
    };
    let step = |row: &StepRow| CampaignStep {
        step: count(row.step),
        delay_days: count(row.delay_days),
        delay_hours: count(row.delay_hours),
        variants: of(row.step).collect(),
    };
    Ok(steps.iter().map(step).collect())
}

/// Writes the steps of a campaign in place of those before. A text that stays keeps its id; one that is written anew has
/// another, and what was sent with the old one stays as it was.
#[derive(Clone, Debug)]
pub struct PutSteps {
    /// The organisation.
    pub tenant: TenantId,
    /// The campaign.
    pub campaign: CampaignId,
    /// The steps, from 1 without a gap: days and hours after the one before.
    pub delays: Vec<(u32, u32)>,
    /// The texts of all of them.
    pub variants: Vec<StepVariant>,
    /// The present moment.
    pub now: Timestamp,
}

#[derive(Serialize)]
struct NewStep {
    step: usize,
    delay_days: u32,
    delay_hours: u32,
}

#[derive(Serialize)]
struct NewVariant<'a> {
    id: Uuid,
    step: u32,
    name: &'a str,
    weight: u32,
    subject: &'a str,
    body: &'a str,
    html: Option<&'a str>,
}

impl Intent for PutSteps {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let (campaign, tenant) = (self.campaign.uuid(), self.tenant.uuid());
        tx.query(FORGET_STEPS).bind(campaign).bind(tenant).run().await?;
        let steps = self.delays.iter().enumerate();
        let steps = steps.map(|(n, (days, hours))| NewStep { step: n + 1, delay_days: *days, delay_hours: *hours });
        tx.batch(ADD_STEPS, &steps.collect::<Vec<_>>()).bind(campaign).bind(tenant).run().await?;
        tx.query(RETIRE).bind(campaign).bind(tenant).run().await?;
        let variants = self.variants.iter().map(|variant| NewVariant {
            id: variant.id.uuid(),
            step: variant.step,
            name: &variant.name,
            weight: variant.weight,
            subject: &variant.subject,
            body: &variant.body,
            html: variant.html.as_deref(),
        });
        let variants: Vec<_> = variants.collect();
        tx.batch(ADD_VARIANTS, &variants).bind(campaign).bind(tenant).bind(At(self.now)).run().await?;
        super::waking::wake(tx, self.tenant, self.campaign, self.now).await
    }
}

/// Reads the steps of a campaign with their texts.
#[derive(Clone, Copy, Debug)]
pub struct ReadSteps {
    /// The organisation.
    pub tenant: TenantId,
    /// The campaign.
    pub campaign: CampaignId,
}

impl Intent for ReadSteps {
    type Output = (Vec<CampaignStep>, Vec<StepVariant>);
    const WRITES: bool = false;
    const SNAPSHOT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let steps = steps_of(tx, self.tenant, self.campaign).await?;
        let texts = tx.query(TEXTS).bind(self.campaign.uuid()).bind(self.tenant.uuid());
        let texts: Vec<VariantRow> = texts.rows().await?;
        Ok((steps, texts.into_iter().map(StepVariant::from).collect()))
    }
}

/// Reads one text. It never changes.
#[derive(Clone, Copy, Debug)]
pub struct ReadVariant {
    /// The organisation.
    pub tenant: TenantId,
    /// Which.
    pub id: StepVariantId,
}

impl Intent for ReadVariant {
    type Output = Option<StepVariant>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let row: Option<VariantRow> = tx.query(TEXT).bind(self.id.uuid()).bind(self.tenant.uuid()).row().await?;
        Ok(row.map(StepVariant::from))
    }
}
