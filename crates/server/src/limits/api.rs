//! `/v1/limits`.

use std::sync::Arc;

use axum::extract::State;
use mainstay_domain::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::Refused;
use crate::accounts::Administrator;
use crate::app::App;
use crate::http::{Document, Json, Problem};

/// The most rows of the list.
const MOST: usize = 100;

/// What a limit has refused in the last hour.
#[derive(Serialize, ToSchema)]
pub struct LimitRefusalBody {
    /// Whose limit it was: user, api_key, organisation or address.
    #[schema(example = "user")]
    subject: &'static str,
    /// Which one: an id, or an address.
    subject_id: String,
    /// The class of the route: messages, sync, other and so on.
    #[schema(example = "messages")]
    class: &'static str,
    /// Method and path of the route.
    #[schema(example = "POST /v1/messages")]
    route: String,
    /// The limit, for one window.
    limit: u32,
    /// How many requests were refused in the last hour.
    count: u64,
    /// The last refusal.
    #[schema(value_type = String, format = DateTime)]
    last_at: Timestamp,
}

impl From<Refused> for LimitRefusalBody {
    fn from(refused: Refused) -> Self {
        Self {
            subject: refused.subject.kind(),
            subject_id: refused.subject.id(),
            class: refused.class.as_str(),
            route: refused.route,
            limit: refused.limit,
            count: refused.count,
            last_at: refused.last,
        }
    }
}

/// The newest hundred.
#[derive(Serialize, ToSchema)]
pub struct RefusalsBody {
    /// By subject and route, the newest first.
    data: Vec<LimitRefusalBody>,
    /// Always null: there are no further pages.
    next: Option<String>,
}

/// Lists what the limits have refused to members and keys of the organisation in the last hour, on the node that answers.
#[utoipa::path(get, path = "/v1/limits/refusals", tag = "accounts",
    responses((status = 200, body = RefusalsBody), (status = "default", body = Document<'static>)))]
pub async fn refusals(
    State(app): State<Arc<App>>,
    Administrator(by): Administrator,
) -> Result<Json<RefusalsBody>, Problem> {
    let rows = app.limits.refusals.of(by.tenant, app.clock.now(), MOST);
    Ok(Json(RefusalsBody { data: rows.into_iter().map(LimitRefusalBody::from).collect(), next: None }))
}
