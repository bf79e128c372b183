//! `/v1/documents`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use mainstay_domain::{DocumentId, DocumentText, Language, Timestamp};
use mainstay_store::{DocumentSummary, FoundPassage};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::service::Wanted;
use crate::accounts::{Administrator, Reader};
use crate::app::App;
use crate::http::idempotency::Idempotency;
use crate::http::page::{self, Page, PageQuery, moment_and_id};
use crate::http::{Document, Json, Path, Problem, Query, RequestContext};

/// The largest body: a text whose every second byte is written as two, and what stands around it.
pub const LARGEST_BODY: usize = DocumentText::MOST * 2 + 64 * 1024;

/// Making a document.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateDocumentBody)]
pub struct CreateBody {
    /// What it is called: one line of at most 200 characters.
    #[schema(example = "Opening hours", min_length = 1, max_length = 200, pattern = r"\S")]
    title: String,
    /// What it says: plain text or Markdown, at most 256 KiB. Headings divide it into passages.
    #[schema(
        example = "We are open from Monday to Friday, 9 to 17.",
        min_length = 1,
        max_length = 262_144,
        pattern = r"\S"
    )]
    content: String,
    /// How its words are compared: `simple` (as they are written, for every language) or `english` (by their stems).
    #[serde(default)]
    #[schema(example = "english", value_type = Option<crate::openapi::words::Language>)]
    language: Option<String>,
}

/// Changing a document. What is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ChangeDocumentBody)]
pub struct ChangeBody {
    #[serde(default)]
    #[schema(min_length = 1, max_length = 200, pattern = r"\S")]
    title: Option<String>,
    #[serde(default)]
    #[schema(min_length = 1, max_length = 262_144, pattern = r"\S")]
    content: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<crate::openapi::words::Language>)]
    language: Option<String>,
    /// `updated_at` of the document as it was read: it is changed only if nobody else has done so since, and refused with
    /// `changed_meanwhile` otherwise.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    updated_at: Option<Timestamp>,
}

/// A document, without what it says.
#[derive(Serialize, ToSchema)]
pub struct DocumentBody {
    id: Uuid,
    title: String,
    #[schema(value_type = crate::openapi::words::Language)]
    language: Language,
    /// Into how many passages it is cut.
    passages: u32,
    /// How long its text is.
    bytes: u32,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<DocumentSummary> for DocumentBody {
    fn from(summary: DocumentSummary) -> Self {
        let DocumentSummary { id, title, language, passages, bytes, created_at, updated_at } = summary;
        Self { id: id.uuid(), title, language, passages, bytes, created_at, updated_at }
    }
}

/// A document.
#[derive(Serialize, ToSchema)]
pub struct WholeDocumentBody {
    #[serde(flatten)]
    document: DocumentBody,
    content: String,
}

/// What is asked.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct SearchQuery {
    /// As somebody says it. Its first 16 words that tell something are looked for. Nothing is found for nothing.
    #[serde(default)]
    #[param(example = "What time do you open on Saturday?")]
    q: String,
}

/// A passage that fits.
#[derive(Serialize, ToSchema)]
pub struct PassageBody {
    document_id: Uuid,
    title: String,
    /// The heading that it stands under; empty where there is none.
    heading: String,
    text: String,
    /// The more, the better it fits. Only good to compare passages of one answer.
    score: f64,
}

impl From<FoundPassage> for PassageBody {
    fn from(passage: FoundPassage) -> Self {
        let FoundPassage { document, title, heading, content, score, .. } = passage;
        Self { document_id: document.uuid(), title, heading, text: content, score }
    }
}

/// What a voice would say.
#[derive(Serialize, ToSchema)]
pub struct SpokenAnswerBody {
    /// One or two sentences, on one line of at most 400 characters.
    text: String,
    document_id: Uuid,
    title: String,
}

/// What was found.
#[derive(Serialize, ToSchema)]
pub struct KnowledgeFoundBody {
    /// Null when nothing fits well enough to be said.
    answer: Option<SpokenAnswerBody>,
    /// At most 4 passages, the best first.
    data: Vec<PassageBody>,
}

/// Makes a document. An organisation has at most 1,000.
#[utoipa::path(post, path = "/v1/documents", tag = "knowledge", request_body = CreateBody,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = DocumentBody), (status = "default", body = Document<'static>)))]
pub async fn create(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    idempotency: Idempotency,
    Json(body): Json<CreateBody>,
) -> Result<(StatusCode, Json<DocumentBody>), Problem> {
    let claim = idempotency.claim(mainstay_store::MAKING_A_DOCUMENT, &body)?;
    let CreateBody { title, content, language } = body;
    let wanted = Wanted { title: Some(title), language, content: Some(content) };
    let made = app.knowledge.create(&context.call, &by, wanted, claim).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// Lists the documents of the organisation, the oldest first.
#[utoipa::path(get, path = "/v1/documents", tag = "knowledge", params(PageQuery),
    responses((status = 200, body = Page<DocumentBody>), (status = "default", body = Document<'static>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<DocumentBody>>, Problem> {
    let limit = query.limit()?;
    let after = query.cursor(moment_and_id)?.map(|(moment, id)| (moment, DocumentId(id)));
    let rows = app.knowledge.documents(&context.call, by.tenant, after, limit).await?;
    Ok(Json(Page::of(rows, limit, |row| page::place(row.created_at, row.id))))
}

/// Finds what answers a question.
#[utoipa::path(get, path = "/v1/documents/search", tag = "knowledge", params(SearchQuery),
    responses((status = 200, body = KnowledgeFoundBody), (status = "default", body = Document<'static>)))]
pub async fn search(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Query(query): Query<SearchQuery>,
) -> Result<Json<KnowledgeFoundBody>, Problem> {
    let (answer, passages) = app.knowledge.ask(&context.call, by.tenant, &query.q).await?;
    let answer = answer.map(|answer| SpokenAnswerBody {
        text: answer.text,
        document_id: answer.document.uuid(),
        title: answer.title,
    });
    Ok(Json(KnowledgeFoundBody { answer, data: passages.into_iter().map(PassageBody::from).collect() }))
}

/// Reads a document.
#[utoipa::path(get, path = "/v1/documents/{id}", tag = "knowledge", params(("id" = Uuid, Path)),
    responses((status = 200, body = WholeDocumentBody), (status = "default", body = Document<'static>)))]
pub async fn get(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Path(id): Path<Uuid>,
) -> Result<Json<WholeDocumentBody>, Problem> {
    let found = app.knowledge.document(&context.call, by.tenant, DocumentId(id)).await?;
    Ok(Json(WholeDocumentBody { document: found.summary.into(), content: found.content }))
}

/// Changes a document.
#[utoipa::path(patch, path = "/v1/documents/{id}", tag = "knowledge", request_body = ChangeBody,
    params(("id" = Uuid, Path)),
    responses((status = 200, body = DocumentBody), (status = "default", body = Document<'static>)))]
pub async fn change(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
    Json(body): Json<ChangeBody>,
) -> Result<Json<DocumentBody>, Problem> {
    let ChangeBody { title, content, language, updated_at } = body;
    let wanted = Wanted { title, language, content };
    let changed = app.knowledge.change(&context.call, (by.tenant, DocumentId(id)), wanted, updated_at).await?;
    Ok(Json(changed.into()))
}

/// Removes a document.
#[utoipa::path(delete, path = "/v1/documents/{id}", tag = "knowledge", params(("id" = Uuid, Path)),
    responses((status = 204), (status = "default", body = Document<'static>)))]
pub async fn delete(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    app.knowledge.delete(&context.call, by.tenant, DocumentId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
