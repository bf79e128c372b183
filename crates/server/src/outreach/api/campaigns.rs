//! Campaigns: made, written, begun, paused, stopped; and their figures.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use mainstay_domain::{CampaignId, CampaignState, SendingAccountId, Timestamp};
use mainstay_store::{
    AccountsOf, Campaign, CampaignStep, ListCampaigns, MAKING_A_CAMPAIGN, OutreachFigure, ReadFigures, ReadSums,
    StepVariant, SumFigures,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::super::service::CampaignWish;
use super::campaign_sums::SumsBody;
use super::steps_wish::StepsBody;
use crate::accounts::{Administrator, Reader};
use crate::app::App;
use crate::http::idempotency::Idempotency;
use crate::http::page::{self, Page, moment_and_id};
use crate::http::{Document, Json, Path, Problem, Query, RequestContext};

/// What a campaign is told to do.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CampaignWish)]
pub struct CampaignWishBody {
    #[schema(min_length = 1, max_length = 200, pattern = r"\S")]
    name: String,
    /// Where days are counted for leads of which nobody knows the zone (IANA).
    #[schema(value_type = crate::openapi::words::TimeZone)]
    time_zone: String,
    /// When it may send, by the clock where the lead is: `mon-fri 09:00-17:00`.
    #[serde(default = "always")]
    #[schema(value_type = crate::openapi::words::SendingWindow)]
    sending_window: String,
    /// Nothing is sent before this.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    starts_at: Option<Timestamp>,
    /// Whether a lead that answers is written to no more.
    #[serde(default = "yes")]
    stop_on_reply: bool,
    /// Whether it is noted who opens an email that has HTML, by an image in it.
    #[serde(default)]
    track_opens: bool,
    /// Whether it is noted who follows a link.
    #[serde(default)]
    track_clicks: bool,
    /// A link that leads there, or below it, is what the campaign is for: following it converts a lead.
    #[serde(default)]
    #[schema(value_type = Option<crate::openapi::words::Url>)]
    goal_url: Option<String>,
    /// The address of whoever sends, which the law of many countries wants in each email: texts name it `{{postal_address}}`.
    #[serde(default)]
    #[schema(max_length = 500)]
    postal_address: Option<String>,
}

const fn yes() -> bool {
    true
}

fn always() -> String {
    "mon-sun 00:00-24:00".to_owned()
}

impl From<CampaignWishBody> for CampaignWish {
    fn from(body: CampaignWishBody) -> Self {
        Self {
            name: body.name,
            zone: body.time_zone,
            window: body.sending_window,
            starts_at: body.starts_at,
            track_opens: body.track_opens,
            track_clicks: body.track_clicks,
            stop_on_reply: body.stop_on_reply,
            goal_url: body.goal_url,
            postal_address: body.postal_address,
        }
    }
}

/// A campaign.
#[derive(Serialize, ToSchema)]
#[schema(as = Campaign)]
pub struct CampaignBody {
    id: Uuid,
    name: String,
    /// `draft`, `running`, `paused` or `stopped`.
    #[schema(value_type = crate::openapi::words::CampaignState)]
    state: CampaignState,
    time_zone: String,
    sending_window: String,
    #[schema(value_type = Option<String>, format = DateTime)]
    starts_at: Option<Timestamp>,
    stop_on_reply: bool,
    track_opens: bool,
    track_clicks: bool,
    goal_url: Option<String>,
    postal_address: Option<String>,
    /// When it first ran.
    #[schema(value_type = Option<String>, format = DateTime)]
    launched_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    /// In a list that was asked for with `figures`.
    #[serde(skip_serializing_if = "Option::is_none")]
    figures: Option<SumsBody>,
}

impl From<Campaign> for CampaignBody {
    fn from(campaign: Campaign) -> Self {
        Self {
            id: campaign.id.uuid(),
            name: campaign.settings.name,
            state: campaign.state,
            time_zone: campaign.settings.zone,
            sending_window: campaign.settings.window,
            starts_at: campaign.settings.starts_at,
            stop_on_reply: campaign.settings.stop_on_reply,
            track_opens: campaign.settings.track_opens,
            track_clicks: campaign.settings.track_clicks,
            goal_url: campaign.settings.goal_url,
            postal_address: campaign.settings.postal_address,
            launched_at: campaign.launched_at,
            created_at: campaign.created_at,
            updated_at: campaign.updated_at,
            figures: None,
        }
    }
}

/// Which campaigns.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct CampaignsQuery {
    /// Whether each comes with what came of it.
    #[serde(default)]
    figures: bool,
    /// Rows of a page: 1 to 100, 50 when it is left out.
    #[serde(default)]
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `next` of the page before.
    #[serde(default)]
    after: Option<String>,
}

/// Lists campaigns, the newest first.
#[utoipa::path(get, path = "/v1/campaigns", tag = "outreach", params(CampaignsQuery),
    responses((status = 200, body = Page<CampaignBody>), (status = "default", body = Document<'static>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Query(query): Query<CampaignsQuery>,
) -> Result<Json<Page<CampaignBody>>, Problem> {
    let limit = page::limit(query.limit)?;
    let before = page::cursor(query.after.as_deref(), moment_and_id)?.map(|(at, id)| (at, CampaignId(id)));
    let rows = app.store.run(&context.call, ListCampaigns { tenant: by.tenant, before, limit }).await?;
    let mut sums = BTreeMap::new();
    if query.figures && !rows.is_empty() {
        let campaigns = rows.iter().map(|row| row.id).collect();
        sums = app.store.run(&context.call, SumFigures { tenant: by.tenant, campaigns }).await?;
    }
    let body = |row: Campaign| {
        let figures = query.figures.then(|| sums.remove(&row.id).unwrap_or_default().into());
        CampaignBody { figures, ..row.into() }
    };
    let rows: Vec<CampaignBody> = rows.into_iter().map(body).collect();
    Ok(Json(Page::of(rows, limit, |row: &CampaignBody| page::place(row.created_at, row.id))))
}

/// Makes a campaign. Nothing is sent before it is launched.
#[utoipa::path(post, path = "/v1/campaigns", tag = "outreach", request_body = CampaignWishBody,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = CampaignBody), (status = "default", body = Document<'static>)))]
pub async fn create(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    idempotency: Idempotency,
    Json(body): Json<CampaignWishBody>,
) -> Result<(StatusCode, Json<CampaignBody>), Problem> {
    let claim = idempotency.claim(MAKING_A_CAMPAIGN, &body)?.map(|claim| (by.person, claim));
    let made = app.outreach.create_campaign(&context.call, by.tenant, body.into(), claim).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// Reads a campaign.
#[utoipa::path(get, path = "/v1/campaigns/{id}", tag = "outreach", params(("id" = Uuid, Path)),
    responses((status = 200, body = CampaignBody), (status = "default", body = Document<'static>)))]
pub async fn get(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Path(id): Path<Uuid>,
) -> Result<Json<CampaignBody>, Problem> {
    Ok(Json(app.outreach.campaign(&context.call, by.tenant, CampaignId(id)).await?.into()))
}

/// Changes what a campaign is told to do.
#[utoipa::path(put, path = "/v1/campaigns/{id}", tag = "outreach", params(("id" = Uuid, Path)),
    request_body = CampaignWishBody,
    responses((status = 200, body = CampaignBody), (status = "default", body = Document<'static>)))]
pub async fn change(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
    Json(body): Json<CampaignWishBody>,
) -> Result<Json<CampaignBody>, Problem> {
    Ok(Json(app.outreach.change_campaign(&context.call, by.tenant, CampaignId(id), body.into()).await?.into()))
}

/// Begins a campaign, or lets one that is paused go on. What would go wrong in an email is told, and then it does not begin.
#[utoipa::path(post, path = "/v1/campaigns/{id}/launch", tag = "outreach", params(("id" = Uuid, Path)),
    responses((status = 200, body = CampaignBody), (status = "default", body = Document<'static>)))]
pub async fn launch(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
) -> Result<Json<CampaignBody>, Problem> {
    Ok(Json(app.outreach.launch(&context.call, by.tenant, CampaignId(id)).await?.into()))
}

/// Pauses a campaign: nothing goes out until it is launched again, but for what is in flight at this moment.
#[utoipa::path(post, path = "/v1/campaigns/{id}/pause", tag = "outreach", params(("id" = Uuid, Path)),
    responses((status = 200, body = CampaignBody), (status = "default", body = Document<'static>)))]
pub async fn pause(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
) -> Result<Json<CampaignBody>, Problem> {
    Ok(Json(app.outreach.pause(&context.call, by.tenant, CampaignId(id)).await?.into()))
}

/// Ends a campaign for good: what was not sent never will be.
#[utoipa::path(post, path = "/v1/campaigns/{id}/stop", tag = "outreach", params(("id" = Uuid, Path)),
    responses((status = 200, body = CampaignBody), (status = "default", body = Document<'static>)))]
pub async fn stop(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
) -> Result<Json<CampaignBody>, Problem> {
    Ok(Json(app.outreach.stop(&context.call, by.tenant, CampaignId(id)).await?.into()))
}

/// A text of a step as it is kept.
#[derive(Serialize, ToSchema)]
#[schema(as = StepVariant)]
pub struct KeptVariantBody {
    /// The text behind an id never changes.
    id: Uuid,
    name: String,
    weight: u32,
    subject: String,
    text: String,
    html: Option<String>,
}

/// A step as it is kept.
#[derive(Serialize, ToSchema)]
#[schema(as = CampaignStep)]
pub struct KeptStepBody {
    /// From 1.
    step: u32,
    delay: String,
    variants: Vec<KeptVariantBody>,
}

/// The steps of a campaign as they are kept.
#[derive(Serialize, ToSchema)]
#[schema(as = CampaignSteps)]
pub struct KeptStepsBody {
    steps: Vec<KeptStepBody>,
}

impl From<(Vec<CampaignStep>, Vec<StepVariant>)> for KeptStepsBody {
    fn from((steps, texts): (Vec<CampaignStep>, Vec<StepVariant>)) -> Self {
        let mut texts: Vec<Option<StepVariant>> = texts.into_iter().map(Some).collect();
        let mut of = |step: u32| {
            let mine = texts.iter_mut().filter(move |text| text.as_ref().is_some_and(|text| text.step == step));
            let mine = mine.filter_map(Option::take).map(|text| KeptVariantBody {
                id: text.id.uuid(),
                name: text.name,
                weight: text.weight,
                subject: text.subject,
                text: text.body,
                html: text.html,
            });
            mine.collect()
        };
        let kept = |step: &CampaignStep| KeptStepBody {
            step: step.step,
            delay: match (step.delay_days, step.delay_hours) {
                (0, hours) if hours > 0 => format!("{hours}h"),
                (days, _) => format!("{days}d"),
            },
            variants: of(step.step),
        };
        Self { steps: steps.iter().map(kept).collect() }
    }
}

/// Reads the steps of a campaign.
#[utoipa::path(get, path = "/v1/campaigns/{id}/steps", tag = "outreach", params(("id" = Uuid, Path)),
    responses((status = 200, body = KeptStepsBody), (status = "default", body = Document<'static>)))]
pub async fn steps(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Path(id): Path<Uuid>,
) -> Result<Json<KeptStepsBody>, Problem> {
    Ok(Json(app.outreach.steps(&context.call, by.tenant, CampaignId(id)).await?.into()))
}

/// Writes the steps of a campaign in place of those before. What was sent stays as it was.
#[utoipa::path(put, path = "/v1/campaigns/{id}/steps", tag = "outreach", params(("id" = Uuid, Path)),
    request_body = StepsBody,
    responses((status = 200, body = KeptStepsBody), (status = "default", body = Document<'static>)))]
pub async fn put_steps(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
    Json(body): Json<StepsBody>,
) -> Result<Json<KeptStepsBody>, Problem> {
    Ok(Json(app.outreach.put_steps(&context.call, by.tenant, CampaignId(id), body.into()).await?.into()))
}

/// The accounts that send for a campaign.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CampaignAccounts)]
pub struct AccountsBody {
    account_ids: Vec<Uuid>,
}

/// Reads which accounts send for a campaign.
#[utoipa::path(get, path = "/v1/campaigns/{id}/accounts", tag = "outreach", params(("id" = Uuid, Path)),
    responses((status = 200, body = AccountsBody), (status = "default", body = Document<'static>)))]
pub async fn accounts(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Path(id): Path<Uuid>,
) -> Result<Json<AccountsBody>, Problem> {
    let campaign = app.outreach.campaign(&context.call, by.tenant, CampaignId(id)).await?.id;
    let ids = app.store.run(&context.call, AccountsOf { tenant: by.tenant, campaign }).await?;
    Ok(Json(AccountsBody { account_ids: ids.into_iter().map(SendingAccountId::uuid).collect() }))
}

/// Names which accounts send for a campaign, in place of those before.
#[utoipa::path(put, path = "/v1/campaigns/{id}/accounts", tag = "outreach", params(("id" = Uuid, Path)),
    request_body = AccountsBody,
    responses((status = 200, body = AccountsBody), (status = "default", body = Document<'static>)))]
pub async fn use_accounts(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
    Json(body): Json<AccountsBody>,
) -> Result<Json<AccountsBody>, Problem> {
    let ids = body.account_ids.into_iter().map(SendingAccountId).collect();
    let used = app.outreach.use_accounts(&context.call, by.tenant, CampaignId(id), ids).await?;
    Ok(Json(AccountsBody { account_ids: used.into_iter().map(SendingAccountId::uuid).collect() }))
}

/// How many rows there are of a kind. They always equal the rows.
#[derive(Serialize, ToSchema)]
#[schema(as = OutreachFigure)]
pub struct FigureBody {
    /// Null for leads.
    step: Option<i64>,
    variant_id: Option<Uuid>,
    account_id: Option<Uuid>,
    /// The day (UTC) on which the emails last went out; null for what did not, and for leads.
    #[schema(value_type = Option<String>, format = Date)]
    day: Option<String>,
    /// `queued`, `accepted`, `rejected`, `unknown`, `cancelled`; of what was sent `opened`, `clicked`, `replied`, `bounced`,
    /// `complained`, `unsubscribed`, `converted`; or `lead_` and a state.
    kind: String,
    count: i64,
}

impl From<OutreachFigure> for FigureBody {
    fn from(figure: OutreachFigure) -> Self {
        let named = |id: Uuid| (!id.is_nil()).then_some(id);
        Self {
            step: (figure.step > 0).then_some(figure.step),
            variant_id: named(figure.variant_id),
            account_id: named(figure.account_id),
            day: figure.date(),
            kind: figure.kind,
            count: figure.number,
        }
    }
}

/// The figures of a campaign.
#[derive(Serialize, ToSchema)]
#[schema(as = OutreachFigures)]
pub struct FiguresBody {
    data: Vec<FigureBody>,
}

/// Reads the figures of a campaign by step, text, account and day.
#[utoipa::path(get, path = "/v1/campaigns/{id}/figures", tag = "outreach", params(("id" = Uuid, Path)),
    responses((status = 200, body = FiguresBody), (status = "default", body = Document<'static>)))]
pub async fn figures(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Path(id): Path<Uuid>,
) -> Result<Json<FiguresBody>, Problem> {
    let campaign = app.outreach.campaign(&context.call, by.tenant, CampaignId(id)).await?.id;
    let figures = app.store.run(&context.call, ReadFigures { tenant: by.tenant, campaign }).await?;
    Ok(Json(FiguresBody { data: figures.into_iter().map(FigureBody::from).collect() }))
}

/// The figures of a campaign, added up: what is not told apart is null.
#[derive(Serialize, ToSchema)]
#[schema(as = FiguresAddedUp)]
pub struct AddedUpBody {
    /// By step and text; with them those of leads, which have neither.
    texts: Vec<FigureBody>,
    /// By account.
    accounts: Vec<FigureBody>,
    /// By day (UTC) on which the emails last went out, the newest first.
    days: Vec<FigureBody>,
}

/// Adds up the figures of a campaign, by text, by account and by day, all at one moment: few rows, however long it has run.
#[utoipa::path(get, path = "/v1/campaigns/{id}/sums", tag = "outreach", params(("id" = Uuid, Path)),
    responses((status = 200, body = AddedUpBody), (status = "default", body = Document<'static>)))]
pub async fn sums(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Path(id): Path<Uuid>,
) -> Result<Json<AddedUpBody>, Problem> {
    let campaign = app.outreach.campaign(&context.call, by.tenant, CampaignId(id)).await?.id;
    let sums = app.store.run(&context.call, ReadSums { tenant: by.tenant, campaign }).await?;
    let bodies = |figures: Vec<OutreachFigure>| figures.into_iter().map(FigureBody::from).collect();
    Ok(Json(AddedUpBody { texts: bodies(sums.texts), accounts: bodies(sums.accounts), days: bodies(sums.days) }))
}
