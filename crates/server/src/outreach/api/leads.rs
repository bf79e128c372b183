//! Leads of a campaign.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use mainstay_domain::{CampaignId, Error, LeadId, LeadState, Timestamp};
use mainstay_store::{GetLead, Lead, LeadOrder, ListLeads};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::super::service::LeadWish;
use crate::accounts::{Administrator, Reader};
use crate::app::App;
use crate::http::page::{self, Page};
use crate::http::{Document, Json, Path, Problem, Query, RequestContext};

/// A lead.
#[derive(Serialize, ToSchema)]
#[schema(as = Lead)]
pub struct LeadBody {
    id: Uuid,
    campaign_id: Uuid,
    email: String,
    /// What texts may name: `first_name` and others.
    fields: BTreeMap<String, String>,
    time_zone: String,
    /// `new`, `active`, `finished`, `replied`, `unsubscribed`, `bounced`, `complained` or `stopped`.
    #[schema(value_type = crate::openapi::words::LeadState)]
    state: LeadState,
    /// The last step that there is an email for; 0 before the first.
    step: u32,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<Lead> for LeadBody {
    fn from(lead: Lead) -> Self {
        Self {
            id: lead.id.uuid(),
            campaign_id: lead.campaign.uuid(),
            email: lead.address,
            fields: lead.fields,
            time_zone: lead.zone,
            state: lead.state,
            step: lead.step,
            created_at: lead.created_at,
            updated_at: lead.updated_at,
        }
    }
}

/// A lead to add.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LeadWish)]
pub struct LeadWishBody {
    #[schema(value_type = crate::openapi::words::EmailAddress)]
    email: String,
    /// What texts may name: at most 50.
    #[serde(default)]
    #[schema(value_type = crate::openapi::words::LeadFields)]
    fields: BTreeMap<String, String>,
    /// Where it lives (IANA); the campaign's when it is left out.
    #[serde(default)]
    #[schema(value_type = Option<crate::openapi::words::TimeZone>)]
    time_zone: Option<String>,
}

/// Leads to add.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LeadsWish)]
pub struct LeadsWishBody {
    /// 1 to 100.
    #[schema(min_items = 1, max_items = 100)]
    leads: Vec<LeadWishBody>,
}

/// What became of a lead that was to be added.
#[derive(Serialize, ToSchema)]
#[schema(as = AddedLead)]
pub struct AddedLeadBody {
    /// Its id, when it is new.
    id: Option<Uuid>,
    /// `added`; `duplicate` when its address is there already; `suppressed` when it is not written to: kept
    /// with its id, or, of somebody who was erased, not even kept.
    outcome: &'static str,
}

/// What became of leads that were to be added, in their order.
#[derive(Serialize, ToSchema)]
#[schema(as = AddedLeads)]
pub struct AddedLeadsBody {
    data: Vec<AddedLeadBody>,
}

/// Which leads, and in which order.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct LeadsQuery {
    /// Those in whose address, first or last name or company this stands, in letters of any size: at most 100 characters.
    #[serde(default)]
    #[param(max_length = 100)]
    query: Option<String>,
    /// Those in this state.
    #[serde(default)]
    #[param(value_type = Option<crate::openapi::words::LeadState>)]
    state: Option<LeadState>,
    /// `-created_at` (the newest first) when it is left out, `created_at`, `email` or `-email`.
    #[serde(default)]
    #[param(value_type = Option<crate::openapi::words::LeadSort>)]
    sort: Option<String>,
    /// Rows of a page: 1 to 100, 50 when it is left out.
    #[serde(default)]
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `next` of the page before, which had the same `sort`.
    #[serde(default)]
    after: Option<String>,
}

impl LeadsQuery {
    fn order(&self) -> Result<LeadOrder, Error> {
        let after = self.after.as_deref();
        let id = || page::cursor(after, |text| text.parse().ok());
        let address = || page::cursor(after, |text| text.contains('@').then(|| text.to_owned()));
        match self.sort.as_deref().unwrap_or("-created_at") {
            "-created_at" => Ok(LeadOrder::Newest(id()?)),
            "created_at" => Ok(LeadOrder::Oldest(id()?)),
            "email" => Ok(LeadOrder::Address(address()?)),
            "-email" => Ok(LeadOrder::AddressBack(address()?)),
            _ => Err(Error::invalid_field(
                "sort",
                "unknown",
                "It is created_at or email, with a - for the other direction.",
            )),
        }
    }

    fn query(&self) -> Result<String, Error> {
        let query = self.query.clone().unwrap_or_default();
        if query.chars().count() > 100 {
            return Err(Error::invalid_field("query", "too_long", "It has at most 100 characters."));
        }
        Ok(query)
    }
}

/// Lists the leads of a campaign.
#[utoipa::path(get, path = "/v1/campaigns/{id}/leads", tag = "outreach", params(("id" = Uuid, Path), LeadsQuery),
    responses((status = 200, body = Page<LeadBody>), (status = "default", body = Document<'static>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Path(id): Path<Uuid>,
    Query(query): Query<LeadsQuery>,
) -> Result<Json<Page<LeadBody>>, Problem> {
    let limit = page::limit(query.limit)?;
    let (order, text) = (query.order()?, query.query()?);
    let by_id = matches!(order, LeadOrder::Newest(_) | LeadOrder::Oldest(_));
    let campaign = app.outreach.campaign(&context.call, by.tenant, CampaignId(id)).await?.id;
    let list = ListLeads { tenant: by.tenant, campaign, order, state: query.state, query: text, limit };
    let rows = app.store.run(&context.call, list).await?;
    Ok(Json(Page::of(rows, limit, |row: &Lead| if by_id { row.id.to_string() } else { row.address.clone() })))
}

/// Adds leads to a campaign, at most 100. One whose address is there already stays as it is, so that asking again adds none.
#[utoipa::path(post, path = "/v1/campaigns/{id}/leads", tag = "outreach", params(("id" = Uuid, Path)),
    request_body = LeadsWishBody,
    responses((status = 201, body = AddedLeadsBody), (status = "default", body = Document<'static>)))]
pub async fn add(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
    Json(body): Json<LeadsWishBody>,
) -> Result<(StatusCode, Json<AddedLeadsBody>), Problem> {
    let wish = |body: LeadWishBody| LeadWish { address: body.email, zone: body.time_zone, fields: body.fields };
    let wishes = body.leads.into_iter().map(wish).collect();
    let (ids, added) = app.outreach.add_leads(&context.call, by.tenant, CampaignId(id), wishes).await?;
    let outcome = |id: LeadId| match (added.new.contains(&id), added.suppressed.contains(&id)) {
        (false, _) if added.erased.contains(&id) => AddedLeadBody { id: None, outcome: "suppressed" },
        (false, _) => AddedLeadBody { id: None, outcome: "duplicate" },
        (true, true) => AddedLeadBody { id: Some(id.uuid()), outcome: "suppressed" },
        (true, false) => AddedLeadBody { id: Some(id.uuid()), outcome: "added" },
    };
    Ok((StatusCode::CREATED, Json(AddedLeadsBody { data: ids.into_iter().map(outcome).collect() })))
}

/// Reads a lead.
#[utoipa::path(get, path = "/v1/leads/{id}", tag = "outreach", params(("id" = Uuid, Path)),
    responses((status = 200, body = LeadBody), (status = "default", body = Document<'static>)))]
pub async fn get(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Path(id): Path<Uuid>,
) -> Result<Json<LeadBody>, Problem> {
    let lead = app.store.run(&context.call, GetLead { tenant: by.tenant, id: LeadId(id) }).await?;
    Ok(Json(lead.ok_or_else(|| Error::not_found("lead"))?.into()))
}

/// Stops a lead: nothing more is written to it in this campaign, but for what is in flight at this moment.
#[utoipa::path(post, path = "/v1/leads/{id}/stop", tag = "outreach", params(("id" = Uuid, Path)),
    responses((status = 200, body = LeadBody), (status = "default", body = Document<'static>)))]
pub async fn stop(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
) -> Result<Json<LeadBody>, Problem> {
    app.outreach.stop_lead(&context.call, by.tenant, LeadId(id)).await?;
    let lead = app.store.run(&context.call, GetLead { tenant: by.tenant, id: LeadId(id) }).await?;
    Ok(Json(lead.ok_or_else(|| Error::not_found("lead"))?.into()))
}
