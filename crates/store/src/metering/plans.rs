//! What plans allow, which plan an organisation has, and the budgets that it sets.

use mainstay_domain::{Allowance, PersonId, Plan, PlanLimits, TenantId, Timestamp};
use uuid::Uuid;

use crate::error::Result;
use crate::intent::Intent;
use crate::members::word;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    LIST = both("
        SELECT name, messages_per_day, messages_per_month, images_per_day, images_per_month, voice_seconds_per_day,
          voice_seconds_per_month, cost_micros_per_month FROM plan ORDER BY name LIMIT 10");
    SET_LIMITS = both("
        UPDATE plan SET messages_per_day = $2, messages_per_month = $3, images_per_day = $4, images_per_month = $5,
          voice_seconds_per_day = $6, voice_seconds_per_month = $7, cost_micros_per_month = $8 WHERE name = $1");
    SET_BUDGET = both("
        INSERT INTO budget (tenant_id, subject_id, cost_micros, set_by, set_at) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (tenant_id, subject_id) DO UPDATE
          SET cost_micros = excluded.cost_micros, set_by = excluded.set_by, set_at = excluded.set_at");
    REMOVE_BUDGET = both("DELETE FROM budget WHERE tenant_id = $1 AND subject_id = $2");
    IS_MEMBER = both("SELECT person_id FROM membership WHERE tenant_id = $1 AND person_id = $2");
}

/// A row of `plan`.
#[derive(sqlx::FromRow)]
struct PlanRow {
    name: String,
    messages_per_day: Option<i64>,
    messages_per_month: Option<i64>,
    images_per_day: Option<i64>,
    images_per_month: Option<i64>,
    voice_seconds_per_day: Option<i64>,
    voice_seconds_per_month: Option<i64>,
    cost_micros_per_month: Option<i64>,
}

impl PlanRow {
    fn read(&self) -> Result<(Plan, PlanLimits)> {
        let allowance = |per_day, per_month| Allowance { per_day, per_month };
        let limits = PlanLimits {
            messages: allowance(self.messages_per_day, self.messages_per_month),
            images: allowance(self.images_per_day, self.images_per_month),
            voice_seconds: allowance(self.voice_seconds_per_day, self.voice_seconds_per_month),
            cost_micros_per_month: self.cost_micros_per_month,
        };
        Ok((word(&self.name)?, limits))
    }
}

/// What somebody may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The plan of the organisation.
    pub plan: Plan,
    /// What it allows each person.
    pub limits: PlanLimits,
    /// The most that the person may cost in a month, in millionths, if the organisation has said so.
    pub person_budget: Option<i64>,
    /// The most that the organisation may cost in a month, if it has said so.
    pub organisation_budget: Option<i64>,
}

/// A row of `plan` with the budgets that hold beside it.
#[derive(sqlx::FromRow)]
pub(super) struct LimitsRow {
    #[sqlx(flatten)]
    plan: PlanRow,
    person_budget: Option<i64>,
    organisation_budget: Option<i64>,
}

impl LimitsRow {
    pub(super) fn read(&self) -> Result<Limits> {
        let (plan, limits) = self.plan.read()?;
        let (person_budget, organisation_budget) = (self.person_budget, self.organisation_budget);
        Ok(Limits { plan, limits, person_budget, organisation_budget })
    }
}

/// Lists the plans and what they allow each person.
#[derive(Clone, Copy, Debug)]
pub struct ListPlans;

impl Intent for ListPlans {
    type Output = Vec<(Plan, PlanLimits)>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let rows: Vec<PlanRow> = tx.query(LIST).rows().await?;
        rows.iter().map(PlanRow::read).collect()
    }
}

/// Sets what a plan allows each person. It holds for the next thing that is used.
#[derive(Clone, Copy, Debug)]
pub struct SetPlanLimits(pub Plan, pub PlanLimits);

impl Intent for SetPlanLimits {
    type Output = ();
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        let Self(plan, limits) = *self;
        let set = tx.query(SET_LIMITS).bind(plan.as_str());
        let set = set.bind(limits.messages.per_day).bind(limits.messages.per_month);
        let set = set.bind(limits.images.per_day).bind(limits.images.per_month);
        let set = set.bind(limits.voice_seconds.per_day).bind(limits.voice_seconds.per_month);
        set.bind(limits.cost_micros_per_month).run().await?;
        Ok(())
    }
}

/// Sets the most that a member, or the organisation as a whole, may cost in a month.
#[derive(Clone, Copy, Debug)]
pub struct SetBudget {
    /// The organisation.
    pub tenant: TenantId,
    /// Which member; nothing for the organisation as a whole.
    pub member: Option<PersonId>,
    /// In millionths; nothing removes it.
    pub cost_micros: Option<i64>,
    /// Who sets it.
    pub by: PersonId,
    /// The present moment.
    pub now: Timestamp,
}

#[derive(sqlx::FromRow)]
struct MemberRow {
    #[sqlx(rename = "person_id")]
    _person: Uuid,
}

impl Intent for SetBudget {
    /// False when there is no such member.
    type Output = bool;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let tenant = self.tenant.uuid();
        let subject = self.member.map_or(tenant, |person| person.uuid());
        if let Some(person) = self.member {
            let member: Option<MemberRow> = tx.query(IS_MEMBER).bind(tenant).bind(person.uuid()).row().await?;
            if member.is_none() {
                return Ok(false);
            }
        }
        match self.cost_micros {
            Some(cost) => {
                let set = tx.query(SET_BUDGET).bind(tenant).bind(subject).bind(cost);
                set.bind(self.by.uuid()).bind(At(self.now)).run().await?;
            }
            None => {
                tx.query(REMOVE_BUDGET).bind(tenant).bind(subject).run().await?;
            }
        }
        Ok(true)
    }
}
