//! Where Google says that a calendar has changed.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use mainstay_domain::{CalendarConnectionId, TenantId};
use uuid::Uuid;

use crate::app::App;
use crate::http::{Document, Path, Problem, RequestContext};

/// Takes a notification of a channel (<https://developers.google.com/workspace/calendar/api/guides/push>). It is not signed:
/// it must name the channel, what is watched, and the secret of the channel. However many come, the calendar is read once.
#[utoipa::path(post, path = "/calendars/{organisation}/{connection}/notifications", tag = "calendars", security(()),
    params(("organisation" = Uuid, Path), ("connection" = Uuid, Path), ("X-Goog-Channel-ID" = Option<String>, Header),
        ("X-Goog-Channel-Token" = Option<String>, Header), ("X-Goog-Resource-ID" = Option<String>, Header),
        ("X-Goog-Resource-State" = Option<String>, Header)),
    responses((status = 204), (status = "default", body = Document<'static>)))]
pub async fn receive(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Path((organisation, connection)): Path<(Uuid, Uuid)>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let place = (TenantId(organisation), CalendarConnectionId(connection));
    app.calendars.notified(&context.call, place, &headers).await?;
    Ok(StatusCode::NO_CONTENT)
}
