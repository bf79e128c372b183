//! `/v1/members`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use mainstay_domain::{EmailAddress, Error, PersonId, Role, Timestamp};
use mainstay_store::Member as Listed;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::accounts::{Administrator, Reader};
use crate::app::App;
use crate::http::page::{Page, PageQuery};
use crate::http::{Document, Json, Path, Problem, Query, RequestContext};

/// A member.
#[derive(Serialize, ToSchema)]
pub struct MemberBody {
    /// The person's id.
    id: Uuid,
    email: Option<String>,
    name: String,
    #[schema(value_type = crate::openapi::words::Role, example = "member")]
    role: Role,
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
}

impl From<Listed> for MemberBody {
    fn from(member: Listed) -> Self {
        Self {
            id: member.person.uuid(),
            email: member.email,
            name: member.name,
            role: member.role,
            since: member.since,
        }
    }
}

/// Adding a member.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddMemberBody {
    /// The address of somebody who has an account.
    #[schema(value_type = crate::openapi::words::EmailAddress)]
    email: String,
    /// member, admin or owner.
    #[schema(value_type = crate::openapi::words::Role)]
    role: Role,
}

/// Changing a member.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeMemberBody {
    /// member, admin or owner.
    #[schema(value_type = crate::openapi::words::Role)]
    role: Role,
}

/// Lists the members of the organisation.
#[utoipa::path(get, path = "/v1/members", tag = "accounts", params(PageQuery),
    responses((status = 200, body = Page<MemberBody>), (status = "default", body = Document<'static>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(member): Reader,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<MemberBody>>, Problem> {
    let limit = query.limit()?;
    let after = query.cursor(|id| id.parse().ok())?;
    let members = app.accounts.members(&context.call, member.tenant, after, limit).await?;
    Ok(Json(Page::of(members, limit, |member| member.person.to_string())))
}

/// Adds somebody who has an account.
#[utoipa::path(post, path = "/v1/members", tag = "accounts", request_body = AddMemberBody,
    responses((status = 201, body = MemberBody), (status = 404), (status = "default", body = Document<'static>)))]
pub async fn add(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Json(body): Json<AddMemberBody>,
) -> Result<(StatusCode, Json<MemberBody>), Problem> {
    let email = EmailAddress::parse(&body.email).map_err(|refused| Error::invalid(vec![refused.of("email")]))?;
    let member = app.accounts.add_member(&context.call, &by, &email, body.role).await?;
    Ok((StatusCode::CREATED, Json(member.into())))
}

/// Gives a member another role. Their tokens for this organisation end.
#[utoipa::path(patch, path = "/v1/members/{id}", tag = "accounts", request_body = ChangeMemberBody,
    params(("id" = Uuid, Path)), responses((status = 204), (status = "default", body = Document<'static>)))]
pub async fn change(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
    Json(body): Json<ChangeMemberBody>,
) -> Result<StatusCode, Problem> {
    app.accounts.change_member(&context.call, &by, PersonId(id), Some(body.role)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a member. Their tokens for this organisation end.
#[utoipa::path(delete, path = "/v1/members/{id}", tag = "accounts", params(("id" = Uuid, Path)),
    responses((status = 204), (status = "default", body = Document<'static>)))]
pub async fn remove(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    app.accounts.change_member(&context.call, &by, PersonId(id), None).await?;
    Ok(StatusCode::NO_CONTENT)
}
