//! How a client wants to follow a reply: what its request says.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::http::request::Parts;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::http::{Problem, Query};

/// How a reply is followed.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct EventsQuery {
    /// Whether each token also carries the text so far as safe HTML, in `html`. Tokens then come less often.
    #[serde(default)]
    pub(super) html: bool,
}

/// Whether the reply is wanted as events, and how. Nothing: the answer waits for it.
pub struct Following(pub(super) Option<EventsQuery>);

impl<S: Send + Sync> FromRequestParts<S> for Following {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(query) = Query::<EventsQuery>::from_request_parts(parts, state).await?;
        Ok(Self(wants_events(&parts.headers).then_some(query)))
    }
}

fn wants_events(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepts
        .flat_map(|value| value.split(','))
        .any(|kind| kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream")))
}
