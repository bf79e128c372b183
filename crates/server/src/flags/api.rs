//! The wire of flags, exposures, events and experiments.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use mainstay_domain::{Error, EventName, ExperimentId, ExperimentState, Timestamp, Unit, VariantName, hexadecimal};
use mainstay_store::StoredExperiment;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::results::Results;
use super::service::Event;
use crate::accounts::{Operator, Reader, Writer};
use crate::app::App;
use crate::http::{Document, Json, Path, Problem, RequestContext, knows};

/// The most events of one request.
const MOST_EVENTS: usize = 100;

/// What the caller gets.
#[derive(Serialize, ToSchema)]
pub struct FlagsBody<'a> {
    /// Whether each flag is on.
    #[schema(value_type = BTreeMap<String, bool>, example = json!({"new_editor": true}))]
    flags: BTreeMap<&'a str, bool>,
    /// The variant of each experiment that the caller takes part in. To be told of with `POST /v1/exposures` when it is
    /// shown.
    #[schema(value_type = BTreeMap<String, String>, example = json!({"onboarding": "short"}))]
    experiments: BTreeMap<&'a str, &'a VariantName>,
}

/// The flags and variants of the caller, from memory. Send the `ETag` back as `If-None-Match`: 304 says that nothing has
/// changed. Asking exposes nobody.
#[utoipa::path(get, path = "/v1/flags", tag = "flags", responses(
    (status = 200, description = "What the caller gets", body = FlagsBody),
    (status = 304, description = "What was sent before still holds"),
    (status = "default", body = Document<'static>)))]
pub async fn flags(
    State(app): State<Arc<App>>,
    Reader(by): Reader,
    request_headers: HeaderMap,
) -> Result<Response, Problem> {
    let catalogue = app.flags.catalogue();
    let evaluated = catalogue.evaluate(by.tenant, by.person);
    let body = FlagsBody {
        flags: evaluated.flags.into_iter().collect(),
        experiments: evaluated.experiments.into_iter().collect(),
    };
    let text = serde_json::to_vec(&body).map_err(Error::internal)?;
    let tag = format!("\"{}\"", &hexadecimal(digest(&SHA256, &text).as_ref())[..32]);
    let tag_value = HeaderValue::try_from(&tag).map_err(Error::internal)?;
    let headers = [(ETAG, tag_value)];
    if knows(&request_headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    Ok((headers, [(CONTENT_TYPE, "application/json")], text).into_response())
}

/// What was shown.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExposureBody {
    /// The key of the experiment.
    #[schema(example = "onboarding", value_type = crate::openapi::words::EventName)]
    experiment: String,
}

/// What the caller takes part in.
#[derive(Serialize, ToSchema)]
pub struct ExposedBody {
    /// The key of the experiment.
    experiment: String,
    /// The caller's variant; null when they take no part.
    #[schema(value_type = Option<String>)]
    variant: Option<VariantName>,
}

/// Tells that the caller is shown their variant of an experiment now. Only the first time counts, so it may be told each
/// time. It is written within a second or two.
#[utoipa::path(post, path = "/v1/exposures", tag = "flags", request_body = ExposureBody,
    responses((status = 200, body = ExposedBody), (status = 404), (status = "default", body = Document<'static>)))]
pub async fn expose(
    State(app): State<Arc<App>>,
    Writer(by): Writer,
    Json(body): Json<ExposureBody>,
) -> Result<Json<ExposedBody>, Problem> {
    let variant = app.flags.expose(&by, &body.experiment, app.clock.now())?;
    Ok(Json(ExposedBody { experiment: body.experiment, variant }))
}

/// Something that the caller did.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EventBody {
    /// The client's own id for it, by which a repeat is known.
    id: Uuid,
    /// What: lower case letters, digits, `_`, `-` and `.`.
    #[schema(example = "checkout.paid", value_type = crate::openapi::words::EventName)]
    name: String,
    /// How much; 1 when it is left out.
    #[serde(default)]
    #[schema(minimum = -1_000_000_000.0, maximum = 1_000_000_000.0)]
    value: Option<f64>,
    /// When, for what is told late; now when it is left out. At most 30 days ago.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
}

/// What the caller did.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EventsBody {
    /// 1 to 100.
    #[schema(min_items = 1, max_items = 100)]
    events: Vec<EventBody>,
}

/// What became of them.
#[derive(Serialize, ToSchema)]
pub struct RecordedBody {
    /// How many events are stored now, those among them that were stored before.
    recorded: usize,
    /// How many no running experiment of the caller counts. They are not kept.
    ignored: usize,
}

/// Tells what the caller did. It is stored when a running experiment counts it that the caller takes part in, and counts
/// when it was after the exposure. A repeat with the same ids changes nothing.
#[utoipa::path(post, path = "/v1/events", tag = "flags", request_body = EventsBody,
    responses((status = 200, body = RecordedBody), (status = "default", body = Document<'static>)))]
pub async fn events(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Writer(by): Writer,
    Json(body): Json<EventsBody>,
) -> Result<Json<RecordedBody>, Problem> {
    let count = body.events.len();
    if !(1..=MOST_EVENTS).contains(&count) {
        return Err(Error::invalid_field("events", "out_of_range", "Send 1 to 100 events.").into());
    }
    let (mut events, mut faults) = (Vec::with_capacity(count), Vec::new());
    for (place, event) in body.events.into_iter().enumerate() {
        match EventName::parse(&event.name) {
            Ok(name) => events.push(Event { id: event.id, name, value: event.value.unwrap_or(1.0), at: event.at }),
            Err(refused) => faults.push(refused.of(&format!("events[{place}].name"))),
        }
    }
    if !faults.is_empty() {
        return Err(Error::invalid(faults).into());
    }
    let recorded = app.flags.record(&context.call, &by, &events, app.clock.now()).await?;
    Ok(Json(RecordedBody { recorded, ignored: count - recorded }))
}

/// One of the ways in which an experiment treats its units.
#[derive(Serialize, ToSchema)]
pub struct VariantBody {
    #[schema(value_type = String)]
    name: VariantName,
    weight: u16,
}

/// An experiment.
#[derive(Serialize, ToSchema)]
pub struct ExperimentBody {
    id: Uuid,
    /// What it is asked for by.
    key: String,
    description: String,
    /// draft, running or stopped.
    #[schema(value_type = crate::openapi::words::ExperimentState, example = "running")]
    state: ExperimentState,
    /// What is assigned: organisation or person.
    #[schema(value_type = crate::openapi::words::Unit, example = "person")]
    unit: Unit,
    /// How many of the units take part, in basis points.
    traffic: u16,
    /// The variants, that which the others are compared with first.
    variants: Vec<VariantBody>,
    /// The event that counts.
    #[schema(value_type = crate::openapi::words::EventName)]
    metric: EventName,
    /// What everybody gets after it was stopped.
    #[schema(value_type = Option<String>)]
    winner: Option<VariantName>,
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    stopped_at: Option<Timestamp>,
}

impl From<&StoredExperiment> for ExperimentBody {
    fn from(stored: &StoredExperiment) -> Self {
        let experiment = &stored.experiment;
        let variants = experiment.variants.iter();
        Self {
            id: stored.id.uuid(),
            key: stored.key.to_string(),
            description: experiment.description.clone(),
            state: stored.state,
            unit: experiment.unit,
            traffic: experiment.traffic.basis_points(),
            variants: variants.map(|one| VariantBody { name: one.name.clone(), weight: one.weight }).collect(),
            metric: experiment.metric.clone(),
            winner: stored.winner.clone(),
            started_at: stored.started_at,
            stopped_at: stored.stopped_at,
        }
    }
}

/// All experiments; there are at most a hundred.
#[derive(Serialize, ToSchema)]
pub struct ExperimentsBody {
    data: Vec<ExperimentBody>,
    /// Always null: there are no further pages.
    next: Option<String>,
}

/// An experiment and what it has found so far.
#[derive(Serialize, ToSchema)]
pub struct ExperimentResultsBody {
    experiment: ExperimentBody,
    results: Results,
}

/// Lists the experiments of the installation, for its operators.
#[utoipa::path(get, path = "/v1/experiments", tag = "flags",
    responses((status = 200, body = ExperimentsBody), (status = "default", body = Document<'static>)))]
pub async fn experiments(State(app): State<Arc<App>>, Operator(_): Operator) -> Json<ExperimentsBody> {
    let catalogue = app.flags.catalogue();
    Json(ExperimentsBody { data: catalogue.experiments().iter().map(ExperimentBody::from).collect(), next: None })
}

/// What an experiment has found so far, over all organisations, for operators of the installation.
#[utoipa::path(get, path = "/v1/experiments/{id}", tag = "flags", params(("id" = Uuid, Path)),
    responses((status = 200, body = ExperimentResultsBody), (status = "default", body = Document<'static>)))]
pub async fn results(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Operator(_): Operator,
    Path(id): Path<Uuid>,
) -> Result<Json<ExperimentResultsBody>, Problem> {
    let catalogue = app.flags.catalogue();
    let stored = catalogue.experiments().iter().find(|one| one.id == ExperimentId(id));
    let stored = stored.ok_or_else(|| Error::not_found("experiment"))?;
    let results = app.flags.results(&context.call, stored, app.clock.now()).await?;
    Ok(Json(ExperimentResultsBody { experiment: stored.into(), results }))
}
