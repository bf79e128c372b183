//! Trying the texts of a campaign: previews and test emails.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use mainstay_domain::{CampaignId, LeadId, SendingAccountId, StepVariantId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::trying::{Preview, Tried, TryWish};
use crate::accounts::{Administrator, Writer};
use crate::app::App;
use crate::http::{Document, Json, Path, Problem, RequestContext};

/// Which text is to be seen, and for whom.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PreviewWish)]
pub struct PreviewWishBody {
    /// From 1.
    #[schema(minimum = 1)]
    step: u32,
    /// Which of its texts; that which the lead would get, or else the first, when it is left out.
    #[serde(default)]
    variant_id: Option<Uuid>,
    /// The lead whose fields are filled in.
    #[serde(default)]
    lead_id: Option<Uuid>,
    /// Further fields. They come before those of the lead.
    #[serde(default)]
    fields: BTreeMap<String, String>,
}

impl From<PreviewWishBody> for TryWish {
    fn from(body: PreviewWishBody) -> Self {
        Self {
            step: body.step,
            variant: body.variant_id.map(StepVariantId),
            lead: body.lead_id.map(LeadId),
            fields: body.fields,
        }
    }
}

/// How a text reads.
#[derive(Serialize, ToSchema)]
#[schema(as = EmailPreview)]
pub struct PreviewBody {
    variant_id: Uuid,
    subject: String,
    text: String,
    html: Option<String>,
    /// Fields that it names and that there is nothing for. They stand in it as `{{name}}`, and an email would not be written.
    missing_fields: Vec<String>,
}

impl From<Preview> for PreviewBody {
    fn from(preview: Preview) -> Self {
        Self {
            variant_id: preview.variant.uuid(),
            subject: preview.filled.subject,
            text: preview.filled.text,
            html: preview.filled.html,
            missing_fields: preview.missing.into_iter().collect(),
        }
    }
}

/// Shows how a text of a campaign reads for a lead, or for nobody in particular. Nothing is sent.
#[utoipa::path(post, path = "/v1/campaigns/{id}/preview", tag = "outreach", params(("id" = Uuid, Path)),
    request_body = PreviewWishBody,
    responses((status = 200, body = PreviewBody), (status = "default", body = Document<'static>)))]
pub async fn preview(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Writer(by): Writer,
    Path(id): Path<Uuid>,
    Json(body): Json<PreviewWishBody>,
) -> Result<Json<PreviewBody>, Problem> {
    Ok(Json(app.outreach.preview(&context.call, by.tenant, CampaignId(id), body.into()).await?.into()))
}

/// Which text is to be sent, by which account, to whom.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TestEmailWish)]
pub struct TestEmailWishBody {
    /// The address that it goes to.
    #[schema(value_type = crate::openapi::words::EmailAddress)]
    to: String,
    /// The account that sends it. It counts against its cap.
    account_id: Uuid,
    /// From 1.
    #[schema(minimum = 1)]
    step: u32,
    /// Which of its texts; that which the lead would get, or else the first, when it is left out.
    #[serde(default)]
    variant_id: Option<Uuid>,
    /// The lead whose fields are filled in. It does not get the email.
    #[serde(default)]
    lead_id: Option<Uuid>,
    /// Further fields. They come before those of the lead.
    #[serde(default)]
    fields: BTreeMap<String, String>,
}

/// What the account's server said.
#[derive(Serialize, ToSchema)]
#[schema(as = TestEmail)]
pub struct TestEmailBody {
    /// `accepted`, `refused`, or `unknown` where the line broke or the server took too long.
    outcome: &'static str,
    /// The server's code (RFC 5321).
    code: Option<u16>,
    /// The enhanced code (RFC 3463).
    enhanced: Option<String>,
    /// Its words, or what went wrong.
    said: String,
}

impl From<Tried> for TestEmailBody {
    fn from(tried: Tried) -> Self {
        let said = tried.said;
        Self { outcome: tried.outcome, code: said.code, enhanced: said.enhanced, said: said.text }
    }
}

/// Sends a text of a campaign to somebody who wants to see it arrive, at once, and says what the account's server said. It
/// belongs to no lead and to no figures.
#[utoipa::path(post, path = "/v1/campaigns/{id}/test-emails", tag = "outreach", params(("id" = Uuid, Path)),
    request_body = TestEmailWishBody,
    responses((status = 200, body = TestEmailBody), (status = "default", body = Document<'static>)))]
pub async fn send(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
    Json(body): Json<TestEmailWishBody>,
) -> Result<Json<TestEmailBody>, Problem> {
    let wish = TryWish {
        step: body.step,
        variant: body.variant_id.map(StepVariantId),
        lead: body.lead_id.map(LeadId),
        fields: body.fields,
    };
    let campaign = (by.tenant, CampaignId(id));
    let how = (SendingAccountId(body.account_id), body.to.as_str());
    Ok(Json(app.outreach.send_test(&context.call, campaign, wish, how).await?.into()))
}
