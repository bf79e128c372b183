//! Emails: those of a campaign, and those that somebody has to look at.

use std::sync::Arc;

use axum::extract::State;
use mainstay_domain::{CampaignId, EmailId, EmailState, Error, LeadId, Timestamp};
use mainstay_store::{Email, EmailsOf, GetEmail, ListEmails};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::super::service::listed_state;
use crate::accounts::{Administrator, Reader};
use crate::app::App;
use crate::http::page::{self, Page};
use crate::http::{Document, Json, Path, Problem, Query, RequestContext};

/// An email of a campaign.
#[derive(Serialize, ToSchema)]
#[schema(as = Email)]
pub struct EmailBody {
    id: Uuid,
    campaign_id: Uuid,
    lead_id: Uuid,
    step: u32,
    variant_id: Uuid,
    account_id: Uuid,
    to: String,
    /// RFC 5322, without angle brackets. It is fixed before the email is sent.
    message_id: String,
    /// `scheduled`, `claimed`, `in_flight`, `accepted`, `rejected`, `unknown` or `cancelled`. What is unknown is never sent again
    /// by itself.
    #[schema(value_type = crate::openapi::words::EmailState)]
    state: EmailState,
    #[schema(value_type = String, format = DateTime)]
    due_at: Timestamp,
    /// How often it was offered to a server.
    attempts: u32,
    #[schema(value_type = Option<String>, format = DateTime)]
    accepted_at: Option<Timestamp>,
    /// What the server said: its code, the enhanced one (RFC 3463), its words.
    code: Option<u32>,
    enhanced_code: Option<String>,
    said: Option<String>,
    /// The first time that somebody opened it or followed one of its links, and that a machine did.
    #[schema(value_type = Option<String>, format = DateTime)]
    opened_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    machine_opened_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    clicked_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    machine_clicked_at: Option<Timestamp>,
    /// When it led to what the campaign is for.
    #[schema(value_type = Option<String>, format = DateTime)]
    converted_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    replied_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    bounced_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    complained_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    unsubscribed_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<Email> for EmailBody {
    fn from(email: Email) -> Self {
        Self {
            id: email.id.uuid(),
            campaign_id: email.campaign.uuid(),
            lead_id: email.lead.uuid(),
            step: email.step,
            variant_id: email.variant.uuid(),
            account_id: email.account.uuid(),
            to: email.address,
            message_id: email.message_id,
            state: email.state,
            due_at: email.due_at,
            attempts: email.attempts,
            accepted_at: email.accepted_at,
            code: email.code.0,
            enhanced_code: email.code.1,
            said: email.said,
            opened_at: email.opened_at.0,
            machine_opened_at: email.opened_at.1,
            clicked_at: email.clicked_at.0,
            machine_clicked_at: email.clicked_at.1,
            converted_at: email.converted_at,
            replied_at: email.replied_at,
            bounced_at: email.bounced_at,
            complained_at: email.complained_at,
            unsubscribed_at: email.unsubscribed_at,
            created_at: email.created_at,
            updated_at: email.updated_at,
        }
    }
}

/// Which emails: all of them, those of a campaign, of a lead in it, or those in one of two states.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct EmailsQuery {
    #[serde(default)]
    campaign_id: Option<Uuid>,
    /// With the campaign: those to one lead, by their steps.
    #[serde(default)]
    lead_id: Option<Uuid>,
    /// `unknown` or `rejected`.
    #[serde(default)]
    #[param(value_type = Option<crate::openapi::words::ListedEmailState>)]
    state: Option<EmailState>,
    /// Rows of a page: 1 to 100, 50 when it is left out.
    #[serde(default)]
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `next` of the page before.
    #[serde(default)]
    after: Option<String>,
}

impl EmailsQuery {
    fn of(&self) -> Result<EmailsOf, Error> {
        match (self.campaign_id.map(CampaignId), self.lead_id.map(LeadId), self.state) {
            (Some(campaign), Some(lead), None) => Ok(EmailsOf::Lead(campaign, lead)),
            (Some(campaign), None, None) => Ok(EmailsOf::Campaign(campaign)),
            (None, None, None) => Ok(EmailsOf::All),
            (None, None, Some(state)) => listed_state(state),
            _ => {
                let detail = "Name a campaign, a campaign and one of its leads, or one of the states unknown and rejected, and not both.";
                Err(Error::invalid_field("campaign_id", "missing", detail))
            }
        }
    }
}

/// Lists emails, the newest first.
#[utoipa::path(get, path = "/v1/emails", tag = "outreach", params(EmailsQuery),
    responses((status = 200, body = Page<EmailBody>), (status = "default", body = Document<'static>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Query(query): Query<EmailsQuery>,
) -> Result<Json<Page<EmailBody>>, Problem> {
    let limit = page::limit(query.limit)?;
    let before = page::cursor(query.after.as_deref(), |text| text.parse().ok())?;
    let list = ListEmails { tenant: by.tenant, of: query.of()?, before, limit };
    let rows = app.store.run(&context.call, list).await?;
    Ok(Json(Page::of(rows, limit, |row: &Email| row.id.to_string())))
}

/// Reads an email.
#[utoipa::path(get, path = "/v1/emails/{id}", tag = "outreach", params(("id" = Uuid, Path)),
    responses((status = 200, body = EmailBody), (status = "default", body = Document<'static>)))]
pub async fn get(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Path(id): Path<Uuid>,
) -> Result<Json<EmailBody>, Problem> {
    let email = app.store.run(&context.call, GetEmail { tenant: by.tenant, id: EmailId(id) }).await?;
    Ok(Json(email.ok_or_else(|| Error::not_found("email"))?.into()))
}

/// Sends an email again that is unknown or was rejected. One that is unknown may arrive twice.
#[utoipa::path(post, path = "/v1/emails/{id}/resend", tag = "outreach", params(("id" = Uuid, Path)),
    responses((status = 200, body = EmailBody), (status = "default", body = Document<'static>)))]
pub async fn resend(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
) -> Result<Json<EmailBody>, Problem> {
    Ok(Json(app.outreach.resolve(&context.call, by.tenant, EmailId(id), true).await?.into()))
}

/// Says of an email that is unknown that it was sent: its lead goes on to the next step.
#[utoipa::path(post, path = "/v1/emails/{id}/sent", tag = "outreach", params(("id" = Uuid, Path)),
    responses((status = 200, body = EmailBody), (status = "default", body = Document<'static>)))]
pub async fn sent(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
) -> Result<Json<EmailBody>, Problem> {
    Ok(Json(app.outreach.resolve(&context.call, by.tenant, EmailId(id), false).await?.into()))
}
