//! The wire of the register of deployments, for operators of the installation. It is written by the command line only.

use std::sync::Arc;

use axum::extract::State;
use mainstay_domain::{EnvironmentName, Error};
use mainstay_store::ListDeployments;
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::DeploymentBody;
use crate::accounts::Operator;
use crate::app::App;
use crate::http::page::{Page, cursor, limit};
use crate::http::{Document, Json, Problem, Query, RequestContext};

/// Which entries.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct DeploymentsQuery {
    /// Rows of a page: 1 to 100, 50 when it is left out.
    #[serde(default)]
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// `next` of the page before.
    #[serde(default)]
    after: Option<String>,
    /// Only of this environment.
    #[serde(default)]
    #[param(min_length = 1, max_length = 40, pattern = r"^[a-z0-9-]+$")]
    environment: Option<String>,
}

/// Lists what was deployed where and when, the last first. The last 2,000 entries are kept.
#[utoipa::path(get, path = "/v1/deployments", tag = "operations", params(DeploymentsQuery),
    responses((status = 200, body = Page<DeploymentBody>), (status = "default", body = Document<'static>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Operator(_): Operator,
    Query(query): Query<DeploymentsQuery>,
) -> Result<Json<Page<DeploymentBody>>, Problem> {
    let (limit, before) = (limit(query.limit)?, cursor(query.after.as_deref(), |text| Uuid::try_parse(text).ok())?);
    let named = query.environment.as_deref().map(EnvironmentName::parse).transpose();
    let named = named.map_err(|refused| Error::invalid(vec![refused.of("environment")]))?;
    let environment = named.map(|name| name.as_str().to_owned());
    let found = app.store.run(&context.call, ListDeployments { environment, before, limit }).await?;
    Ok(Json(Page::of(found, limit, |one| one.id.to_string())))
}
