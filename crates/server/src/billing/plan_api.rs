//! `/v1/plan`, `/v1/checkout-sessions` and `/v1/invoices`. Reading asks our own database alone, so that it works whatever
//! becomes of the provider.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use mainstay_domain::{Plan, Subscription, SubscriptionState, Timestamp};
use mainstay_store::{BillingOf, Invoice, PlanChange};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::apply::rules;
use super::plans;
use crate::accounts::{Administrator, Reader};
use crate::app::App;
use crate::http::{Document, Json, Problem, RequestContext};

/// What the organisation pays for.
#[derive(Serialize, ToSchema)]
pub struct PlanBody {
    /// Its plan.
    #[schema(value_type = crate::openapi::words::Plan, example = "core")]
    plan: Plan,
    /// The subscription that decides; null without one.
    subscription: Option<SubscriptionBody>,
    /// Until when the plan is kept although a payment is missing; null when none is.
    #[schema(value_type = Option<String>, format = DateTime)]
    grace_until: Option<Timestamp>,
    /// The latest twenty changes of the plan, the last first.
    history: Vec<PlanChangeBody>,
    /// What is sold.
    products: Vec<ProductBody>,
    /// Whether plans are changed and cancelled here; otherwise on the provider's own pages.
    changes_here: bool,
}

/// A subscription.
#[derive(Serialize, ToSchema)]
pub struct SubscriptionBody {
    /// The provider's id.
    id: String,
    /// `trial`, `active`, `overdue`, `paused`, `canceled` or `deactivated`.
    #[schema(value_type = Option<crate::openapi::words::SubscriptionState>, example = "active")]
    state: Option<SubscriptionState>,
    /// The plan that was bought, whether it holds now or not.
    #[schema(value_type = Option<crate::openapi::words::Plan>, example = "core")]
    plan: Option<Plan>,
    /// The provider's path of what was bought.
    product: Option<String>,
    /// When the period ends that is paid or tried.
    #[schema(value_type = Option<String>, format = DateTime)]
    period_end: Option<Timestamp>,
    /// When it ends, once it was cancelled.
    #[schema(value_type = Option<String>, format = DateTime)]
    ends_at: Option<Timestamp>,
    /// Since when a payment is missing.
    #[schema(value_type = Option<String>, format = DateTime)]
    unpaid_since: Option<Timestamp>,
}

/// A change of the plan, and why.
#[derive(Serialize, ToSchema)]
pub struct PlanChangeBody {
    /// Before.
    #[schema(value_type = crate::openapi::words::Plan, example = "free")]
    from: Plan,
    /// Since.
    #[schema(value_type = crate::openapi::words::Plan, example = "core")]
    to: Plan,
    /// Why, in words.
    cause: String,
    /// The provider's id of the event; null where time or an operator was the cause.
    event: Option<String>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

/// What is sold.
#[derive(Serialize, ToSchema)]
pub struct ProductBody {
    /// The plan.
    #[schema(value_type = crate::openapi::words::Plan, example = "core")]
    plan: Plan,
    /// The provider's path of it.
    product: String,
}

/// Which plan.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanChoice {
    /// `core` or `studio`.
    #[schema(example = "core", value_type = crate::openapi::words::PaidPlan)]
    plan: Plan,
}

/// Where to pay.
#[derive(Serialize, ToSchema)]
pub struct CheckoutBody {
    /// The provider's page. The plan changes when the provider has told that it was paid.
    url: String,
}

/// What was asked for.
#[derive(Serialize, ToSchema)]
pub struct AskedBody {
    /// In words: it shows when the provider has told of it, usually within seconds.
    detail: &'static str,
}

/// All invoices.
#[derive(Serialize, ToSchema)]
pub struct InvoicesBody {
    /// The latest first, at most 120.
    data: Vec<InvoiceBody>,
}

/// An invoice.
#[derive(Serialize, ToSchema)]
pub struct InvoiceBody {
    /// The provider's id of the order.
    id: String,
    /// What people call it by; may be empty.
    reference: String,
    /// What is to be paid, in millionths.
    total_micros: i64,
    /// In which currency: three letters.
    currency: String,
    /// Where it can be read; null when nobody has told.
    url: Option<String>,
    /// `paid`, `failed` or `returned`.
    #[schema(value_type = String, example = "paid")]
    state: &'static str,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    issued_at: Timestamp,
}

impl From<PlanChange> for PlanChangeBody {
    fn from(change: PlanChange) -> Self {
        let PlanChange { from, to, cause, event, at, .. } = change;
        Self { from, to, cause, event, at }
    }
}

impl From<Invoice> for InvoiceBody {
    fn from(invoice: Invoice) -> Self {
        Self {
            id: invoice.id,
            reference: invoice.reference,
            total_micros: invoice.total_micros,
            currency: invoice.currency,
            url: Some(invoice.url).filter(|url| !url.is_empty()),
            state: invoice.state.as_str(),
            issued_at: invoice.issued_at,
        }
    }
}

impl PlanBody {
    fn new(app: &App, of: BillingOf) -> Self {
        let settings = &app.config.billing.fastspring;
        let rules = rules(app);
        let now = app.clock.now();
        let deciding = plans::live(app, &of).or_else(|| plans::deciding(app, &of, now));
        let grace_until = deciding
            .filter(|known| known.state() == Some(SubscriptionState::Overdue))
            .and_then(|known| known.grace_until(rules.grace));
        let body = |known: &Subscription| SubscriptionBody {
            id: known.id().to_owned(),
            state: known.state(),
            plan: known.product().and_then(|product| rules.plans.get(product)).copied(),
            product: known.product().map(str::to_owned),
            period_end: known.period_end(),
            ends_at: known.ends_at(),
            unpaid_since: known.unpaid_since(),
        };
        let sold = settings.catalogue().filter(|_| !settings.storefront.is_empty());
        Self {
            plan: of.plan,
            subscription: deciding.map(body),
            grace_until,
            products: sold.map(|(path, plan)| ProductBody { plan, product: path.to_owned() }).collect(),
            changes_here: app.fastspring.is_some(),
            history: of.history.into_iter().map(PlanChangeBody::from).collect(),
        }
    }
}

/// What the organisation pays for, how its subscription stands, and why the plan changed.
#[utoipa::path(get, path = "/v1/plan", tag = "billing",
    responses((status = 200, body = PlanBody), (status = 404), (status = "default", body = Document<'static>)))]
pub async fn get_plan(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
) -> Result<Json<PlanBody>, Problem> {
    let of = plans::standing(&app, &context.call, &by).await?;
    Ok(Json(PlanBody::new(&app, of)))
}

/// Prepares a page on which a plan is paid for. The plan changes when the provider has told that it was.
#[utoipa::path(post, path = "/v1/checkout-sessions", tag = "billing", request_body = PlanChoice,
    responses((status = 200, body = CheckoutBody), (status = 404), (status = 502), (status = "default", body = Document<'static>)))]
pub async fn create_checkout(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Json(body): Json<PlanChoice>,
) -> Result<Json<CheckoutBody>, Problem> {
    let url = plans::checkout(&app, &context.call, &by, body.plan).await?;
    Ok(Json(CheckoutBody { url }))
}

/// Asks the provider for another plan, or for one that was cancelled to go on. It holds when the provider has told so.
#[utoipa::path(post, path = "/v1/plan/change", tag = "billing", request_body = PlanChoice,
    responses((status = 202, body = AskedBody), (status = 404), (status = 502), (status = "default", body = Document<'static>)))]
pub async fn change_plan(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Json(body): Json<PlanChoice>,
) -> Result<(StatusCode, Json<AskedBody>), Problem> {
    plans::change(&app, &context.call, &by, body.plan).await?;
    let detail = "The change was asked for. It shows when the provider of billing has confirmed it.";
    Ok((StatusCode::ACCEPTED, Json(AskedBody { detail })))
}

/// Asks the provider to end the subscription with its period. Until then the plan stays.
#[utoipa::path(post, path = "/v1/plan/cancel", tag = "billing",
    responses((status = 202, body = AskedBody), (status = 404), (status = 502), (status = "default", body = Document<'static>)))]
pub async fn cancel_plan(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
) -> Result<(StatusCode, Json<AskedBody>), Problem> {
    plans::cancel(&app, &context.call, &by).await?;
    let detail = "The cancellation was asked for. The plan stays until the period that was paid ends.";
    Ok((StatusCode::ACCEPTED, Json(AskedBody { detail })))
}

/// The invoices of the organisation.
#[utoipa::path(get, path = "/v1/invoices", tag = "billing",
    responses((status = 200, body = InvoicesBody), (status = "default", body = Document<'static>)))]
pub async fn list_invoices(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
) -> Result<Json<InvoicesBody>, Problem> {
    let invoices = plans::invoices(&app, &context.call, &by).await?;
    Ok(Json(InvoicesBody { data: invoices.into_iter().map(InvoiceBody::from).collect() }))
}
