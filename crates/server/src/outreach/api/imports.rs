//! Lists of people, read into campaigns.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use mainstay_domain::{CampaignId, Error, ImportState, LeadImportId, Timestamp};
use mainstay_import::{Column, Form, write_row};
use mainstay_store::{BEGINNING_AN_IMPORT, ImportFault, LeadImport, ListImportFaults, ListImports, MOST_IMPORT_FAULTS};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::super::importing::{ImportWish, Inspected, Part, inspect};
use crate::accounts::{Administrator, Reader, Writer};
use crate::app::App;
use crate::http::idempotency::Idempotency;
use crate::http::page::{Page, PageQuery};
use crate::http::{Document, Json, Path, Problem, Query, RawBody, RequestContext};

/// The most faults that are read at once for a download.
const FAULTS_AT_ONCE: u32 = 1_000;

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ImportColumnKind)]
pub enum ColumnKind {
    /// Addresses of mail. One column has them.
    Address,
    /// First names.
    FirstName,
    /// Last names.
    LastName,
    /// For whom they work.
    Company,
    /// Time zones (IANA).
    Zone,
    /// A field of your own: `field` says what it is called.
    Own,
    /// It is not taken.
    Skip,
}

/// What a column is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ImportColumn)]
pub struct ColumnBody {
    is: ColumnKind,
    /// With `own`: the name of the field without `custom.`, by which texts name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    field: Option<String>,
}

impl From<ColumnBody> for Column {
    fn from(body: ColumnBody) -> Self {
        match body.is {
            ColumnKind::Address => Self::Address,
            ColumnKind::FirstName => Self::FirstName,
            ColumnKind::LastName => Self::LastName,
            ColumnKind::Company => Self::Company,
            ColumnKind::Zone => Self::Zone,
            ColumnKind::Own => Self::Own(body.field.unwrap_or_default()),
            ColumnKind::Skip => Self::Skip,
        }
    }
}

impl From<Column> for ColumnBody {
    fn from(column: Column) -> Self {
        let (is, field) = match column {
            Column::Address => (ColumnKind::Address, None),
            Column::FirstName => (ColumnKind::FirstName, None),
            Column::LastName => (ColumnKind::LastName, None),
            Column::Company => (ColumnKind::Company, None),
            Column::Zone => (ColumnKind::Zone, None),
            Column::Own(name) => (ColumnKind::Own, Some(name)),
            Column::Skip => (ColumnKind::Skip, None),
        };
        Self { is, field }
    }
}

/// What the beginning of a list tells.
#[derive(Serialize, ToSchema)]
#[schema(as = ImportPreview)]
pub struct PreviewBody {
    /// What stands between fields.
    delimiter: char,
    /// What the columns are called.
    header: Vec<String>,
    /// What each column probably is, by its name.
    columns: Vec<ColumnBody>,
    /// The first rows, at most five.
    rows: Vec<Vec<String>>,
}

impl From<Inspected> for PreviewBody {
    fn from(seen: Inspected) -> Self {
        Self {
            delimiter: seen.form.delimiter,
            header: seen.form.header,
            columns: seen.mapping.columns().iter().cloned().map(ColumnBody::from).collect(),
            rows: seen.rows,
        }
    }
}

/// Whether what is sent is all of the file.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PreviewQuery {
    /// `true` where the body is all of the file.
    #[serde(default)]
    whole: bool,
}

/// Looks at the beginning of a list: the body is the first 64 KiB of the file, or all of it. Nothing is kept.
#[utoipa::path(post, path = "/v1/imports/preview", tag = "outreach", params(PreviewQuery),
    request_body(content = crate::openapi::words::File, content_type = "application/octet-stream"),
    responses((status = 200, body = PreviewBody), (status = "default", body = Document<'static>)))]
pub async fn preview(
    Writer(_): Writer,
    Query(query): Query<PreviewQuery>,
    RawBody(bytes): RawBody,
) -> Result<Json<PreviewBody>, Problem> {
    Ok(Json(inspect(&bytes, query.whole)?.into()))
}

/// A list that is to be read into a campaign.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ImportWish)]
pub struct ImportWishBody {
    /// What the file is called.
    #[schema(min_length = 1, max_length = 200, pattern = r"\S")]
    name: String,
    /// How large it is, where that is known.
    #[serde(default)]
    bytes: Option<u32>,
    /// What each column is; what its name says, when it is left out.
    #[serde(default)]
    columns: Option<Vec<ColumnBody>>,
}

/// A list, as far as it is read.
#[derive(Serialize, ToSchema)]
#[schema(as = LeadImport)]
pub struct ImportBody {
    id: Uuid,
    campaign_id: Uuid,
    name: String,
    /// `running` while more is to come, `finished` or `cancelled`.
    #[schema(value_type = crate::openapi::words::ImportState)]
    state: ImportState,
    bytes: Option<u64>,
    /// How many bytes are read: the next part begins here.
    read_bytes: u64,
    /// What the columns are called, once the header is read.
    header: Option<Vec<String>>,
    columns: Option<Vec<ColumnBody>>,
    /// How many rows it had so far.
    rows: u64,
    /// Those that are leads now.
    added: u64,
    /// Those whose address was in the campaign already.
    duplicates: u64,
    /// Of those that are leads: those on the suppression list, who are not written to.
    suppressed: u64,
    /// Those with something wrong in them.
    bad: u64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl TryFrom<LeadImport> for ImportBody {
    type Error = Error;

    fn try_from(import: LeadImport) -> Result<Self, Error> {
        let form: Option<Form> =
            import.form.as_deref().map(serde_json::from_str).transpose().map_err(Error::internal)?;
        let columns: Option<Vec<Column>> =
            import.columns.as_deref().map(serde_json::from_str).transpose().map_err(Error::internal)?;
        Ok(Self {
            id: import.id.uuid(),
            campaign_id: import.campaign.uuid(),
            name: import.name,
            state: import.state,
            bytes: import.bytes,
            read_bytes: import.read_bytes,
            header: form.map(|form| form.header),
            columns: columns.map(|columns| columns.into_iter().map(ColumnBody::from).collect()),
            rows: import.rows,
            added: import.added,
            duplicates: import.duplicates,
            suppressed: import.suppressed,
            bad: import.bad,
            created_at: import.created_at,
            updated_at: import.updated_at,
        })
    }
}

/// Begins to read a list into a campaign. Its content comes with `POST /v1/imports/{id}/content`.
#[utoipa::path(post, path = "/v1/campaigns/{id}/imports", tag = "outreach",
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = ImportWishBody,
    responses((status = 201, body = ImportBody), (status = "default", body = Document<'static>)))]
pub async fn begin(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
    idempotency: Idempotency,
    Json(body): Json<ImportWishBody>,
) -> Result<(StatusCode, Json<ImportBody>), Problem> {
    let claim = idempotency.claim(BEGINNING_AN_IMPORT, &(id, &body))?.map(|claim| (by.person, claim));
    let columns = body.columns.map(|columns| columns.into_iter().map(Column::from).collect());
    let wish = ImportWish { name: body.name, bytes: body.bytes.map(u64::from), columns };
    let import = app.outreach.begin_import(&context.call, by.tenant, CampaignId(id), wish, claim).await?;
    Ok((StatusCode::CREATED, Json(import.try_into()?)))
}

/// Lists what was read into a campaign, the newest first. Imports are kept for 90 days.
#[utoipa::path(get, path = "/v1/campaigns/{id}/imports", tag = "outreach", params(("id" = Uuid, Path), PageQuery),
    responses((status = 200, body = Page<ImportBody>), (status = "default", body = Document<'static>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Path(id): Path<Uuid>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<ImportBody>>, Problem> {
    let limit = query.limit()?;
    let before = query.cursor(|text| text.parse().ok())?;
    let campaign = app.outreach.campaign(&context.call, by.tenant, CampaignId(id)).await?.id;
    let list = ListImports { tenant: by.tenant, campaign, before, limit };
    let rows = app.store.run(&context.call, list).await?;
    let rows: Vec<ImportBody> = rows.into_iter().map(ImportBody::try_from).collect::<Result<_, _>>()?;
    Ok(Json(Page::of(rows, limit, |row: &ImportBody| row.id.to_string())))
}

/// Reads how far a list is read.
#[utoipa::path(get, path = "/v1/imports/{id}", tag = "outreach", params(("id" = Uuid, Path)),
    responses((status = 200, body = ImportBody), (status = "default", body = Document<'static>)))]
pub async fn get(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Path(id): Path<Uuid>,
) -> Result<Json<ImportBody>, Problem> {
    Ok(Json(app.outreach.lead_import(&context.call, by.tenant, LeadImportId(id)).await?.try_into()?))
}

const fn yes() -> bool {
    true
}

/// Where a part of a list stands.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PartQuery {
    /// How many bytes of the file are before it: `read_bytes` of the import.
    #[serde(default)]
    offset: u64,
    /// `false` where more of the file is to come.
    #[serde(default = "yes")]
    last: bool,
}

/// Reads a part of a list: the body is the file, CSV in any encoding, from the place up to which it is read; at most 8 MiB at
/// once, and the first part 64 KiB at least. When it breaks off, go on from `read_bytes` of `GET /v1/imports/{id}`. Rows with
/// something wrong in them are passed over and told.
#[utoipa::path(post, path = "/v1/imports/{id}/content", tag = "outreach", params(("id" = Uuid, Path), PartQuery),
    request_body(content = crate::openapi::words::File, content_type = "application/octet-stream"),
    responses((status = 200, body = ImportBody), (status = "default", body = Document<'static>)))]
pub async fn content(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
    Query(query): Query<PartQuery>,
    RawBody(bytes): RawBody,
) -> Result<Json<ImportBody>, Problem> {
    let part = Part { offset: query.offset, bytes, last: query.last };
    Ok(Json(app.outreach.read_part(&context.call, by.tenant, LeadImportId(id), part).await?.try_into()?))
}

/// Ends reading a list. What was read by then stays.
#[utoipa::path(post, path = "/v1/imports/{id}/cancel", tag = "outreach", params(("id" = Uuid, Path)),
    responses((status = 200, body = ImportBody), (status = "default", body = Document<'static>)))]
pub async fn cancel(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Administrator(by): Administrator,
    Path(id): Path<Uuid>,
) -> Result<Json<ImportBody>, Problem> {
    Ok(Json(app.outreach.cancel_import(&context.call, by.tenant, LeadImportId(id)).await?.try_into()?))
}

/// What is wrong with a row of a list.
#[derive(Serialize, ToSchema)]
#[schema(as = ImportFault)]
pub struct FaultBody {
    /// The line that the row begins on, from 1.
    line: i64,
    /// What the column is called; empty for the whole row.
    column: String,
    code: String,
    /// What is wrong and how to mend it.
    detail: String,
    /// How the row begins.
    excerpt: String,
    #[serde(skip)]
    place: i64,
}

impl From<ImportFault> for FaultBody {
    fn from(fault: ImportFault) -> Self {
        Self {
            line: fault.line,
            column: fault.column_name,
            code: fault.code,
            detail: fault.detail,
            excerpt: fault.excerpt,
            place: fault.place,
        }
    }
}

fn place(text: &str) -> Option<(u64, u64)> {
    let (line, place) = text.split_once(':')?;
    Some((line.parse().ok()?, place.parse().ok()?))
}

/// Lists what is wrong with rows of a list, by their lines: at most 10,000 are kept.
#[utoipa::path(get, path = "/v1/imports/{id}/faults", tag = "outreach", params(("id" = Uuid, Path), PageQuery),
    responses((status = 200, body = Page<FaultBody>), (status = "default", body = Document<'static>)))]
pub async fn faults(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Path(id): Path<Uuid>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<FaultBody>>, Problem> {
    let limit = query.limit()?;
    let after = query.cursor(place)?.unwrap_or((0, 0));
    let import = app.outreach.lead_import(&context.call, by.tenant, LeadImportId(id)).await?.id;
    let list = ListImportFaults { tenant: by.tenant, import, after, limit };
    let rows = app.store.run(&context.call, list).await?;
    let rows: Vec<FaultBody> = rows.into_iter().map(FaultBody::from).collect();
    Ok(Json(Page::of(rows, limit, |row: &FaultBody| format!("{}:{}", row.line, row.place))))
}

/// The same as a table: CSV that spreadsheet programs take for data.
#[utoipa::path(get, path = "/v1/imports/{id}/faults.csv", tag = "outreach", params(("id" = Uuid, Path)),
    responses((status = 200, description = "A table", content_type = "text/csv"),
        (status = "default", body = Document<'static>)))]
pub async fn faults_table(
    State(app): State<Arc<App>>,
    context: RequestContext,
    Reader(by): Reader,
    Path(id): Path<Uuid>,
) -> Result<Response, Problem> {
    let import = app.outreach.lead_import(&context.call, by.tenant, LeadImportId(id)).await?.id;
    let mut table = String::new();
    write_row(["line", "column", "code", "what is wrong", "the row"], &mut table);
    let (mut after, mut kept) = ((0, 0), 0);
    // A row may have several faults.
    while kept <= 2 * MOST_IMPORT_FAULTS {
        let list = ListImportFaults { tenant: by.tenant, import, after, limit: FAULTS_AT_ONCE };
        let rows = app.store.run(&context.call, list).await?;
        let Some(last) = rows.last() else { break };
        after = (last.line.unsigned_abs(), last.place.unsigned_abs());
        kept += rows.len() as u64;
        for row in &rows {
            let line = row.line.to_string();
            write_row([&line, &row.column_name, &row.code, &row.detail, &row.excerpt].map(String::as_str), &mut table);
        }
        if rows.len() < FAULTS_AT_ONCE as usize {
            break;
        }
    }
    let head =
        [(CONTENT_TYPE, "text/csv; charset=utf-8"), (CONTENT_DISPOSITION, "attachment; filename=\"faults.csv\"")];
    Ok((head, table).into_response())
}
