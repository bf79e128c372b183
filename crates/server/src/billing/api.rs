//! `/v1/usage` and `/v1/budgets`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use mainstay_domain::{Amounts, Day, Error, Meter, Month, PersonId, Plan, Role, Timestamp};
use mainstay_store::{MemberUsage, UsageOf, UsedOf};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::service::{members_usage, set_budget, usage};
use crate::accounts::{Administrator, Reader};
use crate::app::App;
use crate::http::page::{self, Page};
use crate::http::{Document, Json, Path, Problem, Query, RequestContext};

/// Of which month.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MonthQuery {
    /// The month, as 2026-11 (UTC); the present one by default.
    #[param(value_type = Option<crate::openapi::words::Month>)]
    month: Option<String>,
}

/// Of which month, and which page.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MembersQuery {
    /// The month, as 2026-11 (UTC); the present one by default.
    #[param(value_type = Option<crate::openapi::words::Month>)]
    month: Option<String>,
    /// Rows of a page: 1 to 100, 50 when it is left out.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `next` of the page before.
    after: Option<String>,
}

/// What was used.
#[derive(Serialize, ToSchema)]
pub struct AmountsBody {
    /// Messages that were accepted.
    messages: i64,
    /// Tokens that models read.
    input_tokens: i64,
    /// Tokens that models wrote.
    output_tokens: i64,
    /// Images that were made.
    images: i64,
    /// Seconds of speech.
    voice_seconds: i64,
    /// What it cost, in millionths of the currency's unit.
    cost_micros: i64,
    /// What is set aside for work under way.
    reserved_micros: i64,
}

/// A limit and how far it is used.
#[derive(Serialize, ToSchema)]
pub struct LimitBody {
    /// Nothing: as much as there is.
    limit: Option<i64>,
    used: i64,
    /// When it begins anew.
    #[schema(value_type = String, format = DateTime)]
    resets_at: Timestamp,
}

/// What the plan allows of something.
#[derive(Serialize, ToSchema)]
pub struct AllowanceBody {
    day: LimitBody,
    month: LimitBody,
}

/// What the plan allows.
#[derive(Serialize, ToSchema)]
pub struct LimitsBody {
    messages: AllowanceBody,
    images: AllowanceBody,
    voice_seconds: AllowanceBody,
    /// What models may cost in a month, in millionths, what is set aside included.
    cost_micros: LimitBody,
}

/// The most that may be spent in a month.
#[derive(Serialize, ToSchema)]
pub struct BudgetBody {
    /// In millionths; nothing when there is none.
    cost_micros: Option<i64>,
    /// What is left of it, without what is set aside.
    left_micros: Option<i64>,
}

/// What the organisation as a whole has used.
#[derive(Serialize, ToSchema)]
pub struct OrganisationUsageBody {
    #[serde(flatten)]
    used: AmountsBody,
    budget: BudgetBody,
}

/// What a member has used, and what they may.
#[derive(Serialize, ToSchema)]
pub struct UsageBody {
    #[schema(value_type = crate::openapi::words::Month, example = "2026-11")]
    month: Month,
    #[schema(value_type = crate::openapi::words::Plan, example = "free")]
    plan: Plan,
    /// What costs are in.
    #[schema(example = "USD")]
    currency: String,
    #[serde(flatten)]
    used: AmountsBody,
    /// Of the present month; nothing for another.
    limits: Option<LimitsBody>,
    /// The member's own.
    budget: BudgetBody,
    /// Of the organisation as a whole: administrators see it.
    organisation: Option<OrganisationUsageBody>,
}

/// What one member has used.
#[derive(Serialize, ToSchema)]
pub struct MemberUsageBody {
    /// The person's id.
    id: Uuid,
    email: Option<String>,
    name: String,
    #[serde(flatten)]
    used: AmountsBody,
    budget: BudgetBody,
}

/// A budget.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetBudgetBody {
    /// In millionths of the currency's unit; null removes it.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(example = 25_000_000, required = true, minimum = 0, maximum = 1_000_000_000_000_000_i64)]
    cost_micros: Option<i64>,
}

impl AmountsBody {
    fn new(used: &UsedOf) -> Self {
        let Amounts { messages, input_tokens, output_tokens, images, voice_seconds, cost_micros } = used.month;
        let reserved_micros = used.reserved_micros;
        Self { messages, input_tokens, output_tokens, images, voice_seconds, cost_micros, reserved_micros }
    }
}

impl BudgetBody {
    fn new(cost_micros: Option<i64>, used: &UsedOf) -> Self {
        let left = |cap: i64| (cap - used.month.cost_micros - used.reserved_micros).max(0);
        Self { cost_micros, left_micros: cost_micros.map(left) }
    }
}

impl LimitsBody {
    fn new(usage: &UsageOf, now: Timestamp) -> Self {
        let (day_ends, month_ends) = (Day::of(now).end(), Month::of(now).next().start());
        let (limits, used) = (&usage.limits.limits, &usage.person);
        let allowance = |meter: Meter| {
            let allowed = limits.of(meter);
            AllowanceBody {
                day: LimitBody { limit: allowed.per_day, used: used.today.of(meter), resets_at: day_ends },
                month: LimitBody { limit: allowed.per_month, used: used.month.of(meter), resets_at: month_ends },
            }
        };
        Self {
            messages: allowance(Meter::Messages),
            images: allowance(Meter::Images),
            voice_seconds: allowance(Meter::VoiceSeconds),
            cost_micros: LimitBody {
                limit: limits.cost_micros_per_month,
                used: used.month.cost_micros + used.reserved_micros,
                resets_at: month_ends,
            },
        }
    }
}

impl From<MemberUsage> for MemberUsageBody {
    fn from(row: MemberUsage) -> Self {
        let (used, budget) = (AmountsBody::new(&row.used), BudgetBody::new(row.budget, &row.used));
        Self { id: row.person.uuid(), email: row.email, name: row.name, used, budget }
    }
}

fn month(app: &App, text: Option<&str>) -> Result<Month, Error> {
    let Some(text) = text else { return Ok(Month::of(app.clock.now())) };
    text.parse().map_err(|refused: mainstay_domain::Refused| Error::invalid(vec![refused.of("month")]))
}

/// What the caller has used in a month and may use now; for administrators also what the organisation has.
#[utoipa::path(get, path = "/v1/usage", tag = "billing", params(MonthQuery),
    responses((status = 200, body = UsageBody), (status = 404), (status = "default", body = Document<'static>)))]
pub async fn get_usage(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Query(query): Query<MonthQuery>,
) -> Result<Json<UsageBody>, Problem> {
    let month = month(&app, query.month.as_deref())?;
    let usage = usage(&app, &context.call, &by, month).await?;
    let now = app.clock.now();
    let organisation = (by.role >= Role::Admin).then(|| OrganisationUsageBody {
        used: AmountsBody::new(&usage.organisation),
        budget: BudgetBody::new(usage.limits.organisation_budget, &usage.organisation),
    });
    Ok(Json(UsageBody {
        month,
        plan: usage.limits.plan,
        currency: app.config.billing.currency.clone(),
        used: AmountsBody::new(&usage.person),
        limits: (month == Month::of(now)).then(|| LimitsBody::new(&usage, now)),
        budget: BudgetBody::new(usage.limits.person_budget, &usage.person),
        organisation,
    }))
}

/// What each person of the organisation has used in a month. Who has used nothing is not listed.
#[utoipa::path(get, path = "/v1/usage/members", tag = "billing", params(MembersQuery),
    responses((status = 200, body = Page<MemberUsageBody>), (status = "default", body = Document<'static>)))]
pub async fn get_members_usage(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Query(query): Query<MembersQuery>,
) -> Result<Json<Page<MemberUsageBody>>, Problem> {
    let month = month(&app, query.month.as_deref())?;
    let limit = page::limit(query.limit)?;
    let after = page::cursor(query.after.as_deref(), |id| id.parse().ok())?.unwrap_or_default();
    let rows = members_usage(&app, &context.call, &by, month, (PersonId(after), limit)).await?;
    Ok(Json(Page::of(rows, limit, |row| row.person.to_string())))
}

/// Sets or removes the budget of the organisation as a whole.
#[utoipa::path(put, path = "/v1/budgets/organisation", tag = "billing", request_body = SetBudgetBody,
    responses((status = 204), (status = "default", body = Document<'static>)))]
pub async fn set_organisation_budget(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Json(body): Json<SetBudgetBody>,
) -> Result<StatusCode, Problem> {
    set_budget(&app, &context.call, &by, None, body.cost_micros).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sets or removes the budget of a member.
#[utoipa::path(put, path = "/v1/budgets/members/{id}", tag = "billing", request_body = SetBudgetBody,
    params(("id" = Uuid, Path)), responses((status = 204), (status = "default", body = Document<'static>)))]
pub async fn set_member_budget(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
    Json(body): Json<SetBudgetBody>,
) -> Result<StatusCode, Problem> {
    set_budget(&app, &context.call, &by, Some(PersonId(id)), body.cost_micros).await?;
    Ok(StatusCode::NO_CONTENT)
}
