//! Reading what was used.

use mainstay_domain::{Amounts, Day, Month, PersonId, TenantId};
use serde::Serialize;
use uuid::Uuid;

use super::admission::{Limits, limits};
use super::ledger::{Standing, StandingRow};
use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};

statements! {
    OF = batch((subject_id: uuid) "
        SELECT u.tenant_id, u.month, u.subject_id, u.messages, u.input_tokens, u.output_tokens, u.images, u.voice_seconds,
          u.cost_micros, u.reserved_micros, u.day, u.day_messages, u.day_images, u.day_voice_seconds
        FROM batch b JOIN usage_month u ON u.tenant_id = $2 AND u.month = $3 AND u.subject_id = b.subject_id");
    /// The organisation's own row has no person.
    LIST = both("
        SELECT u.tenant_id, u.month, u.subject_id, u.messages, u.input_tokens, u.output_tokens, u.images, u.voice_seconds,
          u.cost_micros, u.reserved_micros, u.day, u.day_messages, u.day_images, u.day_voice_seconds,
          p.name, p.email, b.cost_micros AS budget
        FROM usage_month u JOIN person p ON p.id = u.subject_id
        LEFT JOIN budget b ON b.tenant_id = u.tenant_id AND b.subject_id = u.subject_id
        WHERE u.tenant_id = $1 AND u.month = $2 AND u.subject_id > $3 ORDER BY u.subject_id LIMIT $4");
}

/// What a person and their organisation have used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// In the month.
    pub month: Amounts,
    /// On the day that was asked about: messages, images and seconds of speech.
    pub today: Amounts,
    /// What is set aside for work under way, in millionths.
    pub reserved_micros: i64,
}

impl Used {
    fn new(standing: Standing, day: Day) -> Self {
        Self { month: standing.month, today: standing.on(day), reserved_micros: standing.reserved_micros }
    }
}

/// The answer of [`GetUsage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageOf {
    /// What they may use now.
    pub limits: Limits,
    /// What the person has used.
    pub person: Used,
    /// What the organisation has used.
    pub organisation: Used,
}

/// Reads what a person and their organisation have used in a month, and what they may.
#[derive(Clone, Copy, Debug)]
pub struct GetUsage {
    /// The organisation.
    pub tenant: TenantId,
    /// The person.
    pub person: PersonId,
    /// The month.
    pub month: Month,
    /// Today.
    pub day: Day,
}

#[derive(Serialize)]
struct Subject {
    subject_id: Uuid,
}

impl Intent for GetUsage {
    /// Nothing when there is no such organisation.
    type Output = Option<UsageOf>;
    const WRITES: bool = false;
    const SNAPSHOT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let subjects = [self.person.uuid(), self.tenant.uuid()];
        let rows = subjects.map(|subject_id| Subject { subject_id });
        let read = tx.batch(OF, &rows).bind(self.tenant.uuid()).bind(self.month.number());
        let rows: Vec<StandingRow> = read.rows().await?;
        let [person, organisation] = subjects.map(|subject| {
            let row = rows.iter().find(|row| row.account().2 == subject);
            Used::new(row.map(StandingRow::standing).unwrap_or_default(), self.day)
        });
        let limits = limits(tx, [(self.tenant, self.person)]).await?.remove(&(self.tenant, self.person));
        Ok(limits.map(|limits| UsageOf { limits, person, organisation }))
    }
}

/// What one member has used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberUsage {
    /// Who.
    pub person: PersonId,
    /// What they are called; may be empty.
    pub name: String,
    /// Their address, if they have one.
    pub email: Option<String>,
    /// What they have used.
    pub used: Used,
    /// The most that they may cost in a month, if the organisation has said so.
    pub budget: Option<i64>,
}

#[derive(sqlx::FromRow)]
struct MemberRow {
    name: String,
    email: Option<String>,
    budget: Option<i64>,
    #[sqlx(flatten)]
    standing: StandingRow,
}

/// Lists what the people of an organisation have used in a month, in the order of their ids. Those who have used nothing
/// are not listed; those who have left since are.
#[derive(Clone, Copy, Debug)]
pub struct ListUsage {
    /// The organisation.
    pub tenant: TenantId,
    /// The month.
    pub month: Month,
    /// Today.
    pub day: Day,
    /// After whom the page begins.
    pub after: PersonId,
    /// The most rows.
    pub limit: u32,
}

impl Intent for ListUsage {
    type Output = Vec<MemberUsage>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let list = tx.query(LIST).bind(self.tenant.uuid()).bind(self.month.number());
        let rows: Vec<MemberRow> = list.bind(self.after.uuid()).bind(i64::from(self.limit)).rows().await?;
        Ok(rows
            .into_iter()
            .map(|row| MemberUsage {
                person: PersonId(row.standing.account().2),
                name: row.name,
                email: row.email,
                used: Used::new(row.standing.standing(), self.day),
                budget: row.budget,
            })
            .collect())
    }
}
