//! Reading what was used.

use mainstay_domain::{Amounts, Day, Month, PersonId, TenantId};
use uuid::Uuid;

use super::plans::{Limits, LimitsRow};
use crate::error::Result;
use crate::intent::Intent;
use crate::sql::statements;
use crate::tx::{Scope, Tx};

statements! {
    LIMITS = both("
        SELECT l.name, l.messages_per_day, l.messages_per_month, l.images_per_day, l.images_per_month, l.voice_seconds_per_day,
          l.voice_seconds_per_month, l.cost_micros_per_month,
          p.cost_micros AS person_budget, w.cost_micros AS organisation_budget
        FROM organisation o JOIN plan l ON l.name = o.plan
        LEFT JOIN budget p ON p.tenant_id = o.tenant_id AND p.subject_id = $2
        LEFT JOIN budget w ON w.tenant_id = o.tenant_id AND w.subject_id = o.tenant_id
        WHERE o.tenant_id = $1");
    /// Of the person, and of all people together: the organisation's own row, which counts only money, is left out.
    OF = both("
        SELECT CAST(CASE WHEN subject_id = $3 THEN 1 ELSE 0 END AS bigint) AS mine,
          CAST(sum(messages) AS bigint) AS messages, CAST(sum(input_tokens) AS bigint) AS input_tokens,
          CAST(sum(output_tokens) AS bigint) AS output_tokens, CAST(sum(images) AS bigint) AS images,
          CAST(sum(voice_seconds) AS bigint) AS voice_seconds, CAST(sum(cost_micros) AS bigint) AS cost_micros,
          CAST(sum(reserved_micros) AS bigint) AS reserved_micros,
          CAST(sum(CASE WHEN day = $4 THEN day_messages ELSE 0 END) AS bigint) AS day_messages,
          CAST(sum(CASE WHEN day = $4 THEN day_images ELSE 0 END) AS bigint) AS day_images,
          CAST(sum(CASE WHEN day = $4 THEN day_voice_seconds ELSE 0 END) AS bigint) AS day_voice_seconds
        FROM usage_month WHERE tenant_id = $1 AND month = $2 AND subject_id <> $1 GROUP BY 1");
    /// The organisation's own row has no person.
    LIST = both("
        SELECT u.subject_id, u.messages, u.input_tokens, u.output_tokens, u.images, u.voice_seconds, u.cost_micros,
          u.reserved_micros, CASE WHEN u.day = $5 THEN u.day_messages ELSE 0 END AS day_messages,
          CASE WHEN u.day = $5 THEN u.day_images ELSE 0 END AS day_images,
          CASE WHEN u.day = $5 THEN u.day_voice_seconds ELSE 0 END AS day_voice_seconds,
          p.name, p.email, b.cost_micros AS budget
        FROM usage_month u JOIN person p ON p.id = u.subject_id
        LEFT JOIN budget b ON b.tenant_id = u.tenant_id AND b.subject_id = u.subject_id
        WHERE u.tenant_id = $1 AND u.month = $2 AND u.subject_id > $3 ORDER BY u.subject_id LIMIT $4");
}

/// What a person and their organisation have used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// In the month.
    pub month: Amounts,
    /// On the day that was asked about: messages, images and seconds of speech.
    pub today: Amounts,
    /// What is set aside for work under way, in millionths.
    pub reserved_micros: i64,
}

impl std::ops::Add for Used {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (mut month, mut today) = (self.month, self.today);
        month += other.month;
        today += other.today;
        Self { month, today, reserved_micros: self.reserved_micros + other.reserved_micros }
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct UsedRow {
    messages: i64,
    input_tokens: i64,
    output_tokens: i64,
    images: i64,
    voice_seconds: i64,
    cost_micros: i64,
    reserved_micros: i64,
    day_messages: i64,
    day_images: i64,
    day_voice_seconds: i64,
}

impl From<UsedRow> for Used {
    fn from(row: UsedRow) -> Self {
        Self {
            month: Amounts {
                messages: row.messages,
                input_tokens: row.input_tokens,
                output_tokens: row.output_tokens,
                images: row.images,
                voice_seconds: row.voice_seconds,
                cost_micros: row.cost_micros,
            },
            today: Amounts {
                messages: row.day_messages,
                images: row.day_images,
                voice_seconds: row.day_voice_seconds,
                ..Amounts::default()
            },
            reserved_micros: row.reserved_micros,
        }
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

#[derive(sqlx::FromRow)]
struct ShareRow {
    mine: i64,
    #[sqlx(flatten)]
    used: UsedRow,
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
        let read = tx.query(OF).bind(self.tenant.uuid()).bind(self.month.number());
        let shares: Vec<ShareRow> = read.bind(self.person.uuid()).bind(self.day.number()).rows().await?;
        let (mut person, mut organisation) = (Used::default(), Used::default());
        for share in shares {
            let used = Used::from(share.used);
            if share.mine == 1 {
                person = used;
            }
            organisation = organisation + used;
        }
        let read = tx.query(LIMITS).bind(self.tenant.uuid()).bind(self.person.uuid());
        let Some(row) = read.row::<LimitsRow>().await? else { return Ok(None) };
        Ok(Some(UsageOf { limits: row.read()?, person, organisation }))
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
    subject_id: Uuid,
    name: String,
    email: Option<String>,
    budget: Option<i64>,
    #[sqlx(flatten)]
    used: UsedRow,
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
        let list = list.bind(self.after.uuid()).bind(i64::from(self.limit)).bind(self.day.number());
        let rows: Vec<MemberRow> = list.rows().await?;
        Ok(rows
            .into_iter()
            .map(|row| MemberUsage {
                person: PersonId(row.subject_id),
                name: row.name,
                email: row.email,
                used: row.used.into(),
                budget: row.budget,
            })
            .collect())
    }
}
