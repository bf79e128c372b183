//! `/v1/api-keys`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use mainstay_domain::{ApiKeyId, ApiKeyScope, Timestamp};
use mainstay_store::ApiKey;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::accounts::Administrator;
use crate::app::App;
use crate::http::idempotency::Idempotency;
use crate::http::page::{self, Page, PageQuery, moment_and_id};
use crate::http::{Document, Json, Path, Problem, Query, RequestContext};

/// Making a key.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateApiKeyBody {
    /// 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100, pattern = r"\S")]
    name: String,
    /// Any of read, write and admin.
    #[schema(value_type = std::collections::BTreeSet<crate::openapi::words::ApiKeyScope>, min_items = 1)]
    scopes: Vec<ApiKeyScope>,
}

/// A key's data.
#[derive(Serialize, ToSchema)]
pub struct ApiKeyBody {
    id: Uuid,
    name: String,
    /// How the key begins.
    prefix: String,
    #[schema(value_type = Vec<crate::openapi::words::ApiKeyScope>)]
    scopes: Vec<ApiKeyScope>,
    /// In whose name it acts.
    person_id: Uuid,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
}

impl From<ApiKey> for ApiKeyBody {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id.uuid(),
            name: key.name,
            prefix: key.prefix,
            scopes: key.scopes,
            person_id: key.person.uuid(),
            created_at: key.created_at,
            revoked_at: key.revoked_at,
        }
    }
}

/// A new key, shown this once. A repeat with the same `Idempotency-Key` has no `secret`: it is kept nowhere.
#[derive(Serialize, ToSchema)]
pub struct NewApiKeyBody {
    #[serde(flatten)]
    key: ApiKeyBody,
    secret: Option<String>,
}

/// Makes a key that acts in the caller's name.
#[utoipa::path(post, path = "/v1/api-keys", tag = "accounts", request_body = CreateApiKeyBody,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = NewApiKeyBody), (status = "default", body = Document<'static>)))]
pub async fn create(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    idempotency: Idempotency,
    Json(body): Json<CreateApiKeyBody>,
) -> Result<(StatusCode, Json<NewApiKeyBody>), Problem> {
    let claim = idempotency.claim("api_key", &body)?;
    let made = app.accounts.create_api_key(&context.call, &by, &body.name, body.scopes, claim).await?;
    let secret = made.secret.map(|secret| secret.expose().to_owned());
    Ok((StatusCode::CREATED, Json(NewApiKeyBody { key: made.key.into(), secret })))
}

/// Lists the keys of the organisation, the oldest first.
#[utoipa::path(get, path = "/v1/api-keys", tag = "accounts", params(PageQuery),
    responses((status = 200, body = Page<ApiKeyBody>), (status = "default", body = Document<'static>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<ApiKeyBody>>, Problem> {
    let limit = query.limit()?;
    let after = query.cursor(moment_and_id)?.map(|(moment, id)| (moment, ApiKeyId(id)));
    let keys = app.accounts.api_keys(&context.call, &by, after, limit).await?;
    Ok(Json(Page::of(keys, limit, |key| page::place(key.created_at, key.id))))
}

/// Reads a key's data.
#[utoipa::path(get, path = "/v1/api-keys/{id}", tag = "accounts", params(("id" = Uuid, Path)),
    responses((status = 200, body = ApiKeyBody), (status = "default", body = Document<'static>)))]
pub async fn get(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
) -> Result<Json<ApiKeyBody>, Problem> {
    Ok(Json(app.accounts.api_key(&context.call, &by, ApiKeyId(id)).await?.into()))
}

/// Revokes a key: within 5 seconds it is good nowhere.
#[utoipa::path(delete, path = "/v1/api-keys/{id}", tag = "accounts", params(("id" = Uuid, Path)),
    responses((status = 204), (status = "default", body = Document<'static>)))]
pub async fn revoke(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    app.accounts.revoke_api_key(&context.call, &by, ApiKeyId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
